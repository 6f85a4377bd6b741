"""Submission forms: predictions to a submission table, a check of such a table, and its way into a metric.

The sample submission is the law: its ids, their order, its columns. What a row holds is the competition's
`form`. A CSV has no types, so a label counts as known when it prints like a known class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from kagglekit.contracts import Competition, Form, Label, Predictions
from kagglekit.errors import PredictionsError, SubmissionError, preview
from kagglekit.masks import fault
from kagglekit.metrics import Metric, get_metric, nearest_class
from kagglekit.mistakes import mistaken_ids, mistaken_labels, mistaken_numbers

__all__ = ["check_columns", "check_submission", "grade", "metric_input", "to_submission"]

Array = npt.NDArray[Any]
Input = pd.Series | pd.DataFrame

# Forms with a column for each class, or each of several targets.
_WIDE = ("probabilities", "labels", "values")


def to_submission(predictions: Predictions, competition: Competition, sample: pd.DataFrame) -> pd.DataFrame:
    """The table to write as CSV: the sample's ids in its order, exactly its columns.

    Parameters
    ----------
    predictions : Predictions
        For the test ids, with the competition's columns; or, for an ordinal metric, one column of values,
        which is rounded to the nearest class.
    competition : Competition
    sample : DataFrame
        The sample submission as read from its CSV.

    Raises
    ------
    PredictionsError
        Ids or columns of the predictions are not the competition's.
    SubmissionError
        The sample does not fit the form.
    """
    id_column, value_columns = _sample_columns(competition, sample)
    frame = predictions.aligned(pd.Index(sample[id_column]), _prediction_columns(predictions, competition))
    values = _MAKERS[competition.form](frame, competition)
    if competition.form not in _WIDE:
        values = pd.DataFrame({value_columns[0]: values})
    made = pd.DataFrame({id_column: sample[id_column].to_numpy()})
    return made.join(values.reset_index(drop=True))[list(sample.columns)]


def check_columns(competition: Competition, sample: pd.DataFrame) -> None:
    """Refuse a sample submission that does not fit the competition's form.

    Raises
    ------
    SubmissionError
    """
    _sample_columns(competition, sample)


def check_submission(
    frame: pd.DataFrame, competition: Competition, sample: pd.DataFrame, *, strict: bool = True
) -> None:
    """Refuse a table that Kaggle would refuse, or that would mean something else than intended.

    Parameters
    ----------
    frame : DataFrame
        The submission as read from its CSV.
    competition : Competition
    sample : DataFrame
        The sample submission.
    strict : bool
        Also refuse the sample's ids in another order. Kaggle takes any order; but our own files keep the
        sample's, so another one means that something went wrong on the way.

    Raises
    ------
    SubmissionError
        One line that names the first thing that is wrong, and where.
    """
    id_column, value_columns = _sample_columns(competition, sample)
    if frame.empty:
        raise SubmissionError(f"The submission has no rows; {len(sample)} are expected.")
    _check_columns(frame, sample)
    _check_ids(frame[id_column], sample[id_column], strict)
    values = frame.set_index(id_column)[value_columns]
    for column in value_columns:
        if competition.form != "mask":  # an empty cell is a mask without pixels
            _refuse_rows(values[column].isna(), f"has no value in column '{column}'")
        _CHECKS[competition.form](values[column], competition)


def metric_input(frame: pd.DataFrame, competition: Competition, sample: pd.DataFrame) -> Input:
    """What the competition's metric needs from a submission that `check_submission` has passed.

    Returns
    -------
    Series or DataFrame, by id
        Labels for `Metric.score_labels` where the form is "label", there are classes and the metric needs
        labels, and masks for it where the form is "mask"; else columns for `Metric.score`.
    """
    id_column, value_columns = _sample_columns(competition, sample)
    values = frame.set_index(id_column)[value_columns]
    if competition.form in _WIDE:
        return values.astype(np.float64)
    return _READERS[competition.form](values[value_columns[0]], competition)


def grade(
    metric: Metric, truth: pd.Series, submission: pd.DataFrame, competition: Competition, sample: pd.DataFrame
) -> float:
    """Score a submission on the rows of `truth`, which may be a part of the sample's (the public or private
    rows).

    Parameters
    ----------
    metric : Metric
    truth : Series
        True label or value by id.
    submission : DataFrame
        As read from its CSV; checked here, in any order of rows.

    Raises
    ------
    SubmissionError
        The submission is refused.
    PredictionsError
        `truth` has ids that the sample lacks.
    """
    check_submission(submission, competition, sample, strict=False)
    given = metric_input(submission, competition, sample)
    if len(unknown := truth.index[~truth.index.isin(given.index)]):
        raise PredictionsError(f"The solution has ids that the sample submission lacks: {preview(unknown)}.")
    given = given.loc[truth.index]
    if isinstance(given, pd.Series):
        return metric.score_labels(truth, given, competition.classes)
    return metric.score(truth, given, competition.classes)


def _sample_columns(competition: Competition, sample: pd.DataFrame) -> tuple[str, list[str]]:
    """The id column and the value columns of the sample, which must fit the form."""
    columns = list(sample.columns)
    id_column = competition.id if competition.id in columns else columns[0]
    values = [c for c in columns if c != id_column]
    wanted = set(competition.columns) if competition.form in _WIDE else {values[0]} if values else {""}
    if set(values) != wanted or len(values) != len(wanted):
        what = "targets" if competition.targets else "classes"
        expected = f"the {what} {preview(competition.columns)}" if len(wanted) > 1 else "one column"
        raise SubmissionError(
            f"Form '{competition.form}' needs {expected} beside '{id_column}'; the sample has {preview(values)}.",
            hint="Set form in [competition] of the pipeline file.",
        )
    return id_column, values


def _prediction_columns(predictions: Predictions, competition: Competition) -> tuple[str, ...]:
    ordinal = get_metric(competition.metric).ordinal
    rounded = ordinal and competition.form == "label" and len(predictions.columns) == 1
    return predictions.columns if rounded else competition.columns


# Making: from a frame of predictions in the sample's order to one column (or, for "probabilities", several).


def _make_label(frame: pd.DataFrame, competition: Competition) -> Array:
    P = frame.to_numpy()
    if P.shape[1] > 1:
        codes: Array = P.argmax(axis=1)
    elif competition.classes:
        codes = nearest_class(P[:, 0], competition.classes)
    else:
        return np.asarray(np.rint(P[:, 0]), dtype=np.int64)
    labels: Array = _class_array(competition)[codes]
    return labels


def _make_value(frame: pd.DataFrame, competition: Competition) -> Array:
    if frame.shape[1] > 1:
        raise SubmissionError(
            f"Form 'value' needs one column of numbers, got the classes {preview(frame.columns)}.",
            hint="Set form in [competition] to 'label', 'probability' or 'probabilities'.",
        )
    values = np.asarray(frame.iloc[:, 0])
    return _clipped(values, competition)


def _make_labels(frame: pd.DataFrame, competition: Competition) -> pd.DataFrame:
    return (frame > 0.5).astype(np.int64)


def _make_values(frame: pd.DataFrame, competition: Competition) -> pd.DataFrame:
    return pd.DataFrame(_clipped(frame.to_numpy(), competition), index=frame.index, columns=frame.columns)


def _clipped(values: Array, competition: Competition) -> Array:
    # A logarithmic metric is not defined below -1, and graders differ in what they do below nought.
    return np.clip(values, 0, None) if _is_logarithmic(competition) else values


def _is_logarithmic(competition: Competition) -> bool:
    return get_metric(competition.metric).of_one_target.name == "rmsle"


def _make_probability(frame: pd.DataFrame, competition: Competition) -> Array:
    return np.asarray(frame[_positive(competition)])


def _make_probabilities(frame: pd.DataFrame, competition: Competition) -> pd.DataFrame:
    return frame


def _make_mask(frame: pd.DataFrame, competition: Competition) -> Any:
    raise SubmissionError(
        "Form 'mask' needs run-length text, and predictions are numbers.",
        hint="Write the submission file by yourself: kagglekit.masks.encode makes the text of a mask.",
    )


def _make_ranking(frame: pd.DataFrame, competition: Competition) -> list[str]:
    if spaced := [c for c in competition.columns if " " in c]:
        raise SubmissionError(f"Form 'ranking' separates labels by spaces; these hold one: {preview(spaced)}.")
    k = get_metric(competition.metric).k or frame.shape[1]
    names = np.array(competition.columns, dtype=object)
    ranked = np.argsort(-frame.to_numpy(), axis=1, kind="stable")[:, :k]
    return [" ".join(row) for row in names[ranked]]


def _class_array(competition: Competition) -> Array:
    """The classes as an array of their own type: integers stay integers."""
    same_type = len({type(c) for c in competition.classes}) == 1
    return np.array(competition.classes, dtype=None if same_type else object)


def _positive(competition: Competition) -> str:
    if len(competition.classes) != 2:
        raise SubmissionError(
            f"Form 'probability' needs two classes, got {len(competition.classes)}.",
            hint="Set form in [competition] to 'probabilities'.",
        )
    return str(competition.classes[1])


# Checking.


def _check_columns(frame: pd.DataFrame, sample: pd.DataFrame) -> None:
    have, want = list(frame.columns), list(sample.columns)
    if have == want:
        return
    missing, extra = [c for c in want if c not in have], [c for c in have if c not in want]
    if missing or extra:
        parts = [f"{what} {preview(c)}" for what, c in (("missing", missing), ("unexpected", extra)) if c]
        raise SubmissionError(f"The submission needs the columns {preview(want)}; {'; '.join(parts)}.")
    raise SubmissionError(f"The submission needs the columns {preview(want)} in this order, got {preview(have)}.")


def _check_ids(have: pd.Series, want: pd.Series, strict: bool) -> None:
    if len(have) == len(want) and _are_equal(have, want):
        return
    if (empty := have.isna()).any():
        raise SubmissionError(f"{int(empty.sum())} row(s) of the submission have no id.")
    problems: dict[str, list[object]] = {
        "repeated": list(have[have.duplicated()].unique()),
        "missing": list(want[~want.isin(have)]),
        "unexpected": list(have[~have.isin(want)]),
    }
    if problems["unexpected"] and (meant := mistaken_ids(problems["unexpected"], want.tolist())):
        ids = problems["unexpected"]
        raise SubmissionError(f"{len(ids)} id(s) of the submission are not the sample's ({preview(ids, 3)}): {meant}.")
    for what, ids in problems.items():
        if len(ids):
            raise SubmissionError(
                f"{len(ids)} id(s) of the submission are {what}: {preview(ids)}.",
                hint=f"The sample submission has {len(want)} ids, each once.",
            )
    if strict:
        first = int(np.flatnonzero(have.to_numpy() != want.to_numpy())[0])
        raise SubmissionError(
            f"The ids are reordered: row {first + 1} has {have.iloc[first]}, "
            f"the sample submission has {want.iloc[first]} there.",
            hint="Write the rows in the sample's order.",
        )


def _are_equal(have: pd.Series, want: pd.Series) -> bool:
    """Whether two columns of one length hold the same; texts are compared as they lie, not one by one."""
    if have.dtype == want.dtype and isinstance(have.dtype, pd.StringDtype):
        same = have.reset_index(drop=True).equals(want.reset_index(drop=True))
        return bool(same) and not have.isna().any()
    return bool((have.to_numpy() == want.to_numpy()).all())


def _refuse_rows(bad: pd.Series, what: str) -> None:
    if bad.any():
        raise SubmissionError(f"{int(bad.sum())} row(s): the submission {what}, at id {preview(bad.index[bad])}.")


def _check_number(values: pd.Series, competition: Competition) -> None:
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        bad = pd.to_numeric(values.astype(object), errors="coerce").isna() | (values.dtype == bool)
        shown = f" ({preview(values[bad], 3)})"
        meant = mistaken_numbers(values[bad].tolist())
        what = f"has text instead of a number in column '{values.name}'"
        _refuse_rows(bad, f"{what}{shown}" + (f"; {meant}" if meant else ""))
    numbers = values.astype(np.float64)
    _refuse_rows(numbers.abs() == np.inf, f"has an infinite value in column '{values.name}'")
    if _is_logarithmic(competition):
        _refuse_rows(numbers < 0, f"has a value below 0 in column '{values.name}', which rmsle does not take")


def _check_probability(values: pd.Series, competition: Competition) -> None:
    _check_number(values, competition)
    numbers = values.astype(np.float64)
    low, high = numbers < 0, numbers > 1
    where = f"in column '{values.name}'"
    if high.any() and not low.any() and bool((numbers <= 100).all()) and float(numbers.mean()) > 1:
        _refuse_rows(high, f"has a probability outside 0..1 {where}; they seem to be percentages")
    if low.any() and bool((numbers <= 0).all()):
        _refuse_rows(low, f"has a probability outside 0..1 {where}; they seem to be logarithms")
    _refuse_rows(low | high, f"has a probability outside 0..1 {where}")


def _check_label(values: pd.Series, competition: Competition) -> None:
    if not competition.classes:
        _check_number(values, competition)
        return
    known = _known_labels(competition)
    unknown = [v for v in pd.unique(values).tolist() if _find(known, v) is None]
    if unknown:
        found = preview([repr(v) for v in unknown])
        meant = mistaken_labels(unknown, competition.classes)
        what = f"has labels that are not among the classes ({found})"
        _refuse_rows(values.isin(unknown), what + (f"; {meant}" if meant else ""))


def _check_ranking(values: pd.Series, competition: Competition) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    k = get_metric(competition.metric).k or len(competition.classes)
    guesses = pc.split_pattern(pa.array(values.astype(str).array, type=pa.large_string()), " ")
    counts = pc.list_value_length(guesses).to_numpy(zero_copy_only=False)
    codes = pc.index_in(pc.list_flatten(guesses), pa.array(competition.columns, type=pa.large_string()))
    rows, codes = np.repeat(np.arange(len(values)), counts), codes.fill_null(-1).to_numpy(zero_copy_only=False)
    _refuse_at(values, rows[codes < 0], f"ranks labels that are not among the classes{_commas(values)}")
    _refuse_at(values, np.flatnonzero(counts > k), f"ranks more than {k} labels")
    _refuse_at(values, np.flatnonzero(_has_repeats(codes, counts)), "ranks a label twice")


def _commas(values: pd.Series) -> str:
    first = str(values.iloc[0])
    return "; they must be separated by spaces" if "," in first and " " not in first.strip() else ""


def _has_repeats(codes: Array, counts: Array) -> Array:
    """Whether a code comes twice among the `counts[i]` codes of row i."""
    width = int(counts.max(initial=0))
    # Places that a row does not fill get codes of their own, which repeat nothing.
    table = np.broadcast_to(-1 - np.arange(width), (len(counts), width)).copy()
    table[np.arange(width) < counts[:, None]] = codes
    table.sort(axis=1)
    found: Array = (table[:, 1:] == table[:, :-1]).any(axis=1)
    return found


def _refuse_at(values: pd.Series, rows: Array, what: str) -> None:
    bad = np.zeros(len(values), dtype=bool)
    bad[rows] = True
    _refuse_rows(pd.Series(bad, index=values.index), what)


def _check_mask(values: pd.Series, competition: Competition) -> None:
    wrong = _texts(values).map(fault)
    bad = wrong != ""
    _refuse_rows(bad, f"holds masks that are no run-length text ({preview(wrong[bad].unique(), 3)})")


def _known_labels(competition: Competition) -> dict[object, Label]:
    # The printed names come first, so that a class that is itself a text wins over another one that prints
    # like it.
    return {str(c): c for c in competition.classes} | {c: c for c in competition.classes}


def _find(known: Mapping[object, Label], value: object) -> Label | None:
    return known[value] if value in known else known.get(str(value))


# Reading: from a checked column to what a metric takes.


def _read_label(values: pd.Series, competition: Competition) -> Input:
    if not competition.classes:
        return _read_value(values, competition)
    known = _known_labels(competition)
    codes, distinct = pd.factorize(values)
    labels = np.array([_find(known, v) for v in distinct.tolist()], dtype=object)[codes]
    if get_metric(competition.metric).needs == "labels":
        return pd.Series(labels, index=values.index)
    return pd.DataFrame({str(c): (labels == c).astype(np.float64) for c in competition.classes}, index=values.index)


def _read_value(values: pd.Series, competition: Competition) -> Input:
    return values.astype(np.float64).to_frame(competition.target)


def _read_probability(values: pd.Series, competition: Competition) -> Input:
    positive = values.astype(np.float64)
    name = _positive(competition)
    return pd.DataFrame({str(competition.classes[0]): 1 - positive, name: positive})


def _read_mask(values: pd.Series, competition: Competition) -> Input:
    return _texts(values)


def _texts(values: pd.Series) -> pd.Series:
    # A column of empty cells is read as numbers, all of them missing.
    return values.astype(object).where(values.notna(), "").astype(str)


def _read_ranking(values: pd.Series, competition: Competition) -> Input:
    """Beliefs that fall with the place of a label; -1 for labels that are not ranked."""
    place = {name: i for i, name in enumerate(competition.columns)}
    beliefs = np.full((len(values), len(place)), -1.0)
    for row, guesses in zip(beliefs, values.tolist(), strict=True):
        ranked = [place[g] for g in str(guesses).split(" ")]
        row[ranked] = 1 / np.arange(1, len(ranked) + 1)
    return pd.DataFrame(beliefs, index=values.index, columns=list(competition.columns))


_MAKERS: Mapping[Form, Callable[[pd.DataFrame, Competition], Any]] = MappingProxyType(
    {
        "label": _make_label,
        "value": _make_value,
        "probability": _make_probability,
        "probabilities": _make_probabilities,
        "labels": _make_labels,
        "values": _make_values,
        "ranking": _make_ranking,
        "mask": _make_mask,
    }
)
_CHECKS: Mapping[Form, Callable[[pd.Series, Competition], None]] = MappingProxyType(
    {
        "label": _check_label,
        "value": _check_number,
        "probability": _check_probability,
        "probabilities": _check_probability,
        "labels": _check_label,
        "values": _check_number,
        "ranking": _check_ranking,
        "mask": _check_mask,
    }
)
_READERS: Mapping[Form, Callable[[pd.Series, Competition], Input]] = MappingProxyType(
    {
        "label": _read_label,
        "value": _read_value,
        "probability": _read_probability,
        "ranking": _read_ranking,
        "mask": _read_mask,
    }
)
