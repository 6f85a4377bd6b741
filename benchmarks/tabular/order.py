"""In which order should the portfolio run? Blends of its first k members on worlds drawn by code.

    python benchmarks/tabular/order.py --home FOLDER [--set coffee --set auction ...]

Every member is trained on every world once, as `kagglekit train WORLD MEMBER` does; runs stay in `--home`, so that the
same command goes on after a break. Then two curves: the honest score of a greedy blend of the first k members in the
order of `portfolios/tabular.toml`, and of the order that would have been best, chosen member by member over all worlds
at once. Losses are shares of the way from the median member (1) to the blend of all (0), so that worlds count alike.
The order that is chosen here is tuned on these worlds: what it wins on them is more than what it will win on others. No
world is one of the sets that quality.py is judged on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from quality import kagglekit, write_pipeline

from kagglekit.blend.greedy import GreedyEnsemble
from kagglekit.blend.matrix import stack
from kagglekit.config import Experiment
from kagglekit.contracts import Run
from kagglekit.flow import Flow
from kagglekit.metrics import get_metric
from kagglekit.portfolio import members
from kagglekit.progress import Silent
from kagglekit.workspace import Workspace

WORLDS = ("coffee", "weekday", "rps", "films", "ratings", "auction")
_SMOOTH = {"accuracy": "log_loss"}  # a metric of labels moves by whole rows, and says little about one member


@dataclass
class World:
    """The members' runs on one world, and what greedy blends of them are worth."""

    name: str
    flow: Flow
    runs: dict[str, Run]

    def left(self, chosen: list[str]) -> float:
        """How much of the way from the median member to the blend of all is left."""
        own = [name for name in chosen if name in self.runs]
        return (self.loss(own) - self.best) / (self.median - self.best) if own else 1.0

    @cached_property
    def median(self) -> float:
        return float(np.median([self.loss([name]) for name in self.runs]))

    @cached_property
    def best(self) -> float:
        return self.loss(list(self.runs))

    def loss(self, chosen: list[str]) -> float:
        """Of a greedy blend, on rows that did not choose it."""
        facts, train = self.flow.prepared.competition, self.flow.prepared.train
        some = {name: self.runs[name].oof for name in chosen}
        first = some[chosen[0]]
        metric = get_metric(_SMOOTH.get(facts.metric, facts.metric))
        blend = GreedyEnsemble(metric.name, classes=facts.classes, cv=5)
        blend.fit(stack(some, first.ids, first.columns), facts.answers(train).loc[first.ids])
        return -blend.nested_score_ if metric.greater_is_better else blend.nested_score_


def open_world(home: Path, name: str) -> tuple[Flow, dict[str, Experiment]]:
    """A workspace of the world, drawn and downloaded, and the portfolio's members of the first seed."""
    workspace = home / name
    if not (workspace / "pipelines" / name).is_dir():
        workspace.mkdir(parents=True, exist_ok=True)
        write_pipeline(workspace, name)
    flow = Flow(name, Workspace(workspace, "arena"), Silent())
    offered = members("tabular", flow._everything.experiments)
    return flow, {member.name: member for member in offered if "-seed" not in member.name}


def train(home: Path, name: str) -> World:
    """Train what is not trained yet."""
    flow, offered = open_world(home, name)
    for member in offered:
        if member not in flow.runs():
            kagglekit(home / name, "train", name, member, "--on", "arena")
            print(f"{name} {member} {flow.runs()[member].score:.5f}", flush=True)
    runs = flow.runs()
    return World(name, flow, {m: runs[m] for m in offered})


def curve(worlds: list[World], order: list[str]) -> pd.Series:
    """The mean share of the way that is left after each member."""
    return pd.Series({name: left(worlds, order[: k + 1]) for k, name in enumerate(order)})


def left(worlds: list[World], chosen: list[str]) -> float:
    return float(np.mean([world.left(chosen) for world in worlds]))


def choose(worlds: list[World], names: list[str]) -> list[str]:
    """Member by member, the one after which least is left."""
    order: list[str] = []
    while len(order) < len(names):
        rest = [name for name in names if name not in order]
        order.append(min(rest, key=lambda name: left(worlds, [*order, name])))
    return order


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--set", action="append", choices=WORLDS)
    args = parser.parse_args()
    worlds = [train(args.home.absolute(), name) for name in args.set or WORLDS]
    names = list(dict.fromkeys(name for world in worlds for name in world.runs))
    seconds = {name: sum(w.runs[name].seconds for w in worlds if name in w.runs) for name in names}
    for title, order in (("as it is", names), ("chosen on these worlds", choose(worlds, names))):
        print(f"\nOrder {title}\n| member | left, % | seconds so far |\n| --- | --- | --- |")
        spent = 0.0
        for name, value in curve(worlds, order).items():
            spent += seconds[name]
            print(f"| {name} | {100 * value:.2f} | {spent:.0f} |")


if __name__ == "__main__":
    main()
