"""Every exception of kagglekit.

::

    KagglekitError                  one line: what was expected, what came; `hint` says what to do
    ├── UsageError                  the command's words are off (unknown competition, run or option)
    ├── ConfigError                 a pipeline file says something that cannot be
    ├── MissingExtra                an optional package is not installed
    ├── DataError                   competition data breaks a rule (ids, targets, files)
    │   ├── CorruptImages           image files that cannot be decoded, all of them named
    │   ├── FoldsError              no such split can be cut from these rows
    │   └── PredictionsError        ids or values of predictions are not what they must be
    ├── SubmissionError             the file would be refused, or mean something else than intended
    ├── WeightsNotFound             no pretrained weights; lists every place that was tried
    ├── StoreError                  a run folder is incomplete, busy or from other data
    ├── DiskError                   the disk is full or not writable
    └── GatewayError                a call to Kaggle (or the arena) failed
        ├── Unreachable             no connection, or the site is too busy
        ├── CredentialsError        no credentials, or refused (401)
        ├── RulesNotAccepted        403: the competition's rules were not accepted
        ├── CompetitionNotFound     404: no such competition
        └── LimitReached            no submissions left today

The library raises; only the command line prints, one line, and exits with status 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CompetitionNotFound",
    "ConfigError",
    "CorruptImages",
    "CredentialsError",
    "DataError",
    "DiskError",
    "FoldsError",
    "GatewayError",
    "KagglekitError",
    "LimitReached",
    "MissingExtra",
    "PredictionsError",
    "RulesNotAccepted",
    "StoreError",
    "SubmissionError",
    "Unreachable",
    "UsageError",
    "WeightsNotFound",
    "nearest",
    "preview",
]


class KagglekitError(Exception):
    """Base of all errors that a user can mend.

    Parameters
    ----------
    message : str
        One line: what was expected and what came.
    hint : str
        The next thing to do: a command, a file to open, a page to read.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class UsageError(KagglekitError):
    """The command's words are off."""


class ConfigError(KagglekitError):
    """A pipeline file says something that cannot be."""


class MissingExtra(KagglekitError):
    """An optional package is not installed.

    Parameters
    ----------
    what : str
        What was to be done, as the start of a sentence: "Training image models".
    package : str
        The package that failed to import.
    extra : str
        The extra of kagglekit that brings it.
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package '{package}', which is not installed.",
            hint=f"Install it with: pip install 'kagglekit[{extra}]' (from a clone: pip install '.[{extra}]')",
        )
        self.package, self.extra = package, extra


class DataError(KagglekitError):
    """Competition data breaks a rule."""


class CorruptImages(DataError):
    """Image files that cannot be decoded; `files` names all of them."""

    def __init__(self, files: Iterable[str], *, hint: str = "") -> None:
        self.files = list(files)
        super().__init__(
            f"{len(self.files)} image file(s) cannot be decoded: {preview(self.files, most=10)}.", hint=hint
        )


class FoldsError(DataError):
    """No such split can be cut from these rows."""


class PredictionsError(DataError):
    """Ids or values of predictions are not what they must be."""


class SubmissionError(KagglekitError):
    """The submission file would be refused, or mean something else than intended."""


class WeightsNotFound(KagglekitError):
    """No pretrained weights were found; the message lists every place that was tried."""


class StoreError(KagglekitError):
    """A run folder is incomplete, busy or from other data."""


class DiskError(KagglekitError):
    """The disk is full or not writable."""


class GatewayError(KagglekitError):
    """A call to Kaggle, or to the arena, failed."""


class Unreachable(GatewayError):
    """No connection could be made, it broke, or the site is too busy; `retry_after` is the pause it asks for, in s."""

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class CredentialsError(GatewayError):
    """There are no credentials, or they were refused."""


class RulesNotAccepted(GatewayError):
    """The competition's rules have not been accepted."""


class CompetitionNotFound(GatewayError):
    """There is no such competition."""


class LimitReached(GatewayError):
    """No submissions are left today."""


def nearest(name: str, known: Iterable[object]) -> str:
    """A hint that names the known word nearest to a mistyped one.

    >>> nearest("epoch", ["epochs", "arch"])
    "Did you mean 'epochs'?"
    >>> nearest("zzz", ["epochs", "arch"])
    'Known: arch, epochs.'
    """
    names = sorted({str(k) for k in known})
    if close := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"Did you mean '{close[0]}'?"
    return f"Known: {preview(names, most=12)}." if names else "None is known yet."


def preview(items: Iterable[object], most: int = 5) -> str:
    """The first few items of a long list, for an error message.

    >>> preview([1, 2, 3], most=2)
    '1, 2 and 1 more'
    """
    items = list(items)
    shown = ", ".join(str(i) for i in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
