"""Nothing with a token leaves: whoever's it is, whatever file it is in, and the message never holds it."""

import json
import zipfile

import pytest

from kagglekit.errors import UsageError
from kagglekit.kernels.secrets import refuse_secrets

# In two parts, so that no scan takes this file for a leak.
TOKEN = "KGAT_" + "0f1e2d3c4b5a6978"
HEX = "0123456789abcdef"


@pytest.mark.parametrize(
    ("what", "leak"),
    [
        ("a Kaggle token", f"token = {TOKEN}"),
        ("a Kaggle key", '{"username": "ann", "key": "' + HEX * 2 + '"}'),
        ("a Kaggle key", "os.environ['KAGGLE_KEY'] = '" + HEX.upper() * 2 + "'"),
        ("a Kaggle key", r"{\"key\": \"" + HEX * 2 + r"\"}"),
        ("a token of the model hub", "hf_" + "aB3" * 12),
        ("a GitHub token", "ghp_" + "aB3" * 12),
        ("an AWS key", "AKIA" + "A1B2" * 4),
        ("a Google key", "AIza" + "aB3_-" * 7),
        ("an API key", "sk-" + "aB3x" * 9),
        ("a Weights & Biases key", "WANDB_API_KEY=" + HEX * 2 + HEX[:8]),
        ("a private key", "-----BEGIN RSA " + "PRIVATE KEY-----"),
    ],
)
def test_what_looks_like_a_key_is_refused_with_its_line_and_not_told(tmp_path, what, leak):
    path = tmp_path / "notes.txt"
    path.write_text(f"some words\n{leak}\n")
    with pytest.raises(UsageError, match=rf"notes\.txt, line 2, holds what looks like {what}") as caught:
        refuse_secrets([path])
    assert leak not in str(caught.value) and HEX not in str(caught.value) and TOKEN not in str(caught.value)


def test_hashes_and_talk_of_keys_are_no_tokens(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text(
        f"md5 {HEX * 2}; sha256 key {HEX * 4}; the prefix KGAT_ and a key; hf_hub_download; task-sk-learn\n"
    )
    refuse_secrets([path])


@pytest.mark.parametrize("place", ["variable", "file named by variable", "access_token", "kaggle.json", "config"])
def test_the_users_own_secret_is_found_wherever_it_is_kept(tmp_path, monkeypatch, no_credentials, place):
    secret, home = "quite-an-odd-secret", no_credentials
    stored = json.dumps({"username": "ann-of-the-meadow", "key": secret})
    if place == "variable":
        monkeypatch.setenv("KAGGLE_API_TOKEN", secret)
    elif place == "file named by variable":
        (tmp_path / "mine").write_text(f"{secret}\n")
        monkeypatch.setenv("KAGGLE_API_TOKEN", str(tmp_path / "mine"))
    else:
        folder = home / (".config/kaggle" if place == "config" else ".kaggle")
        folder.mkdir(parents=True)
        name = "access_token" if place == "access_token" else "kaggle.json"
        (folder / name).write_text(f"{secret}\n" if place == "access_token" else stored)
    path = tmp_path / "notes.txt"
    path.write_text("by ann-of-the-meadow")
    refuse_secrets([path])
    path.write_text(f"by ann, {secret}")
    with pytest.raises(UsageError, match=r"notes\.txt, line 1, holds what looks like your own") as caught:
        refuse_secrets([path])
    assert secret not in str(caught.value)


def test_wheels_are_looked_into(tmp_path):
    path = tmp_path / "mine-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mine/settings.py", f"\n\nTOKEN = '{TOKEN}'\n")
    with pytest.raises(UsageError, match=r"mine/settings\.py\), line 3"):
        refuse_secrets([path])
