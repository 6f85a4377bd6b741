from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vision_pictures import pictures

from kagglekit.errors import ConfigError, DataError
from kagglekit.models.vision.estimator import TimmClassifier, TimmRegressor
from kagglekit.models.vision.objective import (
    MultiHead,
    MultiLabel,
    Objective,
    Ordinal,
    Regression,
    SingleLabel,
    extra_heads,
)
from kagglekit.models.vision.runtime import import_torch

torch = import_torch()
LABELS = np.array(["b", "a", "c", "a", "a", "b"])
GRADES = np.array([0, 3, 1, 2, 3, 0])
TINY: dict[str, Any] = {
    "arch": "test_resnet",
    "weights": "random",
    "size": 32,
    "epochs": 1,
    "freeze_epochs": 0,
    "batch_size": 8,
    "lr": 1e-3,
}


def extras() -> pd.DataFrame:
    return pd.DataFrame({"variety": ["x", None, "y", "x", None, "z"], "age": [10.0, 20.0, np.nan, 40.0, 50.0, np.nan]})


def many() -> MultiHead:
    return MultiHead(SingleLabel.fit(LABELS), extra_heads(extras(), {"age": 0.5}))


OBJECTIVES: dict[str, tuple[Objective, Any]] = {
    "single": (SingleLabel.fit(LABELS, label_smoothing=0.1, class_weight="balanced"), LABELS),
    "ordinal": (Ordinal.fit(GRADES), GRADES),
    "multi-label": (MultiLabel(("p", "q"), 0.1), np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1], [1, 1]])),
    "values": (Regression.fit(GRADES * 10.0, kind="huber"), GRADES * 10.0),
    "heads": (many(), LABELS),
}
each = pytest.mark.parametrize("name", OBJECTIVES)


def logits_for(objective: Objective, n: int = 6, seed: int = 0) -> Any:
    found = torch.randn(n, objective.n_outputs, generator=torch.Generator().manual_seed(seed))
    return found.requires_grad_()


def test_cross_entropy_is_torchs_own_with_smoothing_and_class_weights() -> None:
    objective = SingleLabel.fit(LABELS, label_smoothing=0.1, class_weight="balanced")
    np.testing.assert_allclose(objective.class_weights, [6 / 9, 1, 2])
    logits, y = logits_for(objective), torch.from_numpy(objective.encode(LABELS))
    peer = torch.nn.CrossEntropyLoss(weight=torch.tensor([6 / 9, 1, 2]), label_smoothing=0.1)
    torch.testing.assert_close(objective.loss(logits, y), peer(logits, y))
    torch.testing.assert_close(objective.plain().loss(logits, y), torch.nn.functional.cross_entropy(logits, y))
    np.testing.assert_allclose(objective.activation(logits.detach()), logits.detach().double().softmax(1))


def test_binary_and_squared_losses_are_torchs_own_and_values_come_back_in_their_unit() -> None:
    yes, labels = OBJECTIVES["multi-label"]
    logits, y = logits_for(yes), torch.from_numpy(yes.encode(labels))
    peer = torch.nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(yes.plain().loss(logits, y), peer(logits, y))
    values = np.array([[1.0, 500], [3, 500], [8, 500]])
    numbers = Regression.fit(values)
    encoded = torch.from_numpy(numbers.encode(values))
    np.testing.assert_allclose(encoded.numpy().std(axis=0), [1, 0], atol=1e-6)  # a constant is no division by nought
    np.testing.assert_allclose(numbers.activation(encoded), values, rtol=1e-6)
    torch.testing.assert_close(numbers.loss(encoded * 0, encoded), encoded.square().mean())


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), n=st.integers(2, 7), spread=st.sampled_from([1.0, 30.0, 300.0]))
def test_ordinal_probabilities_sum_to_one_and_are_what_the_loss_scores(seed: int, n: int, spread: float) -> None:
    objective = Ordinal.fit(np.arange(n) * 2)
    logits = logits_for(objective, 5, seed).detach() * spread
    found = objective.activation(logits)
    assert found.shape == (5, n)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)
    above = 1 - found.cumsum(axis=1)
    np.testing.assert_allclose(above[:, :-1], logits.double().sigmoid().cumprod(1), atol=1e-9)
    labels = np.random.default_rng(seed).integers(0, n, 5)
    loss = objective.loss(logits.double(), torch.from_numpy(objective.encode(labels * 2)))
    chosen = np.maximum(found[np.arange(5), labels], 1e-300)
    if spread < 30:
        assert float(loss) == pytest.approx(-np.log(chosen).mean(), rel=1e-4)
    assert np.isfinite(float(loss))


@each
def test_mixed_labels_give_the_mean_of_the_losses_of_both(name: str) -> None:
    objective, labels = OBJECTIVES[name]
    y = torch.from_numpy(objective.encode(labels))
    other = y.flip(0)
    soft = objective.soft(y)
    torch.testing.assert_close(objective.soft(soft), soft, equal_nan=True)
    logits = logits_for(objective)
    torch.testing.assert_close(objective.loss(logits, soft), objective.loss(logits, y))
    if name in ("multi-label", "heads"):  # linear in the labels, and no weights of classes
        mixed = objective.loss(logits, 0.3 * soft + 0.7 * objective.soft(other))
        torch.testing.assert_close(mixed, 0.3 * objective.loss(logits, y) + 0.7 * objective.loss(logits, other))


@each
def test_rows_without_a_label_teach_nothing(name: str) -> None:
    objective, labels = OBJECTIVES[name]
    soft = objective.soft(torch.from_numpy(objective.encode(labels)))
    blank = soft.clone()
    blank[4:] = float("nan")
    logits = logits_for(objective)
    torch.testing.assert_close(objective.loss(logits, blank), objective.loss(logits[:4], soft[:4]))
    weight = torch.tensor([1.0, 1, 1, 1, 0, 0])
    torch.testing.assert_close(objective.loss(logits, soft, weight), objective.loss(logits[:4], soft[:4]))
    nothing = objective.loss(logits, soft * float("nan"))
    (gradient,) = torch.autograd.grad(nothing, logits)
    assert float(nothing.detach()) == 0
    assert not gradient.any()


def test_an_unknown_label_is_missing() -> None:
    objective = SingleLabel.fit(LABELS)
    assert objective.encode(np.array(["c", "zebra", "a"])).tolist() == [2, -1, 0]
    assert objective.encode(pd.DataFrame({"y": LABELS})).tolist() == [1, 0, 2, 0, 0, 1]


def test_every_head_has_its_own_mean_and_weight() -> None:
    objective = many()
    assert objective.n_outputs == 3 + 3 + 1
    y = torch.from_numpy(objective.encode(LABELS, extras()))
    logits = logits_for(objective)
    known, aged = [0, 2, 3, 5], [0, 1, 3, 4]
    functions = torch.nn.functional
    variety = functions.cross_entropy(logits[known, 3:6], torch.tensor([0, 1, 0, 2]))
    ages = np.array([10.0, 20, 40, 50])
    age = functions.mse_loss(logits[aged, 6], torch.from_numpy((ages - 30) / ages.std()).float())
    disease = functions.cross_entropy(logits[:, :3], y[:, 0].long())
    torch.testing.assert_close(objective.loss(logits, y), disease + variety + 0.5 * age)
    torch.testing.assert_close(objective.loss(logits, objective.soft(y)), disease + variety + 0.5 * age)
    torch.testing.assert_close(objective.plain().loss(logits, y), disease)
    np.testing.assert_allclose(objective.activation(logits.detach()).sum(axis=1), 1)


def test_what_cannot_be_learnt_is_refused() -> None:
    with pytest.raises(DataError, match="'age' has 1 distinct"):
        extra_heads(pd.DataFrame({"age": [3.0, 3.0, np.nan]}), {})
    with pytest.raises(ConfigError, match="whole-number classes"):
        Ordinal.fit(LABELS)
    with pytest.raises(DataError, match=r"'q' also holds 0.5"):
        MultiLabel.fit(np.array([[0, 0.5], [1, 1]]), ("p", "q"))


@pytest.fixture
def data(tmp_path: Path) -> tuple[pd.DataFrame, pd.Series]:
    return pictures(tmp_path / "images", 30)


@pytest.mark.parametrize("arch", ["test_resnet", "test_vit", "test_efficientnet"])
def test_ordered_classes_are_learnt(data: tuple[pd.DataFrame, pd.Series], arch: str) -> None:
    X, y = data
    model = TimmClassifier(**{**TINY, "arch": arch, "size": 96}, loss="ordinal")
    grades = y.map({"blast": 0, "normal": 1, "tungro": 4})
    found = model.fit(X, grades).predict_proba(X)
    assert model.classes_.tolist() == [0, 1, 4]
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert set(model.predict(X)) <= {0, 1, 4}


def test_several_labels_and_several_numbers_are_learnt_at_once(data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    settings_ = {**TINY, "epochs": 15, "lr": 1e-2, "augment": False, "label_smoothing": 0.0}
    yes = pd.DataFrame({"red": (y == "blast").astype(int), "not_blue": (y != "tungro").astype(int)}, index=y.index)
    model = TimmClassifier(**settings_, early_stopping=True).fit(X, yes, eval_set=(X, yes))
    found = model.predict_proba(X)
    assert model.classes_.tolist() == ["red", "not_blue"]
    assert ((found > 0.5) == yes).to_numpy().mean() > 0.9
    assert (model.predict(X) == (found > 0.5)).all()
    numbers = yes * 1000.0 + 5000
    several = TimmRegressor(**settings_).fit(X, numbers)
    assert several.predict(X).shape == (30, 2)
    assert np.abs(several.predict(X) - numbers).to_numpy().mean() < 250  # half the way from the mean to the truth
    one = TimmRegressor(**settings_, loss="huber").fit(X, numbers["red"]).predict(X)
    assert one.shape == (30,)
    assert np.corrcoef(one, numbers["red"])[0, 1] > 0.9


def test_what_is_learnt_beside_is_no_input_and_no_prediction(data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    extra = pd.DataFrame({"age": np.arange(30.0), "kind": (["u", "v", None] * 10)}, index=X.index)
    model = TimmClassifier(**TINY).fit(X, y, extra=extra, extra_weights={"age": 0.2})
    assert isinstance(model.objective_, MultiHead)
    assert [e.weight for e in model.objective_.extras] == [0.2, 1.0]
    assert model.model_.get_classifier().out_features == 3 + 1 + 2
    assert model.predict_proba(X[["path"]]).shape == (30, 3)
    with pytest.raises(DataError, match="rows of extra"):
        TimmClassifier(**TINY).fit(X, y, extra=extra.iloc[::-1])


def test_settings_of_another_kind_of_target_are_refused(data: tuple[pd.DataFrame, pd.Series]) -> None:
    X, y = data
    yes = pd.DataFrame({"a": y == "blast", "b": y == "tungro"}, index=y.index)
    for model, target, message in (
        (TimmClassifier(**TINY, loss="huber"), y, "'auto' or 'ordinal'"),
        (TimmClassifier(**TINY, class_weight="balanced"), yes, "without loss and class_weight"),
        (TimmClassifier(**TINY, head_init="logistic"), yes, "one label of several"),
        (TimmRegressor(**TINY, loss="ordinal"), y == "blast", "'auto' or 'huber'"),
        (TimmRegressor(**TINY, class_weight="balanced"), y == "blast", "is for labels"),
    ):
        with pytest.raises(ConfigError, match=message):
            model.fit(X, target)
    with pytest.raises(DataError, match="missing or infinite"):
        TimmRegressor(**TINY).fit(X, yes.astype(float).mask(yes["a"]))
