from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from kagglekit.errors import ConfigError
from kagglekit.models.vision.framing import Frame, resample
from kagglekit.models.vision.lens import Lens, canvas_for
from kagglekit.models.vision.runtime import contained_import, import_torch
from kagglekit.models.vision.transforms import Augmentation, Normalizer, box, rotation, tilt
from kagglekit.models.vision.views import check_views, view_maps

torch = import_torch()
CPU = torch.device("cpu")
HALF = Normalizer((0.5,) * 3, (0.5,) * 3)
STILL = {"flip": False, "degrees": 0.0, "zoom": 1.0, "warp": 0.0, "light": 0.0}


def rows(pixels: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Rows as the cache gives them, of images (n, height, width, 3)."""
    found = np.empty(len(pixels), [("pixels", np.uint8, pixels.shape[1:]), ("shape", "<i4", (2,))])
    found["pixels"], found["shape"] = pixels, shape or pixels.shape[1:3]
    return found


def noise(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def seeded(seed: int = 0) -> object:
    return torch.Generator().manual_seed(seed)


def seen_at(maps: object, x: float, y: float) -> np.ndarray:
    """Where maps take one place of the output."""
    found = maps.double().numpy() @ np.array([x, y, 1.0])
    return found[:, :2] / found[:, 2:]


def read_by_hand(image: np.ndarray, at: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear reading of one image (height, width, 3) through one map, pixel by pixel, black beyond it."""
    tall, wide = image.shape[:2]
    out = np.zeros((height, width, 3))
    for row in range(height):
        for column in range(width):
            x, y, w = at @ np.array([(2 * column + 1) / width - 1, (2 * row + 1) / height - 1, 1])
            px, py = ((x / w + 1) * wide - 1) / 2, ((y / w + 1) * tall - 1) / 2
            for i in (int(np.floor(py)), int(np.floor(py)) + 1):
                for j in (int(np.floor(px)), int(np.floor(px)) + 1):
                    if 0 <= i < tall and 0 <= j < wide:
                        out[row, column] += image[i, j] * (1 - abs(py - i)) * (1 - abs(px - j))
    return out


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(3, 9), width=st.integers(3, 9))
def test_reading_through_a_map_is_bilinear_interpolation(seed: int, height: int, width: int) -> None:
    image = noise(1, 8, 11, seed)
    augmentation = Augmentation(degrees=40, zoom=2, warp=0.3, min_scale=0.5, flip_vert=True, p_affine=1)
    maps = augmentation.maps(1, width / height, seeded(seed))
    x = torch.from_numpy(image).permute(0, 3, 1, 2).float()
    found = resample(x, maps, height, width, "zeros") if 8 / height <= 2 or 11 / width <= 2 else None
    if found is not None:
        expected = read_by_hand(image[0], maps[0].numpy(), height, width)
        np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=0.05)


def test_a_large_picture_is_averaged_before_it_is_read() -> None:
    lines = np.zeros((1, 64, 64, 3), np.uint8)
    lines[:, :, ::8] = 255
    x = torch.from_numpy(lines).permute(0, 3, 1, 2).float()
    found = resample(x, torch.eye(3)[None], 8, 8, "reflection")
    np.testing.assert_allclose(found.numpy(), 255 / 8, atol=1e-3)


@given(x=st.floats(-0.4, 0.4), y=st.floats(-0.4, 0.4))
def test_a_tilt_shows_the_corners_where_it_says(x: float, y: float) -> None:
    maps = tilt(torch.tensor([x]), torch.tensor([y]))
    for seen, corner in (
        ((-1 - y, -1 - x), (-1, -1)),
        ((-1 + y, 1 + x), (-1, 1)),
        ((1 + y, -1 + x), (1, -1)),
        ((1 - y, 1 - x), (1, 1)),
    ):
        np.testing.assert_allclose(seen_at(maps, *seen)[0], corner, atol=1e-3)


def test_tilts_are_those_of_fastai() -> None:
    with contained_import("This test"):
        from fastai.vision.augment import apply_perspective, find_coeffs

    generator = seeded()
    x, y = (torch.rand(6, generator=generator) - 0.5 for _ in range(2))
    corners = torch.tensor([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]).expand(6, 4, 2)
    seen = torch.stack([torch.stack([cx - y * cx * cy, cy - x * cx * cy], 1) for cx, cy in corners[0]], 1)
    places = torch.rand(6, 5, 5, 2, generator=generator) * 2 - 1
    theirs = apply_perspective(places, find_coeffs(corners, seen)[..., 0])
    ours = torch.cat([places, torch.ones(6, 5, 5, 1)], -1) @ tilt(x, y)[:, None].transpose(2, 3)
    np.testing.assert_allclose(ours[..., :2] / ours[..., 2:], theirs, atol=1e-4)


@given(degrees=st.floats(-90, 90), aspect=st.floats(0.3, 3))
def test_a_rotation_keeps_distances_in_pixels(degrees: float, aspect: float) -> None:
    scale = np.array([aspect, 1.0])
    corners = [seen_at(rotation(torch.tensor([degrees]), aspect), *c)[0] * scale for c in ((1, 0), (0, 0), (0, 1))]
    (a, middle, b), turn = corners, np.deg2rad(degrees)
    np.testing.assert_allclose(middle, 0, atol=1e-6)
    np.testing.assert_allclose(a, aspect * np.array([np.cos(turn), np.sin(turn)]), atol=1e-4)
    np.testing.assert_allclose(a @ b, 0, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), zoom=st.floats(1, 3), least=st.floats(0.05, 1))
def test_crops_and_magnifications_stay_inside(seed: int, zoom: float, least: float) -> None:
    settings = {**STILL, "flip": True, "zoom": zoom, "min_scale": least}
    maps = Augmentation(**settings, p_affine=1).maps(40, 1.5, seeded(seed))
    corners = np.stack([seen_at(maps, x, y) for x in (-1, 1) for y in (-1, 1)])
    assert np.abs(corners).max() <= 1 + 1e-5
    areas = (maps[:, 0, 0] * maps[:, 1, 1]).abs().numpy()
    assert areas.min() >= least / zoom**2 * 0.74  # a crop that is too wide for the picture loses some of its area


def test_each_change_comes_as_often_as_said() -> None:
    n = 4000
    maps = Augmentation(zoom=1.0, warp=0.0).maps(n, 1.0, seeded())
    mirrored, turned = maps[:, 0, 0] < 0, maps[:, 0, 1] != 0
    assert abs(mirrored.double().mean() - 0.5) < 0.03 and abs(turned.double().mean() - 0.75) < 0.03
    assert maps[:, 1, 1].min() > 0
    upright = Augmentation(**{**STILL, "flip_vert": True}).maps(n, 1.0, seeded())
    assert abs((upright[:, 1, 1] < 0).double().mean() - 0.5) < 0.03 and (upright[:, 0, 0] == 1).all()


def test_without_amounts_nothing_changes() -> None:
    pixels = noise(5, 8, 12)
    lens = Lens(Frame(8, 12, "squish", presized=False), HALF, Augmentation(**STILL))
    np.testing.assert_allclose(lens.augmented(rows(pixels), CPU, seeded()), lens(rows(pixels), CPU), atol=1e-4)
    np.testing.assert_allclose(lens(rows(pixels), CPU), pixels.transpose(0, 3, 1, 2) / 127.5 - 1, atol=1e-6)


def test_light_adds_to_the_logit_and_stretches_it() -> None:
    x = torch.rand(300, 3, 2, 2, generator=seeded())
    relit = Augmentation(light=0.2, p_light=1.0).relit(x, seeded())
    before, after = torch.logit(x, 1e-6).flatten(1), torch.logit(relit).flatten(1)
    stretch = (after[:, 1] - after[:, 0]) / (before[:, 1] - before[:, 0])
    brightness = after[:, 0] / stretch - before[:, 0]
    assert 0.8 - 1e-3 < stretch.min() < 0.82 and 1.2 < stretch.max() < 1.25 + 1e-3
    assert abs(brightness).max() < np.log(0.6 / 0.4) + 1e-3 and abs(brightness).max() > 0.35
    assert ((relit >= 0) & (relit <= 1)).all()


def test_a_box_is_erased_in_the_share_of_images_that_was_asked_for() -> None:
    x = torch.zeros(400, 3, 16, 16)
    erased = Augmentation(erase=0.25).erased(x.clone(), seeded()) != 0
    share = erased.flatten(1).double().mean(1)
    assert abs((share > 0).double().mean() - 0.25) < 0.06
    assert share.max() < 0.36
    for image in erased[share > 0][:20, 0]:
        high, wide = image.any(1).nonzero().flatten(), image.any(0).nonzero().flatten()
        assert image.sum() == len(high) * len(wide) == (high[-1] - high[0] + 1) * (wide[-1] - wide[0] + 1)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(8, 20), width=st.integers(8, 20))
def test_augmented_images_keep_their_range_and_follow_from_the_generator(seed: int, height: int, width: int) -> None:
    data = rows(noise(4, 24, 30, seed))
    lens = Lens(Frame(height, width, "crop", presized=True), HALF, Augmentation(min_scale=0.3))
    once, again = (lens.augmented(data, CPU, seeded(seed)) for _ in range(2))
    assert once.shape == (4, 3, height, width) and once.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(once, again)
    assert once.abs().max() <= 1 + 1e-5
    assert not torch.equal(once, lens.augmented(data, CPU, seeded(seed + 1)))


def test_one_cache_serves_squish_crop_and_pad() -> None:
    # A picture twice as wide as high, whose columns count up, kept as a square.
    columns = np.repeat(np.repeat(np.arange(0, 240, 6, np.uint8)[None, None], 40, 1)[..., None], 3, 3)
    data = rows(columns, shape=(100, 200))
    squish, crop, pad, reflect = (
        Lens(Frame(20, 20, how, presized=True), HALF)(data, CPU)[0, 0].add(1).mul(127.5).numpy()
        for how in ("squish", "crop", "pad", "reflect")
    )
    np.testing.assert_allclose(squish[7], np.arange(3, 240, 12), atol=0.1)
    np.testing.assert_allclose(crop[7], np.linspace(60, 174, 20), atol=0.1)
    assert (pad[:4] == 0).all() and (pad[-4:] == 0).all()
    np.testing.assert_allclose(pad[6:14], squish[6:14], atol=0.1)
    np.testing.assert_allclose(reflect, squish, atol=0.1)


def test_crops_are_by_chance_in_training_only() -> None:
    frame = Frame(10, 10, "crop", presized=True)
    shapes = np.array([[100, 200], [300, 100], [50, 50]])
    fixed, drawn = frame.place(shapes), torch.stack([frame.place(shapes, seeded(i)) for i in range(200)])
    np.testing.assert_allclose(fixed[:, :2, 2], 0)
    np.testing.assert_allclose(fixed[:, (0, 1), (0, 1)], [[0.5, 1], [1, 1 / 3], [1, 1]], atol=1e-6)
    reach = drawn[:, :, :2, 2].abs().amax(0).numpy()
    assert (reach <= np.array([[0.5, 0], [0, 2 / 3], [0, 0]]) + 1e-6).all()
    assert reach[0, 0] > 0.48 and reach[1, 1] > 0.63


@pytest.mark.parametrize("presized", [True, False])
@pytest.mark.parametrize(
    ("tta", "n"), [(False, 1), (True, 2), ("flips", 4), ("crops", 12), ("scales", 6), ("random", 6)]
)
def test_views_start_with_the_picture_as_it_is(tta: bool | str, n: int, presized: bool) -> None:
    data = rows(noise(2, 16, 16))
    side = 8 if presized else 16
    lens = Lens(Frame(side, side, "squish", presized=presized), HALF)
    views = list(lens.views(data, CPU, view_maps(tta, 5, 1.0, seed=0)))
    assert len(views) == n
    assert torch.equal(views[0], lens(data, CPU))
    assert all(view.shape == (2, 3, side, side) for view in views)
    assert not any(torch.equal(a, b) for a, b in pairwise(views))
    if tta in (True, "crops", "scales"):
        for plain, mirrored in zip(views[::2], views[1::2], strict=True):
            np.testing.assert_allclose(plain.flip(-1), mirrored, atol=1e-3)


def test_views_by_chance_are_moved_as_training_images_are() -> None:
    upright = view_maps("random", 50, 1.0, 0, Augmentation(flip=False, degrees=0, warp=0, zoom=1.3))
    assert (upright[:, 0, 0] > 0).all() and upright[:, 0, 0].min() < 0.8, "enlarged, and never mirrored"
    assert view_maps("random", 50, 1.0, 0)[:, 0, 0].min() < 0


def test_five_crops_reach_the_corners() -> None:
    maps = view_maps("crops", 1, 1.0, seed=0)[2::2]
    corners = {(x, y): seen_at(maps, x, y) for x in (-1, 1) for y in (-1, 1)}
    for crop, at in zip(range(1, 5), ((-1, -1), (1, -1), (-1, 1), (1, 1)), strict=True):
        np.testing.assert_allclose(corners[at][crop], at, atol=1e-6)
    np.testing.assert_allclose(corners[1, 1][0], (0.875, 0.875), atol=1e-6)
    np.testing.assert_allclose(box(torch.ones(1), torch.ones(1), torch.zeros(2, 1)), torch.eye(3)[None])


def test_settings_are_checked_by_name_and_range() -> None:
    assert Augmentation.of(True) == Augmentation() and Augmentation.of(False) is None
    assert Augmentation.of({"warp": 0, "flip_vert": True}) == Augmentation(warp=0, flip_vert=True)
    for settings_, match in (
        ({"wrap": 0.1}, "'wrap'"),
        ({"degrees": 400}, "from 0 to 180"),
        ({"min_scale": 0.0}, "min_scale"),
        ({"flip": 1.0}, "true or false"),
        ({"light": True}, "a number"),
    ):
        with pytest.raises(ConfigError, match=match):
            Augmentation.of(settings_)
    with pytest.raises(ConfigError, match="'flips'"):
        check_views("flps", 1)
    with pytest.raises(ConfigError, match="tta_views"):
        check_views("random", 0)


def pictures_of(folder: Path, *sizes: tuple[int, int]) -> list[Path]:
    """A picture of each width and height."""
    paths = [folder / f"{number}.png" for number in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        Image.new("RGB", size).save(path)
    return paths


def test_crops_are_cut_from_the_shape_that_most_pictures_have(tmp_path: Path) -> None:
    paths = pictures_of(tmp_path, (64, 48), (48, 64), (66, 48), (640, 48))
    assert canvas_for(paths, 30, "crop") == canvas_for(paths[::-1], 30, "crop") == (60, 80)
    assert canvas_for(paths[1:2], 30, "crop") == (80, 60)
    assert canvas_for(paths[3:], 30, "crop") == (60, 120), "twice as wide at most"
    assert canvas_for(paths, (30, 40), "crop") == (60, 80)
    assert canvas_for(paths, 30, "squish") == canvas_for(paths, 30, "pad") == (60, 60)


def test_the_squarest_of_equally_common_shapes_counts(tmp_path: Path) -> None:
    assert canvas_for(pictures_of(tmp_path, (96, 48), (48, 48)), 30, "crop") == (60, 60)


def test_damaged_pictures_have_no_say_in_the_shape(tmp_path: Path) -> None:
    paths = pictures_of(tmp_path, (64, 48), (48, 48), (48, 48))
    paths[1].write_bytes(b"no picture")
    paths[2].unlink()
    assert canvas_for(paths, 30, "crop") == (60, 80)
    assert canvas_for(paths[1:], 30, "crop") == canvas_for([], 30, "crop") == (60, 60)


def test_a_picture_on_its_side_is_looked_at_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(tmp_path / "turned.jpg", exif=exif)
    assert canvas_for([tmp_path / "turned.jpg"], 30, "crop") == (80, 60)
