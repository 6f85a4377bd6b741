"""Archives that nobody should extract, each by name with a function that gives its bytes."""

from __future__ import annotations

import io
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping

Member = str | zipfile.ZipInfo

_CENTRAL, _LOCAL = b"PK\x01\x02", b"PK\x03\x04"


def zipped(*members: Member | tuple[Member, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of members with a little content each."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name that comes twice is what is wanted here
        for member in members:
            name, content = member if isinstance(member, tuple) else (member, b"content " * 20)
            archive.writestr(name, content)
    return target.getvalue()


def special(name: str, kind: int) -> zipfile.ZipInfo:
    """A member that is no plain file by its mode."""
    member = zipfile.ZipInfo(name)
    member.create_system = 3
    member.external_attr = (kind | 0o777) << 16
    return member


def renamed(old: str, new: bytes, *more: Member) -> bytes:
    """A zip with a name that Python's writer would mend."""
    assert len(old) == len(new)
    return zipped("good.csv", old, *more).replace(old.encode(), new)


def patched(archive: bytes, offset: int, value: bytes, *, only: bytes | None = None) -> bytes:
    """The archive with some bytes of every header changed: `offset` counts in the central one."""
    changed = bytearray(archive)
    for signature, shift in ((_CENTRAL, 0), (_LOCAL, -2)):
        if only in (None, signature):
            start = archive.find(signature)
            while start >= 0:
                at = start + offset + shift
                changed[at : at + len(value)] = value
                start = archive.find(signature, start + 4)
    return bytes(changed)


def zeros(size: int) -> bytes:
    """A deflate stream of so many zeros, of which a block is packed once only."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (size >> 20) + packer.flush()


def bomb(size: int, declared: int | None = None) -> bytes:
    """One member of zeros, which says that it unpacks to `declared` bytes."""
    stream, name = zeros(size), b"zeros.csv"
    declared = size if declared is None else declared
    crc = zlib.crc32(bytes(declared)) if declared < 1 << 20 else 0
    sizes = struct.pack("<IIIHH", crc, len(stream), declared, len(name), 0)
    local = _LOCAL + struct.pack("<HHHHH", 20, 0, 8, 0, 0x21) + sizes + name
    central = _CENTRAL + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0x21) + sizes + struct.pack("<HHHII", 0, 0, 0, 0, 0)
    directory = central + name
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), len(local) + len(stream), 0)
    return local + stream + directory + end


def overlapping() -> bytes:
    """Two members with one and the same place."""
    archive = zipped(("a.csv", b"1" * 100), ("b.csv", b"1" * 100), method=zipfile.ZIP_STORED)
    second = archive.rfind(_CENTRAL)
    return archive[: second + 42] + struct.pack("<I", 0) + archive[second + 46 :]


def quoted() -> bytes:
    """A member whose bytes reach over the header of the next."""
    archive = bytearray(zipped(("a.csv", b"1" * 100), ("b.csv", b"2" * 100), method=zipfile.ZIP_STORED))
    first = archive.find(_CENTRAL)
    archive[first + 20 : first + 28] = struct.pack("<II", 150, 150)
    return bytes(archive)


def spoiled() -> bytes:
    archive = zipped(("train.csv", b"0123456789" * 20), method=zipfile.ZIP_STORED)
    return archive.replace(b"0123456789", b"0123456780", 1)


def _nested() -> bytes:
    return zipped(("inner.zip", bomb(1 << 20)), ("bomb.zip", b"x")).replace(b"bomb.zip", b"../b.zip")


HOSTILE: Mapping[str, Callable[[], bytes]] = {
    "climbing": lambda: zipped("good.csv", "../out.csv"),
    "climbing from a folder": lambda: zipped("a/../../out.csv"),
    "climbing past a dot": lambda: zipped("./../out.csv"),
    "climbing back in": lambda: zipped("a/../out.csv"),
    "a name that is two dots": lambda: zipped(".."),
    "a folder that climbs": lambda: zipped("good.csv", ("../out/", b"")),
    "climbing by backslashes": lambda: zipped("..\\out.csv"),
    "climbing by both slashes": lambda: zipped("a\\..\\../out.csv"),
    "climbing inside an archive inside": _nested,
    "absolute": lambda: renamed("xtmp/out.csv", b"/tmp/out.csv"),
    "absolute with two slashes": lambda: renamed("xxtmp/out.csv", b"//tmp/out.csv"),
    "a drive": lambda: zipped("C:/out.csv"),
    "a drive without a slash": lambda: zipped("c:out.csv"),
    "a network share": lambda: zipped("\\\\server\\share\\out.csv"),
    "a link to a file elsewhere": lambda: zipped((special("link", stat.S_IFLNK), b"/etc/passwd")),
    "a link that climbs": lambda: zipped((special("link", stat.S_IFLNK), b"../out")),
    "a file through a link": lambda: zipped((special("link", stat.S_IFLNK), b".."), "link/out.csv"),
    "a pipe": lambda: zipped((special("pipe", stat.S_IFIFO), b"")),
    "a character device": lambda: zipped((special("null", stat.S_IFCHR), b"")),
    "a block device": lambda: zipped((special("disk", stat.S_IFBLK), b"")),
    "a socket": lambda: zipped((special("socket", stat.S_IFSOCK), b"")),
    "a bomb": lambda: bomb(2 << 30),
    "a bomb that lies": lambda: bomb(2 << 30, declared=1000),
    "members in one place": overlapping,
    "members over each other": quoted,
    "the same name twice": lambda: zipped("train.csv", "train.csv"),
    "names that differ by case": lambda: zipped("Train.csv", "train.csv"),
    "names that differ by the form of an accent": lambda: zipped("caf\u00e9.csv", "cafe\u0301.csv"),
    "a file that is a folder": lambda: zipped("data", "data/train.csv"),
    "an empty part": lambda: zipped("a//train.csv"),
    "a name that is a dot": lambda: zipped("."),
    "a name with a null": lambda: renamed("train.csvx.exe", b"train.csv\0.exe"),
    "a name with a line break": lambda: zipped("train\n.csv"),
    "a name that commands the terminal": lambda: zipped("\x1b[2Jtrain.csv"),
    "a name that turns around": lambda: zipped("train\u202evsc.exe"),
    "a name too long for a disk": lambda: zipped("x" * 300 + ".csv"),
    "encrypted": lambda: patched(zipped("train.csv"), 8, b"\x01\0"),
    "an unknown packing": lambda: patched(zipped("train.csv"), 10, struct.pack("<H", 99)),
    "a wrong CRC": spoiled,
    "another name in the directory": lambda: zipped("train.csv").replace(b"train.csv", b"hosts.csv", 1),
}
