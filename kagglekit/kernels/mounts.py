"""Inside a notebook: where Kaggle put its inputs, and which kind of run this is.

The place of a mount differs between Kaggle's images, so every place is probed and none is assumed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from kagglekit.dataset import RawData
from kagglekit.errors import DataError, StoreError, preview
from kagglekit.files import sha256
from kagglekit.workspace import Workspace

__all__ = ["INPUTS", "copy_files", "find_mount", "is_rerun", "mount_data", "mounted_files", "run_type"]

INPUTS = Path("/kaggle/input")
_SHELVES = ("competitions", "datasets", "notebooks", "kernels", "models")
_NO = ("", "0", "false", "no")


def find_mount(slug: str, inputs: Path = INPUTS, owner: str = "") -> Path | None:
    """The folder of one input; None where there is none.

    Parameters
    ----------
    slug : str
        Of a competition, dataset or notebook.
    inputs : Path
        The folder that Kaggle mounts inputs in.
    owner : str
        Of a dataset or notebook; "" for a competition.
    """
    shelves = [inputs / shelf for shelf in _SHELVES]
    places = [inputs / slug, *(s / slug for s in shelves)]
    if owner:
        places = [*(s / owner / slug for s in shelves), inputs / owner / slug, *places]
    return next((p for p in places if p.is_dir()), None)


def mount_data(workspace: Workspace, slug: str, inputs: Path = INPUTS) -> RawData:
    """Take the competition's files that Kaggle mounts for a finished download.

    The mount is only linked, for it is read-only and may be large.

    Raises
    ------
    DataError
        The competition is not among the notebook's inputs.
    """
    raw = RawData(workspace.data(slug))
    if raw.is_complete:
        return raw
    mount = find_mount(slug, inputs)
    if mount is None:
        raise DataError(
            f"The data of {slug} are not in {inputs}, which holds: {preview(_held(inputs)) or 'nothing'}.",
            hint="Add the competition to the notebook's inputs, and accept its rules on its page.",
        )
    raw.folder.mkdir(parents=True, exist_ok=True)
    if raw.files.is_symlink():  # left by a session that ended before the manifest was written
        raw.files.unlink()
    raw.files.symlink_to(mount.absolute(), target_is_directory=True)
    raw.seal()
    return raw


def mounted_files(slug: str, owner: str, files: Mapping[str, str], inputs: Path = INPUTS) -> list[Path]:
    """The files of a dataset where Kaggle mounted them, each checked by its SHA-256.

    Parameters
    ----------
    slug, owner : str
    files : mapping of str to str
        Name -> SHA-256, in hex.
    inputs : Path

    Raises
    ------
    DataError
        The dataset, or a file of it, is not there.
    StoreError
        A file is not the one that was sent.
    """
    mount = find_mount(slug, inputs, owner)
    if mount is None:
        raise DataError(
            f"The dataset {owner}/{slug} is not in {inputs}, which holds: {preview(_held(inputs)) or 'nothing'}.",
            hint="Add it to the notebook's inputs.",
        )
    for name, digest in files.items():
        if not (mount / name).is_file():
            raise DataError(f"The dataset {owner}/{slug} has no file {name}.", hint="Run: kagglekit kernel sync")
        if sha256(mount / name) != digest:
            raise StoreError(f"{mount / name} is another version than this notebook was made for.")
    return [mount / name for name in files]


def copy_files(slug: str, owner: str, files: Mapping[str, str], to: Path, inputs: Path = INPUTS) -> list[Path]:
    """Copy files of a dataset to where they are used; checks and errors are those of `mounted_files`."""
    found = mounted_files(slug, owner, files, inputs)
    to.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(path, to / path.name)) for path in found]


def run_type(env: Mapping[str, str] | None = None) -> str:
    """What Kaggle calls this run: "Interactive" in the editor, "Batch" for a version; "" elsewhere."""
    return (os.environ if env is None else env).get("KAGGLE_KERNEL_RUN_TYPE", "")


def is_rerun(env: Mapping[str, str] | None = None) -> bool:
    """Whether Kaggle runs the notebook again on the hidden test set of a code competition."""
    return (os.environ if env is None else env).get("KAGGLE_IS_COMPETITION_RERUN", "").strip().lower() not in _NO


def _held(inputs: Path) -> list[str]:
    return [p.relative_to(inputs).as_posix() for pattern in ("*", "*/*") for p in sorted(inputs.glob(pattern))]
