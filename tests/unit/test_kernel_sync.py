"""What travels: wheels, files and weights, in parcels that go to the site only when they changed."""

import base64
import csv
import hashlib
import io
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from flowers import PIPELINE, write_pipeline
from notebook_cells import FakeDatasets

from kagglekit.config import load_pipeline
from kagglekit.errors import GatewayError, MissingExtra, Unreachable, UsageError
from kagglekit.kernels import wheels
from kagglekit.kernels.parcels import Parcel, pack, parcels_for
from kagglekit.kernels.sync import sync
from kagglekit.models import registry

IMAGES = (
    PIPELINE.replace('"classification"', '"image-classification"')
    + """
[experiments.frozen]
why = "x"
model = "timm-features"

[experiments.own]
why = "x"
model = "timm"
weights = "/home/ann/mine.pth"

[experiments.blank]
why = "x"
model = "timm"
weights = "random"
"""
)


def parcel(root: Path, text: str = "one") -> Parcel:
    (root / "a.txt").write_text(text)
    (root / "b.txt").write_text("b")
    return pack("kagglekit-things", {"a.txt": root / "a.txt", "b.txt": root / "b.txt"}, root / "build")


def test_a_parcel_is_sent_once_and_again_only_when_it_changed(tmp_path):
    site = FakeDatasets(looks=3)
    waits: list[float] = []
    first = sync(site, [parcel(tmp_path)], sleep=waits.append)[0]
    assert first.was_sent and waits and first.words().endswith(": sent")
    again = sync(site, [parcel(tmp_path)], sleep=waits.append)[0]
    assert not again.was_sent and again.digest == first.digest and again.words().endswith(": unchanged")
    changed = sync(site, [parcel(tmp_path, "two")], sleep=waits.append)[0]
    assert changed.was_sent and changed.digest != first.digest
    assert site.sent == [("create", "kagglekit-things"), ("version", "kagglekit-things")]


def test_a_dataset_that_does_not_show_its_files_is_waited_for_and_then_told(tmp_path):
    with pytest.raises(Unreachable, match=r"not ready after 6 s; the site shows 2 of 3 files"):
        sync(FakeDatasets(shows=2), [parcel(tmp_path)], timeout=6, sleep=lambda s: None)
    with pytest.raises(GatewayError, match=r"could not make the dataset ann/kagglekit-things \(FAILED\)"):
        sync(FakeDatasets(ends="FAILED"), [parcel(tmp_path)], sleep=lambda s: None)


def test_a_parcel_with_a_token_is_not_sent(tmp_path):
    site = FakeDatasets()
    with pytest.raises(UsageError, match=r"a\.txt, line 1"):
        sync(site, [parcel(tmp_path, "KGAT_" + "0f1e2d3c4b5a6978")])
    assert site.sent == []


def test_a_parcel_that_was_changed_by_hand_is_packed_anew(tmp_path):
    made = parcel(tmp_path)
    (made.folder / "a.txt").write_text("else")
    assert (parcel(tmp_path).folder / "a.txt").read_text() == "one"
    assert sorted(p.name for p in made.folder.iterdir()) == ["a.txt", "b.txt", made.manifest]


def test_a_pipelines_own_files_travel_with_the_wheels(tmp_path):
    path = write_pipeline(tmp_path)
    (path.parent / "features.py").write_text("def add_features(frame):\n    return frame\n")
    pipeline = load_pipeline(path, check_params=registry.check)
    found = parcels_for("flowers", pipeline, [pipeline.experiment("forest")], tmp_path / "build")
    assert {key: p.slug for key, p in found.items()} == {
        "wheels": "kagglekit-wheels",
        "files": "kagglekit-flowers-files",
    }
    assert list(found["files"].files) == ["features.py"]
    assert [name for name in found["wheels"].files if name.startswith("kagglekit-")]


def test_weights_travel_by_architecture_and_a_path_of_this_computer_does_not(tmp_path):
    pipeline = load_pipeline(write_pipeline(tmp_path, IMAGES), check_params=registry.check)

    def travels(*names: str) -> dict[str, Parcel]:
        return parcels_for("flowers", pipeline, [pipeline.experiment(n) for n in names], tmp_path / "build")

    found = travels("frozen", "blank")["weights tf_efficientnet_lite0"]
    assert found.slug == "kagglekit-weights-tf-efficientnet-lite0"
    assert list(found.files) == ["tf_efficientnet_lite0.pth"]
    assert list(travels("blank")) == ["wheels"]
    with pytest.raises(UsageError, match=r"'own' names its weights by a path of this computer: /home/ann"):
        travels("own")


def test_the_wheel_holds_the_package_without_the_arena_and_says_so_of_every_byte():
    name, data = wheels.kagglekit_wheel()
    assert name.endswith("-py3-none-any.whl") and wheels.kagglekit_wheel() == (name, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        (record,) = (n for n in names if n.endswith("RECORD"))
        lines = list(csv.reader(io.StringIO(archive.read(record).decode())))
        for inside, digest, _ in lines[:-1]:
            found = base64.urlsafe_b64encode(hashlib.sha256(archive.read(inside)).digest()).rstrip(b"=").decode()
            assert digest == f"sha256={found}"
    assert sorted(line[0] for line in lines) == sorted(names)
    assert {"kagglekit/flow.py", "kagglekit/py.typed", "kagglekit/models/registry.py"} <= set(names)
    assert not [n for n in names if n.startswith("kagglekit/arena") or "__pycache__" in n]


def test_an_installed_distribution_becomes_a_wheel_again():
    name, data = wheels.repacked("typer")
    assert name == f"typer-{metadata.version('typer')}-py3-none-any.whl"
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert "typer/__init__.py" in archive.namelist() and archive.testzip() is None
    with pytest.raises(UsageError, match="numpy holds compiled code"):
        wheels.repacked("numpy")
    with pytest.raises(MissingExtra, match="no-such-thing"):
        wheels.repacked("no-such-thing")


def test_only_what_the_image_lacks_is_looked_for():
    assert wheels.lacking(["forest", "timm", "lightgbm"]) == []
    assert "fastai" in wheels.ON_IMAGE and "fastcore" in wheels.ON_IMAGE
    found = wheels.lacking(["tabm"])
    assert "tabm" in found and not wheels.ON_IMAGE.intersection(found)
