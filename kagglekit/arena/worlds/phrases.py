"""Phrases: how alike are two short technical phrases, from 0 to 1 in five steps; test pairs are about new anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import Drawn, World, ids_for, n_rows, public_part, table_maker

__all__ = ["LEVELS", "WORLD", "draw"]

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
_PER_ANCHOR = 20
_MOVED = 0.15

Family = Sequence[Sequence[str]]

# Words of one bracket mean the same; brackets of one family are related.
_THINGS: Mapping[str, Family] = {
    "F16": (("bolt", "fastener"), ("hinge", "pivot"), ("clamp", "clip"), ("bracket", "mount")),
    "B65": (("tank", "reservoir"), ("container", "box"), ("pipe", "tube", "duct"), ("bottle", "flask")),
    "F02": (("shaft", "axle", "spindle"), ("gear", "cogwheel"), ("motor", "engine"), ("belt", "strap")),
    "G01": (("sensor", "detector", "probe"), ("camera", "imager"), ("antenna", "aerial"), ("gauge", "meter")),
    "B32": (("plate", "panel", "sheet"), ("layer", "film", "coating"), ("membrane", "diaphragm"), ("filter", "sieve")),
    "H01": (("battery", "accumulator"), ("lamp", "light"), ("switch", "button"), ("wire", "cable", "lead")),
}
_MATERIALS: Mapping[str, Family] = {
    "metal": (("steel", "iron"), ("aluminium", "alloy"), ("copper", "bronze")),
    "plastic": (("plastic", "polymer"), ("rubber", "elastomer"), ("foam", "sponge")),
    "mineral": (("glass", "quartz"), ("ceramic", "porcelain"), ("stone", "concrete")),
    "fabric": (("cloth", "textile"), ("paper", "cardboard"), ("leather", "hide")),
}
_QUALITIES: Mapping[str, Family] = {
    "motion": (("rotating", "turning", "spinning"), ("sliding", "gliding"), ("vibrating", "shaking")),
    "heat": (("heated", "warm", "hot"), ("cooled", "chilled", "cold"), ("insulated", "lagged")),
    "shape": (("curved", "bent", "arched"), ("flat", "planar", "level"), ("hollow", "tubular")),
    "state": (("sealed", "closed", "tight"), ("porous", "perforated"), ("flexible", "bendable", "pliant")),
}
_SLOTS = (_QUALITIES, _MATERIALS, _THINGS)
_WEIGHTS = (0.25, 0.2, 0.55)
# How alike two words of a slot are: the same or a synonym, another bracket of the family, another family.
_SYNONYM, _RELATED = 0.97, 0.4


@dataclass(frozen=True)
class _Word:
    """A place in a slot's vocabulary."""

    family: str
    bracket: int
    word: str


def _any(rng: np.random.Generator, slot: Mapping[str, Family]) -> _Word:
    family = str(rng.choice(list(slot)))
    bracket = int(rng.integers(len(slot[family])))
    return _Word(family, bracket, str(rng.choice(list(slot[family][bracket]))))


def _near(rng: np.random.Generator, slot: Mapping[str, Family], word: _Word, how: str) -> _Word:
    """A word that is the same, means the same, is related, or is any."""
    if how == "same":
        return word
    if how == "any":
        return _any(rng, slot)
    bracket = word.bracket if how == "synonym" else int(rng.integers(len(slot[word.family])))
    return _Word(word.family, bracket, str(rng.choice(list(slot[word.family][bracket]))))


def _alike(a: _Word, b: _Word) -> float:
    if a.word == b.word:
        return 1.0
    if a.family != b.family:
        return 0.0
    return _SYNONYM if a.bracket == b.bracket else _RELATED


def _pairs(rng: np.random.Generator, n_anchors: int) -> pd.DataFrame:
    """Pairs about each anchor, with the level that their meaning gives."""
    rows: list[tuple[str, str, str, float]] = []
    seen: set[str] = set()
    while len(seen) < n_anchors:
        anchor = [_any(rng, slot) for slot in _SLOTS]
        phrase = " ".join(w.word for w in anchor)
        if phrase in seen:
            continue
        seen.add(phrase)
        targets: dict[str, float] = {}
        while len(targets) < _PER_ANCHOR:
            closeness = rng.dirichlet([1.2, 1.6, 1.2, 1.6])
            hows = rng.choice(["same", "synonym", "related", "any"], 3, p=closeness)
            target = [_near(rng, s, w, h) for s, w, h in zip(_SLOTS, anchor, hows, strict=True)]
            text = " ".join(w.word for w in target)
            if text != phrase:
                alike = sum(k * _alike(a, b) for k, a, b in zip(_WEIGHTS, anchor, target, strict=True))
                targets[text] = round(alike * 4) / 4
        rows += [(phrase, text, anchor[2].family, level) for text, level in targets.items()]
    return pd.DataFrame(rows, columns=["anchor", "target", "context", "meant"])


def _judged(rng: np.random.Generator, meant: np.ndarray) -> np.ndarray:
    """What judges wrote: now and then a step too high or too low."""
    step = np.where(rng.random(len(meant)) < _MOVED, rng.choice([-0.25, 0.25], len(meant)), 0.0)
    return np.clip(meant + step, 0, 1)


def _expected(meant: np.ndarray) -> np.ndarray:
    """The mean of what judges write: at the ends they can err to one side only."""
    return meant + _MOVED * 0.125 * ((meant == 0).astype(float) - (meant == 1))


def draw(scale: float | None, seed: int) -> Drawn:
    """The tables at a scale."""
    rng = np.random.default_rng([seed, 8])
    rows = n_rows(scale, WORLD.scale, WORLD.n_train, WORLD.n_test, least=12 * _PER_ANCHOR)
    n_train, n_test = (max(12, round(n / _PER_ANCHOR)) for n in rows)
    frame = _pairs(rng, n_train + n_test)
    frame["score"] = _judged(rng, frame["meant"].to_numpy())
    frame.insert(0, "pair", ids_for(rng, len(frame)))
    known = frame.set_index("pair")["meant"]
    frame = frame.drop(columns="meant")
    train, test = frame[: n_train * _PER_ANCHOR], frame[n_train * _PER_ANCHOR :]
    expected = _expected(known.loc[test["pair"]].to_numpy())
    return Drawn(
        train=train,
        test=test,
        id="pair",
        target="score",
        sample=test[["pair"]].assign(score=0.5),
        usage=public_part(rng, test["pair"], test["anchor"]),
        best=test[["pair"]].assign(score=expected),
        answers={"Shared words": test[["pair"]].assign(score=_shared_words(test))},
    )


def _shared_words(frame: pd.DataFrame) -> list[float]:
    pairs = zip(frame["anchor"].str.split(), frame["target"].str.split(), strict=True)
    return [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in pairs]


_COLUMNS = {
    "pair": "id",
    "anchor": "the phrase that pairs are about; no anchor is in both parts",
    "target": "the phrase that is compared with it",
    "context": "the field of the anchor",
    "score": "0, 0.25, 0.5, 0.75 or 1; to predict, as a number",
}

WORLD: World = World(
    name="phrases",
    slug="phrases",
    title="Phrases alike (synthetic practice data)",
    task="regression",
    metric="pearson",
    form="value",
    group="anchor",
    n_train=2400,
    n_test=1200,
    make=table_maker(draw, lambda: WORLD, _COLUMNS, "Writing phrases"),
    summary="how alike are two technical phrases, in five steps; anchors of the test rows are new",
    teaches=(
        "In the manner of Kaggle's U.S. Patent Phrase matching, with words whose meaning a program laid down: some "
        "mean the same, some are related, and the last word counts most. It teaches folds by group, as the anchors "
        "of the test rows are new, and features that compare two columns, which no table model makes by itself.\n\n"
        "Worth trying: the share of words in common. Does it help to compare the words place by place? Pairs of "
        "words that often stand in pairs with high scores mean the same: can that be learnt from the training rows, "
        "out of fold? What do random folds promise, and what do folds by anchor say?"
    ),
    best="what judges write on average, if one knows every word's meaning (correlation about 0.95).",
)
