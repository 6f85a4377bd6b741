"""Bags and seeds of image models, as a pipeline file asks for them."""

from __future__ import annotations

import numpy as np
import pytest
from discs import discs

from kagglekit.config import load_pipeline
from kagglekit.models import registry
from kagglekit.refit import refit, refit_out_of_bag
from kagglekit.store import Store
from kagglekit.train import train

PIPELINE = """
[competition]
slug = "s"
task = "image-classification"
metric = "accuracy"
id = "id"
target = "label"

[experiments.one]
why = "a network"
model = "timm"
arch = "test_resnet"
weights = "random"
size = 32
epochs = 1
freeze_epochs = 0

[experiments.bagged]
why = "do six networks on other rows beat it?"
based_on = "one"
bags = 6
validation = "oob"

[experiments.stopped]
why = "does each bag stop by rows of its own?"
based_on = "bagged"
early_stopping = true
epochs = 2

[experiments.seeded]
why = "how much is luck?"
based_on = "one"
seeds = 2
"""


@pytest.fixture
def experiments(tmp_path):
    path = tmp_path / "pipeline.toml"
    path.write_text(PIPELINE)
    return load_pipeline(path, check_params=registry.check).experiments


@pytest.mark.parametrize("name", ["bagged", "stopped"])
def test_each_image_is_predicted_by_the_bags_that_did_not_draw_it(experiments, tmp_path, name):
    data = discs(tmp_path / "cache", n=2)
    run = train(data, experiments[name], Store(tmp_path / "runs"))
    assert run.kind == "oob"
    assert run.pretrained == ("random weights",), "all bags began so"
    assert len(run.oof.ids) + run.unscored == len(data.train)
    bags = refit_out_of_bag(data, experiments[name], data.train.index).estimator
    assert 0.4 < bags.in_bag_.mean() < 0.75, "63 % of the rows are drawn"
    assert len({str(e.random_state) for e in bags.estimators_}) == 6, "each has a seed of its own"
    outside = np.where(bags.in_bag_[:, :, None], np.nan, bags.bag_predictions_)
    expected = np.nanmean(outside[:, ~bags.in_bag_.all(axis=0)], axis=0)
    np.testing.assert_allclose(run.oof.frame, expected, atol=1e-6)
    if name == "stopped":
        assert all(e.best_epoch_ in (1, 2) for e in bags.estimators_)


def test_seeds_are_averaged_and_the_score_of_each_is_kept(experiments, tmp_path):
    data, it = discs(tmp_path / "cache", n=2), experiments["seeded"]
    run = train(data, it, Store(tmp_path / "runs"))
    assert [len(scores) for scores in run.seed_scores] == [2, 2]
    split = next(data.folds.splits())
    parts = [refit(data, it, split, number=n) for n in (0, 1)]
    said = [part.predict(part.X.loc[split.score_ids]) for part in parts]
    assert not np.allclose(said[0], said[1], atol=1e-6), "other seeds, other networks"
    np.testing.assert_allclose(run.oof.frame.loc[split.score_ids], (said[0] + said[1]) / 2, atol=1e-6)
