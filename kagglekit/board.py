"""The table of experiments: what was tried, why, what it scored, and whether it was better than what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from kagglekit.cleaning import corrections_words
from kagglekit.config import Pipeline
from kagglekit.contracts import Run, Submission
from kagglekit.dataset import Prepared
from kagglekit.metrics import get_metric
from kagglekit.scoring import decided
from kagglekit.stats import Verdict, paired_bootstrap, verdict

__all__ = ["Row", "Searched", "board", "change_words"]


@dataclass(frozen=True)
class Searched:
    """What the table says of the best trial of a search in place of the score that chose it.

    Parameters
    ----------
    trials : int
    score : float
        On folds that chose nothing.
    standard_error : float or None
    verdict : str
        Against the parent, on those folds.
    words : str
        In place of the trial's hypothesis.
    """

    trials: int
    score: float
    standard_error: float | None
    verdict: str
    words: str


@dataclass(frozen=True)
class Row:
    """One run in the table.

    Parameters
    ----------
    name, run, kind, hypothesis, change, against, verdict : str
    score, standard_error : float
        Mean over folds, of rows that helped no decision.
    fit_score : float or None
        For blends: the score of the rows that chose the weights; for the best of a search: the score that chose it.
        For comparison only.
    seconds, peak_mb : float
    weights : mapping of str to float
    public, private : float or None
        From the ledger, where this run was submitted.
    tied : bool
        Not the best, and not significantly worse than the best: the difference lies inside the noise.
    trials : int
        Trials that this row stands for; 0 where it is no search.
    tta : mapping
        See `Run.tta`.
    """

    name: str
    run: str
    kind: str
    score: float
    standard_error: float | None
    fit_score: float | None
    seconds: float
    peak_mb: float
    hypothesis: str
    change: str
    against: str
    verdict: str
    weights: Mapping[str, float]
    public: float | None = None
    private: float | None = None
    tied: bool = False
    trials: int = 0
    tta: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def board(
    prepared: Prepared,
    pipeline: Pipeline,
    runs: Mapping[str, Run],
    submissions: Sequence[Submission] = (),
    searches: Mapping[str, Searched] | None = None,
) -> list[Row]:
    """The table, best score first.

    Each run is compared with its parent, and with the best, row by row: the paired bootstrap of the competition's own
    metric on the rows that both predicted. A difference inside the noise is "no difference" to the parent, and a tie
    with the best.

    Parameters
    ----------
    prepared : Prepared
    pipeline : Pipeline
    runs : mapping of str to Run
        Finished runs by name; blends too.
    submissions : sequence of Submission
    searches : mapping of str to Searched, optional
        By name, for runs that are the best of a search.

    Notes
    -----
    The best was chosen by its score, so part of its lead is luck: a run that is tied with it may well be the better
    one, and one in twenty runs that are as good is yet called worse.
    """
    rows = [_row(prepared, pipeline, name, runs, submissions) for name in runs]
    rows = [_searched(row, (searches or {}).get(row.name)) for row in rows]
    best_first = -1 if get_metric(prepared.competition.metric).greater_is_better else 1
    rows = sorted(rows, key=lambda row: (best_first * row.score, row.name))
    return rows[:1] + [replace(row, tied=_tied(prepared, row, runs[rows[0].name], runs)) for row in rows[1:]]


def _tied(prepared: Prepared, row: Row, best: Run, runs: Mapping[str, Run]) -> bool:
    found = row.verdict if row.against == best.name else _compare(prepared, best, runs[row.name])
    return found != "worse"


def _searched(row: Row, search: Searched | None) -> Row:
    if search is None:
        return row
    return replace(
        row,
        score=search.score,
        standard_error=search.standard_error,
        fit_score=row.score,
        verdict=search.verdict,
        hypothesis=search.words,
        trials=search.trials,
    )


def _row(
    prepared: Prepared,
    pipeline: Pipeline,
    name: str,
    runs: Mapping[str, Run],
    submissions: Sequence[Submission],
) -> Row:
    run = runs[name]
    scored = [s for s in submissions if s.run == run.id and s.status == "complete"]
    parent = runs.get(run.parent or "")
    return Row(
        name=name,
        run=run.id,
        kind=run.kind,
        score=run.score,
        standard_error=run.standard_error if len(run.scores) > 1 else None,
        fit_score=run.fit_score,
        seconds=run.seconds,
        peak_mb=run.peak_mb,
        hypothesis=run.hypothesis,
        change=_change(pipeline, run),
        against=run.parent or "",
        verdict=_verdict(prepared, parent, run),
        weights=run.weights,
        tta=run.tta,
        public=scored[-1].public if scored else None,
        private=scored[-1].private if scored else None,
    )


def _verdict(prepared: Prepared, parent: Run | None, run: Run) -> str:
    if parent is None:
        return f"{run.parent} is not trained" if run.parent else ""
    return _compare(prepared, parent, run)


def _compare(prepared: Prepared, a: Run, b: Run) -> Verdict:
    """What may be said of b."""
    facts, folds = prepared.competition, prepared.folds
    before, after = (decided(run.oof.frame, prepared.y, folds, facts) for run in (a, b))
    shared = after.index.intersection(before.index)
    difference = paired_bootstrap(
        get_metric(facts.metric),
        prepared.y.loc[shared],
        before.loc[shared],
        after.loc[shared],
        facts.classes,
        groups=folds.groups,
    )
    return verdict(difference)


def _change(pipeline: Pipeline, run: Run) -> str:
    experiment = pipeline.experiments.get(run.name)
    if experiment is None or experiment.based_on is None:
        return ""
    return change_words(experiment.changes(pipeline.experiments[experiment.based_on]))


def change_words(changes: Mapping[str, tuple[Any, Any]]) -> str:
    """Changes of settings in one line.

    >>> change_words({"resize": ("squish", "crop")})
    'resize squish -> crop'
    """
    if "model" in changes:  # another model has other parameters; listing them all would hide the one change
        changes = {"model": changes["model"]}
    return ", ".join(_change_word(key, old, new) for key, (old, new) in changes.items())


def _change_word(key: str, old: Any, new: Any) -> str:
    if key == "cleaning":  # a table of corrections is told by its size
        return f"cleaning: {' -> '.join(corrections_words(table or ()) for table in (old, new)[old is None :])}"
    return " -> ".join([f"{key} {'default' if old is None else old}", f"{'default' if new is None else new}"])
