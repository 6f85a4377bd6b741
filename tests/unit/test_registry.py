from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from kagglekit.errors import ConfigError
from kagglekit.models.registry import MODELS, build, check, model_names, parameters
from kagglekit.signatures import typed


class Vague(ClassifierMixin, BaseEstimator):
    """A classifier with neither probabilities nor scores."""

    def fit(self, X: Any, y: Any) -> Vague:
        return self


TABULAR = [(m, t) for m, paths in MODELS.items() for t in paths if not m.startswith("timm")]


@pytest.mark.parametrize(("model", "task"), TABULAR)
def test_every_setting_has_a_type_and_a_default_and_passes_its_own_check(model: str, task: str) -> None:
    known = parameters(model, task)
    defaults = {name: p.default for name, p in known.items()}
    assert inspect.Parameter.empty not in defaults.values()
    assert Any not in [p.annotation for p in known.values()]
    assert check(model, defaults, task) == defaults


def test_settings_are_the_signature_without_the_seed() -> None:
    known = parameters("forest", "classification")
    assert known["n_estimators"].default == 100
    assert "random_state" not in known


def test_the_seed_becomes_random_state() -> None:
    assert build("forest", {"n_estimators": 7}, task="regression", seed=11).get_params()["random_state"] == 11
    assert build("sklearn.tree.DecisionTreeClassifier", {}, task="classification", seed=11).estimator.random_state == 11


def test_image_tasks_are_their_plain_task() -> None:
    assert type(build("majority", {}, task="image-classification", seed=0)).__name__ == "Majority"
    assert "timm" in model_names("image-classification") and "timm" in model_names("image-regression")
    assert "oner" in model_names("regression") and "majority" not in model_names("image-regression")


@pytest.mark.parametrize(
    ("model", "params", "task", "words"),
    [
        ("forrest", {}, "regression", "Did you mean 'forest'"),
        ("mean", {}, "classification", "regression only"),
        ("forest", {"n_estimator": 5}, "regression", "Did you mean 'n_estimators'"),
        ("forest", {"random_state": 5}, "regression", "'seed'"),
        ("forest", {"n_estimators": "5"}, "regression", "a whole number above 0; got '5'"),
        ("forest", {"n_estimators": 0}, "regression", "above 0"),
        ("forest", {"max_features": "all"}, "regression", "'sqrt' or 'log2' or a whole number or a number"),
        ("forest", {"oob": 1}, "regression", "true or false"),
        ("lightgbm", {"learning_rate": [0.1]}, "classification", "a number above 0"),
        ("lightgbm", {"objective": "poisson"}, "classification", "has no setting 'objective'"),
        ("sklearn.nowhere.SVC", {}, "classification", "cannot be imported"),
        ("sklearn.svm.SVCC", {}, "classification", "Did you mean 'SVC'"),
        ("sklearn.svm.SVC", {"c": 1.0}, "classification", "has no setting 'c'"),
        ("sklearn.svm.SVC", {"kernel": "cubic"}, "classification", "refuses its settings"),
        ("sklearn.svm.SVR", {}, "classification", "does no classification"),
        ("sklearn.svm.SVC", {}, "regression", "does no regression"),
        ("test_registry.Vague", {}, "classification", "neither probabilities nor scores"),
        ("..x", {}, "classification", "cannot be imported"),
    ],
)
def test_a_wrong_word_is_refused_in_one_clear_line(model: str, params: dict[str, Any], task: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build(model, params, task=task, seed=0)
    assert words in str(refused.value)


def test_whole_numbers_stand_for_floats_and_arrays_for_tuples() -> None:
    assert check("lightgbm", {"lambda_l2": 2}, "regression") == {"lambda_l2": 2.0}
    assert typed("model 'm'", "betas", [0.9, 0.99], tuple[float, float]) == (0.9, 0.99)


def test_importing_the_registry_imports_nothing_heavy() -> None:
    code = "import sys, kagglekit.models.registry; print({'torch', 'timm', 'lightgbm', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
