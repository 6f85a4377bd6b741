"""Metrics as competition pages spell them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kagglekit.metrics import COLUMNWISE, METRICS

__all__ = ["metric_name"]

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

# Before another metric's name these make it a metric of its own, that kagglekit does not know.
_OTHERWISE = ("balanced", "micro", "partial", "weighted")

# What a mean over columns of this metric is called, where it is called otherwise.
_MEANS = {"f1_macro": "f1"}


def metric_name(words: str, *, several: bool = False) -> str | None:
    """kagglekit's name for a metric as a competition page spells it; None when it has none.

    "Balanced Accuracy" is not accuracy, so it has none. Of several targets it is the mean over columns, which not every
    page says.

    >>> metric_name("Categorization Accuracy")
    'accuracy'
    >>> metric_name("MAP@{K} with K = 5")
    'map@5'
    >>> metric_name("Mean column-wise root mean squared error", several=True), metric_name("QWK", several=True)
    ('columnwise_rmse', None)
    """
    found = _of_one_target(words)
    if not several or found is None:
        return found
    name = f"columnwise_{_MEANS.get(found, found)}"
    return name if name in COLUMNWISE else None


def _of_one_target(words: str) -> str | None:
    if words in METRICS:
        return words
    plain = re.sub(r"[^a-z0-9]", "", words.lower())
    if "meanaverageprecision" in plain or plain.startswith("map"):
        k = re.search(r"\d+", plain)
        return f"map@{int(k[0])}" if k and int(k[0]) else None
    name, spelling = next(((n, s) for n, spellings in _SPELLINGS for s in spellings if s in plain), (None, ""))
    other = name != "qwk" and any(word in plain.replace(spelling, "") for word in _OTHERWISE)
    return None if other else name
