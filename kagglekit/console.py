"""What a person sees: bars on standard error, tables on standard output."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

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

from kagglekit.advice import Advice, Prospect
from kagglekit.board import Row
from kagglekit.compare import Comparison
from kagglekit.contracts import Run
from kagglekit.flow import Outcome
from kagglekit.forecast import clock
from kagglekit.ladder import Climbed, Fresh, Step, grouped
from kagglekit.outlook import Outlook, RunForecast
from kagglekit.progress import Task
from kagglekit.search import Record, as_experiment
from kagglekit.shakeup import Swap
from kagglekit.stats import Difference, Interval
from kagglekit.workspace import SiteName
from kagglekit.zoo import Entry, cost_name

__all__ = [
    "RichProgress",
    "advice",
    "blend",
    "comparison",
    "final_two",
    "ladder",
    "outcome",
    "pushed",
    "rehearsal",
    "search",
    "shakeup",
    "table",
    "world",
    "worlds",
    "zoo_table",
]


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
    names = [row.name + (f" ({row.trials} trials)" if row.trials else _KIND.get(row.kind, "")) for row in rows]
    wide = max([len("experiment"), *map(len, names)])
    lines = [f"{'experiment':<{wide}}  {'CV ' + metric:>14}   {'± SE':>7}  {'time':>6}  verdict"]
    for name, row in zip(names, rows, strict=True):
        error = _error(row.standard_error)
        score = f"{row.score:>14.4f} {'=' if row.tied else ' '}"
        lines.append(f"{name:<{wide}}  {score} {error:>7}  {clock(row.seconds):>6}  {_verdict(row)}".rstrip())
        words = f"{row.hypothesis} [{row.change}]" if row.change else row.hypothesis
        lines += textwrap.wrap(words, width=84, initial_indent="    ", subsequent_indent="    ")
        if row.tta:
            lines.append(f"    {_views(row.tta)}")
    if any(row.tied for row in rows):
        lines += ["", f"= tied with the best: the difference to {rows[0].name} lies inside the noise"]
    return "\n".join(lines)


_KIND = {"oob": " (out of bag)", "blend": " (blend)"}


def _verdict(row: Row) -> str:
    joint = {"better": "better than", "worse": "worse than", "no difference": "no difference to"}.get(row.verdict)
    return f"{joint} {row.against}" if joint else row.verdict


def _views(tta: Mapping[str, Any]) -> str:
    """What test-time augmentation changed, in one line."""
    gain = f"{tta['difference']:+.4f} ({tta['low']:+.4f} to {tta['high']:+.4f})"
    kept = f"kept for test and {tta['kept_folds']} of {tta['folds']} folds"
    if not tta["kept"]:
        kept = "not kept" + f" for test; for {tta['kept_folds']} of {tta['folds']} folds" * bool(tta["kept_folds"])
    return f"tta {tta['views']}: {tta['plain']:.4f} without, {tta['augmented']:.4f} with; gain {gain}: {kept}"


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


def search(record: Record) -> str:
    """A search as text: what was tried, what was found, and what of it was luck."""
    n, best, name = len(record.trials), record.best, record.experiment
    counts = [f"{record.count(state)} {state}" for state in ("complete", "pruned", "refused") if record.count(state)]
    lines = [f"Search from {name}: {n} trial(s), {', '.join(counts)}" if n else f"Search from {name}: no trial yet"]
    if best is None:
        return lines[0]
    if not record.beats_parent:
        return f"{lines[0]}\nNothing tried scored better than {name}, {record.metric} {record.parent_score:.4f}."
    lines.append(f"Best: trial {best.number} ({best.run}), {best.change}")
    return "\n\n".join(["\n".join(lines), *_luck(record), f"As an experiment:\n\n{as_experiment(record)}"])


def _luck(record: Record) -> list[str]:
    """The score that the search found beside those that it did not choose by."""
    best, fresh, name = record.best, record.measured, record.experiment
    found = best.score if best else math.nan
    parts = [f"Found {record.metric} {found:.4f} in the search ({name}: {record.parent_score:.4f})."]
    if fresh is not None:
        where = "On fresh folds" if fresh.new_folds else "With another seed, on the same folds (time has one order),"
        verdict = {"better": "better than", "worse": "worse than", "no difference": "no difference to"}[fresh.verdict]
        parts[0] += (
            f"\n{where} {fresh.score:.4f} ± {fresh.standard_error:.4f} ({name}: {fresh.parent_score:.4f}): {verdict} "
            f"{name} ({fresh.better_by:+.4f}, 95 % interval {fresh.low:+.4f} to {fresh.high:+.4f})."
        )
    if not math.isnan(others := record.chosen_by_others):
        parts[0] += f"\nEach fold scored by the trial that the other folds chose: {others:.4f}."
    return parts


def ladder(found: Climbed) -> str:
    """A climb as text: a line for each candidate, what stopped it, and scores on rows that decided nothing."""
    wide = max([len("experiment"), *(len(step.experiment) for step in found.steps)])
    wide_rung = max([len("rung"), *(len(step.rung) for step in found.steps)])
    head = (
        f"{'rung':<{wide_rung}}  {'experiment':<{wide}}  {found.metric:>9}  {'95 % interval':>16}  "
        f"{'better by':>9}  {'interval':>18}  {'time':>6}  {'forecast':>8}  {'memory':>14}  verdict"
    )
    lines = [head, *(_rung_line(step, wide_rung, wide) for step in found.steps)]
    where = f"All on {found.split}, {found.n_scored} rows that chose: no fresh scores. MB: measured (forecast)."
    parts = ["\n".join(lines), where]
    parts += [f"Left out: {'; '.join(grouped(found.left_out))}."] * bool(found.left_out)
    parts += [f"Not at the top yet: {found.undecided}."] * bool(found.undecided)
    parts.append("\n".join(_fresh_line(one, found.metric) for one in found.fresh))
    if found.fresh:
        parts[-1] = f"On the {found.n_fresh} rows of the other folds, which decided nothing:\n{parts[-1]}"
    return "\n\n".join(part for part in [*parts, f"Best so far: {found.best}."] if part)


def _rung_line(step: Step, wide_rung: int, wide: int) -> str:
    gain, interval = "", ""
    if (d := step.difference) is not None:
        gain, interval = f"{d.mean:+.4f}", f"{d.low:+.4f} to {d.high:+.4f}"
    told = step.cost is not None and bool(step.cost.basis)
    ahead = clock(step.cost.forecast) if step.cost and told else ""
    said = f"{step.verdict}, promoted" if step.promoted else step.verdict
    line = (
        f"{step.rung:<{wide_rung}}  {step.experiment:<{wide}}  {step.score:>9.4f}  {step.low:.4f} to {step.high:.4f}  "
        f"{gain:>9}  {interval:>18}  {clock(step.seconds):>6}  {ahead:>8}  {_memory_cell(step):>14}  {said}"
    )
    return line.rstrip()


def _memory_cell(step: Step) -> str:
    if step.cost is None:
        return ""
    cost = step.cost
    measured, ahead = (
        (cost.gpu_mb, cost.forecast_gpu_mb) if cost.gpu_mb else (cost.mb, cost.forecast_mb)
    )  # on a GPU its own memory is what runs out
    return f"{measured:.0f}" + (f" ({ahead:.0f})" if ahead else "")


def _fresh_line(one: Fresh, metric: str) -> str:
    line = f"  {one.experiment}  {metric} {one.score:.4f} ({one.low:.4f} to {one.high:.4f})"
    if (d := one.difference) is None:
        return line
    return f"{line}, {d.mean:+.4f} ({d.low:+.4f} to {d.high:+.4f}) against the start: {one.verdict}"


def comparison(found: Comparison) -> str:
    """Two runs side by side as text: the verdict first, then what it rests on, then what it would take to know."""
    wide = max(len(found.a), len(found.b))
    lines = [
        f"{found.b} against {found.a}: {found.verdict}",
        "",
        *(f"{name:<{wide}}  {found.metric} {score:.5f}" for name, score in _both(found)),
        "",
        f"{'':<12}  {'better by':>9}  {'95 % interval':>22}",
    ]
    for kind, difference in (("by row", found.by_row), ("by fold", found.by_fold), ("in all", found.difference)):
        lines += [_difference(kind, difference)] * (difference is not None)
    parts = ["\n".join(lines), "\n".join(_chances(found)), "\n".join(f"Note: {note}." for note in found.notes)]
    return "\n\n".join(part for part in parts if part)


def _both(found: Comparison) -> list[tuple[str, float]]:
    return [(found.a, found.score_a), (found.b, found.score_b)]


def _difference(kind: str, difference: Difference | None) -> str:
    if difference is None:
        return ""
    return f"{kind:<12}  {difference.mean:>+9.5f}  {difference.low:>+9.5f} to {difference.high:>+9.5f}"


def _chances(found: Comparison) -> list[str]:
    """The private set, the smallest difference, and what would decide."""
    lines = []
    if found.p_private is not None:
        lines.append(f"P({found.b} beats {found.a}) on a private set of {found.n_private} rows: {found.p_private:.0%}")
    lines.append(f"Smallest difference that {found.n_rows} rows could show in 4 of 5 cases: {found.smallest:.5f}")
    if found.more_seeds:
        lines.append(f"About {found.more_seeds} more repeat(s) would decide, if the difference is what it seems.")
    elif found.verdict == "no difference" and found.rows_needed is not None:
        lines.append(
            f"No number of seeds would decide: it would take about {found.rows_needed} rows, if the difference is what "
            "it seems."
        )
    return lines


def shakeup(found: Outlook, comp: str) -> str:
    """Forecasts as text: a line for each run, alarms, and who may swap places with whom."""
    wide = max([len("run"), *(len(f.name) for f in found.forecasts)])
    lines = [f"{'run':<{wide}}  {'CV':>9}  {'public, 95 %':>22}  {'private, 95 %':>22}  {'public':>9}"]
    for one in found.forecasts:
        known = f"{one.residual.public:>9.5f}" if one.residual else ""
        private = one.private or one.shakeup.private
        line = f"{one.name:<{wide}}  {one.shakeup.cv:>9.5f}  {_span(one.shakeup.public)}  {_span(private)}  {known}"
        lines.append(line.rstrip())
    first = found.forecasts[0].shakeup
    sizes = f"Of {first.n_public + first.n_private} test rows, {first.n_public} are taken as public."
    fits = [[f"{one.name}: {fit[0]}", *fit[1:]] for one in found.forecasts if (fit := _fit(one, comp))]
    swaps = _swaps(found.swaps)
    return "\n\n".join("\n".join(part) for part in (lines, [sizes], *fits, swaps) if part)


def _swaps(swaps: Sequence[tuple[str, str, Swap]]) -> list[str]:
    """A line for each pair of neighbours: how often the other one leads, how often they swap, and what a lead tells."""
    if not swaps:
        return []
    pairs = [f"{b} beats {a}" for a, b, _ in swaps]
    wide = max(map(len, pairs))
    lines = [
        f"{'':<{wide}}  {'in public':>9}  {'in private':>10}  {'they swap':>9}  {'public leader truly better':>26}"
    ]
    for pair, (_, _, swap) in zip(pairs, swaps, strict=True):
        chances = f"{swap.public_better:>9.0%}  {swap.private_better:>10.0%}  {swap.chance:>9.0%}  {swap.right:>26.0%}"
        lines.append(f"{pair:<{wide}}  {chances}")
    return lines


def _span(interval: Interval) -> str:
    return f"{interval.low:>9.5f} to {interval.high:>9.5f}"


def _fit(one: RunForecast, comp: str) -> list[str]:
    """Whether the public score fits the forecast; an alarm names the next command."""
    if one.residual is None:
        return []
    if not one.residual.alarm:
        return [one.residual.words()]
    causes = (f"  - {cause}" for cause in one.residual.causes)
    return [one.residual.words(), "Likely causes:", *causes, f"Look for them with: kagglekit drift {comp}"]


def advice(found: Advice) -> str:
    """Advice as text: the candidates, what to send in which order, and the two to end with."""
    wide = max([len("run"), *(len(p.name) for p in found.prospects)])
    lines = [f"{'run':<{wide}}  {'CV':>9}  {'rows changed':>12}  {'expected':>9}  {'LB shows':>9}  {'P(better)':>9}"]
    lines += [_prospect_line(p, found, wide) for p in found.prospects]
    return "\n\n".join("\n".join(part) for part in (lines, _legend(found), _to_send(found), [final_two(found)]))


def _prospect_line(one: Prospect, found: Advice, wide: int) -> str:
    changed = "" if one.differs is None else f"{one.differs} ({one.differs / found.n_test:.1%})"
    figures = [f"{one.name:<{wide}}", f"{one.cv:>9.5f}", f"{changed:>12}"]
    known = one.ahead is not None
    figures += [f"{one.ahead:>+9.5f}", f"{one.resolution:>9.5f}", f"{one.p_better:>9.0%}"] if known else [" " * 9] * 3
    notes = ["sent"] * (one.name in found.sent) + ["below the leaderboard's resolution"] * one.below
    return "  ".join([*figures, ", ".join(notes)]).rstrip()


def _legend(found: Advice) -> list[str]:
    if not found.sent:
        return ["Nothing was submitted yet, so there is nothing to differ from."]
    lines = [
        f"rows changed: of {found.n_test} test rows, against the nearest file sent; expected, P(better): against "
        f"{found.sent[0]}, in private.",
        f"LB shows: a smaller difference is lost in the luck of {found.n_public} public rows.",
    ]
    if any(p.most is not None for p in found.prospects):
        lines.append("Accuracy over all test rows can move no further than the share of rows changed.")
    return lines


def _to_send(found: Advice) -> list[str]:
    if not found.steps:
        return ["Nothing left is worth a slot: no other candidate is expected to add to what was sent."]
    gains = ["the best there is" if step.gain is None else f"adds {step.gain:+.5f}" for step in found.steps]
    return ["Send, in this order:", *(f"  {step.name}  {gain}" for step, gain in zip(found.steps, gains, strict=True))]


def final_two(found: Advice) -> str:
    """The two submissions to end with, as text."""
    pair = found.pair
    if pair is None:
        return "Final two: there is one candidate only."
    unsent = [name for name in (pair.first, pair.second) if name not in found.sent]
    lines = [
        f"Final two: {pair.first} and {pair.second}. "
        f"The better of them beats {pair.line:.5f} in private with a chance of {pair.chance:.0%}; "
        f"{pair.first} alone, {pair.alone:.0%}."
    ]
    return "\n".join(lines + [f"Not submitted yet: {', '.join(unsent)}."] * bool(unsent))


def _answer(result: Outcome) -> list[str]:
    ahead = [] if result.forecast is None else [result.forecast.shakeup.words()]
    if result.submitted is None:
        return [*ahead, "Dry run: the file is checked and written; nothing was sent."]
    sent = result.submitted.submission
    lines = []
    if result.submitted.repeated:
        lines.append(
            f"The same file was sent before, as {sent.ref} (sha256 {sent.sha256[:12]}): nothing was sent again. "
            "--again sends it all the same."
        )
    where = "Kaggle" if sent.site == "kaggle" else "the practice arena (not a Kaggle score)"
    if sent.public is None:
        return [*ahead, *lines, f"Submission {sent.ref} on {where} is {sent.status}; the same command asks again."]
    lines.append(f"Public {result.metric} on {where}: {sent.public:.5f}")
    if result.place is not None:
        kind = "practice leaderboard" if sent.site == "arena" else "leaderboard"
        lines.append(f"Place {result.place} of {result.teams} on the {kind}")
    if result.forecast and result.forecast.residual and result.forecast.residual.alarm:
        ahead += _fit(result.forecast, result.comp)
    return lines + ahead


def pushed(url: str, site: SiteName) -> str:
    """Where the page of a pushed notebook is; the arena of a command ends with it, and the notebook runs on."""
    if site == "kaggle":
        return f"Pushed: {url}"
    return (
        "Pushed to the practice arena; it runs on this computer. Its page, once `kagglekit arena serve` has printed an "
        f"address: {urlsplit(url).path} there"
    )


def zoo_table(found: Sequence[Entry], source: str) -> str:
    """Image models as text, a line for each."""
    wide = max(len("model"), *(len(e.result.model) for e in found))
    wide_family = max(len("family"), *(len(e.result.family) for e in found))
    lines = [
        f"  {'model':<{wide}}  {'family':<{wide_family}}  {'top-1':>6}  {'px':>4}  {'params':>8}  {'GMACs':>7}  "
        f"{'predict':>10}  {'train':>10}"
    ]
    lines += [_zoo_line(entry, wide, wide_family) for entry in found]
    ends = [
        "* no other model listed is as accurate and costs less, by " + cost_name(found),
        f"top-1: ImageNet accuracy (%) at px, from {source}",
        "predict, train: milliseconds an image on this machine"
        + ("" if all(e.speed for e in found) else " (--probe measures them)"),
    ]
    return "\n".join([*lines, "", *ends])


def _zoo_line(entry: Entry, wide: int, wide_family: int) -> str:
    one, speed = entry.result, entry.speed
    gmacs = "" if math.isnan(one.gmacs) else f"{one.gmacs:.2f}"
    times = [f"{ms:.1f} ms" for ms in (speed.predict_ms, speed.train_ms)] if speed else ["", ""]
    return (
        f"{'*' if entry.best else ' '} {one.model:<{wide}}  {one.family:<{wide_family}}  {one.top1:>6.2f}  "
        f"{one.size:>4}  {one.params:>6.1f} M  {gmacs:>7}  {times[0]:>10}  {times[1]:>10}"
    ).rstrip()


def worlds(found: Sequence[Mapping[str, Any]]) -> str:
    """Practice competitions: a line of facts for each, and what it is about below it."""
    wide, wide_task = (max(len(str(w[key])) for w in found) for key in ("name", "task"))
    lines = [f"{'world':<{wide}}  {'task':<{wide_task}}  {'metric':<8}  {'train':>6}  {'test':>6}"]
    for one in found:
        rows = f"{one['train rows']:>6,}  {one['test rows']:>6,}"
        lines.append(f"{one['name']:<{wide}}  {one['task']:<{wide_task}}  {one['metric']:<8}  {rows}")
        lines += textwrap.wrap(str(one["summary"]), width=84, initial_indent="    ", subsequent_indent="    ")
    ways = ["One of them:  kagglekit arena worlds NAME", "Start:        kagglekit new NAME --on arena"]
    return "\n".join([*lines, "", *ways])


def world(one: Mapping[str, Any]) -> str:
    """One practice competition: its page's text, and how to start."""
    facts = f"{one['task']}, {one['metric']}, {one['train rows']:,} training rows, {one['test rows']:,} to predict"
    text = [textwrap.fill(part, width=96) for part in str(one["description"]).split("\n\n")]
    return "\n\n".join([f"{one['title']}\n{facts}", *text, f"Start: kagglekit new {one['slug']} --on arena"])


def rehearsal(found: Mapping[str, Any]) -> str:
    """Places and medals over many splits, a line for each submission."""
    entries = found["entries"]
    wide = max(len("submission"), *map(len, entries))
    simulated = f", {found['simulated teams']} of them simulated" if found["simulated teams"] else ""
    places = f"{'public place':<16}  {'place':<16}"
    rows = f"{found['hidden rows']:,} hidden rows, {found['public share']:.0%} of them public"
    head = f"{found['splits']} splits of {rows}; {found['teams']} teams{simulated}. Practice, not Kaggle."
    lines = [
        head,
        "",
        f"{'submission':<{wide}}  {'private ' + found['metric']:<26}  {'gap':<28}  {places}  medals",
    ]
    for name, one in entries.items():
        private, gap = _quantiles(one["private"], ".4f"), _quantiles(one["gap"], "+.4f")
        before, place = (_quantiles(one[key], ".0f") for key in ("public place", "place"))
        won = ", ".join(f"{medal} {share:.0%}" for medal, share in one["medals"].items() if share)
        lines.append(f"{name:<{wide}}  {private:<26}  {gap:<28}  {before:<16}  {place:<16}  {won}")
    return "\n".join(
        [
            *lines,
            "",
            "Medians, and in brackets where 90 % of the splits lie. Gap: by how much the private score is",
            "better than the public one. Places are alone among baselines and simulated teams; medals go by",
            "the private one.",
        ]
    )


def _quantiles(spread: Mapping[str, float], form: str) -> str:
    return f"{spread['median']:{form}} ({spread['from']:{form}} to {spread['to']:{form}})"
