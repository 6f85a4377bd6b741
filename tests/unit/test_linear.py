from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kagglekit.models.linear import LinearClassifier, LinearRegressor


def rows(seed: int = 0, n: int = 500) -> pd.DataFrame:
    r = np.random.default_rng(seed)
    return pd.DataFrame({**{f"x{i}": r.normal(size=n) for i in range(4)}, "side": r.choice(["left", "right"], n)})


def explained(settings: dict[str, int], target: str) -> float:
    fit, new = rows(), rows(1)
    formulas = {
        "bent": lambda X: np.sin(2 * X["x0"]),
        "product": lambda X: X["x0"] * X["x1"],
        "switched": lambda X: X["x2"] * (X["side"] == "left"),
    }
    model = LinearRegressor(**settings).fit(fit, formulas[target](fit))
    left = formulas[target](new) - model.predict(new)
    return 1 - left.var() / formulas[target](new).var()


@pytest.mark.parametrize("target", ["product", "switched"])
def test_products_are_found_that_columns_alone_do_not_explain(target: str) -> None:
    assert explained({}, target) < 0.6
    assert explained({"interactions": 3}, target) > 0.98


def test_splines_bend() -> None:
    assert explained({}, "bent") < 0.5
    assert explained({"splines": 6}, "bent") > 0.9


def test_a_class_that_depends_on_a_product_is_told() -> None:
    fit, new = rows(), rows(1)
    label = {name: (X["x0"] * X["x1"] > 0).map({True: "same", False: "other"}) for name, X in (("a", fit), ("b", new))}
    plain, products = (LinearClassifier(interactions=n).fit(fit, label["a"]) for n in (0, 2))
    assert (plain.predict(new) == label["b"]).mean() < 0.65
    assert (products.predict(new) == label["b"]).mean() > 0.9


def test_values_beyond_the_fit_rows_follow_a_line() -> None:
    model = LinearRegressor(splines=5).fit(rows(), rows()["x0"])
    far = rows().head(3).assign(x0=[10.0, 20.0, 30.0], side="left", x1=0.0, x2=0.0, x3=0.0)
    steps = np.diff(model.predict(far))
    assert steps[0] == pytest.approx(steps[1])
