"""Looking at a competition's download: what can be seen in its files, and what is a guess.

Every finding comes with what was seen; what nothing in the files settles is a guess and is called one.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pandas.api import types

from kagglekit.contracts import Decision, Form, Task
from kagglekit.errors import ConfigError, DataError, preview
from kagglekit.image_files import FOLDER, IMAGES, ids_of, image_names, label_rows, pattern_of
from kagglekit.metrics import METRICS, get_metric
from kagglekit.tables import read_table

__all__ = ["Findings", "look", "metric_name"]

_NAMED = r"(.+?)[ _-]*\d+\.\w+"  # great_pyrenees_173.jpg is of the label great_pyrenees
_MOST_CLASSES = 20
_FEWEST_GROUPS = 10

# Spellings on competition pages, lower case, letters and digits only; longer ones first, as some hold others.
_SPELLINGS: Sequence[tuple[str, tuple[str, ...]]] = (
    (
        "rmsle",
        ("rootmeansquaredlogarithmicerror", "rootmeansquaredlogerror", "rootmeansquarelogarithmicerror", "rmsle"),
    ),
    ("qwk", ("quadraticweightedkappa", "weightedkappa", "cohenskappa", "qwk")),
    ("roc_auc", ("areaunderreceiveroperatingcharacteristiccurve", "areaundertheroccurve", "rocauc", "aucroc", "auroc")),
    ("roc_auc", ("areaunderthecurve", "areaundercurve")),
    ("log_loss", ("logarithmicloss", "logloss", "multiclassloss", "binarycrossentropy", "crossentropy")),
    ("rmse", ("rootmeansquarederror", "rootmeansquareerror", "rmse")),
    ("mae", ("meanabsoluteerror", "mae")),
    ("pearson", ("pearson",)),
    ("spearman", ("spearman",)),
    ("mcc", ("matthewscorrelation", "mcc")),
    ("f1_macro", ("macrofscore", "macrof1", "f1macro", "macroaveragedf1", "meanfscoremacro")),
    ("f1", ("f1score", "fscorebinary", "f1")),
    ("r2", ("coefficientofdetermination", "rsquared", "r2score", "r2")),
    ("accuracy", ("categorizationaccuracy", "classificationaccuracy", "accuracy")),
    ("roc_auc", ("auc",)),
)


@dataclass(frozen=True)
class Findings:
    """What was found in a download.

    Parameters
    ----------
    slug, task, metric, id, target, form, group, time, decision
        As in `kagglekit.contracts.Competition`.
    train, test, sample : str
        Files inside the download. Where test rows have no table of their own, `test` is the sample submission.
    train_images, test_images : str, optional
        Patterns such as `"train_images/{label}/{image_id}"`.
    train_folder, labels, test_folder : str, optional
        Where there is no training table: the folder of labelled images, how they are labelled ("folder" or a regular
        expression), and the folder of those to predict. `train`, `test` and, if it is not there, `sample` are "" then.
    drop : tuple of str
        Columns that nothing can be learnt from.
    scheme, n
        The folds.
    n_train : int
        Training rows.
    image_size : (int, int), optional
        The commonest width and height of the images that were looked at, in pixels.
    square : bool
        Whether all of those are as wide as high, so that squishing and cropping are the same.
    reasons : mapping of str to str
        For each key above, what was seen; also "new" for the head of the file.
    guesses : tuple of str
        The keys that nothing in the files settles.
    """

    slug: str
    task: Task
    metric: str
    id: str
    target: str
    form: Form
    train: str
    test: str
    sample: str
    group: str | None = None
    time: str | None = None
    train_images: str | None = None
    test_images: str | None = None
    train_folder: str | None = None
    labels: str | None = None
    test_folder: str | None = None
    drop: tuple[str, ...] = ()
    scheme: str = "kfold"
    n: int = 5
    decision: Decision = "argmax"
    n_train: int = 0
    image_size: tuple[int, int] | None = None
    square: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)
    guesses: tuple[str, ...] = ()


def metric_name(words: str) -> str | None:
    """kagglekit's name for a metric as a competition page spells it; None when it has none.

    >>> metric_name("Categorization Accuracy")
    'accuracy'
    >>> metric_name("MAP@{K} with K = 5")
    'map@5'
    """
    if words in METRICS:
        return words
    plain = re.sub(r"[^a-z0-9]", "", words.lower())
    if "meanaverageprecision" in plain or plain.startswith("map"):
        k = re.search(r"\d+", plain)
        return f"map@{int(k[0])}" if k and int(k[0]) else None
    return next((name for name, spellings in _SPELLINGS if any(s in plain for s in spellings)), None)


def look(raw: Path, slug: str, *, metric: str | None = None) -> Findings:
    """Look at a downloaded competition.

    Parameters
    ----------
    raw : Path
        The folder with its files.
    slug : str
    metric : str, optional
        The evaluation metric, in the competition page's words or kagglekit's.

    Raises
    ------
    DataError
        There is no training table or sample submission, or ids or targets in them are not what they must be.
    """
    if not raw.is_dir():
        raise DataError(f"There is no folder {raw}.", hint=f"Download the competition first: kagglekit download {slug}")
    return _Look(raw, slug, metric).findings()


class _Look:
    """One look: each step reads what earlier ones found and leaves its reason."""

    def __init__(self, raw: Path, slug: str, metric: str | None) -> None:
        self.raw, self.slug, self.page_metric = raw, slug, metric
        self.reasons: dict[str, str] = {}
        self.guesses: list[str] = []
        self.image_size: tuple[int, int] | None = None
        self.square = False
        self.folders: tuple[str, str, str] | None = None
        tables = sorted(p.relative_to(raw).as_posix() for p in [*raw.glob("*.csv"), *raw.glob("*/*.csv")])
        self.tables = [t for t in tables if Path(t).name != "solution.csv"]

    def findings(self) -> Findings:
        self._read_tables()
        self._find_target()
        self._check()
        metric = self._metric()
        patterns = self._images()
        task = self._task(metric, bool(patterns))
        form = self._form(metric)
        train_folder, labels, test_folder = self.folders or (None, None, None)
        if not patterns and self.test is self.sample:
            raise DataError(
                f"There is no table of test rows in {self.raw}, and no images by id.",
                hint="Expected a file such as test.csv.",
            )
        group, time = self._group(), self._time()
        scheme, n = self._folds(task, group, time)
        return Findings(
            slug=self.slug,
            task=task,
            metric=metric,
            id=self.id,
            target=self.target,
            form=form,
            train=self.train_name,
            test=self.test_name,
            sample=self.sample_name,
            group=group,
            time=time,
            train_images=patterns[0] if patterns and not self.folders else None,
            test_images=patterns[1] if patterns and not self.folders else None,
            train_folder=train_folder,
            labels=labels,
            test_folder=test_folder,
            drop=self._drop(group, time),
            scheme=scheme,
            n=n,
            decision=self._decision(metric),
            n_train=len(self.train),
            image_size=self.image_size,
            square=self.square,
            reasons=self.reasons,
            guesses=tuple(self.guesses),
        )

    # Files and columns

    def _read_tables(self) -> None:
        if not any("train" in Path(t).stem.lower() for t in self.tables) and self._read_folders():
            return
        self.train_name = self._table("train", "a training table such as train.csv")
        self.sample_name = self._table("submission", "a sample submission such as sample_submission.csv")
        columns = [str(c) for c in read_table(self.raw / self.sample_name).columns]
        self.id, self.answer = columns[0], columns[1] if len(columns) > 1 else None
        self.train, self.sample = self._csv(self.train_name), self._csv(self.sample_name)
        self.test_name = self._table("test", None) or self.sample_name
        self.test = self.sample if self.test_name == self.sample_name else self._csv(self.test_name)
        if self.sample.shape[1] < 2 or not len(self.sample):
            raise DataError(
                f"{self.sample_name} needs an id column, a target column and rows, got the columns "
                f"{list(self.sample.columns)} and {len(self.sample)} row(s)."
            )
        if not len(self.train):
            raise DataError(f"{self.train_name} has a header and no rows.", hint="Download it again.")
        self.reasons["new"] = f"{len(self.train):,} training rows and {len(self.sample):,} rows to predict."
        if self.test is self.sample:
            self.reasons["test"] = "Test rows have no table of their own; the sample submission lists their ids."

    def _read_folders(self) -> bool:
        """Labelled images in the place of a training table; False where there are none, or several tables."""
        samples = [t for t in self.tables if "submission" in Path(t).stem.lower()]
        inside = image_names(self.raw)
        if not inside or len(samples) < len(self.tables):
            return False
        self.sample_name = samples[0] if samples else ""
        self.sample = read_table(self.raw / samples[0]) if samples else pd.DataFrame()
        columns = [str(c) for c in self.sample.columns]
        self.id, self.answer = columns[0] if columns else "image", columns[1] if len(columns) == 2 else "label"
        place, labels, self.train = self._labelled(inside)
        folder = self._unlabelled(inside)
        names = image_names(self.raw / folder)
        if samples:
            self.sample = self._csv(self.sample_name)
            ids_of(names, self.sample[self.id].tolist(), folder)
        else:
            self.sample = pd.DataFrame({self.id: names, self.answer: ""})
        self.test = self.sample[[self.id]]
        self.train_name, self.test_name, self.folders = "", "", (place, labels, folder)
        self.reasons["new"] = f"{len(self.train):,} labelled images and {len(self.sample):,} to predict."
        how = "the folder that an image lies in" if labels == FOLDER else "its name, before the number"
        self.reasons["labels"] = f"The label is {how}: {self.train[self.answer].nunique()} in all."
        return True

    def _labelled(self, inside: Sequence[str]) -> tuple[str, str, pd.DataFrame]:
        """The folder of labelled images, how they are labelled, and the rows."""
        above = {str(p) for name in inside for p in Path(name).parents}
        places = sorted(
            (p for p in above if "test" not in p.lower()), key=lambda p: ("train" not in p.lower(), len(p), p)
        )
        for place in places:
            names = image_names(self.raw / place)
            by_folder = all(name.count("/") == 1 for name in names) and "test" not in " ".join(names).lower()
            for labels in (FOLDER,) if by_folder else (_NAMED,) if not any("/" in n for n in names) else ():
                try:
                    pattern = pattern_of(labels, str(self.answer), place)
                    rows = label_rows(self.raw / place, pattern, str(self.answer), place)
                except (ConfigError, DataError):
                    continue
                if rows[self.answer].nunique() <= len(rows) / 2:
                    return place, labels, rows.rename(columns={"file": self.id})
        raise DataError(
            f"{self.raw} has no training table, and no rule was found that leads from its images to labels.",
            hint="Expected train/<label>/<image>, or names such as label_12.jpg; else write [data] labels by hand.",
        )

    def _unlabelled(self, inside: Sequence[str]) -> str:
        """The folder of images to predict."""
        above = {str(p) for name in inside for p in Path(name).parents if "test" in str(p).lower()}
        if not above:
            raise DataError(
                f"{self.raw} has labelled images and no folder of test images.",
                hint=f"Cut a hidden part: kagglekit arena create {self.raw} --name {self.slug}-practice",
            )
        return min(above, key=lambda p: (len(Path(p).parts), p))

    def _table(self, word: str, wanted: str | None) -> str:
        """The table whose name is `word`, begins with it, or holds it; the shortest name first."""
        others = {"train", "test", "submission"} - {word}
        fits = [t for t in self.tables if word in Path(t).stem.lower()]
        fits = [t for t in fits if word == "submission" or not any(o in Path(t).stem.lower() for o in others)]
        if not fits and wanted:
            raise DataError(
                f"{self.raw} needs {wanted}; it has {preview(self.tables) or 'no CSV file'}.",
                hint="Rename the table that it is, or write the pipeline file by hand.",
            )
        return min(fits, key=lambda t: (not Path(t).stem.lower().startswith(word), len(t), t), default="")

    def _csv(self, name: str) -> pd.DataFrame:
        return read_table(self.raw / name, id_column=self.id, target=self.answer)

    def _find_target(self) -> None:
        self.id, *answers = (str(c) for c in self.sample.columns)
        known = [c for c in answers if c in self.train]
        if len(answers) == 1 and known:
            self.target = answers[0]
            self.reasons["target"] = f"{self.sample_name} asks for it."
        elif len(known) > 1:
            raise DataError(
                f"{self.sample_name} asks for {len(known)} targets ({preview(known)}), and this command knows one.",
                hint="Write the pipeline file by hand: docs/pipeline.md, 'Several targets', has an example.",
            )
        else:
            self.target = self._hidden_target(answers)
        self.wide = len(answers) > 1

    def _hidden_target(self, answers: list[str]) -> str:
        """The column of train that test lacks: its values are the sample's columns, or it is the only one."""
        missing = [str(c) for c in self.train.columns if c != self.id and c not in self.test]
        for column in missing:
            if set(self.train[column].dropna().astype(str)) <= set(answers):
                self.reasons["target"] = f"The columns of {self.sample_name} are its values."
                return column
        if len(missing) == 1 and len(answers) == 1:
            self.reasons["target"] = f"The only column of {self.train_name} that {self.test_name} lacks."
            return missing[0]
        raise DataError(
            f"The target is not clear: {self.sample_name} has the column(s) {preview(answers)}, {self.train_name} has "
            f"{preview(self.train.columns)}.",
            hint="Write the pipeline file by hand: [competition] target = ...",
        )

    def _check(self) -> None:
        for name, frame in (
            (self.train_name, self.train),
            (self.test_name, self.test),
            (self.sample_name, self.sample),
        ):
            if self.id not in frame:
                raise DataError(
                    f"{name} has no column '{self.id}', which is the id in {self.sample_name}; it has "
                    f"{preview(frame.columns)}.",
                    hint="The id column must have one name in all tables.",
                )
            if twice := list(frame.loc[frame[self.id].duplicated(), self.id].unique()):
                raise DataError(
                    f"{name}: the id column '{self.id}' holds each id once, but these repeat: {preview(twice)}.",
                    hint="Is the id made of several columns? Then join them into one first.",
                )
        if missing := int(self.train[self.target].isna().sum()):
            raise DataError(
                f"{self.train_name}: the target '{self.target}' is missing in {missing} of {len(self.train)} rows.",
                hint="Nothing can be learnt from these rows: leave them out in a copy of the file, knowingly.",
            )
        if self.y.nunique() < 2:
            raise DataError(f"{self.train_name}: the target '{self.target}' has one value only: {self.y.iloc[0]!r}.")

    @property
    def y(self) -> pd.Series:
        return self.train[self.target]

    # What is predicted, and how it is scored

    @property
    def _whole(self) -> bool:
        """Whether the target is numbers without fractions."""
        return bool(types.is_numeric_dtype(self.y) and (self.y.astype(float) % 1 == 0).all())

    @property
    def _looks_like_classes(self) -> bool:
        return not types.is_numeric_dtype(self.y) or (self._whole and self.y.nunique() <= _MOST_CLASSES)

    def _metric(self) -> str:
        if self.page_metric and re.search(r"\bdice\b", self.page_metric.lower()):
            raise DataError(
                f"{self.slug} asks for masks, and no model of kagglekit predicts them.",
                hint="Its data lie in the folder now: train a model of your own, and send its file with the kaggle "
                "command. kagglekit.masks writes and reads the run-length text.",
            )
        found = metric_name(self.page_metric) if self.page_metric else None
        if found:
            self.reasons["metric"] = f"The competition's metric: {self.page_metric}."
            return found
        self.guesses.append("metric")
        guess, why = self._guess_metric()
        if self.page_metric:
            why = f"The page says '{self.page_metric}', which kagglekit does not know. {why}"
        self.reasons["metric"] = f"A GUESS: {why} Read the competition's evaluation page. Known: {', '.join(METRICS)}."
        return guess

    def _guess_metric(self) -> tuple[str, str]:
        n = self.y.nunique()
        if not self._looks_like_classes:
            why = f"'{self.target}' holds {n:,} distinct numbers."
            if float(self.y.min()) >= 0 and pd.Series(self.y, dtype=float).to_frame().skew().iloc[0] > 1:
                why += " They are lopsided, so it may well be rmsle."
            return "rmse", why
        if self.wide:
            return "log_loss", "the sample submission has one column for each class."
        answers = self.sample.iloc[:, 1]
        if n == 2 and types.is_float_dtype(answers) and (answers % 1 != 0).any():
            return "roc_auc", "two classes, and the sample submission holds fractions."
        if self._whole and n > 2:
            return (
                "accuracy",
                f"'{self.target}' holds {n} distinct whole numbers; if their order matters, it may be qwk.",
            )
        return "accuracy", f"'{self.target}' holds {n} distinct labels."

    def _task(self, metric: str, images: bool) -> Task:
        needs = get_metric(metric).needs
        if needs == "values":
            if not types.is_numeric_dtype(self.y):
                raise DataError(
                    f"The metric {metric} needs numbers, but '{self.target}' holds {self.y.iloc[0]!r}.",
                    hint="Is it the competition's metric? Name the right one with --metric.",
                )
            low, high = self.y.min(), self.y.max()
            self.reasons["task"] = f"'{self.target}' holds numbers from {low:g} to {high:g}, mean {self.y.mean():g}."
            return "image-regression" if images else "regression"
        counts = self.y.value_counts()
        named = [f"{label} ({n:,})" for label, n in counts.items()]
        self.reasons["task"] = f"{len(counts)} classes: {preview(named, most=12)} of {len(self.y):,} rows."
        return "image-classification" if images else "classification"

    def _form(self, metric: str) -> Form:
        needs = get_metric(metric).needs
        if self.wide:
            self.reasons["form"] = f"{self.sample_name} has {self.sample.shape[1] - 1} columns of answers."
            return "probabilities"
        forms: dict[str, Form] = {"labels": "label", "values": "value", "ranking": "ranking", "positive": "probability"}
        form = forms.get(needs, "probability")
        first = self.sample.iloc[:1, 1].dropna().tolist()
        shown = f"The sample's first row holds {first[0]!r}." if first else "The sample leaves them empty."
        plural = {"ranking": "labels in order of belief", "probability": "probabilities"}.get(form, f"{form}s")
        self.reasons["form"] = f"{metric} is computed from {plural}. {shown}"
        return form

    def _decision(self, metric: str) -> Decision:
        if metric in ("f1", "f1_macro", "mcc") and self.y.nunique() == 2:
            self.reasons["decision"] = (
                f"The best threshold for {metric} is seldom one half. It is fitted on other folds than it is scored on."
            )
            return "threshold"
        if metric != "qwk" or not types.is_integer_dtype(self.y) or self.y.nunique() < 3:
            return "argmax"
        self.reasons["decision"] = (
            "Kappa pays for how far off a label is. So labels are cuts of the expected class, under which every class "
            "gets its share of the training rows; on rows that did not choose the cuts this was measured to beat the "
            'likeliest class ("argmax").'
        )
        return "shares"

    # Rows that belong together

    def _group(self) -> str | None:
        """A column whose values repeat in train and never cross into test, though by chance they would."""
        if self.test is self.sample:
            return None
        found = [(self.train[c].nunique(), str(c)) for c in self._features() if self._keeps_apart(c)]
        if not found:
            return None
        n, column = min(found)
        n_test = self.test[column].nunique()
        self.reasons["group"] = (
            f"'{column}' has {n:,} values in {len(self.train):,} training rows and {n_test:,} others in the test rows: "
            "none is in both. So the test rows are of new groups, and folds must keep a group whole to say the truth."
        )
        return column

    def _keeps_apart(self, column: str) -> bool:
        train, test = self.train[column], self.test[column]
        if types.is_float_dtype(train) or types.is_bool_dtype(train) or train.isna().any() or test.isna().any():
            return False
        if types.is_numeric_dtype(train) and not re.search(r"(^|_)id$|Id$|ID$", column):
            return False
        n, n_test = train.nunique(), test.nunique()
        repeats = n <= len(train) / 2 and n_test <= len(test) / 1.5
        if n < _FEWEST_GROUPS or n_test < _FEWEST_GROUPS or not repeats or _dates(train) is not None:
            return False
        return not set(train.unique()) & set(test.unique())

    def _time(self) -> str | None:
        """A column of dates that are all later in test than in train."""
        if self.test is self.sample:
            return None
        for column in self._features():
            train, test = _dates(self.train[column]), _dates(self.test[column])
            if train is not None and test is not None and test.min() > train.max():
                self.reasons["time"] = (
                    f"'{column}' ends on {train.max():%Y-%m-%d} in the training rows and begins on "
                    f"{test.min():%Y-%m-%d} in the test rows: the future is predicted, so it must be in validation too."
                )
                return column
        return None

    def _features(self) -> list[str]:
        return [c for c in self.train.columns if c in self.test and c not in (self.id, self.target)]

    def _drop(self, group: str | None, time: str | None) -> tuple[str, ...]:
        reasons = {c: why for c in self._features() if c not in (group, time) and (why := self._useless(c))}
        if only := [str(c) for c in self.train.columns if c not in (*self.test.columns, self.target)]:
            self.reasons["only_train"] = f"Not used, because test rows lack them: {preview(only, most=20)}."
        self.reasons["drop"] = " ".join(f"'{c}': {why}." for c, why in reasons.items())
        return tuple(reasons)

    def _useless(self, column: str) -> str:
        values = self.train[column]
        if values.nunique(dropna=False) == 1:
            return f"one value in all {len(values):,} rows"
        # Words may say something even where every row has its own; codes without a space cannot.
        if types.is_numeric_dtype(values) or types.is_bool_dtype(values) or not values.is_unique or values.isna().any():
            return ""
        if values.astype(str).str.contains(r"\s").any() or _dates(values) is not None:
            return ""
        return f"{len(values):,} different codes in {len(values):,} rows, like an id"

    # Images

    def _images(self) -> tuple[str, str] | None:
        if self.folders:
            place, _, folder = self.folders
            self.reasons["train_folder"] = self._sizes(f"{place}/{{{self.id}}}")
            return place, folder
        folders = sorted({p.parent for p in self.raw.rglob("*") if p.suffix.lower() in IMAGES})
        if not folders:
            return None
        below = {f.relative_to(self.raw) for f in folders}
        places = sorted({p.as_posix() for f in below for p in (f, f.parent)})
        train = self._pattern(self.train, [p for p in places if "test" not in p.lower()], [f"{{{self.target}}}/", ""])
        test = self._pattern(self.test, [p for p in places if "train" not in p.lower()], [""])
        if not train or not test:
            which = self.train_name if not train else self.test_name
            self.reasons["images"] = (
                f"There are images, but no rule was found that leads from the rows of {which} to them. If they matter, "
                'set task = "image-..." and write train_images and test_images yourself.'
            )
            return None
        self.reasons["train_images"] = (
            f"All {len(self.train):,} training rows have their file there. {self._sizes(train)}"
        )
        self.reasons["test_images"] = f"All {len(self.test):,} test rows have theirs."
        return train, test

    def _pattern(self, frame: pd.DataFrame, places: Iterable[str], inner: Iterable[str]) -> str | None:
        """The first pattern that names an existing file for every row."""
        names = [c for c in frame.columns if c != self.target and not types.is_float_dtype(frame[c])]
        names = [str(c) for c in sorted(names, key=lambda c: c != self.id) if not set("{}") & set(str(c))]
        for name in names:
            for place in places:
                for middle in inner:
                    for ending in ("", *IMAGES):
                        pattern = f"{place}/{middle}{{{name}}}{ending}".removeprefix("./")
                        if self._all_there(frame, pattern):
                            return pattern
        return None

    def _paths(self, frame: pd.DataFrame, pattern: str) -> list[Path]:
        columns = re.findall(r"\{([^{}]+)\}", pattern)
        return [self.raw / pattern.format_map(row) for row in frame[columns].astype(str).to_dict("records")]

    def _all_there(self, frame: pd.DataFrame, pattern: str) -> bool:
        return all(path.suffix.lower() in IMAGES and path.is_file() for path in self._paths(frame, pattern))

    def _sizes(self, pattern: str) -> str:
        """What the first few hundred images measure; reading a header takes no time."""
        if importlib.util.find_spec("PIL") is None:
            return ""
        from PIL import Image, UnidentifiedImageError

        sizes: list[tuple[int, int]] = []
        for path in self._paths(self.train.head(300), pattern):
            try:
                with Image.open(path) as image:
                    sizes.append(image.size)
            except (UnidentifiedImageError, OSError):
                continue  # `prepare` names every damaged file
        if not sizes:
            return ""
        self.square = all(width == height for width, height in sizes)
        self.image_size = usual = max(sorted(set(sizes)), key=sizes.count)
        return f"{sizes.count(usual)} of the first {len(sizes)} are {usual[0]} wide and {usual[1]} high."

    # Folds

    def _folds(self, task: Task, group: str | None, time: str | None) -> tuple[str, int]:
        if time:
            self.reasons["folds"] = "Fit on the past, score the next stretch of time."
            return "time", 5
        classes = task.endswith("classification")
        rarest = int(self.y.value_counts().min()) if classes else len(self.y)
        n = max(2, min(5, rarest))
        if group:
            self.reasons["folds"] = f"No '{group}' is fitted on and scored at once."
            return ("stratified-group" if classes else "group"), max(2, min(5, self.train[group].nunique()))
        if not classes:
            self.reasons["folds"] = f"Stratified over bins of '{self.target}': every fold has low and high values."
            return "stratified", 5
        self.reasons["folds"] = f"Every fold has each class in proportion; the rarest has {rarest:,} rows."
        return "stratified", n


def _dates(values: pd.Series) -> pd.Series | None:
    """The values as dates, when they are text that all reads as dates."""
    if (
        types.is_numeric_dtype(values)
        or not values.head(20).astype(str).str.match(r"\d{4}-\d\d?-\d\d?|\d\d?/\d\d?/\d{4}").all()
    ):
        return None
    try:
        return pd.to_datetime(values, utc=True)
    except ValueError:
        return None
