"""Stage 2: raw files become checked frames by id, and folds that every experiment shares."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from kagglekit.config import Pipeline
from kagglekit.contracts import Competition, Folds, Label, repeated
from kagglekit.dataset import Pieces, Prepared, RawData
from kagglekit.errors import ConfigError, CorruptImages, DataError, KagglekitError, nearest, preview
from kagglekit.files import sha256
from kagglekit.folds import make_folds, strata_of
from kagglekit.image_files import FOLDER, ids_of, image_names, label_rows, pattern_of
from kagglekit.progress import Progress, Silent
from kagglekit.tables import ChunkedTable, read_table

__all__ = ["FindCorrupt", "prepare"]

FindCorrupt = Callable[[list[str], Progress], list[tuple[str, str]]]
"""Decodes image files and returns those that fail, with the reason; the vision models bring one."""

# What code that somebody else wrote may raise by mistake.
_AUTHORS = (ArithmeticError, AttributeError, ImportError, LookupError, NameError, SyntaxError, TypeError, ValueError)
_GROUP = "group_of_row"
_WHOLE = 64 << 20
_ROWS = 250_000
_FOLDER_KEYS = ("train_folder", "labels", "test_folder")
_PLACE = re.compile(r"\{([^{}]+)\}")


def prepare(
    raw: RawData,
    pipeline: Pipeline,
    *,
    find_corrupt: FindCorrupt | None = None,
    progress: Progress | None = None,
    whole: int = _WHOLE,
    rows: int = _ROWS,
) -> Prepared:
    """Read, check and split a competition's data; a second call with nothing changed reads what the first wrote.

    Parameters
    ----------
    raw : RawData
        A finished download.
    pipeline : Pipeline
        Its `[competition]`, `[data]` and `[folds]` tables say how to read it. A `features.py` beside the file may
        define `add_features(frame) -> frame`, which sees features only, never the target.
    find_corrupt : callable, optional
        Checks every image; needed for image competitions only.
    progress : Progress, optional
    whole : int
        Bytes up to which CSV files are read as a whole. Larger ones go through in pieces: memory then holds one piece,
        and of all rows the id, target, group, time and fold only, however many columns there are. Images and a
        `features.py`, which sees whole tables, are read as a whole, and so are several targets.
    rows : int
        In each piece.

    Raises
    ------
    DataError
        Ids repeat, targets are missing, files are missing, or no such folds can be cut.
    CorruptImages
        Image files cannot be decoded; all of them are named.
    ConfigError
        The pipeline file names a column or file that is not there.
    """
    progress = progress or Silent()
    features = pipeline.path.parent / "features.py"
    data = _data_key(raw.fingerprint(), pipeline, features)
    key = _digest(data, *_folds_key(pipeline))
    cache = raw.folder / "cache"
    if (ready := Prepared.load(raw.folder / "prepared", key, cache)) is not None:
        return ready
    large = any(path.stat().st_size > whole for path in _tables(raw.files, pipeline))
    in_pieces = large and not features.is_file() and not pipeline.competition.has_several
    reader = _PiecesReader(raw.files, pipeline, rows) if in_pieces else _Reader(raw.files, pipeline)
    train, test, sample = reader.train(), reader.test(), reader.sample()
    known, known_test = reader.columns["train"], reader.columns["test"]
    competition = _competition(pipeline, train, known)
    if competition.targets and competition.is_classification:
        train = train.astype(dict.fromkeys(competition.targets, "int64"))  # true and false are 1 and 0
    given = _given_groups(pipeline, train, known)
    if competition.has_images and find_corrupt is not None:
        _check_images(raw.files, [*train["path"], *test["path"]], find_corrupt, progress)
    shared = [c for c in known if c in known_test and c not in competition.target_columns]
    notes = _notes(train, test, competition, shared, known)
    if given is not None:
        competition = replace(competition, group=_GROUP)
    pieces = reader.pieces(shared, given)
    if pieces is None:
        X, test = (_add_features(frame[shared], features) for frame in (train, test))
        train = X.join(train[[c for c in train.columns if c not in X.columns]])
    if given is not None:
        train = train.assign(**{_GROUP: given})
    prepared = Prepared(
        competition=competition,
        train=train,
        test=test,
        sample=sample,
        folds=_folds(pipeline, competition, train),
        data=data,
        cache=cache,
        notes=notes,
        features=sha256(features)[:12] if features.is_file() else "",
    )
    prepared.save(raw.folder / "prepared", key, pieces)
    if pieces is None:
        return prepared
    written = Prepared.load(raw.folder / "prepared", key, cache)
    assert written is not None
    return written


def _tables(files: Path, pipeline: Pipeline) -> list[Path]:
    """The CSV files of a competition of tables, as far as they are there."""
    if pipeline.competition.task.startswith("image"):
        return []
    return [path for name in (pipeline.data.train, pipeline.data.test) if (path := files / name).is_file()]


def _data_key(fingerprint: str, pipeline: Pipeline, features: Path) -> str:
    code = features.read_text(encoding="utf-8") if features.is_file() else ""
    tables = [table.model_dump(mode="json") for table in (pipeline.competition, pipeline.data)]
    # Absent where unset: data that were prepared before there were such keys keep their fingerprint.
    tables[1] = {
        k: v for k, v in tables[1].items() if v is not None or k not in ("train_folder", "labels", "test_folder")
    }
    return _digest(fingerprint, *tables, pipeline.form, code)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


class _Reader:
    """The tables of a download, indexed by id, with `path` columns where there are images."""

    def __init__(self, files: Path, pipeline: Pipeline) -> None:
        self.files, self.facts, self.tables = files, pipeline.competition, pipeline.data
        self.where = pipeline.path
        self.columns: dict[str, list[str]] = {}
        """All columns of "train" and of "test" but the id."""
        self.has_images = pipeline.competition.task.startswith("image")

    def train(self) -> pd.DataFrame:
        if self.tables.train_folder is not None:
            return self._labelled(self.tables.train_folder)
        frame = self._indexed(self._csv(self.tables.train, "train"), self.tables.train, "train")
        for target in self.facts.target_columns:
            self._check_target(frame, target)
        return self._finish(frame, self.tables.train_images, "train")

    def _check_target(self, frame: pd.DataFrame, target: str) -> None:
        if target not in frame:
            raise ConfigError(
                f"{self.where}: {self.tables.train} has no column '{target}'.",
                hint=nearest(target, self.columns["train"]),
            )
        if (missing := frame[target].isna()).any():
            raise DataError(
                f"{self.tables.train}: the target '{target}' is missing in {missing.sum()} row(s): "
                f"{preview(frame.index[missing])}.",
                hint="Nothing can be learnt from them: drop them in a copy of the file, knowingly.",
            )

    def test(self) -> pd.DataFrame:
        if self.tables.test_folder is not None:
            return self._unlabelled(self.tables.test_folder)
        frame = self._indexed(self._csv(self.tables.test, "test"), self.tables.test, "test")
        frame = self._finish(frame, self.tables.test_images, "test")
        ids = pd.Index(self.sample()[self.facts.id])
        missing, extra = ids.difference(frame.index), frame.index.difference(ids)
        if len(missing) or len(extra):
            raise DataError(
                f"Test rows and {self.tables.sample} must hold the same ids: "
                f"{len(missing)} only in the sample ({preview(missing)}), {len(extra)} only in the test rows."
            )
        return frame

    def _labelled(self, name: str) -> pd.DataFrame:
        """Training images with the labels that their folders or names give them."""
        where, facts = f"{self.where} [data]", self.facts
        self._refuse_both("train_folder", name, self.tables.train_images)
        if facts.has_several:
            raise ConfigError(f"{where} train_folder: folders and names give one target; several need a table.")
        target = facts.target_columns[0]
        pattern = pattern_of(self.tables.labels or FOLDER, target, f"{where} labels")
        frame = label_rows(self.files / name, pattern, target, f"{where} train_folder")
        frame = frame.rename(columns={"file": facts.id})
        if facts.task.endswith("regression"):
            frame[target] = pd.to_numeric(frame[target], errors="coerce")
            if (lost := frame[target].isna()).any():
                raise DataError(f"{where} labels: no number: {preview(frame.loc[lost, facts.id])}.")
        return self._finish(self._indexed(frame, name, "train"), f"{name}/{{{facts.id}}}", "train")

    def _unlabelled(self, name: str) -> pd.DataFrame:
        """Images to predict, by the ids of the sample submission: paths inside the folder, names, or names bare."""
        self._refuse_both("test_folder", name, self.tables.test_images)
        names, where = image_names(self.files / name), f"{self.where} [data] test_folder"
        if not names:
            raise DataError(f"{where}: there are no images in {self.files / name}.")
        ids = ids_of(names, self.sample()[self.facts.id].tolist(), where)
        frame = self._indexed(pd.DataFrame({self.facts.id: ids, "file": names}), name, "test")
        frame = self._finish(frame, f"{name}/{{file}}", "test").drop(columns="file")
        self.columns["test"] = list(frame.columns)
        return frame

    def _refuse_both(self, key: str, name: str, pattern: str | None) -> None:
        where = f"{self.where} [data] {key}"
        if not self.has_images:
            raise ConfigError(f"{where}: a folder of images needs an image task, not '{self.facts.task}'.")
        if pattern is not None:
            raise ConfigError(f"{where}: leave out {key.replace('folder', 'images')}, which is for images of a table.")
        if not (self.files / name).is_dir():
            known = {p.parent.relative_to(self.files).as_posix() for p in self.files.rglob("*") if p.is_file()}
            raise ConfigError(f"{where}: there is no folder '{name}'.", hint=nearest(name, known))

    def _made_sample(self, folder: str) -> pd.DataFrame:
        """Where there is no sample submission: one row for each image, by its path inside the folder."""
        names = image_names(self.files / folder)
        return pd.DataFrame({self.facts.id: names, self.facts.target_columns[0]: ""})

    def sample(self) -> pd.DataFrame:
        if self.tables.test_folder is not None and not (self.files / self.tables.sample).is_file():
            return self._made_sample(self.tables.test_folder)
        frame = self._read(self._path(self.tables.sample, "sample"))
        if self.facts.id not in frame:
            raise ConfigError(f"{self.where}: {self.tables.sample} has no column '{self.facts.id}'.")
        return frame

    def pieces(self, shared: list[str], given: pd.Series | None) -> dict[str, Pieces] | None:
        """The tables in pieces, shared columns first; None where they were read as a whole."""
        return None

    def _path(self, name: str, key: str) -> Path:
        path = self.files / name
        if not path.is_file():
            known = [p.relative_to(self.files).as_posix() for p in self.files.rglob("*.csv")]
            raise ConfigError(f"{self.where} [data] {key}: there is no file '{name}'.", hint=nearest(name, known))
        return path

    def _csv(self, name: str, key: str) -> pd.DataFrame:
        frame = self._read(self._path(name, key))
        self.columns[key] = list(frame.columns)
        return frame

    def _read(self, path: Path) -> pd.DataFrame:
        # Several targets are numbers, whose text does not matter.
        target = None if self.facts.has_several else self.facts.target_columns[0]
        return read_table(path, id_column=self.facts.id, target=target)

    def _indexed(self, frame: pd.DataFrame, name: str, key: str) -> pd.DataFrame:
        self.columns.setdefault(key, list(frame.columns))
        if self.facts.id not in frame:
            raise ConfigError(
                f"{self.where}: {name} has no column '{self.facts.id}'.",
                hint=nearest(self.facts.id, self.columns[key]),
            )
        frame = frame.set_index(self.facts.id)
        self.columns[key] = [c for c in self.columns[key] if c != self.facts.id]
        if empty := int(np.count_nonzero(frame.index.isna())):
            raise DataError(f"{name}: the id column '{self.facts.id}' is empty in {empty} row(s).")
        if twice := repeated(frame.index):
            raise DataError(
                f"{name}: the id column '{self.facts.id}' must name each row once; {len(twice)} come more than "
                f"once: {preview(twice)}.",
                hint="Choose another id column in [competition], or make one.",
            )
        return frame

    def _finish(self, frame: pd.DataFrame, pattern: str | None, key: str) -> pd.DataFrame:
        if self.has_images:
            where = f"{self.where} [data] {key}_images"
            if pattern is None:
                raise ConfigError(
                    f"{self.where} [data]: an image task needs {key}_images.",
                    hint=f'{key}_images = "folder/{{image_id}}"',
                )
            frame = frame.assign(path=_paths(self.files, frame, pattern, where))
            self.columns[key] = list(frame.columns)
        known = self.columns[key]
        unknown = [c for c in self.tables.drop if c not in known and c not in self.facts.target_columns]
        if unknown and key == "train":
            raise ConfigError(f"{self.where} [data] drop: no column '{unknown[0]}'.", hint=nearest(unknown[0], known))
        self.columns[key] = [c for c in known if c not in self.tables.drop]
        return frame.drop(columns=[c for c in self.tables.drop if c in frame])


class _PiecesReader(_Reader):
    """The same tables in pieces: frames hold the columns that folds and checks need, and no others."""

    def __init__(self, files: Path, pipeline: Pipeline, rows: int) -> None:
        super().__init__(files, pipeline)
        self._rows = rows
        self._chunked: dict[str, ChunkedTable] = {}

    def pieces(self, shared: list[str], given: pd.Series | None) -> dict[str, Pieces]:
        alone = [c for c in self.columns["train"] if c not in shared]
        return {"train": self._pieces("train", [*shared, *alone], given), "test": self._pieces("test", shared, None)}

    def _pieces(self, key: str, columns: list[str], given: pd.Series | None) -> Pieces:
        table = self._chunked[key]

        def finished(piece: pd.DataFrame) -> pd.DataFrame:
            frame = piece.set_index(self.facts.id)[columns]
            return (
                frame
                if given is None
                else frame.assign(**{_GROUP: given.reindex(frame.index, fill_value=given.iloc[0])})
            )

        return (finished(piece) for piece in table.pieces()), finished(table.example())

    def _csv(self, name: str, key: str) -> pd.DataFrame:
        path = self._path(name, key)
        target = self.facts.target_columns[0]
        table = ChunkedTable(path, id_column=self.facts.id, target=target, rows=self._rows)
        self._chunked[key] = table
        self.columns[key] = list(table.columns)
        needed = (self.facts.id, target, self.facts.group, self.facts.time)
        chosen = [c for c in table.columns if c in needed]
        return pd.concat(table.pieces(chosen)) if chosen else pd.DataFrame()


def _paths(files: Path, frame: pd.DataFrame, pattern: str, where: str) -> list[str]:
    columns = frame.reset_index()
    places = _PLACE.findall(pattern)
    if unknown := [p for p in places if p not in columns]:
        raise ConfigError(f"{where}: no column '{unknown[0]}'.", hint=nearest(unknown[0], columns))
    rows = columns[places].astype(str).to_dict("records")
    paths = [files / pattern.format_map(row) for row in rows]
    if gone := [p for p in paths if not p.is_file()]:
        names = preview(p.relative_to(files).as_posix() for p in gone)
        raise DataError(f"{where}: {len(gone)} of {len(paths)} image files are not there: {names}.")
    return [p.absolute().as_posix() for p in paths]


def _check_images(files: Path, paths: list[str], find_corrupt: FindCorrupt, progress: Progress) -> None:
    if bad := find_corrupt(paths, progress):
        names = [f"{Path(path).relative_to(files.absolute()).as_posix()} ({reason})" for path, reason in bad]
        raise CorruptImages(names, hint="Replace them, or leave their rows out of a copy of the table.")


def _competition(pipeline: Pipeline, train: pd.DataFrame, known: list[str]) -> Competition:
    facts = pipeline.competition
    classes: tuple[Label, ...] = ()
    target = ", ".join(facts.target_columns)
    if facts.has_several:
        classes = _classes_of_several(pipeline, train)
    elif facts.task.endswith("classification"):
        classes = tuple(facts.classes) or tuple(sorted(train[target].unique().tolist()))
        if unknown := sorted({str(v) for v in train[target].unique()} - {str(c) for c in classes}):
            raise DataError(
                f"{pipeline.path}: the target has labels that [competition] classes lacks: {preview(unknown)}."
            )
    elif not pd.api.types.is_numeric_dtype(train[target]):
        raise DataError(
            f"{pipeline.path}: task '{facts.task}' needs a numeric target; '{target}' holds {train[target].iloc[0]!r}.",
            hint='Perhaps task = "classification"?',
        )
    if pipeline.form == "probability" and len(classes) > 2:
        raise ConfigError(f"{pipeline.path}: form 'probability' is for two classes, the target has {len(classes)}.")
    for key in ("group", "time"):
        column = getattr(facts, key)
        if column is not None and column not in known:
            raise ConfigError(
                f"{pipeline.path} [competition] {key}: no column '{column}'.", hint=nearest(column, known)
            )
    return Competition(
        slug=facts.slug,
        task=facts.task,
        metric=facts.metric,
        id=facts.id,
        target=target,
        targets=tuple(facts.target_columns) if facts.has_several else (),
        classes=classes,
        group=facts.group,
        time=facts.time,
        form=pipeline.form,
        decision=facts.decision,
    )


def _classes_of_several(pipeline: Pipeline, train: pd.DataFrame) -> tuple[Label, ...]:
    """0 and 1 for several labels, none for several numbers, which the targets must hold."""
    is_labels = pipeline.competition.task.endswith("classification")
    for name in pipeline.competition.target_columns:
        values = train[name].unique().tolist()
        fits = set(values) <= {0, 1} if is_labels else pd.api.types.is_numeric_dtype(train[name])
        if not fits:
            wanted = "0 and 1" if is_labels else "numbers"
            raise DataError(
                f"{pipeline.path}: several targets of task '{pipeline.competition.task}' must hold {wanted}; '{name}' "
                f"holds values such as {preview(values, 3)}."
            )
    return (0, 1) if is_labels else ()


def _given_groups(pipeline: Pipeline, train: pd.DataFrame, known: list[str]) -> pd.Series | None:
    """The groups of the file that [folds] names; as a column that test rows lack, no model sees it."""
    if pipeline.folds.groups is None:
        return None
    where, path = f"{pipeline.path} [folds] groups", pipeline.path.parent / pipeline.folds.groups
    if pipeline.competition.group is not None:
        raise ConfigError(
            f"{where}: [competition] names the group '{pipeline.competition.group}' already.",
            hint="Remove one of the two; `kagglekit drift --write` writes groups that hold both.",
        )
    if not path.is_file():
        raise ConfigError(f"{where}: there is no file {path}.", hint="kagglekit drift --write makes one.")
    table = read_table(path, id_column=pipeline.competition.id)
    if list(table.columns) != [pipeline.competition.id, "group"]:
        raise DataError(
            f"{path} must have the columns '{pipeline.competition.id}' and 'group', got {preview(table.columns)}."
        )
    groups = table.set_index(pipeline.competition.id)["group"]
    if twice := repeated(groups.index):
        raise DataError(f"{path} names some rows twice: {preview(twice)}.")
    if len(lost := train.index.difference(groups.index)):
        raise DataError(f"{path} lacks {len(lost)} training row(s): {preview(lost)}.")
    if _GROUP in known:
        raise ConfigError(f"{where}: the training table has a column '{_GROUP}' itself.", hint="Name it as group.")
    return groups.loc[train.index]


def _folds_key(pipeline: Pipeline) -> list[object]:
    """What the folds are made from; without a file of groups, what it was before there were such files."""
    table = pipeline.folds.model_dump(mode="json")
    name = table.pop("groups")
    path = pipeline.path.parent / str(name)
    return [table] if name is None else [table, name, sha256(path) if path.is_file() else ""]


def _folds(pipeline: Pipeline, facts: Competition, train: pd.DataFrame) -> Folds:
    table = pipeline.folds
    return make_folds(
        train.index,
        scheme=table.scheme,
        n=table.n,
        seed=table.seed,
        repeats=table.repeats,
        y=strata_of(facts.answers(train), table.n),
        groups=train[facts.group] if facts.group else None,
        time=train[facts.time] if facts.time else None,
    )


def _notes(
    train: pd.DataFrame, test: pd.DataFrame, competition: Competition, shared: list[str], known: list[str]
) -> tuple[str, ...]:
    only_train = [c for c in known if c not in shared and c not in competition.target_columns]
    notes = [f"{len(train):,} training rows, {len(test):,} test rows, {len(shared)} shared columns"]
    if only_train:
        notes.append(f"left out, because test rows lack them: {preview(only_train)}")
    if both := len(train.index.intersection(test.index)):
        notes.append(f"{both} ids are in both train and test")
    return tuple(notes)


def _add_features(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    if not path.is_file():
        return frame
    try:
        made = _load_module(path).add_features(frame.copy())
    except KagglekitError:
        raise
    except _AUTHORS as error:
        where = traceback.extract_tb(error.__traceback__)[-1].lineno
        raise ConfigError(f"{path} failed near line {where}: {type(error).__name__}: {error}.") from error
    if not isinstance(made, pd.DataFrame) or not made.index.equals(frame.index):
        raise ConfigError(f"{path}: add_features must return a frame with the same index as it was given.")
    return made


def _load_module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"kagglekit_features_{path.parent.name}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not hasattr(module, "add_features"):
        raise ConfigError(f"{path} must define add_features(frame) -> frame.")
    return module
