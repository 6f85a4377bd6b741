"""kill -9 in the middle of training, of a search or of a climb loses no finished fold and no trial."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from flowers import PIPELINE, write_pipeline
from processes import hear_ctrl_c

SLOW = (
    PIPELINE.replace('slug = "flower-colours"', 'slug = "flowers"')
    .replace("n = 3", "n = 6")
    .replace("n_estimators = 20", "n_estimators = 400")
)


def _train(root: Path) -> subprocess.Popen:
    return _start(root, "train", "flowers", "forest")


def _start(root: Path, *command: str) -> subprocess.Popen:
    words = [sys.executable, "-c", "from kagglekit.cli import main; main()", *command]
    return subprocess.Popen(
        words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=hear_ctrl_c
    )


def _wait_for(folder: Path, pattern: str) -> list[Path]:
    for _ in range(2400):
        if found := sorted(folder.glob(pattern)):
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing like {pattern} came up in {folder}")


def test_ctrl_c_says_that_finished_folds_are_kept(kagglekit, flowers_folder, tmp_path):
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, SLOW)
    assert kagglekit("download", "flowers").status == 0
    training = _train(tmp_path)
    _wait_for(tmp_path / "runs" / "arena" / "flowers", "forest-*/fold-0/fold.json")
    training.send_signal(signal.SIGINT)
    _, err = training.communicate(timeout=30)
    assert training.returncode == 130
    assert "Finished folds are kept" in err
    assert "Traceback" not in err


def test_the_same_command_goes_on_at_the_first_missing_fold(kagglekit, flowers_folder, tmp_path):
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, SLOW)
    assert kagglekit("download", "flowers").status == 0
    runs = tmp_path / "runs" / "arena" / "flowers"
    training = _train(tmp_path)
    first = _wait_for(runs, "forest-*/fold-0/fold.json")[0]
    training.send_signal(signal.SIGKILL)
    training.communicate(timeout=30)
    assert training.returncode == -signal.SIGKILL
    assert not list(runs.glob("*/COMPLETE"))
    written = first.stat().st_mtime_ns
    again = _train(tmp_path)
    _, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert first.stat().st_mtime_ns == written
    assert len(list(runs.glob("forest-*/COMPLETE"))) == 1


SEARCHED = (
    SLOW.replace("n = 6", "n = 4").replace("n_estimators = 400", "n_estimators = 60")
    + """
[search.forest]
min_samples_leaf = [1, 30]
max_features = [0.2, 1.0]
"""
)


def test_a_killed_search_goes_on_and_repeats_the_trial_it_was_at(kagglekit, flowers_folder, tmp_path):
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, SEARCHED)
    assert kagglekit("download", "flowers").status == 0
    runs = tmp_path / "runs" / "arena" / "flowers"
    command = ("search", "flowers", "forest", "--trials", "3")
    searching = _start(tmp_path, *command)
    first = _wait_for(runs, "forest-search-*/fold-0/fold.json")[0]
    searching.send_signal(signal.SIGKILL)
    searching.communicate(timeout=30)
    assert searching.returncode == -signal.SIGKILL
    assert not (first.parent.parent / "COMPLETE").exists()
    written = first.stat().st_mtime_ns
    again = _start(tmp_path, *command)
    out, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    assert "1 trial(s) of a search that was interrupted are repeated." in err
    assert first.stat().st_mtime_ns == written, "its finished fold was trained again"
    (record,) = [json.loads(p.read_text()) for p in runs.glob("searches/*.json")]
    assert len(record["trials"]) == 3
    assert first.parent.parent.name in {t["run"] for t in record["trials"]}
    assert "Search from forest: 3 trial(s)" in out


CLIMBED = (
    SLOW.replace("n = 6", "n = 3")
    + """
[ladder]
start = "forest"

[[ladder.rungs]]
name = "leaves"
why = "how small may leaves be?"
min_samples_leaf = [2, 5, 9]
"""
)


def test_a_killed_climb_goes_on_at_the_candidate_it_was_at(kagglekit, flowers_folder, tmp_path):
    assert kagglekit("arena", "create", str(flowers_folder), "--name", "flowers").status == 0
    write_pipeline(tmp_path, CLIMBED)
    assert kagglekit("download", "flowers").status == 0
    runs = tmp_path / "runs" / "arena" / "flowers"
    command = ("ladder", "flowers", "--minutes", "60", "--no-full", "--json")
    climbing = _start(tmp_path, *command)
    _wait_for(runs, "leaves-2-*/fold-0/fold.json")
    climbing.send_signal(signal.SIGKILL)
    climbing.communicate(timeout=60)  # its worker ends too, and lets the run go that it was at
    assert climbing.returncode == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in runs.glob("*/fold-0/fold.json")}
    assert {path.parts[-3].rpartition("-")[0] for path in done} < {"forest", "leaves-2", "leaves-5", "leaves-9"}
    again = _start(tmp_path, *command)
    out, err = again.communicate(timeout=240)
    assert again.returncode == 0, err
    # In the order of their forecasts, which the first fold mended.
    assert sorted(s["experiment"] for s in json.loads(out)["steps"]) == ["forest", "leaves-2", "leaves-5", "leaves-9"]
    assert {path: path.stat().st_mtime_ns for path in done} == done, "a finished fold was trained again"
