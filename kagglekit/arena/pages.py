"""The arena's pages for people: plain HTML from the server, readable on a phone, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from kagglekit.arena.hosted import Hosted
from kagglekit.arena.leaderboard import Standing
from kagglekit.arena.protocol import score_text
from kagglekit.metrics import get_metric

__all__ = ["competition_page", "index_page", "not_found_page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0b7a75; }
@media (prefers-color-scheme: dark) { :root { --accent: #5cc8c0; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; }
a { color: var(--accent); }
.badge { display: inline-block; border: 1px solid var(--accent); color: var(--accent); border-radius: 1rem;
  padding: 0 .7rem; font-size: .85rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: 1rem 0; }
dt { opacity: .7; } dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; font-size: .85rem; opacity: .7; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.mine { background: var(--soft); font-weight: 600; }
.baseline { opacity: .75; font-style: italic; }
.note { opacity: .7; font-size: .9rem; }
ul { padding-left: 1.2rem; } li { margin: .5rem 0; }
"""


def index_page(hosted: Iterable[Hosted]) -> str:
    """All competitions."""
    items = "".join(
        f'<li><a href="/competitions/{escape(h.slug)}">{escape(h.title)}</a> {_badge(h)}<br>'
        f'<span class="note">{escape(get_metric(h.competition.metric).title)}</span></li>'
        for h in hosted
    )
    listed = (
        f"<ul>{items}</ul>"
        if items
        else "<p>No competition is hosted yet. Make one with <code>kagglekit arena create</code>.</p>"
    )
    return _page("Arena", f"<h1>Arena</h1><p>Practice competitions on this computer.</p>{listed}")


def competition_page(hosted: Hosted, standings: Sequence[Standing]) -> str:
    """The facts and the leaderboard of one competition."""
    body = (
        '<p><a href="/">All competitions</a></p>'
        f"<h1>{escape(hosted.title)}</h1><p>{_badge(hosted)}</p>"
        f"<p>{escape(hosted.description)}</p>{_facts(hosted)}"
        f"<h2>Leaderboard</h2>{_leaderboard(standings)}"
        '<p class="note">Scores are of the public part of the test rows, and of this arena: they are not Kaggle'
        " scores.</p>"
    )
    return _page(hosted.title, body)


def not_found_page() -> str:
    return _page("Not found", '<h1>Not found</h1><p>There is no such page. <a href="/">All competitions</a></p>')


def _badge(hosted: Hosted) -> str:
    kind = "synthetic practice competition" if hosted.synthetic else "practice competition"
    return f'<span class="badge">{kind}</span>'


def _facts(hosted: Hosted) -> str:
    competition, metric = hosted.competition, get_metric(hosted.competition.metric)
    direction = "higher" if metric.greater_is_better else "lower"
    facts = {
        "Name": competition.slug,
        "Task": competition.task,
        "Metric": f"{metric.title} ({metric.name}), {direction} is better",
        "Columns": f"{competition.id}, {competition.target}",
        "Classes": ", ".join(str(c) for c in competition.classes),
        "Submissions": f"{hosted.daily_limit} a day (UTC)",
        "Files": f"{len(hosted.files):,}, {sum(f.bytes for f in hosted.files) / 1e6:,.1f} MB",
        "Download": f"kagglekit download {competition.slug}",
    }
    return "<dl>" + "".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in facts.items() if v) + "</dl>"


def _leaderboard(standings: Sequence[Standing]) -> str:
    if not standings:
        return "<p>No scores yet.</p>"
    rows = "".join(_row(s) for s in standings)
    head = '<tr><th class="number">#</th><th>Team</th><th class="number">Score</th><th class="number">Entries</th></tr>'
    return f'<div class="wide"><table>{head}{rows}</table></div>'


def _row(line: Standing) -> str:
    return (
        f'<tr class="{"baseline" if line.is_baseline else "mine"}"><td class="number">{line.rank}</td>'
        f'<td>{escape(line.team)}</td><td class="number">{score_text(line.score)}</td>'
        f'<td class="number">{"" if line.is_baseline else line.entries}</td></tr>'
    )


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
