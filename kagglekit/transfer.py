"""Transfers: bytes from a signed address to a file that is whole or absent, and from a file to a signed address.

A signed address needs no credentials, so none are ever sent to one. Kaggle's own client has a downloader too; it checks
no MD5, and could fill a file with the body of an error (kaggle-cli, pull requests 1142 and 1179).

::

    data/                       the folder of the file
        .train.zip.part/        while it is on its way
            data                what has arrived
            note.json           what it is a part of: validator, size, MD5
        train.zip               appears when all is here and checked
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit

from kagglekit.errors import DataError, GatewayError, StoreError, Unreachable
from kagglekit.files import disk_errors, read_json, write_json
from kagglekit.progress import Progress, Silent, Task
from kagglekit.retries import Patience, Progressing, is_passing, pause_asked, persist

if TYPE_CHECKING:
    import requests

__all__ = ["Check", "Received", "fetch", "send"]

#: How the bytes of a download were proven: by an MD5 that the site sent, by the CRCs inside a zip, or not at all.
Check = Literal["md5", "crc", "unverified"]

_BLOCK = 1 << 20
_FRESH_STARTS = 3
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_RECEIVED = re.compile(r"bytes=0-(\d+)")
# What a signed address answers when its time is over; a new one may do.
_EXPIRED = (400, 401, 403, 410)
_PAGES = {
    "text/html": (".html", ".htm"),
    "application/json": (".json", ".ipynb", ".geojson"),
    "application/xml": (".xml",),
}


@dataclass(frozen=True)
class Received:
    """A file that arrived.

    Parameters
    ----------
    path : Path
    name : str
        The last part of the address it came from.
    check : {"md5", "crc", "unverified"}
    """

    path: Path
    name: str
    check: Check


@dataclass(frozen=True)
class _Note:
    """What a partial file is a part of; without a validator it cannot go on, without a size its end is not known."""

    validator: str
    size: int | None
    md5: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> _Note:
        length = headers.get("Content-Length", "")
        return cls(_validator(headers), int(length) if length.isascii() and length.isdigit() else None, _md5(headers))


class _Part:
    """The partial file and its note. The note is written before the first byte and removed before the file is cut."""

    def __init__(self, to: Path) -> None:
        self.folder = to.parent / f".{to.name}.part"
        self.data, self._note = self.folder / "data", self.folder / "note.json"

    @property
    def size(self) -> int:
        return self.data.stat().st_size if self.data.is_file() else 0

    def note(self) -> _Note | None:
        try:
            note = _Note(**read_json(self._note))
        except (FileNotFoundError, StoreError, TypeError):
            return None
        return note if note.validator else None

    def begin(self, note: _Note) -> None:
        self.clear()
        write_json(self._note, asdict(note))

    def clear(self) -> None:
        self._note.unlink(missing_ok=True)
        self.data.unlink(missing_ok=True)


def fetch(
    locate: Callable[[], str],
    to: Path,
    *,
    patience: Patience,
    label: str,
    zipped: bool = False,
    size: int | None = None,
    progress: Progress | None = None,
) -> Received:
    """Download a file, going on where an earlier try or an earlier process stopped.

    Parameters
    ----------
    locate : callable
        Gives a signed address; asked again for each try, because such an address expires.
    to : Path
        Appears only when everything has come and every check that is possible has passed.
    patience : Patience
    label : str
        What it is, for people.
    zipped : bool, default=False
        Whether it must be a zip. What is one is checked as one in any case.
    size : int, optional
        Bytes that it must have, unless it comes packed.
    progress : Progress, optional

    Raises
    ------
    Unreachable
        It broke off too often. What has arrived is kept for the next call.
    DataError
        What arrives is damaged, again and again, or is something else.
    GatewayError
        The address is refused.
    DiskError
    """
    with disk_errors(to), _bare_session() as session, contextlib.ExitStack() as shown:

        def show(total: int | None) -> Task:
            return shown.enter_context((progress or Silent()).task(f"download {label}", total))

        download = _Download(session, locate, _Part(to), patience, _Expected(label, zipped, size), show)
        persist(download.attempt, patience, download.progress)
        download.part.data.replace(to)
        shutil.rmtree(download.part.folder)
    return Received(to, download.name, download.check)


@dataclass(frozen=True)
class _Expected:
    """What should come."""

    label: str
    zipped: bool
    size: int | None


class _Download:
    """One file on its way, over as many connections as it takes."""

    def __init__(
        self,
        session: requests.Session,
        locate: Callable[[], str],
        part: _Part,
        patience: Patience,
        expected: _Expected,
        show: Callable[[int | None], Task],
    ) -> None:
        self._session, self._locate, self.part, self._patience = session, locate, part, patience
        self._expected, self._label = expected, expected.label
        self._open_task, self._shown = show, 0
        self._task: Task | None = None
        self.progress = Progressing(patience, lambda: part.size)
        self.name, self._spoilt = "", 0
        self.check: Check = "unverified"

    def attempt(self) -> None:
        """Fetch what is missing and check the whole."""
        url = self._locate()
        self.name = PurePosixPath(unquote(urlsplit(url).path)).name
        note = self.part.note()
        if note is None or note.size != self.part.size:
            note = self._ask(url, note)
        self._show(note.size)
        self._verify(note)

    def _ask(self, url: str, note: _Note | None) -> _Note:
        start = self.part.size if note else 0
        headers = {"Accept-Encoding": "identity"}
        if note and start:
            headers |= {"Range": f"bytes={start}-", "If-Range": note.validator}
        timeout = (self._patience.connect, self._patience.read)
        with _broken_off(self._label), self._session.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            note = self._begun(answer, note, start)
            self._drain(answer, note.size)
        return note

    def _begun(self, answer: requests.Response, note: _Note | None, start: int) -> _Note:
        """Decide by the answer's head whether its body goes on or starts anew."""
        if answer.status_code == 206 and note and _goes_on(answer.headers, note, start):
            return note
        if answer.status_code in (206, 416):
            raise self._spoiled("the site has another file now")
        if answer.status_code != 200:
            raise _refused(answer, self._label)
        if self._is_page(answer):
            raise self._spoiled(f"{_content_type(answer)} came in its place")
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise self._spoiled("it came packed in a way that was not asked for")
        note = _Note.of(answer.headers)
        self.part.begin(note)
        return note

    def _is_page(self, answer: requests.Response) -> bool:
        endings = _PAGES.get(_content_type(answer))
        return endings is not None and not self.name.lower().endswith(endings)

    def _drain(self, answer: requests.Response, total: int | None) -> None:
        # Unbuffered: what has arrived is in the file, whatever becomes of this process. `read1` gives what is there
        # instead of waiting for a whole block, which a broken connection would take along.
        with self.part.data.open("ab", buffering=0) as file:
            while block := answer.raw.read1(_BLOCK, decode_content=False):
                file.write(block)
                self._show(total)

    def _show(self, total: int | None) -> None:
        self._task = self._task or self._open_task(total)
        if (size := self.part.size) > self._shown:
            self._task.advance(size - self._shown)
            self._shown = size

    def _verify(self, note: _Note) -> None:
        self._check_size(note.size)
        if note.md5:
            if _digest(self.part.data) != note.md5:
                raise self._spoiled("its MD5 is not what the site says")
            self.check = "md5"
        elif self._expected.zipped or self._is_packed or zipfile.is_zipfile(self.part.data):
            if fault := _zip_fault(self.part.data):
                raise self._spoiled(fault)
            self.check = "crc"

    def _check_size(self, announced: int | None) -> None:
        size = self.part.size
        if announced is not None and size < announced:
            raise Unreachable(f"The download of {self._label} broke off.", hint="Run it again: it goes on there.")
        for expected in (announced, None if self._is_packed else self._expected.size):
            if expected is not None and size != expected:
                raise self._spoiled(f"{size:,} bytes came, {expected:,} were expected")

    @property
    def _is_packed(self) -> bool:
        """Whether one file comes as a zip of its own, as Kaggle sends some."""
        return self.name.lower().endswith(".zip") and not self._label.lower().endswith(".zip")

    def _spoiled(self, why: str) -> GatewayError | DataError:
        """What to raise for bytes that cannot be right: try again from the start, but not for ever."""
        self._spoilt += 1
        self.part.clear()
        self.progress.start_over()
        message = f"What arrived of {self._label} is not what it should be: {why}."
        if self._spoilt >= _FRESH_STARTS:
            return DataError(message, hint="Nothing was kept. Try again later, or download it in a browser.")
        return Unreachable(message, hint="Run it again.")


def send(url: str, file: Path, *, patience: Patience, label: str) -> None:
    """Upload a file to a signed address, going on where it broke off.

    The protocol is Google's for resumable uploads: one PUT, or, after a break, the question how much has come and a PUT
    of the rest. The same bytes put twice do no harm.

    Raises
    ------
    Unreachable
        It broke off too often.
    GatewayError
        The address is refused.
    """
    upload = _Upload(url, file, patience, label)
    persist(upload.attempt, patience, Progressing(patience, lambda: upload.arrived))


class _Upload:
    """One file on its way out; `arrived` is the number of bytes that the site has said it has."""

    def __init__(self, url: str, file: Path, patience: Patience, label: str) -> None:
        self._url, self._file, self._label = url, file, label
        self._timeout = (patience.connect, patience.read)
        self._bytes, self._is_first, self.arrived = file.stat().st_size, True, 0

    def attempt(self) -> None:
        """Send what the site does not have yet."""
        with _broken_off(self._label), _bare_session() as session:
            put = partial(session.put, self._url, timeout=self._timeout, allow_redirects=False)
            if not self._is_first and self._is_done(put(data=b"", headers={"Content-Range": f"bytes */{self._bytes}"})):
                return
            self._is_first = False
            rest = f"bytes {self.arrived}-{self._bytes - 1}/{self._bytes}"
            headers = {"Content-Range": rest} if self.arrived else {}
            with self._file.open("rb") as body:
                body.seek(self.arrived)
                answer = put(data=body, headers=headers)
            if not self._is_done(answer):
                raise Unreachable(f"Only a part of {self._label} arrived.", hint="Run the same command again.")

    def _is_done(self, answer: requests.Response) -> bool:
        if answer.status_code in (200, 201):
            return True
        if answer.status_code != 308:
            raise _refused(answer, self._label)
        range_ = _RECEIVED.fullmatch(answer.headers.get("Range", ""))
        self.arrived = int(range_[1]) + 1 if range_ else 0
        return False


def _bare_session() -> requests.Session:
    """A session that sends no credentials anywhere, not even those of a .netrc file."""
    import requests

    class NoCredentials(requests.auth.AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            return request

    class Session(requests.Session):
        def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
            prepared_request.headers.pop("Authorization", None)

    session = Session()
    session.auth = NoCredentials()
    return session


@contextlib.contextmanager
def _broken_off(label: str) -> Iterator[None]:
    import requests
    from urllib3.exceptions import HTTPError

    try:
        yield
    except (requests.RequestException, HTTPError, ConnectionError, TimeoutError) as error:
        raise Unreachable(
            f"The transfer of {label} broke off ({type(error).__name__}).", hint="Run it again: it goes on there."
        ) from error


def _refused(answer: requests.Response, label: str) -> GatewayError:
    status = answer.status_code
    if is_passing(status) or status in _EXPIRED:
        return Unreachable(
            f"The transfer of {label} was refused with status {status}.",
            hint="Try again later.",
            retry_after=pause_asked(answer.headers),
        )
    return GatewayError(f"The transfer of {label} was refused with status {status}.", hint="Try again later.")


def _goes_on(headers: Mapping[str, str], note: _Note, start: int) -> bool:
    """Whether a partial answer is the rest of what is here, by its own words."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if match is None or int(match[1]) != start:
        return False
    total = None if match[3] == "*" else int(match[3])
    if total is not None and note.size is not None and total != note.size:
        return False
    return _validator(headers) in ("", note.validator)


def _validator(headers: Mapping[str, str]) -> str:
    """What tells this version of a file from others; a weak ETag does not (RFC 9110, section 13.1.5)."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified", "")


def _md5(headers: Mapping[str, str]) -> str:
    """The MD5 of the bytes as they come, in hex; "" where Google's storage sends none."""
    if headers.get("x-goog-stored-content-encoding", "identity") != "identity":
        return ""
    for part in headers.get("x-goog-hash", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "md5":
            with contextlib.suppress(binascii.Error):
                return base64.b64decode(value, validate=True).hex()
    return ""


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _content_type(answer: requests.Response) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _zip_fault(path: Path) -> str:
    """What is wrong with a zip; "" when every member has the CRC that it should have."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, zlib.error) as error:
        return f"it is not a sound zip file ({error})"
    return f"the CRC of {bad} inside the zip is wrong" if bad else ""
