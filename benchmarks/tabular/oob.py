"""Is the out-of-bag score of the bagged estimator that of fresh rows? Twenty simulated sets, grouped ones included.

    python benchmarks/tabular/oob.py [--sets 20] [--bags 500] [--rows 2000]

On each set a tree is bagged with out-of-bag predictions, and the same bags then predict many fresh rows of the same
kind (of new groups, where rows come in groups). Printed are both scores and their difference in standard errors,
which hold the noise of both sets of rows (of groups, where there are groups). If out of bag were honest and the
errors normal, 95 % of the differences would lie within two standard errors. With few bags out of bag is too strict, as
a row is judged by a third of them: 150 bags put it 0.4 of a standard error off, 500 hardly at all.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from kagglekit.models.bagging import BaggedClassifier, BaggedRegressor

_COLUMNS, _PER_GROUP, _FRESH = 8, 6, 12_000


@dataclass(frozen=True)
class World:
    """Where rows come from: a function of the columns, noise, and an effect of the group."""

    seed: int
    labels: bool
    grouped: bool

    def draw(self, n: int, part: int) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
        """Rows, targets and groups; groups of different parts are different groups."""
        shape = np.random.default_rng([self.seed, 0])
        slope, knots = shape.normal(size=_COLUMNS), shape.normal(size=_COLUMNS)
        rng = np.random.default_rng([self.seed, part])
        group = np.repeat(np.arange(n), _PER_GROUP)[:n] if self.grouped else np.arange(n)
        n_groups = group.max() + 1
        # Rows of one group are alike, and so are their targets: what makes random rows flatter.
        centre, effect = rng.normal(size=(n_groups, _COLUMNS)), rng.normal(size=n_groups)
        spread = 0.3 if self.grouped else 0.0
        X = centre[group] + spread * rng.normal(size=(n, _COLUMNS))
        signal = (slope * np.maximum(X, knots)).sum(axis=1) + 2 * np.sin(2 * X[:, 0] * X[:, 1])
        y = signal + (2.0 * effect[group] if self.grouped else 0.0) + rng.normal(0, 1.0, n)
        index = pd.Index([f"p{part}-{i}" for i in range(n)])
        target = pd.Series((y > slope @ np.maximum(0, knots)).astype(int) if self.labels else y, index=index)
        return pd.DataFrame(X, index=index).rename(columns=str), target, pd.Series(group, index=index)


def measure(world: World, rows: int, bags: int) -> tuple[float, float, float]:
    """Out-of-bag score, fresh score, and the standard error of their difference: error rate or mean squared error."""
    X, y, groups = world.draw(rows, 1)
    bagged, tree = (
        (BaggedClassifier, DecisionTreeClassifier(min_samples_leaf=3))
        if world.labels
        else (BaggedRegressor, DecisionTreeRegressor(min_samples_leaf=3))
    )
    model = bagged(tree, n_estimators=bags, random_state=world.seed)
    model.fit(X, y, groups=groups if world.grouped else None)
    fresh_X, fresh_y, fresh_groups = world.draw(_FRESH, 2)
    oob = model.oob_prediction_.drop(index=model.never_oob_)
    said = model.classes_[oob.to_numpy().argmax(axis=1)] if world.labels else oob.to_numpy()[:, 0]
    seen = _losses(y.loc[oob.index], said, groups, world.labels)
    fresh = _losses(fresh_y, model.predict(fresh_X), fresh_groups, world.labels)
    return seen.mean(), fresh.mean(), float(np.sqrt(seen.var(ddof=1) / len(seen) + fresh.var(ddof=1) / len(fresh)))


def _losses(y: pd.Series, said: np.ndarray, groups: pd.Series, labels: bool) -> pd.Series:
    """The mean loss of each group; a row is a group of one where there are none."""
    loss = (y.to_numpy() != said) * 1.0 if labels else (y.to_numpy() - said) ** 2
    return pd.Series(loss, index=y.index).groupby(groups.loc[y.index]).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("sets", 20), ("bags", 500), ("rows", 2000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    off = []
    print(
        "| set | target | groups | out of bag | fresh | standard errors apart |\n| --- | --- | --- | --- | --- | --- |"
    )
    for number in range(args.sets):
        world = World(seed=number, labels=number % 2 == 0, grouped=number % 4 >= 2)
        oob, fresh, error = measure(world, args.rows, args.bags)
        off.append((oob - fresh) / error)
        what = "labels" if world.labels else "values"
        print(f"| {number} | {what} | {world.grouped} | {oob:.4f} | {fresh:.4f} | {off[-1]:+.2f} |", flush=True)
    within = int((np.abs(off) <= 2).sum())
    print(f"\nWithin two standard errors: {within} of {len(off)}; mean {np.mean(off):+.2f}, spread {np.std(off):.2f}")


if __name__ == "__main__":
    main()
