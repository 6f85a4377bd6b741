"""Zip archives that are the same bytes every time: the whole of a competition's files, and its leaderboard."""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from kagglekit.arena.hosted import Hosted
from kagglekit.arena.leaderboard import Standing
from kagglekit.files import atomic

__all__ = ["files_archive", "leaderboard_archive"]

# The first moment that a zip can name; the real time would make each build differ.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_COMPRESSED_ALREADY = {".jpg", ".jpeg", ".png", ".webp", ".zip", ".gz", ".parquet", ".npz"}


def files_archive(home: Path, hosted: Hosted) -> Path:
    """The zip of all files of a competition; built once, then kept until the competition is replaced."""
    path = home / "cache" / hosted.slug / f"{hosted.fingerprint}.zip"
    if path.is_file():
        return path
    if path.parent.is_dir():
        shutil.rmtree(path.parent)
    with atomic(path) as file, zipfile.ZipFile(file, "w") as archive:
        for hosted_file in hosted.files:
            _add(archive, hosted.files_folder / hosted_file.name, hosted_file.name)
    return path


def leaderboard_archive(home: Path, hosted: Hosted, standings: Sequence[Standing]) -> Path:
    """A zip that holds the leaderboard as a CSV."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["Rank", "TeamId", "TeamName", "LastSubmissionDate", "Score", "SubmissionCount"])
    for line in standings:
        writer.writerow([line.rank, line.team_id, line.team, line.date, repr(line.score), line.entries])
    path = home / "cache" / "leaderboards" / f"{hosted.slug}.zip"
    with atomic(path) as file, zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo(f"{hosted.slug}-publicleaderboard.csv", _EPOCH)
        archive.writestr(member, table.getvalue(), zipfile.ZIP_DEFLATED)
    return path


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    member = zipfile.ZipInfo(name, _EPOCH)
    member.compress_type = zipfile.ZIP_STORED if path.suffix.lower() in _COMPRESSED_ALREADY else zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    member.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(member, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)
