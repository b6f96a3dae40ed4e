"""The contract of blob stores over each of them, S3 by a real server process, and what each does beside it."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest

from antiphon.blobs.local import LocalBlobs
from antiphon.blobs.memory import MemoryBlobs
from antiphon.blobs.s3 import S3Blobs
from antiphon.core.errors import BlobsUnavailable
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.files import BlobStore
from antiphon.testing.blob_contract import (
    KEY,
    PIECES,
    BlobStoreContract,
    broken_off,
    given,
    is_missing,
    whole,
)
from tests.s3_server import BUCKET, SECRET, s3_client, s3_server


class TestInMemory(BlobStoreContract):
    @pytest.fixture
    def blobs(self) -> BlobStore:
        return MemoryBlobs()


class TestInAFolder(BlobStoreContract):
    @pytest.fixture
    def blobs(self, tmp_path: Path) -> BlobStore:
        return LocalBlobs(tmp_path / "deep" / "files")


class TestInS3(BlobStoreContract):
    @pytest.fixture
    async def blobs(self, bucket: dict[str, Any]) -> AsyncIterator[BlobStore]:
        store = S3Blobs.from_config({**bucket, "prefix": f"/{os.urandom(4).hex()}/"})
        yield store
        await store.aclose()


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    """A configuration that works."""
    with s3_server() as config:
        yield config


# --- S3 ----------------------------------------------------------------------------------------------------------
async def test_an_upload_that_breaks_off_is_aborted(bucket: dict[str, Any]) -> None:
    with suppress(Exception):
        await S3Blobs.from_config(bucket).put(KEY, broken_off(PIECES))
    assert "Uploads" not in s3_client(bucket).list_multipart_uploads(Bucket=BUCKET)


async def test_objects_are_below_the_prefix_and_others_are_left_alone(bucket: dict[str, Any]) -> None:
    client = s3_client(bucket)
    client.put_object(Bucket=BUCKET, Key="somebody/else", Body=b"theirs")
    blobs = S3Blobs.from_config({**bucket, "prefix": "ours"})
    await blobs.put(KEY, given([b"x"]))
    await blobs.sweep()
    names = [one["Key"] for one in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert {"somebody/else", f"ours/{KEY}"} <= set(names)


@pytest.mark.parametrize("wrong", [{"bucket_name": "no-such-bucket"}, {"endpoint_url": "http://127.0.0.1:1"}])
async def test_a_bucket_that_cannot_be_used_is_unavailable_and_its_key_is_not_told(
    bucket: dict[str, Any], wrong: dict[str, str]
) -> None:
    blobs = S3Blobs.from_config({**bucket, **wrong})
    for call in (blobs.put(KEY, given([b"x"])), blobs.put(KEY, given(PIECES)), whole(blobs, KEY)):
        with pytest.raises(BlobsUnavailable) as caught:
            await call
        assert SECRET not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({}, "bucket_name"),
        ({"bucket_name": ""}, "bucket_name"),
        ({"bucket_name": "b", "region": 3}, "region"),
        ({"bucket_name": "b", "colour": "red"}, "colour"),
        ({"bucket_name": "b", "endpoint_url": "ftp://x"}, "endpoint_url"),
        ({"bucket_name": "b", "aws_access_key_id": "x"}, "aws_access_key_id"),
    ],
)
def test_a_configuration_of_s3_that_makes_no_sense_names_its_key(config: dict[str, Any], key: str) -> None:
    with pytest.raises(AdapterConfigError) as caught:
        S3Blobs.from_config(config)
    assert caught.value.key == key


def files_in(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file()]


# --- a folder ----------------------------------------------------------------------------------------------------
async def test_files_and_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path / "files")
    await blobs.put(KEY, given([b"x"]))
    modes = {one.is_dir(): one.stat().st_mode & 0o777 for one in (tmp_path / "files").rglob("*")}
    assert modes == {True: 0o700, False: 0o600}
    assert (tmp_path / "files").stat().st_mode & 0o777 == 0o700


async def test_a_write_that_broke_off_leaves_no_file(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    with suppress(Exception):
        await blobs.put(KEY, broken_off(PIECES))
    assert files_in(tmp_path) == []


async def test_a_sweep_removes_what_a_dead_process_was_writing(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    await blobs.sweep()  # nothing is there yet
    await blobs.put(KEY, given([b"x"]))
    left, held, link = (tmp_path / ".writing" / name for name in ("left", "held", "link"))
    for one in (left, held):
        one.write_bytes(b"half")
    link.symlink_to(tmp_path / KEY)
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        await blobs.sweep()
        assert not left.exists()
        assert held.exists()
    await blobs.sweep()
    assert not held.exists()
    assert await whole(blobs, KEY) == b"x"


async def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "one").write_bytes(b"secret")
    folder = tmp_path / "files"
    blobs = LocalBlobs(folder)
    await blobs.put("b2/one", given([b"x"]))
    (folder / "a1").symlink_to(outside)
    (folder / "b2" / "link").symlink_to(outside / "one")
    for key in ("b2/link", KEY):
        with pytest.raises(BlobsUnavailable):
            await whole(blobs, key)
    with pytest.raises(BlobsUnavailable):
        await blobs.put(KEY, given([b"x"]))
    with pytest.raises(BlobsUnavailable):
        await blobs.delete(KEY)
    await blobs.delete("b2/link")
    assert (outside / "one").read_bytes() == b"secret"


async def test_what_is_no_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a1" / "one").mkdir(parents=True)
    os.mkfifo(tmp_path / "a1" / "two")
    assert await is_missing(LocalBlobs(tmp_path), "a1/one")
    assert await is_missing(LocalBlobs(tmp_path), "a1/two")


async def test_calls_that_are_cancelled_at_any_moment_leave_no_file_open(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    await blobs.put(KEY, given([b"x"]))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 the folder is gone from under a path's iterator
    for turns in range(12):
        calls = [
            asyncio.ensure_future(call) for call in (whole(blobs, KEY), blobs.put("a1/two", given([b"y"])))
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert [one for one in files_in(tmp_path) if one.parent.name == ".writing"] == []


async def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    blobs = LocalBlobs(tmp_path)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(BlobsUnavailable, match="No space left") as caught:
        await blobs.put(KEY, given([b"x"]))
    assert str(tmp_path) not in str(caught.value)
    assert files_in(tmp_path) == []


def test_the_folder_is_as_configured(tmp_path: Path) -> None:
    for config in ({"storage_dir": 3}, {"folder": "x"}):
        with pytest.raises(AdapterConfigError):
            LocalBlobs.from_config(cast("dict[str, Any]", config), tmp_path)
