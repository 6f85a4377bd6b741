"""The field of a new competition: baselines, simulated teams, and the best possible score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kagglekit.arena.baselines import SAMPLE, constant_answers, graded
from kagglekit.arena.facts import train_target
from kagglekit.arena.hosted import BEST, Baseline, Hosted
from kagglekit.arena.learners import learnt_answers
from kagglekit.arena.material import material_of
from kagglekit.arena.rivals import Poles, rivals_of
from kagglekit.contracts import Competition
from kagglekit.metrics import get_metric

__all__ = ["BEST_POSSIBLE", "Field", "rivals_answers"]

BEST_POSSIBLE = "Best possible"


@dataclass(frozen=True)
class Field:
    """Who stands on a new board.

    Parameters
    ----------
    baselines, rivals : tuple of Baseline
    best : Baseline, optional
    answers : mapping of str to DataFrame
        What baselines and the best possible score submitted, by name of the file that keeps it.
    """

    baselines: tuple[Baseline, ...]
    rivals: tuple[Baseline, ...]
    best: Baseline | None
    answers: Mapping[str, pd.DataFrame]

    @classmethod
    def of(
        cls,
        folder: Path,
        names: Sequence[str],
        competition: Competition,
        sample: pd.DataFrame,
        solution: pd.DataFrame,
        given: Mapping[str, pd.DataFrame],
        teams: int,
    ) -> Field:
        """Fit what can be fitted, and grade everybody.

        Parameters
        ----------
        folder : Path
        names : sequence of str
            Its files.
        competition : Competition
        sample, solution : DataFrame
        given : mapping of str to DataFrame
            Further answers by team; that of `BEST_POSSIBLE` is no team.
        teams : int
            Simulated teams.
        """
        answers = _simple_answers(folder, names, competition, sample) | dict(given)
        lines = graded(answers, competition, sample, solution)
        top = lines.pop(BEST_POSSIBLE, None)
        kept = {f"{number}.csv": answers[team] for number, team in enumerate(lines)}
        poles = _poles(competition, solution, lines, answers)
        rivals = dict(rivals_of(competition, poles, teams)) if poles is not None else {}
        return cls(
            baselines=tuple(lines.values()),
            rivals=tuple(graded(rivals, competition, sample, solution).values()),
            best=top,
            answers=kept | ({BEST: answers[BEST_POSSIBLE]} if top is not None else {}),
        )


def _simple_answers(
    folder: Path, names: Sequence[str], competition: Competition, sample: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """By team: constants, and what simple models learnt; for several targets, of each by itself."""
    if competition.targets:
        return _side_by_side(folder, names, competition, sample)
    answers = constant_answers(competition, sample, train_target(folder, competition.target))
    material = material_of(folder, names, competition, sample)
    return answers if material is None else answers | learnt_answers(competition, sample, material)


def _side_by_side(
    folder: Path, names: Sequence[str], competition: Competition, sample: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """The answers of teams that have one for every target, in one table each."""
    found = {
        target: _simple_answers(folder, names, competition.of(target), sample[[competition.id, target]])
        for target in competition.targets
    }
    teams = [team for team in found[competition.targets[0]] if all(team in answers for answers in found.values())]
    return {team: sample.assign(**{t: found[t][team][t].to_numpy() for t in found}) for team in teams}


def rivals_answers(hosted: Hosted, teams: int | None = None) -> dict[str, pd.DataFrame]:
    """What the simulated teams of a hosted competition submit; `teams` of them, by default those on its board."""
    answers = {b.team: hosted.answers_frame(b.team) for b in hosted.baselines}
    if hosted.best is not None:
        answers[BEST_POSSIBLE] = hosted.answers_frame(BEST_POSSIBLE)
    lines = {b.team: b for b in hosted.baselines}
    poles = _poles(hosted.competition, hosted.solution_frame(), lines, answers)
    n = len(hosted.rivals) if teams is None else teams
    if n:
        hosted.competition.refuse_several(
            "A field of simulated teams", hint="Leave --teams out: baselines stand on the board."
        )
    return dict(rivals_of(hosted.competition, poles, n)) if poles is not None else {}


def _poles(
    competition: Competition, solution: pd.DataFrame, lines: Mapping[str, Baseline], answers: Mapping[str, pd.DataFrame]
) -> Poles | None:
    """What simulated teams are mixed of; None without a baseline, and for several targets."""
    if not lines or competition.targets:
        return None
    sign = 1 if get_metric(competition.metric).greater_is_better else -1
    # A sample submission may be far worse than anything that a person would send.
    fair = [team for team in lines if team != SAMPLE] or list(lines)
    order = sorted(fair, key=lambda team: sign * lines[team].public)
    known = BEST_POSSIBLE in answers
    good = answers[order[-1]].reset_index(drop=True)
    top = answers[BEST_POSSIBLE] if known else _true_answers(competition, solution, good)
    weak, top = (f.set_index(competition.id).loc[good[competition.id]].reset_index() for f in (answers[order[0]], top))
    return Poles(weak[good.columns], good, top[good.columns], top_is_truth=not known)


def _true_answers(competition: Competition, solution: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """The solution as a submission with the columns of another one."""
    truth = solution[[competition.id]].copy()
    y = solution[competition.target]
    if competition.form == "probabilities":
        return truth.assign(**{str(c): (y == c).astype(float) for c in competition.classes})
    column = next(c for c in like.columns if c != competition.id)
    if competition.form == "probability":
        return truth.assign(**{column: (y == competition.classes[1]).astype(float)})
    return truth.assign(**{column: y.astype(str) if competition.form == "ranking" else y})
