"""What a run is given below /kaggle/input: competitions, datasets, and the output of other notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kagglekit.arena.dataset_store import DatasetStore
from kagglekit.arena.hosted import Hosted, is_hosted, open_hosted
from kagglekit.arena.kernel_store import KernelRecord, KernelStore
from kagglekit.arena.runner import output_files
from kagglekit.arena.running.queue import Run, RunQueue
from kagglekit.files import link_or_copy
from kagglekit.sandbox import Place, mounted_at

__all__ = ["Inputs", "run_folder"]


def run_folder(home: Path, run: int) -> Path:
    """Where the files of a run lie."""
    return home / "kernels" / str(run)


class Inputs:
    """Finds what a notebook asked for when it was pushed.

    Parameters
    ----------
    home : Path
        The arena's.
    owner : str
        The name of its one account.
    """

    def __init__(self, home: Path, owner: str) -> None:
        self._home, self._owner = home, owner
        path = home / "arena.db"
        self._datasets, self._kernels, self._runs = (
            DatasetStore(path, home / "content"),
            KernelStore(path),
            RunQueue(path),
        )

    def of(self, run: Run, kernel: KernelRecord, folder: Path) -> dict[str, Path]:
        """Folders by their places below /kaggle/input; those that had to be put together lie in `folder`."""
        found: dict[str, Path] = {}
        for slug in _sources(kernel, "competition"):
            if is_hosted(self._home, slug):
                found[mounted_at("competition", "", slug)] = self._competition(open_hosted(self._home, slug), run)
        for slug in _sources(kernel, "dataset"):
            if (dataset := self._datasets.find(slug)) is not None:
                files = {f.name: self._datasets.content(f.sha256) for f in dataset.latest.files}
                found[mounted_at("dataset", self._owner, slug)] = _linked(files, folder / "datasets" / slug)
        for slug in _sources(kernel, "kernel"):
            if (output := self._output(slug, before=run)) is not None:
                files = {name: output / name for name in output_files(output)}
                found[mounted_at("kernel", self._owner, slug)] = _linked(files, folder / "kernels" / slug)
        return found

    def _competition(self, hosted: Hosted, run: Run) -> Path:
        """What anybody may download; for a submission, the hidden test set in its place."""
        is_scored = run.submission is not None and hosted.is_code
        return hosted.hidden_folder if is_scored else hosted.files_folder

    def _output(self, slug: str, before: Run) -> Path | None:
        """What the last complete run of a notebook left behind; its own earlier one, where it asks for itself."""
        version = self._kernels.find(slug)
        while version is not None:
            for run in self._runs.of_kernel(version.id):
                if run.status == "COMPLETE" and run.id < before.id:
                    return Place(run_folder(self._home, run.id)).working
            version = self._kernels.find(slug, version.version - 1)
        return None


def _sources(kernel: KernelRecord, kind: str) -> Iterable[str]:
    """Slugs of the sources of one kind; the site writes "competitions/x" and "owner/x"."""
    return [str(source).rpartition("/")[2] for source in kernel.facts.get(f"{kind}DataSources", ())]


def _linked(files: Mapping[str, Path], folder: Path) -> Path:
    """A folder that holds these files by their names; no byte is copied where the disk can link."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, path in files.items():
        link_or_copy(path, folder / name)
    return folder
