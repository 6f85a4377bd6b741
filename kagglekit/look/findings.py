"""What was found in a download, and the reasons for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kagglekit.contracts import Decision, Form, Task

__all__ = ["Findings", "Notes"]


@dataclass(frozen=True)
class Findings:
    """What was found in a download.

    Parameters
    ----------
    slug, task, metric, id, target, form, group, time, decision, targets
        As in `kagglekit.contracts.Competition`.
    train, test, sample : str
        Files inside the download. Where test rows have no table of their own, `test` is the sample submission.
    train_images, test_images : str, optional
        Patterns such as `"train_images/{label}/{image_id}"`.
    train_folder, labels, test_folder : str, optional
        Where there is no training table: the folder of labelled images, how they are labelled ("folder" or a regular
        expression), and the folder of those to predict. `train`, `test` and, if it is not there, `sample` are "" then.
    drop : tuple of str
        Columns that nothing can be learnt from.
    scheme, n
        The folds.
    n_train : int
        Training rows.
    image_size : (int, int), optional
        The commonest width and height of the images that were looked at, in pixels.
    square : bool
        Whether all of those are as wide as high, so that squishing and cropping are the same.
    reasons : mapping of str to str
        For each key above, what was seen; also "new" for the head of the file.
    guesses : tuple of str
        The keys that nothing in the files settles.
    """

    slug: str
    task: Task
    metric: str
    id: str
    target: str
    form: Form
    train: str
    test: str
    sample: str
    group: str | None = None
    time: str | None = None
    train_images: str | None = None
    test_images: str | None = None
    train_folder: str | None = None
    labels: str | None = None
    test_folder: str | None = None
    drop: tuple[str, ...] = ()
    scheme: str = "kfold"
    n: int = 5
    decision: Decision = "argmax"
    targets: tuple[str, ...] = ()
    n_train: int = 0
    image_size: tuple[int, int] | None = None
    square: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)
    guesses: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Notes:
    """What was seen for each key, and the keys that are guesses, written down while one looks."""

    reasons: dict[str, str] = field(default_factory=dict)
    guesses: list[str] = field(default_factory=list)
