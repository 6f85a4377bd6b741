"""kagglekit against AutoML peers: same data, same cores, same limit of time, graded on hidden rows.

    python benchmarks/tabular/quality.py --peers PEERS/bin/python [--minutes 5] [--only METHOD ...] SET ...

A SET is `FOLDER=METRIC` (a folder with train.csv, test.csv, a sample submission and solution.csv) or one of scikit-
learn's bundled sets: breast-cancer, digits, wine, diabetes. PEERS is an environment with autogluon.tabular[all] and
flaml[automl] (and, for the plain LightGBM, lightgbm); a peer that it lacks is left out and named. Contestants run one
after the other.

kagglekit runs as a person would run it: `arena create`, `new`, `train --portfolio tabular --minutes M`, and the
ensemble of all by `auto`. Its time is that of all these commands; peers get the whole limit for fitting. Nothing
looks at a solution but the grader, `kagglekit arena grade`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

OURS = "kagglekit"
PEERS = ("autogluon-best", "autogluon-medium", "flaml", "lightgbm")
METRICS = {"breast-cancer": "roc_auc", "digits": "accuracy", "wine": "accuracy", "diabetes": "rmse"}
_LESS_IS_BETTER = ("rmse", "rmsle", "mae", "log_loss")
_RESERVED = 0.1  # share of the limit that is kept for the blend
_TABLES = re.compile(r"^\[experiments\.[^\n]*\n(?:(?!\[)[^\n]*\n?)*", re.MULTILINE)


def kagglekit(workspace: Path, *words: str) -> str:
    """Run a command in a workspace and give back what it printed."""
    command = [sys.executable, "-c", "from kagglekit.cli import main; main()", *words]
    done = subprocess.run(command, cwd=workspace, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"kagglekit {' '.join(words)}: {done.stderr}")
    return done.stdout


def bundled(name: str, folder: Path) -> None:
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
    answers.assign(Usage="Private").to_csv(folder / "solution.csv", index=False)


def _plain(name: object) -> str:
    return re.sub(r"\W+", "_", str(name))


def ours(name: str, minutes: float, workspace: Path) -> Path:
    """Portfolio and blend; the experiments that `new` wrote are taken out, so that the portfolio alone counts."""
    path = workspace / "pipelines" / name / "pipeline.toml"
    path.write_text(_TABLES.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    limit = str(minutes * (1 - _RESERVED))
    kagglekit(workspace, "train", name, "--on", "arena", "--portfolio", "tabular", "--minutes", limit)
    auto = ("--set", "ensembles.blend.method=auto")
    done = kagglekit(workspace, "submit", name, "--on", "arena", "--run", "blend", "--dry-run", "--json", *auto)
    return workspace / json.loads(done)["file"]


def peer(method: str, python: Path, data: Path, metric: str, minutes: float, out: Path) -> Path | None:
    """A peer's submission file, or None where its environment lacks it."""
    script = Path(__file__).with_name("quality_peers.py")
    words = [str(python), str(script), method, str(data), metric, str(minutes), str(out)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=out.parent)
    if done.returncode:
        print(f"  {method}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}", flush=True)
        return None
    return out


def contest(word: str, args: argparse.Namespace, workspace: Path) -> dict[str, float]:
    """Every contestant's score on the hidden rows of one set; a line for each."""
    given, _, metric = word.partition("=")
    data, metric = Path(given).absolute(), metric or METRICS.get(given, "")
    name = data.name
    if given in METRICS:
        data = workspace / f"{given}-data"
        bundled(given, data)
    kagglekit(workspace, "arena", "create", str(data), "--name", name, *(("--metric", metric) if metric else ()))
    kagglekit(workspace, "new", name, "--on", "arena")
    scores: dict[str, float] = {}
    for method in [m for m in (OURS, *PEERS) if not args.only or m in args.only]:
        start = time.perf_counter()
        file = (
            ours(name, args.minutes, workspace)
            if method == OURS
            else peer(method, args.peers, data, metric, args.minutes, workspace / f"{name}-{method}.csv")
        )
        seconds = time.perf_counter() - start
        if file is not None:
            grade = json.loads(kagglekit(workspace, "arena", "grade", name, str(file), "--json"))
            scores[method] = grade["all"]
            print(f"{name:24} {metric:10} {method:18} {grade['all']:.5f}  {seconds:5.0f} s", flush=True)
    return {m: -s if metric in _LESS_IS_BETTER else s for m, s in scores.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--peers", type=lambda text: Path(text).absolute(), required=True)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--only", nargs="*", choices=(OURS, *PEERS))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as workspace:
        table = pd.DataFrame({word: contest(word, args, Path(workspace)) for word in args.sets}).T
    ranks = table.rank(axis=1, ascending=False)
    print("\nRanks (1 is best)\n", ranks.to_string(), "\n\nMean rank\n", ranks.mean().sort_values().to_string(), sep="")


if __name__ == "__main__":
    main()
