"""What a person sees: bars on standard error, tables on standard output."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
from kagglekit.contracts import Run
from kagglekit.flow import Outcome
from kagglekit.forecast import clock
from kagglekit.progress import Task

__all__ = ["RichProgress", "blend", "outcome", "table"]


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

    Plain lines, so that it reads the same on a phone-wide terminal, in a log and in an issue. An "=" marks the runs
    that are tied with the best.
    """
    names = [row.name + _KIND.get(row.kind, "") for row in rows]
    wide = max([len("experiment"), *map(len, names)])
    lines = [f"{'experiment':<{wide}}  {'CV ' + metric:>14}   {'± SE':>7}  {'time':>6}  verdict"]
    for name, row in zip(names, rows, strict=True):
        error = _error(row.standard_error)
        score = f"{row.score:>14.4f} {'=' if row.tied else ' '}"
        lines.append(f"{name:<{wide}}  {score} {error:>7}  {clock(row.seconds):>6}  {_verdict(row)}".rstrip())
        words = f"{row.hypothesis} [{row.change}]" if row.change else row.hypothesis
        lines += textwrap.wrap(words, width=84, initial_indent="    ", subsequent_indent="    ")
    if any(row.tied for row in rows):
        lines += ["", f"= tied with the best: the difference to {rows[0].name} lies inside the noise"]
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
    return f"Blend: {_weights(run)}\n{_honest(run, metric)}"


def _weights(run: Run) -> str:
    if not run.weights:
        return f"{run.settings['method']} of {len(run.settings['members'])} runs"
    used = sorted(run.weights.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{name} {weight:.2f}" for name, weight in used)


def _honest(run: Run, metric: str) -> str:
    honest = f"Honest {metric} of the blend: {run.score:.4f} ± {_error(run.standard_error)}"
    if run.fit_score is not None:
        honest += f" (on the rows that chose its weights: {run.fit_score:.4f})"
    return honest


def blend(run: Run) -> str:
    """A blend as text: how it was chosen, what each member adds, its honest score, and the steps where it has steps."""
    study, rows = run.study, run.study["rows"]
    parts = [f"{run.name} ({run.settings['method']}): {len(study['members'])} members, {rows} rows, {run.id}"]
    parts += [study["reason"]] * bool(study["reason"])
    parts.append(_members(run))
    low, high = study["interval"]
    parts.append(f"{_honest(run, run.metric)}\n95 % interval over rows: {low:.4f} to {high:.4f}")
    parts.append(_trajectory(study["trajectory"]))
    if run.unscored:
        parts.append(f"{run.unscored} row(s) took no part, as a member has no prediction for them: {study['left_out']}")
    parts += [f"Note: {study['warning']}"] * bool(study["warning"])
    return "\n\n".join(part for part in parts if part)


def _members(run: Run) -> str:
    """A line for each member, heaviest first: weight, score alone, what it adds, how alike it errs."""
    names = [member["member"] for member in run.study["members"]]
    wide = max(len("member"), *map(len, names))
    lines = [f"{'member':<{wide}}  {'weight':>7}  {'alone':>9}  {'adds':>9}  errs alike"]
    order = sorted(run.study["members"], key=lambda m: (-abs(run.weights.get(m["member"], 0)), -m["loss"], m["member"]))
    for member in order:
        weight = f"{run.weights[member['member']]:.3f}" if run.weights else ""
        lines.append(
            f"{member['member']:<{wide}}  {weight:>7}  {member['alone']:>9.4f}  {member['loss']:>+9.4f}  "
            f"{member['alike']:.2f}"
        )
    return "\n".join(lines)


def _trajectory(steps: Sequence[Mapping[str, Any]], shown: int = 12) -> str:
    """The first steps: which member, the score on the rows that chose it, and the honest one."""
    if not steps:
        return ""
    wide = max(len("member"), *(len(step["member"]) for step in steps[:shown]))
    lines = [f"step  {'member':<{wide}}  {'fitted':>9}  {'honest':>9}  honest bound"]
    for number, step in enumerate(steps[:shown], start=1):
        honest, low = (_figure(step[key]) for key in ("honest_score", "honest_low"))
        line = f"{number:>4}  {step['member']:<{wide}}  {step['fit_score']:>9.4f}  {honest:>9}  {low}"
        lines.append(line.rstrip())
    return "\n".join(lines + ["..."] * (len(steps) > shown))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


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
