"""A built notebook, run in a process of its own with nothing but its inputs, makes the run that is made at home."""

import json
import shutil
import subprocess
import sys

import pandas as pd
from flowers import SLUG, tables, write_pipeline, write_raw
from kernel_runner import script
from notebook_cells import assignment

from kagglekit.config import load_pipeline
from kagglekit.kernels.notebook import build
from kagglekit.kernels.parcels import parcels_for
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.store import Store
from kagglekit.train import train

FEATURES = "def add_features(frame):\n    return frame.assign(wide=frame['petal'] > 1.0)\n"


def test_the_notebook_makes_the_run_that_is_made_at_home(tmp_path):
    raw = write_raw(tmp_path / "home", *tables())
    path = write_pipeline(tmp_path)
    (path.parent / "features.py").write_text(FEATURES)
    pipeline = load_pipeline(path, check_params=registry.check)
    names = ["forest", "larger"]
    planned = assignment("flowers", pipeline, names, tmp_path, accelerator="none")
    parcels = parcels_for("flowers", pipeline, planned.experiments, tmp_path / "parcels")
    notebook = build(type(planned)(**{**vars(planned), "parcels": parcels}), tmp_path / "notebook")

    root = tmp_path / "machine"
    shutil.copytree(raw.files, root / "input" / SLUG)  # as older images mount it
    for parcel in parcels.values():
        shutil.copytree(parcel.folder, root / "input" / "datasets" / "ann" / parcel.slug)
    (root / "working").mkdir()
    code = script(json.loads(notebook.read_text()), root)
    (root / "notebook.py").write_text(f"{code}\nprint('imported from', kagglekit.__file__)\n")
    command = [sys.executable, "-I", str(root / "notebook.py")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"imported from {root / 'working' / '.kagglekit'}" in done.stdout
    assert "forest: 0 folds taken over, 3 trained, all folds done" in done.stdout
    assert "do more trees help?" in done.stdout

    there, here = Store(root / "working" / "runs" / SLUG), Store(tmp_path / "runs")
    home = train(prepare(raw, pipeline), pipeline.experiment("forest"), here)
    away = there.load(home.id)
    assert away.settings == home.settings
    assert (away.data, away.folds) == (home.data, home.folds)
    pd.testing.assert_frame_equal(away.oof.frame, home.oof.frame)
    pd.testing.assert_frame_equal(away.test.frame, home.test.frame)
    assert [i.rpartition("-")[0] for i in there.ids()] == names
    left = sorted(p.name for p in (root / "working").iterdir())
    assert left == ["pipelines", "result.png", "runs", "times.json"]
    assert (root / "working" / "result.png").read_bytes().startswith(b"\x89PNG")
