"""Plans: measured seconds against a session's limit and the week's quota, cut between folds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.errors import UsageError
from kagglekit.kernel_calls import Quota
from kagglekit.kernels.machines import find_machine
from kagglekit.kernels.plan import (
    HERE,
    Estimate,
    Measure,
    Todo,
    estimate,
    keep_times,
    left,
    make,
    probe,
    read_times,
)

FOLDS = tuple(f"fold-{number}" for number in range(5))
HOUR = 3600.0
CPU, T4 = find_machine("none"), find_machine("t4")


def todo(name: str = "a", hours: float = 1.0, folds: tuple[str, ...] = FOLDS, basis: str = "measured on x") -> Todo:
    return Todo(name, folds, Estimate(hours * HOUR, basis))


def test_all_that_fits_is_one_session():
    plan = make([todo(hours=1.0)], CPU)
    assert plan.fits == {"a": list(FOLDS)} and plan.later == ()
    assert plan.seconds == 5 * HOUR + 300 and plan.limit == 12 * HOUR and plan.expected == {"a": HOUR}
    assert plan.words().startswith("This session: 5 of 5 fits, about 305:00 of 720:00.")


def test_a_session_ends_between_two_folds_and_the_rest_waits():
    plan = make([todo("a", 3.0), todo("b", 0.5)], CPU)
    assert plan.fits == {"a": ["fold-0", "fold-1", "fold-2"], "b": ["fold-0", "fold-1", "fold-2"]}
    assert [t.folds for t in plan.later] == [("fold-3", "fold-4"), ("fold-3", "fold-4")]
    assert "4 fits wait for the next session" in plan.words()


def test_two_gpus_fit_two_folds_in_the_time_of_one():
    plan = make([todo(hours=4.0)], T4, quota=Quota(30 * HOUR, 30 * HOUR))
    assert plan.fits == {"a": ["fold-0", "fold-1", "fold-2", "fold-3"]}
    assert plan.seconds == 8 * HOUR + 300


def test_the_quota_ends_a_session_before_its_limit():
    plan = make([todo(hours=1.0)], T4, quota=Quota(30 * HOUR, 3 * HOUR))
    assert plan.limit == 3 * HOUR and plan.fits == {"a": ["fold-0", "fold-1", "fold-2", "fold-3"]}
    assert make([todo(hours=1.0)], CPU, quota=Quota(0, 0)).later == ()  # a CPU uses no GPU time
    with pytest.raises(UsageError, match="No GPU time is left this week: 1:00 of 1800:00"):
        make([todo()], T4, quota=Quota(30 * HOUR, 60.0))


def test_what_cannot_be_done_is_said():
    with pytest.raises(UsageError, match=r"Not even one fit of 'a' \(780:00, measured on x\).*--probe"):
        make([todo(hours=13.0)], CPU)
    with pytest.raises(UsageError, match="trained already"):
        make([todo(folds=())], CPU)


def test_a_rough_guess_stops_nothing_for_the_session_watches_the_time_itself():
    plan = make([todo(hours=13.0, basis="a rough guess")], CPU)
    assert plan.fits == {"a": list(FOLDS)} and plan.expected == {}
    assert make(probe([todo(hours=13.0)]), CPU).fits == {"a": ["fold-0"]}


@given(
    st.lists(st.tuples(st.floats(0.01, 20), st.integers(0, 5)), min_size=1, max_size=4),
    st.sampled_from(["none", "t4", "l4"]),
    st.floats(1, 12),
)
def test_every_fold_is_planned_once_and_no_session_is_longer_than_its_limit(sizes, machine, hours):
    todos = [todo(f"e{i}", size, FOLDS[:n]) for i, (size, n) in enumerate(sizes)]
    try:
        plan = make(todos, find_machine(machine), hours=hours)
    except UsageError:
        return
    assert plan.seconds <= plan.limit
    planned = sorted((t.experiment, fold) for part in (plan.now, plan.later) for t in part for fold in t.folds)
    assert planned == sorted((t.experiment, fold) for t in todos for fold in t.folds)


def test_estimates_scale_what_was_measured_there_then_here_then_the_guess():
    there, here = Measure("t4", "timm", 30.0, 300.0), Measure(HERE, "timm", 600.0, 300.0)
    other = Measure("t4", "forest", 1.0, 1.0)
    assert estimate("timm", 600.0, [there, here, other], "t4") == Estimate(60.0, "measured on t4")
    assert estimate("timm", 600.0, [there, here], "l4").seconds == 1200.0
    assert estimate("timm", 600.0, [other], "t4") == Estimate(600.0, "a rough guess")
    assert not estimate("timm", 600.0, [here], "t4").is_measured


def test_times_are_kept_once_and_nonsense_is_passed_over(tmp_path):
    path = tmp_path / "times.json"
    measure = Measure("t4", "timm", 30.0, 300.0)
    keep_times(path, [measure])
    keep_times(path, [measure, Measure("t4", "timm", 31.0, 300.0)])
    assert [m.seconds for m in read_times(path)] == [30.0, 31.0]
    for text in ("no json", '[1, {}, {"seconds": -1, "rough": 1}, {"seconds": NaN, "rough": 1}]', "{}"):
        path.write_text(text)
        assert read_times(path) == []
    assert left(FOLDS, {"fold-1", "x"}) == ("fold-0", "fold-2", "fold-3", "fold-4")
