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
:root { color-scheme: light dark; --paper: #fff; --ink: #1d2426; --soft: #5d686c; --line: #dde3e5; --tile: #f4f7f7;
  --accent: #0b7a75; --mine: #e3f3f1; }
@media (prefers-color-scheme: dark) { :root { --paper: #14191b; --ink: #e6ebec; --soft: #9aa7ab; --line: #2c3538;
  --tile: #1c2326; --accent: #5cc8c0; --mine: #14312f; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; background: var(--paper); color: var(--ink);
  overflow-wrap: anywhere; }
header { border-bottom: 1px solid var(--line); background: var(--tile); }
header p, main { max-width: 60rem; margin: 0 auto; padding: .75rem 1rem; }
header a { font-weight: 700; text-decoration: none; }
header span { color: var(--soft); font-size: .9rem; margin-left: .5rem; }
main { padding-bottom: 3rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 1.25rem 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
a { color: var(--accent); }
.badge { display: inline-block; border: 1px solid currentColor; color: var(--accent); border-radius: 1rem;
  padding: 0 .6rem; font-size: .8rem; line-height: 1.5; font-weight: 400; font-style: normal; white-space: nowrap; }
.quiet { color: var(--soft); }
.lead { font-size: 1.05rem; max-width: 44rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .6rem; margin: 1.25rem 0; }
.tiles div { background: var(--tile); border-radius: .5rem; padding: .6rem .8rem; }
.tiles dt { color: var(--soft); font-size: .8rem; } .tiles dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.tiles .wide { grid-column: 1 / -1; } .tiles .wide dd { font-weight: 400; }
pre { background: var(--tile); border-left: 3px solid var(--accent); border-radius: .25rem; padding: .7rem .9rem;
  margin: 0; overflow-x: auto; font: .9rem/1.5 ui-monospace, monospace; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .5rem .6rem; border-bottom: 1px solid var(--line); }
th { font-weight: 600; font-size: .8rem; color: var(--soft); }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; width: 1%; }
td.number, th.number { padding-left: 1.2rem; } td:first-child, th:first-child { padding-left: .6rem; }
.mine { background: var(--mine); font-weight: 600; }
.baseline { color: var(--soft); } .baseline .badge { color: var(--soft); }
.note { color: var(--soft); font-size: .9rem; }
.cards { list-style: none; padding: 0; margin: 1.25rem 0; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); }
.cards li { border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem; }
.cards a { font-weight: 600; font-size: 1.1rem; }
.cards p { margin: .3rem 0 0; }
"""


def index_page(hosted: Iterable[tuple[Hosted, Sequence[Standing]]]) -> str:
    """All competitions, each with its standings."""
    items = "".join(_card(h, standings) for h, standings in hosted)
    listed = (
        f'<ul class="cards">{items}</ul>'
        if items
        else "<p>No competition is hosted yet. Draw one, or host a folder of your own:</p>"
        "<pre>kagglekit arena draw paddy\nkagglekit arena create FOLDER --name NAME</pre>"
    )
    lead = '<p class="lead">Competitions to practise on: no account, no network, no submission spent.</p>'
    return _page("Arena", f"<h1>Competitions</h1>{lead}{listed}")


def competition_page(hosted: Hosted, standings: Sequence[Standing]) -> str:
    """The facts and the leaderboard of one competition."""
    body = (
        f"<h1>{escape(hosted.title)}</h1><p>{_badge(hosted)}</p>"
        f'<p class="lead">{escape(hosted.description)}</p>{_facts(hosted)}'
        f"<h2>Start</h2><pre>kagglekit new {escape(hosted.slug)} --on arena</pre>"
        f"<h2>Leaderboard</h2>{_leaderboard(standings)}"
        '<p class="note">Scores are of the public part of the test rows, and of this arena: they are not Kaggle'
        " scores.</p>"
    )
    return _page(hosted.title, body)


def not_found_page() -> str:
    return _page("Not found", '<h1>Not found</h1><p>There is no such page. <a href="/">All competitions</a></p>')


def _card(hosted: Hosted, standings: Sequence[Standing]) -> str:
    own = next((s for s in standings if not s.is_baseline), None)
    place = f"place {own.rank} of {len(standings)}, {score_text(own.score)}" if own else "no score yet"
    return (
        f'<li><a href="/competitions/{escape(hosted.slug)}">{escape(hosted.title)}</a>'
        f'<p class="quiet">{escape(get_metric(hosted.metric).title)}, {place}</p><p>{_badge(hosted)}</p></li>'
    )


def _badge(hosted: Hosted) -> str:
    kind = "synthetic practice competition" if hosted.synthetic else "practice competition"
    return f'<span class="badge">{kind}</span>'


def _facts(hosted: Hosted) -> str:
    competition, metric = hosted.competition, get_metric(hosted.competition.metric)
    direction = "higher" if metric.greater_is_better else "lower"
    facts = {
        "Task": competition.task,
        "Metric": metric.title,
        "Better": direction,
        "Id, target": f"{competition.id}, {competition.target}",
        "Submissions a day": str(hosted.daily_limit),
        "Files": f"{len(hosted.files):,}, {_size(sum(f.bytes for f in hosted.files))}",
    }
    tiles = [f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items()]
    if competition.classes:
        words = escape(", ".join(str(c) for c in competition.classes))
        tiles.append(f'<div class="wide"><dt>{len(competition.classes)} classes</dt><dd>{words}</dd></div>')
    return f'<dl class="tiles">{"".join(tiles)}</dl>'


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.1f} MB" if n_bytes >= 1e5 else f"{n_bytes / 1e3:,.1f} kB"


def _leaderboard(standings: Sequence[Standing]) -> str:
    if not standings:
        return "<p>No scores yet.</p>"
    rows = "".join(_row(s) for s in standings)
    head = '<tr><th class="number">#</th><th>Team</th><th class="number">Score</th><th class="number">Entries</th></tr>'
    return f"<table>{head}{rows}</table>"


def _row(line: Standing) -> str:
    kind, word = ("baseline", "baseline") if line.is_baseline else ("mine", "you")
    return (
        f'<tr class="{kind}"><td class="number">{line.rank}</td>'
        f'<td>{escape(line.team)} <span class="badge">{word}</span></td>'
        f'<td class="number">{score_text(line.score)}</td>'
        f'<td class="number">{"" if line.is_baseline else line.entries}</td></tr>'
    )


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        '<header><p><a href="/">Arena</a><span>practice on this computer, by kagglekit</span></p></header>'
        f"<main>{body}</main></body></html>"
    )
