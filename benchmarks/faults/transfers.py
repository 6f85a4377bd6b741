"""Downloads that are cut, spoiled, refused, killed, or wanted by eight processes at once."""

from __future__ import annotations

import contextlib
import json
import random
import time
import zipfile
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import children
from world import SLUG, Row, World, hashes, processes, served

from kagglekit.arena.faults import Fault, Faults
from kagglekit.dataset import RawData
from kagglekit.download import download, download_file
from kagglekit.errors import KagglekitError

__all__ = ["cut", "flipped", "killed", "memory", "odd", "together"]

_PATIENCE = children.PATIENT
_DATA = "/download/"
_CHUNK = 1 << 16  # what the arena sends at once


def cut(n: int) -> Row:
    """Cut each download up to five times, at random bytes."""
    chance, intact, cuts = random.Random(0), 0, 0
    with served(400_000, Faults(seed=0)) as world, world.gateway(_PATIENCE) as gateway:
        want = world.files()
        for i in range(n):
            world.faults.play([Fault("cut", _DATA, times=chance.randint(1, 5))])
            intact += hashes(download(gateway, SLUG, world.folder / str(i)).files) == want
        cuts = len(world.faults.struck)
    return Row(f"download cut at a random byte ({cuts} cuts)", f"{n} of {n} intact", f"{intact} intact", intact == n)


def flipped(n: int) -> Row:
    """Flip a byte once or always, with an MD5 and with a zip's CRC only."""
    accepted, recovered = 0, 0
    with served(60_000, Faults(seed=1)) as world, world.gateway(_PATIENCE) as gateway:
        want = world.files()
        for i in range(n):
            times, unhashed = (1, 99)[i % 2], i // 2 % 2
            world.faults.play([Fault("flip", _DATA, times=times), *[Fault("hash", _DATA, times=99)] * unhashed])
            raw = RawData(world.folder / str(i))
            with contextlib.suppress(KagglekitError):
                recovered += hashes(download(gateway, SLUG, raw.folder).files) == want
            accepted += raw.is_complete and hashes(raw.files) != want
        marked = _unverified(world)
    figure = f"{accepted} accepted, {recovered} fetched anew; raw file: {marked}"
    is_met = not accepted and marked == "unverified" and recovered >= n // 2
    return Row(f"flipped byte ({n} downloads)", "0 accepted; raw marked unverified", figure, is_met)


def _unverified(world: World) -> str:
    """What the manifest says of a file that comes with neither an MD5 nor a CRC."""
    world.faults.play([Fault("hash", _DATA)])
    with world.gateway(_PATIENCE) as gateway:
        download_file(gateway, SLUG, "noise.npz", world.folder / "raw")
    return str(json.loads((world.folder / "raw" / "single.json").read_text())["noise.npz"]["check"])


def _odd_cases() -> list[Sequence[Fault]]:
    """Answers that no site should give, once or for ever, at the start or after a cut."""
    begun = Fault("cut", _DATA, at=30_000)
    pages = [Fault("page", _DATA, value=kind) for kind in ("", "application/json", "application/zip")]
    always = [Fault("page", _DATA, times=99, value=p.value) for p in pages]
    later = [Fault(kind, _DATA, after=1) for kind in ("whole", "range", "etag", "length", "page", "hash")]
    twice = [Fault(kind, _DATA, after=1, times=2) for kind in ("whole", "range", "etag")]
    return [
        *[[page] for page in pages],
        *[[page] for page in always],
        *[[begun, fault] for fault in later],
        *[[begun, fault] for fault in twice],
        [Fault("length", _DATA)],
        [Fault("length", _DATA), Fault("cut", _DATA, at=50_000)],
        [Fault("length", _DATA), Fault("hash", _DATA), Fault("cut", _DATA, at=50_000)],
        [Fault("etag", _DATA, times=99), Fault("cut", _DATA)],
        [Fault("whole", _DATA, times=99), Fault("cut", _DATA, times=3)],
    ]


def odd() -> Row:
    """Give answers that are not the file, or not the part that was asked for."""
    cases, wrong, whole = _odd_cases(), 0, 0
    with served(60_000, Faults(seed=2)) as world, world.gateway(_PATIENCE) as gateway:
        want = world.files()
        for i, script in enumerate(cases):
            world.faults.play(script)
            raw = RawData(world.folder / str(i))
            with contextlib.suppress(KagglekitError):
                whole += hashes(download(gateway, SLUG, raw.folder).files) == want
            wrong += raw.files.exists() and hashes(raw.files) != want
            wrong += (raw.folder / f"{SLUG}.zip").exists()
    figure = f"{wrong} corrupt, {whole} right, {len(cases) - whole - wrong} refused"
    return Row(
        f"odd answers ({len(cases)} cases)", "0 corrupt at the final path", figure, not wrong and len(cases) == 20
    )


def killed(n: int) -> Row:
    """Kill a process at a random byte of its download, or a little later; the next one goes on in the same folder."""
    chance, context, size = random.Random(3), processes(), 2_000_000
    wrong = resumed = partial = kills = place = 0
    with served(size) as world:
        want = world.files()
        while kills < n:
            raw, begun = RawData(world.folder / f"killed-{place}"), len(world.faults.requests)
            arrived, is_extracting = _arrived(raw.folder), _archive(raw).exists()
            goal = chance.randrange(arrived, max(arrived, size) + size // 5)
            world.faults.play([Fault("stall", _DATA, at=goal - arrived, seconds=0.1)])
            child = context.Process(target=children.fetch, args=(world.arena.url, world.arena.token, SLUG, raw.folder))
            child.start()
            if arrived < size and not is_extracting:
                _wait(child, raw, max(arrived, min(goal - _CHUNK, size)), chance.uniform(0, 0.1))
            else:  # all is here, and has to be checked, extracted and sealed
                child.join(chance.uniform(0.1, 3.0))
            child.kill()
            child.join()
            kills += child.exitcode == -9
            wrong += _is_wrong(raw, want) or child.exitcode not in (0, -9)
            asked = [r for path, r in world.faults.requests[begun:] if path.startswith(_DATA)]
            if asked and arrived and not is_extracting:
                partial += 1
                resumed += asked[0] == f"bytes={arrived}-"
            place += raw.is_complete
        last = RawData(world.folder / f"killed-{place}")
        children.fetch(world.arena.url, world.arena.token, SLUG, last.folder)
        wrong += hashes(last.files) != want
    figure = f"{wrong} wrong, {resumed} of {partial} begun ones resumed, {place + 1} whole in the end"
    is_met = not wrong and 0 < resumed == partial
    return Row(f"kill -9 during download ({kills} kills)", "0 wrong or partial, all resumed", figure, is_met)


def _wait(child: BaseProcess, raw: RawData, arrived: int, seconds: float) -> None:
    """Wait until so many bytes are there, or it is over; and a little longer."""
    while child.is_alive() and not _archive(raw).exists() and _arrived(raw.folder) <= arrived:
        time.sleep(0.001)
    time.sleep(seconds)


def _archive(raw: RawData) -> Path:
    return raw.folder / f"{SLUG}.zip"


def _is_wrong(raw: RawData, want: dict[str, str]) -> bool:
    if _archive(raw).exists() and zipfile.ZipFile(_archive(raw)).testzip() is not None:
        return True
    return raw.files.exists() and hashes(raw.files) != want


def _arrived(folder: Path) -> int:
    part = folder / f".{SLUG}.zip.part"
    try:
        return (part / "data").stat().st_size if (part / "note.json").exists() else 0
    except FileNotFoundError:
        return 0


def together(n: int) -> Row:
    """Let several processes want the same competition at once."""
    context = processes()
    with served(4_000_000) as world:
        raw = RawData(world.folder / "data")
        words = (world.arena.url, world.arena.token, SLUG, raw.folder)
        wanting = [context.Process(target=children.fetch, args=words) for _ in range(n)]
        for child in wanting:
            child.start()
        for child in wanting:
            child.join()
        transfers = sum(path.startswith(_DATA) for path, _ in world.faults.requests)
        good = sum(child.exitcode == 0 for child in wanting) if hashes(raw.files) == world.files() else 0
    figure = f"{transfers} transfer(s), {good} of {n} have it"
    return Row(f"{n} processes want the same", "1 transfer", figure, transfers == 1 and good == n)


def memory(size: int) -> Row:
    """Measure by how much a process grows that downloads and extracts a large file."""
    context = processes()
    with served(size) as world:
        ours, theirs = context.Pipe()
        words = (world.arena.url, world.arena.token, SLUG, world.folder / "data", theirs)
        child = context.Process(target=children.measure, args=words)
        start = time.perf_counter()
        child.start()
        grown = float(ours.recv())
        child.join()
        seconds = time.perf_counter() - start
    figure = f"{grown:.0f} MB more, {seconds:.1f} s"
    return Row(f"memory for {size >> 20} MB", "constant: under 32 MB", figure, grown < 32)
