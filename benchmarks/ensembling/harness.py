"""Times cases against named peers in one process, on one thread, and prints the ratio of medians.

Run by an environment that has the peers; kagglekit's folder is put on its path by the scripts beside this file.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Peer:
    """One other way to do the same.

    Parameters
    ----------
    run : callable
        Takes the case's data and gives the score reached, lower is better; everything it does is timed.
    bar : float
        How many times faster we must be.
    """

    run: Callable[[Any], float]
    bar: float


@dataclass(frozen=True)
class Case:
    """One comparison.

    Parameters
    ----------
    name : str
    make : callable
        Makes the data, deterministically; not timed.
    ours : callable
        As `Peer.run`.
    peers : mapping of str to Peer
    tolerance : float
        How much worse our score may be than the best peer's.
    """

    name: str
    make: Callable[[], Any]
    ours: Callable[[Any], float]
    peers: Mapping[str, Peer]
    tolerance: float = 1e-6


@dataclass
class Timing:
    """What was measured of one contestant."""

    score: float
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


def measure(case: Case, repeats: int) -> dict[str, Timing]:
    """Our timing under "kagglekit", and each peer's; contestants take turns, so that a slow minute hits all."""
    data = case.make()
    contestants = {"kagglekit": case.ours, **{name: peer.run for name, peer in case.peers.items()}}
    timings = {name: Timing(run(data)) for name, run in contestants.items() if name == "kagglekit"}  # warm-up
    for _ in range(repeats):
        for name, run in contestants.items():
            start = time.perf_counter()
            score = run(data)
            seconds = time.perf_counter() - start
            timings.setdefault(name, Timing(score)).seconds.append(seconds)
    return timings


def report(case: Case, timings: Mapping[str, Timing]) -> list[str]:
    """A line for each peer: times, ratio, bar, both scores, and whether the bar is met."""
    ours = timings["kagglekit"]
    lines = []
    for name, peer in case.peers.items():
        theirs = timings[name]
        ratio = theirs.median / ours.median
        met = ratio >= peer.bar and ours.score <= theirs.score + case.tolerance
        lines.append(
            f"| {case.name} | {name} | {theirs.median:.4f} | {ours.median:.4f} | {ratio:.1f} | {peer.bar:g} | "
            f"{theirs.score:.8f} | {ours.score:.8f} | {'yes' if met else 'NO'} |"
        )
    return lines


HEADER = [
    "| case | peer | peer s | ours s | ratio | bar | peer score | our score | met |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
]


def run_cases(cases: Sequence[Case], repeats: int) -> list[str]:
    """Measure and print all cases as a table; the lines come back."""
    lines = list(HEADER)
    print("\n".join(HEADER), flush=True)
    for case in cases:
        new = report(case, measure(case, repeats))
        print("\n".join(new), flush=True)
        lines += new
    return lines
