from pathlib import Path

import pandas as pd
import pytest
from fakes import FakeGateway
from flowers import SLUG, tables, truth, write_pipeline, write_raw

from kagglekit.config import load_pipeline
from kagglekit.contracts import Predictions, Run
from kagglekit.dataset import Prepared
from kagglekit.errors import KagglekitError, SubmissionError
from kagglekit.ledger import Ledger
from kagglekit.models import registry
from kagglekit.prepare import prepare
from kagglekit.store import Store
from kagglekit.submit import submit, write_csv
from kagglekit.train import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Prepared, Run]:
    root = tmp_path_factory.mktemp("trained")
    raw = write_raw(root / "data" / SLUG, *tables())
    pipeline = load_pipeline(write_pipeline(root), check_params=registry.check)
    prepared = prepare(raw, pipeline)
    return prepared, train(prepared, pipeline.experiment("forest"), Store(root / "runs"))


def send(gateway: FakeGateway, trained, tmp_path: Path, **options):
    prepared, run = trained
    return submit(gateway, run, prepared, tmp_path, Ledger(tmp_path / "ledger.jsonl"), **options)


def test_the_file_is_the_sample_with_answers(trained, tmp_path):
    prepared, run = trained
    written = pd.read_csv(write_csv(run, prepared, tmp_path))
    assert list(written.columns) == list(prepared.sample.columns)
    assert list(written["flower"]) == list(prepared.sample["flower"])
    assert set(written["colour"]) <= {"blue", "red", "white"}


def test_it_is_sent_scored_and_written_down(trained, tmp_path):
    result = send(FakeGateway(truth()), trained, tmp_path)
    assert not result.repeated
    assert result.submission.public > 0.5
    assert result.submission.status == "complete"
    assert Ledger(tmp_path / "ledger.jsonl").submissions() == [result.submission]


def test_the_same_bytes_are_not_sent_again_unless_asked(trained, tmp_path):
    gateway = FakeGateway(truth())
    first = send(gateway, trained, tmp_path)
    second = send(gateway, trained, tmp_path)
    assert second.repeated
    assert second.submission == first.submission
    assert len(gateway.sent) == 1
    assert not send(gateway, trained, tmp_path, again=True).repeated
    assert len(gateway.sent) == 2


def test_a_site_that_forgot_the_submission_gets_it_again(trained, tmp_path):
    send(FakeGateway(truth()), trained, tmp_path)
    fresh = FakeGateway(truth())
    assert not send(fresh, trained, tmp_path).repeated
    assert len(fresh.sent) == 1


def test_a_score_that_takes_long_is_asked_for_by_the_next_call(trained, tmp_path):
    gateway = FakeGateway(truth(), slow=True)
    assert send(gateway, trained, tmp_path).submission.status == "pending"
    gateway.slow = False
    later = send(gateway, trained, tmp_path)
    assert later.repeated
    assert later.submission.status == "complete"


def test_a_refusal_by_the_site_is_an_error_with_its_reason(trained, tmp_path):
    with pytest.raises(SubmissionError, match="refused submission 1: too many colours"):
        send(FakeGateway(truth(), refuses="too many colours"), trained, tmp_path)
    assert Ledger(tmp_path / "ledger.jsonl").submissions()[0].status == "error"


def test_predictions_for_other_rows_are_never_sent(trained, tmp_path):
    prepared, run = trained
    frame = run.test.frame.iloc[1:]
    broken = Run(**{**vars(run), "test": Predictions(frame)})
    gateway = FakeGateway(truth())
    with pytest.raises(KagglekitError):
        submit(gateway, broken, prepared, tmp_path, Ledger(tmp_path / "ledger.jsonl"))
    assert gateway.sent == []
    assert not (tmp_path / "ledger.jsonl").exists()


class Dying(FakeGateway):
    """Takes a submission, and the process dies before it hears of it."""

    def create(self, slug: str, upload: str, message: str, mark: str) -> str:
        super().create(slug, upload, message, mark)
        raise KeyboardInterrupt


def test_what_was_sent_by_a_process_that_died_is_found_and_written_down(trained, tmp_path):
    dying = Dying(truth())
    with pytest.raises(KeyboardInterrupt):
        send(dying, trained, tmp_path)
    assert not (tmp_path / "ledger.jsonl").exists()
    gateway = FakeGateway(truth())
    gateway.sent = dying.sent
    result = send(gateway, trained, tmp_path)
    assert (result.submission.ref, result.submission.status, len(gateway.sent)) == ("1", "complete", 1)
    assert Ledger(tmp_path / "ledger.jsonl").submissions() == [result.submission]


def test_a_record_of_what_the_ledger_knows_already_stands_for_nothing(trained, tmp_path):
    dying = Dying(truth())
    with pytest.raises(KeyboardInterrupt):
        send(dying, trained, tmp_path)
    (record,) = tmp_path.glob(".sending-*.json")
    kept = record.read_text()
    gateway = FakeGateway(truth())
    gateway.sent = dying.sent
    send(gateway, trained, tmp_path)
    record.write_text(kept)
    assert send(gateway, trained, tmp_path).repeated and not record.exists()
    record.write_text(kept)
    assert send(gateway, trained, tmp_path, again=True).submission.ref == "2"
