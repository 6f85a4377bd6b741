"""Stage 1: a competition's files, whole and checked, under `data/<slug>/raw/`."""

from __future__ import annotations

import shutil
import tempfile
from functools import partial
from pathlib import Path

from kagglekit.archives import unzip
from kagglekit.dataset import RawData, SingleFiles
from kagglekit.errors import DataError, preview
from kagglekit.files import atomic_folder, turn
from kagglekit.gateway import Gateway, RemoteFile
from kagglekit.progress import Progress, Silent

__all__ = ["download", "download_file"]

# Five pages of the site's list: enough to see that the archive is the right one, and few calls for a million images.
_MOST_COMPARED = 1000


def download(gateway: Gateway, slug: str, folder: Path, *, progress: Progress | None = None) -> RawData:
    """Fetch a competition's files once.

    The archive is fetched to a temporary name, checked, extracted safely, compared with the site's list of files and
    renamed; `raw/` exists only when it is complete, and the manifest beside it is written last. Of several processes
    that want the same competition, one fetches it and the others wait for that.

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
        The archive is damaged or unsafe, or does not hold what the site lists.
    """
    raw = RawData(folder)
    if raw.is_complete:
        return raw
    progress = progress or Silent()
    with turn(folder / ".download.lock", on_wait=partial(progress.say, f"Waiting for another download of {slug}.")):
        if raw.is_complete:
            return raw
        for left in folder.glob(f".{raw.files.name}.*.tmp"):  # by a process that was killed while it extracted
            shutil.rmtree(left)
        listed = gateway.files(slug, most=_MOST_COMPARED)
        archive = folder / f"{slug}.zip"
        # One that is there was whole when it got its name; only its extraction did not come to an end.
        if not (archive.is_file() and _extracted(slug, archive, raw, listed, again=True)):
            gateway.download(slug, archive, progress)
            _extracted(slug, archive, raw, listed)
        raw.seal()
        archive.unlink()
    return raw


def download_file(
    gateway: Gateway, slug: str, name: str, folder: Path, *, progress: Progress | None = None
) -> SingleFiles:
    """Fetch one file of a competition, without the others: to look at a sample of a large one.

    Returns
    -------
    SingleFiles
        `data/<slug>/single`; its manifest says what each file was checked by. A file for which the site sends no MD5,
        and which is no zip, is marked unverified.

    Raises
    ------
    GatewayError
        The site cannot be reached or refuses.
    DataError
        There is no such file, or it came damaged.
    """
    single, progress = SingleFiles(folder), progress or Silent()
    with turn(folder / ".single.lock", on_wait=partial(progress.say, f"Waiting for another download of {slug}.")):
        if not single.has(name):
            received = gateway.download_file(slug, name, single.path(name), progress)
            if received.name.lower().endswith(".zip") and not name.lower().endswith(".zip"):
                _unpack(single.path(name))
            single.seal(name, received.check)
    return single


def _extracted(slug: str, archive: Path, raw: RawData, listed: list[RemoteFile], *, again: bool = False) -> bool:
    """Extract an archive; False where it is of no use any more, if it was left by an earlier process."""
    try:
        with atomic_folder(raw.files) as temporary:
            unzip(archive, temporary)
            _compare(slug, temporary, listed)
    except DataError:
        if not again:
            raise
        return False
    return True


def _compare(slug: str, files: Path, listed: list[RemoteFile]) -> None:
    wrong = [f for f in listed if not _is_here(files / f.name, f.bytes)]
    if wrong:
        raise DataError(
            f"The archive of {slug} lacks {len(wrong)} file(s) that the site lists, or has them in another size: "
            f"{preview(f.name for f in wrong)}.",
            hint="Its files may just have been replaced: run the same command again.",
        )


def _is_here(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _unpack(path: Path) -> None:
    """Put the one member of a zip in its place."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        files = unzip(path, Path(folder))
        if len(files) != 1:
            raise DataError(f"{path.name} came packed with {len(files)} files in it; one was expected.")
        files[0].replace(path)
