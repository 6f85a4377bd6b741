"""Stage 5: a run's test predictions become a checked file, a submission, a ledger line and a score."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kagglekit.contracts import Predictions, Run, Submission
from kagglekit.dataset import Prepared
from kagglekit.errors import SubmissionError
from kagglekit.files import atomic, sha256
from kagglekit.forms import check_submission, to_submission
from kagglekit.gateway import Gateway
from kagglekit.ledger import Ledger
from kagglekit.progress import Progress, Silent
from kagglekit.scoring import decide
from kagglekit.sending import Sending, sending
from kagglekit.submission_file import read_submission

__all__ = ["Submitted", "refresh", "submit", "write_csv"]

_LONGEST_MESSAGE = 480


@dataclass(frozen=True)
class Submitted:
    """What came of a submission; `repeated` when the same file had been sent before and nothing was sent now."""

    submission: Submission
    repeated: bool


def write_csv(run: Run, prepared: Prepared, folder: Path) -> Path:
    """Write a run's submission file, checked against the sample submission.

    Raises
    ------
    SubmissionError
        Ids, columns or values are not what the sample submission asks for.
    """
    labels = decide(run.test.frame, run.oof.frame, prepared.y, prepared.competition)
    frame = to_submission(Predictions(labels), prepared.competition, prepared.sample)
    check_submission(frame, prepared.competition, prepared.sample)
    path = folder / f"{run.id}.csv"
    with atomic(path) as file:
        file.write(frame.to_csv(index=False, lineterminator="\n").encode())
    return path


def submit(
    gateway: Gateway,
    run: Run,
    prepared: Prepared,
    folder: Path,
    ledger: Ledger,
    *,
    message: str | None = None,
    again: bool = False,
    wait_seconds: float = 600.0,
    progress: Progress | None = None,
) -> Submitted:
    """Check, send, record, and wait for the score.

    A file whose bytes were sent before is not sent again, unless `again`. The ledger gets a line as soon as the site
    has taken the file, and another when the score is there, so that an interrupted wait loses nothing. A process that
    is killed before the first of them leaves a record (see `sending`): the next one finds its submission and sends
    none.

    Parameters
    ----------
    gateway : Gateway
    run : Run
    prepared : Prepared
    folder : Path
        Where the file goes.
    ledger : Ledger
    message : str, optional
        The description on the site; by default the run's id, its score and its hypothesis.
    again : bool, default=False
    wait_seconds : float, default=600
        How long to wait for the score.
    progress : Progress, optional

    Raises
    ------
    SubmissionError
        The file is not what the competition asks for (nothing was sent), or the site refused it.
    GatewayError
        The site refused it or cannot be reached.
    """
    path = write_csv(run, prepared, folder)
    read_submission(path, prepared.competition, prepared.sample)
    digest = sha256(path)
    said = message or f"{run.id} CV {run.score:.5f}: {run.hypothesis}"
    with sending(folder, gateway.site.name, digest) as outgoing:
        before = _sent_before(gateway, ledger, prepared.competition.slug, digest)
        repeated = before is not None and not again
        if before is not None and repeated:
            sent = before
        else:
            ref = _sent_once(outgoing, gateway, ledger, prepared.competition.slug, path, said)
            sent = _line(gateway.site.name, run, prepared, path, digest, said, ref)
            ledger.append(sent)
        outgoing.done()
    return Submitted(refresh(gateway, sent, ledger, wait_seconds, progress), repeated)


def _sent_before(gateway: Gateway, ledger: Ledger, slug: str, digest: str) -> Submission | None:
    """The submission of the same bytes, if the site knows it still."""
    before = ledger.with_file(digest)
    known = {s.ref for s in gateway.submissions(slug)}
    return before if before is not None and before.ref in known else None


def _sent_once(outgoing: Sending, gateway: Gateway, ledger: Ledger, slug: str, path: Path, said: str) -> str:
    text, was_begun = said[:_LONGEST_MESSAGE], outgoing.is_begun
    ref = outgoing.send(gateway, slug, path, text)
    if was_begun and ref in {s.ref for s in ledger.submissions()}:
        # A process that wrote it down was killed before it could remove the record: this is another one.
        outgoing.done()
        ref = outgoing.send(gateway, slug, path, text)
    return ref


def _line(site: str, run: Run, prepared: Prepared, path: Path, digest: str, said: str, ref: str) -> Submission:
    return Submission(
        site=site,
        slug=prepared.competition.slug,
        run=run.id,
        file=path.name,
        sha256=digest,
        message=said,
        cv=run.score,
        cv_se=run.standard_error if len(run.scores) > 1 else 0.0,
        ref=ref,
        sent=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def refresh(
    gateway: Gateway, submission: Submission, ledger: Ledger, wait_seconds: float, progress: Progress | None
) -> Submission:
    """Wait for a pending submission's score and write it down; a scored one is returned as it is."""
    if submission.status != "pending":
        return submission
    answer = gateway.wait_for_score(
        submission.slug, submission.ref, timeout=wait_seconds, progress=progress or Silent()
    )
    if answer.status == "pending":
        return submission
    scored = submission.scored(answer.status, answer.public, answer.private)
    ledger.append(scored)
    if answer.status == "error":
        raise SubmissionError(
            f"The site refused submission {submission.ref}: {answer.error or 'it gave no reason'}",
            hint="The file stays where it is; look at it before sending again.",
        )
    return scored
