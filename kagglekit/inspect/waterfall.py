"""One prediction taken apart: what each column added to it, from the mean of the fit rows to what the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from kagglekit.errors import UsageError
from kagglekit.inspect.own_weights import by_column, members
from kagglekit.inspect.subject import Subject
from kagglekit.refit import Refit
from kagglekit.report.blocks import Chart
from kagglekit.report.drawing import BETTER, SOFT, WORSE, draw, grid, named_rows
from kagglekit.report.words import number, plural, signed, trimmed

__all__ = ["Part", "Waterfall", "take_apart"]

_SHOWN = 12
_SCALES = {"probability": "probability", "log-odds": "log-odds", "value": "value"}


@dataclass(frozen=True)
class Part:
    """What one column added; `value` is the row's own, as text."""

    column: str
    value: str
    added: float


@dataclass(frozen=True)
class Waterfall:
    """One row's prediction.

    Parameters
    ----------
    row : str
        Its id.
    which : str
        Which models these are.
    output : str
        The class, or the target.
    scale : str
        What is added up: probabilities (forests), log-odds (boosting, labels), values.
    base : float
        The mean over the fit rows: what would be said of a row of which nothing is known.
    parts : tuple of Part
        The largest first; with `base` they add up to `said`.
    said : float
        What the models say, on that scale.
    truth : str
        The target, of training rows.
    """

    row: str
    which: str
    output: str
    scale: str
    base: float
    parts: tuple[Part, ...]
    said: float
    truth: str = ""
    name: ClassVar[str] = "waterfall"

    def words(self) -> list[str]:
        """What was found, in plain lines."""
        truth = f"; truly {self.truth}" if self.truth else ""
        lines = [f"Row {self.row} by {self.which}: {self.output}, {self.scale}{truth}."]
        wide = max([len("what it says"), *(len(f"{p.column} = {p.value}") for p in self.parts[:_SHOWN])])
        lines.append(f"  {'mean of the fit rows':<{wide}}  {number(self.base):>9}")
        for part in self.parts[:_SHOWN]:
            lines.append(f"  {part.column + ' = ' + part.value:<{wide}}  {signed(part.added):>9}")
        if rest := self.parts[_SHOWN:]:
            lines.append(f"  {plural(len(rest), 'other'):<{wide}}  {signed(sum(p.added for p in rest)):>9}")
        return [*lines, f"  {'what it says':<{wide}}  {number(self.said):>9}"]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def table(self) -> pd.DataFrame:
        """A row for each column, between the mean and the whole."""
        ends = [("(mean of the fit rows)", "", self.base)], [("(what it says)", "", self.said)]
        rows = [*ends[0], *((p.column, p.value, p.added) for p in self.parts), *ends[1]]
        return pd.DataFrame(rows, columns=["column", "value", "added"])

    def chart(self) -> Chart:
        """Steps from the mean to the prediction."""
        steps = [(f"{p.column} = {p.value}", p.added) for p in self.parts[:_SHOWN]]
        if rest := self.parts[_SHOWN:]:
            steps.append((plural(len(rest), "other"), sum(p.added for p in rest)))
        ends = np.concatenate([[self.base], self.base + np.cumsum([added for _, added in steps])])

        def paint(figure: Any) -> None:
            axes = figure.add_subplot()
            places = named_rows(axes, ["mean of the fit rows", *(trimmed(t, 34) for t, _ in steps), "what it says"])
            grid(axes, "x")
            for place, (_, added), start in zip(places[1:], steps, ends[:-1], strict=False):
                axes.barh(place, added, left=start, height=0.6, color=BETTER if added > 0 else WORSE)
                end = start + added
                axes.plot([end, end], [place - 0.3, place + 1.3], color=SOFT, linewidth=0.8)
                side = "left" if added > 0 else "right"
                axes.annotate(
                    signed(added),
                    (end, place),
                    (4 if added > 0 else -4, 0),
                    textcoords="offset points",
                    ha=side,
                    va="center",
                    fontsize=10,
                    color=SOFT,
                )
            axes.plot([self.base, self.base], [-0.3, 1.3], color=SOFT, linewidth=0.8)
            axes.plot([self.base, self.said], [places[0], places[-1]], "o", color=SOFT, markersize=6)
            axes.use_sticky_edges = False
            axes.margins(x=0.16)
            axes.set_xlabel(f"{self.output} ({self.scale})")

        words = f"From {number(self.base)} to {number(self.said)}; most by {self.parts[0].column}."
        return draw("waterfall", f"Row {self.row}", words, paint, height=110 + 26 * (len(steps) + 2), width=760)


def take_apart(subject: Subject, row: str) -> Waterfall:
    """Take one row's prediction apart.

    Parameters
    ----------
    subject : Subject
        Of a forest or LightGBM, or bags of these.
    row : str
        A training row's id, which is taken apart by models that did not see it, or a test row's.

    Returns
    -------
    Waterfall
        Whose parts add up exactly.

    Raises
    ------
    UsageError
        There is no such row, or the model's predictions cannot be taken apart.

    Notes
    -----
    Forests: the change of the mean along the path, given to the column that was split by (Saabas 2014,
    "Interpreting random forests"); it gives splits near the root too little. LightGBM: Shapley values by `pred_contrib`
    (Lundberg and others 2020). Neither is an effect in the world.
    """
    fits, X, truth = _judges(subject, row)
    parts = [_of_fit(fit, X, subject.prepared.competition.target) for fit in fits]
    if any(p is None for p in parts):
        raise UsageError(
            f"Predictions of the model '{subject.experiment.model}' cannot be taken apart.",
            hint="Name a run whose model is forest, extra-trees or lightgbm.",
        )
    known = [p for p in parts if p is not None]
    outputs = [str(c) for c in subject.prepared.competition.classes] or [subject.prepared.competition.target]
    shown = _shown_output(fits, X, outputs)
    base = float(np.mean([p.base.get(shown, 0.0) for p in known]))
    added = pd.concat([p.added[shown] for p in known if shown in p.added], axis=1).fillna(0.0).mean(axis=1)
    order = added.index[np.argsort(-added.abs().to_numpy(), kind="stable")]
    return Waterfall(
        row=row,
        which=_which(subject, fits, is_test=not truth),
        output=_output(subject, shown, known[0].scale),
        scale=_scale(subject, known[0].scale),
        base=base,
        parts=tuple(Part(str(c), _text(X, str(c)), float(added[c])) for c in order if added[c] != 0)
        or (Part(str(order[0]), _text(X, str(order[0])), 0.0),),
        said=base + float(added.sum()),
        truth=truth,
    )


@dataclass(frozen=True, eq=False)
class _Apart:
    """What one fit says of a row: a base for each output, and a table of columns by outputs."""

    base: Mapping[str, float]
    added: pd.DataFrame
    scale: str


def _judges(subject: Subject, row: str) -> tuple[list[Refit], pd.DataFrame, str]:
    """The fits that a row is taken apart by, the row itself, and its target."""
    prepared = subject.prepared
    for id_ in (i for i in prepared.train.index if str(i) == row):
        splits = [s for s in prepared.folds.splits() if s.repeat == 0 and id_ in s.score_ids]
        numbers = {s.fold for s in splits}
        fits = [f for s, f in zip(subject.splits, subject.fits, strict=True) if s.fold in numbers]
        if not fits:
            raise UsageError(f"Row {row} is only ever fitted on: no model is there that did not see it.")
        return fits, fits[0].X.loc[[id_]], str(prepared.y.loc[id_])
    for id_ in (i for i in prepared.test.index if str(i) == row):
        return list(subject.fits), subject.fits[0].test.loc[[id_]], ""
    known = [str(i) for i in (*prepared.train.index[:2], *prepared.test.index[:2])]
    raise UsageError(f"No row has the id '{row}'.", hint=f"Ids look like these: {', '.join(known)}.")


def _which(subject: Subject, fits: Sequence[Refit], *, is_test: bool) -> str:
    if is_test:
        return f"the mean of {plural(len(fits), 'model')}"
    return f"the model of {fits[0].name}, which did not see it"


def _shown_output(fits: Sequence[Refit], X: pd.DataFrame, outputs: Sequence[str]) -> str:
    """The target; of two classes the second, of many the one that is believed in."""
    if len(outputs) <= 2:
        return outputs[-1]
    said = sum(fit.predict(X).to_numpy(dtype=float)[0] for fit in fits)
    return outputs[int(np.argmax(said))]


def _output(subject: Subject, shown: str, scale: str) -> str:
    facts = subject.prepared.competition
    if not facts.is_classification:
        return facts.target
    return f"P({facts.target} = {shown})" if scale == "probability" else f"{facts.target} = {shown}"


def _scale(subject: Subject, scale: str) -> str:
    transform = subject.experiment.target_transform
    return f"{transform} of the target" if scale == "value" and transform != "none" else _SCALES[scale]


def _text(X: pd.DataFrame, column: str) -> str:
    if column not in X.columns:
        return "made"
    value = X[column].iloc[0]
    if pd.isna(value):
        return "missing"
    return f"{value:.6g}" if isinstance(value, float | np.floating) else trimmed(value, 24)


def _of_fit(fit: Refit, X: pd.DataFrame, target: str) -> _Apart | None:
    parts = [_of_model(model, X, target) for model in members(fit.estimator)]
    known = [p for p in parts if p is not None]
    if len(known) < len(parts):
        return None
    outputs = list(dict.fromkeys(o for p in known for o in p.base))
    base = {o: float(np.mean([p.base.get(o, 0.0) for p in known])) for o in outputs}
    columns = pd.Index(list(dict.fromkeys(c for p in known for c in p.added.index)))
    tables = [p.added.reindex(index=columns, columns=outputs, fill_value=0.0) for p in known]
    mean = np.mean([table.to_numpy() for table in tables], axis=0)
    return _Apart(base, pd.DataFrame(mean, index=columns, columns=outputs), known[0].scale)


def _of_model(model: Any, X: pd.DataFrame, target: str) -> _Apart | None:
    if not hasattr(model, "columns_"):
        return None
    prepared = model.columns_.transform(X)
    classes = [str(c) for c in getattr(model, "classes_", [])]
    if hasattr(model, "forest_"):
        base, added = _along_paths(model.forest_, prepared.to_numpy(np.float32))
        scale = "probability" if classes else "value"
    elif hasattr(model, "booster_"):
        base, added = _contributions(model, prepared.to_numpy())
        scale = "log-odds" if classes else "value"
    else:
        return None
    outputs = classes or [target]
    if len(base) == 1 and len(outputs) == 2:  # log-odds of the second class
        outputs = outputs[1:]
    table = pd.DataFrame({o: by_column(model, added[:, k]) for k, o in enumerate(outputs)})
    return _Apart(dict(zip(outputs, base.tolist(), strict=True)), table, scale)


def _along_paths(forest: Any, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Base of shape (n_outputs,), and what each prepared column added, of shape (n_columns, n_outputs)."""
    bases: list[np.ndarray] = []
    added: np.ndarray = np.zeros(1)
    for tree in forest.estimators_:
        grown = tree.tree_
        values = grown.value[:, 0, :]
        if hasattr(forest, "classes_"):
            values = values / values.sum(axis=1, keepdims=True)
        path = tree.decision_path(row).indices
        steps = np.zeros((row.shape[1], values.shape[1]))
        np.add.at(steps, grown.feature[path[:-1]], np.diff(values[path], axis=0))
        bases.append(values[0])
        added = added + steps
    return np.mean(bases, axis=0), added / len(bases)


def _contributions(model: Any, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = model.booster_.predict(row, pred_contrib=True, num_iteration=model.n_estimators_)
    by_output = np.asarray(found)[0].reshape(-1, row.shape[1] + 1)
    return by_output[:, -1], by_output[:, :-1].T
