"""Making a submission again, to see whether the record is whole: the same bytes, or what differs."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from kagglekit.blend import methods
from kagglekit.config import EnsembleTable, Experiment
from kagglekit.contracts import Run
from kagglekit.dataset import Prepared
from kagglekit.ensemble import ensemble
from kagglekit.errors import UsageError
from kagglekit.files import sha256
from kagglekit.identity import run_id
from kagglekit.models import registry
from kagglekit.progress import Progress, Silent
from kagglekit.recipes import Recipes
from kagglekit.store import Store
from kagglekit.submit import write_csv
from kagglekit.train import train

__all__ = ["Rebuilt", "experiment_of", "rebuild"]

_SHARED = ("seed", "target_transform", "validation", "bags", "recent", "refit", "seeds", "calibrate", "keep_tta")


@dataclass(frozen=True)
class Rebuilt:
    """What came of making a submission file again.

    Parameters
    ----------
    run : str
    how : str
        "from the stored predictions", "blended again from its members" or "trained again".
    sha256 : str
        Of the file made now.
    sent : str
        Of the file it is compared with; "" where there is none.
    against : str
        What it is compared with, in words.
    differences : tuple of str
        What differs from the record, each in a line.
    """

    run: str
    how: str
    sha256: str
    sent: str
    against: str
    differences: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether there was a file to compare with, and it has the same bytes."""
        return self.sha256 == self.sent

    def words(self) -> str:
        """Plain text."""
        if not self.sent:
            verdict = "Nothing to compare with: this run was never submitted and its file is not there."
        else:
            verdict = f"{'Bit-identical to' if self.identical else 'Different from'} {self.against} ({self.sent})."
        made = f"{self.run}, {self.how}: sha256 {self.sha256}"
        return "\n".join([made, verdict, *(f"  {line}" for line in self.differences)])

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"identical": self.identical if self.sent else None}


def rebuild(
    run: Run,
    prepared: Prepared,
    store: Store,
    experiments: Mapping[str, Experiment],
    *,
    sent: str,
    against: str,
    file: Path | None = None,
    retrain: bool = False,
    progress: Progress | None = None,
) -> Rebuilt:
    """Make a run's submission file again in a temporary folder, and compare.

    A blend is blended again from its members' stored predictions, blends inside it too. With `retrain`, experiments
    are trained again in a store of their own first; nothing in the project's store is touched.

    Parameters
    ----------
    run : Run
    prepared : Prepared
    store : Store
        Where its members are.
    experiments : mapping of str to Experiment
        The pipeline's; used where they still say what the run was made with.
    sent : str
        SHA-256 of the file to compare with; "" for none.
    against : str
        What that file is, in words.
    file : Path, optional
        That file, if it is still there: differing rows are then counted.
    retrain : bool
    progress : Progress, optional

    Raises
    ------
    UsageError
        The data or folds here are other ones than the run was made from.
    StoreError
        A stored file was changed since it was written.
    """
    _check_same_world(run, prepared, folds=retrain or run.kind == "blend")
    with tempfile.TemporaryDirectory(prefix="kagglekit-rebuild-") as name:
        scratch = Store(Path(name) / "runs")
        maker = _Maker(prepared, store, scratch, experiments, retrain=retrain, progress=progress or Silent())
        made = maker.make(run)
        path = write_csv(made, prepared, Path(name))
        digest = sha256(path)
        differences = list(maker.differences)
        if sent and digest != sent:
            differences.append(_file_difference(path, file, sent))
    how = "trained again" if retrain else "blended again from its members" if run.kind == "blend" else ""
    return Rebuilt(run.id, how or "from the stored predictions", digest, sent, against, tuple(differences))


def _check_same_world(run: Run, prepared: Prepared, *, folds: bool) -> None:
    for what, then, now in (("data", run.data, prepared.data), ("folds", run.folds, prepared.folds.fingerprint)):
        if then != now and (what == "data" or folds):
            raise UsageError(
                f"The run {run.id} was made from other {what} ({then}) than are here now ({now}).",
                hint="Bring back data, pipeline.toml and features.py of that time: `kagglekit blame` names the commit.",
            )


class _Maker:
    """Makes runs again, and remembers in what they differ from the stored ones."""

    def __init__(
        self,
        prepared: Prepared,
        store: Store,
        scratch: Store,
        experiments: Mapping[str, Experiment],
        *,
        retrain: bool,
        progress: Progress,
    ) -> None:
        self.prepared, self.store, self.scratch = prepared, store, scratch
        self.experiments, self.retrain, self.progress = experiments, retrain, progress
        self.differences: list[str] = []

    def make(self, run: Run) -> Run:
        """The run again; an experiment that is not to be trained again is the stored one."""
        if run.kind == "blend":
            again = self._blended(run)
        elif self.retrain:
            again = train(
                self.prepared, experiment_of(run, self.prepared, self.experiments), self.scratch, progress=self.progress
            )
        else:
            return run
        self.differences += _run_differences(run, again)
        return again

    def _blended(self, run: Run) -> Run:
        inside = [self.store.load(identity) for identity in run.settings["members"]]
        members = {member.name: self.make(member) for member in inside}
        method = run.settings["method"]
        table = EnsembleTable(
            why=run.hypothesis,
            members=list(members),
            method=method,
            mixed_folds=True,
            params=methods.check(method, run.settings.get("params", {})),
        )
        return ensemble(run.name, table, members, self.prepared, self.scratch)


def experiment_of(run: Run, prepared: Prepared, experiments: Mapping[str, Experiment]) -> Experiment:
    """The pipeline's experiment if it still is the one that was run, else what the run says of itself.

    Raises
    ------
    ConfigError
        The model is no longer offered, or refuses a setting by now.
    """
    known = experiments.get(run.name)
    if known is not None and run_id(prepared, known) == run.id:
        return known
    settings, task = run.settings, prepared.competition.task
    offered = registry.parameters(settings["model"], task)
    # A default that JSON cannot hold was stored as text, and is no value to set.
    params = {k: v for k, v in settings["params"].items() if k in offered and v != repr(offered[k].default)}
    columns = settings["columns"]
    return Experiment(
        name=run.name,
        why=run.hypothesis,
        model=settings["model"],
        params=registry.check(settings["model"], params, task),
        based_on=run.parent,
        columns=None if columns is None else tuple(columns),
        drop=tuple(settings["drop"]),
        cleaning=tuple((id_, label) for id_, label in settings.get("cleaning", ())),
        features=Recipes(**settings["features"]) if "features" in settings else None,
        **{key: settings[key] for key in _SHARED if key in settings},
    )


def _run_differences(before: Run, after: Run) -> list[str]:
    lines = []
    if after.id != before.id:
        lines.append(f"{before.id}: its settings or defaults are others now, which make the run {after.id}")
    for what, old, new in (("training", before.oof, after.oof), ("test", before.test, after.test)):
        if not (old.ids.equals(new.ids) and old.columns == new.columns):
            lines.append(f"{before.id}: {what} predictions are for other rows or columns")
            continue
        off = np.abs(old.frame.to_numpy(np.float64) - new.frame.to_numpy(np.float64)).max(axis=1)
        if off.any():
            rows = f"{np.count_nonzero(off):,} of {len(off):,} rows"
            lines.append(f"{before.id}: {what} predictions differ by up to {off.max():.2g} in {rows}")
    changed = [n for n in {**before.weights, **after.weights} if before.weights.get(n) != after.weights.get(n)]
    for name in changed:
        lines.append(f"{before.id}: weight of {name} {before.weights.get(name)} -> {after.weights.get(name)}")
    return lines


def _file_difference(made: Path, file: Path | None, sent: str) -> str:
    if file is None or not file.is_file():
        return "the file that was sent is not here, so its rows cannot be compared"
    if sha256(file) != sent:
        return f"{file.name} was changed since it was sent, so its rows cannot be compared"
    old, new = (pd.read_csv(path, dtype=str, keep_default_na=False, index_col=0) for path in (file, made))
    if not (old.index.equals(new.index) and old.columns.equals(new.columns)):
        return "the file has other rows or columns than the one that was sent"
    n = int((old.to_numpy() != new.to_numpy()).any(axis=1).sum())
    return (
        f"{n:,} of {len(old):,} rows of the file have another answer" if n else "the files differ in their form alone"
    )
