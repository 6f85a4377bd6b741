from pathlib import Path

import pytest
from relay import canned

from kagglekit.arena.server import Arena
from kagglekit.arena.shell import announced, exports, exposed
from kagglekit.errors import UsageError


def test_only_an_arena_that_is_served_has_exports(tmp_path: Path):
    with pytest.raises(UsageError, match="kagglekit arena serve"):
        exports(tmp_path, {})
    with Arena(tmp_path) as arena, announced(tmp_path, arena.url):
        lines = exports(tmp_path, {})
        assert f"export http_proxy={arena.url}" in lines and arena.token in lines
        assert "no_proxy" not in lines
    assert not (tmp_path / "serving.json").exists()


def test_who_took_the_port_after_a_killed_arena_gets_no_token(tmp_path: Path):
    with canned(200, b"{}") as url, announced(tmp_path, url), pytest.raises(UsageError, match="No arena"):
        exports(tmp_path, {})
    with announced(tmp_path, "http://127.0.0.1:9"), pytest.raises(UsageError, match="No arena"):
        exports(tmp_path, {})


def test_of_two_servers_the_last_is_told_and_the_first_does_not_take_it_back(tmp_path: Path):
    with Arena(tmp_path) as first, Arena(tmp_path) as second:
        with announced(tmp_path, first.url):
            later = announced(tmp_path, second.url)
            later.__enter__()
        assert second.url in exports(tmp_path, {})
        later.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("listed", "kept"), [("localhost", "''"), ("a.example, localhost:80,b.example", "a.example,b.example"), ("*", "''")]
)
def test_a_proxy_list_that_leads_past_the_arena_is_noted_and_mended(tmp_path: Path, listed: str, kept: str):
    with Arena(tmp_path) as arena, announced(tmp_path, arena.url):
        lines = exports(tmp_path, {"no_proxy": listed, "NO_PROXY": "a.example"}).splitlines()
    assert f"export no_proxy={kept}" in lines
    assert any(line.startswith("# no_proxy holds localhost") for line in lines)
    assert not any("NO_PROXY" in line for line in lines)


def test_an_arena_that_others_can_reach_is_announced_with_a_warning_that_holds_no_token(tmp_path: Path):
    with Arena(tmp_path) as arena:
        words = exposed(arena.url, arena.username)
    assert words.startswith("Warning") and "not encrypted" in words and arena.token not in words
