"""Zip archives that are the same bytes every time: all files of a competition, a dataset or a run; a leaderboard."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from kagglekit.arena.hosted import Hosted
from kagglekit.arena.leaderboard import Part, Standing
from kagglekit.files import atomic

__all__ = ["built", "files_archive", "leaderboard_archive"]

# The first moment that a zip can name; the real time would make each build differ.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_COMPRESSED_ALREADY = {".jpg", ".jpeg", ".png", ".webp", ".zip", ".gz", ".parquet", ".npz"}


def built(path: Path, members: Mapping[str, Path]) -> Path:
    """A zip of these files by their names in it; one that lies at `path` already is taken as it is."""
    if not path.is_file():
        with atomic(path) as file, zipfile.ZipFile(file, "w") as archive:
            for name, source in members.items():
                _add(archive, source, name)
    return path


def files_archive(home: Path, hosted: Hosted) -> Path:
    """The zip of all files of a competition; built once, then kept until the competition is replaced."""
    path = home / "cache" / hosted.slug / f"{hosted.fingerprint}.zip"
    if not path.is_file():
        built(path, {f.name: hosted.files_folder / f.name for f in hosted.files})
        for old in path.parent.glob("[!.]*.zip"):
            if old != path:
                old.unlink(missing_ok=True)
    return path


def leaderboard_archive(home: Path, hosted: Hosted, standings: Sequence[Standing], part: Part) -> Path:
    """A zip that holds the leaderboard as a CSV."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["Rank", "TeamId", "TeamName", "LastSubmissionDate", "Score", "SubmissionCount"])
    for line in standings:
        writer.writerow([line.rank, line.team_id, line.team, line.date, repr(line.score), line.entries])
    # Named by its content, so that nobody who is downloading one gets the end of another.
    digest = hashlib.sha256(table.getvalue().encode()).hexdigest()[:16]
    path = home / "cache" / "leaderboards" / hosted.slug / f"{digest}.zip"
    with atomic(path) as file, zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo(f"{hosted.slug}-{part}leaderboard.csv", _EPOCH)
        archive.writestr(member, table.getvalue(), zipfile.ZIP_DEFLATED)
    return path


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = zipfile.ZIP_STORED if path.suffix.lower() in _COMPRESSED_ALREADY else zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    member.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(member, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)
