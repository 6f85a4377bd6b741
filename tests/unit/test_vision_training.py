from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vision_pictures import pictures

from kagglekit.errors import ConfigError
from kagglekit.models.vision.batches import Batches, largest_batch
from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.framing import Frame
from kagglekit.models.vision.lens import Lens
from kagglekit.models.vision.runtime import import_torch, pick_device, pick_precision, quiet, repeatable
from kagglekit.models.vision.training import Recipe, Stage, Trainer, _groups, learner_of
from kagglekit.models.vision.transforms import Normalizer
from kagglekit.models.vision.weights import create_backbone

torch = import_torch()
LENS = Lens(Frame(32, 32, "squish", presized=False), Normalizer((0.5,) * 3, (0.5,) * 3))
NOTHING = {"lens": LENS, "generator": None, "device": None}


def batches_of(folder: Path, n: int, batch_size: int, accumulate: int = 1) -> Batches:
    X, y = pictures(folder, n)
    return Batches(
        DecodedImages.open(X["path"], 32),
        list(X["path"]),
        np.unique(y, return_inverse=True)[1],
        batch_size=batch_size,
        accumulate=accumulate,
        lens=LENS,
        generator=torch.Generator().manual_seed(0),
        device=torch.device("cpu"),
    )


def test_every_image_comes_once_in_a_new_order(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, 13, 4)
    passes = [[(x, t) for x, t in batches] for _ in range(2)]
    assert len(batches) == len(passes[0]) == 3
    assert [len(t) for _, t in passes[0]] == [5, 4, 4]
    sums = [np.concatenate([x.sum((1, 2, 3)).numpy() for x, _ in p]) for p in passes]
    assert not np.array_equal(*sums)
    np.testing.assert_allclose(np.sort(sums[0]), np.sort(sums[1]), rtol=1e-4)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 200), batch_size=st.integers(1, 40), accumulate=st.integers(1, 8))
def test_steps_see_the_same_number_of_images_however_they_are_cut(n: int, batch_size: int, accumulate: int) -> None:
    batches = Batches(None, ["x"] * n, np.zeros(n), batch_size=batch_size, accumulate=accumulate, **NOTHING)
    whole = Batches(None, ["x"] * n, np.zeros(n), batch_size=batch_size * accumulate, **NOTHING)
    ends = [i for i in range(len(batches)) if batches.ends_step(i)]
    assert len(ends) == len(whole) and ends[-1] == len(batches) - 1
    assert sum(batches.shares) == pytest.approx(len(whole))
    assert largest_batch(n, batch_size, accumulate) <= max(1, 2 * batch_size)


def test_learning_rates_rise_from_the_first_layers_to_the_head(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, 12, 4)
    with quiet(), repeatable(0):
        model = create_backbone("test_resnet", weights="random", num_classes=3, size=32).model
        before = [[p.detach().clone() for p in group] for group in _groups(model)]
        recipe = Recipe((Stage(1, 32),), lr=1e-2, body_lr=1e-4, wd=0.0)
        loss = torch.nn.functional.cross_entropy
        trainer = Trainer(model, lambda size: batches, recipe, loss=loss, soft=lambda y: y)
        trainer.run()
    after = _groups(model)
    moved = [
        np.mean([(p - q).abs().max().item() for p, q in zip(a, b, strict=True)])
        for a, b in zip(after, before, strict=True)
    ]
    assert trainer.n_steps == 3
    assert moved[0] < moved[1] < moved[2] / 10


def test_idle_threads_sleep_only_if_nobody_said_otherwise() -> None:
    assert "GOMP_SPINCOUNT" not in os.environ
    assert import_torch() is torch


@pytest.mark.parametrize(
    ("wanted", "capability", "precision"),
    [
        ("auto", (7, 5), "fp16"),  # T4
        ("auto", (8, 0), "bf16"),  # A100
        ("auto", (8, 9), "bf16"),  # L4
        ("auto", (9, 0), "bf16"),  # H100
        ("auto", None, "fp32"),
        ("bf16", None, "fp32"),
        ("bf16", (7, 5), "bf16"),
        ("fp32", (9, 0), "fp32"),
    ],
)
def test_the_precision_is_what_the_gpu_computes_in(wanted, capability, precision) -> None:
    assert pick_precision(wanted, capability) == precision


@pytest.mark.parametrize(("name", "says"), [("gpu", "knows no device 'gpu'"), ("cuda:99", "no device 'cuda:99' here")])
def test_a_device_that_is_not_there_is_named(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        pick_device(name)


@pytest.mark.parametrize(("precision", "expected"), [("fp32", None), ("fp16", "fp16"), ("bf16", "bf16")])
def test_mixed_precision_is_fastais_own(tmp_path: Path, precision, expected) -> None:
    with quiet(), repeatable(0):
        model = create_backbone("test_resnet", weights="random", num_classes=3, size=32).model
    recipe = Recipe((Stage(1, 32),), 0.1, 0.1, precision=precision)
    learner = learner_of(model, batches_of(tmp_path, 6, 3), recipe, torch.nn.functional.cross_entropy)
    found = [c for c in learner.cbs if type(c).__name__ == "MixedPrecision"]
    assert [str(c.amp_mode.value) for c in found] == ([expected] if expected else [])
    order = [type(c).__name__ for c in learner.cbs.sorted("order")]
    # Gradients are summed, then looked at for overflow and unscaled, then clipped: once for each step.
    steps = [name for name in order if name in ("Accumulate", "MixedPrecision", "GradientClip")]
    assert steps == ["Accumulate", *(["MixedPrecision"] if expected else []), "GradientClip"]
