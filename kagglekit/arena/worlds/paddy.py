"""A synthetic look-alike of Kaggle's "Paddy Doctor: Paddy Disease Classification".

Files, columns, ids, classes, imbalance and picture sizes are the real competition's; every picture is drawn by code.
Scores here say whether a pipeline works and which of two ideas is better on this practice task. They say nothing about
scores on the real photographs.

References
----------
https://www.kaggle.com/competitions/paddy-disease-classification (the layout that is imitated)
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from kagglekit.arena.worlds.base import BEST, SECRETS, World
from kagglekit.errors import DataError, MissingExtra
from kagglekit.parallel import pmap
from kagglekit.progress import Progress, Silent

__all__ = ["CLASSES", "DEFAULT_SCALE", "TITLE", "VARIETIES", "WORLD", "make", "plan"]

TITLE = "Paddy look-alike (synthetic practice data)"
DEFAULT_SCALE = 0.06
WRONG_LABELS = 0.035
_BATCH = 64

# Rows of each class and variety in the real training table.
CLASSES = {
    "bacterial_leaf_blight": 479,
    "bacterial_leaf_streak": 380,
    "bacterial_panicle_blight": 337,
    "blast": 1738,
    "brown_spot": 965,
    "dead_heart": 1442,
    "downy_mildew": 620,
    "hispa": 1594,
    "normal": 1764,
    "tungro": 1088,
}
VARIETIES = {
    "ADT45": 6992,
    "KarnatakaPonni": 988,
    "Ponni": 657,
    "AtchayaPonni": 461,
    "Zonal": 399,
    "AndraPonni": 377,
    "Onthanel": 351,
    "IR20": 114,
    "RR": 36,
    "Surya": 32,
}
N_TEST = 3469

# What an expert might take each for: those labels that are wrong say this.
_MISTAKEN = {
    "bacterial_leaf_blight": "tungro",
    "bacterial_leaf_streak": "brown_spot",
    "bacterial_panicle_blight": "normal",
    "blast": "brown_spot",
    "brown_spot": "blast",
    "dead_heart": "normal",
    "downy_mildew": "hispa",
    "hispa": "normal",
    "normal": "hispa",
    "tungro": "bacterial_leaf_blight",
}
# Stem borers kill shoots of young plants; ears exist in old ones only.
_MEAN_AGE = {"dead_heart": 56, "tungro": 60, "hispa": 62, "downy_mildew": 65, "bacterial_panicle_blight": 76}
_SUSCEPTIBLE = {"tungro": 0.7, "downy_mildew": 0.5, "normal": -0.4, "hispa": -0.3, "blast": 0.3}

README = f"""{TITLE}

Every picture in this folder was drawn by a program. None is a photograph, and none comes from Kaggle.
The files imitate the layout of https://www.kaggle.com/competitions/paddy-disease-classification, so that the
whole way from download to submission can be practised without an account. A score on these files is a practice
score; it says nothing about the real competition.

train.csv               image_id, label, variety, age (days)
train_images/LABEL/ID   480 x 640 pictures, a few of them 640 x 480
test_images/ID          the same, without labels
sample_submission.csv   image_id, label (empty: fill in one of the ten labels)

About {WRONG_LABELS:.1%} of the labels are wrong on purpose, in both parts, as in real collections. Metric: accuracy.
"""


@dataclass(frozen=True)
class _Job:
    """One picture to draw."""

    seed: int
    number: int
    path: Path
    label: str
    variety: int
    age: int
    size: tuple[int, int]


def make(
    folder: Path,
    *,
    scale: float | None = None,
    seed: int = 2022,
    progress: Progress | None = None,
    n_jobs: int | None = None,
) -> None:
    """Write the competition into a folder.

    Parameters
    ----------
    folder : Path
        Made when missing. It gets train.csv, train_images/, test_images/, sample_submission.csv, README.txt and
        solution.csv (columns image_id, label and Usage) and .answers/best.csv, which no competitor may see.
    scale : float, optional
        Share of the full 10,407 training and 3,469 test images; by default 0.06, which gives 625 and 209.
        A picture is the same at every scale.
    seed : int
        Another seed draws another world.
    progress : Progress, optional
    n_jobs : int, optional
        Processes that draw; by default as many as there are processors.

    Raises
    ------
    DataError
        The scale is not above 0 and at most 1.
    MissingExtra
        Pillow is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        raise MissingExtra("Drawing practice pictures", "pillow", "arena")
    progress = progress or Silent()
    train, test = plan(DEFAULT_SCALE if scale is None else scale, seed)
    jobs = _jobs(folder, train, "train_images", seed) + _jobs(folder, test, "test_images", seed)
    for parent in {job.path.parent for job in jobs}:
        parent.mkdir(parents=True, exist_ok=True)
    _draw_all(jobs, progress, -1 if n_jobs is None else n_jobs)
    _write_tables(folder, train, test)


def plan(scale: float, seed: int = 2022) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training and test tables at a scale.

    Returns
    -------
    train : DataFrame
        Columns image_id, label, variety, age, and `drawn`: what the picture shows. It is not the label where that is
        wrong.
    test : DataFrame
        The same, and Usage.
    """
    if not 0 < scale <= 1:
        raise DataError(f"The scale of a world must be above 0 and at most 1, got {scale}.")
    train = _table(100_001, sum(CLASSES.values()), seed)
    test = _table(200_001, N_TEST, seed + 1)
    return _subset(train, scale, least=6), _usage(_subset(test, scale, least=2))


def _table(first_id: int, n: int, seed: int) -> pd.DataFrame:
    """The full table; a smaller world takes some of its rows, so that a picture is the same at every scale."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(list(CLASSES), _shares(list(CLASSES.values()), n)))
    frame = pd.DataFrame({"number": np.arange(first_id, first_id + n), "label": labels})
    wrong = rng.random(n) < WRONG_LABELS
    frame["drawn"] = np.where(wrong, frame["label"].map(_MISTAKEN), frame["label"])
    # Sorted by susceptibility plus luck, rare varieties last: exact counts that still lean with the disease.
    order = np.argsort(frame["drawn"].map(_SUSCEPTIBLE).fillna(0).to_numpy() + rng.normal(0, 1.2, n), kind="stable")
    frame["variety"] = ""
    frame.loc[order, "variety"] = np.repeat(list(VARIETIES), _shares(list(VARIETIES.values()), n))
    age = frame["drawn"].map(_MEAN_AGE).fillna(66) + rng.normal(0, 5.5, n)
    frame["age"] = age.round().clip(45, 82).astype(int)
    frame["luck"] = rng.random(n)
    # The real training set has four pictures that lie on their side. These four are in a world of any scale.
    first = frame.groupby("label")["luck"].transform("min") == frame["luck"]
    frame["on_side"] = first & frame["label"].isin(["blast", "dead_heart", "hispa", "normal"])
    frame["image_id"] = frame["number"].astype(str) + ".jpg"
    return frame


def _shares(counts: list[int], n: int) -> list[int]:
    """Whole numbers that sum to n in proportion to counts (largest remainders)."""
    exact = np.asarray(counts) * n / sum(counts)
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: n - whole.sum()]] += 1
    return whole.tolist()


def _subset(frame: pd.DataFrame, scale: float, least: int) -> pd.DataFrame:
    sizes = {label: max(least, round(len(rows) * scale)) for label, rows in frame.groupby("label")}
    rank = frame.groupby("label")["luck"].rank(method="first")
    return frame[rank <= frame["label"].map(sizes)].reset_index(drop=True)


def _usage(test: pd.DataFrame) -> pd.DataFrame:
    """A quarter of the test rows count for the public leaderboard."""
    public = test["luck"].rank(pct=True, method="first") <= 0.25
    return test.assign(Usage=np.where(public, "Public", "Private"))


def _jobs(folder: Path, table: pd.DataFrame, images: str, seed: int) -> list[_Job]:
    from kagglekit.arena.worlds.plants import SIZE

    varieties = {name: i for i, name in enumerate(VARIETIES)}
    jobs = []
    for row in table.to_dict("records"):
        below = Path(images, row["label"]) if images == "train_images" else Path(images)
        size = SIZE[::-1] if row["on_side"] and images == "train_images" else SIZE
        path = folder / below / row["image_id"]
        jobs.append(_Job(seed, row["number"], path, row["drawn"], varieties[row["variety"]], row["age"], size))
    return jobs


def _draw_all(jobs: list[_Job], progress: Progress, n_jobs: int) -> None:
    with progress.task("Drawing practice pictures", len(jobs)) as task:
        for start in range(0, len(jobs), _BATCH):
            batch = jobs[start : start + _BATCH]
            pmap(_draw, batch, n_jobs)
            task.advance(len(batch))


def _draw(job: _Job) -> None:
    from kagglekit.arena.worlds.plants import Plant, encode, photograph

    rng = np.random.default_rng([job.seed, job.number])
    job.path.write_bytes(encode(photograph(Plant(job.label, job.variety, job.age), rng, job.size)))


def _write_tables(folder: Path, train: pd.DataFrame, test: pd.DataFrame) -> None:
    columns = ["image_id", "label", "variety", "age"]
    train.sort_values(["label", "number"])[columns].to_csv(folder / "train.csv", index=False)
    test = test.sort_values("number")
    test[["image_id"]].assign(label="").to_csv(folder / "sample_submission.csv", index=False)
    test[["image_id", "label", "Usage"]].to_csv(folder / "solution.csv", index=False)
    (folder / SECRETS).mkdir()
    # Nobody can tell a wrong label from a right one: what the picture shows is the best answer.
    best = test[["image_id"]].assign(label=test["drawn"])
    best.to_csv(folder / SECRETS / BEST, index=False)
    (folder / "README.txt").write_text(README, encoding="utf-8")


WORLD = World(
    name="paddy",
    slug="paddy-disease-classification",
    title=TITLE,
    task="image-classification",
    metric="accuracy",
    n_train=sum(CLASSES.values()),
    n_test=N_TEST,
    make=make,
    summary="ten diseases of rice plants, drawn by code: 625 pictures to train on, 209 to label",
    teaches=(
        "Ten classes of very unequal size, on photographs that are wider than what matters. It teaches the ladder "
        "of image models: frozen features first, then a small trained network, then size, crops and longer "
        "training, each as one change.\n\n"
        "Worth trying: do more pixels help, as lesions are small? Does cropping lose to squishing? Does averaging "
        "over the mirror image help? Do frozen and trained networks err on different leaves, so that a blend wins?"
    ),
    best=f"about {WRONG_LABELS:.1%} of the labels are wrong, and nobody can tell which from the picture.",
    seed=2022,
    scale=DEFAULT_SCALE,
    version=2,
)
