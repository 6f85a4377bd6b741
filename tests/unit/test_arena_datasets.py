import hashlib
import io
import threading
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from arena_calls import DATASETS, Answer, ask, call, location, upload

from kagglekit.arena.dataset_store import DatasetStore, Settings, Taken
from kagglekit.arena.server import Arena

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    with Arena(tmp_path_factory.mktemp("arena")) as running:
        yield running


def create(arena: Arena, slug: str, files: dict[str, bytes], **more: Any) -> Answer:
    tokens = [{"token": upload(arena, name, content)} for name, content in files.items()]
    return call(arena, "CreateDataset", DATASETS, slug=slug, title=f"The {slug}", files=tokens, **more)


def version(arena: Arena, slug: str, files: dict[str, bytes], **more: Any) -> Answer:
    body = {"files": [{"token": upload(arena, name, content)} for name, content in files.items()], **more}
    return call(arena, "CreateDatasetVersion", DATASETS, datasetSlug=slug, body=body)


def get(arena: Arena, method: str, slug: str, **more: Any) -> dict[str, Any]:
    return call(arena, method, DATASETS, ownerSlug=arena.username, datasetSlug=slug, **more).json


def names(arena: Arena, slug: str, number: int = 0) -> list[str]:
    found = get(arena, "ListDatasetFiles", slug, datasetVersionNumber=number)
    return [f["name"] for f in found["datasetFiles"]]


def fetch(arena: Arena, slug: str, **more: Any) -> Answer:
    address = location(arena, "DownloadDataset", service=DATASETS, datasetSlug=slug, **more)
    return ask(arena, "GET", address)


def zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def test_a_dataset_is_what_was_sent_and_its_owner_is_the_arenas_user(arena: Arena):
    made = create(arena, "rye-notes", {"a.csv": b"a,b\n", "empty": b""}, isPrivate=True, licenseName="CC0-1.0").json
    assert made["status"] == "ok" and made["url"].endswith(f"/datasets/{arena.username}/rye-notes")
    found = get(arena, "GetDataset", "rye-notes")
    assert (found["ref"], found["isPrivate"]) == (f"{arena.username}/rye-notes", True)
    assert (found["currentVersionNumber"], found["totalBytes"], found["lastUpdated"][-1]) == (1, 4, "Z")
    assert get(arena, "GetDatasetStatus", "rye-notes") == {"status": "READY"}
    info = get(arena, "GetDatasetMetadata", "rye-notes")["info"]
    assert info["licenses"] == [{"name": "CC0-1.0"}] and [f["name"] for f in info["data"]] == ["a.csv", "empty"]


def test_every_version_is_kept_and_content_once(arena: Arena):
    create(arena, "versions", {"same.txt": b"same", "a.txt": b"one"})
    assert version(arena, "versions", {"same.txt": b"same", "a.txt": b"two"}, versionNotes="second").status == 200
    assert [fetch(arena, "versions", fileName="a.txt", datasetVersionNumber=n).body for n in (1, 2)] == [b"one", b"two"]
    assert fetch(arena, "versions", fileName="a.txt").body == b"two"
    assert [v["versionNotes"] for v in get(arena, "GetDataset", "versions")["versions"]] == [
        "second",
        "Initial release",
    ]
    assert get(arena, "ListDatasetFiles", "versions", datasetVersionNumber=9)["code"] == 404


def test_a_download_carries_its_checksum_and_all_of_them_are_one_zip(arena: Arena):
    create(arena, "downloads", {"a.txt": b"alpha", "b.txt": b"beta"})
    one = fetch(arena, "downloads", fileName="b.txt")
    md5 = hashlib.md5(b"beta").digest()
    assert one.headers["x-goog-hash"] == f"md5={b64encode(md5).decode()}" and one.headers["ETag"] == f'"{md5.hex()}"'
    whole = fetch(arena, "downloads")
    assert whole.body == fetch(arena, "downloads").body
    with zipfile.ZipFile(io.BytesIO(whole.body)) as archive:
        assert {n: archive.read(n) for n in archive.namelist()} == {"a.txt": b"alpha", "b.txt": b"beta"}


def test_a_zip_becomes_a_folder_and_kagglehubs_archive_the_dataset(arena: Arena):
    inside = zipped({"x.txt": b"x", "deep/y.txt": b"y"})
    create(arena, "folders", {"pkg.zip": inside, "a.txt": b"a"})
    assert names(arena, "folders") == ["a.txt", "pkg/deep/y.txt", "pkg/x.txt"]
    create(arena, "alone", {"archive.zip": inside})
    assert names(arena, "alone") == ["deep/y.txt", "x.txt"]
    create(arena, "one-folder", {"pkg.zip": inside})
    assert names(arena, "one-folder") == ["pkg/deep/y.txt", "pkg/x.txt"]
    assert fetch(arena, "alone", fileName="deep/y.txt").body == b"y"


def test_folders_of_uploads_are_folders(arena: Arena):
    tree = [{"name": "deep", "directories": [{"name": "er", "files": [{"token": upload(arena, "z", b"z")}]}]}]
    files = [{"token": upload(arena, "a", b"a")}]
    assert call(arena, "CreateDataset", DATASETS, slug="trees", title="t", files=files, directories=tree).status == 200
    assert names(arena, "trees") == ["a", "deep/er/z"]


@pytest.mark.parametrize("folder", ["..", "", ".", "a/b", "a\\b", "a\x00b"])
def test_a_folders_name_cannot_climb(arena: Arena, folder: str):
    tree = [{"name": folder, "files": [{"token": upload(arena, "z", b"z")}]}]
    assert call(arena, "CreateDataset", DATASETS, slug="climbing", directories=tree).status == 400
    assert call(arena, "GetDataset", DATASETS, datasetSlug="climbing").status == 404


@pytest.mark.parametrize("member", ["../out.txt", "/etc/out.txt", "a\\..\\out.txt"])
def test_a_hostile_zip_is_refused(arena: Arena, member: str):
    answer = create(arena, "hostile", {"bad.zip": zipped({member: b"x"})})
    assert answer.status == 400 and "bad.zip cannot be unpacked" in answer.json["message"]


def test_a_name_that_is_taken_is_an_error_with_status_200_as_kaggles_clients_expect(arena: Arena):
    create(arena, "taken", {"a": b"a"})
    again = create(arena, "taken", {"a": b"b"})
    assert again.status == 200 and "already in use" in again.json["error"]
    assert fetch(arena, "taken", fileName="a").body == b"a"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"slug": "../up"}, 400),
        ({"slug": "UP"}, 400),
        ({"slug": "ab"}, 400),
        ({"slug": "nofiles"}, 400),
        ({"slug": "notuploaded", "files": [{"token": "x"}]}, 400),
        ({"slug": "notalist", "files": "x"}, 400),
        ({"slug": "notobjects", "files": ["x"]}, 400),
        ({"slug": "others", "ownerSlug": "somebody"}, 403),
        ({"slug": "flags", "isPrivate": "yes"}, 400),
        ({"slug": "words", "categoryIds": [1]}, 400),
    ],
)
def test_what_cannot_be_a_dataset_is_refused(arena: Arena, fields: dict[str, Any], status: int):
    assert call(arena, "CreateDataset", DATASETS, **fields).status == status


def test_two_files_of_one_name_are_refused_and_an_upload_serves_once(arena: Arena):
    assert create(arena, "twice", {"a.zip": zipped({"b": b"1"}), "a/b": b"2"}).status == 200  # "a/b" is sent as "b"
    assert names(arena, "twice") == ["a/b", "b"]
    tokens = [{"token": upload(arena, "a", b"1")}, {"token": upload(arena, "a", b"2")}]
    assert call(arena, "CreateDataset", DATASETS, slug="same-names", files=tokens).status == 400
    assert call(arena, "CreateDataset", DATASETS, slug="first-use", files=tokens[:1]).status == 200
    assert call(arena, "CreateDataset", DATASETS, slug="second-use", files=tokens[:1]).status == 400


def test_an_upload_for_a_dataset_is_no_submission_and_a_strange_blob_is_refused(arena: Arena):
    blobs = "blobs.BlobApiService"
    assert call(arena, "StartBlobUpload", blobs, type="MODEL", name="m", contentLength=1).status == 501
    assert call(arena, "StartBlobUpload", blobs, contentLength=1).status == 400
    assert call(arena, "StartBlobUpload", blobs, name="m", contentLength=1 << 60).status == 400


def test_everybodys_list_holds_the_public_and_ones_own_holds_all(tmp_path: Path):
    with Arena(tmp_path) as arena:
        create(arena, "open-one", {"a": b"a"})
        create(arena, "shut-one", {"a": b"b"}, isPrivate=True)

        def listed(**fields: Any) -> list[str]:
            return [d["ref"].split("/")[1] for d in call(arena, "ListDatasets", DATASETS, **fields).json["datasets"]]

        assert listed() == ["open-one"]
        assert listed(group="DATASET_SELECTION_GROUP_MY") == ["shut-one", "open-one"]
        assert listed(group="DATASET_SELECTION_GROUP_MY_PRIVATE") == ["shut-one"]
        assert listed(group="DATASET_SELECTION_GROUP_USER", user="somebody") == []
        assert listed(group="DATASET_SELECTION_GROUP_MY", search="OPEN") == ["open-one"]


def test_metadata_can_be_changed_and_a_version_named_by_number(arena: Arena):
    create(arena, "changing", {"a": b"a"}, isPrivate=True)
    settings = {"title": "Other", "description": "Words", "licenses": [{"name": "MIT"}], "keywords": ["rye"]}
    assert get(arena, "UpdateDatasetMetadata", "changing", settings=settings) == {"errors": []}
    info = get(arena, "GetDatasetMetadata", "changing")["info"]
    assert (info["title"], info["description"], info["keywords"]) == ("Other", "Words", ["rye"])
    body = {"files": [{"token": upload(arena, "a", b"b")}], "subtitle": "Sub", "deleteOldVersions": True}
    made = call(arena, "CreateDatasetVersionById", DATASETS, id=info["datasetId"], body=body)
    assert made.status == 200 and get(arena, "GetDataset", "changing")["subtitle"] == "Sub"
    assert [v["versionNumber"] for v in get(arena, "GetDataset", "changing")["versions"]] == [2]
    assert call(arena, "CreateDatasetVersionById", DATASETS, id=999, body=body).status == 404


def test_a_deleted_dataset_leaves_nothing_but_what_others_hold(tmp_path: Path):
    with Arena(tmp_path) as arena:
        create(arena, "goes", {"shared": b"shared", "own": b"own"})
        create(arena, "stays", {"shared": b"shared"})
        address = location(arena, "DownloadDataset", service=DATASETS, datasetSlug="goes")
        assert ask(arena, "GET", address).status == 200
        call(arena, "DeleteDataset", DATASETS, ownerSlug=arena.username, datasetSlug="goes")
        assert ask(arena, "GET", address).status == 404
        assert fetch(arena, "stays", fileName="shared").body == b"shared"
        folders = [tmp_path / name for name in ("content", "uploads", "cache")]
        kept = [p.name for folder in folders for p in folder.rglob("*") if p.is_file()]
        assert kept == [hashlib.sha256(b"shared").hexdigest()]


def test_threads_that_race_for_a_name_make_one_dataset(tmp_path: Path):
    store, made, refused = DatasetStore(tmp_path / "arena.db", tmp_path / "content"), [], []
    (tmp_path / "a").write_bytes(b"a")

    def attempt() -> None:
        try:
            made.append(store.create("one-name", Settings("t"), {"a": tmp_path / "a"}, NOW))
        except Taken:
            refused.append(1)

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(made), len(refused)) == (1, 7)
    assert store.content(made[0].latest.files[0].sha256).read_bytes() == b"a"
