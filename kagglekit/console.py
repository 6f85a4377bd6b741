"""What a person sees: bars on standard error, tables on standard output."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as Bars,
)

from kagglekit.board import Row
from kagglekit.flow import Outcome
from kagglekit.forecast import clock
from kagglekit.progress import Task

__all__ = ["RichProgress", "outcome", "table"]


class RichProgress:
    """Draws bars on a terminal; elsewhere (a log, a pipe) prints a line when something is done."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
        )

    def say(self, text: str) -> None:
        self.console.print(escape(text), soft_wrap=True)

    @contextmanager
    def task(self, name: str, total: float | None) -> Iterator[Task]:
        """Bars nest: training shows above the images being decoded for it."""
        if not self.console.is_terminal:
            yield _Line(self)
            return
        outermost = not self._bars.live.is_started
        if outermost:
            self._bars.start()
        number = self._bars.add_task(escape(name), total=total, note="")
        try:
            yield _Bar(self._bars, number)
        finally:
            self._bars.remove_task(number)
            if outermost:
                self._bars.stop()


class _Bar:
    """A bar on a terminal."""

    def __init__(self, bars: Bars, number: TaskID) -> None:
        self.bars, self.number = bars, number

    def advance(self, steps: float = 1.0) -> None:
        self.bars.advance(self.number, steps)

    def note(self, text: str) -> None:
        self.bars.update(self.number, note=escape(text))


class _Line:
    """What a log gets instead: the notes, a line each."""

    def __init__(self, owner: RichProgress) -> None:
        self.owner = owner

    def advance(self, steps: float = 1.0) -> None:
        pass

    def note(self, text: str) -> None:
        self.owner.say(f"  {text}")


def table(rows: Sequence[Row], metric: str) -> str:
    """The table of experiments as text: a line of figures for each run, its hypothesis below it.

    Plain lines, so that it reads the same on a phone-wide terminal, in a log and in an issue.
    """
    names = [row.name + _KIND.get(row.kind, "") for row in rows]
    wide = max([len("experiment"), *map(len, names)])
    lines = [f"{'experiment':<{wide}}  {'CV ' + metric:>14}  {'± SE':>7}  {'time':>6}  verdict"]
    for name, row in zip(names, rows, strict=True):
        error = _error(row.standard_error)
        lines.append(
            f"{name:<{wide}}  {row.score:>14.4f}  {error:>7}  {clock(row.seconds):>6}  {_verdict(row)}".rstrip()
        )
        words = f"{row.hypothesis} [{row.change}]" if row.change else row.hypothesis
        lines += textwrap.wrap(words, width=84, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


_KIND = {"oob": " (out of bag)", "blend": " (blend)"}


def _verdict(row: Row) -> str:
    joint = {"better": "better than", "worse": "worse than", "no difference": "no difference to"}.get(row.verdict)
    return f"{joint} {row.against}" if joint else row.verdict


def _error(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.4f}"


def outcome(result: Outcome, metric: str, next_commands: Sequence[tuple[str, str]], files: dict[str, Path]) -> str:
    """The end of `kagglekit submit` as text: table, blend, score, place, files, and what to try next."""
    parts = [result.title, table(result.rows, metric), _blend(result, metric), "\n".join(_answer(result))]
    parts.append("\n".join(["Files", *(f"  {name:<11} {path}" for name, path in files.items())]))
    parts.append("\n".join(["Worth trying next", *(f"  {command}\n      {why}" for command, why in next_commands)]))
    return "\n\n".join(part for part in parts if part)


def _blend(result: Outcome, metric: str) -> str:
    run = result.run
    if run.kind != "blend":
        return f"Run: {run.id}, {metric} {run.score:.4f} ± {_error(run.standard_error)}"
    used = sorted(run.weights.items(), key=lambda pair: (-pair[1], pair[0]))
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in used)
    honest = f"Honest {metric} of the blend: {run.score:.4f} ± {_error(run.standard_error)}"
    if run.fit_score is not None:
        honest += f" (on the rows that chose its weights: {run.fit_score:.4f})"
    return f"Blend: {weights}\n{honest}"


def _answer(result: Outcome) -> list[str]:
    if result.submitted is None:
        return ["Dry run: the file is checked and written; nothing was sent."]
    sent = result.submitted.submission
    lines = []
    if result.submitted.repeated:
        lines.append(
            f"The same file was sent before, as {sent.ref} (sha256 {sent.sha256[:12]}): nothing was sent again. "
            "--again sends it all the same."
        )
    where = "Kaggle" if sent.site == "kaggle" else "the practice arena (not a Kaggle score)"
    if sent.public is None:
        return [*lines, f"Submission {sent.ref} on {where} is {sent.status}; the same command asks again."]
    lines.append(f"Public {result.metric} on {where}: {sent.public:.5f}")
    if result.place is not None:
        kind = "practice leaderboard" if sent.site == "arena" else "leaderboard"
        lines.append(f"Place {result.place} of {result.teams} on the {kind}")
    return lines
