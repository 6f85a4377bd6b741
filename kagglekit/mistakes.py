"""Mistakes: what was probably meant by ids, numbers and labels that are not what they should be.

Only words: nothing is mended here, because what looks like a slip of the pen may be another file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice

__all__ = ["mistaken_ids", "mistaken_labels", "mistaken_numbers"]

# Enough to tell a habit from a chance, and few enough for a million rows.
_LOOKED_AT = 50


def mistaken_ids(have: Sequence[object], want: Sequence[object]) -> str:
    """What has become of ids that are not among the expected ones; "" when nobody can tell.

    >>> mistaken_ids(["7", "8"], ["007", "008"])
    'they lack the leading zeros of 007'
    """
    found, known = _texts(have), {str(w): str(w) for w in want}
    for make, words in _ID_HABITS:
        meant = {make(w): w for w in known}
        if found and all(make(f) in meant for f in found):
            return words.format(meant[make(found[0])])
    return ""


def mistaken_numbers(values: Sequence[object]) -> str:
    """What texts are that should be numbers; "" when nobody can tell.

    >>> mistaken_numbers(["12%", "7%"])
    'they end in a percent sign'
    """
    found = _texts(values)
    return next((words for pattern, words in _NUMBER_HABITS if found and all(map(pattern.fullmatch, found))), "")


def mistaken_labels(values: Sequence[object], classes: Sequence[object]) -> str:
    """What labels are that are not among the classes; "" when nobody can tell.

    >>> mistaken_labels([0, 1], ["rice", "wheat"])
    'they are the numbers of classes, not their names: 0 may mean rice'
    """
    found, known = _texts(values), [str(c) for c in classes]
    for make, words in _LABEL_HABITS:
        meant = {make(k): k for k in known}
        if found and all(make(f) in meant for f in found):
            return words.format(meant[make(found[0])])
    if found and all(f.isdecimal() and int(f) < len(known) for f in found):
        return f"they are the numbers of classes, not their names: {found[0]} may mean {known[int(found[0])]}"
    return ""


def _texts(values: Sequence[object]) -> list[str]:
    return [str(v) for v in islice(values, _LOOKED_AT)]


def _without_ending(text: str) -> str:
    return re.sub(r"\.[A-Za-z][A-Za-z0-9]{0,4}$", "", text)


_ID_HABITS: tuple[tuple[Callable[[str], str], str], ...] = (
    (str.strip, "they have blanks around {}"),
    (lambda t: t.lstrip("0") or "0", "they lack the leading zeros of {}"),
    (lambda t: t.removesuffix(".0"), "they were turned into decimals, {} is a whole number"),
    (str.casefold, "they are written in other letters than {}"),
    (_without_ending, "they have another file ending than {}"),
    (lambda t: t.rsplit("/", 1)[-1], "they have other folders before them than {}"),
)
_LABEL_HABITS: tuple[tuple[Callable[[str], str], str], ...] = (
    (str.strip, "they have blanks around {}"),
    (str.casefold, "they are written in other letters than {}"),
    (lambda t: re.sub(r"[\s_-]+", "", t).casefold(), "they separate words in another way than {}"),
)
_NUMBER_HABITS = (
    (re.compile(r"\s*[-+]?\d+,\d+\s*"), "they have a decimal comma"),
    (re.compile(r"\s*[-+]?[\d.]+\s*%\s*"), "they end in a percent sign"),
    (re.compile(r"\s*\[.*\]\s*", re.DOTALL), "they are lists"),
    (re.compile(r"\s*tensor\(.*\)\s*", re.DOTALL), "they are printed tensors"),
    (re.compile(r"\s*(?:true|false)\s*", re.IGNORECASE), "they are truth values"),
    (re.compile(r"\s*\d{1,3}(?:[ ']\d{3})+(?:\.\d+)?\s*"), "they have marks between thousands"),
)
