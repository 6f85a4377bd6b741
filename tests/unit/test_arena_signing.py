import base64
import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kagglekit.arena.identity import USERNAME, identity_of
from kagglekit.arena.signing import BadTicket, Signer

SIGNER = Signer(b"secret", clock=lambda: 1000.0)
CLAIM = {"slug": "meadow", "name": "train.csv"}


@given(st.dictionaries(st.sampled_from(["slug", "name", "kind"]), st.text()))
def test_a_ticket_opens_to_its_claim_and_fits_a_url_path(claim: dict[str, str]):
    ticket = SIGNER.sign(claim, purpose="download", seconds=60)
    assert claim.items() <= SIGNER.open(ticket, purpose="download").items()
    assert set(ticket) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@given(st.text(max_size=80))
def test_what_was_not_signed_is_refused(ticket: str):
    with pytest.raises(BadTicket):
        SIGNER.open(ticket, purpose="download")


@given(st.integers(0), st.characters(codec="ascii"))
def test_one_changed_character_spoils_a_ticket(place: int, character: str):
    ticket = SIGNER.sign(CLAIM, purpose="download", seconds=60)
    place %= len(ticket)
    changed = ticket[:place] + character + ticket[place + 1 :]
    if changed != ticket:
        with pytest.raises(BadTicket):
            SIGNER.open(changed, purpose="download")


def test_a_ticket_is_for_its_purpose_its_time_and_its_arena():
    ticket = SIGNER.sign(CLAIM, purpose="download", seconds=60)
    for signer, purpose in (
        (SIGNER, "upload"),
        (Signer(b"secret", clock=lambda: 1061.0), "download"),
        (Signer(b"other", clock=lambda: 1000.0), "download"),
    ):
        with pytest.raises(BadTicket):
            signer.open(ticket, purpose=purpose)


def test_secrets_are_random_for_each_home_private_and_never_shown(tmp_path: Path):
    one, two = identity_of(tmp_path / "one"), identity_of(tmp_path / "two")
    assert one.token != two.token and identity_of(tmp_path / "one") == one
    assert (tmp_path / "one" / "identity.json").stat().st_mode & 0o777 == 0o600
    assert one.token not in repr(one) and one.key.hex() not in repr(one)


def test_bearer_and_basic_open_and_nothing_else(tmp_path: Path):
    identity = identity_of(tmp_path)
    basic = base64.b64encode(f"{USERNAME}:{identity.token}".encode()).decode()
    assert identity.accepts(f"Bearer {identity.token}") and identity.accepts(f"Basic {basic}")
    for wrong in ("", "Bearer ", f"Bearer {identity.token}x", "Basic ????", f"Basic {identity.token}", identity.token):
        assert not identity.accepts(wrong)
    assert not identity.accepts("Bearer ünïcode")


def _token(home: Path, answers) -> None:
    answers.put(identity_of(home).token)


def test_processes_that_start_together_share_one_token(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    workers = [context.Process(target=_token, args=(tmp_path, answers)) for _ in range(4)]
    for worker in workers:
        worker.start()
    tokens = {answers.get(timeout=20) for _ in workers}
    for worker in workers:
        worker.join()
    assert len(tokens) == 1
