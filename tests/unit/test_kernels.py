"""The notebook that is built: readable, whole, the same every time, and what Kaggle's client reads beside it."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from flowers import PIPELINE, SLUG, write_pipeline
from hypothesis import given
from hypothesis import strategies as st
from notebook_cells import WHEELS, FakeKernels, assignment

from kagglekit.config import Pipeline, load_pipeline
from kagglekit.errors import UsageError
from kagglekit.kernels.assignment import kernel_slug
from kagglekit.kernels.cells import _literal
from kagglekit.kernels.machines import find_machine
from kagglekit.kernels.notebook import build, script
from kagglekit.kernels.parcels import Parcel
from kagglekit.kernels.push import push
from kagglekit.models import registry

TOKEN = "KGAT_" + "0f1e2d3c4b5a6978"  # in two parts, so that no scan takes this file for a leak


def load(root: Path, text: str = PIPELINE) -> Pipeline:
    return load_pipeline(write_pipeline(root, text), check_params=registry.check)


def made(root: Path, *names: str, text: str = PIPELINE, **more: Any) -> Path:
    return build(assignment("flowers", load(root, text), names or ("forest",), root, **more), root / "notebook")


def metadata(notebook: Path) -> dict[str, Any]:
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
    assert facts["competition_sources"] == [SLUG] and facts["dataset_sources"] == ["ann/kagglekit-wheels"]
    assert (facts["language"], facts["kernel_type"]) == ("python", "notebook")
    assert (facts["is_private"], facts["enable_internet"]) == ("true", "false")
    assert (facts["enable_gpu"], facts["machine_shape"]) == ("true", "NvidiaTeslaT4")
    assert facts["kernel_sources"] == [] and "docker_image" not in facts


def test_a_notebook_that_goes_on_reads_its_own_output_and_an_image_can_be_pinned(tmp_path):
    facts = metadata(made(tmp_path, goes_on=True, docker_image="gcr.io/kaggle-images/python@sha256:f4b6"))
    assert facts["kernel_sources"] == [facts["id"]]
    assert facts["docker_image"].endswith("@sha256:f4b6") and facts["docker_image_pinning_type"] == "original"


def test_cells_have_what_the_format_asks_for(tmp_path):
    content = json.loads(made(tmp_path, submit=True).read_text())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", i) for i in ids)
    for cell in content["cells"]:
        assert ("outputs" in cell) == ("execution_count" in cell) == (cell["cell_type"] == "code")
        compile("".join(cell["source"]) if cell["cell_type"] == "code" else "", cell["id"], "exec")


def test_the_head_tells_hypothesis_and_change_and_what_the_session_does(tmp_path):
    head = sources(made(tmp_path, "forest", "larger"), "markdown")[0]
    assert "petals tell the colour" in head
    assert "`n_estimators` = `20`" in head
    assert "do more trees help?" in head
    assert "**Change against `forest`:** `n_estimators` from `20` to `40`." in head
    assert "This session: 6 of 6 fits" in head and "\n- forest: fold-0, fold-1, fold-2" in head


def test_the_same_input_gives_the_same_bytes(tmp_path):
    first = made(tmp_path).read_bytes()
    assert made(tmp_path).read_bytes() == first


def test_the_pipeline_file_and_the_hashes_of_the_wheels_stand_in_the_notebook(tmp_path):
    code = sources(made(tmp_path), "code")
    assert any(PIPELINE in cell for cell in code)
    ((name, digest),) = WHEELS.items()
    assert any(f"{name!r}: {digest!r}" in cell for cell in code)
    assert not any("copy_files" in cell or "mounted_files" in cell for cell in code)


def test_files_and_weights_are_read_where_there_are_some(tmp_path):
    a = assignment("flowers", load(tmp_path), ["forest"], tmp_path)
    more = {
        "files": Parcel("kagglekit-flowers-files", tmp_path, {"features.py": "cd" * 32}),
        "weights lite0": Parcel("kagglekit-weights-lite0", tmp_path, {"lite0.pth": "ef" * 32}),
    }
    text = script(type(a)(**{**vars(a), "parcels": {**a.parcels, **more}}))
    assert "copy_files('kagglekit-flowers-files', OWNER, FILES" in text and repr("cd" * 32) in text
    assert "mounted_files('kagglekit-weights-lite0'" in text and repr("ef" * 32) in text


@pytest.mark.parametrize("line", ["# %%", "  # %% [markdown]", "# %time", "# !ls", "%matplotlib inline", "'''", '"""'])
def test_no_line_of_a_pipeline_file_becomes_a_cell_or_a_command(tmp_path, line):
    text = f"{PIPELINE}\n# {line}\n{line if line.lstrip().startswith('#') else ''}\n"
    cell = next(c for c in sources(made(tmp_path, text=text), "code") if c.startswith("TEXT = "))
    assert ast.literal_eval(ast.parse(cell).body[0].value) == text


@given(st.text() | st.text("'\"\\\n ab%#"))
def test_a_literal_means_its_text(text):
    assert ast.literal_eval(_literal(text)) == text


def test_an_ordinary_file_stays_readable():
    assert _literal("a = 'b'\nc = 'd'\n") == "r'''a = 'b'\nc = 'd'\n'''"
    assert _literal("'''x'''\n") == "r\"\"\"'''x'''\n\"\"\""


@pytest.mark.parametrize("accelerator", ["none", "cpu"])
def test_no_accelerator_asks_for_no_machine(tmp_path, accelerator):
    facts = metadata(made(tmp_path, accelerator=accelerator))
    assert "machine_shape" not in facts
    assert facts["enable_gpu"] == "false"


@pytest.mark.parametrize("accelerator", ["p100", "P100", "NvidiaTeslaP100", "TpuV38", "tpu-v3-8"])
def test_retired_machines_are_refused_by_name(accelerator):
    with pytest.raises(UsageError, match=f"retired the accelerator '{accelerator}'.*Offered: none, t4"):
        find_machine(accelerator)


def test_machines_go_by_short_name_and_by_kaggles_own():
    assert find_machine("a100").shape == find_machine("NvidiaTeslaA100").shape == "NvidiaTeslaA100"
    assert (find_machine("T4x2").gpus, find_machine("L4").gpus, find_machine("none").gpus) == (2, 4, 0)
    with pytest.raises(UsageError, match=r"no accelerator 'v100'.*t4"):
        find_machine("v100")


@given(st.lists(st.text("abc-_.XYZ019é ", min_size=1, max_size=20), min_size=1, max_size=6))
def test_slugs_are_titles_that_kaggle_takes(names):
    slug = kernel_slug("paddy", names)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
    assert 5 <= len(slug) <= 50
    assert slug == kernel_slug("paddy", [*reversed(names), names[0]])
    assert slug != kernel_slug("paddy", names, submit=True)


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


def test_a_pipeline_with_a_token_is_never_built(tmp_path):
    with pytest.raises(UsageError, match=r"pipeline\.toml, line 1, holds"):
        made(tmp_path, text=f"# {TOKEN}\n{PIPELINE}")
    assert not (tmp_path / "notebook").exists()


def test_nothing_is_pushed_from_a_folder_with_a_token_or_without_a_notebook(tmp_path):
    site, notebook = FakeKernels([None]), made(tmp_path)
    assert push(site, notebook.parent, timeout=99.9).version == 1
    notebook.write_text(notebook.read_text().replace("petals", TOKEN))
    with pytest.raises(UsageError, match=notebook.name):
        push(site, notebook.parent)
    with pytest.raises(UsageError, match="no built notebook"):
        push(site, tmp_path)
    assert site.pushed == [(notebook.parent, 99)]
