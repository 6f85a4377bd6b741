"""One look at a download, step by step."""

from __future__ import annotations

from pathlib import Path

from kagglekit.errors import DataError
from kagglekit.look.download import read_download
from kagglekit.look.findings import Findings, Notes
from kagglekit.look.pictures import find_pictures
from kagglekit.look.rows import find_drop, find_folds, find_group, find_time
from kagglekit.look.target import check_rows, find_target
from kagglekit.look.task import find_decision, find_form, find_metric, find_task

__all__ = ["look"]


def look(raw: Path, slug: str, *, metric: str | None = None) -> Findings:
    """Look at a downloaded competition.

    Parameters
    ----------
    raw : Path
        The folder with its files.
    slug : str
    metric : str, optional
        The evaluation metric, in the competition page's words or kagglekit's.

    Raises
    ------
    DataError
        There is no training table or sample submission, or ids or targets in them are not what they must be.
    """
    if not raw.is_dir():
        raise DataError(f"There is no folder {raw}.", hint=f"Download the competition first: kagglekit download {slug}")
    notes = Notes()
    download = read_download(raw, slug, notes)
    target = find_target(download, notes)
    check_rows(download, target)
    name = find_metric(download, target, slug, metric, notes)
    pictures, folders = find_pictures(download, target, notes), download.folders
    task = find_task(target, name, pictures is not None, notes)
    if pictures is None and not download.has_test_table:
        raise DataError(
            f"There is no table of test rows in {raw}, and no images by id.", hint="Expected a file such as test.csv."
        )
    group, time = find_group(download, target, notes), find_time(download, target, notes)
    scheme, n = find_folds(download, target, task, group, time, notes)
    return Findings(
        slug=slug,
        task=task,
        metric=name,
        id=download.id,
        target=target.name,
        form=find_form(download, target, name, notes),
        train=download.train_name,
        test=download.test_name,
        sample=download.sample_name,
        group=group,
        time=time,
        train_images=pictures.train if pictures else None,
        test_images=pictures.test if pictures else None,
        train_folder=folders.train if folders else None,
        labels=folders.labels if folders else None,
        test_folder=folders.test if folders else None,
        drop=find_drop(download, target, group, time, notes),
        scheme=scheme,
        n=n,
        decision=find_decision(target, name, notes),
        targets=target.targets,
        n_train=len(target.table),
        image_size=pictures.size if pictures else None,
        square=pictures.square if pictures else False,
        reasons=notes.reasons,
        guesses=tuple(notes.guesses),
    )
