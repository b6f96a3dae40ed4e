"""Files and uploads without HTTP: time, sweeps, and what is left when something breaks off between two steps."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest

from antiphon.blobs.memory import MemoryBlobs
from antiphon.core.errors import (
    BlobsUnavailable,
    Conflict,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    StoreUnavailable,
)
from antiphon.core.wire import UNSET
from antiphon.files.names import checked_name, disposition
from antiphon.files.receiving import LEASE_S, RENEWED_S
from antiphon.files.service import FileService
from antiphon.files.shapes import CompleteUpload, CreateUpload
from antiphon.files.sweeping import Sweeper
from antiphon.files.uploads import LIFE_S, PART_BYTES, REMEMBERED_S, SENT_AGAIN, UploadService
from antiphon.ports import Owner
from antiphon.ports.files import StoredFile, StoredPart
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds

ALICE = Owner("acme", "alice")


async def content(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


class FailingBlobs(MemoryBlobs):
    """Does not remove anything while `stuck`."""

    stuck = False
    stuck_keys: Collection[str] = ()

    async def delete(self, key: str) -> None:
        if self.stuck or key in self.stuck_keys:
            raise BlobsUnavailable("stuck")
        await super().delete(key)


@dataclass
class World:
    store: MemoryStore = field(default_factory=MemoryStore)
    blobs: FailingBlobs = field(default_factory=FailingBlobs)
    clock: FakeClock = field(default_factory=FakeClock)
    ids: FakeIds = field(default_factory=FakeIds)

    def __post_init__(self) -> None:
        self.files = FileService(self.store.files, self.blobs, self.clock, self.ids, max_file_bytes=1000)
        self.uploads = UploadService(self.files, self.store.files, self.blobs, self.clock, self.ids, 5000)

    async def file(
        self, data: bytes = b"hello", *, purpose: str = "user_data", life_s: int | None = None
    ) -> StoredFile:
        return await self.files.create(ALICE, "a.txt", purpose, "text/plain", content(data), life_s)

    async def upload(self, *pieces: bytes) -> tuple[str, list[str]]:
        """A pending upload that has these parts: its id and theirs."""
        size = sum(map(len, pieces))
        body = CreateUpload(filename="u.txt", purpose="batch", bytes=size, mime_type="text/plain")
        upload = await self.uploads.create(ALICE, body)
        return upload.id, [(await self.part(upload.id, piece)).id for piece in pieces]

    async def part(self, upload_id: str, piece: bytes) -> StoredPart:
        upload = await self.uploads.pending(ALICE, upload_id)
        received = await self.files.receiver.receive(content(piece), 1000, "data")
        return await self.uploads.add_part(ALICE, upload, received)

    async def sweep(self) -> None:
        await self.uploads.sweep()
        await self.files.sweep()


@pytest.fixture
def world() -> World:
    return World()


async def test_a_file_is_what_was_sent(world: World) -> None:
    made = await world.files.create(ALICE, "a.txt", "vision", "text/plain", content(b"hel", b"", b"lo"))
    assert (made.bytes, made.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
    assert (made.created_at, made.expires_at) == (world.clock.at, None)
    assert await world.files.get(ALICE, made.id) == made
    assert await world.files.read(made, 5) == b"hello"
    assert [piece async for piece in world.files.content(made, 1, 3)] == [b"el"]
    with pytest.raises(PayloadTooLarge):
        await world.files.read(made, 4)


@pytest.mark.parametrize("pieces", [[b"x" * 1001], [b"x" * 600] * 2, [b""], []])
async def test_what_is_refused_leaves_nothing(world: World, pieces: list[bytes]) -> None:
    with pytest.raises((PayloadTooLarge, InvalidRequest)) as caught:
        await world.files.create(ALICE, "a.txt", "vision", "text/plain", content(*pieces))
    assert caught.value.param == "file"
    assert not world.blobs.keys
    assert not await world.store.files.left_over_blobs(2**40, 10)


async def test_what_is_too_large_is_not_read_on(world: World) -> None:
    read = list[int]()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(100)
            yield b"x" * 100

    with pytest.raises(PayloadTooLarge):
        await world.files.create(ALICE, "a.txt", "vision", "text/plain", endless())
    assert sum(read) == 1100


async def test_an_expired_file_is_gone_at_once_and_its_bytes_with_the_next_sweep(world: World) -> None:
    made, kept = await world.file(life_s=3600), await world.file()
    batch = await world.file(purpose="batch")
    assert batch.expires_at == world.clock.at + 30 * 86_400
    world.clock.at += 3599
    assert await world.files.get(ALICE, made.id) == made
    world.clock.at += 1
    with pytest.raises(NotFound) as caught:
        await world.files.get(ALICE, made.id, "file_ids[0]")
    assert caught.value.param == "file_ids[0]"
    with pytest.raises(NotFound):
        await world.files.delete(ALICE, made.id)
    listed = await world.files.list_page(ALICE, limit=10, newest_first=True, after=None, purpose=None)
    assert [one.id for one in listed] == [batch.id, kept.id]
    assert made.blob in world.blobs.keys
    await world.sweep()
    assert world.blobs.keys == {kept.blob, batch.blob}
    assert await world.store.files.get_file(ALICE, made.id) is None


async def test_a_file_in_use_stays_and_one_that_is_given_up_goes(world: World) -> None:
    made, expiring = await world.file(), await world.file(life_s=3600)
    busy, asked = True, list[str]()

    async def before_delete(owner: Owner, file_id: str) -> None:
        assert owner == ALICE
        asked.append(file_id)
        if busy:
            raise Conflict("it is being read")

    world.files.before_delete = before_delete
    with pytest.raises(Conflict):
        await world.files.delete(ALICE, made.id)
    world.clock.at += 3600
    await world.sweep()
    assert world.blobs.keys == {made.blob, expiring.blob}
    busy = False
    await world.sweep()
    await world.files.delete(ALICE, made.id)
    assert not world.blobs.keys
    assert asked == [made.id, expiring.id, expiring.id, made.id]


async def test_of_two_that_delete_a_file_one_finds_it_gone(world: World) -> None:
    made = await world.file()
    ends = await asyncio.gather(
        *(world.files.delete(ALICE, made.id) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in ends) == ["NoneType", "NotFound"]


async def test_bytes_that_cannot_be_removed_now_are_removed_later(world: World) -> None:
    made = await world.file()
    world.blobs.stuck = True
    await world.files.delete(ALICE, made.id)
    await world.sweep()
    assert world.blobs.keys
    world.blobs.stuck = False
    await world.sweep()
    assert not world.blobs.keys
    assert not await world.store.files.left_over_blobs(2**40, 10)


async def test_a_process_that_dies_between_the_bytes_and_the_file_leaves_nothing_for_long(
    world: World,
) -> None:
    received = await world.files.receiver.receive(content(b"x"), 10, "file")
    await world.sweep()
    assert world.blobs.keys == {received.blob}  # another process may be about to make its file
    world.clock.at += LEASE_S
    await world.sweep()
    assert not world.blobs.keys
    with pytest.raises(BlobsUnavailable):
        await world.files.add(ALICE, received, "a", "vision", "text/plain")
    assert not await world.files.list_page(ALICE, limit=9, newest_first=True, after=None, purpose=None)


async def test_a_slow_upload_is_kept_as_long_as_it_goes_on(world: World) -> None:
    async def slow() -> AsyncIterator[bytes]:
        for _ in range(4 * LEASE_S // RENEWED_S):
            world.clock.at += RENEWED_S
            await world.sweep()
            yield b"x"

    made = await world.files.create(ALICE, "a", "vision", "text/plain", slow())
    assert await world.files.read(made, 100) == b"x" * (4 * LEASE_S // RENEWED_S)


async def test_an_upload_that_slept_too_long_is_given_up(world: World) -> None:
    async def asleep() -> AsyncIterator[bytes]:
        yield b"x"
        world.clock.at += LEASE_S
        await world.sweep()
        yield b"y"

    with pytest.raises(BlobsUnavailable, match="again"):
        await world.files.create(ALICE, "a", "vision", "text/plain", asleep())
    assert not world.blobs.keys


async def test_a_caller_that_is_cancelled_while_the_file_is_added_loses_no_bytes_of_it(world: World) -> None:
    """Whether it was added is not known then: bytes that no file has go with the sweep, and no others."""
    received = await world.files.receiver.receive(content(b"x"), 10, "file")
    adding = asyncio.ensure_future(world.files.add(ALICE, received, "a", "vision", "text/plain"))
    adding.cancel()
    await asyncio.gather(adding, return_exceptions=True)
    assert world.blobs.keys == {received.blob}
    world.clock.at += LEASE_S
    await world.sweep()
    assert not world.blobs.keys


async def test_one_blob_that_cannot_be_removed_does_not_keep_others(world: World) -> None:
    stuck, other = await world.file(), await world.file()
    world.blobs.stuck_keys = {stuck.blob}
    for one in (stuck, other):
        await world.files.delete(ALICE, one.id)
    assert world.blobs.keys == {stuck.blob}


async def test_bytes_that_are_missing_are_said_to_be(world: World) -> None:
    made = await world.file()
    await world.blobs.delete(made.blob)
    with pytest.raises(BlobsUnavailable, match=made.id):
        await world.files.read(made, 100)


# --- uploads -----------------------------------------------------------------------------------------------------
async def test_parts_are_put_together_in_the_order_that_is_asked_for(world: World) -> None:
    upload_id, (first, second) = await world.upload(b"ab", b"cd")
    digest = hashlib.md5(b"cdab", usedforsecurity=False).hexdigest().upper()
    body = CompleteUpload(part_ids=[second, first], md5=digest)
    done, file = await world.uploads.complete(ALICE, upload_id, body)
    assert file is not None
    assert (done.status, done.file_id) == ("completed", file.id)
    assert (file.filename, file.purpose, file.media_type) == ("u.txt", "batch", "text/plain")
    assert file.expires_at == world.clock.at + 30 * 86_400
    assert file.sha256 == hashlib.sha256(b"cdab").hexdigest()
    assert await world.files.read(file, 10) == b"cdab"
    assert world.blobs.keys == {file.blob}


async def test_of_several_that_complete_an_upload_all_get_the_same_file(world: World) -> None:
    upload_id, parts = await world.upload(b"ab", b"cd")
    body = CompleteUpload(part_ids=parts)
    ends = await asyncio.gather(*(world.uploads.complete(ALICE, upload_id, body) for _ in range(5)))
    (file,) = {file for _, file in ends}
    assert file is not None
    assert world.blobs.keys == {file.blob}
    assert await world.files.read(file, 10) == b"abcd"


async def test_an_upload_expires_with_its_parts(world: World) -> None:
    upload_id, parts = await world.upload(b"ab")
    world.clock.at += LIFE_S - 1
    await world.sweep()
    assert len(world.blobs.keys) == 1
    world.clock.at += 1
    for late in (
        world.uploads.pending(ALICE, upload_id),
        world.uploads.complete(ALICE, upload_id, CompleteUpload(part_ids=parts)),
        world.uploads.cancel(ALICE, upload_id),
    ):
        with pytest.raises(Conflict, match="expired"):
            await late
    await world.sweep()
    assert not world.blobs.keys
    world.clock.at += REMEMBERED_S
    await world.sweep()
    with pytest.raises(NotFound):
        await world.uploads.cancel(ALICE, upload_id)


async def test_the_sweep_alone_ends_uploads_too(world: World) -> None:
    upload_id, _ = await world.upload(b"ab", b"c")
    world.clock.at += LIFE_S
    await world.sweep()
    assert not world.blobs.keys
    ended = await world.store.files.get_upload(ALICE, upload_id)
    assert ended is not None
    assert ended.status == "expired"


async def test_a_part_may_be_sent_again_but_not_for_ever(world: World) -> None:
    upload_id, _ = await world.upload(b"x" * 10)
    for _ in range(SENT_AGAIN - 1):
        await world.part(upload_id, b"x" * 10)
    with pytest.raises(InvalidRequest) as caught:
        await world.part(upload_id, b"x")
    assert caught.value.param == "data"
    assert len(world.blobs.keys) == SENT_AGAIN
    await world.uploads.cancel(ALICE, upload_id)
    assert not world.blobs.keys


async def test_a_part_of_an_upload_that_ended_meanwhile_leaves_nothing(world: World) -> None:
    upload_id, _ = await world.upload(b"x")
    pending = await world.uploads.pending(ALICE, upload_id)
    received = await world.files.receiver.receive(content(b"x"), 10, "data")
    await world.uploads.cancel(ALICE, upload_id)
    with pytest.raises(Conflict, match="cancelled"):
        await world.uploads.add_part(ALICE, pending, received)
    assert not world.blobs.keys


async def test_an_upload_that_is_cancelled_while_it_is_completed_says_so(world: World) -> None:
    upload_id, parts = await world.upload(b"ab", b"cd")
    read, cancelled = world.blobs.read, False

    async def slow_read(key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        nonlocal cancelled
        if not cancelled:
            cancelled = True
            await world.uploads.cancel(ALICE, upload_id)
        async for piece in read(key, start, end):
            yield piece

    world.blobs.read = slow_read  # type: ignore[method-assign,assignment]
    with pytest.raises(Conflict, match="cancelled"):
        await world.uploads.complete(ALICE, upload_id, CompleteUpload(part_ids=parts))
    assert not world.blobs.keys


@pytest.mark.parametrize(
    ("said", "kept"),
    [("Text/Plain; charset=utf-8", "text/plain"), ("x\r\ny: z", "application/octet-stream")],
)
async def test_a_media_type_is_kept_where_it_makes_sense(world: World, said: str, kept: str) -> None:
    body = CreateUpload(filename="u", purpose="batch", bytes=1, mime_type=said)
    assert (await world.uploads.create(ALICE, body)).media_type == kept


async def test_a_part_has_what_one_may_have_officially_or_less_where_files_do(world: World) -> None:
    assert world.uploads.max_part_bytes == 1000
    world.files.max_file_bytes = 2**40
    assert world.uploads.max_part_bytes == PART_BYTES


async def test_expiry_of_the_file_counts_from_when_it_is_complete(world: World) -> None:
    body = CreateUpload(filename="u", purpose="batch", bytes=1, mime_type="text/plain", expires_after=UNSET)
    upload = await world.uploads.create(ALICE, body)
    part = await world.part(upload.id, b"x")
    world.clock.at += 100
    _, file = await world.uploads.complete(ALICE, upload.id, CompleteUpload(part_ids=[part.id]))
    assert file is not None
    assert file.created_at == upload.created_at + 100


# --- sweeping ----------------------------------------------------------------------------------------------------
async def test_a_sweep_that_fails_does_not_end_sweeping() -> None:
    runs, enough = list[str](), asyncio.Event()

    async def failing() -> None:
        runs.append("failing")
        raise StoreUnavailable("not now") if len(runs) == 1 else ValueError("a bug")

    async def other() -> None:
        runs.append("other")
        if len(runs) == 4:
            enough.set()

    sweeper = Sweeper((failing, other), 0)
    sweeper.start()
    await enough.wait()
    await sweeper.stop()
    assert runs[:4] == ["failing", "other"] * 2


# --- names -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name", ["a.txt", "é☃.pdf", "日本語", "a b", "..x", "👩\u200d💻", "क\u200cष", "x" * 255]
)
def test_names_are_kept(name: str) -> None:
    assert checked_name(name, "file") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        ".",
        "..",
        "/",
        "a/b",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\x7f",
        "\u202etxt",
        "\ufeffa",
        "a\u2028b",
        "\ud800",
        "x" * 256,
    ],
)
def test_names_that_would_deceive_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked_name(name, "filename")
    assert caught.value.param == "filename"


@pytest.mark.parametrize("name", ['a"; filename="b', "a\r\nx: y", "é", "%41", "\\", "a;b", "日本", "'"])
def test_a_disposition_is_one_header_that_says_the_name(name: str) -> None:
    match = re.fullmatch(
        r"attachment; filename=\"([^\"\\%]*)\"; filename\*=UTF-8''([!-~]*)", disposition(name)
    )
    assert match is not None
    assert unquote(match[2], errors="strict") == name
    assert len(match[1]) == len(name)
