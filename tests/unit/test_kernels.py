import ast
import base64
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from flowers import PIPELINE, SLUG, tables, write_pipeline, write_raw
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.config import Pipeline, load_pipeline
from kagglekit.dataset import RawData
from kagglekit.errors import DataError, UsageError
from kagglekit.kernels import Printing, _literal, build, kernel_slug, machine_shape, mount_data, push, refuse_secrets
from kagglekit.models import registry
from kagglekit.workspace import Workspace

TOKEN = "KGAT_" + "0f1e2d3c4b5a6978"  # in two parts, so that no scan takes this file for a leak


def load(root: Path, text: str = PIPELINE) -> Pipeline:
    return load_pipeline(write_pipeline(root, text), check_params=registry.check)


def made(root: Path, *names: str, text: str = PIPELINE, accelerator: str = "t4") -> Path:
    folder = root / "notebook"
    return build("flowers", load(root, text), names or ("forest",), folder, owner="ann", accelerator=accelerator)


def metadata(notebook: Path) -> dict[str, object]:
    return json.loads((notebook.parent / "kernel-metadata.json").read_text())


def sources(notebook: Path, kind: str) -> list[str]:
    return ["".join(c["source"]) for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == kind]


def test_a_notebook_folder_holds_what_kaggles_client_reads(tmp_path):
    notebook = made(tmp_path, "larger", "forest")
    assert notebook.name == "flowers-forest-larger.ipynb"
    assert sorted(p.name for p in notebook.parent.iterdir()) == [notebook.name, "kernel-metadata.json"]
    facts = metadata(notebook)
    assert facts["id"] == "ann/kagglekit-flowers-forest-larger"
    assert facts["title"] == "kagglekit flowers forest larger"
    assert facts["code_file"] == notebook.name
    assert facts["competition_sources"] == [SLUG]
    assert (facts["language"], facts["kernel_type"]) == ("python", "notebook")
    assert (facts["is_private"], facts["enable_internet"]) == ("true", "false")
    assert (facts["enable_gpu"], facts["machine_shape"]) == ("true", "NvidiaTeslaT4")


def test_cells_have_what_the_format_asks_for(tmp_path):
    content = json.loads(made(tmp_path).read_text())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", i) for i in ids)
    for cell in content["cells"]:
        assert ("outputs" in cell) == ("execution_count" in cell) == (cell["cell_type"] == "code")
        compile("".join(cell["source"]) if cell["cell_type"] == "code" else "", cell["id"], "exec")


def test_the_head_tells_hypothesis_and_change(tmp_path):
    head = sources(made(tmp_path, "forest", "larger"), "markdown")[0]
    assert "petals tell the colour" in head
    assert "`n_estimators` = `20`" in head
    assert "do more trees help?" in head
    assert "**Change against `forest`:** `n_estimators` from `20` to `40`." in head


def test_image_pipelines_say_where_weights_are_looked_for(tmp_path):
    text = PIPELINE.replace('"classification"', '"image-classification"')
    assert "pretrained weights" in sources(made(tmp_path, "majority", text=text), "markdown")[0]
    assert "pretrained weights" not in sources(made(tmp_path, "majority"), "markdown")[0]


def test_the_same_input_gives_the_same_bytes(tmp_path):
    first = made(tmp_path).read_bytes()
    assert made(tmp_path).read_bytes() == first


def test_the_pipeline_file_stands_in_the_notebook_as_it_is(tmp_path):
    path = write_pipeline(tmp_path)
    (path.parent / "features.py").write_text("def add_features(frame):\n    return frame  # as it came\n")
    code = "\n".join(sources(made(tmp_path), "code"))
    assert PIPELINE in code
    assert "return frame  # as it came" in code


@given(st.text() | st.text("'\"\\\n ab"))
def test_a_literal_means_its_text(text):
    assert ast.literal_eval(_literal(text)) == text


def test_an_ordinary_file_stays_readable():
    assert _literal("a = 'b'\nc = 'd'\n") == "r'''a = 'b'\nc = 'd'\n'''"
    assert _literal("'''x'''\n") == "r\"\"\"'''x'''\n\"\"\""


def test_the_source_travels_without_the_arena(tmp_path):
    cell = next(c for c in sources(made(tmp_path), "code") if "b64decode" in c)
    packed = base64.b64decode(cell.split('"""')[1])
    names = zipfile.ZipFile(io.BytesIO(packed)).namelist()
    assert {"kagglekit/flow.py", "kagglekit/py.typed", "kagglekit/models/registry.py"} <= set(names)
    assert not [n for n in names if "arena" in n or "__pycache__" in n]
    assert names == sorted(names)


@pytest.mark.parametrize("accelerator", ["none", "cpu"])
def test_no_accelerator_asks_for_no_machine(tmp_path, accelerator):
    facts = metadata(made(tmp_path, accelerator=accelerator))
    assert "machine_shape" not in facts
    assert facts["enable_gpu"] == "false"


@pytest.mark.parametrize("accelerator", ["p100", "P100", "NvidiaTeslaP100", "TpuV38", "tpu-v3-8"])
def test_retired_machines_are_refused_by_name(tmp_path, accelerator):
    with pytest.raises(UsageError, match=f"retired the accelerator '{accelerator}'.*Offered: none, cpu, t4"):
        made(tmp_path, accelerator=accelerator)
    assert not (tmp_path / "notebook").exists()


def test_machines_go_by_short_name_and_by_kaggles_own():
    assert machine_shape("a100") == machine_shape("NvidiaTeslaA100") == "NvidiaTeslaA100"
    assert machine_shape("L4") == "NvidiaL4"
    with pytest.raises(UsageError, match=r"no accelerator 'v100'.*t4"):
        machine_shape("v100")


def test_unknown_and_missing_experiments_are_refused(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'forest'"):
        made(tmp_path, "forrest")
    with pytest.raises(UsageError, match=r"No experiment.*forest"):
        build("flowers", load(tmp_path), [], tmp_path / "notebook", owner="ann")
    assert not (tmp_path / "notebook").exists()


@given(st.lists(st.text("abc-_.XYZ019é ", min_size=1, max_size=20), min_size=1, max_size=6))
def test_slugs_are_titles_that_kaggle_takes(names):
    slug = kernel_slug("paddy", names)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert 5 <= len(slug) <= 50
    assert slug == kernel_slug("paddy", [*reversed(names), names[0]])


def test_long_lists_that_begin_alike_have_different_slugs():
    first = [f"convnext-small-{size}" for size in (128, 192, 224, 256)]
    assert kernel_slug("paddy", first) != kernel_slug("paddy", [*first[:3], "convnext-small-288"])


def test_a_notebook_replaces_an_earlier_one_and_nothing_else(tmp_path):
    notebook = made(tmp_path, "larger")
    assert made(tmp_path, "forest").parent == notebook.parent
    assert not notebook.exists()
    (notebook.parent / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        made(tmp_path)
    assert (notebook.parent / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    "leak",
    [
        f"token = {TOKEN}",
        '{"username": "ann", "key": "' + "0123456789abcdef" * 2 + '"}',
        "os.environ['KAGGLE_KEY'] = '" + "0123456789ABCDEF" * 2 + "'",
        r"{\"key\": \"" + "0123456789abcdef" * 2 + r"\"}",
    ],
)
def test_files_with_tokens_are_refused_and_the_token_not_told(tmp_path, leak):
    path = tmp_path / "notes.txt"
    path.write_text(f"some words\n{leak}\n")
    with pytest.raises(UsageError, match=r"notes\.txt holds what looks like a Kaggle token") as caught:
        refuse_secrets([path])
    assert "0123456789" not in str(caught.value) and TOKEN not in str(caught.value)


def test_hashes_and_talk_of_keys_are_no_tokens(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text(f"md5 {'0123456789abcdef' * 2}; sha256 key {'0123456789abcdef' * 4}; the prefix KGAT_ and a key\n")
    refuse_secrets([path])


@pytest.mark.parametrize("place", ["variable", "file named by variable", "access_token", "kaggle.json", "config"])
def test_the_users_own_secret_is_found_wherever_it_is_kept(tmp_path, monkeypatch, no_credentials, place):
    secret, home = "quite-an-odd-secret", no_credentials
    stored = json.dumps({"username": "ann-of-the-meadow", "key": secret})
    if place == "variable":
        monkeypatch.setenv("KAGGLE_API_TOKEN", secret)
    elif place == "file named by variable":
        (tmp_path / "mine").write_text(f"{secret}\n")
        monkeypatch.setenv("KAGGLE_API_TOKEN", str(tmp_path / "mine"))
    else:
        folder = home / (".config/kaggle" if place == "config" else ".kaggle")
        folder.mkdir(parents=True)
        name = "access_token" if place == "access_token" else "kaggle.json"
        (folder / name).write_text(f"{secret}\n" if place == "access_token" else stored)
    path = tmp_path / "notes.txt"
    path.write_text("by ann-of-the-meadow")
    refuse_secrets([path])
    path.write_text(f"by ann, {secret}")
    with pytest.raises(UsageError, match=r"notes\.txt") as caught:
        refuse_secrets([path])
    assert secret not in str(caught.value)


def test_a_pipeline_with_a_token_is_never_built(tmp_path):
    with pytest.raises(UsageError, match=r"pipeline\.toml holds"):
        made(tmp_path, text=f"# {TOKEN}\n{PIPELINE}")
    assert not (tmp_path / "notebook").exists()


class Door:
    """Takes whatever is pushed."""

    def __init__(self) -> None:
        self.pushed: list[Path] = []

    def push_kernel(self, folder: Path) -> str:
        self.pushed.append(folder)
        return "http://127.0.0.1/code/ann/it"


def test_nothing_is_pushed_from_a_folder_with_a_token_or_without_a_notebook(tmp_path):
    door, notebook = Door(), made(tmp_path)
    assert push(door, notebook.parent) == "http://127.0.0.1/code/ann/it"
    notebook.write_text(notebook.read_text().replace("petals", TOKEN))
    with pytest.raises(UsageError, match=notebook.name):
        push(door, notebook.parent)
    with pytest.raises(UsageError, match="no built notebook"):
        push(door, tmp_path)
    assert door.pushed == [notebook.parent]


@pytest.mark.parametrize("place", [SLUG, f"competitions/{SLUG}"])
def test_data_are_found_at_either_mount_and_count_as_the_same_download(tmp_path, place):
    downloaded = write_raw(tmp_path / "home", *tables())
    shutil.copytree(downloaded.files, tmp_path / "input" / place)
    workspace = Workspace(tmp_path / "working", "kaggle")
    raw = mount_data(workspace, SLUG, tmp_path / "input")
    assert raw.fingerprint() == downloaded.fingerprint()
    assert raw.files.resolve() == tmp_path / "input" / place
    assert mount_data(workspace, SLUG, tmp_path / "gone") == raw


def test_a_link_without_a_manifest_is_made_anew(tmp_path):
    workspace = Workspace(tmp_path / "working", "kaggle")
    write_raw(tmp_path / "home", *tables()).files.rename(tmp_path / SLUG)
    left = RawData(workspace.data(SLUG))
    left.folder.mkdir(parents=True)
    left.files.symlink_to(tmp_path / "gone")
    assert mount_data(workspace, SLUG, tmp_path).is_complete


def test_missing_data_say_what_is_there(tmp_path):
    (tmp_path / "input" / "competitions" / "other").mkdir(parents=True)
    with pytest.raises(DataError, match="holds: competitions, competitions/other"):
        mount_data(Workspace(tmp_path, "kaggle"), SLUG, tmp_path / "input")
    with pytest.raises(DataError, match="holds: nothing"):
        mount_data(Workspace(tmp_path, "kaggle"), SLUG, tmp_path / "nowhere")


def test_progress_for_a_log_prints_lines(capsys):
    progress = Printing()
    progress.say("begin")
    with progress.task("training", 3) as task:
        task.advance()
        task.note("forest fold-0 0.9")
    assert capsys.readouterr().out == "begin\ntraining: 3 steps\n  forest fold-0 0.9\n"
