"""Medal lines: Kaggle's own examples, and what must hold for any number of teams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.arena.medals import MEDALS, MedalLines, medal_lines
from kagglekit.errors import UsageError


@pytest.mark.parametrize(
    ("teams", "lines"),
    [
        (0, (0, 0, 0)),
        (1, (1, 1, 1)),
        (10, (1, 2, 4)),
        (99, (9, 19, 39)),
        (100, (10, 20, 40)),
        (249, (10, 49, 99)),
        (250, (10, 50, 100)),
        (500, (11, 50, 100)),
        (999, (11, 50, 100)),
        (1000, (12, 50, 100)),
        (5000, (20, 250, 500)),
    ],
)
def test_the_rule_in_figures(teams: int, lines: tuple[int, int, int]):
    assert medal_lines(teams) == MedalLines(*lines)


@given(st.integers(1, 20_000))
def test_better_medals_are_rarer_and_the_first_place_is_gold(teams: int):
    lines = medal_lines(teams)
    assert 1 <= lines.gold <= lines.silver <= lines.bronze <= teams
    assert lines.medal(1) == "gold"
    assert lines.medal(lines.bronze + 1) is None


@given(st.integers(0, 20_000), st.integers(1, 20_000))
def test_a_better_place_never_gets_less(teams: int, rank: int):
    worth = {medal: -i for i, medal in enumerate(MEDALS)} | {None: -len(MEDALS)}
    lines = medal_lines(teams)
    assert worth[lines.medal(rank)] >= worth[lines.medal(rank + 1)]


@given(st.integers(0, 20_000))
def test_one_team_more_takes_no_gold_place_away(teams: int):
    assert medal_lines(teams).gold <= medal_lines(teams + 1).gold


def test_a_negative_number_of_teams_is_refused():
    with pytest.raises(UsageError, match="0 teams or more"):
        medal_lines(-1)
