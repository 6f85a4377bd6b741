"""What every test has: an empty home without credentials, and no way to the network but loopback.

Tests of pages in a real browser are there where Chromium is; elsewhere the last line says that they are not.
"""

from __future__ import annotations

import socket
from pathlib import Path

import browser
import pytest
from hypothesis import HealthCheck, settings

# The same examples every time, and no verdict on how fast a busy machine draws them.
settings.register_profile("kagglekit", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kagglekit")

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_PAGES = Path(__file__).parent / "browser"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """A machine without Chromium cannot open pages: those tests are not there."""
    return True if collection_path.is_relative_to(_PAGES) and browser.find() is None else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if browser.find() is None:
        terminalreporter.write_line(f"tests/browser: no page was opened, for there is no Chromium. {browser.HOW}")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of its own: no test reads or writes the user's files, or finds his token."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails with the address it wanted."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and str(address[0]) not in _LOOPBACK:
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
