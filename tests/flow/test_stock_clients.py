"""Clients that know nothing of kagglekit, unmodified, in a shell that `kagglekit arena env` turned to an arena.

Each client runs in one process of its own. That process has no way out: https goes to a port where nobody listens, and
its credentials open nothing but the arena.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from meadow import SLUG, write_answers, write_folder

from kagglekit.arena import hosting
from kagglekit.arena.server import Arena
from kagglekit.arena.shell import announced, exports

# Runs the stock command several times in one process, as its console script does: each list of words is a command.
COMMANDS = """
import json, sys, traceback
from kaggle.cli import main
for words in json.loads(sys.stdin.read()):
    sys.argv = ["kaggle", *words]
    print("$", *words, flush=True)
    try:
        main()
    except SystemExit as leaving:
        if leaving.code:
            print("status", leaving.code, flush=True)
    sys.stdout.flush()
"""

FASTKAGGLE = """
import json, shutil, sys
from pathlib import Path
from fastkaggle import *
slug, user = sys.argv[1:]
print(sorted(p.name for p in setup_comp(slug).ls()))
print(competition_submit("s.csv", "from fastkaggle", slug).message)
mk_dataset("library", "library-tiny", force=True)
Path("library/empty.txt").unlink()
Path("library/pkg").mkdir()
Path("library/pkg/tiny.whl").write_text("wheel")
push_dataset("library", "1.0")
print(check_ds_exists(f"{user}/library-tiny"), check_ds_exists(f"{user}/library-none"))
get_dataset("got", f"{user}/library-tiny")
print(Path("got/pkg/tiny.whl").read_text())
cell = {"cell_type": "code", "source": ["1 + 1"], "metadata": {}, "outputs": [], "execution_count": None}
Path("nb.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
datasets = [f"{user}/library-tiny"]
pushed = push_notebook(user, "tiny-book", "tiny book", "nb.ipynb", competition=slug, linked_datasets=datasets)
print(pushed.version_number, pushed.invalid_competition_sources, pushed.invalid_dataset_sources)
"""

KAGGLEHUB = """
import sys
from pathlib import Path
import kagglehub
slug, user = sys.argv[1:]
print(kagglehub.whoami())
print(sorted(p.name for p in Path(kagglehub.competition_download(slug)).iterdir()))
print(Path(kagglehub.competition_download(slug, path="train.csv")).stat().st_size)
folder = Path("data")
(folder / "deep").mkdir(parents=True)
(folder / "deep" / "z.txt").write_text("z")
(folder / "none").write_bytes(b"")
for text in ("one", "two"):
    (folder / "a.txt").write_text(text)
    kagglehub.dataset_upload(f"{user}/hub-data", str(folder), version_notes=text)
whole = Path(kagglehub.dataset_download(f"{user}/hub-data"))
print(sorted((str(p.relative_to(whole)), p.read_text()) for p in whole.rglob("*") if p.is_file()))
print(Path(kagglehub.dataset_download(f"{user}/hub-data/versions/1", path="a.txt")).read_text())
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    hosting.create(write_folder(tmp_path / "folder"), tmp_path / "arena", SLUG, metric="accuracy")
    return tmp_path / "arena"


@pytest.fixture
def arena(home: Path) -> Iterator[Arena]:
    with Arena(home) as running, announced(home, running.url):
        yield running


def run(home: Path, where: Path, *command: str, given: str = "") -> str:
    """Run a command in a shell that the arena's exports turned; gives what it said."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # taken, and never listening: every connection is refused
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(where),
            "https_proxy": f"http://127.0.0.1:{nobody.getsockname()[1]}",
            "no_proxy": "localhost,127.0.0.1",
            "KAGGLEHUB_CACHE": str(where / "cache"),
        }
        script = f'{exports(home, env)}\nexec "$@"'
        ended = subprocess.run(
            ["sh", "-c", script, "sh", sys.executable, *command],
            cwd=where,
            env=env,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def kaggle(home: Path, where: Path, *commands: str) -> list[str]:
    """What the stock command says to each of these."""
    said = run(home, where, "-c", COMMANDS, given=json.dumps([c.split() for c in commands]))
    return [part.split("\n", 1)[1] for part in said.split("$ ")[1:]]


def test_the_stock_command_works_with_competitions_datasets_and_notebooks(arena: Arena, home: Path, tmp_path: Path):
    write_answers(tmp_path / "s.csv", 15)
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "x.txt").write_text("x")
    (tmp_path / "data" / "none.txt").write_bytes(b"")
    user = arena.username
    facts = {"id": f"{user}/rye-data", "title": "Rye data", "licenses": [{"name": "CC0-1.0"}]}
    (tmp_path / "data" / "dataset-metadata.json").write_text(json.dumps(facts))
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "run.py").write_text("print(1)\n")
    facts = {"id": f"{user}/rye-book", "title": "rye book", "code_file": "run.py", "language": "python"}
    facts |= {"kernel_type": "script", "dataset_sources": [f"{user}/rye-data", f"{user}/none-such"]}
    (tmp_path / "book" / "kernel-metadata.json").write_text(json.dumps(facts))
    said = kaggle(
        home,
        tmp_path,
        "competitions list",
        f"competitions files {SLUG}",
        f"competitions download {SLUG} -f train.csv -p got -q",
        f"competitions submit {SLUG} -f s.csv -m by-hand -q",
        f"competitions submissions {SLUG} -v",
        f"competitions leaderboard {SLUG} -s",
        f"competitions leaderboard {SLUG} -d -p got -q",
        "datasets create -p data -r zip -q",
        f"datasets status {user}/rye-data",
        "datasets version -p data -m second -r zip -q",
        f"datasets files {user}/rye-data",
        f"datasets metadata {user}/rye-data -p meta",
        f"datasets download {user}/rye-data -p got/data --unzip -q",
        "datasets list -m",
        "kernels push -p book",
        f"kernels status {user}/rye-book",
        f"kernels logs -f {user}/rye-book",
        f"kernels pull {user}/rye-book -p pulled -m",
        "kernels list -m",
        f"kernels output {user}/rye-book -p got",
        "quota",
        f"kernels delete {user}/rye-book -y",
        f"datasets delete {user}/rye-data -y",
        "datasets list -m",
    )
    assert not any(re.search(r"^status \d", s, re.MULTILINE) for s in said), said
    (competitions, files, _, submitted, submissions, board, _, created, ready, version, listed, *rest) = said
    assert f"/competitions/{SLUG}" in competitions and "sample_submission.csv" in files
    assert "Successfully submitted" in submitted and "by-hand" in submissions and "competitor" in board
    assert (tmp_path / "got" / "train.csv").read_bytes() == (tmp_path / "folder" / "train.csv").read_bytes()
    assert "private Dataset is being created" in created and "ready" in ready and "version is being" in version
    assert "deep/x.txt" in listed and "none.txt" in listed
    metadata, _, owned, pushed, status, logs, pulled, notebooks, _, quota, deleted, _, none = rest
    assert "Downloaded metadata" in metadata and "rye-data" in owned and "No datasets found" in none
    assert (tmp_path / "got" / "data" / "deep" / "x.txt").read_text() == "x"
    assert "version 1 successfully pushed" in pushed and f"{user}/none-such" in pushed
    assert "QUEUED" in status and "does not run them" in status and "does not run them" in logs
    assert "Source code and metadata" in pulled and "rye-book" in notebooks and "GPU" in quota
    assert (tmp_path / "pulled" / "rye-book.py").read_text() == "print(1)\n" and "deleted" in deleted


def test_a_fastkaggle_script_works_unchanged(arena: Arena, home: Path, tmp_path: Path):
    write_answers(tmp_path / "s.csv", 15)
    said = run(home, tmp_path, "-c", FASTKAGGLE, SLUG, arena.username).splitlines()
    assert "['sample_submission.csv', 'test.csv', 'train.csv']" in said
    assert any("Successfully submitted" in line for line in said)
    assert "True False" in said and "wheel" in said and said[-1] == "1 [] []"


def test_kagglehub_downloads_and_uploads_unchanged(arena: Arena, home: Path, tmp_path: Path):
    said = run(home, tmp_path, "-c", KAGGLEHUB, SLUG, arena.username).splitlines()
    assert "{'username': 'competitor'}" in said
    assert "['sample_submission.csv', 'test.csv', 'train.csv']" in said
    assert str((tmp_path / "folder" / "train.csv").stat().st_size) in said
    assert "[('a.txt', 'two'), ('deep/z.txt', 'z'), ('none', '')]" in said and said[-1] == "one"
