"""The command line is a skin: light to start, and nothing happens at import."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kagglekit.cli import app
from kagglekit.errors import StoreError

HEAVY = (
    *("numpy", "pandas", "sklearn", "torch", "timm", "fastai", "lightgbm", "kaggle", "pydantic", "starlette", "rich"),
    *("jinja2", "matplotlib"),
)


def _loaded(code: str, cwd) -> set[str]:
    """The heavy packages that are loaded after `code`."""
    report = f"{code}\nimport sys\nprint('LOADED', *[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", report], cwd=cwd, capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED")[2].split())


def test_importing_the_package_loads_nothing(tmp_path):
    assert _loaded("import kagglekit", tmp_path) == set()
    assert list(tmp_path.iterdir()) == []


def test_help_loads_nothing_heavy(tmp_path):
    code = (
        "import sys; sys.argv = ['kagglekit', '--help']\n"
        "from kagglekit.cli import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    assert not leaving.code"
    )
    assert _loaded(code, tmp_path) == set()


@pytest.mark.parametrize(
    "module", ["flow", "gateway", "train", "prepare", "report", "models.registry", "models.vision.estimator"]
)
def test_no_module_of_the_flow_loads_deep_learning_or_the_client(tmp_path, module):
    assert (
        _loaded(f"import kagglekit.{module}", tmp_path)
        & {*("torch", "timm", "fastai", "lightgbm", "kaggle", "jinja2", "matplotlib")}
        == set()
    )


def test_the_version_is_told(tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.argv=['kagglekit','--version']; from kagglekit.cli import main; main()",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("kagglekit 0.")


def test_what_is_named_first_is_missed_first(tmp_path):
    with pytest.raises(StoreError, match="nowhere holds no exported model"):
        app(["predict", str(tmp_path / "nowhere"), str(tmp_path / "no-picture.jpg")])
