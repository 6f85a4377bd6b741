"""One core and many give the same: order, results, exceptions."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import kagglekit
from kagglekit.errors import CorruptImages, DataError, MissingExtra
from kagglekit.parallel import OutOfTime, Stoppable, n_cores, on_devices, pmap

ERRORS = {
    "with a hint": lambda: DataError("bad", hint="mend it"),
    "made from words": lambda: MissingExtra("Training", "torch", "vision"),
    "with files": lambda: CorruptImages(["a.jpg", "b.jpg"], hint="look"),
}


def raiser(make: Callable[[], Exception]) -> Callable[[int], int]:
    def fail(item: int) -> int:
        if item == 2:
            raise make()
        return item

    return fail


@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_results_keep_the_order_of_the_items(n_jobs):
    assert pmap(lambda x: x * x, iter(range(7)), n_jobs) == [0, 1, 4, 9, 16, 25, 36]


def test_no_items_are_no_work():
    assert pmap(lambda x: x, [], 2) == []


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_of_ours_arrives_whole(kind, n_jobs):
    error = ERRORS[kind]()
    with pytest.raises(type(error)) as caught:
        pmap(raiser(ERRORS[kind]), [1, 2, 3], n_jobs)
    assert vars(caught.value) == vars(error)
    assert str(caught.value) == str(error)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_other_errors_keep_their_type(n_jobs):
    with pytest.raises(ZeroDivisionError):
        pmap(raiser(lambda: ZeroDivisionError("x")), [1, 2, 3], n_jobs)


def test_one_job_stays_in_this_process_and_two_leave_it():
    assert set(pmap(lambda _: os.getpid(), range(3), 1)) == {os.getpid()}
    assert os.getpid() not in pmap(lambda _: os.getpid(), range(3), 2)


def test_workers_share_out_the_threads():
    threads = pmap(lambda _: int(os.environ["OMP_NUM_THREADS"]), range(2), 2)
    assert set(threads) == {max(1, n_cores() // 2)}


def test_cores_follow_the_affinity_of_the_process():
    assert 1 <= n_cores() <= (os.cpu_count() or 1)


SLEEPER = """
import os, sys, time
from pathlib import Path
from kagglekit.parallel import pmap
def sleep(i):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(60)
if __name__ == "__main__":
    pmap(sleep, range(4), 2)
"""


def test_ctrl_c_ends_the_workers(tmp_path):
    script, pids = tmp_path / "sleeper.py", tmp_path / "pids"
    script.write_text(SLEEPER)
    pids.mkdir()
    environment = os.environ | {"PYTHONPATH": str(Path(kagglekit.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, script, pids], env=environment, stderr=subprocess.DEVNULL, preexec_fn=hear_ctrl_c
    )
    wait_for(lambda: len(list(pids.iterdir())) == 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) != 0
    wait_for(lambda: not any(alive(int(p.name)) for p in pids.iterdir()))


def hear_ctrl_c() -> None:
    """A job in the background of a shell inherits deafness to Ctrl-C; a person's terminal has none."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_each_device_has_a_process_that_sees_it_alone(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    asked: list[str] = []
    items = ["CUDA_VISIBLE_DEVICES"] * 5
    seen = list(on_devices(os.getenv, items, ["0", "1"], may_start=lambda item: not asked.append(item)))
    assert set(seen) == {"0", "1"} and len(seen) == len(asked) == 5
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
    assert list(on_devices(os.getenv, items, ["0"], may_start=lambda item: False)) == []


def test_what_fails_on_a_device_is_raised_here():
    with pytest.raises(ValueError, match="invalid literal"):
        list(on_devices(int, ["1", "x"], ["0"]))


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def whoami(item: int) -> int:
    return os.getpid()


def test_a_stoppable_worker_gives_the_results_and_is_kept_between_calls():
    with Stoppable(lambda: math.inf) as workers:
        first = list(workers.map(whoami, [1, 2, 3], may_start=lambda item: item != 2))
        assert first == list(workers.map(whoami, [1]))[:1] * 2
        assert first[0] != os.getpid()
        with pytest.raises(DataError, match="bad"):
            list(workers.map(refuse, [1]))
        assert list(workers.map(nap, [])) == []


def refuse(item: int) -> int:
    raise DataError("bad", hint="mend it")


def test_work_is_stopped_in_the_middle_when_the_time_is_over():
    left = [math.inf]
    with Stoppable(lambda: left[0]) as workers:
        (worker,) = workers.map(whoami, [1])
        left[0] = 0.1
        start = time.monotonic()
        with pytest.raises(OutOfTime):
            list(workers.map(nap, [60.0]))
        assert time.monotonic() - start < 30
        assert not is_alive(worker)
        left[0] = math.inf
        assert list(workers.map(whoami, [1])) != [worker]


ABANDONED = """
import os, time
from kagglekit.parallel import Stoppable

def nap(seconds):
    print("at work", flush=True)
    time.sleep(seconds)

if __name__ == "__main__":
    with Stoppable(lambda: float("inf")) as workers:
        list(workers.map(nap, [600.0]))
"""


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    script = tmp_path / "naps.py"
    script.write_text(ABANDONED)
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "at work\n"
    parent.kill()
    parent.communicate(timeout=60)  # ends when nobody holds the pipe any longer


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
