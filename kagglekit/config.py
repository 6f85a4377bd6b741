"""A pipeline file: facts of a competition, folds, experiments and ensembles, checked on reading.

One experiment states one hypothesis (`why`) and, through `based_on`, one change to its parent. Unknown keys and wrong
types are refused with the nearest valid name; nothing is guessed and nothing is ignored.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kagglekit.calibration import Method
from kagglekit.cleaning import Correction, read_corrections
from kagglekit.contracts import Decision, Form, Label, Task, form_of_several
from kagglekit.errors import ConfigError, KagglekitError, UsageError, nearest
from kagglekit.metrics import get_metric
from kagglekit.recipes import Recipes
from kagglekit.rungs import COMMON, Ladder, read_ladder
from kagglekit.spaces import Space, read_space

__all__ = [
    "CheckMethod",
    "CheckParams",
    "CompetitionTable",
    "DataTable",
    "EnsembleTable",
    "Experiment",
    "FoldsTable",
    "Pipeline",
    "load_pipeline",
]

CheckParams = Callable[[str, Mapping[str, Any], str], dict[str, Any]]
"""(model, params, task) -> params with their types checked; raises ConfigError."""

CheckMethod = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""(method, params) -> params with their types checked; raises ConfigError."""

RefitRule = Literal["never", "small", "always"]
"""Whether models that stopped early are fitted again on all fit rows."""

_T = TypeVar("_T", bound=BaseModel)
_SMALL = 10_000  # rows: beyond, those that early stopping watches are hardly missed, and a second fit costs minutes


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CompetitionTable(_Table):
    """`[competition]`: see `kagglekit.contracts.Competition` for the meaning of each key."""

    slug: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    task: Task
    metric: str
    id: str
    target: str | list[str]
    form: Form | None = None
    classes: list[Label] = Field(default_factory=list)
    group: str | None = None
    time: str | None = None
    decision: Decision = "argmax"

    @property
    def target_columns(self) -> list[str]:
        """The columns of the training table that are predicted."""
        return [self.target] if isinstance(self.target, str) else self.target

    @property
    def has_several(self) -> bool:
        return len(self.target_columns) > 1


class DataTable(_Table):
    """`[data]`: where things lie inside the competition's download.

    `train_images` and `test_images` are patterns whose `{column}` parts are filled from the row, such as
    `"train_images/{label}/{image_id}"`. Where a competition has no test table, `test` is the sample submission.

    Where there is no training table either, `train_folder` holds labelled images: `labels` is "folder" (the name of the
    folder that an image lies in) or a regular expression that its name matches. `test_folder` holds those to predict.
    """

    train: str = "train.csv"
    test: str = "test.csv"
    sample: str = "sample_submission.csv"
    train_images: str | None = None
    test_images: str | None = None
    train_folder: str | None = None
    labels: str | None = None
    test_folder: str | None = None
    drop: list[str] = Field(default_factory=list)


class FoldsTable(_Table):
    """`[folds]`: how training rows are cut for validation.

    `groups` is a file beside the pipeline file, with the columns id and group: rows of one group stay in one fold.
    """

    scheme: Literal["kfold", "stratified", "group", "stratified-group", "time"] = "kfold"
    n: int = Field(default=5, ge=1, le=100)
    seed: int = 42
    repeats: int = Field(default=1, ge=1, le=50)
    groups: str | None = Field(default=None, pattern=r"^[^/\\]+\.csv$")


class EnsembleTable(_Table):
    """`[ensembles.NAME]`: which runs are combined, and how.

    Members are experiments or other ensembles. `params` are the method's own settings, keys of the table itself.
    `mixed_folds` lets members in that were validated on other folds than now in use.
    """

    why: str = ""
    members: Literal["all"] | list[str] = Field(default="all", min_length=1)
    method: str = "greedy"
    mixed_folds: bool = False
    params: dict[str, Any] = Field(default_factory=dict)


class _ExperimentTable(_Table):
    """The keys that every experiment has; the rest are its model's own parameters."""

    why: str = Field(min_length=1)
    model: str
    based_on: str | None = None
    seed: int = 42
    columns: list[str] | None = Field(default=None, min_length=1)
    drop: list[str] = Field(default_factory=list)
    target_transform: Literal["none", "log1p", "log"] = "none"
    validation: Literal["folds", "oob"] = "folds"
    bags: int = Field(default=0, ge=0, le=1000)
    features: str | None = None
    seeds: int = Field(default=1, ge=1, le=100)
    calibrate: Method = "none"
    keep_tta: Literal["if-better", "always"] = "if-better"
    pseudo: str | None = None
    pseudo_share: float = Field(default=0.5, gt=0, le=1)
    pseudo_weight: float = Field(default=1.0, gt=0, le=1)
    recent: float | None = Field(default=None, gt=0, lt=1)
    refit: RefitRule = "never"
    cleaning: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]*\.csv$")
    extra_targets: list[str] = Field(default_factory=list)
    extra_weights: list[float] = Field(default_factory=list)
    keep_models: bool = False
    optional: bool = False


Offer = Callable[[CompetitionTable], Mapping[str, Mapping[str, Any]]]
"""facts -> tables of experiments by name."""


@dataclass(frozen=True)
class Experiment:
    """One hypothesis and the settings that test it.

    Parameters
    ----------
    name, why : str
    model : str
        A name of `kagglekit.models.registry`, or the import path of a scikit-learn estimator.
    params : mapping
        The model's own parameters; only those that were set.
    based_on : str, optional
        The experiment that this one changes.
    seed : int
    columns, drop
        Columns to use (all when None), and columns to leave out.
    target_transform : {"none", "log1p", "log"}
    validation : {"folds", "oob"}
        Out-of-fold predictions from every fold, or out-of-bag ones from a single fit.
    bags : int
        Fits of the model on drawn rows, averaged (`kagglekit.models.bagging`); 0 is the model alone.
    features : Recipes, optional
        Columns that are made on the fit rows, in front of the model (`kagglekit.models.features`).
    features_name : str
        The table of the pipeline file that they stand in; "" for none.
    seeds : int
        Models of other seeds on the same rows, averaged.
    calibrate : {"none", "temperature", "clip"}
        How probabilities are mended once all folds are there (`kagglekit.calibration`).
    keep_tta : {"if-better", "always"}
        Whether predictions that look at each image in several views must beat plain ones on other folds' rows
        (`kagglekit.scoring.kept_if_better`).
    pseudo : Experiment, optional
        The experiment whose models label test rows that are fitted on besides: those of fold k by its fold-k model.
    pseudo_share : float
        The share of test rows that are labelled so, those with the surest labels.
    pseudo_weight : float
        What such a row counts for, against 1 for a training row.
    recent : float, optional
        Share of the fit rows that are fitted on: the latest ones. None takes all.
    refit : {"never", "small", "always"}
        Whether a model that stopped early is fitted again on all fit rows, those that it watched too, for as long;
        "small" does so on tables of up to 10,000 rows.
    cleaning : tuple of (id, label)
        Labels that fit rows get instead of the given ones; see `kagglekit.cleaning`.
    cleaning_file : str
        The file beside the pipeline file that they were read from; "" for none.
    extra_targets : tuple of str
        Columns of the training table that an image model learns beside the target, with a head for each; never inputs.
    extra_weights : tuple of float
        Of their losses, beside 1 for the target; empty for 1 each.
    keep_models : bool
        Whether fitted image models are kept with the run; it decides no result, and so is none of the settings.
    optional : bool
        Left out of `kagglekit submit` until it has been trained by name: larger models wait for a person's decision.
    offered : bool
        It comes from a portfolio that is shipped with kagglekit, not from the pipeline file.
    """

    name: str
    why: str
    model: str
    params: Mapping[str, Any]
    based_on: str | None = None
    seed: int = 42
    columns: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    target_transform: str = "none"
    validation: str = "folds"
    bags: int = 0
    features: Recipes | None = None
    features_name: str = ""
    seeds: int = 1
    calibrate: Method = "none"
    keep_tta: Literal["if-better", "always"] = "if-better"
    pseudo: Experiment | None = None
    pseudo_share: float = 0.5
    pseudo_weight: float = 1.0
    recent: float | None = None
    refit: RefitRule = "never"
    cleaning: tuple[Correction, ...] = ()
    cleaning_file: str = ""
    extra_targets: tuple[str, ...] = ()
    extra_weights: tuple[float, ...] = ()
    keep_models: bool = False
    optional: bool = False
    offered: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides the result: plain JSON values, without the words around it."""
        settings = {
            "model": self.model,
            "params": dict(self.params),
            "seed": self.seed,
            "columns": None if self.columns is None else list(self.columns),
            "drop": list(self.drop),
            "target_transform": self.target_transform,
            "validation": self.validation,
        }
        # Absent where unset: runs that were stored before there were such keys keep their ids.
        own = {
            "bags": self.bags,
            "recent": self.recent,
            "refit": self.refit if self.refit != "never" else "",
            "cleaning": [list(correction) for correction in self.cleaning],
            "features": self.features.plain if self.features else {},
            "seeds": self.seeds if self.seeds > 1 else 0,
            "calibrate": self.calibrate if self.calibrate != "none" else "",
            "extra_targets": list(self.extra_targets),
            "extra_weights": list(self.extra_weights),
            "keep_tta": self.keep_tta if self.keep_tta != "if-better" else "",
            "pseudo": {**self.pseudo.settings, **self.pseudo_drawing} if self.pseudo else {},
        }
        return settings | {key: value for key, value in own.items() if value}

    def refits(self, n_rows: int) -> bool:
        """Whether models are fitted again on a training table of so many rows, once they have stopped early."""
        return self.refit == "always" or (self.refit == "small" and n_rows <= _SMALL)

    @property
    def pseudo_drawing(self) -> dict[str, float]:
        """How many test rows are taken, and what they count for where they do not count in full."""
        weight = {"weight": self.pseudo_weight} if self.pseudo_weight < 1 else {}
        return {"share": self.pseudo_share} | weight

    @property
    def _named_settings(self) -> dict[str, Any]:
        """Settings without the model's own; recipes are told by their name, so that a change of them is one change."""
        named = {k: v for k, v in self.settings.items() if k != "params"}
        if "features" in named and self.features_name:
            named["features"] = self.features_name
        if self.pseudo is not None:
            named |= {"pseudo": self.pseudo.name}
            named |= {f"pseudo_{key}": value for key, value in self.pseudo_drawing.items()}
        return named

    def changes(self, parent: Experiment) -> dict[str, tuple[Any, Any]]:
        """What this experiment changes: key -> (parent's value, own value); None stands for "not set"."""
        flat = [{**e._named_settings, **e.params} for e in (parent, self)]
        keys = sorted(flat[0].keys() | flat[1].keys())
        return {k: (flat[0].get(k), flat[1].get(k)) for k in keys if flat[0].get(k) != flat[1].get(k)}


@dataclass(frozen=True)
class Pipeline:
    """A checked pipeline file."""

    competition: CompetitionTable
    data: DataTable
    folds: FoldsTable
    experiments: Mapping[str, Experiment]
    ensembles: Mapping[str, EnsembleTable]
    path: Path
    searches: Mapping[str, Space] = field(default_factory=dict)
    ladder: Ladder | None = None

    @property
    def form(self) -> Form:
        """The submission form: as stated, or the metric's usual one."""
        if self.competition.form is not None:
            return self.competition.form
        needs = get_metric(self.competition.metric).needs
        usual: dict[str, Form] = {
            "labels": "label",
            "positive": "probability",
            "ranking": "ranking",
            "values": "value",
        }
        if needs == "columns":
            return form_of_several(self.competition.metric)
        return usual.get(needs, "probability" if len(self.competition.classes) == 2 else "probabilities")

    def experiment(self, name: str) -> Experiment:
        """An experiment by name.

        Raises
        ------
        UsageError
            There is none of that name.
        """
        if name not in self.experiments:
            raise UsageError(f"{self.path} has no experiment '{name}'.", hint=nearest(name, self.experiments))
        return self.experiments[name]


def load_pipeline(
    path: Path,
    *,
    check_params: CheckParams,
    check_method: CheckMethod | None = None,
    overrides: Sequence[str] = (),
    offered: Offer | None = None,
) -> Pipeline:
    """Read and check a pipeline file.

    Parameters
    ----------
    path : Path
    check_params : callable
        Checks a model's own parameters; the registry's `check`.
    check_method : callable, optional
        Checks a blend method and its own settings; that of `blend.methods`. Without it, methods are not looked at and
        have no settings.
    overrides : sequence of str
        `table.key=value` settings that win over the file, the value in TOML: `folds.n=3`.
    offered : callable, optional
        Experiments that come with kagglekit, by the facts of the competition. They lie below the file's own: a table of
        the file with the same name wins.

    Raises
    ------
    ConfigError
        The file is not TOML, or says something that cannot be.
    """
    raw = _read(path)
    for override in overrides:
        _apply(raw, override)
    known = ("competition", "data", "folds", "features", "experiments", "ensembles", "search", "ladder")
    _refuse_unknown(raw, known, f"{path}")
    for key in ("features", "experiments", "ensembles", "search"):
        if not isinstance(raw.setdefault(key, {}), dict):
            raise ConfigError(f"{path}: {key} must be tables such as [{key}.NAME], got {raw[key]!r}.")
    competition = _validate(CompetitionTable, raw.get("competition", {}), f"{path} [competition]")
    _check_metric(competition, path)
    shipped = offered(competition) if offered else {}
    tables = {**raw["experiments"], **{n: t for n, t in shipped.items() if n not in raw["experiments"]}}
    recipes = {name: _validate(Recipes, table, f"{path} [features.{name}]") for name, table in raw["features"].items()}
    experiments = {
        name: replace(
            _experiment(name, tables, recipes, competition, check_params, path),
            offered=name not in raw["experiments"],
        )
        for name in tables
    }
    pipeline = Pipeline(
        competition=competition,
        data=_validate(DataTable, raw.get("data", {}), f"{path} [data]"),
        folds=_validate(FoldsTable, raw.get("folds", {}), f"{path} [folds]"),
        experiments=experiments,
        ensembles={
            name: _ensemble(table, check_method, f"{path} [ensembles.{name}]")
            for name, table in raw.get("ensembles", {}).items()
        },
        path=path,
        searches={
            name: _search(name, table, experiments, competition, check_params, f"{path} [search.{name}]")
            for name, table in raw["search"].items()
        },
        ladder=_ladder(raw, experiments, competition, check_params, path),
    )
    _check_ensembles(pipeline)
    return pipeline


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no pipeline file {path}.", hint=f"Make one: kagglekit new {path.parent.name}"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text.", hint="Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", hint="Mend that line.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error


def _check_metric(facts: CompetitionTable, path: Path) -> None:
    metric = get_metric(facts.metric)
    if metric.needs == "masks" or facts.task == "image-segmentation":
        raise ConfigError(
            f"{path}: no model of kagglekit predicts masks.",
            hint="Download the data, train a model of your own, and send its file with the kaggle command.",
        )
    if isinstance(facts.target, list) and not facts.has_several:
        raise ConfigError(f"{path}: target is a list of {len(facts.target)}.", hint='Write one target as target = "a".')
    needs = metric.of_one_target.needs
    wants_classes = needs != "values" and not metric.ordinal
    if wants_classes and facts.task.endswith("regression"):
        raise ConfigError(f"{path}: metric '{metric.name}' scores classes, but the task is '{facts.task}'.")
    if needs == "values" and facts.task.endswith("classification"):
        raise ConfigError(f"{path}: metric '{metric.name}' scores numbers, but the task is '{facts.task}'.")


def _apply(raw: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    *tables, key = dotted.strip().split(".")
    if not equals or not tables:
        raise ConfigError(f"--set takes table.key=value, got '{override}'.", hint="For example: --set folds.n=3")
    table = raw
    for depth, part in enumerate(tables):
        if not isinstance(table.get(part), dict):
            if depth == 0 and part in ("data", "folds"):
                table[part] = {}
            else:
                raise ConfigError(f"--set {dotted}: there is no table '{part}'.", hint=nearest(part, table))
        table = table[part]
    table[key] = _toml_value(text.strip())


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text  # a bare word: --set experiments.a.resize=crop


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise ConfigError(f"{where}: unknown key '{key}'.", hint=nearest(key, known))


def _validate(model: type[_T], table: Any, where: str) -> _T:
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table, got {table!r}.")
    _refuse_unknown(table, list(model.model_fields), where)
    try:
        return model.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else "table"
        if first["type"] == "missing":
            raise ConfigError(f"{where}: the key '{key}' is missing.", hint=f"Add it: {key} = ...") from error
        raise ConfigError(f"{where}: {key} = {table.get(key)!r}: {_sentence(first['msg'])}") from error


def _sentence(message: str) -> str:
    return message[0].lower() + message[1:].rstrip(".") + "."


def _experiment(
    name: str,
    tables: Mapping[str, Any],
    recipes: Mapping[str, Recipes],
    facts: CompetitionTable,
    check_params: CheckParams,
    path: Path,
) -> Experiment:
    where = f"{path} [experiments.{name}]"
    merged = _inherit(name, tables, where, seen=())
    common = {key: value for key, value in merged.items() if key in _ExperimentTable.model_fields}
    params = {key: value for key, value in merged.items() if key not in common}
    if "model" not in common:
        raise ConfigError(f"{where}: the key 'model' is missing.", hint='For example: model = "forest"')
    if get_metric(facts.metric).of_one_target.name == "rmsle":  # the rmse of logarithms: models should fit those
        common.setdefault("target_transform", "log1p")
    table = _validate(_ExperimentTable, common, where)
    _check_common(table, facts, where)
    try:
        checked = check_params(table.model, params, facts.task)
    except ConfigError as error:
        hint = error.hint
        for key in params:  # a typo in a common key looks like an unknown parameter of the model
            if f"'{key}'" in error.message and "Did you mean" not in hint:
                hint = nearest(key, [*_ExperimentTable.model_fields])
                hint = hint if "Did you mean" in hint else error.hint
        raise ConfigError(f"{where}: {error.message}", hint=hint) from error
    return Experiment(
        name=name,
        why=table.why,
        model=table.model,
        params=checked,
        based_on=table.based_on,
        seed=table.seed,
        columns=None if table.columns is None else tuple(table.columns),
        drop=tuple(table.drop),
        target_transform=table.target_transform,
        validation=table.validation,
        bags=table.bags,
        features=_recipes(table.features, recipes, where),
        features_name=table.features or "",
        seeds=table.seeds,
        calibrate=table.calibrate,
        keep_tta=table.keep_tta,
        pseudo=_labeller(table, name, tables, recipes, facts, check_params, path),
        pseudo_share=table.pseudo_share,
        pseudo_weight=table.pseudo_weight,
        recent=table.recent,
        refit=table.refit,
        cleaning=_corrections(table, facts, path, where),
        cleaning_file=table.cleaning or "",
        extra_targets=tuple(table.extra_targets),
        extra_weights=tuple(table.extra_weights),
        keep_models=table.keep_models,
        optional=table.optional,
    )


def _check_common(table: _ExperimentTable, facts: CompetitionTable, where: str) -> None:
    """Refuse keys that contradict each other or the task."""
    _check_extras(table, facts, where)
    if facts.has_several:
        _check_several(table, where)
    if table.calibrate != "none" and not facts.task.endswith("classification"):
        raise ConfigError(f"{where}: calibrate is for probabilities, and the task is '{facts.task}'.")
    if table.validation == "oob" and table.seeds > 1:
        raise ConfigError(f"{where}: out of bag, more seeds are more bags.", hint="Raise bags instead of seeds.")
    if table.validation == "oob" and table.pseudo is not None:
        raise ConfigError(
            f'{where}: pseudo needs validation = "folds": each fold\'s test labels come from models that never saw it.'
        )


def _check_extras(table: _ExperimentTable, facts: CompetitionTable, where: str) -> None:
    names, weights = table.extra_targets, table.extra_weights
    if not names and not weights:
        return
    if weights and len(weights) != len(names):
        raise ConfigError(f"{where}: extra_weights needs one number for each of {len(names)} extra_targets.")
    if any(not weight > 0 for weight in weights):
        raise ConfigError(f"{where}: extra_weights must be above 0, got {weights}.")
    if twice := [name for name in names if names.count(name) > 1 or name in facts.target_columns]:
        raise ConfigError(f"{where}: extra_targets names '{twice[0]}' twice, or it is the target.")
    if table.model != "timm":
        raise ConfigError(f"{where}: extra_targets is for model = \"timm\", got '{table.model}'.")
    if table.features:
        raise ConfigError(f"{where}: extra_targets does not go with features; leave those out.")


def _check_several(table: _ExperimentTable, where: str) -> None:
    """Refuse what is made for one target."""
    unfit = {
        "calibrate": table.calibrate != "none",
        "cleaning": table.cleaning is not None,
        "pseudo": table.pseudo is not None,
        "validation": table.validation != "folds",
    }
    if used := [key for key, is_used in unfit.items() if is_used]:
        raise ConfigError(f"{where}: {used[0]} is for one target, and [competition] has several; leave it out.")


def _labeller(
    table: _ExperimentTable,
    name: str,
    tables: Mapping[str, Any],
    recipes: Mapping[str, Recipes],
    facts: CompetitionTable,
    check_params: CheckParams,
    path: Path,
) -> Experiment | None:
    """The experiment that labels test rows."""
    if table.pseudo is None:
        return None
    where = f"{path} [experiments.{name}]"
    seen = [name]
    labeller: str | None = table.pseudo
    while labeller is not None:
        if labeller not in tables:
            raise ConfigError(f"{where}: pseudo = '{labeller}' is no experiment.", hint=nearest(labeller, tables))
        if labeller in seen:
            raise ConfigError(f"{where}: pseudo goes in a circle: {' -> '.join([*seen, labeller])}.")
        seen.append(labeller)
        labeller = _inherit(labeller, tables, where, ()).get("pseudo")
    found = _experiment(table.pseudo, tables, recipes, facts, check_params, path)
    if found.validation != "folds":
        raise ConfigError(f"{where}: pseudo = '{found.name}' has no models of folds.", hint="Name one that has.")
    return found


def _recipes(name: str | None, recipes: Mapping[str, Recipes], where: str) -> Recipes | None:
    if name is None:
        return None
    if name not in recipes:
        raise ConfigError(f"{where}: there is no table [features.{name}].", hint=nearest(name, recipes))
    return recipes[name]


def _corrections(table: _ExperimentTable, facts: CompetitionTable, path: Path, where: str) -> tuple[Correction, ...]:
    if table.cleaning is None:
        return ()
    if table.validation == "oob":
        raise ConfigError(
            f'{where}: cleaning needs validation = "folds": out of bag, rows are scored on what they are fitted on, '
            "and scores must stay on the labels as given."
        )
    numeric = facts.task.endswith("regression")
    try:
        return read_corrections(
            path.parent / table.cleaning, id_column=facts.id, target=facts.target_columns[0], numeric=numeric
        )
    except KagglekitError as error:
        raise ConfigError(f"{where} cleaning: {error.message}", hint=error.hint) from error


def _inherit(name: str, tables: Mapping[str, Any], where: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """The table with its parent's keys below it; a change of model takes only the keys that all models share."""
    own = tables[name]
    if not isinstance(own, dict):
        raise ConfigError(f"{where} must be a table, got {own!r}.")
    parent = own.get("based_on")
    if parent is None:
        return dict(own)
    if parent not in tables:
        raise ConfigError(f"{where}: based_on = '{parent}' is no experiment.", hint=nearest(str(parent), tables))
    if parent in (*seen, name):
        raise ConfigError(f"{where}: based_on goes in a circle: {' -> '.join([*seen, name, parent])}.")
    base = _inherit(parent, tables, where, (*seen, name))
    if "model" in own and own["model"] != base.get("model"):
        base = {key: value for key, value in base.items() if key in _ExperimentTable.model_fields}
    # The hypothesis and the decision to wait are each experiment's own.
    return {k: v for k, v in base.items() if k not in ("why", "optional", "based_on")} | own


def _search(
    name: str,
    table: Any,
    experiments: Mapping[str, Experiment],
    facts: CompetitionTable,
    check_params: CheckParams,
    where: str,
) -> Space:
    if name not in experiments:
        raise ConfigError(f"{where}: there is no experiment '{name}'.", hint=nearest(name, experiments))
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table of settings to search, got {table!r}.")

    def check(setting: str, value: Any) -> Any:
        try:
            return check_params(experiments[name].model, {setting: value}, facts.task)[setting]
        except ConfigError as error:
            raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error

    return read_space(table, check, where)


def _ladder(
    raw: Mapping[str, Any],
    experiments: Mapping[str, Experiment],
    facts: CompetitionTable,
    check_params: CheckParams,
    path: Path,
) -> Ladder | None:
    if "ladder" not in raw:
        return None

    def check(experiment: str, setting: str, value: Any) -> Any:
        model = experiments[experiment].model
        if setting not in COMMON:
            return check_params(model, {setting: value}, facts.task)[setting]
        if setting == "extra_targets" and model != "timm":
            raise ConfigError(f"extra_targets is for model = \"timm\", got '{model}'.")
        return getattr(_validate(_ExperimentTable, {"why": "-", "model": model, setting: value}, "its value"), setting)

    found = read_ladder(raw["ladder"], [*experiments, *raw["ensembles"]], check, f"{path} [ladder]")
    if found.start not in experiments or experiments[found.start].validation == "oob":
        raise ConfigError(
            f"{path} [ladder]: start = '{found.start}' has no folds to be compared on.",
            hint='Name an experiment with validation = "folds".',
        )
    return found


def _ensemble(table: Any, check_method: CheckMethod | None, where: str) -> EnsembleTable:
    known = [key for key in EnsembleTable.model_fields if key != "params"]
    own = table if isinstance(table, dict) else {}
    params = {key: value for key, value in own.items() if key not in known}
    if params and check_method is None:
        _refuse_unknown(own, known, where)
    common = {key: value for key, value in own.items() if key in known} if own else table
    found = _validate(EnsembleTable, common, where)
    if check_method is None:
        return found
    try:
        return found.model_copy(update={"params": check_method(found.method, params)})
    except ConfigError as error:
        hint = next((nearest(k, known) for k in params if f"'{k}'" in error.message), "")
        raise ConfigError(f"{where}: {error.message}", hint=hint if "Did you mean" in hint else error.hint) from error


def _check_ensembles(pipeline: Pipeline) -> None:
    known = {**pipeline.experiments, **pipeline.ensembles}
    for name in pipeline.ensembles:
        where = f"{pipeline.path} [ensembles.{name}]"
        if name in pipeline.experiments:
            raise ConfigError(f"{where}: an experiment has the same name.", hint="Runs go by name: choose another.")
        for member in _named_members(pipeline, name):
            if member not in known:
                raise ConfigError(
                    f"{where}: member '{member}' is no experiment and no ensemble.", hint=nearest(member, known)
                )
        _check_circle(pipeline, name, (), where)


def _named_members(pipeline: Pipeline, name: str) -> list[str]:
    table = pipeline.ensembles.get(name)
    return [] if table is None or table.members == "all" else list(table.members)


def _check_circle(pipeline: Pipeline, name: str, seen: tuple[str, ...], where: str) -> None:
    if name in seen:
        raise ConfigError(f"{where}: members go in a circle: {' -> '.join([*seen, name])}.")
    for member in _named_members(pipeline, name):
        _check_circle(pipeline, member, (*seen, name), where)
