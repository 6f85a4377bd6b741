"""Finished runs of a notebook, brought into the store here - after every check that is possible.

What comes from elsewhere is data: parquet and JSON are read, nothing is unpickled and nothing is run. Only files with
the names of a run's folder are taken. Of those, a run or fold is kept only if its hashes are right, it was made with
exactly the settings, data and folds that are here, it predicts the rows it should, and its scores are those of its
predictions.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.contracts import Folds, Predictions, Run, Split
from kagglekit.dataset import Prepared
from kagglekit.errors import DataError, StoreError, UsageError, preview
from kagglekit.files import read_json
from kagglekit.kernel_calls import KernelCalls
from kagglekit.kernels.session import TIMES
from kagglekit.metrics import get_metric
from kagglekit.progress import Progress, Silent
from kagglekit.scoring import fold_scores
from kagglekit.store import Store, read_frame, read_run

__all__ = ["Pulled", "finished_folds", "pull"]

_FOLD = r"(?:repeat-\d+-)?fold-\d+|oob"
_FILE = re.compile(
    rf"runs/(?P<slug>[^/]+)/(?P<run>[^/]+)/(?:(?:{_FOLD})/(?:oof\.parquet|test\.parquet|fold\.json)"
    r"|settings\.json|oof\.parquet|test\.parquet|run\.json|COMPLETE)"
)
_FOLD_FILE = re.compile(rf"runs/(?P<slug>[^/]+)/(?P<run>[^/]+)/(?P<fold>{_FOLD})/fold\.json")
_FINGERPRINTS = ("data", "folds")
_SAME = 1e-4  # scores are made of float32 numbers, summed in any order


@dataclass(frozen=True)
class Pulled:
    """What a pull brought.

    Parameters
    ----------
    taken : mapping of str to list of str
        Run -> folds that are new here, and "run" for a finished run.
    refused : mapping of str to str
        Run -> why it was not taken.
    """

    taken: Mapping[str, Sequence[str]]
    refused: Mapping[str, str]


def finished_folds(kernels: KernelCalls, kernel: str, slug: str) -> dict[str, list[str]]:
    """Run -> folds that the notebook's output holds, by the names of its files; none when there is no such notebook."""
    found: dict[str, list[str]] = {}
    state = kernels.state(kernel)
    for name in kernels.output(kernel) if state is not None and state.status == "COMPLETE" else ():
        match = _FOLD_FILE.fullmatch(name)
        if match and match["slug"] == slug:
            found.setdefault(match["run"], []).append(match["fold"])
    return found


def pull(
    kernels: KernelCalls,
    kernel: str,
    prepared: Prepared,
    store: Store,
    expected: Mapping[str, Mapping[str, Any]],
    *,
    times: Path | None = None,
    progress: Progress | None = None,
) -> Pulled:
    """Bring runs and finished folds into the store.

    Parameters
    ----------
    kernels : KernelCalls
    kernel : str
        The notebook's name.
    prepared : Prepared
        The data and folds that runs must have been made with.
    store : Store
    expected : mapping of str to mapping
        Run -> the settings that it must have been begun with; other runs are left where they are.
    times : Path, optional
        Where the session's measured times are put.
    progress : Progress, optional

    Raises
    ------
    UsageError
        The notebook is not there, not complete, or made none of these runs.
    DataError
        A file name in its output leads out of a folder.
    """
    slug, names = prepared.competition.slug, _output(kernels, kernel)
    files = _wanted(names, slug, expected, f"{kernels.owner}/{kernel}")
    taken: dict[str, Sequence[str]] = {}
    refused: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="kagglekit-pull-") as temporary:
        folder = Path(temporary)
        with (progress or Silent()).task(f"pull {kernel}", sum(map(len, files.values()))) as task:
            for run, parts in files.items():
                for name in parts:
                    kernels.download(kernel, name, folder / name)
                    task.advance()
                try:
                    taken[run] = _take(folder / "runs" / slug / run, prepared, store, dict(expected[run]))
                except (StoreError, DataError) as error:
                    refused[run] = error.message
                except (ValueError, TypeError) as error:  # text where numbers belong
                    refused[run] = f"{run} does not hold what a run holds ({error})."
        if times is not None and TIMES in names:
            kernels.download(kernel, TIMES, times)
    return Pulled(taken, refused)


def _output(kernels: KernelCalls, kernel: str) -> list[str]:
    state = kernels.state(kernel)
    if state is None or state.status != "COMPLETE":
        how = "is not there" if state is None else f"is {state.status.lower().replace('_', ' ')}"
        raise UsageError(f"{kernels.owner}/{kernel} {how}: there is nothing to pull.", hint="kagglekit kernel watch")
    return kernels.output(kernel)


def _wanted(names: Sequence[str], slug: str, expected: Mapping[str, Any], address: str) -> dict[str, list[str]]:
    """Run -> files of it that are asked for."""
    if files := _by_run(names, slug, expected):
        return files
    others = sorted({m["run"] for n in names if (m := _FILE.fullmatch(n))})
    raise UsageError(
        f"{address} made none of these runs: {preview(expected)}. It made: {preview(others) or 'none'}.",
        hint="Settings, data or folds differ from those that it was pushed with.",
    )


def _by_run(names: Sequence[str], slug: str, expected: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        match = _FILE.fullmatch(name)
        if match and match["slug"] == slug and match["run"] in expected:
            found.setdefault(match["run"], []).append(name)
    return found


def _take(source: Path, prepared: Prepared, store: Store, settings: dict[str, Any]) -> list[str]:
    _check_settings(source, settings)
    splits = {split.name: split for split in prepared.folds.splits()}
    for path in sorted(source.glob("*/fold.json")):
        _check_fold(path.parent, prepared, splits)
    if (source / "COMPLETE").is_file():
        _check_run(source, prepared, settings)
    return store.take(source, settings)


def _check_settings(source: Path, settings: Mapping[str, Any]) -> None:
    """Refuse what was made with other settings, data or folds, and say which."""
    path = source / "settings.json"
    found = read_json(path) if path.is_file() else {}
    said = found if isinstance(found, dict) else {}
    differ = sorted(k for k in {*said, *settings} if said.get(k) != settings.get(k))
    if not differ:
        return
    raise StoreError(f"{source.name} was made with other {preview(differ)} than are here.")


def _check_fold(folder: Path, prepared: Prepared, splits: Mapping[str, Split]) -> None:
    oof, test = (Predictions(read_frame(folder / f"{name}.parquet")) for name in ("oof", "test"))
    columns = prepared.competition.columns
    test.aligned(prepared.test.index, columns)
    if folder.name == "oob":
        _check_subset(oof, prepared.folds, columns)
        return
    if folder.name not in splits:
        raise StoreError(f"{folder.parent.name} has a {folder.name}, which the folds here do not have.")
    oof.aligned(splits[folder.name].score_ids, columns)
    facts = read_json(folder / "fold.json")
    said = facts.get("score") if isinstance(facts, dict) else None
    made = get_metric(prepared.competition.metric).score(
        prepared.y.loc[oof.ids], oof.frame, prepared.competition.classes
    )
    _check_score(f"{folder.parent.name} {folder.name}", [said], [made])


def _check_run(source: Path, prepared: Prepared, settings: Mapping[str, Any]) -> None:
    run, facts = read_run(source), prepared.competition
    if run.id != source.name or (run.data, run.folds) != (prepared.data, prepared.folds.fingerprint):
        raise StoreError(f"{source.name} says of itself that it is {run.id}, of other data or folds.")
    if run.metric != facts.metric or dict(run.settings) != {k: settings[k] for k in settings if k not in _FINGERPRINTS}:
        raise StoreError(f"{source.name} says that it was made with other settings than it was.")
    run.test.aligned(prepared.test.index, facts.columns)
    if run.kind == "oof":
        run.oof.aligned(prepared.folds.scored_ids, facts.columns)
    else:
        _check_subset(run.oof, prepared.folds, facts.columns)
    if prepared.folds.repeats == 1:  # with repeats, the mean of the predictions no longer tells the score of each
        _check_score(source.name, run.scores, _scores(run, prepared))


def _scores(run: Run, prepared: Prepared) -> tuple[float, ...]:
    return fold_scores(run.oof.frame, prepared.y, prepared.folds, prepared.competition)


def _check_subset(oof: Predictions, folds: Folds, columns: Sequence[str]) -> None:
    oof.aligned(pd.Index(folds.ids[folds.ids.isin(oof.ids)]), columns)


def _check_score(name: str, said: Sequence[Any], made: Sequence[float]) -> None:
    numbers = [v if isinstance(v, int | float) else np.nan for v in said]
    if len(numbers) != len(made) or not np.allclose(numbers, made, rtol=_SAME, atol=_SAME):
        raise StoreError(f"The scores that {name} states are not those of its predictions.")
