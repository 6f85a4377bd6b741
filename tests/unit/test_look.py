"""What is seen in a download, what is guessed, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from downloads import Tables, passengers, prices, save, save_images, with_target
from PIL import Image

from kagglekit.errors import DataError, KagglekitError
from kagglekit.look import look, metric_name
from kagglekit.metrics import COLUMNWISE, METRICS, get_metric


def test_a_binary_task(tmp_path: Path) -> None:
    found = look(save(tmp_path, passengers()), "boat", metric="Categorization Accuracy")
    assert (found.task, found.metric, found.form) == ("classification", "accuracy", "label")
    assert (found.id, found.target, found.sample) == ("Id", "Alive", "gender_submission.csv")
    assert (found.scheme, found.n) == ("stratified", 5)
    assert found.group is found.time is None
    assert found.guesses == ()
    assert found.n_train == 60
    assert found.reasons["task"] == "2 classes: 0 (40), 1 (20) of 60 rows."


def test_an_auc_task_wants_probabilities(tmp_path: Path) -> None:
    found = look(save(tmp_path, passengers()), "boat", metric="Area Under Receiver Operating Characteristic Curve")
    assert (found.metric, found.form) == ("roc_auc", "probability")


def test_fractions_in_the_sample_suggest_auc(tmp_path: Path) -> None:
    found = look(save(tmp_path, with_target(np.arange(60) % 2, 0.5)), "boat")
    assert (found.metric, found.form, found.guesses) == ("roc_auc", "probability", ("metric",))


def test_a_lopsided_target_is_guessed_as_rmse_and_rmsle_is_named(tmp_path: Path) -> None:
    found = look(save(tmp_path, prices()), "homes")
    assert found.metric == "rmse"
    assert "may well be rmsle" in found.reasons["metric"]


def test_ordered_numbers_keep_their_classes_for_kappa(tmp_path: Path) -> None:
    found = look(save(tmp_path, with_target(np.arange(60) % 6 + 3, 5)), "wine", metric="QuadraticWeightedKappa")
    assert (found.task, found.metric, found.form) == ("classification", "qwk", "label")
    assert found.decision == "shares"


@pytest.mark.parametrize("values", [np.arange(60) % 2, np.array(["bad", "fair", "good"] * 20)])
def test_kappa_without_ordered_numbers_takes_the_likeliest_class(values: np.ndarray, tmp_path: Path) -> None:
    assert look(save(tmp_path, with_target(values)), "wine", metric="qwk").decision == "argmax"


def test_other_metrics_take_the_likeliest_class(tmp_path: Path) -> None:
    assert look(save(tmp_path, with_target(np.arange(60) % 6)), "wine", metric="accuracy").decision == "argmax"


def test_an_unknown_metric_is_named_and_replaced_by_a_guess(tmp_path: Path) -> None:
    found = look(save(tmp_path, passengers()), "boat", metric="Frobnication Index")
    assert found.metric == "accuracy"
    assert "Frobnication Index" in found.reasons["metric"]
    assert found.guesses == ("metric",)


def test_a_column_for_each_class_asks_for_probabilities(tmp_path: Path) -> None:
    tables = with_target(np.array(["ant", "bee", "fly"] * 20))
    sample = tables.pop("gender_submission.csv")
    tables["sample_submission.csv"] = sample[["Id"]].assign(ant=0.3, bee=0.3, fly=0.4)
    found = look(save(tmp_path, tables), "insects")
    assert (found.target, found.metric, found.form) == ("Alive", "log_loss", "probabilities")


def test_groups_that_never_cross_into_test_keep_folds_apart(tmp_path: Path) -> None:
    tables = passengers()
    tables["train.csv"]["patient"] = [f"p{i // 4}" for i in range(60)]
    tables["test.csv"]["patient"] = [f"q{i // 2}" for i in range(20)]
    found = look(save(tmp_path, tables), "boat")
    assert (found.group, found.scheme) == ("patient", "stratified-group")
    assert "none is in both" in found.reasons["group"]


def test_a_value_that_crosses_into_test_makes_no_group(tmp_path: Path) -> None:
    tables = passengers()
    tables["train.csv"]["patient"] = [f"p{i // 4}" for i in range(60)]
    tables["test.csv"]["patient"] = ["p0"] + [f"q{i // 2}" for i in range(19)]
    assert look(save(tmp_path, tables), "boat").group is None


def test_a_later_test_set_is_validated_forward_in_time(tmp_path: Path) -> None:
    tables = passengers()
    tables["train.csv"]["day"] = pd.date_range("2020-01-01", periods=60).strftime("%Y-%m-%d")
    tables["test.csv"]["day"] = pd.date_range("2021-01-01", periods=20).strftime("%Y-%m-%d")
    found = look(save(tmp_path, tables), "boat")
    assert (found.time, found.scheme) == ("day", "time")
    assert "2020-02-29" in found.reasons["time"]


def test_dates_that_overlap_are_left_alone(tmp_path: Path) -> None:
    tables = passengers()
    for name in ("train.csv", "test.csv"):
        tables[name]["day"] = pd.date_range("2020-01-01", periods=len(tables[name])).strftime("%Y-%m-%d")
    assert look(save(tmp_path, tables), "boat").time is None


def test_columns_without_information_are_dropped_with_a_reason(tmp_path: Path) -> None:
    tables = passengers()
    for name in ("train.csv", "test.csv"):
        n = len(tables[name])
        tables[name] = tables[name].assign(
            same=7, code=[f"{name[:2]}x{i}" for i in range(n)], words=[f"word {i}" for i in range(n)]
        )
    found = look(save(tmp_path, tables), "boat")
    assert found.drop == ("same", "code")
    assert "60 different codes in 60 rows" in found.reasons["drop"]


def test_rare_classes_get_fewer_folds(tmp_path: Path) -> None:
    found = look(save(tmp_path, with_target(np.array(["a"] * 57 + ["b"] * 3))), "boat")
    assert found.n == 3


@pytest.mark.parametrize(
    ("ids", "pattern", "expected"),
    [
        (["1.jpg", "2.jpg"], lambda i, label: f"train_images/{label}/{i}", "train_images/{label}/{image_id}"),
        (["1.jpg", "2.jpg"], lambda i, label: f"train_images/{i}", "train_images/{image_id}"),
        (["a1", "a2"], lambda i, label: f"train_images/{i}.jpg", "train_images/{image_id}.jpg"),
        (["a1", "a2"], lambda i, label: f"train_images/{label}/{i}.jpg", "train_images/{label}/{image_id}.jpg"),
        (["1.jpg", "2.jpg"], lambda i, label: f"images/train/{i}", "images/train/{image_id}"),
    ],
)
def test_images_are_found(ids: list[str], pattern: Callable[[str, str], str], expected: str, tmp_path: Path) -> None:
    many = [f"{k}{i}" for k in range(1, 7) for i in ids]
    found = look(save_images(tmp_path, many, ["rust", "mould"] * 6, pattern), "leaves")
    assert found.task == "image-classification"
    assert found.train_images == expected
    assert found.test == "sample_submission.csv"
    assert "8 wide and 6 high" in found.reasons["train_images"]
    assert found.reasons["only_train"] == "Not used, because test rows lack them: age."
    assert (found.image_size, found.square) == ((8, 6), False)


def test_square_images_are_seen(tmp_path: Path) -> None:
    folder = save_images(tmp_path, ["1.jpg", "2.jpg"], ["a", "b"], lambda i, label: f"train_images/{i}")
    for path in (folder / "train_images").iterdir():
        Image.new("RGB", (9, 9)).save(path)
    found = look(folder, "leaves")
    assert (found.image_size, found.square) == ((9, 9), True)


def test_columns_whose_names_mean_something_in_a_pattern_are_no_part_of_one(tmp_path: Path) -> None:
    folder = save_images(tmp_path, ["1.jpg", "2.jpg"], ["a", "b"], lambda i, label: f"train_images/{i}")
    table = pd.read_csv(folder / "train.csv")
    for name in ("a.b", "a[0]", "a:b", "a!b"):
        table.insert(0, name, "x")
    table.to_csv(folder / "train.csv", index=False)
    assert look(folder, "leaves").train_images == "train_images/{image_id}"


def test_days_before_months_are_read_without_a_warning(tmp_path: Path) -> None:
    tables = passengers()
    tables["train.csv"]["day"] = pd.date_range("2020-01-13", periods=60).strftime("%d/%m/%Y")
    tables["test.csv"]["day"] = pd.date_range("2021-01-13", periods=20).strftime("%d/%m/%Y")
    assert look(save(tmp_path, tables), "boat").time == "day"


def test_a_missing_image_is_no_pattern(tmp_path: Path) -> None:
    folder = save_images(tmp_path, ["1.jpg", "2.jpg"], ["a", "b"], lambda i, label: f"train_images/{i}")
    (folder / "train_images/2.jpg").unlink()
    with pytest.raises(DataError, match="no table of test rows"):
        look(folder, "leaves")


def test_images_beside_a_table_that_does_not_name_them_are_mentioned(tmp_path: Path) -> None:
    save(tmp_path, passengers())
    Image.new("RGB", (8, 6)).save(tmp_path / "logo.png")
    found = look(tmp_path, "boat")
    assert found.task == "classification"
    assert "no rule was found" in found.reasons["images"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Categorization Accuracy", "accuracy"),
        ("Root Mean Squared Logarithmic Error", "rmsle"),
        ("Root-Mean-Squared-Error (RMSE)", "rmse"),
        ("Quadratic Weighted Kappa", "qwk"),
        ("QuadraticWeightedKappa", "qwk"),
        ("ROC AUC Score", "roc_auc"),
        ("Multiclass Loss", "log_loss"),
        ("Log Loss", "log_loss"),
        ("Mean Absolute Error", "mae"),
        ("MacroFScore", "f1_macro"),
        ("F1 Score", "f1"),
        ("Pearson correlation coefficient", "pearson"),
        ("MAP@3", "map@3"),
        ("Mean Average Precision @ 5", "map@5"),
        ("Matthews Correlation Coefficient", "mcc"),
        ("R2 Score", "r2"),
        ("Balanced Accuracy", None),
        ("Weighted F1 Score", None),
        ("Partial Area Under the ROC Curve", None),
        ("Cohen's Kappa with quadratic weights, weighted", "qwk"),
        ("Something Else", None),
        ("", None),
    ],
)
def test_metrics_as_pages_spell_them(words: str, expected: str | None) -> None:
    assert metric_name(words) == expected


@pytest.mark.parametrize("name", METRICS)
def test_own_metric_names_are_kept(name: str) -> None:
    assert metric_name(name) == name


@pytest.mark.parametrize("name", COLUMNWISE)
def test_of_several_targets_a_metric_is_the_mean_over_columns(name: str) -> None:
    assert metric_name(name, several=True) == name
    assert metric_name(get_metric(name).base, several=True) == name


def repeat_an_id(tables: Tables) -> None:
    tables["train.csv"].loc[1, "Id"] = 1


def lose_a_target(tables: Tables) -> None:
    tables["train.csv"]["Alive"] = tables["train.csv"]["Alive"].astype(float)
    tables["train.csv"].loc[[3, 4], "Alive"] = np.nan


def rename_the_id(tables: Tables) -> None:
    tables["test.csv"] = tables["test.csv"].rename(columns={"Id": "ID"})


def one_label(tables: Tables) -> None:
    tables["train.csv"]["Alive"] = 1


def half_a_target(tables: Tables) -> None:
    tables["gender_submission.csv"][["Age", "Mood"]] = 1.0


def a_target_of_words(tables: Tables) -> None:
    tables["gender_submission.csv"]["Port"] = "S"


def strange_target(tables: Tables) -> None:
    tables["gender_submission.csv"] = tables["gender_submission.csv"].rename(columns={"Alive": "Answer"})
    tables["train.csv"]["Extra"] = 1


def no_rows(tables: Tables) -> None:
    tables["train.csv"] = tables["train.csv"].iloc[:0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_rows, "train.csv has a header and no rows"),
        (lambda t: t.pop("train.csv"), "needs a training table"),
        (lambda t: t.pop("gender_submission.csv"), "needs a sample submission"),
        (lambda t: t.pop("test.csv"), "no table of test rows"),
        (repeat_an_id, "these repeat: 1"),
        (lose_a_target, "missing in 2 of 60 rows"),
        (rename_the_id, "test.csv has no column 'Id'"),
        (one_label, "one value only"),
        (half_a_target, "asks for 3 columns, and train.csv has no Mood"),
        (a_target_of_words, "several targets are numbers, or labels 0 and 1; 'Port' holds"),
        (strange_target, "target is not clear"),
    ],
)
def test_bad_downloads_are_refused_in_one_line(spoil: Callable[[Tables], object], message: str, tmp_path: Path) -> None:
    tables = passengers()
    spoil(tables)
    with pytest.raises(DataError, match=message) as raised:
        look(save(tmp_path, tables), "boat")
    assert "\n" not in str(raised.value)


def test_a_missing_folder_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="kagglekit download boat"):
        look(tmp_path / "nowhere", "boat")


def test_a_metric_for_numbers_refuses_text(tmp_path: Path) -> None:
    with pytest.raises(KagglekitError, match="needs numbers"):
        look(save(tmp_path, with_target(np.array(["a", "b"] * 30))), "boat", metric="rmse")


def test_the_solution_is_never_read(tmp_path: Path) -> None:
    save(tmp_path, passengers())
    (tmp_path / "solution.csv").write_bytes(b"\xff\xfe not a table")
    assert look(tmp_path, "boat").target == "Alive"
