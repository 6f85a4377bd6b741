"""Watching: every line once, the reason of an error, nothing that moves the cursor, and an end to waiting."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import Remembering
from notebook_cells import FakeKernels

from kagglekit.errors import DataError, KernelFailed, RemoteNotFound, UsageError
from kagglekit.kernel_calls import KernelCalls, SessionState
from kagglekit.kernels.watch import watch

QUEUED, RUNNING, COMPLETE = (SessionState(s, "") for s in ("QUEUED", "RUNNING", "COMPLETE"))


def test_the_log_is_told_line_by_line_once_though_the_line_broke():
    site = FakeKernels(
        [QUEUED, RUNNING, RUNNING, RUNNING, COMPLETE], [["fir", "st\nsec"], ["first\nsecond\n", "third"]]
    )
    progress = Remembering()
    found = watch(site, "it", progress=progress, sleep=lambda s: None)
    assert found.status == "COMPLETE" and found.lines == ("first", "second", "third")
    assert progress.said == ["ann/it: queued", "ann/it: running", "first", "second", "third"]


def test_an_error_is_told_with_its_reason_and_the_last_lines():
    log = "".join(f"line {number}\n" for number in range(30))
    site = FakeKernels([SessionState("ERROR", "Out of memory.")], [[log]])
    with pytest.raises(KernelFailed) as caught:
        watch(site, "it")
    said = caught.value.message
    assert "ended with an error. Out of memory." in said
    assert said.endswith(
        "\n".join(["push again.", "The last lines of its log:", *(f"  line {n}" for n in range(10, 30))])
    )
    assert "line 9\n" not in said
    with pytest.raises(KernelFailed, match="was cancelled"):
        watch(FakeKernels([SessionState("CANCEL_ACKNOWLEDGED", "")]), "it")


def test_what_a_program_wrote_does_not_move_the_cursor():
    site, progress = FakeKernels([COMPLETE], [["\x1b[2J\x1b[1;31mred\x07\u202egpj\n"]]), Remembering()
    watch(site, "it", progress=progress)
    assert progress.said[-1] == "redgpj"


def test_waiting_ends_where_nothing_will_come():
    with pytest.raises(KernelFailed, match="will not run: This arena keeps notebooks"):
        watch(FakeKernels([SessionState("QUEUED", "This arena keeps notebooks and does not run them.")]), "it")
    with pytest.raises(UsageError, match="no notebook ann/it"):
        watch(FakeKernels([None]), "it")
    ticks = iter(range(100))
    with pytest.raises(KernelFailed, match="still runs"):
        watch(FakeKernels([RUNNING]), "it", timeout=3, sleep=lambda s: None, now=lambda: next(ticks))


class Line:
    """A connection that answers every call with the same message, and whose stream of logs is gone."""

    def __init__(self, **answer: Any) -> None:
        self.answer = SimpleNamespace(**answer)

    def call(self, method: str, request: Any, slug: None, *, service: str) -> SimpleNamespace:
        return self.answer

    def log_events(self, address: str) -> Any:
        return iter(())


def listing(*names: str, log: str = "") -> KernelCalls:
    files = [SimpleNamespace(file_name=name) for name in names]
    return KernelCalls(Line(files=files, log=log, next_page_token=""), lambda: "ann")


@pytest.mark.parametrize("name", ["../../.ssh/config", "/etc/passwd", "runs/../../x", "C:\\x", "a\u202egpj.exe"])
def test_no_name_in_an_output_leads_out_of_its_folder(name):
    with pytest.raises(DataError, match="The output of ann/it holds a member that must not be extracted"):
        listing("runs/a", name).output("it")
    assert listing("runs/b", "runs/a").output("it") == ["runs/a", "runs/b"]


def test_the_log_that_was_kept_is_told_where_the_stream_is_gone():
    kept = json.dumps([{"stream_name": "stderr", "time": 1.0, "data": "boom\n"}, 7])
    assert list(listing(log=kept).log("it")) == ["boom\n"]
    assert list(listing(log="plain words").log("it")) == ["plain words"]
    assert list(listing().log("it")) == []


def test_a_log_that_is_not_there_yet_is_no_failure():
    class Early(Line):
        def log_events(self, address: str) -> Any:
            raise RemoteNotFound("not yet")

    assert list(KernelCalls(Early(), lambda: "ann").log("it")) == []
