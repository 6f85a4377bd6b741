"""Scripts and a notebook under a kernel's conditions; sealed off in every way that this computer offers."""

import importlib.util
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kagglekit.errors import UsageError
from kagglekit.sandbox import Job, Limits, LogLine, Outcome, read_log, run
from kagglekit.sandbox.inside import name_in, refusal
from kagglekit.sandbox.jail import UNSEALED, Jail, _candidates, _works
from kagglekit.sandbox.log import LogFile, kaggle_log
from kagglekit.sandbox.reasons import reason
from kagglekit.sandbox.run import Place
from kagglekit.sandbox.watch import folder_size

SEALED = [pytest.param(jail, id=jail.name) for jail in _candidates() if _works(jail)]
Script = Callable[..., Outcome]


def notebook(*cells: str) -> str:
    made = [
        {"id": f"c{n}", "cell_type": "code", "metadata": {}, "source": c, "execution_count": None, "outputs": []}
        for n, c in enumerate(cells)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": made})


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("id\n1\n")
    return {"flowers": tmp_path / "data", "datasets/ann/wheels": tmp_path / "data"}


@pytest.fixture
def script(tmp_path: Path, inputs: dict[str, Path]) -> Script:
    def start(source: str, jail: Jail | None, **more: Any) -> Outcome:
        return run(Job(source, "script", inputs, **more), tmp_path / "run", jail=jail)

    return start


def said(tmp_path: Path) -> str:
    return "".join(line.text for line in read_log(Place(tmp_path / "run").log))


@pytest.mark.parametrize("jail", [*SEALED, None])
def test_a_script_reads_its_inputs_and_leaves_its_output(script, tmp_path, jail):
    done = script(
        "import os, sys\n"
        "print(open('/kaggle/input/flowers/train.csv').read(), os.listdir('/kaggle/input/datasets/ann/wheels'))\n"
        "print('aside', file=sys.stderr)\n"
        "open('here.txt', 'w').write('1')\n"
        "open('/kaggle/working/there.txt', 'w').write('2')\n",
        jail,
    )
    assert (done.status, done.message) == ("COMPLETE", "") and done.seconds > 0
    assert done.notices == (() if jail else (UNSEALED,))
    assert sorted(p.name for p in Place(tmp_path / "run").working.iterdir()) == ["here.txt", "there.txt"]
    lines = read_log(Place(tmp_path / "run").log)
    assert "".join(x.text for x in lines if x.stream == "stdout") == "id\n1\n ['train.csv']\n"
    assert "".join(x.text for x in lines if x.stream == "stderr") == "aside\n"
    assert all(0 <= x.seconds <= done.seconds for x in lines)
    assert not Place(tmp_path / "run").machine.exists()


@pytest.mark.parametrize("jail", [*SEALED, None])
def test_nothing_of_the_user_goes_in(script, tmp_path, monkeypatch, jail):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a-secret")
    script("import os; print(dict(os.environ))", jail, rerun=True)
    env = eval(said(tmp_path))
    assert env["KAGGLE_KERNEL_RUN_TYPE"] == "Batch" and env["KAGGLE_IS_COMPETITION_RERUN"] == "1"
    assert "KAGGLE_API_TOKEN" not in env and len(env) <= 9
    script("import os; print(dict(os.environ))", jail, session="Interactive")
    env = eval(said(tmp_path))
    assert env["KAGGLE_KERNEL_RUN_TYPE"] == "Interactive" and "KAGGLE_IS_COMPETITION_RERUN" not in env


@pytest.mark.parametrize("jail", SEALED)
def test_only_what_a_kernel_has_is_there(script, tmp_path, jail):
    secret = tmp_path / "secret.txt"
    secret.write_text("mine")
    script(
        "import importlib.util, os, sys\n"
        f"print(os.path.exists({str(secret)!r}), os.path.exists(os.path.expanduser('~/.kaggle')))\n"
        "print([name for name in os.listdir('/tmp') if name not in sys.prefix.split('/')])\n"
        "print(importlib.util.find_spec('numpy') is not None, importlib.util.find_spec('kagglekit'))\n"
        "print(os.system('mount -o remount,bind,rw /kaggle/input 2>/dev/null') != 0)\n",
        jail,
    )
    assert said(tmp_path) == "False False\n[]\nTrue None\nTrue\n"


@pytest.mark.parametrize("jail", SEALED)
def test_what_is_installed_stays_inside(script, tmp_path, jail):
    source = (
        "import pathlib, sysconfig\n"
        "(pathlib.Path(sysconfig.get_path('purelib')) / 'fresh_wheel.py').write_text('x = 42')\n"
        "import fresh_wheel; print(fresh_wheel.x)\n"
    )
    assert script(source, jail).message == "" and said(tmp_path) == "42\n"
    assert importlib.util.find_spec("fresh_wheel") is None


@pytest.mark.parametrize("jail", SEALED)
@pytest.mark.parametrize("place", ["/kaggle/input/flowers/x", "/kaggle/x", "/x", "/usr/x"])
def test_only_the_working_folder_takes_output(script, jail, place):
    done = script(f"open({place!r}, 'w')", jail)
    assert done.status == "ERROR" and done.message.startswith(f"It could not write: {place} is read-only.")


@pytest.mark.parametrize("jail", SEALED)
def test_there_is_no_network_and_the_name_that_was_tried_is_told(script, jail):
    done = script("import urllib.request as r; r.urlopen('https://weights.example.com/x')", jail)
    assert done.message == "It tried to reach weights.example.com: kernels have no internet."
    done = script("import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)", jail)
    assert done.message == "It tried to reach the network: kernels have no internet."
    survived = script(
        "import socket\ntry: socket.gethostbyname('a.example.com')\nexcept OSError: print('offline')", jail
    )
    assert survived.status == "COMPLETE" and survived.hosts == ("a.example.com",)


@pytest.mark.parametrize("jail", SEALED)
def test_loopback_works(script, jail):
    source = "import socket\ns = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())"
    assert script(source, jail).status == "COMPLETE"


@pytest.mark.parametrize("jail", [*SEALED, None])
def test_a_run_is_held_to_its_limits(script, jail):
    nap = "import time; time.sleep(60)"
    hungry = script(f"x = bytearray(300 << 20)\n{nap}", jail, limits=Limits(memory=200 << 20))
    assert (hungry.status, hungry.message) == ("ERROR", "It exceeded 200 MiB of memory.")
    assert hungry.memory > 200 << 20
    # A process that left the group is ended too, else the pipes would stay open.
    away = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', '{nap}'], start_new_session=True)"
    slow = script(away, jail, limits=Limits(seconds=0.6))
    assert (slow.status, slow.message) == ("ERROR", "It exceeded the time limit of 0.6 s.")
    assert slow.seconds < 20
    wordy = script("open('big', 'wb').write(bytes(2 << 20))", jail, limits=Limits(disk=1 << 20))
    assert wordy.message == "It wrote more than 1 MiB to /kaggle/working."


@pytest.mark.parametrize("jail", [*SEALED, None])
def test_a_run_is_stopped_from_outside(tmp_path, jail):
    lines: list[LogLine] = []
    job = Job("import time; print('up', flush=True); time.sleep(60)", "script")
    done = run(job, tmp_path / "run", on_line=lines.append, stop=lambda: bool(lines), jail=jail)
    assert (done.status, done.message) == ("CANCEL_ACKNOWLEDGED", "") and done.seconds < 20
    assert "".join(line.text for line in lines) == "up\n"


def test_a_line_that_does_not_end_is_told_in_the_end(script, tmp_path):
    source = "import sys, time\nsys.stdout.write('0 %'); time.sleep(0.3); sys.stdout.write(' 50 %')"
    assert script(source, None).status == "COMPLETE" and said(tmp_path) == "0 % 50 %"
    assert len(read_log(Place(tmp_path / "run").log)) == 1


@pytest.mark.parametrize("jail", SEALED[:1])
def test_a_notebook_runs_cell_by_cell_and_shows_where_it_failed(tmp_path, inputs, jail):
    source = notebook("import os\nprint(os.getcwd())", "!cat /kaggle/input/flowers/train.csv", "1 / 0", "print('no')")
    done = run(Job(source, inputs=inputs), tmp_path / "run", jail=jail)
    assert (done.status, done.message) == ("ERROR", "It failed: ZeroDivisionError: division by zero")
    lines = read_log(Place(tmp_path / "run").log)
    assert "".join(x.text for x in lines if x.stream == "stdout").split() == ["/kaggle/working", "id", "1"]
    shown = json.loads(Place(tmp_path / "run").result.read_text())["cells"]
    assert shown[0]["outputs"][0]["text"] == ["/kaggle/working\n"]
    assert shown[2]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert shown[3]["outputs"] == []


def test_a_run_that_its_caller_leaves_is_ended(tmp_path):
    def leave(line: LogLine) -> None:
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(Job("import time; print(1, flush=True); time.sleep(60)", "script"), tmp_path / "run", on_line=leave)
    assert time.monotonic() - started < 20


def test_limits_are_more_than_nothing():
    with pytest.raises(UsageError, match="more than 0"):
        Limits(seconds=0)


def test_a_failure_is_told_in_one_line():
    chain = (
        "Traceback (most recent call last)\nsocket.gaierror: [Errno -3] Temporary failure in name resolution\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        "Traceback (most recent call last)\nRuntimeError: no weights\n"
    )
    assert reason(chain, 1, ["hub.example.com"]).startswith("It tried to reach hub.example.com")
    # One that was caught earlier is not the reason of what came later.
    later = f"{chain}\nTraceback (most recent call last)\n  File x\nValueError: 3 rows\n"
    assert reason(later, 1, ["hub.example.com"]) == "It failed: ValueError: 3 rows"
    assert "It imports 'einops'" in reason("ModuleNotFoundError: No module named 'einops'\n", 1)
    assert reason("odd words\n", 3) == "It ended with exit status 3: odd words"
    assert reason("", 139) == "It ended with signal 11."
    assert "memory" in reason("", 137)


def test_the_log_is_read_by_whole_lines_and_cut_when_endless(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    assert read_log(path) == []
    with path.open("w") as file:
        LogFile(file).write(LogLine("stdout", 0.5, "ä\n"))
        file.write('{"stream_na')
    assert read_log(path) == [LogLine("stdout", 0.5, "ä\n")]
    assert json.loads(kaggle_log(read_log(path))) == [{"stream_name": "stdout", "time": 0.5, "data": "ä\n"}]
    assert json.loads(kaggle_log([])) == []
    monkeypatch.setattr("kagglekit.sandbox.log._LONGEST", 10)
    with path.open("w") as file:
        log = LogFile(file)
        for _ in range(5):
            log.write(LogLine("stdout", 1.0, "123456"))
    assert [line.text for line in read_log(path)] == ["123456", "\nThe log is cut here: it is too long.\n"]


def test_the_size_of_a_folder_counts_no_link(tmp_path):
    (tmp_path / "a").write_bytes(bytes(5))
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert folder_size(tmp_path) == 5 + os.lstat(tmp_path / "b").st_size


def test_a_name_server_that_knows_no_name():
    query = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x03www\x06kaggle\x03com\x00\x00\x01\x00\x01"
    assert name_in(query) == "www.kaggle.com" and name_in(b"") == ""
    answer = refusal(query)
    assert answer[:2] == query[:2] and answer[2] & 0x80 and answer[3] & 0x0F == 2  # a response; SERVFAIL
    assert answer[12:] == query[12:]
