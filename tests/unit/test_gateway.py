import socket
import subprocess
import sys
import textwrap
import threading
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from kagglekit.errors import CredentialsError
from kagglekit.gateway import CompetitionPage, Gateway, LeaderboardRow, RemoteSubmission, Site


def test_kaggle_without_credentials_is_refused_before_anything_is_asked():
    with pytest.raises(CredentialsError, match=r"kaggle\.com/settings"), Gateway(Site.kaggle()):
        pass


def run_python(code: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={"HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_module_imports_nothing_heavy(tmp_path: Path):
    code = "import sys, kagglekit.gateway; print(*{'kaggle', 'kagglesdk', 'requests'} & set(sys.modules))"
    assert run_python(code, tmp_path).stdout.strip() == ""


def test_opening_a_gateway_prints_nothing_calls_nobody_and_leaves_no_folder(tmp_path: Path):
    """Importing kaggle would log in with the token below, through the proxy that listens here."""
    (tmp_path / ".kaggle").mkdir()
    (tmp_path / ".kaggle" / "access_token").write_text("canary")
    (tmp_path / ".kaggle" / "access_token").chmod(0o600)
    called = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(60)
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        listener = threading.Thread(target=_note_call, args=(proxy, called), daemon=True)
        listener.start()
        code = """
            import os
            from kagglekit.gateway import Gateway, Site
            before = dict(os.environ)
            with Gateway(Site.kaggle()):
                assert dict(os.environ) == before
            with Gateway(Site("arena", "http://127.0.0.1:9"), "token"):
                pass
            assert dict(os.environ) == before
        """
        ended = run_python(code, tmp_path, https_proxy=address, http_proxy=address, KAGGLE_KEY="canary")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not called.is_set()
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".kaggle", "access_token"]


def _note_call(proxy: socket.socket, called: threading.Event) -> None:
    try:
        proxy.accept()
    except OSError:
        return
    called.set()


def page(**said: object) -> CompetitionPage:
    silent = dict.fromkeys(("ref", "url", "title", "description", "evaluation_metric", "deadline"))
    numbers = {"max_daily_submissions": 0, "team_count": 0, "user_rank": 0}
    return CompetitionPage.of(SimpleNamespace(**silent | numbers | said))


def test_a_page_tells_the_place_among_the_teams_or_nothing():
    one = page(ref="https://www.kaggle.com/competitions/meadow/", team_count=300, user_rank=7)
    assert (one.slug, one.title, one.place, one.teams) == ("meadow", "meadow", 7, 300)
    other = page(url="https://www.kaggle.com/competitions/meadow", title="Meadow", deadline=datetime(2026, 3, 1))
    assert (other.slug, other.title, other.place, other.teams) == ("meadow", "Meadow", None, None)
    assert other.deadline is not None and other.deadline.utcoffset() is not None


@pytest.mark.parametrize(("said", "score"), [("0.5", 0.5), ("", None), (None, None), ("n/a", None)])
def test_a_score_that_is_no_number_is_none(said: str | None, score: float | None):
    facts = dict.fromkeys(("file_name", "description", "date", "error_description", "private_score"))
    found = SimpleNamespace(**facts, ref=3, status=SimpleNamespace(name="COMPLETE"), public_score=said)
    assert RemoteSubmission.of(found).public == score
    row = LeaderboardRow.of(1, SimpleNamespace(score=said, team_name=None, submission_date=None))
    assert row.score == score if score is not None else row.score != row.score
