"""The page: a plain form, without script, readable on a phone, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from kagglekit.clean.desk import KEEP, OUT, VALUE, Desk, Suspect
from kagglekit.cleaning import corrections_words
from kagglekit.report.words import plural

__all__ = ["cleaning_page", "refused_page"]

_NAMES = {"true": "given", "predicted": "model", "off by": "off by"}

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a2224; --soft: #5b676b; --line: #d9e0e2; --tile: #f4f7f7;
  --accent: #0b7a75; --on-accent: #fff; --given: #b8480a; --said: #0b62a8; }
@media (prefers-color-scheme: dark) { :root { --paper: #12171a; --ink: #e7eced; --soft: #9dabb0; --line: #2f393d;
  --tile: #1a2124; --accent: #58c7bf; --on-accent: #0c1416; --given: #ff9a5c; --said: #6db6f2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", Arial, sans-serif; -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
header, main, .bar div { max-width: 74rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 1.75rem; }
.brand { font-weight: 700; color: var(--accent); margin: 0; } .brand span { color: var(--soft); font-weight: 400; }
h1 { font-size: clamp(1.6rem, 1.2rem + 2vw, 2.4rem); line-height: 1.12; letter-spacing: -.02em; margin: .2rem 0 .7rem;
  overflow-wrap: anywhere; }
p { margin: 0 0 .6rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
.lead { font-size: 1.05rem; max-width: 46rem; }
.quiet { color: var(--soft); font-size: .9rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
.state { border-left: 3px solid var(--accent); background: var(--tile); border-radius: .25rem; padding: .6rem .9rem;
  margin: 1rem 0; max-width: 46rem; }
.state p:last-child { margin: 0; }
details { max-width: 46rem; margin: 0 0 1.25rem; } summary { cursor: pointer; color: var(--accent); }
pre { background: var(--tile); border-radius: .4rem; padding: .7rem .9rem; margin: .5rem 0; overflow-x: auto; }
.rows { list-style: none; margin: 1.25rem 0; padding: 0 0 6rem; display: grid; gap: 1.1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); }
.rows.wide { grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); }
.rows li { border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; display: flex; flex-direction: column;
  min-width: 0; }
.rows li.changed { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }
.picture { display: block; background: var(--tile); }
.picture img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; }
.what { padding: .7rem .9rem .9rem; display: flex; flex-direction: column; gap: .5rem; flex: 1; }
.id { font-weight: 650; margin: 0; font-size: .9rem; } .id span { color: var(--soft); font-weight: 400; }
dl { margin: 0; font-size: .9rem; line-height: 1.4; }
dl div { display: grid; grid-template-columns: 4.2rem minmax(0, 1fr); gap: .5rem; padding: .08rem 0; }
dt { color: var(--soft); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; font-weight: 600; }
small { font-weight: 400; color: var(--soft); }
.given { color: var(--given); } .said { color: var(--said); }
.columns { border-top: 1px solid var(--line); padding-top: .5rem; } .columns dd { font-weight: 400; }
.columns div { grid-template-columns: 7.5rem minmax(0, 1fr); }
.choice { margin-top: auto; display: grid; gap: .4rem; }
select, input { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--soft);
  border-radius: .4rem; padding: .45rem .5rem; width: 100%; min-width: 0; }
button { font: inherit; font-weight: 650; color: var(--on-accent); background: var(--accent); border: 0;
  border-radius: .4rem; padding: .55rem 1.3rem; cursor: pointer; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.bar { position: fixed; left: 0; right: 0; bottom: 0; background: var(--paper); border-top: 1px solid var(--line); }
.bar div { display: flex; gap: 1rem; align-items: center; padding-top: .7rem; padding-bottom: .7rem; }
.bar p { margin: 0; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (max-width: 34rem) { .bar div { justify-content: space-between; } }
@media print { .bar { display: none; } }
"""


def cleaning_page(desk: Desk, token: str, *, saved: bool = False) -> str:
    """All rows with what is decided about them; `token` proves that an answer comes from this page.

    Raises
    ------
    DataError
        The file of corrections was damaged.
    """
    corrections = dict(desk.corrections())
    kind = "rows" if desk.suspects and desk.suspects[0].picture else "rows wide"
    cards = "".join(_card(desk, number, suspect, corrections) for number, suspect in enumerate(desk.suspects))
    body = (
        f"{_head(desk)}{_state(desk, corrections, saved=saved)}{_next(desk, opened=saved)}</header><main>"
        f'<form method="post" action="/"><input type="hidden" name="token" value="{escape(token)}">'
        f'<ol class="{kind}">{cards}</ol>'
        '<div class="bar"><div><button type="submit">Save</button>'
        f'<p class="quiet">to <code>{escape(desk.file.name)}</code>; nothing is trained yet</p></div></div>'
        "</form></main>"
    )
    return _page(f"{desk.comp}: labels", body)


def refused_page(words: str) -> str:
    """Why something was not done."""
    way = '<p>Your browser\'s way back leads to what you had chosen. <a href="/">Load the page anew</a></p>'
    return _page("Not done", f"<h1>Not done</h1><p>{_text(words)}</p>{way}</header>")


def _head(desk: Desk) -> str:
    sure = "was most sure of something else" if desk.classes else "was farthest off"
    return (
        f"<h1>{_text(desk.comp)}: are these labels right?</h1>"
        f'<p class="lead">The {plural(len(desk.suspects), "training row")} on which <code>{_text(desk.run)}</code>, '
        f"which did not see them, {sure}, the worst first. Wrong labels gather here, and so do rows that are merely "
        "hard: change a label only where you can see that it is wrong.</p>"
    )


def _state(desk: Desk, corrections: Mapping[str, object], *, saved: bool) -> str:
    words = corrections_words([(i, None if v is None else "") for i, v in corrections.items()])
    here = len({s.id for s in desk.suspects} & set(corrections))
    elsewhere = f" ({len(corrections) - here:,} of them not on this page)" if len(corrections) > here else ""
    begun = "Saved. " if saved else ""
    name = f"<code>{escape(desk.file.name)}</code>"
    return f'<div class="state" role="status"><p>{begun}{name}: {words}{elsewhere}.</p></div>'


def _next(desk: Desk, *, opened: bool) -> str:
    lines, commands = desk.next_steps()
    add = (
        f"<p>Add these lines to <code>pipelines/{_text(desk.comp)}/pipeline.toml</code>:</p><pre>{escape(lines)}</pre>"
        if lines
        else "<p>An experiment of the pipeline file reads the corrections already.</p>"
    )
    return (
        f"<details{' open' if opened else ''}><summary>What to do with the corrections</summary>{add}<p>Then:</p>"
        f"<pre>{escape(commands)}</pre>"
        "<p>Scores stay on the labels as given, so that the two are compared on one truth.</p></details>"
    )


def _card(desk: Desk, number: int, suspect: Suspect, corrections: Mapping[str, object]) -> str:
    changed = suspect.id in corrections
    picture = ""
    if suspect.picture:
        words = f"{suspect.id}: {', '.join(f'{_NAMES[n]} {v}' for n, v in suspect.said)}"
        image = f'<img src="/picture/{number}" alt="{escape(words)}" loading="lazy">'
        picture = f'<a class="picture" href="/picture/{number}">{image}</a>'
    said = "".join(_said(name, value) for name, value in suspect.said)
    columns = "".join(f"<div><dt>{_text(n)}</dt><dd>{_text(v)}</dd></div>" for n, v in suspect.columns)
    listed = f'<dl class="columns">{columns}</dl>' if columns else ""
    return (
        f'<li{" class=changed" if changed else ""}>{picture}<div class="what">'
        f'<p class="id"><span>{number + 1}.</span> {_text(suspect.id)}</p><dl>{said}</dl>{listed}'
        f'<div class="choice">{_choice(desk, number, suspect, corrections)}</div></div></li>'
    )


def _said(name: str, value: str) -> str:
    """A label with the belief in it; for values the number alone."""
    label, comma, share = value.rpartition(", ") if value.endswith("%") else (value, "", "")
    belief = f" <small>{_text(share).replace(' ', '&nbsp;')}</small>" if comma else ""
    kind = "given" if name == "true" else "said"
    return f'<div><dt>{_NAMES[name]}</dt><dd class="{kind}">{_text(label)}{belief}</dd></div>'


def _choice(desk: Desk, number: int, suspect: Suspect, corrections: Mapping[str, object]) -> str:
    chosen = KEEP
    if suspect.id in corrections:
        label = corrections[suspect.id]
        chosen = OUT if label is None else str(desk.classes.index(str(label))) if desk.classes else VALUE
    options = _option(KEEP, f"keep {suspect.given}" if desk.classes else "keep the given value", chosen)
    if desk.classes:
        # What the model said comes first: it is right more often than any other.
        others = sorted((c for c in desk.classes if c != suspect.given), key=lambda c: c != suspect.guess)
        options += "".join(_option(str(desk.classes.index(c)), f"relabel: {c}", chosen) for c in others)
    else:
        options += _option(VALUE, "change to the value below", chosen)
    options += _option(OUT, "leave the row out", chosen)
    name = f"What to do with {suspect.id}"
    found = f'<select name="row-{number}" aria-label="{escape(name)}">{options}</select>'
    if not desk.classes:
        value = corrections.get(suspect.id)
        shown = "" if value is None else repr(value)
        found += (
            f'<input type="number" step="any" name="value-{number}" value="{escape(shown)}" placeholder="value" '
            f'aria-label="{escape(f"Value of {suspect.id}")}">'
        )
    return found


def _option(value: str, words: str, chosen: str) -> str:
    return f'<option value="{value}"{" selected" if value == chosen else ""}>{_text(words)}</option>'


def _text(text: object) -> str:
    return escape("".join(c if c.isprintable() else " " for c in str(text)))


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>"
        f'<header><p class="brand">kagglekit <span>clean</span></p>{body}</body></html>'
    )
