"""Columns that compare the two phrases of a pair: no model of tables makes them by itself."""

from __future__ import annotations

import pandas as pd

_SLOTS = ("quality", "material", "thing")


def add_features(frame: pd.DataFrame) -> pd.DataFrame:
    """Add how alike anchor and target are, and the pair of words at each place."""
    pairs = list(zip(frame["anchor"].str.split(), frame["target"].str.split(), strict=True))
    columns: dict[str, list[float]] = {"shared_words": [_overlap(set(a), set(b)) for a, b in pairs]}
    columns["shared_letters"] = [
        _overlap(_triples(a), _triples(b)) for a, b in zip(frame["anchor"], frame["target"], strict=True)
    ]
    for place, slot in enumerate(_SLOTS):
        columns[f"same_{slot}"] = [float(a[place] == b[place]) for a, b in pairs]
        columns[f"alike_{slot}"] = [_overlap(_triples(a[place]), _triples(b[place])) for a, b in pairs]
    words = {
        # In the order of the alphabet, so that it does not matter which phrase is the anchor.
        f"pair_{slot}": [" ".join(sorted((a[place], b[place]))) for a, b in pairs]
        for place, slot in enumerate(_SLOTS)
    }
    return frame.assign(**columns, **words)


def _triples(text: str) -> set[str]:
    return {text[i : i + 3] for i in range(len(text) - 2)}


def _overlap(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0
