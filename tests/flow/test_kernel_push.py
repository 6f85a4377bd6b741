"""A built notebook, run as Kaggle would run it, and pushed through Kaggle's own client."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
from flowers import SLUG, tables, write_pipeline, write_raw

from kagglekit.arena import hosting
from kagglekit.arena.kernel_store import KernelStore
from kagglekit.arena.server import Arena
from kagglekit.config import load_pipeline
from kagglekit.gateway import Gateway, Site
from kagglekit.kernels import build, push
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.store import Store
from kagglekit.train import train

FEATURES = "def add_features(frame):\n    return frame.assign(wide=frame['petal'] > 1.0)\n"


def script(notebook: Path, root: Path) -> str:
    """The code cells in their order, with the two folders of Kaggle's machine moved below `root`."""
    cells = json.loads(notebook.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    for name in ("input", "working"):
        assert code.count(f'Path("/kaggle/{name}")') == 1
        code = code.replace(f'Path("/kaggle/{name}")', f"Path({str(root / name)!r})")
    return f"{code}\nprint('imported from', kagglekit.__file__)\n"


def test_the_notebook_makes_the_run_that_is_made_at_home(tmp_path):
    raw = write_raw(tmp_path / "home", *tables())
    path = write_pipeline(tmp_path)
    (path.parent / "features.py").write_text(FEATURES)
    pipeline = load_pipeline(path, check_params=registry.check)
    notebook = build("flowers", pipeline, ["forest", "larger"], tmp_path / "notebook", owner="ann", accelerator="none")
    root = tmp_path / "machine"
    shutil.copytree(raw.files, root / "input" / "competitions" / SLUG)
    (root / "working").mkdir()
    (root / "notebook.py").write_text(script(notebook, root))
    command = [sys.executable, "-I", str(root / "notebook.py")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"imported from {root / 'working' / '.kagglekit'}" in done.stdout
    assert "forest fold-0" in done.stdout
    assert "do more trees help?" in done.stdout

    there, here = Store(root / "working" / "runs" / SLUG), Store(tmp_path / "runs")
    home = train(prepare(raw, pipeline), pipeline.experiment("forest"), here)
    away = there.load(home.id)
    assert away.settings == home.settings
    assert (away.data, away.folds) == (home.data, home.folds)
    pd.testing.assert_frame_equal(away.oof.frame, home.oof.frame)
    pd.testing.assert_frame_equal(away.test.frame, home.test.frame)
    assert [i.rpartition("-")[0] for i in there.ids() if not i.startswith("blend")] == ["forest", "larger"]
    assert sorted(p.name for p in (root / "input" / "competitions" / SLUG).iterdir()) == [
        "sample_submission.csv",
        "test.csv",
        "train.csv",
    ]
    assert not (root / "working" / "data").exists()


def test_the_arena_takes_what_kaggles_client_pushes(tmp_path, flowers_folder):
    hosting.create(flowers_folder, tmp_path / "arena", SLUG)
    pipeline = load_pipeline(write_pipeline(tmp_path), check_params=registry.check)
    with Arena(tmp_path / "arena") as arena, Gateway(Site("arena", arena.url), arena.token) as gateway:
        assert gateway.username == arena.username
        notebook = build("flowers", pipeline, ["forest"], tmp_path / "notebook", owner=gateway.username)
        address = push(gateway, notebook.parent)
        push(gateway, notebook.parent)
    slug = "kagglekit-flowers-forest"
    assert address == f"{arena.url}/code/{arena.username}/{slug}"
    record = KernelStore(tmp_path / "arena" / "arena.db").find(slug)
    assert record is not None and record.version == 2
    sent, built = json.loads(record.source), json.loads(notebook.read_text())
    assert [c["source"] for c in sent["cells"]] == ["".join(c["source"]) for c in built["cells"]]
    request = json.loads(record.request)
    assert request["machineShape"] == "NvidiaTeslaT4"
    assert request["competitionDataSources"] == [SLUG]
    assert request["enableInternet"] is False and request["isPrivate"] is True
