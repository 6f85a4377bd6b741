"""Kaggle's API as the arena answers it: the table of all calls.

Each call is a POST to `/api/v1/<service>/<Method>` with a JSON object. To add one, write its function in the service's
module under `calls/` and add one line to `CALLS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kagglekit.arena.calls import blobs, competitions, datasets, kernels, security, submissions
from kagglekit.arena.desk import Answer, Call, Desk, Fields, Refusal

__all__ = ["CALLS", "OPEN_CALLS", "answer"]

_BLOBS = "blobs.BlobApiService"
_COMPETITIONS = "competitions.CompetitionApiService"
_DATASETS = "datasets.DatasetApiService"
_DIAGNOSTICS = "api.v1.DiagnosticsService"
_KERNELS = "kernels.KernelsApiService"
_SECURITY = "security.OAuthService"

#: Every call that the arena answers; all others get 501 and say so.
CALLS: Mapping[tuple[str, str], Call] = MappingProxyType(
    {
        (_SECURITY, "IntrospectToken"): security.introspect_token,
        (_DIAGNOSTICS, "Hello"): security.say_hello,
        (_COMPETITIONS, "ListCompetitions"): competitions.list_competitions,
        (_COMPETITIONS, "GetCompetition"): competitions.get_competition,
        (_COMPETITIONS, "ListDataFiles"): competitions.list_data_files,
        (_COMPETITIONS, "DownloadDataFile"): competitions.download_data_file,
        (_COMPETITIONS, "DownloadDataFiles"): competitions.download_data_files,
        (_COMPETITIONS, "GetLeaderboard"): competitions.get_leaderboard,
        (_COMPETITIONS, "DownloadLeaderboard"): competitions.download_leaderboard,
        (_COMPETITIONS, "StartSubmissionUpload"): submissions.start_submission_upload,
        (_COMPETITIONS, "CreateSubmission"): submissions.create_submission,
        (_COMPETITIONS, "CreateCodeSubmission"): submissions.create_code_submission,
        (_COMPETITIONS, "ListSubmissions"): submissions.list_submissions,
        (_COMPETITIONS, "GetSubmission"): submissions.get_submission,
        (_COMPETITIONS, "DownloadSubmission"): submissions.download_submission,
        (_COMPETITIONS, "GetSubmissionLimits"): submissions.get_submission_limits,
        (_BLOBS, "StartBlobUpload"): blobs.start_blob_upload,
        (_DATASETS, "CreateDataset"): datasets.create_dataset,
        (_DATASETS, "CreateDatasetVersion"): datasets.create_dataset_version,
        (_DATASETS, "CreateDatasetVersionById"): datasets.create_dataset_version_by_id,
        (_DATASETS, "GetDataset"): datasets.get_dataset,
        (_DATASETS, "GetDatasetStatus"): datasets.get_dataset_status,
        (_DATASETS, "GetDatasetMetadata"): datasets.get_dataset_metadata,
        (_DATASETS, "UpdateDatasetMetadata"): datasets.update_dataset_metadata,
        (_DATASETS, "ListDatasets"): datasets.list_datasets,
        (_DATASETS, "ListDatasetFiles"): datasets.list_dataset_files,
        (_DATASETS, "DownloadDataset"): datasets.download_dataset,
        (_DATASETS, "DownloadDatasetRaw"): datasets.download_dataset,
        (_DATASETS, "DeleteDataset"): datasets.delete_dataset,
        (_KERNELS, "SaveKernel"): kernels.save_kernel,
        (_KERNELS, "GetKernel"): kernels.get_kernel,
        (_KERNELS, "ListKernels"): kernels.list_kernels,
        (_KERNELS, "GetKernelSessionStatus"): kernels.get_kernel_session_status,
        (_KERNELS, "ListKernelSessionOutput"): kernels.list_kernel_session_output,
        (_KERNELS, "ListKernelFiles"): kernels.list_kernel_files,
        (_KERNELS, "DownloadKernelOutput"): kernels.download_kernel_output,
        (_KERNELS, "DownloadKernelOutputZip"): kernels.download_kernel_output_zip,
        (_KERNELS, "GetKernelSessionLogsStream"): kernels.get_kernel_session_logs_stream,
        (_KERNELS, "GetAcceleratorQuotaStatistics"): kernels.get_accelerator_quota_statistics,
        (_KERNELS, "DeleteKernel"): kernels.delete_kernel,
    }
)

#: Calls that need no credentials: a token is checked by sending it.
OPEN_CALLS = frozenset({(_SECURITY, "IntrospectToken")})


def answer(desk: Desk, service: str, method: str, values: Mapping[str, Any]) -> Answer:
    """Answer one call.

    Raises
    ------
    Refusal
    CompetitionNotFound
    """
    call = CALLS.get((service, method))
    if call is None:
        raise Refusal(501, f"The arena does not answer {service}/{method}.")
    return call(desk, Fields(values))
