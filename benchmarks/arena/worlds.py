"""What simple models reach on each practice world, and the best possible score: the table of docs/worlds.md.

    python benchmarks/arena/worlds.py            every world at the size that is drawn by default
    python benchmarks/arena/worlds.py coffee rps --seed 7

Scores are on all hidden rows, public and private. Paddy, shapes and scenes draw pictures first; all of it takes about
three minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from kagglekit.arena.field import BEST_POSSIBLE
from kagglekit.arena.grader import grade
from kagglekit.arena.hosted import Hosted
from kagglekit.arena.worlds import WORLDS, host

_CONSTANT = ("Majority class", "Mean of", "Training share", "Where water")
_FOREST = ("Random forest", "Colour-histogram", "Forest on")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("worlds", nargs="*", default=list(WORLDS))
    asked.add_argument("--seed", type=int)
    settings = asked.parse_args()
    print("| world | metric | constant | one rule | linear | forest | best possible | seconds to host |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in settings.worlds:
        with tempfile.TemporaryDirectory() as home:
            began = time.perf_counter()
            hosted = host(name, Path(home), seed=settings.seed)
            _print(hosted, name, time.perf_counter() - began)


def _print(hosted: Hosted, name: str, seconds: float) -> None:
    teams = [b.team for b in hosted.baselines]

    def score(*starts: str) -> str:
        team = next((t for t in (*teams, BEST_POSSIBLE) if t.startswith(starts)), None)
        if team is None or (team == BEST_POSSIBLE and hosted.best is None):
            return ""
        answer = hosted.answers_frame(team)
        found = grade(hosted.competition, hosted.sample_frame(), hosted.solution_frame(), answer)
        return f"{found.all_rows:.4f}"

    cells = [score(*_CONSTANT), score("One rule"), score("Linear"), score(*_FOREST)]
    cells.append(score(BEST_POSSIBLE) if hosted.best else "not known")
    print(f"| {name} | {hosted.metric} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
