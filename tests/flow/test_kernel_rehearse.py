"""Notebooks rehearsed, and run by the arena for clients that know nothing of kagglekit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from flowers import SLUG, tables, truth, write_pipeline

from kagglekit.arena import hosting
from kagglekit.arena.running.local import LocalRunner
from kagglekit.arena.server import Arena
from kagglekit.arena.shell import announced

ROOT = Path(__file__).parents[2]


def test_a_notebook_is_rehearsed_with_the_kagglekit_that_it_brings(kagglekit, flowers_folder, tmp_path):
    hosting.create(flowers_folder, tmp_path / ".arena", SLUG)
    write_pipeline(tmp_path)
    said = kagglekit("kernel", "rehearse", "flowers", "majority", "--accelerator", "none", "--on", "arena")
    assert said.status == 0, said.out
    assert "Rehearsed kagglekit-flowers-majority in " in said.out and "of memory" in said.out
    (working,) = (tmp_path / "build" / "rehearsals").glob("*/working")
    assert [p.name for p in (working / "runs" / SLUG).glob("majority-*")]
    assert not list((tmp_path / "build" / "rehearsals").glob("*/machine"))

    tight = ("--minutes", "0.001", "--json")
    said = kagglekit("kernel", "rehearse", "flowers", "majority", "--on", "arena", *tight)
    assert said.status == 1
    assert json.loads(said.out)["reason"] == "It exceeded the time limit of 0.06 s."
    said = kagglekit("kernel", "rehearse", "flowers", "majority", "--mounts", "odd")
    assert said.status == 2 and "--mounts takes old or new" in said.err


def test_the_stock_client_pushes_watches_and_pulls(flowers_folder, tmp_path):
    home, book = tmp_path / ".arena", tmp_path / "book"
    hosting.create(flowers_folder, home, SLUG)
    book.mkdir()
    (book / "book.py").write_text(
        f"rows = open('/kaggle/input/{SLUG}/sample_submission.csv').read()\n"
        "open('/kaggle/working/submission.csv', 'w').write(rows)\n"
        "print('rows', rows.count('\\n'))\n"
    )
    with Arena(home, runner=LocalRunner(home)) as arena, announced(home, arena.url):
        facts = {
            "id": f"{arena.username}/my-book",
            "title": "my book",
            "code_file": "book.py",
            "language": "python",
            "kernel_type": "script",
            "is_private": "true",
            "enable_internet": "false",
            "competition_sources": [SLUG],
        }
        (book / "kernel-metadata.json").write_text(json.dumps(facts))
        turned = {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "KAGGLE_API_TOKEN": arena.token, "http_proxy": arena.url}
        env = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"} | turned | {"HOME": str(tmp_path)}

        def kaggle(*words: str) -> str:
            command = [sys.executable, "-m", "kaggle", *words]
            return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

        assert "successfully pushed" in kaggle("kernels", "push", "-p", "book")
        until = time.monotonic() + 90
        while "COMPLETE" not in (status := kaggle("kernels", "status", f"{arena.username}/my-book")):
            assert time.monotonic() < until and "ERROR" not in status, status
        kaggle("kernels", "output", f"{arena.username}/my-book", "-p", "pulled")
        assert (tmp_path / "pulled" / "submission.csv").read_text().startswith("flower,colour")
        log = json.loads((tmp_path / "pulled" / "my-book.log").read_text())
        assert "".join(piece["data"] for piece in log) == "rows 31\n"
        named = ("-f", "submission.csv", "-k", f"{arena.username}/my-book", "-v", "1", "-m", "from a notebook")
        assert "Successfully submitted" in kaggle("competitions", "submit", SLUG, *named)


def test_a_code_competition_from_push_to_score(kagglekit, flowers_folder, tmp_path):
    shown = tmp_path / "shown"
    shown.mkdir()
    train, test, sample = tables()
    for name, frame in (("train", train), ("test", test[:9]), ("sample_submission", sample[:9])):
        frame.to_csv(shown / f"{name}.csv", index=False)
    said = kagglekit("arena", "create", str(flowers_folder), "--name", SLUG, "--shown", str(shown))
    assert "9 test rows are shown, 30 are hidden" in said.out
    write_pipeline(tmp_path)
    words = ("flowers", "majority", "--submit", "--accelerator", "none", "--on", "arena")
    said = kagglekit("kernel", "run", *words)
    assert said.status == 0, said.err
    hidden = truth()
    public = hidden[hidden["Usage"] == "Public"]["colour"]
    assert f"public {(public == train['colour'].mode()[0]).mean():.5f}" in said.out
    pulled = next((tmp_path / "submissions" / "flowers").glob("majority-*-kernel.csv"))
    assert len(pulled.read_text().splitlines()) == 1 + 9, "what anybody sees is of the rows that are shown"
