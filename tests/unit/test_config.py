from pathlib import Path

import pytest

from kagglekit.blend import methods
from kagglekit.config import Pipeline, load_pipeline
from kagglekit.errors import ConfigError, UsageError
from kagglekit.models import registry

BASE = """
[competition]
slug = "s"
task = "classification"
metric = "accuracy"
id = "id"
target = "y"

[experiments.a]
why = "a start"
model = "forest"
n_estimators = 50

[experiments.b]
why = "more trees"
based_on = "a"
n_estimators = 200
"""


def load(tmp_path: Path, text: str, *overrides: str) -> Pipeline:
    path = tmp_path / "pipeline.toml"
    path.write_text(text)
    return load_pipeline(path, check_params=registry.check, overrides=overrides)


def test_a_child_inherits_and_its_change_is_visible(tmp_path):
    pipeline = load(tmp_path, BASE)
    child, parent = pipeline.experiment("b"), pipeline.experiment("a")
    assert child.model == "forest"
    assert child.changes(parent) == {"n_estimators": (50, 200)}
    assert child.why == "more trees"


def test_bags_are_inherited_and_wrap_any_model(tmp_path):
    text = (
        BASE.replace("n_estimators = 50", "bags = 10")
        + '[experiments.c]\nwhy = "x"\nbased_on = "a"\nmodel = "linear"\n'
    )
    pipeline = load(tmp_path, text)
    assert [pipeline.experiment(name).bags for name in "abc"] == [10, 10, 10]
    assert pipeline.experiment("c").settings["bags"] == 10
    assert pipeline.experiment("c").params == {}


def test_a_hypothesis_is_not_inherited(tmp_path):
    with pytest.raises(ConfigError, match=r"\[experiments.c\]: the key 'why' is missing"):
        load(tmp_path, BASE + '[experiments.c]\nbased_on = "a"\n')


def test_another_model_takes_no_parameters_from_its_parent(tmp_path):
    pipeline = load(tmp_path, BASE + '[experiments.c]\nwhy = "x"\nbased_on = "a"\nmodel = "majority"\n')
    assert pipeline.experiment("c").params == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BASE.replace("slug", "slgu"), r"unknown key 'slgu'. Did you mean 'slug'\?"),
        (BASE.replace('"accuracy"', '"acuracy"'), r"Did you mean 'accuracy'\?"),
        (BASE.replace('"forest"', '"forrest"'), r"Did you mean 'forest'\?"),
        (BASE.replace("n_estimators = 50", "n_estimator = 50"), r"Did you mean 'n_estimators'\?"),
        (BASE.replace("n_estimators = 50", 'n_estimators = "many"'), "n_estimators"),
        (BASE.replace("n_estimators = 50", "based_no = 1"), r"Did you mean 'based_on'\?"),
        (
            BASE.replace('based_on = "a"', 'based_on = "aa"'),
            r"based_on = 'aa' is no experiment. Did you mean 'a'\?|Known",
        ),
        (BASE + "[folds]\nn = 0\n", r"\[folds\]: n = 0"),
        (BASE + '[folds]\nscheme = "strat"\n', r"\[folds\]: scheme = 'strat'"),
        (BASE + "[fold]\nn = 3\n", r"unknown key 'fold'. Did you mean 'folds'\?"),
        (BASE + '[ensembles.e]\nmembers = ["a", "z"]\n', "member 'z' is no experiment"),
        (BASE + '[ensembles.a]\nmembers = "all"\n', "an experiment has the same name"),
        (BASE + "[experiments", "not valid TOML"),
        (BASE.replace('why = "a start"', 'why = "a start"\nbased_on = "b"'), "circle"),
        (BASE.replace("[competition]", "[competitions]"), r"unknown key 'competitions'"),
        (BASE.replace('slug = "s"', 'slug = "../x"'), r"\[competition\]: slug = '../x'"),
        (BASE.replace('"accuracy"', '"rmse"'), "scores numbers, but the task is 'classification'"),
        (BASE.split("[experiments")[0].replace("[comp", "experiments = 3\n[comp"), "experiments must be tables"),
        (BASE.replace("n_estimators = 50", "columns = []"), r"\[experiments.a\]: columns = \[\]"),
        (BASE.replace("n_estimators = 50", "bags = -1"), r"\[experiments.a\]: bags = -1"),
        (BASE.replace("n_estimators = 50", "bag = 10"), r"Did you mean 'bags'\?"),
        (BASE.replace('id = "id"', "id = 3"), r"\[competition\]: id = 3"),
    ],
)
def test_a_mistake_is_refused_with_the_nearest_name(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says) as error:
        load(tmp_path, text)
    assert "\n" not in str(error.value)


def test_settings_on_the_command_line_win(tmp_path):
    pipeline = load(tmp_path, BASE, "folds.n=3", "experiments.a.max_features=sqrt", "experiments.b.n_estimators=7")
    assert pipeline.folds.n == 3
    assert pipeline.experiment("a").params["max_features"] == "sqrt"
    assert pipeline.experiment("b").params["n_estimators"] == 7


@pytest.mark.parametrize("override", ["folds", "n=3", "experiment.a.size=3", "experiments.zz.size=3", "folds.nn=3"])
def test_a_setting_without_a_place_is_refused(tmp_path, override):
    with pytest.raises(ConfigError):
        load(tmp_path, BASE, override)


def test_an_unknown_experiment_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no experiment 'bb'"):
        load(tmp_path, BASE).experiment("bb")


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="kagglekit new"):
        load_pipeline(tmp_path / "paddy" / "pipeline.toml", check_params=registry.check)


@pytest.mark.parametrize(
    ("metric", "form"),
    [("accuracy", "label"), ("log_loss", "probabilities"), ("map@3", "ranking"), ("roc_auc", "probability")],
)
def test_the_form_follows_the_metric(tmp_path, metric, form):
    assert load(tmp_path, BASE.replace('"accuracy"', f'"{metric}"')).form == form


def load_blends(tmp_path: Path, ensembles: str):
    path = tmp_path / "pipeline.toml"
    path.write_text(BASE + ensembles, encoding="utf-8")
    return load_pipeline(path, check_params=registry.check, check_method=methods.check).ensembles


def test_an_ensemble_has_its_methods_own_settings_and_may_stand_on_another(tmp_path):
    found = load_blends(
        tmp_path,
        '[ensembles.one]\nmethod = "greedy"\nn_steps = 9\n[ensembles.two]\nmembers = ["one", "a"]\nmethod = "mean"\n',
    )
    assert found["one"].params == {"n_steps": 9}
    assert found["two"].members == ["one", "a"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('method = "gredy"', r"\[ensembles.e\]: Blend method 'gredy' is unknown. Did you mean 'greedy'"),
        ("n_step = 3", r"Method 'greedy' has no setting 'n_step'. Did you mean 'n_steps'"),
        ("mixed_fold = true", r"no setting 'mixed_fold'. Did you mean 'mixed_folds'"),
        ("n_steps = 2.5", "'n_steps' of method 'greedy' must be a whole number; got 2.5"),
        ('members = ["e"]', "members go in a circle: e -> e"),
        ('members = ["f"]\n[ensembles.f]\nmembers = ["a", "e"]', "members go in a circle: e -> f -> e"),
        ('members = "some"', "members = 'some'"),
        ("members = []", r"members = \[\]"),
    ],
)
def test_a_mistake_in_an_ensemble_is_refused_with_the_nearest_name(tmp_path, text, says):
    method = "" if "method" in text else 'method = "greedy"\n'
    with pytest.raises(ConfigError, match=says) as error:
        load_blends(tmp_path, f"[ensembles.e]\n{method}{text}\n")
    assert "\n" not in str(error.value)


RECIPES = """
[features.shops]
counts = ["city"]
ratios = [["price", "area"]]

[experiments.c]
why = "do shops differ?"
based_on = "a"
features = "shops"
"""


def test_recipes_are_named_and_a_change_of_them_is_one_change(tmp_path):
    pipeline = load(tmp_path, BASE + RECIPES)
    child, parent = pipeline.experiment("c"), pipeline.experiment("a")
    assert child.changes(parent) == {"features": (None, "shops")}
    assert child.settings["features"] == {"counts": ["city"], "ratios": [["price", "area"]]}
    assert "features" not in parent.settings


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('counts = ["city"]', 'count = ["city"]', r"\[features.shops\]: unknown key 'count'.*'counts'"),
        ('"price", "area"', '"price"', r"\[features.shops\]: ratios"),
        ('features = "shops"', 'features = "shop"', r"no table \[features.shop\].*'shops'"),
    ],
)
def test_recipes_that_cannot_be_are_refused(tmp_path, old, new, says):
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, BASE + RECIPES.replace(old, new))


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('seeds = 3\nvalidation = "oob"', "more seeds are more bags"),
        ('pseudo = "a"\nvalidation = "oob"', "pseudo needs validation"),
        ('pseudo = "nobody"', "pseudo = 'nobody' is no experiment"),
        ('pseudo = "c"', "goes in a circle: c -> c"),
        ('calibrate = "platt"', "calibrate"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(tmp_path, keys, says):
    with pytest.raises(ConfigError, match=says):
        load(tmp_path, f'{BASE}\n[experiments.c]\nwhy = "x"\nbased_on = "a"\n{keys}\n')


def test_logarithms_are_fitted_where_the_metric_compares_logarithms(tmp_path):
    text = BASE.replace('"classification"', '"regression"').replace('"accuracy"', '"rmsle"')
    assert load(tmp_path, text).experiment("b").target_transform == "log1p"
    plain = load(tmp_path, text.replace("n_estimators = 50", 'target_transform = "none"'))
    assert plain.experiment("b").target_transform == "none"
    with pytest.raises(ConfigError, match="calibrate is for probabilities"):
        load(tmp_path, text.replace("n_estimators = 50", 'calibrate = "clip"'))
