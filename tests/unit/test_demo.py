"""The page for a Hugging Face Space: it stands on its own, with gradio or with a stand-in for it."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_exported import FAST, PATHS, X, numbers, y

from kagglekit.demo import write_space
from kagglekit.errors import CorruptImages, UsageError
from kagglekit.models.vision.estimator import TimmClassifier, TimmRegressor
from kagglekit.models.vision.exported import load
from kagglekit.models.vision.facts import About
from kagglekit.models.vision.saving import save

# The little of gradio that app.py uses, recorded.
STAND_IN = """
class Image:
    def __init__(self, type, label, image_mode): self.type = type
class Label:
    def __init__(self, num_top_classes): self.most = num_top_classes
class Interface:
    def __init__(self, fn, inputs, outputs, title, description, examples, cache_examples):
        self.fn, self.title, self.examples, self.outputs = fn, title, examples, outputs
    def launch(self): raise SystemExit("served")
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    save(TimmClassifier(**FAST).fit(X, y), tmp_path / "leaf-model", about=About(name="leaf-model", score="accuracy .9"))
    return tmp_path / "leaf-model"


def test_the_space_stands_alone_and_says_what_the_model_says(folder, tmp_path):
    space = write_space(folder, tmp_path / "space", examples=[Path(PATHS[0])])
    if importlib.util.find_spec("gradio") is None:
        (space / "gradio.py").write_text(STAND_IN)
    (folder / "model.json").unlink()
    code = (
        "import json, sys, app, kagglekit\n"
        "print(json.dumps([kagglekit.__file__, app.page.title, app.classify(sys.argv[1]), app.classify(None)]))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"GRADIO_ANALYTICS_ENABLED": "False"}
    words = [sys.executable, "-W", "ignore", "-c", code, PATHS[1]]
    done = subprocess.run(words, cwd=space, env=environment, capture_output=True, text=True, check=True)
    module, title, beliefs, nothing = json.loads(done.stdout.splitlines()[-1])
    assert Path(module).is_relative_to(space), "its own copy of the reader"
    assert title == "Leaf model"
    expected = load(space / "model").answers(PATHS[1:2]).iloc[0]
    np.testing.assert_allclose([beliefs[label] for label in expected.index], expected, atol=1e-6)
    assert nothing == {}
    assert [p.name for p in (space / "examples").iterdir()] == [Path(PATHS[0]).name]


def test_what_a_space_needs_is_named(folder, tmp_path):
    space = write_space(folder, tmp_path / "space")
    requirements = (space / "requirements.txt").read_text().split()
    assert any(line.startswith("gradio") for line in requirements)
    assert all(importlib.util.find_spec(name) for name in ("torch", "timm"))
    assert {"sdk: gradio", "app_file: app.py"} <= set((space / "README.md").read_text().splitlines())
    copied = {p.relative_to(space).as_posix() for p in space.rglob("*.py")}
    assert "kagglekit/models/vision/exported.py" in copied
    assert len(copied) < 25
    imported = "\n".join((space / file).read_text() for file in copied)
    assert "scikit-learn" not in requirements and "sklearn" not in imported
    assert not {c for c in copied if "arena" in c or c == "kagglekit/train.py"}, "no more than it takes"


def test_names_and_scores_are_never_code(folder, tmp_path):
    path = folder / "model.json"
    facts = json.loads(path.read_text())
    facts["about"] = {"name": 'x"""\nraise SystemExit("run")\n"""', "score": "a: b\n---\nsdk: static"}
    path.write_text(json.dumps(facts))
    space = write_space(folder, tmp_path / "space")
    tree = ast.parse((space / "app.py").read_text())
    assert not [node for node in tree.body if isinstance(node, ast.Raise)]
    head = (space / "README.md").read_text().split("---\n")[1].splitlines()
    assert [line.partition(":")[0] for line in head] == ["title", "sdk", "python_version", "app_file"]
    assert json.loads(head[0].partition(": ")[2]) == 'X"""\nraise systemexit("run")\n"""'


def test_examples_are_copies_under_names_of_their_own(folder, tmp_path):
    for place, source in zip("ab", PATHS, strict=False):
        (tmp_path / place).mkdir()
        (tmp_path / place / "leaf.png").symlink_to(source)
    given = [tmp_path / "a", tmp_path / "b/leaf.png", tmp_path / "a/leaf.png"]
    space = write_space(folder, tmp_path / "space", examples=given)
    found = sorted((space / "examples").iterdir())
    assert [p.name for p in found] == ["leaf-2.png", "leaf.png"], "each once"
    assert [p.read_bytes() for p in found] == [Path(PATHS[n]).read_bytes() for n in (1, 0)]
    assert not any(p.is_symlink() or p.stat().st_nlink > 1 for p in found)
    assert (space / "model/model.json").stat().st_nlink == 1, "what a person may edit is not shared"


def test_without_gradio_the_page_says_what_to_install(folder, tmp_path):
    space = write_space(folder, tmp_path / "space")
    code = "import sys; sys.modules['gradio'] = None; import app"
    done = subprocess.run([sys.executable, "-c", code], cwd=space, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "This page needs gradio: pip install -r requirements.txt\n"


def test_what_cannot_be_shown_is_one_line(folder, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(CorruptImages, match=r"notes\.txt"):
        write_space(folder, tmp_path / "space", examples=[tmp_path / "notes.txt"])
    with pytest.raises(UsageError, match="no file"):
        write_space(folder, tmp_path / "space", examples=[tmp_path / "gone.jpg"])
    save(TimmRegressor(**FAST).fit(X, numbers), tmp_path / "values", about=About(name="it"))
    with pytest.raises(UsageError, match="answers with values"):
        write_space(tmp_path / "values", tmp_path / "space")
    assert not (tmp_path / "space").exists()
    (tmp_path / "space").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write_space(folder, tmp_path / "space")
