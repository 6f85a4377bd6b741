"""Stage 1: a competition's files, whole and checked, under `data/<slug>/raw/`."""

from __future__ import annotations

from pathlib import Path

from kagglekit.dataset import RawData
from kagglekit.files import atomic_folder, lock, unzip
from kagglekit.gateway import Gateway
from kagglekit.progress import Progress, Silent

__all__ = ["download"]


def download(gateway: Gateway, slug: str, folder: Path, *, progress: Progress | None = None) -> RawData:
    """Fetch a competition's files once.

    The archive is fetched to a temporary name, checked, extracted safely and renamed; `raw/` exists only when it is
    complete, and the manifest beside it is written last.

    Parameters
    ----------
    gateway : Gateway
    slug : str
    folder : Path
        `data/<slug>`.
    progress : Progress, optional

    Raises
    ------
    GatewayError
        The site cannot be reached or refuses.
    DataError
        The archive is damaged or unsafe.
    StoreError
        Another process is downloading the same competition.
    """
    raw = RawData(folder)
    if raw.is_complete:
        return raw
    with lock(folder / ".download.lock", busy=f"Another process is downloading {slug}."):
        if raw.is_complete:
            return raw
        archive = gateway.download(slug, folder / f"{slug}.zip", progress or Silent())
        with atomic_folder(raw.files) as temporary:
            unzip(archive, temporary)
        raw.seal()
        archive.unlink()
    return raw
