"""Accumulation, mixing, averaged weights, sizes and rates: what a training does besides going through batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vision_pictures import pictures

from kagglekit.errors import ConfigError
from kagglekit.models.vision.averages import WeightAverage
from kagglekit.models.vision.callbacks import Mix
from kagglekit.models.vision.estimator import TimmClassifier, TimmRegressor
from kagglekit.models.vision.lens import Sight
from kagglekit.models.vision.runtime import import_torch, repeatable
from kagglekit.models.vision.transforms import Normalizer

torch = import_torch()
TINY = {"arch": "test_resnet", "weights": "random", "size": 32, "epochs": 1, "freeze_epochs": 0, "batch_size": 8}
TINY |= {"lr": 1e-3, "augment": False}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.Series]:
    return pictures(tmp_path_factory.mktemp("images"), 26)


def fitted(data, **changed) -> TimmClassifier:
    return TimmClassifier(**{**TINY, **changed}).fit(*data)


@pytest.mark.parametrize(("batch_size", "accumulate", "steps"), [(8, 1, 3), (4, 2, 3), (2, 4, 3), (4, 1, 6), (8, 2, 2)])
def test_a_step_comes_after_so_many_batches(data, batch_size: int, accumulate: int, steps: int) -> None:
    model = fitted(data, batch_size=batch_size, accumulate=accumulate, epochs=2)
    assert model.n_steps_ == 2 * steps


def test_accumulated_gradients_are_those_of_the_whole_batch(data) -> None:
    whole, parts = (fitted(data, batch_size=8 // n, accumulate=n) for n in (1, 4))
    np.testing.assert_allclose(parts.predict_proba(data[0]), whole.predict_proba(data[0]), atol=5e-4)
    other = fitted(data, batch_size=2)
    assert np.abs(other.predict_proba(data[0]) - whole.predict_proba(data[0])).max() > 1e-3


class _Learner:
    def __init__(self, x, y) -> None:
        self.training, self.xb, self.yb = True, (x,), (y,)


def mixed(x, y, **alphas):
    mix = Mix(**{"mixup": 0.0, "cutmix": 0.0, **alphas}, soft=lambda y: torch.nn.functional.one_hot(y, 7).float())
    mix.learn = _Learner(x, y)
    mix("before_batch")
    return mix.learn.xb[0], mix.learn.yb[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9), kind=st.sampled_from(["mixup", "cutmix"]))
def test_labels_are_mixed_as_the_pictures_are(seed: int, n: int, kind: str) -> None:
    """A picture that is its label's number everywhere has, when mixed, the mean of its mixed label's numbers."""
    with repeatable(seed):
        y = torch.randint(0, 7, (n,))
        x = y.float()[:, None, None, None].expand(-1, 3, 12, 10).clone()
        got, labels = mixed(x, y, **{kind: 1.0})
    torch.testing.assert_close(labels.sum(1), torch.ones(n))
    torch.testing.assert_close(got.mean((1, 2, 3)), labels @ torch.arange(7.0), atol=1e-4, rtol=1e-4)
    if kind == "cutmix":
        assert set(got.unique().tolist()) <= set(y.float().tolist())
    else:
        assert (labels.max(1).values >= 0.5 - 1e-6).all()


def test_nothing_is_mixed_outside_training() -> None:
    mix = Mix(1.0, 1.0, soft=lambda y: y)
    mix.learn = _Learner(torch.rand(4, 3, 8, 8), torch.arange(4))
    mix.learn.training, before = False, mix.learn.xb[0].clone()
    mix("before_batch")
    assert torch.equal(mix.learn.xb[0], before)


@pytest.mark.parametrize("changed", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}, {"ema": 0.9}])
def test_each_changes_the_model_and_keeps_one_seed_one_model(data, changed) -> None:
    plain, first, second = fitted(data), fitted(data, **changed), fitted(data, **changed)
    np.testing.assert_array_equal(first.predict_proba(data[0]), second.predict_proba(data[0]))
    assert np.abs(first.predict_proba(data[0]) - plain.predict_proba(data[0])).max() > 1e-6


def test_numbers_can_be_mixed_too(data) -> None:
    y = pd.Series(np.arange(26.0), index=data[1].index)
    model = TimmRegressor(**TINY, mixup=0.4, cutmix=1.0).fit(data[0], y)
    assert np.isfinite(model.predict(data[0])).all()


def test_the_average_is_a_mean_of_all_weights_so_far() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    average = WeightAverage(model, 0.5)
    expected = model[0].weight.detach().clone()
    for step in range(1, 6):
        with torch.no_grad():
            model[0].weight += 1
            model[1].num_batches_tracked += 1
        average.update(model)
        kept = min(0.5, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * model[0].weight.detach()
    torch.testing.assert_close(average.state["0.weight"], expected)
    assert average.state["1.num_batches_tracked"] == 5


def test_the_average_is_what_predicts_and_what_is_judged(data, tmp_path: Path) -> None:
    settled = fitted(data, ema=0.999999, lr=1e-9)
    untrained = fitted(data, epochs=0)
    np.testing.assert_allclose(settled.predict_proba(data[0]), untrained.predict_proba(data[0]), atol=1e-4)
    model = TimmClassifier(**{**TINY, "epochs": 3}, ema=0.9, early_stopping=True)
    assert 1 <= model.fit(*data, eval_set=pictures(tmp_path, 9, seed=2)).best_epoch_ <= 3


@pytest.mark.parametrize("arch", ["test_resnet", "test_vit"])
def test_sizes_grow_and_the_model_predicts_at_the_last(data, arch: str) -> None:
    model = fitted(data, arch=arch, sizes=(32, 48), size=48, freeze_epochs=1)
    assert model.n_steps_ == 3 * (1 + 2 * 1)
    assert np.isfinite(model.predict_proba(data[0])).all()
    plain = fitted(data, arch=arch, size=48, freeze_epochs=1)
    assert np.abs(model.predict_proba(data[0]) - plain.predict_proba(data[0])).max() > 1e-6
    with pytest.raises(ConfigError, match="Set size = 48"):
        fitted(data, sizes=(32, 48))


def test_sizes_that_grow_may_be_rectangular_and_lists(data) -> None:
    model = fitted(data, arch="test_vit", sizes=[[32, 48], [48, 64]], size=[48, 64], resize="pad")
    assert model.model_.patch_embed.img_size == (48, 64)
    assert model.n_steps_ == 2 * 3


@pytest.mark.parametrize("presize", [None, 48, 64])
def test_pictures_have_the_size_of_the_stage_whatever_is_kept_of_them(data, presize) -> None:
    sight, paths = Sight(48, "crop", presize), list(data[0]["path"][:2])
    rows = sight.open(paths).rows(paths)
    for size in (32, 48):
        lens = sight.lens(Normalizer((0.5,) * 3, (0.5,) * 3), size=size)
        assert lens(rows, torch.device("cpu")).shape == (2, 3, size, size)


def test_rates_of_head_and_first_layers_are_settings(data) -> None:
    before = fitted(data, epochs=0).model_.state_dict()

    def moved(name: str, **rates) -> float:
        return float((fitted(data, **rates).model_.state_dict()[name] - before[name]).abs().max())

    assert moved("fc.weight", head_mult=9.0) > 2 * moved("fc.weight", head_mult=1.0)
    assert moved("conv1.0.weight", first_mult=1.0) > 2 * moved("conv1.0.weight", first_mult=0.1)


def test_the_rates_are_swept_and_nothing_is_fitted(data) -> None:
    model = TimmClassifier(**TINY)
    first, second = (model.lr_find(*data) for _ in range(2))
    assert first == second
    assert len(first.rates) == len(first.losses) <= 100
    assert (np.diff(first.rates) > 0).all()
    assert all(first.rates[0] < rate < first.rates[-1] for rate in first.suggestions.values())
    assert set(first.suggestions) == {"valley", "slide"}
    assert not hasattr(model, "model_")


def test_a_step_of_several_batches_has_one_rate_in_a_sweep(data) -> None:
    whole = TimmClassifier(**TINY).lr_find(*data)
    parts = TimmClassifier(**{**TINY, "batch_size": 2}, accumulate=4).lr_find(*data)
    assert parts.rates == whole.rates
    np.testing.assert_allclose(parts.losses[:50], whole.losses[:50], atol=1e-3)


def test_what_is_learnt_beside_is_swept_too(data) -> None:
    X, y = data
    extra = pd.DataFrame({"age": np.arange(26.0)}, index=X.index)
    alone, beside = (TimmClassifier(**TINY).lr_find(X, y, **more) for more in ({}, {"extra": extra}))
    assert beside.losses[0] > alone.losses[0] + 0.5  # the age's own, of standardised values, is one
    with pytest.raises(ConfigError, match="learnt alone"):
        TimmClassifier(**TINY, head_init="logistic").lr_find(X, y, extra=extra)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accumulate", 0),
        ("mixup", -1.0),
        ("cutmix", -0.1),
        ("ema", 1.0),
        ("head_mult", 0.0),
        ("first_mult", -1.0),
        ("label_smoothing", 1.5),
        ("weight_decay", -0.1),
        ("class_weight", "balance"),
        ("presize", (32, 24)),
        ("sizes", (4, 32)),
    ],
)
def test_a_setting_out_of_range_is_named(data, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        fitted(data, **{name: value})
