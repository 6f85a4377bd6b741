"""Practice competitions from folders of real data: host, write the first pipeline, submit it, grade all hidden rows.

    python benchmarks/real_data.py FOLDER name[=metric] ...

FOLDER holds one competition in each sub-folder: what a competitor downloads, and solution.csv. Everything goes through
the command line, as a person would do it; the pipeline files are used as `kagglekit new` wrote them.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def kagglekit(folder: Path, *words: str) -> str:
    """Run a command in a workspace and give back what it printed."""
    command = [str(Path(sys.executable).parent / "kagglekit"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


def run(data: Path, name: str, metric: str, workspace: Path) -> str:
    """One competition from its folder to its grade, as a line."""
    start = time.perf_counter()
    kagglekit(workspace, "arena", "create", str(data / name), "--name", name, *(("--metric", metric) if metric else ()))
    kagglekit(workspace, "new", name, "--on", "arena")
    result = json.loads(kagglekit(workspace, "submit", name, "--on", "arena", "--json"))
    grade = json.loads(kagglekit(workspace, "arena", "grade", name, result["file"], "--json"))
    seconds = time.perf_counter() - start
    return f"{name:24} CV {result['honest score']:.4f}  all hidden rows {grade['all']:.4f}  {seconds:5.0f} s"


def main() -> None:
    data, *wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as workspace:
        for word in wanted:
            name, _, metric = word.partition("=")
            print(run(Path(data).absolute(), name, metric, Path(workspace)), flush=True)


if __name__ == "__main__":
    main()
