"""From a submission back to all that it was made from, and the file made again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeGateway
from flowers import PIPELINE, SLUG, tables, truth, write_pipeline, write_raw

from kagglekit.blame import blame
from kagglekit.errors import StoreError, UsageError
from kagglekit.files import sha256, write_json
from kagglekit.flow import Flow
from kagglekit.progress import Silent
from kagglekit.provenance import source
from kagglekit.results import Results
from kagglekit.store import read_frame, write_frame
from kagglekit.submit import submit
from kagglekit.workspace import Workspace

FEATURES = "def add_features(frame):\n    return frame.assign(square=frame['petal'] ** 2)\n"
LAYERED = (
    PIPELINE + '\n[ensembles.top]\nwhy = "does a layer more help?"\nmembers = ["blend", "forest"]\nmethod = "mean"\n'
)


def world(root: Path, text: str = LAYERED) -> Flow:
    """The flowers with a `features.py`, all runs, and the ensemble "top" submitted as number 1."""
    write_raw(root / "data" / SLUG, *tables())
    write_pipeline(root, text).with_name("features.py").write_text(FEATURES)
    flow = Flow("flowers", Workspace(root, "kaggle"), Silent())
    flow.train()
    folder = flow.workspace.submissions("flowers")
    submit(FakeGateway(truth()), flow.ensemble("top"), flow.prepared, folder, flow.ledger)
    return flow


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    return world(tmp_path_factory.mktemp("world"))


def test_blame_names_everything(flow):
    found = Results(flow).blame("1")
    made, sent = found.made, found.sent[0]
    runs = {member.run.name: member for member in made.members}
    inner = {member.run.name for member in runs["blend"].members}
    assert made.run.name == "top"
    assert {name: member.weight for name, member in runs.items()} == {"blend": 0.5, "forest": 0.5}
    assert inner == {"forest", "forest-oob"}
    path = flow.workspace.submissions("flowers") / sent.submission.file
    assert (sent.submission.sha256, sent.file) == (sha256(path), "as sent")
    words = found.words()
    for expected in (
        sha256(path),
        "as sent",
        f"CV {made.run.score:.5f}",
        f"public {sent.submission.public:.5f}",
        "does a layer more help?",
        flow.prepared.data,
        flow.prepared.folds.fingerprint,
        sha256(flow.pipeline.path.with_name("features.py"))[:12],
        source(),
        "kagglekit 0.",
        "n_estimators 20",
        "weight 0.5000",
        *(run.id for run in flow.runs().values() if run.name.startswith("forest")),
    ):
        assert expected in words, expected


def test_blame_as_json_is_plain_and_has_no_predictions(flow):
    facts = json.loads(json.dumps(Results(flow).blame("top").as_json()))
    assert facts["submissions"][0]["ref"] == "1"
    assert facts["run"]["members"][0]["settings"]
    assert "oof" not in facts["run"]


@pytest.mark.parametrize("name", ["forest", "blend", "top"])
def test_a_run_goes_by_its_name_and_by_its_id(flow, name):
    run = Results(flow).blame(name).made.run
    assert run.name == name
    assert Results(flow).blame(run.id).made.run.id == run.id


def test_a_run_that_was_not_sent_says_so(flow):
    assert "Not submitted." in Results(flow).blame("majority").words()


def test_a_reference_that_nothing_has_is_told_with_the_nearest(flow):
    with pytest.raises(
        UsageError, match=r"No submission, run or experiment is called 'forset'\. Did you mean 'forest'"
    ):
        Results(flow).blame("forset")


def test_a_file_that_was_changed_or_is_gone_is_told(tmp_path):
    flow = world(tmp_path)
    sent = Results(flow).blame("1").sent[0].submission
    path = flow.workspace.submissions("flowers") / sent.file
    path.write_text(path.read_text() + "\n")
    assert Results(flow).blame("1").sent[0].file == "changed since"
    path.unlink()
    assert Results(flow).blame("1").sent[0].file == "gone"
    assert Results(flow).rebuild("1").identical


def test_a_member_that_is_missing_is_told(tmp_path):
    flow = world(tmp_path)
    (member,) = flow.store.find("forest-oob")
    (flow.store.folder / member).rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=f"has the member {member}, which is not in"):
        Results(flow).blame("1")
    (made,) = flow.store.find("top")
    (flow.store.folder / made).rename(tmp_path / "elsewhere too")
    with pytest.raises(UsageError, match=f"Submission 1 was made by the run {made}"):
        blame("1", flow.store, flow.ledger, tmp_path)


@pytest.mark.parametrize(("ref", "how"), [("1", "blended again"), ("forest", "from the stored predictions")])
def test_a_file_is_made_again_bit_by_bit(flow, ref, how):
    before = {p: p.stat().st_mtime_ns for p in flow.store.folder.rglob("*") if p.is_file()}
    found = Results(flow).rebuild(ref)
    assert found.how.startswith(how)
    assert found.differences == ()
    assert found.identical is (ref == "1")
    assert ("Bit-identical to submission 1" in found.words()) is (ref == "1")
    assert ("Nothing to compare with" in found.words()) is (ref == "forest")
    assert {p: p.stat().st_mtime_ns for p in flow.store.folder.rglob("*") if p.is_file()} == before


def test_training_again_gives_the_same_file(flow):
    found = Results(flow).rebuild("1", retrain=True)
    assert found.how == "trained again"
    assert found.identical
    assert found.differences == ()


def test_what_the_file_no_longer_says_is_taken_from_the_run(tmp_path):
    flow = world(tmp_path)
    write_pipeline(tmp_path, LAYERED.replace("n_estimators = 20", "n_estimators = 30"))
    later = Flow("flowers", flow.workspace, Silent())
    assert Results(later).rebuild("1", retrain=True).identical


def test_after_a_member_changed_rebuild_says_what_differs(tmp_path):
    """A member that was changed and sealed anew passes for whole; the blend made of it does not."""
    flow = world(tmp_path)
    (member,) = flow.store.find("forest")
    folder = flow.store.folder / member
    frame = read_frame(folder / "test.parquet")
    changed = frame.copy()
    changed[:] = np.roll(frame.to_numpy(), 1, axis=1)
    write_frame(folder / "test.parquet", changed)
    with pytest.raises(StoreError, match="is not as it was written"):
        Results(flow).rebuild("1")
    sealed = json.loads((folder / "COMPLETE").read_text())
    write_json(folder / "COMPLETE", {name: sha256(folder / name) for name in sealed})
    found = Results(flow).rebuild("1")
    assert not found.identical
    assert "Different from submission 1" in found.words()
    told = "\n".join(found.differences)
    assert "test predictions differ by up to" in told
    assert "rows of the file have another answer" in told


def test_other_data_or_folds_are_told_in_one_line(flow, tmp_path):
    with pytest.raises(UsageError, match="made from other folds"):
        Results(Flow("flowers", flow.workspace, Silent(), ["folds.seed=9"])).rebuild("1")
    with pytest.raises(UsageError, match="made from other data"):
        Results(Flow("flowers", flow.workspace, Silent(), ['data.drop=["soil"]'])).rebuild("forest")


def test_runs_from_before_the_fingerprints_can_be_read(flow):
    (identity,) = flow.store.find("forest")
    facts = json.loads((flow.store.folder / identity / "run.json").read_text())
    assert facts["features"] == flow.prepared.features
    assert facts["versions"]["kagglekit source"] == source()
    run = flow.store.load(identity)
    assert type(run)(**{k: v for k, v in run.__dict__.items() if k != "features"}).features == ""
