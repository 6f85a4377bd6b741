"""An exported model predicts what the fitted one does, is read without unpickling, and notices what was changed."""

from __future__ import annotations

import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path

import discs
import numpy as np
import pandas as pd
import pytest
from discs import SMALL
from vision_cases import picture_table, picture_target

from kagglekit.errors import CorruptImages, MissingExtra, StoreError, UsageError
from kagglekit.models.bagging import BaggedClassifier, BaggedRegressor
from kagglekit.models.several import PerTarget
from kagglekit.models.vision.estimator import TimmClassifier, TimmRegressor
from kagglekit.models.vision.exchange import write_fastai, write_onnx
from kagglekit.models.vision.exported import load
from kagglekit.models.vision.facts import PROBE, About, Cuts, Facts, Member
from kagglekit.models.vision.features import FrozenFeatures, FrozenFeaturesRegressor
from kagglekit.models.vision.saving import merge, save

FAST = SMALL | discs.FAST
X = picture_table(0).iloc[:24]
y = picture_target(X, "classification")
numbers = picture_target(X, "regression")
PATHS = list(X["path"])


@pytest.fixture(scope="module")
def tuned() -> TimmClassifier:
    return TimmClassifier(**FAST).fit(X, y)


@pytest.fixture
def folder(tuned, tmp_path) -> Path:
    save(tuned, tmp_path / "model", about=About(name="discs"))
    return tmp_path / "model"


@pytest.mark.parametrize(
    "estimator",
    [
        TimmClassifier(**FAST | {"size": (32, 48)}, resize="reflect", tta="crops"),
        TimmClassifier(**FAST, resize="crop", presize=32, tta=True),
        TimmClassifier(**FAST | {"arch": "test_vit"}),
        FrozenFeatures(**SMALL, C=0.1),
        BaggedClassifier(TimmClassifier(**FAST, tta="random", tta_views=2), n_estimators=2, random_state=0),
    ],
    ids=["crops", "mirrored", "vit", "frozen", "bagged-views-by-chance"],
)
def test_it_predicts_the_same(estimator, tmp_path):
    expected = estimator.fit(X, y).predict_proba(X)
    save(estimator, tmp_path / "model", about=About(name="it"))
    model = load(tmp_path / "model")
    np.testing.assert_allclose(model.answers(PATHS), expected, atol=1e-5)
    assert model.predict(PATHS).tolist() == estimator.predict(X).tolist()
    assert expected.std() > 1e-4, "the pictures are told apart"


@pytest.mark.parametrize(
    "estimator",
    [
        TimmRegressor(**FAST, tta="crops"),
        FrozenFeaturesRegressor(**SMALL, C=0.1),
        BaggedRegressor(TimmRegressor(**FAST), n_estimators=2, random_state=0),
    ],
    ids=["crops", "frozen", "bagged"],
)
def test_values_come_back_in_their_own_unit(estimator, tmp_path):
    estimator.fit(X, np.log1p(numbers))
    save(estimator, tmp_path / "model", about=About(name="it"), columns=["age"], transform="log1p")
    found = load(tmp_path / "model").answers(PATHS)
    assert list(found.columns) == ["age"]
    np.testing.assert_allclose(found["age"], np.expm1(estimator.predict(X)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("estimator", [TimmRegressor(**FAST), FrozenFeaturesRegressor(**SMALL, C=0.1)])
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_values_keep_their_digits_in_any_unit_and_far_from_nought(estimator, unit, tmp_path):
    estimator.fit(X, (numbers + 1e6) * unit)
    facts = save(estimator, tmp_path / "model", about=About(name="it"))
    found, expected = load(tmp_path / "model").answers(PATHS)["value"], estimator.predict(X)
    np.testing.assert_allclose((found - expected) / unit, 0, atol=1e-5)
    assert facts.distance([expected[0] + unit], [expected[0]]) > 0.1, "a wrong answer is far off in this unit too"


def test_the_distance_of_values_is_a_share_of_what_was_learnt():
    facts = Facts.model_construct(kind="values", members=[Member(file="a", outputs=1, columns=["y"], scale=[0.5])])
    for transform, value, off in (("none", 100.0, 0.5), ("log1p", 9.0, 5.0), ("log", 10.0, 5.0)):
        one = facts.model_copy(update={"transform": transform})
        assert one.distance([[value + off]], [[value]]) == pytest.approx(1)
    assert facts.model_copy(update={"kind": "labels"}).distance([[0.3]], [[0.1]]) == pytest.approx(0.2)


def test_ordered_classes_and_yes_or_no_labels(tmp_path):
    ordered = TimmClassifier(**FAST, loss="ordinal").fit(X, numbers.astype(int))
    save(ordered, tmp_path / "ordered", about=About(name="it"))
    np.testing.assert_allclose(load(tmp_path / "ordered").answers(PATHS), ordered.predict_proba(X), atol=1e-5)
    several = TimmClassifier(**FAST).fit(X, pd.DataFrame({"red": numbers == 0, "blue": numbers == 2}, dtype=int))
    save(several, tmp_path / "several", about=About(name="it"))
    model = load(tmp_path / "several")
    np.testing.assert_allclose(model.answers(PATHS), several.predict_proba(X), atol=1e-5)
    words = model.words(model.answers(PATHS[:1]).iloc[0], top=1)
    assert words.startswith("red ") and ", blue " in words, "every yes-or-no label is told"
    with pytest.raises(UsageError, match="yes or no"):
        model.predict(PATHS)


def test_targets_that_were_learnt_beside_are_left_out(tmp_path):
    model = TimmClassifier(**FAST).fit(X, y, extra=pd.DataFrame({"age": numbers}))
    save(model, tmp_path / "model", about=About(name="it"))
    np.testing.assert_allclose(load(tmp_path / "model").answers(PATHS), model.predict_proba(X), atol=1e-5)


def test_several_models_answer_with_their_mean(tuned, folder, tmp_path):
    two = y[y != "tungro"]
    narrow = TimmClassifier(**FAST, random_state=1).fit(X.loc[two.index], two)
    labels = ["tungro", "blast", "normal"]
    save(tuned, tmp_path / "a", about=About(name="a"), columns=labels)
    save(narrow, tmp_path / "b", about=About(name="b"), columns=labels)
    facts = merge({"fold-0": tmp_path / "a", "fold-1": tmp_path / "b"}, tmp_path / "both", about=About(name="both"))
    assert [member.file for member in facts.members] == ["fold-0.safetensors", "fold-1.safetensors"]
    found = load(tmp_path / "both").answers(PATHS)
    assert list(found.columns) == labels
    parts = [pd.DataFrame(m.predict_proba(X), columns=m.classes_, index=PATHS) for m in (tuned, narrow)]
    expected = (parts[0] + parts[1].reindex(columns=parts[0].columns, fill_value=0.0)) / 2
    pd.testing.assert_frame_equal(found, expected[labels], check_names=False, atol=1e-5, check_dtype=False)
    with pytest.raises(UsageError, match="other settings"):
        merge({"fold-0": tmp_path / "a", "other": folder}, tmp_path / "mixed", about=About(name="mixed"))
    assert not (tmp_path / "mixed").exists()


def test_cuts_choose_the_label_and_are_told(folder):
    values, bounds = [0.0, 1.0, 2.0], [0.5, 0.7]
    change(folder, cuts={"values": values, "bounds": bounds})
    model = load(str(folder))
    answers = model.answers(PATHS)
    expected = np.searchsorted(bounds, answers.to_numpy() @ values)
    assert model.predict(PATHS).tolist() == [model.facts.columns[n] for n in expected]
    label = model.facts.columns[expected[0]]
    assert model.words(answers.iloc[0], top=1).startswith(f"{label} ({answers.iloc[0].idxmax()} ")
    cuts = Cuts(values=[0.0, 1.0], bounds=[0.25])
    assert cuts.places(np.array([[0.75, 0.25], [0.7, 0.3]])).tolist() == [0, 1]
    assert cuts.words(["no", "yes"]) == "a picture is called 'yes' above a probability of 0.25"


def test_all_damaged_files_are_named(folder, tmp_path):
    bad = [tmp_path / f"{n}.jpg" for n in range(2)]
    for path in bad:
        path.write_bytes(b"no picture")
    some = [PATHS[0]] * 70  # more than are looked at together
    with pytest.raises(CorruptImages) as error:
        load(folder).answers([bad[0], *some, bad[1]])
    assert [file.partition(" ")[0] for file in error.value.files] == [str(path) for path in bad]


def test_a_part_that_was_damaged_since_is_not_merged(folder, tmp_path):
    file = folder / "00.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(StoreError, match=r"it\.safetensors is not as it was exported"):
        merge({"it": folder}, tmp_path / "merged", about=About(name="it"))
    assert not (tmp_path / "merged").exists()


def test_nothing_is_unpickled(folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    assert load(folder).answers(PATHS[:1]).shape == (1, 3)
    assert sorted(p.suffix for p in folder.iterdir()) == [".jpg", ".json", ".safetensors"]


MEMBER = {"file": "00.safetensors", "outputs": 3, "columns": ["blast", "normal", "tungro"]}


def change(folder: Path, **fields) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_changed_file_is_refused(folder):
    file = folder / "00.safetensors"
    before = file.read_bytes()
    file.write_bytes(before[:-4] + b"abcd")
    with pytest.raises(StoreError, match=r"00\.safetensors is not as it was exported"):
        load(folder)
    file.unlink()
    with pytest.raises(StoreError, match=r"00\.safetensors is not as it was exported"):
        load(folder)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"precision": "fp4"}, "has the field 'precision', which this version of kagglekit does not know"),
        ({"format": 2}, "does not describe a model of this version"),
        ({"size": "large"}, "'size'"),
        ({"probe": [0.9, 0.05, 0.05]}, "predicts its probe otherwise"),
        ({"arch": "test_resnetz"}, "no architecture 'test_resnetz'"),
        ({"arch": "test_vit"}, "does not fit test_vit"),
        ({"members": [MEMBER | {"file": "../00.safetensors"}]}, "members.0.file"),
        ({"members": [MEMBER | {"columns": ["rust"]}]}, "answers for 'rust', which is none of the columns"),
        ({"members": [MEMBER | {"outputs": 1}]}, "has 1 outputs for 3 columns"),
        ({"members": [MEMBER | {"views": [3]}]}, "asks for view 3 of 1"),
        ({"members": []}, "'members'"),
        ({"kind": "values"}, "needs a mean and a scale"),
        ({"columns": ["blast", "blast"]}, "a name is listed twice"),
        ({"probe": [1.0]}, "3 numbers are expected"),
        ({"views": []}, "'views'"),
        ({"views": [[[1.0, 0.0], [0.0, 1.0]]]}, "'views.0"),
        ({"size": [0, 32]}, "'size.0'"),
        ({"cuts": {"values": [0.0, 1.0], "bounds": [0.5]}}, "one bound fewer"),
    ],
)
def test_what_it_does_not_know_is_refused_in_one_line(folder, fields, says):
    change(folder, **fields)
    with pytest.raises(Exception, match=says) as error:
        load(folder)
    assert "\n" not in str(error.value)


def test_what_is_no_exported_model_is_one_line(tmp_path, folder, tuned):
    with pytest.raises(StoreError, match="holds no exported model"):
        load(tmp_path)
    (folder / "model.json").write_bytes(b"\xff\xfe")
    with pytest.raises(StoreError, match="not UTF-8"):
        load(folder)
    with pytest.raises(UsageError, match="exists already"):
        save(tuned, folder, about=About(name="it"))
    one = TimmClassifier(**FAST).fit(X, pd.Series("blast", index=X.index))
    with pytest.raises(UsageError, match="the label 'blast' alone"):
        save(one, tmp_path / "one", about=About(name="it"))
    with pytest.raises(UsageError, match="2 targets have a model each"):
        apart = PerTarget(FrozenFeatures(**SMALL, C=0.1))
        apart.estimators_ = {"red": apart.estimator, "blue": apart.estimator}
        save(apart, tmp_path / "apart", about=About(name="it"))
    with pytest.raises(UsageError, match="none of the classes"):
        save(tuned, tmp_path / "few", about=About(name="it"), columns=["blast", "normal"])
    assert not (tmp_path / "few").exists()


def test_fastai_opens_it_and_predicts_the_same(folder, tmp_path):
    # In a process that has imported nothing yet: fastai's modules mend each other.
    write = (
        "import sys; from pathlib import Path\n"
        "from kagglekit.models.vision.exchange import write_fastai\n"
        "from kagglekit.models.vision.exported import load\n"
        "write_fastai(load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[1]) / 'probe.jpg')\n"
    )
    subprocess.run([sys.executable, "-c", write, str(folder), str(tmp_path / "export.pkl")], check=True)
    model = load(folder)
    expected = model.answers(PATHS[:5]).to_numpy()
    code = (
        "import json, sys, warnings; warnings.simplefilter('ignore')\n"
        "from fastai.learner import load_learner\n"
        "learner = load_learner(sys.argv[1])\n"
        "with learner.no_bar():\n"
        "    rows = learner.get_preds(dl=learner.dls.test_dl(sys.argv[2:]))[0]\n"
        "    label = learner.predict(sys.argv[2])[0]\n"
        "print(json.dumps([rows.tolist(), label]))\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "export.pkl"), *PATHS[:5]]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    rows, label = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    assert label == model.predict(PATHS[:1]).iloc[0]


def test_a_learner_that_cannot_be_pickled_is_told_in_one_line(folder, tmp_path, monkeypatch):
    def export(learner):
        raise TypeError("cannot pickle '_thread.RLock' object")

    monkeypatch.setattr("fastai.learner.Learner.export", export)
    with pytest.raises(StoreError, match=r"cannot export its Learner here: cannot pickle .* object\."):
        write_fastai(load(folder), tmp_path / "export.pkl", folder / PROBE)
    assert list(tmp_path.glob("*.pkl")) == []


def test_onnx_predicts_the_same_where_its_extra_is_installed(folder, tmp_path):
    model, path = load(folder), tmp_path / "model.onnx"
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")):
        with pytest.raises(MissingExtra, match="onnx"):
            write_onnx(model, path, folder / PROBE)
        assert not path.exists()
        return
    write_onnx(model, path, folder / PROBE)
    import onnxruntime

    pixels = model.pixels(PATHS[:3]).numpy()
    found = onnxruntime.InferenceSession(str(path)).run(["answers"], {"pixels": pixels})[0]
    np.testing.assert_allclose(found, model.answers(PATHS[:3]), atol=1e-4)
