"""How far a forest's trees disagree about a row, and whether that tells how far the forest is off."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kagglekit.errors import UsageError
from kagglekit.inspect.subject import Subject
from kagglekit.refit import Refit
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import ACCENT, SOFT, draw, grid
from kagglekit.report.words import number, plural
from kagglekit.targets import get_target

__all__ = ["Bin", "Spread", "measure_spread"]

_BINS, _ROWS, _SAID = 5, 50, 5


@dataclass(frozen=True)
class Bin:
    """Rows of like spread.

    Parameters
    ----------
    rows : int
    spread, error, low, high : float
        Mean spread and mean absolute error, with the error's 95 % interval.
    """

    rows: int
    spread: float
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """The spread of the trees, row by row.

    Parameters
    ----------
    rows : DataFrame
        Of the 50 rows with the largest spread: `row`, `truth`, `predicted`, `spread`, `error`.
    bins : tuple of Bin
        From the smallest spread to the largest.
    rank : float
        Rank correlation of spread and error; nought when the spread tells nothing.
    low, high : float
        Its 95 % interval.
    scale : str
        What spread and error are measured in.
    n_rows : int
    """

    rows: pd.DataFrame
    bins: tuple[Bin, ...]
    rank: float
    low: float
    high: float
    scale: str
    n_rows: int
    name: ClassVar[str] = "spread"

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        first, last = self.bins[0], self.bins[-1]
        tells = "rises with" if self.low > 0 else "does not rise with"
        lines = [
            f"Spread of the trees over {plural(self.n_rows, 'held-out row')}: the error {tells} it "
            f"(rank correlation {self.rank:.2f}, {self.low:.2f} to {self.high:.2f}).",
            f"  Mean error in {self.scale}: {number(first.error)} in the calmest fifth, {number(last.error)} where the "
            "trees disagree most.",
            "  The trees disagree most about:",
        ]
        top = self.rows.head(_SAID).to_dict("records")
        return [*lines, *(f"    {r['row']}: {r['predicted']} ± {number(r['spread'])}, truly {r['truth']}" for r in top)]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        facts = {k: v for k, v in self.__dict__.items() if k not in ("rows", "bins")}
        return facts | {"bins": [asdict(b) for b in self.bins], "rows": self.rows.to_dict("records")}

    def table(self) -> pd.DataFrame:
        """The rows with the largest spread."""
        return self.rows

    def chart(self) -> Chart:
        """Error against spread."""

        def paint(figure: Any) -> None:
            axes = figure.add_subplot()
            grid(axes, "y")
            x = [b.spread for b in self.bins]
            reach = [[b.error - b.low for b in self.bins], [b.high - b.error for b in self.bins]]
            axes.plot(x, [b.error for b in self.bins], color=SOFT, linewidth=1)
            axes.errorbar(x, [b.error for b in self.bins], yerr=reach, fmt="o", color=ACCENT, elinewidth=1.8)
            axes.set_xlabel("spread of the trees (standard deviation), fifths of the rows")
            axes.set_ylabel(f"mean error ({self.scale})")
            axes.set_ylim(bottom=0)

        return draw("spread", "Spread of the trees and error", self.words()[0], paint, height=300, width=560)


def measure_spread(subject: Subject) -> Spread:
    """The standard deviation of the trees' predictions of held-out rows, and the forest's error on them.

    Parameters
    ----------
    subject : Subject
        Of a forest.

    Returns
    -------
    Spread

    Raises
    ------
    UsageError
        The model is no forest.

    Notes
    -----
    A spread is no interval for the target: trees see like rows and can err together. It orders rows by doubt, as far as
    the picture shows that it does. Rows that are unlike all training rows can have a small spread and a large error.
    """
    if not all(hasattr(fit.estimator, "forest_") for fit in subject.fits):
        raise UsageError(f"'{subject.run.name}' is no forest, so there are no trees that could disagree.")
    frame = pd.concat([_of_fit(subject, fit) for fit in subject.fits])
    rho, low, high = _rank(frame["spread"].to_numpy(), frame["error"].to_numpy())
    worst = frame.sort_values("spread", ascending=False, kind="stable").head(_ROWS)
    transform = subject.experiment.target_transform
    value = "units of the target" if transform == "none" else f"{transform} of the target"
    return Spread(
        rows=worst.rename_axis("row").reset_index(),
        bins=_bins(frame),
        rank=rho,
        low=low,
        high=high,
        scale="probability" if subject.prepared.competition.is_classification else value,
        n_rows=len(frame),
    )


def _of_fit(subject: Subject, fit: Refit) -> pd.DataFrame:
    """Spread and error of a fold's held-out rows, on the scale that the trees were fitted on."""
    ids, model = fit.score_ids, fit.estimator
    values, truth = model.columns_.transform(fit.X.loc[ids]).to_numpy(np.float32), subject.prepared.y.loc[ids]
    if not subject.prepared.competition.is_classification:
        said = np.array([tree.predict(values) for tree in model.forest_.estimators_])
        target = get_target(subject.experiment.target_transform).forward(truth).to_numpy(dtype=float)
        error, spread = np.abs(said.mean(axis=0) - target), said.std(axis=0)
        predicted = [number(v) for v in fit.predict(fit.X.loc[ids]).iloc[:, 0]]
    else:
        # (n_trees, n_rows, n_classes); a class that the fit rows lacked has probability nought.
        said = np.array([tree.predict_proba(values) for tree in model.forest_.estimators_])
        mean, classes = said.mean(axis=0), np.array([str(c) for c in model.classes_])
        best = mean.argmax(axis=1)
        spread = said[:, np.arange(len(ids)), best].std(axis=0)
        own = classes[None, :] == truth.astype(str).to_numpy()[:, None]
        error = 1 - np.where(own, mean, 0.0).sum(axis=1)
        predicted = [f"{classes[b]} {mean[i, b]:.2f}" for i, b in enumerate(best)]
    columns = {"truth": truth.to_numpy(), "predicted": predicted, "spread": spread, "error": error}
    return pd.DataFrame(columns, index=ids)


def _rank(spread: np.ndarray, error: np.ndarray) -> tuple[float, float, float]:
    """Spearman's correlation and its interval by Fisher's transform."""
    a, b = (pd.Series(v).rank().to_numpy() for v in (spread, error))
    if a.std() == 0 or b.std() == 0 or len(a) < 5:
        return 0.0, -1.0, 1.0
    rho = float(np.corrcoef(a, b)[0, 1])
    centre, reach = np.arctanh(np.clip(rho, -0.999999, 0.999999)), 1.96 * 1.03 / np.sqrt(len(a) - 3)
    return rho, float(np.tanh(centre - reach)), float(np.tanh(centre + reach))


def _bins(frame: pd.DataFrame) -> tuple[Bin, ...]:
    order = np.argsort(frame["spread"].to_numpy(), kind="stable")
    found = []
    for rows in np.array_split(order, min(_BINS, len(order))):
        error, spread = frame["error"].to_numpy()[rows], frame["spread"].to_numpy()[rows]
        mean, reach = float(error.mean()), 1.96 * float(error.std()) / np.sqrt(len(rows))
        found.append(Bin(len(rows), float(spread.mean()), mean, mean - reach, mean + reach))
    return tuple(found)
