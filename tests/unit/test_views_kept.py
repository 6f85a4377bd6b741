from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vision_pictures import pictures

from kagglekit.config import Experiment
from kagglekit.console import table
from kagglekit.contracts import Competition, Folds
from kagglekit.dataset import Prepared
from kagglekit.folds import make_folds
from kagglekit.scoring import kept_if_better
from kagglekit.store import Store
from kagglekit.train import train

CLASSES = ("a", "b")
FACTS = Competition(
    slug="s", task="classification", metric="accuracy", id="id", target="y", classes=CLASSES, form="label"
)


def made(n: int, right: float, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Predictions that are right in a share of the rows, and the labels."""
    r = np.random.default_rng(seed)
    ids = pd.Index([f"i{k}" for k in range(n)])
    y = np.random.default_rng(99).integers(0, 2, n)
    said = np.where(r.random(n) < right, y, 1 - y)
    frame = pd.DataFrame(np.eye(2)[said], index=ids, columns=list(CLASSES))
    return frame, pd.Series(np.array(CLASSES)[y], index=ids)


def folds(ids: pd.Index, scheme: str = "kfold") -> Folds:
    return Folds(pd.DataFrame({"r0": np.arange(len(ids)) % 4 - (scheme == "time")}, index=ids), scheme, 0)


def test_what_wins_by_far_is_kept_and_what_does_not_is_left() -> None:
    worse, y = made(400, 0.6)
    better, _ = made(400, 0.9, seed=1)
    oof, test, facts = kept_if_better((worse, worse), (better, better), y, folds(y.index), FACTS)
    pd.testing.assert_frame_equal(oof.loc[better.index], better)
    assert test is better and facts["kept"] and facts["kept_folds"] == 4
    assert facts["augmented"] - facts["plain"] == pytest.approx(facts["difference"])
    oof, test, facts = kept_if_better((better, better), (worse, worse), y, folds(y.index), FACTS)
    pd.testing.assert_frame_equal(oof.loc[better.index], better)
    assert test is better and not facts["kept"] and facts["kept_folds"] == 0
    _, test, facts = kept_if_better((better, better), (worse, worse), y, folds(y.index), FACTS, always=True)
    assert test is worse and facts["kept_folds"] == 4


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 3), st.integers(0, 99))
def test_labels_of_a_fold_have_no_say_in_what_it_is_scored_by(fold: int, seed: int) -> None:
    (plain, y), (other, _) = made(120, 0.6), made(120, 0.75, seed=1)
    cut = folds(y.index)
    own = y.index[cut.assignment["r0"] == fold]
    changed = y.copy()
    changed.loc[own] = np.random.default_rng(seed).permutation(y.loc[own])
    before, after = (kept_if_better((plain, plain), (other, other), by, cut, FACTS)[0] for by in (y, changed))
    pd.testing.assert_frame_equal(before.loc[own], after.loc[own])


def test_earlier_folds_alone_decide_for_a_later_one() -> None:
    (worse, y), (better, _) = made(400, 0.6), made(400, 0.9, seed=1)
    cut = folds(y.index, "time")
    oof, _, facts = kept_if_better((worse, worse), (better, better), y, cut, FACTS)
    first = y.index[cut.assignment["r0"] == 0]
    pd.testing.assert_frame_equal(oof.loc[first], worse.loc[first])
    assert facts["kept_folds"] == 2


def test_of_two_that_say_the_same_by_chance_neither_gains() -> None:
    """On average the score of what was kept is that of either: choosing wins nothing by itself."""
    gains = []
    for seed in range(20):
        (plain, y), (other, _) = made(100, 0.5, 2 * seed), made(100, 0.5, 2 * seed + 1)
        oof, _, _ = kept_if_better((plain, plain), (other, other), y, folds(y.index), FACTS)
        kept = (oof.loc[y.index].idxmax(axis=1) == y).mean()
        gains.append(kept - 0.5)
    assert abs(np.mean(gains)) < 3 * np.std(gains) / np.sqrt(len(gains)) + 1e-9


def test_a_run_tells_both_scores_and_goes_on_from_its_folds(tmp_path: Path) -> None:
    X, y = pictures(tmp_path / "images", 24)
    new_X, _ = pictures(tmp_path / "new", 4, seed=1)
    facts = {"slug": "discs", "task": "image-classification", "metric": "log_loss", "id": "image_id", "target": "label"}
    prepared = Prepared(
        competition=Competition(**facts, classes=tuple(sorted(y.unique())), form="probabilities"),
        train=X.join(y),
        test=new_X,
        sample=pd.DataFrame({"image_id": new_X.index}),
        folds=make_folds(y.index, y=y, scheme="stratified", n=2, seed=0),
        data="data",
        cache=tmp_path / "cache",
    )
    tiny = {"arch": "test_resnet", "weights": "random", "size": (24, 16), "epochs": 1, "freeze_epochs": 0}
    looked = Experiment("it", "why", "timm", {**tiny, "tta": "flips"}, keep_tta="always")
    store = Store(tmp_path / "runs")
    run = train(prepared, looked, store)
    assert run.tta["views"] == "flips" and run.tta["kept"]
    assert run.score == pytest.approx(run.tta["augmented"])
    plain = train(prepared, Experiment("plain", "why", "timm", tiny), store)
    assert plain.tta == {} and plain.score == pytest.approx(run.tta["plain"], abs=1e-6)
    fold = store.fold(run.id, "fold-0")
    assert fold is not None and fold.plain is not None
    pd.testing.assert_frame_equal(fold.plain[0].frame, plain.oof.frame.loc[fold.oof.ids], atol=1e-6)
    copied = Store(tmp_path / "copied")
    assert copied.take(store.folder / run.id, store_settings(store, run.id)) == ["fold-0", "fold-1", "run"]
    again = copied.fold(run.id, "fold-0")
    assert again is not None and again.plain is not None


def store_settings(store: Store, run: str) -> dict[str, object]:
    from kagglekit.files import read_json

    return dict(read_json(store.folder / run / "settings.json"))


def test_the_board_shows_what_the_views_changed() -> None:
    from test_console import row

    tta = {"views": "flip", "plain": 0.8, "augmented": 0.81, "difference": 0.01, "low": -0.002, "high": 0.022}
    shown = table([row("it", 0.8, tta={**tta, "kept": False, "kept_folds": 0, "folds": 5})], "accuracy")
    assert "tta flip: 0.8000 without, 0.8100 with; gain +0.0100 (-0.0020 to +0.0220): not kept" in shown
    shown = table([row("it", 0.8, tta={**tta, "kept": True, "kept_folds": 4, "folds": 5})], "accuracy")
    assert "kept for test and 4 of 5 folds" in shown
