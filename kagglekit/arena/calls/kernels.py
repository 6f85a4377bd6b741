"""Kernels, as Kaggle's API calls notebooks and scripts: stored by the arena, run by its runner."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from kagglekit.arena.desk import Answer, Desk, Fields, Redirect, Refusal, Stream, download_path, page
from kagglekit.arena.hosted import is_hosted
from kagglekit.arena.kernel_store import KernelRecord
from kagglekit.arena.runner import LogLine, follow, output_files
from kagglekit.arena.sqlite import stamp

__all__ = [
    "delete_kernel",
    "download_kernel_output",
    "download_kernel_output_zip",
    "get_accelerator_quota_statistics",
    "get_kernel",
    "get_kernel_session_logs_stream",
    "get_kernel_session_status",
    "list_kernel_files",
    "list_kernel_session_output",
    "list_kernels",
    "log_stream",
    "save_kernel",
]

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_LARGEST_SOURCE = 16 << 20
_SATURDAY = 5
# What is pushed with a source, and told again to who asks.
_TEXTS = ("newTitle", "language", "kernelType", "dockerImage", "dockerImagePinningType", "machineShape")
_FLAGS = ("isPrivate", "enableGpu", "enableTpu", "enableInternet")
_LISTS = ("categoryIds", "datasetDataSources", "kernelDataSources", "competitionDataSources", "modelDataSources")
_TOLD = frozenset((*_TEXTS, *_FLAGS, *_LISTS)) - {"newTitle", "dockerImagePinningType"}


def save_kernel(desk: Desk, fields: Fields) -> Answer:
    slug = _slug_to_save(desk, fields)
    source = fields.text("text")
    if len(source) > _LARGEST_SOURCE:
        raise Refusal(400, f"A notebook may hold at most {_LARGEST_SOURCE} characters.")
    unknown = _unknown_sources(desk, fields)
    record = desk.kernels.save(slug, source, json.dumps(_pushed(fields, unknown), sort_keys=True), desk.now())
    desk.runner.start(record)
    return {
        "ref": f"/code/{desk.identity.username}/{slug}",
        "url": _address(desk, record),
        "versionNumber": record.version,
        "kernelId": desk.kernels.number(slug),
        **{f"invalid{kind}Sources": names for kind, names in unknown.items()},
    }


def get_kernel(desk: Desk, fields: Fields) -> Answer:
    record = _own(desk, fields)
    facts = record.facts
    blob = {
        "source": record.source,
        "language": facts.get("language", "python"),
        "kernelType": facts.get("kernelType", "notebook"),
        "slug": record.slug,
    }
    return {"metadata": _metadata(desk, record), "blob": blob}


def list_kernels(desk: Desk, fields: Fields) -> Answer:
    """Everybody's list holds the public ones; one's own list holds all."""
    search, user, mine = fields.text("search").lower(), fields.text("user"), fields.text("group") == "PROFILE"
    wanted = {"language": fields.text("language"), "kernelType": fields.text("kernelType")}
    kept = [
        r
        for r in desk.kernels.latest()
        if search in f"{r.slug} {r.title}".lower()
        and user in ("", desk.identity.username)
        and (mine or user or not r.facts.get("isPrivate", True))
        and all(value in ("", "all", r.facts.get(name)) for name, value in wanted.items())
        and _uses(r, "competitionDataSources", fields.text("competition"))
        and _uses(r, "datasetDataSources", fields.text("dataset"))
    ]
    found, following = page(kept, fields)
    return {"kernels": [_metadata(desk, r) for r in found], "nextPageToken": following}


def get_kernel_session_status(desk: Desk, fields: Fields) -> Answer:
    session = desk.runner.session(_own(desk, fields))
    return {"status": session.status} | ({"failureMessage": session.message} if session.message else {})


def list_kernel_session_output(desk: Desk, fields: Fields) -> Answer:
    record = _own(desk, fields)
    found, following = page(output_files(desk.runner.output(record)), fields)
    files = [{"fileName": name, "url": desk.url + download_path(desk, _redirect(record, name))} for name in found]
    lines = [_event(line) for line in desk.runner.log(record)]
    log = json.dumps(lines) if lines else ""
    return {"files": files, "log": log, "nextPageToken": following}


def list_kernel_files(desk: Desk, fields: Fields) -> Answer:
    record = _own(desk, fields)
    folder = desk.runner.output(record)
    found, following = page(output_files(folder), fields)
    sizes = [(folder / name).stat().st_size for name in found] if folder else []
    files = [
        {"name": name, "size": size, "creationDate": record.created} for name, size in zip(found, sizes, strict=True)
    ]
    return {"files": files, "nextPageToken": following}


def download_kernel_output(desk: Desk, fields: Fields) -> Answer:
    """One file, or with no path all of them as a zip."""
    record = _own(desk, fields)
    name, files = fields.text("filePath"), output_files(desk.runner.output(record))
    if not files or (name and name not in files):
        raise Refusal(404, f"Version {record.version} of {record.slug} has no such output.")
    return _redirect(record, name)


def download_kernel_output_zip(desk: Desk, fields: Fields) -> Answer:
    record = desk.kernels.numbered(fields.number("kernelSessionId"))
    if record is None or not output_files(desk.runner.output(record)):
        raise Refusal(404, "There is no such output.")
    return _redirect(record, "")


def get_kernel_session_logs_stream(desk: Desk, fields: Fields) -> Answer:
    return log_stream(desk, _own(desk, fields))


def log_stream(desk: Desk, record: KernelRecord) -> Answer:
    """The log as server-sent events, each line as it is written."""
    return Stream(_events(desk, record), "text/event-stream")


def get_accelerator_quota_statistics(desk: Desk, fields: Fields) -> Answer:
    # An arena that runs no notebooks has no accelerator to lend; saying 30 hours would be a promise.
    now = desk.now()
    saturday = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(
        days=(_SATURDAY - now.weekday() - 1) % 7 + 1
    )
    nothing = {"timeUsed": "0s", "timeReserved": "0s", "totalTimeAllowed": "0s", "minimumTimeAllowed": "0s"}
    return {"quotaRefreshTime": stamp(saturday), "gpuQuota": nothing, "tpuQuota": nothing}


def delete_kernel(desk: Desk, fields: Fields) -> Answer:
    for record in desk.kernels.delete(_own(desk, fields).slug):
        desk.runner.discard(record)
    return {}


def _own(desk: Desk, fields: Fields) -> KernelRecord:
    """The notebook that is named; its slug may end in "/3", and a field may name the version too."""
    owner = fields.text("userName") or fields.text("ownerSlug")
    slug, _, label = fields.text("kernelSlug").partition("/")
    label = label or fields.text("versionLabel") or str(fields.number("versionNumber") or "")
    is_version = not label or (label.isascii() and label.isdigit() and len(label) < 10)
    record = desk.kernels.find(slug, int(label) if label else None) if is_version else None
    if record is None or owner != desk.identity.username:
        raise Refusal(404, "There is no such notebook.")
    return record


def _slug_to_save(desk: Desk, fields: Fields) -> str:
    owner, _, slug = fields.text("slug").partition("/")
    if owner != desk.identity.username or not _SLUG.fullmatch(slug):
        raise Refusal(403, f"A notebook's id must be {desk.identity.username}/<name> here.")
    return slug


def _unknown_sources(desk: Desk, fields: Fields) -> dict[str, list[str]]:
    """By kind, the sources that this arena has not: as on Kaggle, the notebook is saved without them."""
    owner = f"{desk.identity.username}/"
    checks: dict[str, Callable[[str], bool]] = {
        "Competition": lambda name: is_hosted(desk.home, name.removeprefix("competitions/")),
        "Dataset": lambda name: name.startswith(owner) and desk.datasets.find(name.split("/")[1]) is not None,
        "Kernel": lambda name: name.startswith(owner) and desk.kernels.find(name.split("/")[1]) is not None,
        "Model": lambda name: False,
    }
    return {
        kind: [s for s in fields.texts(f"{kind.lower()}DataSources") if not is_known(s)]
        for kind, is_known in checks.items()
    }


def _pushed(fields: Fields, unknown: dict[str, list[str]]) -> dict[str, Any]:
    """All that was pushed with the source, less the sources that are unknown."""
    found: dict[str, Any] = {name: fields.text(name) for name in _TEXTS if fields.has(name)}
    found |= {name: fields.flag(name) for name in _FLAGS if fields.has(name)}
    found |= {name: list(fields.texts(name)) for name in _LISTS if fields.has(name)}
    for kind, names in unknown.items():
        field = f"{kind.lower()}DataSources"
        if field in found:
            found[field] = [s for s in found[field] if s not in names]
    return found


def _uses(record: KernelRecord, field: str, name: str) -> bool:
    return not name or any(s.removeprefix("competitions/") == name for s in record.facts.get(field, ()))


def _events(desk: Desk, record: KernelRecord) -> Iterator[str]:
    session = desk.runner.session(record)
    if session.message and not session.is_moving:
        yield _as_event(LogLine("stderr", 0.0, f"{session.message}\n"))
    for line in follow(desk.runner, record):
        yield _as_event(line)
    yield "data: END_OF_LOG\n\n"


def _as_event(line: LogLine) -> str:
    return f"data: {json.dumps(_event(line))}\n\n"


def _event(line: LogLine) -> dict[str, Any]:
    return {"stream_name": line.stream, "time": line.seconds, "data": line.text}


def _redirect(record: KernelRecord, name: str) -> Redirect:
    claim = {"kind": "output", "id": str(record.id)}
    return Redirect(claim | {"name": name}, Path(name).name) if name else Redirect(claim, f"{record.slug}.zip")


def _address(desk: Desk, record: KernelRecord) -> str:
    return f"{desk.url}/code/{desk.identity.username}/{record.slug}"


def _metadata(desk: Desk, record: KernelRecord) -> dict[str, Any]:
    facts = {"language": "python", "kernelType": "notebook"} | record.facts
    return {
        "id": desk.kernels.number(record.slug),
        "ref": f"{desk.identity.username}/{record.slug}",
        "title": record.title,
        "author": desk.identity.username,
        "slug": record.slug,
        "lastRunTime": record.created,
        "currentVersionNumber": record.version,
        **{name: value for name, value in facts.items() if name in _TOLD},
    }
