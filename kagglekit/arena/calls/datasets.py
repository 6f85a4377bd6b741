"""Datasets: made from uploads, versioned, described, listed and downloaded."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from kagglekit.archives import unzip
from kagglekit.arena.dataset_store import DatasetFile, DatasetRecord, DatasetVersion, Settings, Taken
from kagglekit.arena.desk import Answer, Desk, Fields, Redirect, Refusal, page
from kagglekit.arena.uploads import upload_path, uploaded
from kagglekit.errors import DataError

__all__ = [
    "create_dataset",
    "create_dataset_version",
    "create_dataset_version_by_id",
    "delete_dataset",
    "download_dataset",
    "get_dataset",
    "get_dataset_metadata",
    "get_dataset_status",
    "list_dataset_files",
    "list_datasets",
    "update_dataset_metadata",
]

_SLUG = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,49}")
_MOST_UNPACKED = 1 << 36
_WHOLE = "archive.zip"
#: Groups that do not list both private and public datasets: the values of "is private" that they list.
_LISTED = {
    "DATASET_SELECTION_GROUP_PUBLIC": (False,),
    "DATASET_SELECTION_GROUP_MY_PUBLIC": (False,),
    "DATASET_SELECTION_GROUP_MY_PRIVATE": (True,),
}


def create_dataset(desk: Desk, fields: Fields) -> Answer:
    title = fields.text("title") or fields.text("slug")
    slug = fields.text("slug") or re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    if (fields.text("ownerSlug") or desk.identity.username) != desk.identity.username:
        raise Refusal(403, f"A dataset's owner must be {desk.identity.username} here.")
    if not _SLUG.fullmatch(slug):
        raise Refusal(400, "A dataset's name must hold 3 to 50 letters a-z, digits and single hyphens.")
    if desk.datasets.find(slug) is not None:
        return _taken(title)
    settings = Settings(
        title=title,
        subtitle=fields.text("subtitle"),
        description=fields.text("description"),
        license_name=fields.text("licenseName"),
        keywords=fields.texts("categoryIds"),
        is_private=fields.flag("isPrivate"),
    )
    with _files(desk, fields) as files:
        try:
            record = desk.datasets.create(slug, settings, files, desk.now())
        except Taken:
            return _taken(title)
    return _created(desk, record)


def create_dataset_version(desk: Desk, fields: Fields) -> Answer:
    return _new_version(desk, _own(desk, fields), fields.part("body"))


def create_dataset_version_by_id(desk: Desk, fields: Fields) -> Answer:
    record = desk.datasets.numbered(fields.number("id"))
    if record is None:
        raise Refusal(404, "There is no such dataset.")
    return _new_version(desk, record, fields.part("body"))


def get_dataset(desk: Desk, fields: Fields) -> Answer:
    record = _own(desk, fields)
    files = [_file(record.latest, f) for f in record.latest.files[:20]]
    return _dataset(desk, record) | {"files": files, "versions": [_version(desk, v) for v in record.versions]}


def get_dataset_status(desk: Desk, fields: Fields) -> Answer:
    _own(desk, fields)
    return {"status": "READY"}


def get_dataset_metadata(desk: Desk, fields: Fields) -> Answer:
    record = _own(desk, fields)
    settings = record.settings
    info = {
        "datasetId": record.id,
        "datasetSlug": record.slug,
        "ownerUser": desk.identity.username,
        "title": settings.title,
        "subtitle": settings.subtitle,
        "description": settings.description,
        "isPrivate": settings.is_private,
        "keywords": list(settings.keywords),
        "licenses": [{"name": settings.license_name}] if settings.license_name else [],
        "data": [{"name": f.name, "totalBytes": f.bytes} for f in record.latest.files],
    }
    return {"info": info}


def update_dataset_metadata(desk: Desk, fields: Fields) -> Answer:
    record, given = _own(desk, fields), fields.part("settings")
    licences = [part.text("name") for part in given.parts("licenses")]
    settings = Settings(
        title=given.text("title") or record.settings.title,
        subtitle=given.text("subtitle"),
        description=given.text("description"),
        license_name=licences[0] if licences else record.settings.license_name,
        keywords=given.texts("keywords"),
        is_private=given.flag("isPrivate"),
    )
    desk.datasets.change(record, settings)
    return {"errors": []}


def list_datasets(desk: Desk, fields: Fields) -> Answer:
    """Everybody's list holds the public ones; one's own list holds all."""
    search, user = fields.text("search").lower(), fields.text("user")
    is_private = _LISTED.get(fields.text("group") or "DATASET_SELECTION_GROUP_PUBLIC", (True, False))
    kept = [
        r
        for r in desk.datasets.all()
        if search in f"{r.slug} {r.settings.title}".lower()
        and user in ("", desk.identity.username)
        and r.settings.is_private in is_private
    ]
    found, following = page(kept, fields)
    return {"datasets": [_dataset(desk, r) for r in found], "nextPageToken": following}


def list_dataset_files(desk: Desk, fields: Fields) -> Answer:
    version = _asked_version(_own(desk, fields), fields)
    found, following = page(version.files, fields)
    return {"datasetFiles": [_file(version, f) for f in found], "nextPageToken": following}


def download_dataset(desk: Desk, fields: Fields) -> Answer:
    """One file, or with no name all of them as a zip."""
    record, name = _own(desk, fields), fields.text("fileName")
    version = _asked_version(record, fields)
    claim = {"kind": "dataset", "id": str(record.id), "version": str(version.number)}
    if not name:
        return Redirect(claim, f"{record.slug}.zip")
    if not any(f.name == name for f in version.files):
        raise Refusal(404, f"Version {version.number} of {record.slug} has no file of this name.")
    return Redirect(claim | {"name": name}, Path(name).name)


def delete_dataset(desk: Desk, fields: Fields) -> Answer:
    record = _own(desk, fields)
    desk.datasets.delete(record)
    shutil.rmtree(desk.home / "cache" / "datasets" / str(record.id), ignore_errors=True)
    return {}


def _new_version(desk: Desk, record: DatasetRecord, body: Fields) -> Answer:
    with _files(desk, body) as files:
        changed = desk.datasets.add_version(
            record, body.text("versionNotes"), files, desk.now(), delete_old=body.flag("deleteOldVersions")
        )
    settings = changed.settings
    described = replace(
        settings,
        subtitle=body.text("subtitle") or settings.subtitle,
        description=body.text("description") or settings.description,
    )
    if described != settings:
        desk.datasets.change(changed, described)
    return _created(desk, changed)


def _own(desk: Desk, fields: Fields) -> DatasetRecord:
    record = desk.datasets.find(fields.text("datasetSlug"))
    if record is None or (fields.text("ownerSlug") or desk.identity.username) != desk.identity.username:
        raise Refusal(404, "There is no such dataset.")
    return record


def _asked_version(record: DatasetRecord, fields: Fields) -> DatasetVersion:
    number = fields.number("datasetVersionNumber")
    version = record.version(number)
    if version is None:
        raise Refusal(404, f"The dataset {record.slug} has no version {number}.")
    return version


@contextmanager
def _files(desk: Desk, fields: Fields) -> Iterator[dict[str, Path]]:
    """Names in the dataset, and where the bytes lie while the block runs; their uploads are used up after it.

    A zip becomes a folder of its name, which is how the `kaggle` command sends folders; `archive.zip`, alone, is how
    `kagglehub` sends more than fifty files, and becomes the dataset itself.
    """
    sent = list(_sent(desk, fields, ""))
    if not sent:
        raise Refusal(400, "A dataset needs at least one file.")
    found: dict[str, Path] = {}
    (desk.home / "cache").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacked.", dir=desk.home / "cache") as folder:
        for number, (name, path) in enumerate(sent):
            into = Path(folder) / str(number)
            for member, content in _unpacked(name, path, into, alone=len(sent) == 1 and name == _WHOLE):
                if member in found:
                    raise Refusal(400, f"Two of the files are called {member}.")
                found[member] = content
        yield found
    for _, path in sent:
        path.unlink(missing_ok=True)


def _sent(desk: Desk, fields: Fields, folder: str) -> Iterator[tuple[str, Path]]:
    for part in fields.parts("files"):
        upload = uploaded(desk, part.text("token"), "")
        if upload is None:
            raise Refusal(400, "A file has not been uploaded, or was used for a dataset before.")
        yield f"{folder}{upload.file_name}", upload_path(desk.home, upload.id)
    for part in fields.parts("directories"):
        name = part.text("name")
        if name in ("", ".", "..") or any(c in name for c in "/\\\0"):
            raise Refusal(400, "A folder has a name that cannot be one.")
        yield from _sent(desk, part, f"{folder}{name}/")


def _unpacked(name: str, path: Path, into: Path, *, alone: bool) -> Iterator[tuple[str, Path]]:
    if not name.lower().endswith(".zip") or not zipfile.is_zipfile(path):
        yield name, path
        return
    into.mkdir()
    try:
        files = unzip(path, into, most_bytes=_MOST_UNPACKED)
    except DataError as error:
        raise Refusal(400, f"{name} cannot be unpacked: {error.message}") from error
    prefix = "" if alone else f"{name[:-4]}/"
    for file in files:
        yield prefix + file.relative_to(into).as_posix(), file


def _taken(title: str) -> Answer:
    # Kaggle says so with status 200; its clients look for the word "error".
    return {"status": "error", "error": f'The requested title "{title}" is already in use by a dataset.'}


def _created(desk: Desk, record: DatasetRecord) -> Answer:
    return {"ref": f"/{desk.identity.username}/{record.slug}", "url": _address(desk, record), "status": "ok"}


def _address(desk: Desk, record: DatasetRecord) -> str:
    return f"{desk.url}/datasets/{desk.identity.username}/{record.slug}"


def _dataset(desk: Desk, record: DatasetRecord) -> dict[str, Any]:
    owner, settings = desk.identity.username, record.settings
    return {
        "id": record.id,
        "ref": f"{owner}/{record.slug}",
        "url": _address(desk, record),
        "title": settings.title,
        "subtitle": settings.subtitle,
        "description": settings.description,
        "creatorName": owner,
        "ownerName": owner,
        "ownerRef": owner,
        "licenseName": settings.license_name,
        "isPrivate": settings.is_private,
        "totalBytes": record.latest.bytes,
        "lastUpdated": record.latest.created,
        "currentVersionNumber": record.latest.number,
    }


def _version(desk: Desk, version: DatasetVersion) -> dict[str, Any]:
    return {
        "versionNumber": version.number,
        "creationDate": version.created,
        "creatorName": desk.identity.username,
        "creatorRef": desk.identity.username,
        "versionNotes": version.notes,
        "status": "Ready",
    }


def _file(version: DatasetVersion, file: DatasetFile) -> dict[str, Any]:
    return {
        "ref": file.name,
        "name": file.name,
        "totalBytes": file.bytes,
        "creationDate": version.created,
        "fileType": Path(file.name).suffix,
    }
