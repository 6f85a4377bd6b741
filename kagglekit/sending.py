"""Sending a submission file once, whatever happens in between: a lost answer, Ctrl-C, kill -9, a second process.

Before anything is sent, a record is written beside the file: the mark that the submission will carry, and, once the
file is uploaded, the upload's name. A process that finds such a record looks for the mark among the submissions before
it sends, and sends the very same upload, which a site takes once.

::

    submissions/paddy/
        blend-3318aefc.csv
        .sending-arena-5c1f0a2b.json      removed when the ledger knows the submission
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kagglekit.errors import (
    CompetitionNotFound,
    CredentialsError,
    GatewayError,
    LimitReached,
    RulesNotAccepted,
    StoreError,
    Unreachable,
)
from kagglekit.files import read_json, turn, write_json
from kagglekit.gateway import Gateway, new_mark

__all__ = ["Sending", "sending"]

# Refusals that have nothing to do with the upload: another upload would be refused as well.
_NOT_THE_UPLOAD = (Unreachable, LimitReached, CredentialsError, RulesNotAccepted, CompetitionNotFound)


@dataclass(frozen=True)
class _Record:
    """What a submission on its way is known by, and whether it may have been sent."""

    mark: str
    upload: str = ""
    is_sent: bool = False


@contextmanager
def sending(folder: Path, site: str, sha256: str) -> Iterator[Sending]:
    """Take one's turn at sending a file; other processes that would send from this folder wait.

    Parameters
    ----------
    folder : Path
        Where records lie: that of the file.
    site : str
        A record of one site means nothing to another.
    sha256 : str
        Of the file.
    """
    with turn(folder / ".sending.lock"):
        yield Sending(folder / f".sending-{site}-{sha256[:16]}.json")


class Sending:
    """A file on its way to a site.

    Parameters
    ----------
    path : Path
        The record; one that is there already was left behind by a process that did not come to its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = self._read()

    @property
    def is_begun(self) -> bool:
        """Whether an earlier process may have sent the file."""
        return self._found is not None and self._found.is_sent

    def send(self, gateway: Gateway, slug: str, file: Path, message: str) -> str:
        """Send the file, unless an earlier process did; returns the site's number of the submission.

        Raises
        ------
        SubmissionError
            There is no such file, or it is empty.
        LimitReached
            No submissions are left today.
        Unreachable
            It did not arrive, or nobody can know; the next call with this record finds out.
        """
        record = self._found or _Record(new_mark())
        if record.is_sent and (ref := gateway.find(slug, record.mark)):
            return ref
        try:
            return self._create(gateway, slug, file, message, record)
        except _NOT_THE_UPLOAD:
            raise
        except GatewayError:
            if not record.upload:
                raise
            # The site has forgotten the upload; it was never submitted, or it would have been found.
            return self._create(gateway, slug, file, message, replace(record, upload=""))

    def done(self) -> None:
        """Forget the record: the submission is written down elsewhere."""
        self._path.unlink(missing_ok=True)
        self._found = None

    def _create(self, gateway: Gateway, slug: str, file: Path, message: str, record: _Record) -> str:
        upload = record.upload or gateway.upload(slug, file)
        self._write(replace(record, upload=upload, is_sent=True))
        try:
            return gateway.create(slug, upload, message, record.mark)
        except Unreachable:
            raise
        except GatewayError:
            # Refused: the next call need not look for it.
            self._write(replace(record, upload=upload, is_sent=False))
            raise

    def _write(self, record: _Record) -> None:
        write_json(self._path, asdict(record))
        self._found = record

    def _read(self) -> _Record | None:
        try:
            return _Record(**read_json(self._path))
        except FileNotFoundError:
            return None
        except TypeError as error:
            raise StoreError(
                f"{self._path} is not a record of a submission on its way.", hint="Look at it, then move it away."
            ) from error
