"""Notebooks on the site: pushed once they are checked, and remembered."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from kagglekit.errors import UsageError
from kagglekit.files import read_json, write_json
from kagglekit.kernel_calls import KernelCalls, Pushed
from kagglekit.kernels.notebook import METADATA
from kagglekit.kernels.secrets import refuse_secrets

__all__ = ["Record", "push"]


@dataclass(frozen=True)
class Record:
    """What was pushed last under one name; kept beside the notebook's folder.

    Parameters
    ----------
    url : str
    version : int
        As the site numbers it; 0 where it does not say.
    submit : bool
        Whether the notebook writes a submission.
    """

    url: str
    version: int
    submit: bool = False

    def write(self, folder: Path) -> None:
        write_json(_path(folder), asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record of a built notebook; None when it was not pushed from here."""
        path = _path(folder)
        return cls(**read_json(path)) if path.is_file() else None


def push(kernels: KernelCalls, folder: Path, *, timeout: float | None = None, submit: bool = False) -> Pushed:
    """Send a built notebook to the site, where it starts to run.

    Parameters
    ----------
    kernels : KernelCalls
    folder : Path
    timeout : float, optional
        Seconds after which the site ends the session.
    submit : bool
        Whether it writes a submission.

    Raises
    ------
    UsageError
        There is no notebook in `folder`, or one of its files holds a token; nothing was sent.
    GatewayError
    """
    if not (folder / METADATA).is_file():
        raise UsageError(f"There is no built notebook in {folder}.", hint="Build it first: kagglekit kernel push")
    refuse_secrets(p for p in sorted(folder.rglob("*")) if p.is_file())
    pushed = kernels.push(folder, None if timeout is None else int(timeout))
    Record(pushed.url, pushed.version, submit).write(folder)
    return pushed


def _path(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.json"
