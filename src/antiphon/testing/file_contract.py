"""What every `FileStore` promises, as tests. Subclass `FileStoreContract` and give it a fixture `store`, a `Store`.

As `store_contract`, which says more.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from antiphon.core.errors import InvalidRequest
from antiphon.ports import Owner, Store
from antiphon.ports.files import MAX_PARTS, FilePage, FileStore, StoredFile, StoredPart, StoredUpload
from antiphon.testing.store_contract import ALICE, STRANGERS, refused_as_unavailable

NOW = 1_767_225_600
LATER = NOW + 900


def file(
    name: str, *, at: int = NOW, purpose: str = "user_data", expires_at: int | None = None
) -> StoredFile:
    """A file whose every text tells its name."""
    return StoredFile(
        id=f"file-{name}",
        purpose=purpose,
        filename=f"{name}.txt",
        media_type="text/plain",
        bytes=len(name),
        created_at=at,
        expires_at=expires_at,
        blob=f"aa/{name}",
        sha256=name.encode().hex(),
    )


def upload(name: str = "u", *, expires_at: int = NOW + 3600) -> StoredUpload:
    return StoredUpload(
        id=f"upload_{name}",
        purpose="assistants",
        filename=f"{name}.bin",
        media_type="application/octet-stream",
        bytes=100,
        created_at=NOW,
        expires_at=expires_at,
        file_expires_after_s=7200,
    )


def part(name: str, size: int = 10, of: str = "u") -> StoredPart:
    return StoredPart(
        id=f"part_{name}", upload_id=f"upload_{of}", bytes=size, created_at=NOW, blob=f"bb/{name}"
    )


async def put_file(store: Store, added: StoredFile, owner: Owner = ALICE) -> StoredFile:
    """Add a file, its blob begun before."""
    await store.files.begin_blob(added.blob, LATER)
    assert await store.files.add_file(owner, added)
    return added


async def put_part(store: Store, added: StoredPart, limit: int = 100) -> bool:
    await store.files.begin_blob(added.blob, LATER)
    return await store.files.add_part(ALICE, added, limit)


async def left_over(store: Store, now: int = NOW) -> list[str]:
    return sorted(await store.files.left_over_blobs(now, 100))


async def listed(store: Store, page: FilePage, owner: Owner = ALICE) -> list[str]:
    return names(await store.files.list_files(owner, page))


async def cursor_refused(store: Store, page: FilePage, owner: Owner) -> str | None:
    """The parameter that a page was refused for."""
    try:
        await store.files.list_files(owner, page)
    except InvalidRequest as error:
        return error.param
    return None


def names(files: Sequence[StoredFile]) -> list[str]:
    return [one.id.removeprefix("file-") for one in files]


class FileStoreContract:
    """The promises. Test names are the sentences that are false when they fail."""

    # --- files ---------------------------------------------------------------------------------------------------
    async def test_what_was_added_is_what_is_got(self, store: Store) -> None:
        one = await put_file(store, file("a"))
        two = await put_file(store, file("b", expires_at=NOW + 5))
        assert await store.files.get_file(ALICE, one.id) == one
        assert await store.files.get_file(ALICE, two.id) == two
        assert await store.files.get_files(ALICE, [two.id, "file-none", one.id]) == {one.id: one, two.id: two}
        assert await store.files.get_files(ALICE, []) == {}

    async def test_nobody_else_sees_or_deletes_a_file(self, store: Store) -> None:
        one = await put_file(store, file("a"))
        for stranger in STRANGERS:
            assert await store.files.get_file(stranger, one.id) is None
            assert await store.files.get_files(stranger, [one.id]) == {}
            assert await store.files.delete_file(stranger, one.id) is None
            assert await listed(store, FilePage(10), stranger) == []
        assert await store.files.get_file(ALICE, one.id) == one

    async def test_files_are_listed_by_age_both_ways(self, store: Store) -> None:
        for name, at in (("b", NOW + 1), ("a", NOW), ("c", NOW + 1), ("d", NOW + 2)):
            await put_file(store, file(name, at=at))
        assert await listed(store, FilePage(10)) == ["d", "c", "b", "a"]
        assert await listed(store, FilePage(10, newest_first=False)) == ["a", "b", "c", "d"]

    async def test_pages_follow_one_another(self, store: Store) -> None:
        for name in "abcde":
            await put_file(store, file(name))
        assert await listed(store, FilePage(2)) == ["e", "d"]
        assert await listed(store, FilePage(2, after="file-d")) == ["c", "b"]
        assert await listed(store, FilePage(2, after="file-b")) == ["a"]
        assert await listed(store, FilePage(2, newest_first=False, after="file-b")) == ["c", "d"]

    async def test_a_list_may_be_of_one_purpose_and_of_what_has_not_expired(self, store: Store) -> None:
        await put_file(store, file("a", purpose="batch", expires_at=NOW + 5))
        await put_file(store, file("b"))
        await put_file(store, file("c", purpose="batch"))
        assert await listed(store, FilePage(10, purpose="batch")) == ["c", "a"]
        assert await listed(store, FilePage(10, purpose="vision")) == []
        assert await listed(store, FilePage(10, now=NOW + 4)) == ["c", "b", "a"]
        assert await listed(store, FilePage(1, purpose="batch", now=NOW + 5)) == ["c"]
        assert await listed(store, FilePage(10, now=NOW + 5)) == ["c", "b"]

    async def test_a_cursor_that_is_none_is_refused(self, store: Store) -> None:
        await put_file(store, file("a"))
        await put_file(store, file("b"))
        await store.files.delete_file(ALICE, "file-b")
        for owner, cursor in ((ALICE, "file-none"), (ALICE, "file-b"), (STRANGERS[0], "file-a")):
            assert await cursor_refused(store, FilePage(10, after=cursor), owner) == "after"

    async def test_a_deleted_file_is_gone(self, store: Store) -> None:
        one = await put_file(store, file("a"))
        assert await store.files.delete_file(ALICE, one.id) == one
        assert await store.files.delete_file(ALICE, one.id) is None
        assert await store.files.get_file(ALICE, one.id) is None
        assert await listed(store, FilePage(10)) == []

    async def test_files_of_anybody_expire_soonest_first(self, store: Store) -> None:
        one = await put_file(store, file("a", expires_at=NOW + 9))
        two = await put_file(store, file("b", expires_at=NOW + 5), STRANGERS[0])
        await put_file(store, file("c", expires_at=NOW + 10))
        await put_file(store, file("d"))
        assert list(await store.files.expired_files(NOW + 4, 10)) == []
        assert list(await store.files.expired_files(NOW + 9, 10)) == [(STRANGERS[0], two), (ALICE, one)]
        assert list(await store.files.expired_files(NOW + 9, 1)) == [(STRANGERS[0], two)]

    # --- blobs ---------------------------------------------------------------------------------------------------
    async def test_a_blob_that_nothing_takes_is_left_over_when_it_is_due(self, store: Store) -> None:
        await store.files.begin_blob("aa/x", NOW + 5)
        assert await left_over(store, NOW + 4) == []
        assert await store.files.keep_blob("aa/x", NOW + 9) is True
        assert await left_over(store, NOW + 5) == []
        assert await left_over(store, NOW + 9) == ["aa/x"]
        assert await left_over(store, NOW) == ["aa/x"]
        await store.files.forget_blobs(["aa/x", "aa/unknown"])
        assert await left_over(store, LATER) == []

    async def test_a_blob_that_was_taken_is_not_left_over(self, store: Store) -> None:
        await put_file(store, file("a"))
        await store.files.add_upload(ALICE, upload())
        assert await put_part(store, part("p"))
        assert await left_over(store, LATER) == []
        assert await store.files.keep_blob("aa/a", LATER) is False

    async def test_what_is_left_over_or_was_never_begun_cannot_be_taken(self, store: Store) -> None:
        await store.files.add_upload(ALICE, upload())
        for added in (file("never"), file("late")):
            if added.id == "file-late":
                await store.files.begin_blob(added.blob, NOW)
                assert await left_over(store) == [added.blob]
            assert await store.files.keep_blob(added.blob, LATER) is False
            assert await store.files.add_file(ALICE, added) is False
            assert await store.files.complete_upload(ALICE, "upload_u", added) is False
            assert await store.files.add_part(ALICE, replace(part("p"), blob=added.blob), 100) is False
        assert await listed(store, FilePage(10)) == []
        assert await store.files.get_upload(ALICE, "upload_u") == upload()

    async def test_the_blob_of_a_deleted_file_is_left_over(self, store: Store) -> None:
        await put_file(store, file("a"))
        await store.files.delete_file(ALICE, "file-a")
        assert await left_over(store, 0) == ["aa/a"]

    async def test_left_over_blobs_come_in_portions(self, store: Store) -> None:
        for name in ("a", "b", "c"):
            await store.files.begin_blob(f"aa/{name}", NOW)
        files = store.files
        first = await files.left_over_blobs(NOW, 2)
        await files.forget_blobs(first)
        rest = await files.left_over_blobs(NOW, 2)
        assert sorted([*first, *rest]) == ["aa/a", "aa/b", "aa/c"]

    # --- uploads -------------------------------------------------------------------------------------------------
    async def test_an_upload_and_its_parts_are_what_was_added(self, store: Store) -> None:
        await store.files.add_upload(ALICE, upload())
        added = [part("b"), part("a"), part("c", 80)]
        for one in added:
            assert await put_part(store, one)
        assert await store.files.get_upload(ALICE, "upload_u") == upload()
        assert list(await store.files.get_parts(ALICE, "upload_u")) == added
        for stranger in STRANGERS:
            assert await store.files.get_upload(stranger, "upload_u") is None
            assert list(await store.files.get_parts(stranger, "upload_u")) == []
            assert await store.files.end_upload(stranger, "upload_u", "cancelled") is None

    async def test_parts_do_not_exceed_their_limit_and_belong_to_a_pending_upload(self, store: Store) -> None:
        await store.files.add_upload(ALICE, upload())
        assert await put_part(store, part("a", 60))
        assert not await put_part(store, part("b", 41))
        assert await put_part(store, part("c", 40))
        assert not await put_part(store, part("d", 1, of="none"))
        await store.files.begin_blob("bb/e", LATER)
        assert not await store.files.add_part(STRANGERS[0], part("e", 1), 1000)
        await store.files.end_upload(ALICE, "upload_u", "cancelled")
        assert not await put_part(store, part("f", 1), 1000)
        assert await left_over(store, LATER) == [f"bb/{name}" for name in "abcdef"]

    async def test_parts_that_come_at_once_do_not_exceed_it_either(self, store: Store) -> None:
        await store.files.add_upload(ALICE, upload())
        added = await asyncio.gather(*(put_part(store, part(str(at), 30)) for at in range(8)))
        assert sum(added) == 3

    async def test_an_upload_has_so_many_parts_at_most(self, store: Store) -> None:
        await store.files.add_upload(ALICE, upload())
        assert all(
            await asyncio.gather(*(put_part(store, part(str(at), 1), 10**6) for at in range(MAX_PARTS)))
        )
        assert not await put_part(store, part("more", 1), 10**6)

    async def test_completing_makes_the_file_once_and_leaves_the_parts_over(self, store: Store) -> None:
        await store.files.add_upload(ALICE, upload())
        for name in "ab":
            assert await put_part(store, part(name))
        rivals = [file("one"), file("two")]
        for one in rivals:
            await store.files.begin_blob(one.blob, LATER)
        files: FileStore = store.files
        won = await asyncio.gather(*(files.complete_upload(ALICE, "upload_u", one) for one in rivals))
        assert sorted(won) == [False, True]
        made = rivals[won.index(True)]
        assert await listed(store, FilePage(10)) == names([made])
        done = await files.get_upload(ALICE, "upload_u")
        assert done == replace(upload(), status="completed", file_id=made.id)
        assert list(await files.get_parts(ALICE, "upload_u")) == []
        assert await left_over(store) == ["bb/a", "bb/b"]
        assert await files.end_upload(ALICE, "upload_u", "cancelled") == done
        assert await files.complete_upload(STRANGERS[0], "upload_u", file("none")) is False

    async def test_ending_leaves_the_parts_over(self, store: Store) -> None:
        for name in ("u", "v"):
            await store.files.add_upload(ALICE, upload(name))
            assert await put_part(store, part(f"of-{name}", of=name))
        ended = await store.files.end_upload(ALICE, "upload_u", "cancelled")
        assert ended == replace(upload(), status="cancelled")
        assert await store.files.end_upload(ALICE, "upload_u", "expired") == ended
        assert await store.files.end_upload(ALICE, "upload_none", "expired") is None
        assert await left_over(store) == ["bb/of-u"]
        assert len(await store.files.get_parts(ALICE, "upload_v")) == 1

    async def test_pending_uploads_of_anybody_expire_and_ended_ones_are_forgotten(self, store: Store) -> None:
        files = store.files
        await files.add_upload(ALICE, upload("a", expires_at=NOW + 9))
        await files.add_upload(STRANGERS[0], upload("b", expires_at=NOW + 5))
        await files.add_upload(ALICE, upload("c", expires_at=NOW + 5))
        await files.end_upload(ALICE, "upload_c", "cancelled")
        due = [(owner, one.id) for owner, one in await files.expired_uploads(NOW + 9, 10)]
        assert due == [(STRANGERS[0], "upload_b"), (ALICE, "upload_a")]
        assert list(await files.expired_uploads(NOW + 4, 10)) == []
        await files.forget_uploads(NOW + 4)
        assert await files.get_upload(ALICE, "upload_c") is not None
        await files.forget_uploads(NOW + 9)
        assert await files.get_upload(ALICE, "upload_c") is None
        assert await files.get_upload(ALICE, "upload_a") is not None

    async def test_a_closed_store_has_no_files_to_give(self, store: Store) -> None:
        files = store.files
        await store.aclose()
        calls = [
            files.begin_blob("aa/x", NOW),
            files.keep_blob("aa/x", NOW),
            files.left_over_blobs(NOW, 1),
            files.forget_blobs(["aa/x"]),
            files.add_file(ALICE, file("a")),
            files.get_file(ALICE, "file-a"),
            files.get_files(ALICE, ["file-a"]),
            files.list_files(ALICE, FilePage(1)),
            files.delete_file(ALICE, "file-a"),
            files.expired_files(NOW, 1),
            files.add_upload(ALICE, upload()),
            files.get_upload(ALICE, "upload_u"),
            files.add_part(ALICE, part("a"), 1),
            files.get_parts(ALICE, "upload_u"),
            files.complete_upload(ALICE, "upload_u", file("a")),
            files.end_upload(ALICE, "upload_u", "expired"),
            files.expired_uploads(NOW, 1),
            files.forget_uploads(NOW),
        ]
        for call in calls:
            assert await refused_as_unavailable(call)
