from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from vision_pictures import pictures

from kagglekit.models.vision.cache import DecodedImages
from kagglekit.models.vision.framing import Frame
from kagglekit.models.vision.lens import Lens
from kagglekit.models.vision.runtime import import_torch, pick_precision, quiet, repeatable
from kagglekit.models.vision.training import Batches, Recipe, _groups, _learner, fine_tune
from kagglekit.models.vision.transforms import Normalizer
from kagglekit.models.vision.weights import create_backbone

torch = import_torch()
HALF = Normalizer((0.5,) * 3, (0.5,) * 3)


def batches_of(folder: Path, n: int, batch_size: int) -> Batches:
    X, y = pictures(folder, n)
    return Batches(
        DecodedImages.open(X["path"], 32),
        list(X["path"]),
        np.unique(y, return_inverse=True)[1],
        batch_size=batch_size,
        lens=Lens(Frame(32, 32, "squish", presized=False), HALF),
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


def test_learning_rates_rise_from_the_first_layers_to_the_head(tmp_path: Path) -> None:
    batches = batches_of(tmp_path, 12, 4)
    with quiet(), repeatable(0):
        model = create_backbone("test_resnet", weights="random", num_classes=3, size=32).model
        before = [[p.detach().clone() for p in group] for group in _groups(model)]
        steps: list[int] = []
        recipe = Recipe(epochs=1, freeze_epochs=0, lr=1e-2, body_lr=1e-4, wd=0.0)
        fine_tune(
            model,
            batches,
            recipe,
            loss=torch.nn.functional.cross_entropy,
            on_batch=lambda: steps.append(1),
            on_epoch=lambda: False,
        )
    after = _groups(model)
    moved = [
        np.mean([(p - q).abs().max().item() for p, q in zip(a, b, strict=True)])
        for a, b in zip(after, before, strict=True)
    ]
    assert len(steps) == 3
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


@pytest.mark.parametrize(("precision", "expected"), [("fp32", None), ("fp16", "fp16"), ("bf16", "bf16")])
def test_mixed_precision_is_fastais_own(tmp_path: Path, precision, expected) -> None:
    with quiet(), repeatable(0):
        model = create_backbone("test_resnet", weights="random", num_classes=3, size=32).model
    recipe = Recipe(1, 0, 0.1, 0.1, precision=precision)
    learner = _learner(model, model[1], batches_of(tmp_path, 6, 3), recipe, torch.nn.functional.cross_entropy)
    found = [c for c in learner.cbs if type(c).__name__ == "MixedPrecision"]
    assert [str(c.amp_mode.value) for c in found] == ([expected] if expected else [])
