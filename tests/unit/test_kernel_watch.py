"""Watching: every line once, the reason of an error, nothing that moves the cursor, and an end to waiting."""

import pytest
from fakes import Remembering
from notebooks import FakeKernels

from kagglekit.errors import KernelFailed, UsageError
from kagglekit.kernel_calls import SessionState
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
    assert "ended with an error. Out of memory." in said and "\n  line 29\n" in said
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
