import json
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from kagglekit.errors import CredentialsError
from kagglekit.gateway import Gateway, Site, choose_site, credentials_found

KEY = json.dumps({"username": "canary", "key": "canary"})


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "place",
    [".kaggle/access_token", ".kaggle/access_token.txt", ".kaggle/kaggle.json", ".config/kaggle/kaggle.json"],
)
def test_credentials_are_found_where_kaggles_client_keeps_them(tmp_path: Path, place: str):
    assert credentials_found({}, tmp_path) is None
    write(tmp_path / place, KEY if place.endswith("json") else "canary\n")
    found = credentials_found({}, tmp_path)
    assert found is not None and Path(place).name in found and "canary" not in found
    assert choose_site(None, env={}, home=tmp_path) == "kaggle"


def test_credentials_are_found_in_the_environment(tmp_path: Path):
    token_file = write(tmp_path / "elsewhere" / "token", "canary")
    write(tmp_path / "configured" / "kaggle.json", KEY)
    for env in (
        {"KAGGLE_API_TOKEN": "canary"},
        {"KAGGLE_API_TOKEN": str(token_file)},
        {"KAGGLE_API_TOKEN": "canary" * 1000},
        {"KAGGLE_USERNAME": "canary", "KAGGLE_KEY": "canary"},
        {"KAGGLE_CONFIG_DIR": str(tmp_path / "configured")},
    ):
        found = credentials_found(env, tmp_path)
        assert found is not None and "canary" not in found


@pytest.mark.parametrize("text", ["", "{", "[]", '{"username": "x"}', '{"username": "", "key": ""}'])
def test_a_key_file_that_holds_no_key_is_none(tmp_path: Path, text: str):
    write(tmp_path / ".kaggle" / "kaggle.json", text)
    assert credentials_found({"KAGGLE_USERNAME": "x"}, tmp_path) is None
    assert choose_site(None, env={}, home=tmp_path) == "arena"


def test_what_the_user_says_decides(tmp_path: Path):
    write(tmp_path / ".kaggle" / "access_token", "canary")
    assert choose_site("arena", env={}, home=tmp_path) == "arena"
    assert choose_site("kaggle", env={}, home=tmp_path) == "kaggle"
    with pytest.raises(CredentialsError, match=r"kaggle\.com/settings"):
        choose_site("kaggle", env={}, home=tmp_path / "nobody")


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
    write(tmp_path / ".kaggle" / "access_token", "canary")
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
