"""The first process of a sandbox: builds the small file system that a kernel sees, then starts it.

It is run as a program, `python -I -S inside.py SPEC`, in namespaces of its own, and imports the standard library
only. Linux only; the numbers are those of the kernel's headers and of mount(2), prctl(2) and netdevice(7).
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import shutil
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

_RDONLY, _NOSUID, _NODEV, _REMOUNT, _BIND, _REC, _PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
# What statvfs calls a flag, and what mount calls it: a remount must keep those that came from outside.
_KEPT = {2: 2, 4: 4, 8: 8, 1024: 1024, 2048: 2048, 4096: 1 << 21}
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_CAPBSET_DROP, _NO_NEW_PRIVS, _AMBIENT, _CLEAR_ALL, _LAST_CAPABILITY = 24, 38, 47, 4, 63
_CAPABILITY_VERSION_3 = 0x20080522
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_SERVER_FAILED = 0x8182  # a response, recursion available, SERVFAIL: "Temporary failure in name resolution"
_ETC = {
    "resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
    "hosts": "127.0.0.1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
}
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def main(spec: dict[str, Any]) -> int:
    """Build the file system, close it, run the command in it; gives its exit status as a shell would."""
    libc = ctypes.CDLL(None, use_errno=True)
    _build(_Mounts(libc, Path(spec["root"])), spec)
    _raise_loopback()
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind(("127.0.0.1", 53))
    _drop_privileges(libc)
    Path("/proc/self/oom_score_adj").write_text("1000")  # if the computer runs out of memory, this is what ends
    threading.Thread(target=_answer_names, args=(resolver, Path(spec["hosts"])), daemon=True).start()
    child = subprocess.Popen(spec["command"], cwd=spec["cwd"], env=spec["env"])
    return _status_of(child.pid)


class _Mounts:
    """Mounts below the folder that becomes the root."""

    def __init__(self, libc: ctypes.CDLL, root: Path) -> None:
        self._libc, self.root = libc, root

    def mount(self, source: str, target: Path, kind: str | None, flags: int, options: str = "") -> None:
        words = [None if w is None else os.fsencode(w) for w in (source, str(target), kind)]
        self._check(self._libc.mount(*words, ctypes.c_ulong(flags), options.encode() or None), str(target))

    def bind(self, source: str, name: str, *, writable: bool = False) -> None:
        target = self.place(name)
        if Path(source).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        self.mount(source, target, None, _BIND | _REC)
        if not writable:
            self.close(target)

    def close(self, target: Path) -> None:
        """Make a mount read-only, with all else as it was."""
        found = os.statvfs(target).f_flag
        kept = sum(flag for bit, flag in _KEPT.items() if found & bit)
        self.mount("none", target, None, _REMOUNT | _BIND | _RDONLY | kept)

    def place(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def enter(self) -> None:
        """Make the folder the root, and let go of the old one: pivot_root(2), under "pivot_root(".", ".")"."""
        os.chdir(self.root)
        self._check(self._libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."), "/")
        self._check(self._libc.umount2(b".", _DETACH), "/")
        os.chdir("/")

    def _check(self, result: int, what: str) -> None:
        if result != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), what)


def _build(mounts: _Mounts, spec: dict[str, Any]) -> None:
    mounts.mount("none", Path("/"), None, _REC | _PRIVATE)
    mounts.mount("tmpfs", mounts.root, "tmpfs", _NOSUID | _NODEV, "mode=755")
    _system(mounts)
    for source, name, writable in sorted(spec["binds"], key=lambda b: b[1].count("/")):
        mounts.bind(source, name, writable=writable)
    _environment(mounts, spec["environment"])
    _devices(mounts)
    mounts.mount("proc", mounts.place("proc"), "proc", 0)
    mounts.close(mounts.root)
    mounts.enter()


def _system(mounts: _Mounts) -> None:
    for name in ("proc", "dev", "etc"):
        mounts.place(name).mkdir()
    for path in (Path("/bin"), Path("/sbin"), *Path("/").glob("lib*")):
        if path.is_symlink():
            mounts.place(path.name).symlink_to(path.readlink())
        elif path.is_dir():
            mounts.bind(str(path), path.name)
    for name, text in _ETC.items():
        (mounts.root / "etc" / name).write_text(text)
    kept = ("ld.so.cache", "ssl", "ca-certificates", "fonts", "alternatives", "localtime", "magic", "mime.types")
    for name in ["/usr", "/sys/devices/system/cpu", *(f"/etc/{name}" for name in kept)]:
        if Path(name).exists():
            mounts.bind(str(Path(name).resolve()), name)


def _environment(mounts: _Mounts, environment: dict[str, Any]) -> None:
    """The packages: what is installed into them, or hidden from them, stays in the sandbox."""
    prefix, layer = environment["prefix"], Path(environment["layer"])
    target = mounts.place(prefix)
    target.mkdir(parents=True, exist_ok=True)
    for name in ("upper", "work"):
        (layer / name).mkdir(parents=True, exist_ok=True)
    # Where this cannot be mounted (an older system, or a disk that is such a layer itself) the jail does not work, as
    # the trial of `find_jail` finds out: a notebook must be able to install what it brings.
    mounts.mount(
        "overlay", target, "overlay", 0, f"userxattr,lowerdir={prefix},upperdir={layer}/upper,workdir={layer}/work"
    )
    for name in environment["hidden"]:
        path = mounts.place(name)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _devices(mounts: _Mounts) -> None:
    for name in (*_DEVICES, *(p.name for p in Path("/dev").glob("nvidia*"))):
        if Path("/dev", name).exists():
            mounts.bind(f"/dev/{name}", f"dev/{name}", writable=True)
    for name, kind, options in (("shm", "tmpfs", "mode=1777"), ("pts", "devpts", "newinstance,ptmxmode=0666")):
        mounts.place(f"dev/{name}").mkdir()
        mounts.mount(kind, mounts.place(f"dev/{name}"), kind, _NOSUID, options)
    links = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
    for name, leads in links.items():
        mounts.place(f"dev/{name}").symlink_to(leads)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        # struct ifreq: 16 bytes of name, the flags, and the rest of a union
        found = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16sH22x", b"lo", 0))
        flags = struct.unpack("16sH22x", found)[1] | _IFF_UP
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", flags))


def _drop_privileges(libc: ctypes.CDLL) -> None:
    """What is started from here cannot mount, nor gain any right again."""
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # those that this system does not have are refused
    libc.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    # capget(2): two times effective, permitted and inheritable; bubblewrap fills the last, which is inherited
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    sets[2] = sets[5] = 0
    libc.capset(header, sets)


def _answer_names(resolver: socket.socket, hosts: Path) -> None:
    """Find no name, as in a kernel without internet, and write down each that is asked for."""
    while True:
        query, client = resolver.recvfrom(4096)
        with hosts.open("a", encoding="utf-8") as file:
            file.write(f"{name_in(query)}\n")
        resolver.sendto(refusal(query), client)


def name_in(query: bytes) -> str:
    """The name that a DNS query asks for (RFC 1035, section 4.1.2); "" if it is none.

    >>> name_in(bytes(12) + b"\\x06kaggle\\x03com\\x00\\x00\\x01\\x00\\x01")
    'kaggle.com'
    """
    labels, rest = [], query[12:]
    while rest and 0 < rest[0] < 64:
        labels.append(rest[1 : 1 + rest[0]].decode("ascii", errors="replace"))
        rest = rest[1 + rest[0] :]
    return ".".join(labels)


def refusal(query: bytes) -> bytes:
    """The answer that the name cannot be found for now."""
    return query[:2] + struct.pack("!H", _SERVER_FAILED) + query[4:6] + bytes(6) + query[12:]


def _status_of(child: int) -> int:
    # The first process inherits every orphan, and must take leave of each.
    while True:
        with suppress(InterruptedError):
            pid, status = os.wait()
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
