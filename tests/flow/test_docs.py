"""Every command in README and docs is run: lines that start with `$ ` in their fenced blocks."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from flowers import PIPELINE, write_pipeline
from typer.main import get_command

from kagglekit.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("pipelines/*/README.md")),
]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NOT_HERE = ("paddy",)  # run by test_paddy.py on a small drawing
_UNTIL_CTRL_C = ("serve", "clean")  # run by tests of their own, in a process that is interrupted


def commands(page: Path) -> list[str]:
    lines = "".join(_BLOCK.findall(page.read_text(encoding="utf-8"))).splitlines()
    return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]


def all_commands() -> list[str]:
    return list(dict.fromkeys(command for page in PAGES for command in commands(page)))


def test_the_readme_has_commands():
    assert len(all_commands()) >= 8
    assert "make submit COMP=paddy" in all_commands()


@pytest.mark.parametrize("command", [c for c in all_commands() if c.startswith("make ")])
def test_a_make_target_is_known(command):
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_your_own_competition_as_the_readme_tells_it(kagglekit, flowers_folder, tmp_path):
    """The commands in the order of the README, in one workspace."""
    shutil.copytree(flowers_folder, tmp_path / "my-folder")
    ran = 0
    for command in [c for c in all_commands() if c.startswith("kagglekit ")]:
        words = shlex.split(command)[1:]
        if any(word in (*_NOT_HERE, *_UNTIL_CTRL_C) for word in words):
            continue
        if words[0] == "submit":  # as `new` wrote it, but with forests small enough for a test
            write_pipeline(tmp_path, PIPELINE.replace('slug = "flower-colours"', 'slug = "my-comp"'), "my-comp")
        said = kagglekit(*words)
        assert said.status == 0, f"{command}: {said.err}"
        ran += 1
    assert ran >= 5


def test_the_python_of_the_docs_runs():
    text = (ROOT / "docs" / "ensembling.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    known: dict = {}
    exec(compile(block, "docs/ensembling.md", "exec"), known)
    assert abs(known["blend"].weights_.sum() - 1) < 1e-9


def test_every_command_has_help_and_a_place_in_the_docs():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    tree = get_command(app)
    for name, command in tree.commands.items():
        for full, leaf in _leaves(name, command):
            assert leaf.help, f"{full} has no help"
            assert f"kagglekit {full}" in text, f"no page shows: kagglekit {full}"


def _leaves(name, command):
    if hasattr(command, "commands"):
        for child, sub in command.commands.items():
            yield from _leaves(f"{name} {child}", sub)
    else:
        yield name, command


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_inside_the_project_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
