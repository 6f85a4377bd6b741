"""A canary token: where it must not be seen."""

from __future__ import annotations

import http.client
import io
import logging
import os
import stat
import subprocess
import sys
import textwrap
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

from meadow import write_answers
from relay import redirecting, relay
from world import ROOT, SLUG, Row, World, folder, served

from kagglekit.credentials import find_credentials, secured
from kagglekit.errors import KagglekitError
from kagglekit.gateway import Gateway, Site

__all__ = ["exposed", "seen"]


def seen() -> Row:
    """Use the token for everything, with every log open, and look for it."""
    with served(10_000) as world:
        token = world.arena.token
        logged = _everything(world)
        elsewhere = _redirected(world)
        commands = _commands(world.folder / "workspace")
    places = {"logs and output": logged.count(token), "redirects": elsewhere, **commands}
    found = {place: count for place, count in places.items() if count}
    figure = ", ".join(f"{count} in {place}" for place, count in (found or places).items())
    return Row("a canary token", "in 0 logs, notebooks, reports, redirects", figure, not found)


def _everything(world: World) -> str:
    """All that is logged and printed by every call of the gateway, at the level of debugging."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    root = logging.getLogger()
    before, printed = root.level, http.client.HTTPConnection.debuglevel
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with redirect_stdout(said), redirect_stderr(said), world.gateway() as gateway:
            gateway.competitions()
            gateway.download(SLUG, world.folder / "x.zip")
            ref = gateway.submit(SLUG, write_answers(world.folder / "s.csv"), "canary")
            gateway.wait_for_score(SLUG, ref, timeout=20)
            said.write(repr(vars(gateway)) + repr(gateway.username) + repr(gateway.leaderboard(SLUG)))
            _fail(gateway, said)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        http.client.HTTPConnection.debuglevel = printed
    return said.getvalue()


def _fail(gateway: Gateway, said: io.StringIO) -> None:
    for fault in (lambda: gateway.competition("medow"), lambda: gateway.submission("9999")):
        try:
            fault()
        except KagglekitError as error:
            said.write(f"{error!r} {error} {error.__cause__!r}")


def _redirected(world: World) -> int:
    """How many requests that reached another host, by a redirect of any call, carried the token."""
    with relay(world.arena.url) as other, redirecting(other.url.replace("127.0.0.1", "localhost")) as url:
        with Gateway(Site("arena", url), world.arena.token) as gateway:
            for call in (lambda: gateway.competition(SLUG), lambda: gateway.download(SLUG, world.folder / "y.zip")):
                with suppress(KagglekitError):
                    call()
        return sum(world.arena.token in " ".join(headers.values()) for _, headers in other.passed)


def _commands(workspace: Path) -> dict[str, int]:
    """Run the flow, a report and a notebook with a token in the environment and in a file; search all that is left."""
    workspace.mkdir()
    home = workspace / "home"
    (home / ".kaggle").mkdir(parents=True)
    secret = home / ".kaggle" / "access_token"
    secret.write_text("canary-9f27")
    secret.chmod(0o600)
    script = """
        import os, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from flowers import PIPELINE, tables, truth, write_pipeline
        import kagglekit.cli as cli
        folder = Path("from-elsewhere"); folder.mkdir()
        train, test, sample = tables()
        for name, frame in (("train", train), ("test", test), ("sample_submission", sample), ("solution", truth())):
            frame.to_csv(folder / f"{name}.csv", index=False)
        def run(*words):
            sys.argv = ["kagglekit", *words]
            try:
                cli.main()
            except SystemExit as leaving:
                print("status", leaving.code)
        run("arena", "create", "from-elsewhere", "--name", "flowers")
        write_pipeline(Path("."), PIPELINE.replace('slug = "flower-colours"', 'slug = "flowers"'), "flowers")
        run("submit", "flowers", "--on", "arena")
        run("report", "flowers", "--on", "arena")
        run("kernel", "push", "flowers", "larger", "--dry-run", "--on", "arena")
        run("download", "flowers", "--on", "kaggle")
    """
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("KAGGLE")},
        "HOME": str(home),
        "KAGGLE_KEY": "canary-9f27",
        "KAGGLE_USERNAME": "canary-9f27",
        "PYTHONPATH": str(ROOT),
        # Nobody listens there: what would go to the real site ends on this computer.
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(ROOT / "tests" / "unit")],
        cwd=workspace,
        env=env,
        capture_output=True,
        text=True,
    )
    files = [p for p in workspace.rglob("*") if p.is_file() and p != secret]
    holding = [p for p in files if b"canary-9f27" in p.read_bytes()]
    assert any(p.suffix == ".html" for p in files), done.stdout + done.stderr
    assert any(p.suffix == ".ipynb" for p in files), done.stdout + done.stderr
    return {
        "the output of commands": (done.stdout + done.stderr).count("canary-9f27"),
        f"{len(files)} files": len(holding),
    }


def exposed() -> Row:
    """Leave a token where others can read it."""
    with folder() as home:
        path = home / ".kaggle" / "access_token"
        path.parent.mkdir()
        path.write_text("canary")
        path.chmod(0o644)
        found = find_credentials({}, home)
        assert found is not None
        before, now = found.exposed == path, secured(found)
        mended = stat.S_IMODE(path.stat().st_mode) == 0o600
    is_met = before and mended and str(path) in now.note and "canary" not in now.note
    return Row(
        "a token file that others can read", "refused or mended, said aloud", now.note.split(";")[-1][:60], is_met
    )
