"""Where things lie: the one place that knows the top-level folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["SiteName", "Workspace"]

SiteName = Literal["kaggle", "arena"]


@dataclass(frozen=True)
class Workspace:
    """The folder a user works in.

    Practice data and runs lie apart from Kaggle's (`data/arena/<slug>` beside `data/<slug>`): both may have the same
    slug, and a practice run must never end in a real submission.

    Parameters
    ----------
    root : Path
        The folder that holds `pipelines/`.
    site : {"kaggle", "arena"}
    """

    root: Path
    site: SiteName

    def _of_site(self, top: str, slug: str) -> Path:
        return self.root / top / slug if self.site == "kaggle" else self.root / top / "arena" / slug

    def data(self, slug: str) -> Path:
        """`raw/` as downloaded, and what `prepare` made of it."""
        return self._of_site("data", slug)

    def runs(self, slug: str) -> Path:
        return self._of_site("runs", slug)

    def pipeline(self, comp: str) -> Path:
        return self.root / "pipelines" / comp / "pipeline.toml"

    def submissions(self, comp: str) -> Path:
        return self.root / "submissions" / comp

    def kernel(self, slug: str) -> Path:
        """Where the notebook of a kernel is built."""
        return self.root / "build" / "kernels" / slug

    @property
    def kernel_data(self) -> Path:
        """Where the datasets that notebooks read are made ready."""
        return self.root / "build" / "datasets"

    @property
    def rehearsals(self) -> Path:
        """Where rehearsed notebooks leave their output, a folder each."""
        return self.root / "build" / "rehearsals"

    def ledger(self, comp: str) -> Path:
        """Kaggle's ledger belongs in git; the arena's is as local as the arena itself."""
        return self.submissions(comp) / ("ledger.jsonl" if self.site == "kaggle" else "practice.jsonl")

    def report(self, comp: str, what: str = "") -> Path:
        """Where a page of results goes; `what` tells one kind from another."""
        return self.root / "reports" / f"{comp}{what}.html"

    def sheets(self, comp: str) -> Path:
        """Where sheets of pictures go."""
        return self.root / "reports" / comp

    def exports(self, comp: str) -> Path:
        """Where exported models go."""
        return self.root / "exports" / comp

    @property
    def arena(self) -> Path:
        """The state of this workspace's arena: hosted competitions and their leaderboards."""
        return self.root / ".arena"

    def pipelines(self) -> list[str]:
        """Names of the competitions that have a pipeline file."""
        return sorted(p.parent.name for p in (self.root / "pipelines").glob("*/pipeline.toml"))
