"""Medals by Kaggle's progression rule: how many places of a leaderboard get one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kagglekit.errors import UsageError

__all__ = ["MEDALS", "Medal", "MedalLines", "medal_lines"]

Medal = Literal["gold", "silver", "bronze"]

#: From the best on.
MEDALS: tuple[Medal, ...] = ("gold", "silver", "bronze")


@dataclass(frozen=True)
class MedalLines:
    """The last place that gets each medal.

    Parameters
    ----------
    gold, silver, bronze : int
        Places from 1; each at least as large as the one before it.
    """

    gold: int
    silver: int
    bronze: int

    def medal(self, rank: int) -> Medal | None:
        """What a place gets; None below the bronze line."""
        for name, last in zip(MEDALS, (self.gold, self.silver, self.bronze), strict=True):
            if rank <= last:
                return name
        return None


def medal_lines(teams: int) -> MedalLines:
    """Kaggle's rule for a number of teams.

    | teams | bronze | silver | gold |
    | --- | --- | --- | --- |
    | 0-99 | top 40 % | top 20 % | top 10 % |
    | 100-249 | top 40 % | top 20 % | top 10 |
    | 250-999 | top 100 | top 50 | top 10 + 0.2 % |
    | 1000 and more | top 10 % | top 5 % | top 10 + 0.2 % |

    Raises
    ------
    UsageError
        The number is negative.

    Notes
    -----
    Kaggle does not say how parts of a place are rounded. Here they are rounded down, and the first place of a board
    always gets gold. Kaggle gives no medals in its playground and getting-started competitions; here every board has
    them, as practice.

    References
    ----------
    https://www.kaggle.com/progression ("Competition medals")
    """
    if teams < 0:
        raise UsageError(f"A leaderboard has 0 teams or more, got {teams}.")
    if teams < 100:
        first = min(teams, 1)
        return MedalLines(max(first, teams // 10), max(first, teams // 5), max(first, teams * 2 // 5))
    if teams < 250:
        return MedalLines(10, teams // 5, teams * 2 // 5)
    gold = 10 + teams // 500
    return MedalLines(gold, 50, 100) if teams < 1000 else MedalLines(gold, teams // 20, teams // 10)
