from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kagglekit.errors import MissingExtra
from kagglekit.models import registry

each_net = pytest.mark.parametrize("name", ["fastai-tabular", "tabm"])
SMALL: dict[str, dict[str, Any]] = {"fastai-tabular": {"layers": [16]}, "tabm": {"k": 4, "d_block": 32, "n_bins": 8}}


def rows(n: int = 240, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Columns of the names that fastai gives to attributes of its own."""
    r = np.random.default_rng(seed)
    X = pd.DataFrame({"c": r.normal(size=n), "y": r.choice(list("uvw"), n), "classes": r.integers(0, 3, n)})
    return X, X["c"] ** 2 + (X["y"] == "u")


def built(name: str, task: str = "regression", **params: Any) -> Any:
    return registry.build(name, {**SMALL[name], "device": "cpu", **params}, task=task, seed=0)


@each_net
def test_it_learns_a_curve_that_a_line_cannot(name: str) -> None:
    X, y = rows()
    model = built(name, epochs=30, lr=1e-2).fit(X, y)
    new, truth = rows(seed=1)
    assert ((model.predict(new) - truth) ** 2).mean() < 0.5 * truth.var()


@each_net
def test_the_best_epoch_on_the_rows_handed_in_predicts(name: str) -> None:
    X, _ = rows()
    noise = pd.Series(np.random.default_rng(2).choice(["a", "b"], len(X)), index=X.index)
    model = built(name, "classification", epochs=40, lr=2e-2, early_stopping_epochs=3)
    model.fit(X.head(160), noise.head(160), eval_set=(X.tail(80), noise.tail(80)))
    # Labels are chance, so that to learn more is to know less of other rows.
    assert model.epochs_ < 40
    assert model.predict_proba(X.tail(80)).max() < 0.95


@each_net
def test_numbers_far_beyond_the_fit_rows_stay_in_reach(name: str) -> None:
    X, y = rows()
    found = built(name, epochs=2).fit(X, y).predict(X.assign(c=1e9))
    reach = (y.max() - y.min()) / 2
    assert found.max() <= y.max() + reach


def test_a_table_without_numbers_or_without_levels_is_fitted() -> None:
    X, y = rows()
    for name in SMALL:
        for columns in (["y"], ["c"]):
            assert np.isfinite(built(name, epochs=1).fit(X[columns], y).predict(X[columns])).all()


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tabm", None)
    X, y = rows()
    with pytest.raises(MissingExtra, match=r"kagglekit\[nets\]"):
        built("tabm").fit(X, y)


@each_net
def test_a_flag_of_a_single_row_does_no_harm(name: str) -> None:
    X, y = rows()
    X["flag"] = (np.arange(len(X)) == 7).astype(float)
    assert np.isfinite(built(name, epochs=1).fit(X, y).predict(X)).all()
