"""Archives: zips from elsewhere, extracted so that nothing is written outside one folder.

Everything that can be refused is refused before the first byte is written: by the members' names, kinds, sizes and
places in the file. What only shows while reading (a wrong CRC) ends the extraction with an error; the caller extracts
into a folder that appears only when it is whole.
"""

from __future__ import annotations

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path, PurePosixPath

from kagglekit.errors import DataError, DiskError

__all__ = ["check_names", "unzip"]

_LOCAL_HEADER = 30
# Bytes that packing may add to what cannot be packed; more means that the archive lies about the size.
_PACKING = 1024
_START = b"PK\x03\x04"
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_ENCRYPTED = 0x1 | 0x40
_LONGEST_PART, _LONGEST_NAME = 255, 4096  # bytes; what Linux takes
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
# What makes "gpj.exe" look like "exe.jpg".
_TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_DRIVE = re.compile(r"[A-Za-z]:")
# Mostly nothing: deflate packs zeros a thousandfold, data of any use hardly fiftyfold. Where it is small, let it be.
_BOMB_RATIO, _BOMB_BYTES = 250, 1 << 30


def unzip(archive: Path, into: Path, *, most_bytes: int = 1 << 40) -> list[Path]:
    """Extract a zip into a folder, refusing everything that could write outside it or fill the disk.

    Parameters
    ----------
    archive : Path
        The zip file; every member's CRC is checked while it is read.
    into : Path
        An existing folder.
    most_bytes : int
        Refuse archives that unpack to more than this.

    Returns
    -------
    list of Path
        The extracted files.

    Raises
    ------
    DataError
        The archive is damaged, encrypted or a bomb, or a member has a name that leads elsewhere or could not be told
        from another, is a link or a device, comes twice, or shares its bytes with another.
    DiskError
        The disk has no room for what it unpacks to.
    """
    _check_start(archive)
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = zipped.infolist()
            _check_members(archive, members, most_bytes)
            _check_places(archive, members, zipped.start_dir)
            _check_room(archive, into, sum(m.file_size for m in members))
            return [_extract(zipped, member, into) for member in members if not member.is_dir()]
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, zlib.error) as error:
        raise DataError(f"{archive.name} is not a sound zip file ({error}).", hint="Download it again.") from error


def check_names(source: str, names: Iterable[str]) -> None:
    """Refuse file names that lead out of a folder, cannot be names, or would be one and the same file on some disk.

    Parameters
    ----------
    source : str
        What holds them, for the error.
    names : iterable of str
        Relative, with forward slashes.

    Raises
    ------
    DataError
    """
    seen: dict[str, str] = {}
    for name in names:
        if why := _fault(name):
            raise _refused(source, name, why)
        # Disks of macOS and Windows do not tell these apart.
        key = unicodedata.normalize("NFC", name).casefold()
        if key in seen:
            other = seen[key]
            raise _refused(source, name, "it comes twice" if other == name else f"some disks take it for {other!r}")
        seen[key] = name
    for key, name in seen.items():
        for parent in PurePosixPath(key).parents:
            if str(parent) in seen:
                raise _refused(source, name, f"{seen[str(parent)]!r} is a file and a folder")


def _fault(name: str) -> str:
    """Why a name must not be written; "" when it may."""
    parts = name.split("/")
    if "\\" in name or _DRIVE.match(name) or name.startswith("/"):
        return "it leads to another place"
    if any(part == ".." for part in parts):
        return "it climbs out of its folder"
    if any(part in ("", ".") for part in parts):
        return "it has an empty part"
    if any(unicodedata.category(c) in _UNSEEN or unicodedata.bidirectional(c) in _TURNING for c in name):
        return "it holds characters that cannot be seen"
    if len(name.encode()) > _LONGEST_NAME or any(len(part.encode()) > _LONGEST_PART for part in parts):
        return "it is too long"
    return ""


def _refused(source: str, name: str, why: str) -> DataError:
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    return DataError(
        f"{source} holds a member that must not be extracted: {shown!r} ({why}).",
        hint="Nothing was written. Look at the archive before you trust its source.",
    )


def _check_start(archive: Path) -> None:
    with archive.open("rb") as file:
        start = file.read(len(_START))
    if start != _START:
        raise DataError(
            f"{archive.name} is not a sound zip file (it begins as something else).", hint="Download it again."
        )


def _check_members(archive: Path, members: Sequence[zipfile.ZipInfo], most_bytes: int) -> None:
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR) > member.is_dir():
            raise _refused(archive.name, member.orig_filename, "it is no plain file")
        if member.flag_bits & _ENCRYPTED:
            raise _refused(archive.name, member.orig_filename, "it is encrypted")
        if member.compress_type not in _METHODS:
            raise _refused(archive.name, member.orig_filename, "it is packed in an unknown way")
        if member.compress_size > member.file_size * 1.01 + _PACKING:
            raise _refused(archive.name, member.orig_filename, "it is larger packed than it says to be unpacked")
    # Folders end in a slash, and may come twice.
    folders = {m.orig_filename.removesuffix("/") for m in members if m.is_dir()}
    check_names(archive.name, folders)
    check_names(archive.name, [m.orig_filename for m in members if not m.is_dir()])
    _check_sizes(archive, members, most_bytes)


def _check_sizes(archive: Path, members: Sequence[zipfile.ZipInfo], most_bytes: int) -> None:
    total, packed = sum(m.file_size for m in members), sum(m.compress_size for m in members)
    if total > most_bytes:
        raise DataError(f"{archive.name} would unpack to {total:,} bytes, more than the {most_bytes:,} allowed.")
    if total > _BOMB_BYTES and total > _BOMB_RATIO * packed:
        raise DataError(
            f"{archive.name} would unpack {packed:,} bytes to {total:,}: it is made to fill a disk.",
            hint="Nothing was written. Look at the archive before you trust its source.",
        )


def _check_places(archive: Path, members: Sequence[zipfile.ZipInfo], end: int) -> None:
    """Refuse members that share bytes: a small file can hold petabytes that way.

    Source: D. Fifield, "A better zip bomb", WOOT 2019.
    """
    ordered = sorted(members, key=lambda m: m.header_offset)
    places = [(m.header_offset, m.header_offset + _LOCAL_HEADER + m.compress_size) for m in ordered]
    if places and places[-1][1] > end:
        raise DataError(f"{archive.name} is not a sound zip file (a member ends after the archive).")
    for (_, stop), (start, _) in pairwise(places):
        if start < stop:
            raise DataError(
                f"{archive.name} holds members that lie over each other: it is made to fill a disk.",
                hint="Nothing was written. Look at the archive before you trust its source.",
            )


def _check_room(archive: Path, into: Path, total: int) -> None:
    free = shutil.disk_usage(into).free
    if total > free:
        raise DiskError(
            f"{archive.name} unpacks to {total:,} bytes; the disk that holds {into} has {free:,} left.",
            hint="Free some space and run the same command again: finished work is kept.",
        )


def _extract(zipped: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path) -> Path:
    target = into / PurePosixPath(member.filename)
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(member) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if target.stat().st_size != member.file_size:
        raise zipfile.BadZipFile(f"{member.filename} has another size than the archive says")
    return target
