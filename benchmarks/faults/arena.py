"""What the arena loses when it is killed under load, and what it tells to those who should not know.

    python benchmarks/faults/arena.py load      # killed 50 times while 8 clients send 250 submissions each; minutes
    python benchmarks/faults/arena.py secrets   # path traversal and bad tokens on every route; a minute

Each prints its figures beside the bars; exit status 1 when a bar is missed. Everything stays on this computer.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from arena_load import Load
from arena_secrets import Probe

Bar = tuple[str, object, object]


def load(folder: Path) -> list[Bar]:
    """Figures and bars of the arena that is killed."""
    found = Load(folder, n_clients=8, n_each=250, n_kills=50, daily_limit=1500, say=print).run()
    print(f"{found.seconds:.0f} s, {found.n_retries:,} requests sent again")
    return [
        ("kills while clients were at work", found.n_kills, 50),
        ("acknowledged submissions lost", found.n_lost, 0),
        ("submissions made twice", found.n_twice, 0),
        ("errors", len(found.errors), 0),
        ("submissions that count (the daily limit)", found.n_counted, 1500),
        ("refused because of the limit", found.n_refused, 500),
        ("graded, each with its right score", found.n_right, 1500),
    ]


def secrets(folder: Path) -> list[Bar]:
    """Figures and bars of the arena that is asked for what nobody may know."""
    found = Probe(folder).run()
    for line in found.leaks[:20]:
        print("LEAK", line)
    print(f"{found.n_probes:,} requests of {found.n_routes} kinds, {found.n_redirects:,} redirects followed")
    return [("leaks", len(found.leaks), 0), ("failures of the server", len(found.failures), 0)]


def main() -> None:
    """Run one of the two, print figures beside bars."""
    kinds: dict[str, Callable[[Path], list[Bar]]] = {"load": load, "secrets": secrets}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=kinds)
    with tempfile.TemporaryDirectory() as folder:
        bars = kinds[parser.parse_args().kind](Path(folder))
    for name, figure, bar in bars:
        print(f"{'ok    ' if figure == bar else 'MISSED'}  {name:<45} {figure!s:>8}   bar {bar}")
    sys.exit(any(figure != bar for _, figure, bar in bars))


if __name__ == "__main__":
    main()
