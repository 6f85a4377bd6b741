from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from vision_pictures import pictures

from kagglekit.errors import ConfigError, CorruptImages
from kagglekit.models.vision import cache as cache_module
from kagglekit.models.vision.cache import DecodedImages, RowStore
from kagglekit.models.vision.content import content_keys, state_key
from kagglekit.models.vision.decoding import decode, find_corrupt
from kagglekit.models.vision.runtime import import_torch


class Counting:
    """A progress that counts."""

    def __init__(self, said: list[str] | None = None) -> None:
        self.tasks: dict[str, list[float]] = {}
        self.said = said

    @contextmanager
    def task(self, name: str, total: float | None) -> Iterator[Counting]:
        self.tasks[name] = self.current = [total or 0, 0]
        yield self

    def advance(self, steps: float = 1.0) -> None:
        self.current[1] += steps

    def say(self, text: str) -> None:
        assert self.said is not None, text
        self.said.append(text)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def halves(width: int, height: int) -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = pixels[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels)


def test_images_come_by_path_whatever_the_order(tmp_path: Path) -> None:
    X, _ = pictures(tmp_path, 7)
    paths = list(X["path"])
    images = DecodedImages.open(paths, 16, cache_dir=tmp_path / "cache")
    assert len(images) == 7
    assert images[paths[0]].shape == (16, 16, 3)
    np.testing.assert_array_equal(images.take(paths[::-1])[::-1], images.take(paths))
    in_memory = DecodedImages.open(paths, 16)
    np.testing.assert_array_equal(in_memory.take(paths), images.take(paths))


def test_squish_keeps_all_crop_keeps_the_middle_and_pad_adds_black(tmp_path: Path) -> None:
    path = save(tmp_path / "wide.png", halves(80, 40))
    squish, crop, pad = (DecodedImages.open([path], 20, r)[path].astype(int) for r in ("squish", "crop", "pad"))
    for image in (squish, crop):
        assert image[10, 2].tolist() == [255, 0, 0]
        assert image[10, 17].tolist() == [0, 0, 255]
    assert (pad[:4] == 0).all() and (pad[-4:] == 0).all()
    assert pad[10, 2].tolist() == [255, 0, 0]
    tall = save(tmp_path / "tall.png", halves(40, 80).transpose(Image.Transpose.ROTATE_90))
    assert DecodedImages.open([tall], (10, 30), "crop")[tall].shape == (10, 30, 3)


def test_borders_can_mirror_the_picture(tmp_path: Path) -> None:
    path = save(tmp_path / "wide.png", Image.fromarray(np.repeat(np.arange(0, 240, 12, np.uint8)[:, None], 40, 1)))
    image = DecodedImages.open([path], 40, "reflect")[path][:, 20, 0].astype(int)
    np.testing.assert_array_equal(image[10:30], np.arange(0, 240, 12))
    np.testing.assert_array_equal(image[:10], image[10:20][::-1])
    np.testing.assert_array_equal(image[30:], image[20:30][::-1])


def test_the_shape_that_a_picture_had_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    paths = [save(tmp_path / "a.png", halves(80, 40)), save(tmp_path / "b.jpg", halves(600, 320), exif=exif)]
    for cache in (None, tmp_path / "cache"):
        rows = DecodedImages.open(paths, (6, 9), cache_dir=cache).rows(paths)
        assert rows["pixels"].shape == (2, 6, 9, 3)
        assert rows["shape"].tolist() == [[40, 80], [600, 320]]


def test_resizing_is_pillows_bicubic(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (61, 83, 3), dtype=np.uint8)
    path = save(tmp_path / "a.png", Image.fromarray(noise))
    for height, width in ((20, 31), (100, 40)):
        expected = np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
        assert np.abs(DecodedImages.open([path], (height, width))[path] - expected).max() <= 1


def test_decoding_leaves_torch_the_threads_that_it_had(tmp_path: Path) -> None:
    torch = import_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    DecodedImages.open([save(tmp_path / f"{i}.png", halves(8, 8)) for i in range(4)], 4)
    with ThreadPoolExecutor(1) as pool:
        found = torch.get_num_threads(), pool.submit(torch.get_num_threads).result()
    torch.set_num_threads(before)
    assert found == (3, 3)


def test_an_unknown_resize_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'squish'"):
        DecodedImages.open([], 8, "squash")


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    value = 255 if mode == "1" else 204  # colours that these modes hold exactly
    if mode == "I;16":
        image = Image.fromarray(np.full((9, 11), value * 257, np.uint16))
    else:
        image = Image.new("RGB", (11, 9), (value, value, value)).convert(mode)
    path = save(tmp_path / ("a.tif" if mode == "CMYK" else "a.png"), image)
    decoded = DecodedImages.open([path], 8)[path]
    assert decoded.shape == (8, 8, 3)
    assert np.abs(decoded.astype(int) - value).max() <= 2


def test_a_palette_with_transparent_colours_is_read_without_complaint(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    path = save(tmp_path / "a.png", image, transparency=bytes([128] * 4))
    assert np.abs(DecodedImages.open([path], 8)[path][4, 4].astype(int) - [10, 200, 30]).max() <= 2


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", halves(64, 64), quality=95, subsampling=0, exif=exif)
    decoded = DecodedImages.open([path], 16)[path].astype(int)
    red_at = {1: (8, 1), 3: (8, 14), 6: (1, 8), 8: (14, 8)}[orientation]
    assert decoded[red_at][0] > 200 > 50 > decoded[red_at][2]


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_photographs_have_the_pixels_that_pillow_gives(tmp_path: Path, subsampling: int, progressive: bool) -> None:
    path = save(tmp_path / "a.jpg", noise(53, 37), quality=90, subsampling=subsampling, progressive=progressive)
    np.testing.assert_array_equal(decode(path, 37, 53, "squish")[0], np.asarray(Image.open(path)))


@pytest.mark.parametrize("how", ["turned", "upright", "large", "grey", "cmyk"])
def test_whatever_a_jpeg_is_both_decoders_give_one_picture(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)).resize((150, 100))
    more: dict[str, object] = {}
    if how in ("turned", "upright"):
        exif = Image.Exif()
        exif[0x0112] = 6 if how == "turned" else 1
        more["exif"] = exif
    path = save(tmp_path / "a.jpg", image.convert({"grey": "L", "cmyk": "CMYK"}.get(how, "RGB")), **more)
    side = 24 if how == "large" else 64
    found, shape = decode(path, side, side, "squish")
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    expected, expected_shape = decode(path, side, side, "squish")
    np.testing.assert_array_equal(found, expected)
    assert shape == expected_shape == ((150, 100) if how == "turned" else (100, 150))


def test_without_simplejpeg_pillow_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.jpg", noise(40, 40))
    before, _ = decode(path, 32, 32, "squish")
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    np.testing.assert_array_equal(decode(path, 32, 32, "squish")[0], before)


def test_a_photograph_that_ends_early_is_damaged_whoever_decodes_it(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", noise(200, 200))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(OSError, match="truncated"):
        decode(path, 200, 200, "squish")


def test_large_photographs_lose_nothing_by_decoding_at_a_lower_scale(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).resize(
        (1280, 960), Image.Resampling.BICUBIC
    )
    path = save(tmp_path / "a.jpg", smooth, quality=95)
    reference = np.asarray(Image.open(path).convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(DecodedImages.open([path], 64)[path] - reference).mean() < 1


def test_all_bad_files_are_named_at_once_and_nothing_is_kept(tmp_path: Path) -> None:
    X, _ = pictures(tmp_path / "images", 4)
    text, cut, empty = tmp_path / "text.jpg", tmp_path / "cut.jpg", tmp_path / "empty.png"
    text.write_text("<html>not found</html>")
    save(cut, halves(200, 200), quality=95)
    cut.write_bytes(cut.read_bytes()[:600])
    empty.touch()
    paths = [str(text), *X["path"], str(cut), str(empty), str(tmp_path / "gone.png")]
    with pytest.raises(CorruptImages) as caught:
        DecodedImages.open(paths, 16, cache_dir=tmp_path / "cache")
    assert len(caught.value.files) == 4
    assert all(name in str(caught.value) for name in ("text.jpg", "cut.jpg", "empty.png", "gone.png"))
    assert not list((tmp_path / "cache").rglob("rows.npy"))
    found = find_corrupt(paths)
    assert [path for path, _ in found] == [str(text), str(cut), str(empty), str(tmp_path / "gone.png")]
    assert all(reason for _, reason in found)


def test_copies_of_a_damaged_file_are_all_named(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text("no image")
    with pytest.raises(CorruptImages) as caught:
        DecodedImages.open([tmp_path / "a.jpg", tmp_path / "b.jpg"], 8, cache_dir=tmp_path / "cache")
    assert len(caught.value.files) == 2


def test_sound_shards_stay_beside_damaged_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    X, _ = pictures(tmp_path / "images", 4)
    (bad := tmp_path / "bad.jpg").write_text("no image")
    monkeypatch.setattr(cache_module, "_SHARD_BYTES", 2 * (8 * 8 * 3 + 8))
    paths = [*X["path"], str(bad)]
    with pytest.raises(CorruptImages):
        DecodedImages.open(paths, 8, cache_dir=tmp_path / "cache")
    assert len(list((tmp_path / "cache").rglob("rows.npy"))) == 2
    images = DecodedImages.open(paths[:4], 8, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(images.take(paths[:4]), DecodedImages.open(paths[:4], 8).take(paths[:4]))


def test_copies_share_a_row_wherever_they_lie(tmp_path: Path) -> None:
    X, _ = pictures(tmp_path / "images", 3)
    cache = tmp_path / "cache"
    first = DecodedImages.open(X["path"], 8, cache_dir=cache).take(X["path"])
    moved = [str(shutil.copy(path, tmp_path)) for path in X["path"]]
    progress = Counting()
    np.testing.assert_array_equal(DecodedImages.open(moved, 8, cache_dir=cache, progress=progress).take(moved), first)
    assert list(progress.tasks) == ["look through images"]


def test_one_process_decodes_and_the_other_waits_for_it(tmp_path: Path) -> None:
    X, _ = pictures(tmp_path / "images", 3)
    paths, cache = list(X["path"]), tmp_path / "cache"
    made = DecodedImages.open(paths, 8)
    store = RowStore(cache / f"images-v{cache_module._VERSION}-squish-8x8", (), made._store.dtype)
    said: list[str] = []
    with ThreadPoolExecutor(1) as pool, store.building():
        waiting = Counting(said)
        other = pool.submit(DecodedImages.open, paths, 8, "squish", cache, waiting)
        while not said:
            time.sleep(0.01)
        keys = content_keys(paths, cache)
        store.add(list(keys.values()), lambda rows: rows.__setitem__(slice(None), made.rows(paths)))
    np.testing.assert_array_equal(other.result().take(paths), made.take(paths))
    assert waiting.tasks["decode images at 8x8"] == [0, 0]


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    X, _ = pictures(tmp_path / "images", 2)
    cache = tmp_path / "cache"
    DecodedImages.open(X["path"][:1], 8, cache_dir=cache)
    (half := next(cache.glob("images-*")) / ".0123.abc.tmp").mkdir()
    (half / "rows.npy").write_bytes(b"half")
    DecodedImages.open(X["path"], 8, cache_dir=cache)
    assert not half.exists()


def test_only_new_files_are_decoded(tmp_path: Path) -> None:
    X, _ = pictures(tmp_path / "images", 6)
    paths, cache = list(X["path"]), tmp_path / "cache"
    DecodedImages.open(paths[:4], 16, cache_dir=cache)
    progress = Counting()
    DecodedImages.open(paths, 16, cache_dir=cache, progress=progress)
    assert progress.tasks == {"look through images": [2, 2], "decode images at 16x16": [2, 2]}
    again = Counting()
    images = DecodedImages.open(paths[::-1], 16, cache_dir=cache, progress=again)
    assert again.tasks == {}
    np.testing.assert_array_equal(images.take(paths), DecodedImages.open(paths, 16).take(paths))


def test_a_changed_file_is_decoded_again_even_with_its_old_time(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", (8, 8), (255, 0, 0)))
    before = path.stat()
    DecodedImages.open([path], 8, cache_dir=tmp_path / "cache")
    save(path, Image.new("RGB", (8, 8), (0, 255, 0)))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert DecodedImages.open([path], 8, cache_dir=tmp_path / "cache")[path][0, 0].tolist() == [0, 255, 0]


def test_half_a_shard_is_passed_over(tmp_path: Path) -> None:
    X, _ = pictures(tmp_path / "images", 3)
    paths, cache = list(X["path"]), tmp_path / "cache"
    whole = DecodedImages.open(paths, 8, cache_dir=cache).take(paths)
    for rows in cache.rglob("rows.npy"):
        rows.write_bytes(rows.read_bytes()[:100])
    np.testing.assert_array_equal(DecodedImages.open(paths, 8, cache_dir=cache).take(paths), whole)


def test_a_key_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    gone = state_key(path)
    path.write_text("1")
    assert state_key(path) != gone
    assert state_key(path) == state_key(str(path))
    before = content_keys([path], tmp_path / "cache")
    path.write_text("2")
    assert content_keys([path], tmp_path / "cache") != before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), min_size=1, max_size=4), disk=st.booleans()
)
def test_rows_are_found_by_key_however_they_came_in(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], disk: bool
) -> None:
    store = RowStore(tmp_path_factory.mktemp("store") if disk else None, (2,), "float32")
    for batch in batches:
        if new := store.missing(map(str, batch)):
            store.add(new, lambda rows, new=new: rows.__setitem__(slice(None), np.array([[int(k)] for k in new])))
    asked = [key for batch in batches for key in batch][::-1]
    np.testing.assert_array_equal(store.take(list(map(str, asked))), np.repeat(np.array(asked)[:, None], 2, 1))
