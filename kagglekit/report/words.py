"""Numbers as a person reads them."""

from __future__ import annotations

import math
import re

__all__ = ["number", "percent", "plural", "printable", "signed", "span", "trimmed"]

_SMALLEST, _NOISE = 1e-4, 1e-12
# Two folders at least, so that "and/or" and dates are no paths; not inside an address on the web.
_PATH = re.compile(r"(?<![\w./\\-])(?:file:/{0,2})?(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'\"<>|]+[/\\])+([^\s/\\'\"<>|]*)")


def number(value: float | None) -> str:
    """Four decimals where a score is below ten, fewer above; two digits of what would else look like nought.

    >>> number(0.83333), number(1234.5), number(0.0000123), number(None)
    ('0.8333', '1,234', '1.2e-05', '')
    """
    if value is None or not math.isfinite(value):
        return ""
    size = abs(value)
    if size >= 1000:
        text = f"{size:,.0f}"
    elif 0 < size < _SMALLEST:
        text = f"{size:.1e}"
    else:
        text = f"{size:.4f}" if size < 10 else f"{size:.2f}"
    return f"−{text}" if value < 0 else text


def signed(value: float) -> str:
    """As `number`, with its sign; rounding errors of sums have none.

    >>> signed(0.01), signed(-1e-17)
    ('+0.0100', '0.0000')
    """
    if abs(value) < _NOISE:
        return number(0.0)
    return f"+{number(value)}" if value > 0 else number(value)


def span(low: float, high: float) -> str:
    """An interval.

    >>> span(0.1, 0.25)
    '0.1000 to 0.2500'
    """
    return f"{number(low)} to {number(high)}"


def percent(share: float) -> str:
    """A share of one as a percentage.

    >>> percent(0.0714)
    '7.1 %'
    """
    return f"{100 * share:.1f} %"


def plural(n: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "blend"), plural(3, "blend")
    ('1 blend', '3 blends')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def trimmed(text: object, most: int = 22) -> str:
    """A label short enough for an axis; the table beside the chart has it whole.

    >>> trimmed("abcdef", most=4)
    'abc…'
    """
    words = printable(" ".join(str(text).split()))
    return words if len(words) <= most else words[: most - 1] + "…"


def printable(text: object) -> str:
    """The text without control characters, which no SVG may hold, and with a file's name in place of its path.

    >>> printable("a\\x00b"), printable("weights /home/me/lite0.pt"), printable("and/or")
    ('a b', 'weights lite0.pt', 'and/or')
    """
    return _PATH.sub(r"\1", "".join(c if c.isprintable() else " " for c in str(text)))
