"""Notebooks on the site: pushed once they are checked."""

from __future__ import annotations

from pathlib import Path

from kagglekit.errors import UsageError
from kagglekit.kernel_calls import KernelCalls, Pushed
from kagglekit.kernels.notebook import METADATA
from kagglekit.kernels.secrets import refuse_secrets

__all__ = ["push"]


def push(kernels: KernelCalls, folder: Path, *, timeout: float | None = None) -> Pushed:
    """Send a built notebook to the site, where it starts to run.

    Parameters
    ----------
    kernels : KernelCalls
    folder : Path
    timeout : float, optional
        Seconds after which the site ends the session.

    Raises
    ------
    UsageError
        There is no notebook in `folder`, or one of its files holds a token; nothing was sent.
    GatewayError
    """
    if not (folder / METADATA).is_file():
        raise UsageError(f"There is no built notebook in {folder}.", hint="Build it first: kagglekit kernel push")
    refuse_secrets(p for p in sorted(folder.rglob("*")) if p.is_file())
    return kernels.push(folder, None if timeout is None else int(timeout))
