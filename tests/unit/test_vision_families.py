"""Every family of timm models that the course and competitors use can be trained: one small architecture of each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from vision_pictures import pictures

from kagglekit.errors import ConfigError
from kagglekit.models.vision.estimator import TimmClassifier
from kagglekit.models.vision.heads import head_of
from kagglekit.models.vision.runtime import import_timm, import_torch, quiet, repeatable
from kagglekit.models.vision.training import _groups
from kagglekit.models.vision.weights import create_backbone

SIZE = 64
NHWC = ("swin_tiny_patch4_window7_224", "swinv2_cr_tiny_ns_224", "test_mambaout")  # features with channels last
FAMILIES = (
    *NHWC,
    "test_resnet",
    "resnet26d",
    "test_efficientnet",
    "tf_efficientnet_lite0",
    "test_convnext",
    "convnext_zepto_rms",
    "test_vit",
    "vit_tiny_patch16_224",
    "deit_tiny_distilled_patch16_224",
    "maxvit_rmlp_pico_rw_256",
    "test_nfnet",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small_035",
    "caformer_s18",
    "repvit_m0_9",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    return pictures(tmp_path_factory.mktemp("images"), 6)


@pytest.mark.parametrize("arch", FAMILIES)
def test_a_model_of_the_family_trains_at_a_size_that_is_not_its_own(arch: str, data) -> None:
    X, y = data
    settings = {"size": SIZE, "epochs": 1, "freeze_epochs": 0, "batch_size": 6, "augment": False}
    model = TimmClassifier(arch, **settings, weights="random").fit(X, y)
    known = import_timm().data.resolve_data_config({}, model=model.model_)
    assert (model._normalize.mean, model._normalize.std) == (known["mean"], known["std"])
    assert known["input_size"] != (3, SIZE, SIZE)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    _every_parameter_is_in_one_group_and_learns(model.model_)


def _every_parameter_is_in_one_group_and_learns(model) -> None:
    torch = import_torch()
    numbers = [id(p) for group in _groups(model) for p in group]
    assert sorted(numbers) == sorted(id(p) for p in model.parameters())
    model.train()
    outputs = model(torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)))
    model.zero_grad(set_to_none=True)
    (outputs[0] + outputs[1] if isinstance(outputs, tuple) else outputs).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("arch", ["test_convnext", "caformer_s18", "deit_tiny_distilled_patch16_224", "repvit_m0_9"])
def test_a_new_head_says_nothing_whatever_it_is_made_of(arch: str, data) -> None:
    settings = {"size": SIZE, "epochs": 0, "freeze_epochs": 0, "weights": "random"}
    model = TimmClassifier(arch, **settings).fit(*data)
    np.testing.assert_allclose(model.predict_proba(data[0]), 1 / 3, atol=1e-6)


@pytest.mark.parametrize("arch", ["caformer_s18", "deit_tiny_distilled_patch16_224"])
def test_a_head_of_several_layers_is_no_logistic_regression(arch: str, data) -> None:
    with pytest.raises(ConfigError, match="needs a head that is one linear layer"):
        TimmClassifier(arch, size=SIZE, weights="random", epochs=0, head_init="logistic").fit(*data)


def test_a_distilled_model_has_one_head_of_two() -> None:
    with quiet(), repeatable(0):
        model = create_backbone("deit_tiny_distilled_patch16_224", weights="random", num_classes=3, size=64).model
    new = {id(p) for p in head_of(model).parameters()}
    names = {name.split(".")[0] for name, p in model.named_parameters() if id(p) in new}
    assert names == {"head", "head_dist"}


def test_a_size_that_a_model_cannot_take_is_named(tmp_path: Path, data) -> None:
    with pytest.raises(ConfigError, match=r"test_vit at 50 px cannot be made .*divisible by patch size"):
        TimmClassifier("test_vit", size=50, weights="random", epochs=1, freeze_epochs=0).fit(*data)
