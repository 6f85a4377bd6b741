"""kagglekit against AutoML peers: same data, same cores, same limit of time, graded once on hidden rows.

    python benchmarks/tabular/quality.py --peers PEERS/bin/python --out quality.jsonl [--data FOLDER] [--minutes 5]
                                         [--only METHOD ...] [--cores 2] [--retry] [SET ...]

A SET is `FOLDER=METRIC` (a folder with train.csv, test.csv, a sample submission and solution.csv) or one of scikit-
learn's bundled sets: breast-cancer, digits, wine, diabetes. Without one, all bundled sets are taken, and of `--data`
the folders titanic, house-prices and playground-s3e5-wine.

A cell is a contestant on a set. It runs in a process of its own, pinned to the same cores, and is ended at a wall time
of 1.2 times the minutes and a minute, all its processes with it; ended, it has no score and the last rank. Each
finished cell is a line of JSON in `--out` with its score and its wall time, and is not run again: the same command goes
on after a break, and `--retry` runs again what failed. At the end stand the ranks, also as a picture beside the file.

kagglekit runs as a person would run it: `train --portfolio tabular --minutes M` with an ensemble of all by `auto`, and
`submit --dry-run`; its wall time is that of both. Peers get the minutes as their own limit for fitting; their wall time
holds reading and predicting. Nothing looks at a solution but the grader.

The peers live in an environment of their own, with their own pandas (6.5 GB; half an hour on a slow line):

    uv venv --python 3.11 PEERS
    uv pip install --python PEERS/bin/python 'autogluon.tabular[all]' 'flaml[automl]'
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd

OURS = "kagglekit"
METHODS = (OURS, "autogluon-best", "autogluon-medium", "flaml", "lightgbm")
BUNDLED = {"breast-cancer": "roc_auc", "digits": "accuracy", "wine": "accuracy", "diabetes": "rmse"}
FOLDERS = {"titanic": "accuracy", "house-prices": "rmsle", "playground-s3e5-wine": "qwk"}
_LESS_IS_BETTER = ("rmse", "rmsle", "mae", "log_loss")
_FOR_THE_FILE = 15.0  # seconds of the limit that kagglekit keeps for `submit --dry-run`
_TABLES = re.compile(r"^\[experiments\.[^\n]*\n(?:(?!\[)[^\n]*\n?)*", re.MULTILINE)
_MARK = "QUALITY_CELL"


@dataclass(frozen=True)
class Cell:
    """One line of the file: a contestant on a set; `score` is None where it came to no end."""

    set: str
    metric: str
    method: str
    minutes: float
    score: float | None
    seconds: float
    cores: int
    problem: str = ""

    @property
    def key(self) -> tuple[str, str, float]:
        return self.set, self.method, self.minutes


@dataclass(frozen=True)
class Contest:
    """One set: its folder, or None for a bundled one."""

    name: str
    metric: str
    folder: Path | None

    @classmethod
    def of(cls, word: str) -> Contest:
        given, _, metric = word.partition("=")
        if given in BUNDLED and not metric:
            return cls(given, BUNDLED[given], None)
        folder = Path(given).absolute()
        return cls(folder.name, metric or FOLDERS[folder.name], folder)

    def host(self, workspace: Path) -> Path:
        """Host the set in a workspace; the folder of its files."""
        data = self.folder or bundled(self.name, workspace / "bundled")
        kagglekit(workspace, "arena", "create", data, "--name", self.name, "--metric", self.metric, "--allow-copies")
        return data


def kagglekit(workspace: Path, *words: object) -> str:
    """Run a command in a workspace and give back what it printed."""
    command = [sys.executable, "-c", "from kagglekit.cli import main; main()", *map(str, words)]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"kagglekit {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def bundled(name: str, folder: Path) -> Path:
    """A scikit-learn set as a competition's folder: every third row is hidden, in an order drawn once."""
    from sklearn import datasets

    frame = getattr(datasets, f"load_{name.replace('-', '_')}")(as_frame=True).frame.rename(columns=_plain)
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    frame.insert(0, "row", range(len(frame)))
    hidden = frame["row"] % 3 == 0
    folder.mkdir()
    frame[~hidden].to_csv(folder / "train.csv", index=False)
    frame[hidden].drop(columns="target").to_csv(folder / "test.csv", index=False)
    answers = frame.loc[hidden, ["row", "target"]]
    answers.assign(target=frame["target"].mode()[0]).to_csv(folder / "sample_submission.csv", index=False)
    usage = ["Public", "Private"] * len(answers)
    answers.assign(Usage=usage[: len(answers)]).to_csv(folder / "solution.csv", index=False)
    return folder


def _plain(name: object) -> str:
    return re.sub(r"\W+", "_", str(name))


def ours(workspace: Path, name: str, minutes: float) -> None:
    """Portfolio, blend and file, in a workspace where the set is hosted and has its pipeline."""
    auto = ("--on", "arena", "--set", "ensembles.blend.method=auto")
    limit = max(0.0, minutes - _FOR_THE_FILE / 60)
    kagglekit(workspace, "train", name, *auto, "--portfolio", "tabular", "--minutes", limit)
    done = json.loads(kagglekit(workspace, "submit", name, *auto, "--run", "blend", "--dry-run", "--json"))
    (workspace / done["file"]).rename(workspace / "answers.csv")


def write_pipeline(workspace: Path, name: str) -> None:
    """As `new` writes it; its experiments are taken out, so that the portfolio alone counts."""
    kagglekit(workspace, "new", name, "--on", "arena")
    path = workspace / "pipelines" / name / "pipeline.toml"
    path.write_text(_TABLES.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")


def run_cell(contest: Contest, method: str, minutes: float, peers: Path | None, cores: list[int]) -> Cell:
    """Host the set afresh, run the contestant within its limits, grade what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        data = contest.host(workspace)
        out = workspace / "answers.csv"
        if method == OURS:
            write_pipeline(workspace, contest.name)
            words = [sys.executable, __file__, "--ours", workspace, contest.name, "--minutes", minutes]
        else:
            script = Path(__file__).with_name("quality_peers.py")
            words = [peers, script, method, data, contest.metric, minutes, out]
        start = time.perf_counter()
        problem = _within([str(w) for w in words], workspace, 72 * minutes + 60, cores)
        seconds = time.perf_counter() - start
        score = None
        if not problem and not out.is_file():
            problem = "it wrote no file"
        if not problem:
            score = json.loads(kagglekit(workspace, "arena", "grade", contest.name, out, "--json"))["all"]
    return Cell(contest.name, contest.metric, method, minutes, score, round(seconds, 1), len(cores), problem)


def _within(words: list[str], folder: Path, limit: float, cores: list[int]) -> str:
    """Run a contestant on some cores until a wall time; what went wrong, or nothing."""
    mark = uuid.uuid4().hex
    environment = os.environ | {_MARK: mark}
    log = folder / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=partial(os.sched_setaffinity, 0, cores),
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        _end(mark)
        process.wait()
    if code is None:
        return f"ended after {limit:.0f} s"
    said = log.read_text(errors="replace").strip().splitlines() or ["failed"]
    return said[-1][:300] if code else ""


def _end(mark: str) -> None:
    """End what a contestant left behind; its processes are known by a variable that they inherit."""
    wanted = f"{_MARK}={mark}".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in entry.read_bytes().split(b"\0"):
                os.kill(int(entry.parent.name), signal.SIGKILL)
        except OSError:
            continue  # it ended by itself, or is somebody else's


def read_cells(path: Path) -> dict[tuple[str, str, float], Cell]:
    """The finished cells; of those that were run again the last."""
    lines = path.read_text().splitlines() if path.is_file() else []
    cells = [Cell(**json.loads(line)) for line in lines if line.endswith("}")]  # a break may cut the last line
    return {cell.key: cell for cell in cells}


def ranks(cells: list[Cell]) -> pd.DataFrame:
    """Rank of each contestant on each set that all of them ran on; without a score it is the last."""
    table = (
        pd.DataFrame(
            {(c.set, c.method): [float("nan") if c.score is None else c.score * _sign(c.metric)] for c in cells}
        )
        .T[0]
        .unstack()
    )
    return table.rank(axis=1, ascending=False, na_option="bottom").dropna()


def _sign(metric: str) -> int:
    return -1 if metric in _LESS_IS_BETTER else 1


def picture(table: pd.DataFrame, path: Path) -> None:
    """Ranks on each set as dots above the numbers of the ranks, their mean as a bar: an SVG."""
    mean = table.mean().sort_values()
    width, row, left = 640, 34, 150
    step = (width - left - 30) / max(1, len(mean) - 1)
    parts = [f'<text x="{left}" y="16">Rank on hidden rows, {len(table)} sets (bar: mean)</text>']
    for number, (method, value) in enumerate(mean.items()):
        y = 44 + number * row
        x = left + (value - 1) * step
        parts.append(f'<text x="8" y="{y + 4}">{method} {value:.2f}</text>')
        dots = [f'<circle cx="{left + (r - 1) * step:.1f}" cy="{y}" r="5"/>' for r in table[method]]
        parts += [f'<g fill="#88a" fill-opacity=".45">{"".join(dots)}</g>']
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 11}" y2="{y + 11}" stroke="#c33" stroke-width="3"/>')
    height = 44 + len(mean) * row
    places = [f'<text x="{left + n * step:.1f}" y="{height - 8}">{n + 1}</text>' for n in range(len(mean))]
    parts.append(f'<g text-anchor="middle" fill="#666">{"".join(places)}</g>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif"'
    path.write_text(f'{head} font-size="13"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n')


def show(cells: list[Cell], out: Path) -> None:
    scores = pd.DataFrame({(c.set, c.method): [c.score, c.seconds] for c in cells}, index=["score", "seconds"]).T
    print("\nScores\n", scores["score"].unstack().to_string(), sep="")
    print("\nWall time, s\n", scores["seconds"].unstack().to_string(), sep="")
    table = ranks(cells)
    if len(table):
        print(
            "\nRanks (1 is best)\n",
            table.to_string(),
            "\n\nMean rank\n",
            table.mean().sort_values().to_string(),
            sep="",
        )
        picture(table, out.with_suffix(".svg"))
        print(f"\nPicture: {out.with_suffix('.svg')}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*")
    parser.add_argument("--peers", type=lambda text: Path(text).absolute())
    parser.add_argument("--out", type=Path, default=Path("quality.jsonl"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--retry", action="store_true")
    parser.add_argument("--ours", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ours:
        ours(args.ours, args.sets[0], args.minutes)
        return
    if args.peers is None and set(args.only) != {OURS}:
        parser.error("name the peers' python by --peers, or say --only kagglekit")
    given = [f"{args.data / name}={metric}" for name, metric in FOLDERS.items()] if args.data else []
    cores = sorted(os.sched_getaffinity(0))[: args.cores]
    chosen = [Contest.of(word) for word in args.sets or (*given, *BUNDLED)]
    for contest in chosen:
        for method in args.only:
            old = read_cells(args.out).get((contest.name, method, args.minutes))
            if old is None or (args.retry and old.problem):
                old = run_cell(contest, method, args.minutes, args.peers, cores)
                with args.out.open("a") as file:
                    file.write(json.dumps(asdict(old)) + "\n")
            said = old.problem if old.score is None else f"{old.score:.5f}"
            print(f"{old.set:24} {old.metric:10} {old.method:18} {said}  {old.seconds:5.0f} s", flush=True)
    names = {contest.name for contest in chosen}
    show([c for c in read_cells(args.out).values() if c.set in names and c.minutes == args.minutes], args.out)


if __name__ == "__main__":
    main()
