"""Small versions of `benchmarks/faults/arena.py`: an arena killed under load, and asked for what nobody may know."""

from pathlib import Path

import pytest

FAULTS = Path(__file__).parents[2] / "benchmarks" / "faults"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FAULTS))


def test_an_arena_killed_under_load_loses_nothing_and_counts_right(tmp_path: Path):
    from arena_load import Load

    found = Load(tmp_path, n_clients=4, n_each=12, n_kills=3, daily_limit=30).run()
    assert found.errors == [] and found.n_kills >= 1
    assert (found.n_lost, found.n_twice) == (0, 0)
    assert (found.n_counted, found.n_refused, found.n_right) == (30, 18, 30)


def test_no_route_tells_what_nobody_may_know(tmp_path: Path):
    from arena_secrets import Probe

    found = Probe(tmp_path, climbing=("../solution.csv", "..%2f..%2fidentity.json")).run()
    assert found.leaks == [] and found.failures == []
    assert found.n_probes > 2000 and found.n_redirects > 20
