"""Parcels on the site: sent only when their content changed, and waited for until they can be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kagglekit.dataset_calls import DatasetCalls
from kagglekit.errors import GatewayError, Unreachable
from kagglekit.kernels.parcels import Parcel
from kagglekit.kernels.secrets import refuse_secrets
from kagglekit.progress import Progress, Silent

__all__ = ["Synced", "sync"]

_READY = "READY"
_FAILED = ("FAILED", "DELETED")


@dataclass(frozen=True)
class Synced:
    """One dataset, as it is on the site now."""

    address: str
    digest: str
    was_sent: bool

    def words(self) -> str:
        """For people."""
        return f"{self.address} {self.digest}: {'sent' if self.was_sent else 'unchanged'}"


def sync(
    datasets: DatasetCalls,
    parcels: Iterable[Parcel],
    *,
    progress: Progress | None = None,
    timeout: float = 1800.0,
    pause: float = 2.0,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Synced]:
    """Bring the site's private datasets up to date.

    Parameters
    ----------
    datasets : DatasetCalls
    parcels : iterable of Parcel
    progress : Progress, optional
    timeout : float
        Seconds to wait for each until the site has it ready.
    pause : float
        Seconds between two looks.
    sleep : callable
        Waits so many seconds.

    Raises
    ------
    UsageError
        A file holds a token; nothing of its parcel was sent.
    GatewayError
        The site refuses a dataset, or does not show the files that it was sent.
    """
    return [_one(datasets, p, progress or Silent(), timeout, pause, sleep) for p in parcels]


def _one(
    datasets: DatasetCalls,
    parcel: Parcel,
    progress: Progress,
    timeout: float,
    pause: float,
    sleep: Callable[[float], None],
) -> Synced:
    wait = _Wait(datasets, parcel, timeout, pause, sleep)
    address = f"{datasets.owner}/{parcel.slug}"
    wait.until_settled()  # an earlier command may have been interrupted while it waited
    if wait.is_there():
        return Synced(address, parcel.digest, was_sent=False)
    paths = [parcel.folder / name for name in parcel.names]
    refuse_secrets(paths)
    progress.say(f"Sending the dataset {address}: {sum(p.stat().st_size for p in paths) / 1e6:.1f} MB.")
    if datasets.status(parcel.slug):
        datasets.add_version(parcel.slug, f"content {parcel.digest}", paths)
    else:
        datasets.create(parcel.slug, parcel.title, paths)
    wait.until_there()
    return Synced(address, parcel.digest, was_sent=True)


@dataclass(frozen=True)
class _Wait:
    """Looks at a dataset until it is what it should be."""

    datasets: DatasetCalls
    parcel: Parcel
    timeout: float
    pause: float
    sleep: Callable[[float], None]

    def is_there(self) -> bool:
        """Whether it is ready and holds exactly these files, by the digest in the manifest's name."""
        slug = self.parcel.slug
        return self.datasets.status(slug) == _READY and self.datasets.files(slug) == self.parcel.names

    def until_settled(self) -> None:
        self._until(lambda: self.datasets.status(self.parcel.slug) in ("", _READY, *_FAILED))

    def until_there(self) -> None:
        # Right after a new version the site may still speak of the one before: the files are what proves it.
        self._until(self._is_there_or_failed)

    def _is_there_or_failed(self) -> bool:
        if (status := self.datasets.status(self.parcel.slug)) in _FAILED:
            raise GatewayError(
                f"The site could not make the dataset {self.datasets.owner}/{self.parcel.slug} ({status}).",
                hint="Look at it on the site; delete it there, and it is made anew.",
            )
        return self.is_there()

    def _until(self, is_so: Callable[[], bool]) -> None:
        waited = 0.0
        while not is_so():
            if waited >= self.timeout:
                shown = len(self.datasets.files(self.parcel.slug))
                raise Unreachable(
                    f"The dataset {self.datasets.owner}/{self.parcel.slug} is not ready after {waited:.0f} s; the site "
                    f"shows {shown} of {len(self.parcel.names)} files.",
                    hint="Run the same command again: it goes on waiting.",
                )
            self.sleep(self.pause)
            waited += self.pause
