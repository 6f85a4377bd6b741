"""What more trees are worth: the out-of-bag error of a forest by the number of its trees."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kagglekit.errors import UsageError
from kagglekit.inspect.subject import Subject
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, SOFT, draw, grid
from kagglekit.report.words import number
from kagglekit.targets import get_target

__all__ = ["TreesCurve", "measure_trees"]

_POINTS, _ENOUGH = 24, 0.9


@dataclass(frozen=True)
class TreesCurve:
    """Out-of-bag scores.

    Parameters
    ----------
    metric : str
    n_trees : tuple of int
    scores : tuple of float
        Over the rows that some of the first trees left out: the same rows at every point.
    n_rows : int
    enough : int
        The first number of trees from which on every score lies within a tenth of the whole way to the last one.
    settled : bool
        Whether that is before the last third of the curve.
    """

    metric: str
    n_trees: tuple[int, ...]
    scores: tuple[float, ...]
    n_rows: int
    enough: int
    settled: bool
    name: ClassVar[str] = "trees"

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        said = (
            f"from {self.enough} trees on it hardly moves: more trees are not worth their time"
            if self.settled
            else f"it still moves at {self.n_trees[-1]}: try more trees (n_estimators = {2 * self.n_trees[-1]})"
        )
        return [
            f"Trees: out-of-bag {self.metric} {number(self.scores[0])} with {self.n_trees[0]} trees, "
            f"{number(self.scores[-1])} with {self.n_trees[-1]}; {said}."
        ]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def table(self) -> pd.DataFrame:
        """A row for each point."""
        return pd.DataFrame({"n_trees": self.n_trees, self.metric: self.scores})

    def chart(self) -> Chart:
        """The curve."""

        def paint(figure: Any) -> None:
            axes = figure.add_subplot()
            grid(axes, "y")
            axes.plot(self.n_trees, self.scores, color=ACCENT, linewidth=2, marker="o", markersize=4)
            if self.settled:
                axes.axvline(self.enough, color=SOFT, linewidth=1, linestyle=(0, (4, 3)))
            axes.set_xlabel("trees")
            axes.set_ylabel(f"out-of-bag {self.metric}")

        return draw("trees", "What more trees are worth", self.words()[0], paint, height=280, width=560)


def measure_trees(subject: Subject) -> TreesCurve:
    """Add up a forest's out-of-bag predictions tree by tree and score them on the way.

    Parameters
    ----------
    subject : Subject
        Of a forest.

    Returns
    -------
    TreesCurve

    Raises
    ------
    UsageError
        The model is no forest, or has too few trees for a curve.

    Notes
    -----
    With grouped or dated rows the level of the curve is too good; its shape tells all the same when to stop.
    """
    if not subject.is_forest:
        raise UsageError(f"'{subject.run.name}' is no forest, so there are no trees to count.")
    fit = subject.forest
    model = fit.estimator
    trees = model.forest_.estimators_
    values = model.columns_.transform(fit.X.loc[fit.fit_ids]).to_numpy(np.float32)
    votes: np.ndarray = np.zeros(len(values))
    total: np.ndarray = np.zeros((len(values), 1))
    rows: np.ndarray | None = None
    wanted = set(np.unique(np.geomspace(1, len(trees), 2 * _POINTS).astype(int)).tolist())
    found: dict[int, float] = {}
    for n, (tree, drawn) in enumerate(zip(trees, model.forest_.estimators_samples_, strict=True), start=1):
        out = np.ones(len(values), dtype=bool)
        out[drawn] = False
        grown = tree.predict_proba if hasattr(tree, "predict_proba") else tree.predict
        total = total + np.where(out[:, None], grown(values).reshape(len(values), -1), 0.0)
        votes += out
        if rows is None and (votes > 0).mean() >= _ENOUGH:
            rows = votes > 0
        if rows is not None and n in wanted:
            found[n] = _score(subject, model, fit.fit_ids[rows], (total / np.maximum(votes, 1)[:, None])[rows])
    if rows is None or len(found) < 3:
        raise UsageError(f"{len(trees)} trees are too few for a curve.", hint="Use n_estimators = 100.")
    counts, scores = tuple(found), tuple(found.values())
    enough = _enough(counts, scores)
    return TreesCurve(subject.metric.name, counts, scores, int(rows.sum()), enough, settled=enough <= 0.67 * counts[-1])


def _score(subject: Subject, model: Any, ids: pd.Index, mean: np.ndarray) -> float:
    facts = subject.prepared.competition
    if facts.is_classification:
        frame = pd.DataFrame(mean, index=ids, columns=[str(c) for c in model.classes_])
        return subject.score(frame.reindex(columns=list(facts.columns), fill_value=0.0))
    frame = pd.DataFrame(mean, index=ids, columns=[facts.target])
    return subject.score(get_target(subject.experiment.target_transform).backward(frame))


def _enough(counts: tuple[int, ...], scores: tuple[float, ...]) -> int:
    """The first count from which on every score lies within a tenth of the curve's whole way to the last one."""
    off = np.abs(np.array(scores) - scores[-1])
    near = off <= max(0.1 * float(off.max()), 1e-12)
    first = len(near) - int(np.argmin(near[::-1])) if not near.all() else 0
    return counts[min(first, len(counts) - 1)]
