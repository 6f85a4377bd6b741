"""Where credentials are found, what that decides, and that no secret is ever shown."""

import json
import os
from pathlib import Path

import pytest

from kagglekit.credentials import Credentials, choose_site, credentials_found, find_credentials, secured
from kagglekit.errors import CredentialsError
from kagglekit.gateway import Gateway, Site
from kagglekit.sites import describe

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


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "it has no username and no key"),
        ("[]", "it has no username and no key"),
        ("null", "it has no username and no key"),
        ('{"username": "canary"}', "it has no key"),
        ('{"username": "", "key": "canary"}', "it has no username"),
        ('{"username": "", "key": ""}', "it has no username and no key"),
        ("{", "is not JSON, or was cut off"),
        (KEY[:-2], "is not JSON, or was cut off"),
    ],
)
def test_broken_credentials_are_named_and_never_lead_to_the_arena_in_silence(tmp_path: Path, text: str, wrong: str):
    write(tmp_path / ".kaggle" / "kaggle.json", text)
    for on in (None, "kaggle"):
        with pytest.raises(CredentialsError, match=rf"kaggle\.json .*{wrong}\. .*--on arena.*settings") as error:
            choose_site(on, env={}, home=tmp_path)
        assert "canary" not in str(error.value)
    assert choose_site("arena", env={}, home=tmp_path) == "arena"


@pytest.mark.parametrize("name", ["KAGGLE_USERNAME", "KAGGLE_KEY"])
def test_half_a_pair_in_the_environment_is_named(tmp_path: Path, name: str):
    missing = "KAGGLE_KEY" if name == "KAGGLE_USERNAME" else "KAGGLE_USERNAME"
    with pytest.raises(CredentialsError, match=f"belong together; {missing} is not set") as error:
        choose_site(None, env={name: "canary"}, home=tmp_path)
    assert "canary" not in str(error.value)
    assert choose_site("arena", env={name: "canary"}, home=tmp_path) == "arena"
    write(tmp_path / ".kaggle" / "kaggle.json", KEY)
    assert choose_site(None, env={name: "canary"}, home=tmp_path) == "kaggle"


@pytest.mark.parametrize(
    ("place", "text"),
    [("access_token", ""), ("access_token.txt", "\n"), ("credentials.json", ""), ("credentials.json", "{}")],
)
def test_a_token_file_without_a_token_is_named_unless_another_place_has_one(tmp_path: Path, place: str, text: str):
    path = write(tmp_path / ".kaggle" / place, text)
    with pytest.raises(CredentialsError, match=f"{path} should hold a Kaggle token, and does not"):
        choose_site(None, env={}, home=tmp_path)
    assert choose_site(None, env={"KAGGLE_API_TOKEN": "canary"}, home=tmp_path) == "kaggle"


def test_a_variable_that_names_an_empty_file_is_no_reason_for_the_arena(tmp_path: Path):
    path = write(tmp_path / "token", "\n")
    with pytest.raises(CredentialsError, match=f"{path} should hold a Kaggle token"):
        choose_site(None, env={"KAGGLE_API_TOKEN": str(path)}, home=tmp_path)


def test_a_settings_file_of_kaggles_client_is_no_credential(tmp_path: Path):
    write(tmp_path / ".kaggle" / "kaggle.json", '{"competition": "titanic"}')
    assert choose_site(None, env={}, home=tmp_path) == "arena"


def test_what_the_user_says_decides(tmp_path: Path):
    write(tmp_path / ".kaggle" / "access_token", "canary")
    assert choose_site("arena", env={}, home=tmp_path) == "arena"
    assert choose_site("kaggle", env={}, home=tmp_path) == "kaggle"
    with pytest.raises(CredentialsError, match=r"kaggle\.com/settings"):
        choose_site("kaggle", env={}, home=tmp_path / "nobody")


def test_a_login_of_kaggles_client_is_found_last(tmp_path: Path):
    login = write(tmp_path / ".kaggle" / "credentials.json", json.dumps({"refresh_token": "canary", "username": "ann"}))
    found = find_credentials({}, tmp_path)
    assert found is not None
    assert (found.source, found.login, found.username, found.token) == ("kaggle auth login", login, "ann", None)
    write(tmp_path / ".kaggle" / "kaggle.json", KEY)
    older = find_credentials({}, tmp_path)
    assert older is not None and (older.login, older.key) == (None, "canary")


def test_a_kaggle_notebook_has_a_token_of_its_own(tmp_path: Path):
    token = write(tmp_path / "token", "canary")
    env = {"KAGGLE_KERNEL_RUN_TYPE": "Batch", "KAGGLE_API_V1_TOKEN": str(token), "KAGGLE_API_TOKEN": "other"}
    assert credentials_found(env, tmp_path) == "KAGGLE_API_TOKEN"
    found = find_credentials(env | {"KAGGLE_DATA_PROXY_URL": "https://proxy"}, tmp_path)
    assert found is not None and (found.source, found.token) == ("the Kaggle notebook", "canary")


def test_the_token_of_a_shell_that_is_turned_to_an_arena_is_not_for_kaggle(tmp_path: Path):
    env = {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "KAGGLE_API_TOKEN": "the arena's"}
    assert choose_site(None, env=env, home=tmp_path) == "arena"
    assert credentials_found(env | {"KAGGLE_API_ENVIRONMENT": "PROD"}, tmp_path) == "KAGGLE_API_TOKEN"


def test_no_repr_shows_a_secret(tmp_path: Path):
    for env in ({"KAGGLE_API_TOKEN": "canary"}, {"KAGGLE_USERNAME": "canary", "KAGGLE_KEY": "canary"}):
        assert "canary" not in repr(find_credentials(env, tmp_path))


@pytest.mark.parametrize("name", ["access_token", "kaggle.json", "credentials.json"])
@pytest.mark.parametrize(("mode", "is_noted"), [(0o600, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_can_read_is_noted_in_one_line(tmp_path: Path, name: str, mode: int, is_noted: bool):
    path = write(tmp_path / ".kaggle" / name, json.dumps({"username": "x", "key": "canary", "refresh_token": "canary"}))
    path.chmod(mode)
    found = find_credentials({}, tmp_path)
    assert found is not None
    assert (f"chmod 600 {path}" in found.note) is is_noted and bool(found.note) is is_noted
    assert "\n" not in found.note and "canary" not in found.note


@pytest.mark.parametrize("name", ["access_token", "kaggle.json", "credentials.json"])
def test_a_file_that_others_can_read_is_refused_or_mended_and_said(tmp_path: Path, name: str, monkeypatch):
    path = write(tmp_path / ".kaggle" / name, json.dumps({"username": "x", "key": "canary", "refresh_token": "canary"}))
    path.chmod(0o644)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CredentialsError, match=f"Other users can read {path}. Run: chmod 600"), Gateway(Site.kaggle()):
        pass
    said = describe("kaggle", None)
    assert f"could read {path}; its mode is now 600" in said and "canary" not in said
    assert path.stat().st_mode & 0o777 == 0o600
    assert describe("kaggle", None).endswith(").")


def test_a_mode_that_cannot_be_changed_is_refused(tmp_path: Path):
    found = Credentials("a place", token="canary", exposed=tmp_path / "gone")
    with pytest.raises(CredentialsError, match=r"can read .*gone, and that cannot be changed \(No such file") as raised:
        secured(found)
    assert "canary" not in str(raised.value)


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path):
    path = write(tmp_path / ".kaggle" / "access_token", "")
    path.write_bytes(os.fsencode("\udcff\udcfe"))
    with pytest.raises(CredentialsError, match=r"access_token cannot be read: it is not UTF-8"):
        credentials_found({}, tmp_path)


@pytest.mark.parametrize("token", ["canary\ncanary", "canary\u2192", "can\tary"])
def test_what_can_be_no_token_is_refused_and_not_quoted(tmp_path: Path, token: str):
    with pytest.raises(CredentialsError, match="KAGGLE_API_TOKEN holds characters") as raised:
        find_credentials({"KAGGLE_API_TOKEN": token}, tmp_path)
    assert "ary" not in str(raised.value)
