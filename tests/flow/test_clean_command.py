"""The cleaning loop as a person goes through it: wrong labels, a page, corrections, a new experiment, a comparison."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from flowers import PIPELINE, tables, truth, write_pipeline
from processes import hear_ctrl_c

from kagglekit.flow import Flow
from kagglekit.progress import Silent
from kagglekit.results import Results
from kagglekit.workspace import Workspace

N_WRONG = 3


@pytest.fixture
def flipped(kagglekit, tmp_path):
    """The flowers, the first labels of them wrong; returns the right ones by id."""
    folder = tmp_path / "from-elsewhere"
    folder.mkdir()
    train, test, sample = tables()
    wrong = train.index[(train["petal"] < 0.1) & (train["colour"] == "blue")][:N_WRONG]  # white ones are near 3
    right = train.loc[wrong].set_index("flower")["colour"].to_dict()
    train.loc[wrong, "colour"] = "white"
    for name, frame in {"train": train, "test": test, "sample_submission": sample, "solution": truth()}.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    assert kagglekit("arena", "create", str(folder), "--name", "flower-colours").status == 0
    write_pipeline(tmp_path)
    assert kagglekit("download", "flowers").status == 0
    assert kagglekit("train", "flowers", "forest").status == 0
    return right


@contextmanager
def served(folder, *words):
    """`kagglekit clean`, in a process of its own."""
    command = [sys.executable, "-c", "from kagglekit.cli import main; main()", "clean", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        command, cwd=folder, env=os.environ | {"PYTHONUNBUFFERED": "1"}, preexec_fn=hear_ctrl_c, **pipes
    ) as page:
        try:
            yield page
        finally:
            page.kill()


def test_labels_are_mended_on_a_page_and_the_mended_experiment_is_compared(kagglekit, flipped, tmp_path):
    with served(tmp_path, "flowers", "forest", "--rows", "40") as page:
        url = re.search(r"http://127\.0\.0\.1:\d+", page.stdout.readline())[0]
        with urlopen(f"{url}/") as answer:
            text = answer.read().decode()
        rows = dict(re.findall(r"</span> (f\d{3})</p>.*?<select name=\"(row-\d+)\"", text))
        found = {i: label for i, label in flipped.items() if i in rows}
        assert len(found) == N_WRONG, "wrong labels are among the largest losses"
        form = {rows[i]: "0" for i in found} | {"token": re.search(r'name="token" value="([^"]+)"', text)[1]}
        with urlopen(f"{url}/", urlencode(form).encode()) as answer:
            assert f"{len(found)} labels changed" in answer.read().decode()
        page.send_signal(signal.SIGINT)
        _, said = page.communicate(timeout=120)
    assert page.returncode == 0
    table = re.search(r"^\[experiments\.forest-cleaned\]\n(?:.+\n)+", said, re.MULTILINE)[0]
    assert "kagglekit train flowers forest-cleaned" in said
    write_pipeline(tmp_path, f"{PIPELINE}\n{table}")

    runs = tmp_path / "runs" / "arena" / "flower-colours"
    assert kagglekit("train", "flowers", "forest-cleaned").status == 0
    board = {row["name"]: row for row in json.loads(kagglekit("board", "flowers", "--json").out)}
    assert board["forest-cleaned"]["change"] == f"cleaning: {len(found)} labels changed"
    assert board["forest-cleaned"]["against"] == "forest"
    record = json.loads((runs / board["forest-cleaned"]["run"] / "run.json").read_text())
    assert dict(record["settings"]["cleaning"]) == found
    compared = kagglekit("compare", "flowers", "forest", "forest-cleaned", "--json")
    assert compared.status == 0, compared.err
    assert json.loads(compared.out)["n_rows"] == 90
    again = kagglekit("rebuild", "flowers", "forest-cleaned", "--retrain")
    assert "differ" not in again.out.lower().replace("different from", ""), again.out


def test_a_blend_is_looked_at_too_and_the_experiments_own_file_is_used(kagglekit, flipped, tmp_path):
    desk = Results(Flow("flowers", Workspace(tmp_path, "arena"), Silent())).cleaning("blend", n=5)
    assert (desk.run, desk.based_on, desk.file.name, len(desk.suspects)) == ("blend", "forest", "cleaning.csv", 5)
    (tmp_path / "pipelines" / "flowers" / "own.csv").write_text("flower,colour\nf000,\n")
    write_pipeline(tmp_path, f'{PIPELINE}\n[experiments.neat]\nwhy = "x"\nbased_on = "forest"\ncleaning = "own.csv"\n')
    assert kagglekit("train", "flowers", "neat").status == 0
    desk = Results(Flow("flowers", Workspace(tmp_path, "arena"), Silent())).cleaning("neat")
    assert desk.file.name == "own.csv"
    lines, commands = desk.next_steps()
    assert (lines, commands.splitlines()[-1]) == ("", "kagglekit compare flowers forest neat")


def test_a_mistake_is_one_line(kagglekit, flipped, tmp_path):
    said = kagglekit("clean", "flowers", "forst")
    assert said.status == 2
    assert "Did you mean 'forest'?" in said.err.strip().splitlines()[-1]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = kagglekit("clean", "flowers", "--port", str(taken.getsockname()[1]))
    assert said.status == 2
    assert "cannot be used" in said.err.strip().splitlines()[-1]
    write_pipeline(tmp_path, PIPELINE + '\n[experiments.a]\nwhy = "x"\nbased_on = "forest"\ncleaning = "no.csv"\n')
    said = kagglekit("train", "flowers")
    assert said.status == 2
    line = said.err.strip().splitlines()[-1]
    assert "[experiments.a] cleaning: There is no file" in line
    assert "kagglekit clean" in line
