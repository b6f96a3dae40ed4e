"""What every `VectorStoreRecords` promises, as tests. Subclass `KnowledgeContract`, with a fixture `store`, a `Store`.

As `store_contract`, which says more.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

from antiphon.core.errors import InvalidRequest
from antiphon.ports import Owner, Store
from antiphon.ports.knowledge import (
    FileCounts,
    IngestionClaim,
    KnowledgePage,
    StoredBatch,
    StoredVectorFile,
    StoredVectorStore,
)
from antiphon.testing.store_contract import ALICE, STRANGERS, refused_as_unavailable

NOW = 1_767_225_600
DAY = 86_400
LEASE = 60


def vector_store(name: str = "a", age: int = 0, days: int | None = None) -> StoredVectorStore:
    return StoredVectorStore(
        id=f"vs_{name}",
        name=name,
        created_at=NOW + age,
        last_active_at=NOW + age,
        metadata=b'{"of":"tests"}',
        provider_id="default",
        embedding_model="embedder/small",
        dimension=8,
        description="of tests",
        expires_after_days=days,
    )


def vector_file(name: str, age: int = 0, *, store: str = "a", batch: str | None = None) -> StoredVectorFile:
    return StoredVectorFile(
        store_id=f"vs_{store}",
        file_id=f"file-{name}",
        created_at=NOW + age,
        status="in_progress",
        attributes=b'{"page":1}',
        chunking=b'{"type":"auto"}',
        batch_id=batch,
    )


async def filled(store: Store, *names: str, owner: Owner = ALICE) -> None:
    """A store `vs_a` with these files, each a job."""
    await store.knowledge.add_store(owner, vector_store(), [vector_file(name) for name in names])


async def claimed(store: Store, token: str = "t1", at: int = 0) -> IngestionClaim:  # noqa: S107 no secret
    claim = await store.knowledge.claim(token, NOW + at, NOW + at + LEASE)
    assert claim is not None
    return claim


async def completed(store: Store, token: str = "t1", size: int = 10) -> StoredVectorFile:  # noqa: S107 no secret
    """The next job, done."""
    claim = await claimed(store, token)
    done = replace(claim.file, status="completed", usage_bytes=size)
    assert await store.knowledge.finish(claim, done)
    return done


async def counts(store: Store) -> FileCounts:
    summary = await store.knowledge.get_store(ALICE, "vs_a")
    assert summary is not None
    return summary.counts


async def refused_param(call: Awaitable[object]) -> str | None:
    """The parameter that a request was refused for."""
    try:
        await call
    except InvalidRequest as error:
        return error.param
    return None


async def nothing_to_do(store: Store, at: int = 0) -> bool:
    return await store.knowledge.claim("t9", NOW + at, NOW + at + LEASE) is None


class KnowledgeContract:
    """The promises. Test names are the sentences that are false when they fail."""

    # --- stores -----------------------------------------------------------------------------------------------
    async def test_a_store_that_was_added_is_what_is_got(self, store: Store) -> None:
        one = replace(vector_store(days=3), name="né\U0001f600 ' %s :id", embedding_model="", dimension=0)
        await store.knowledge.add_store(ALICE, one)
        summary = await store.knowledge.get_store(ALICE, one.id)
        assert summary is not None
        assert (summary.store, summary.counts, summary.usage_bytes) == (one, FileCounts(), 0)
        assert await store.knowledge.find_stores(ALICE, [one.id, "vs_none"]) == {one.id: one}

    async def test_a_store_that_is_moved_keeps_all_but_its_place(self, store: Store) -> None:
        knowledge = store.knowledge
        one, other = vector_store("one"), vector_store("other", age=1)
        for each in (other, one):
            await knowledge.add_store(ALICE, each)
        moved = replace(one, provider_id="new", embedding_model="m", dimension=3, generation=2)
        assert await knowledge.move_store(ALICE, replace(moved, name="not this"))
        assert await knowledge.find_stores(ALICE, ["vs_one"]) == {"vs_one": moved}
        assert await knowledge.update_store(ALICE, replace(moved, generation=9, name="new")) is not None
        assert await knowledge.live_stores() == [(ALICE, replace(moved, name="new")), (ALICE, other)]
        assert not await knowledge.move_store(STRANGERS[0], moved)
        await knowledge.delete_store(ALICE, "vs_other")
        assert not await knowledge.move_store(ALICE, other)
        assert await knowledge.live_stores() == [(ALICE, replace(moved, name="new"))]
        ((_, ending),) = await knowledge.ending_stores(NOW, 9)
        assert ending == other

    async def test_unknown_and_foreign_ids_answer_alike(self, store: Store) -> None:
        knowledge = store.knowledge
        await filled(store, "x")
        await knowledge.put_files(
            ALICE, [vector_file("y", batch="vsfb_1")], StoredBatch("vsfb_1", "vs_a", NOW)
        )
        asked = [(ALICE, "vs_none"), *((stranger, "vs_a") for stranger in STRANGERS)]
        for owner, store_id in asked:
            other = replace(vector_store(), id=store_id, name="taken")
            assert await knowledge.get_store(owner, store_id) is None
            assert await knowledge.find_stores(owner, [store_id]) == {}
            assert await knowledge.list_stores(owner, KnowledgePage(9)) == [] or owner == ALICE
            assert await knowledge.update_store(owner, other) is None
            assert await knowledge.delete_store(owner, store_id) is None
            await knowledge.touch_store(owner, store_id, NOW + 999)
            await knowledge.forget_store(owner, store_id)
            assert not await knowledge.put_files(owner, [replace(vector_file("z"), store_id=store_id)])
            assert await knowledge.get_file(owner, store_id, "file-x") is None
            assert await knowledge.get_files(owner, store_id, ["file-x"]) == {}
            assert await knowledge.list_files(owner, store_id, KnowledgePage(9)) == []
            assert await knowledge.set_attributes(owner, store_id, "file-x", b"{}") is None
            assert not await knowledge.remove_file(owner, store_id, "file-x")
            assert await knowledge.get_batch(owner, store_id, "vsfb_1") is None
            await knowledge.cancel_batch(owner, store_id, "vsfb_1")
            assert await knowledge.claim_file(owner, store_id, "file-x", "t", NOW, NOW + 9) is None
            for page in (KnowledgePage(9, after="vs_a"), KnowledgePage(9, before="vs_a")):
                if owner != ALICE:
                    assert await refused_param(knowledge.list_stores(owner, page)) in ("after", "before")
        for stranger in STRANGERS:
            assert await knowledge.stores_of_file(stranger, "file-x") == []
        summary = await knowledge.get_store(ALICE, "vs_a")
        assert summary is not None
        assert summary.store == vector_store()
        assert summary.counts == FileCounts(in_progress=2)
        assert await knowledge.get_file(ALICE, "vs_a", "file-x") == vector_file("x")

    async def test_stores_are_listed_by_age_in_pages_that_follow_one_another(self, store: Store) -> None:
        for number in range(7):
            await store.knowledge.add_store(ALICE, vector_store(f"n{number}", number // 2))
        ids = [f"vs_n{number}" for number in range(7)]

        async def listed(page: KnowledgePage) -> list[str]:
            return [one.store.id for one in await store.knowledge.list_stores(ALICE, page)]

        assert await listed(KnowledgePage(99)) == ids[::-1]
        assert await listed(KnowledgePage(3, newest_first=False)) == ids[:3]
        assert await listed(KnowledgePage(3, newest_first=False, after=ids[2])) == ids[3:6]
        assert await listed(KnowledgePage(3, newest_first=False, before=ids[5])) == ids[2:5]
        assert await listed(KnowledgePage(2, after=ids[4])) == [ids[3], ids[2]]
        assert await listed(KnowledgePage(2, before=ids[1])) == [ids[3], ids[2]]
        assert await listed(KnowledgePage(9, after=ids[5], before=ids[2])) == [ids[4], ids[3]]
        for param, page in (
            ("after", KnowledgePage(9, after="vs_x")),
            ("before", KnowledgePage(9, before="vs_x")),
        ):
            assert await refused_param(store.knowledge.list_stores(ALICE, page)) == param

    async def test_a_store_is_changed_and_keeps_its_place_and_its_index(self, store: Store) -> None:
        await filled(store, "x")
        other = replace(vector_store(days=5), name="other", metadata=b"{}", last_active_at=NOW + 7)
        moved = replace(other, provider_id="elsewhere", embedding_model="m", dimension=4)
        summary = await store.knowledge.update_store(ALICE, moved)
        assert summary is not None
        assert summary.store == other
        assert summary.counts == FileCounts(in_progress=1)

    async def test_a_deleted_store_is_gone_with_all_that_it_held(self, store: Store) -> None:
        knowledge = store.knowledge
        await filled(store, "x")
        await knowledge.put_files(
            ALICE, [vector_file("y", batch="vsfb_1")], StoredBatch("vsfb_1", "vs_a", NOW)
        )
        assert await knowledge.delete_store(ALICE, "vs_a") == vector_store()
        assert await knowledge.delete_store(ALICE, "vs_a") is None
        assert await knowledge.get_store(ALICE, "vs_a") is None
        assert await knowledge.find_stores(ALICE, ["vs_a"]) == {}
        assert await knowledge.list_stores(ALICE, KnowledgePage(9)) == []
        assert await knowledge.list_files(ALICE, "vs_a", KnowledgePage(9)) == []
        assert await knowledge.get_file(ALICE, "vs_a", "file-x") is None
        assert await knowledge.get_batch(ALICE, "vs_a", "vsfb_1") is None
        assert await knowledge.stores_of_file(ALICE, "file-x") == []
        assert not await knowledge.put_files(ALICE, [vector_file("z")])
        assert not await knowledge.remove_file(ALICE, "vs_a", "file-x")
        assert await nothing_to_do(store)
        assert await knowledge.next_due() is None

    async def test_a_store_that_was_begun_is_seen_when_it_is_added(self, store: Store) -> None:
        knowledge = store.knowledge
        await knowledge.begin_store(ALICE, vector_store(), due_at=NOW + 100)
        assert await knowledge.get_store(ALICE, "vs_a") is None
        assert await knowledge.find_stores(ALICE, ["vs_a"]) == {}
        assert await knowledge.list_stores(ALICE, KnowledgePage(10)) == []
        assert await knowledge.delete_store(ALICE, "vs_a") is None
        assert await knowledge.ending_stores(NOW + 99, 10) == []
        await knowledge.add_store(ALICE, vector_store())
        assert await knowledge.get_store(ALICE, "vs_a") is not None
        assert await knowledge.ending_stores(NOW + 1_000, 10) == []

    async def test_a_store_is_begun_again_unless_its_id_is_taken_or_still_to_be_dropped(
        self, store: Store
    ) -> None:
        knowledge = store.knowledge
        made = vector_store()
        assert await knowledge.begin_store(ALICE, made, due_at=made.created_at + 100)
        assert await knowledge.begin_store(ALICE, made, due_at=made.created_at + 200)
        assert await knowledge.begin_store(STRANGERS[0], made, due_at=made.created_at + 100)
        assert await knowledge.ending_stores(made.created_at + 199, 10) == [(STRANGERS[0], made)]
        late = replace(made, created_at=made.created_at + 200)
        assert not await knowledge.begin_store(ALICE, late, due_at=made.created_at + 900)
        await knowledge.add_store(ALICE, made)
        assert not await knowledge.begin_store(ALICE, made, due_at=made.created_at + 100)
        await knowledge.delete_store(ALICE, made.id)
        assert not await knowledge.begin_store(ALICE, made, due_at=made.created_at + 100)
        await knowledge.forget_store(ALICE, made.id)
        assert await knowledge.begin_store(ALICE, made, due_at=made.created_at + 100)

    async def test_a_store_that_was_begun_and_not_added_ends(self, store: Store) -> None:
        knowledge = store.knowledge
        await knowledge.begin_store(ALICE, vector_store(), due_at=NOW + 100)
        [(owner, ending)] = await knowledge.ending_stores(NOW + 100, 10)
        assert (owner, ending.id, ending.expired) == (ALICE, "vs_a", False)
        await knowledge.forget_store(ALICE, "vs_a")
        assert await knowledge.ending_stores(NOW + 100, 10) == []

    async def test_a_deleted_store_is_named_until_it_is_forgotten(self, store: Store) -> None:
        knowledge = store.knowledge
        await filled(store, "x")
        await knowledge.add_store(ALICE, vector_store("b"))
        await knowledge.delete_store(ALICE, "vs_a")
        assert await knowledge.ending_stores(NOW, 9) == [(ALICE, vector_store())]
        await knowledge.forget_store(ALICE, "vs_a")
        await knowledge.forget_store(ALICE, "vs_b")  # nobody deleted this one
        assert await knowledge.ending_stores(NOW, 9) == []
        assert await knowledge.get_store(ALICE, "vs_b") is not None
        await knowledge.add_store(ALICE, vector_store())
        assert await counts(store) == FileCounts()

    async def test_a_deleted_store_waits_for_whoever_is_at_one_of_its_files(self, store: Store) -> None:
        await filled(store, "x")
        claim = await claimed(store)
        await store.knowledge.delete_store(ALICE, "vs_a")
        assert not await store.knowledge.renew(claim, NOW + 999)
        assert not await store.knowledge.finish(claim, replace(claim.file, status="completed"))
        assert await store.knowledge.ending_stores(NOW + 1, 9) == []
        await store.knowledge.release(claim)
        assert len(await store.knowledge.ending_stores(NOW + 1, 9)) == 1

    async def test_a_deleted_store_waits_no_longer_than_a_claim_lasts(self, store: Store) -> None:
        await filled(store, "x")
        await claimed(store)
        await store.knowledge.delete_store(ALICE, "vs_a")
        assert await store.knowledge.ending_stores(NOW + LEASE - 1, 9) == []
        assert len(await store.knowledge.ending_stores(NOW + LEASE, 9)) == 1

    async def test_a_store_expires_so_many_days_after_its_last_use(self, store: Store) -> None:
        knowledge = store.knowledge
        await knowledge.add_store(ALICE, vector_store(days=2), [vector_file("x")])
        await knowledge.add_store(ALICE, vector_store("b"))
        await completed(store)
        await knowledge.put_files(ALICE, [vector_file("y", DAY)])
        assert await knowledge.expire_stores(NOW + 3 * DAY - 1, 9) == 0
        await knowledge.touch_store(ALICE, "vs_a", NOW + 2 * DAY)
        await knowledge.touch_store(ALICE, "vs_a", NOW)  # an older use takes nothing back
        assert await knowledge.expire_stores(NOW + 4 * DAY - 1, 9) == 0
        assert await knowledge.expire_stores(NOW + 4 * DAY, 9) == 1
        assert await knowledge.expire_stores(NOW + 9 * DAY, 9) == 0
        summary = await knowledge.get_store(ALICE, "vs_a")
        assert summary is not None
        assert summary.store.expired
        assert summary.counts == FileCounts(completed=1, cancelled=1)
        assert not await knowledge.put_files(ALICE, [vector_file("z", 9 * DAY)])
        assert await nothing_to_do(store, 9 * DAY)

    async def test_an_expired_store_is_named_until_its_chunks_are_dropped_and_stays(
        self, store: Store
    ) -> None:
        knowledge = store.knowledge
        await knowledge.add_store(ALICE, vector_store(days=1), [vector_file("x"), vector_file("y")])
        await completed(store)
        await knowledge.remove_file(ALICE, "vs_a", "file-y")
        await knowledge.expire_stores(NOW + DAY, 9)
        ((owner, ending),) = await knowledge.ending_stores(NOW + DAY, 9)
        assert (owner, ending.id, ending.expired) == (ALICE, "vs_a", True)
        await knowledge.forget_store(ALICE, "vs_a")
        assert await knowledge.ending_stores(NOW + DAY, 9) == []
        assert await counts(store) == FileCounts(completed=1)
        assert await knowledge.remove_file(ALICE, "vs_a", "file-x")
        assert await counts(store) == FileCounts()
        assert await knowledge.delete_store(ALICE, "vs_a") is not None

    # --- files ------------------------------------------------------------------------------------------------
    async def test_files_are_listed_by_age_status_and_batch(self, store: Store) -> None:
        knowledge = store.knowledge
        await knowledge.add_store(ALICE, vector_store())
        files = [vector_file(f"n{number}", number // 2, batch="vsfb_1") for number in range(5)]
        await knowledge.put_files(ALICE, files, StoredBatch("vsfb_1", "vs_a", NOW))
        await knowledge.put_files(ALICE, [vector_file("late", 9)])
        done = await completed(store)

        async def listed(page: KnowledgePage) -> list[str]:
            found = await knowledge.list_files(ALICE, "vs_a", page)
            return [one.file_id.removeprefix("file-") for one in found]

        assert await listed(KnowledgePage(99)) == ["late", "n4", "n3", "n2", "n1", "n0"]
        assert await listed(KnowledgePage(99, status="completed")) == ["n0"]
        assert await listed(KnowledgePage(2, batch_id="vsfb_1")) == ["n4", "n3"]
        assert await listed(KnowledgePage(2, after="file-n3", batch_id="vsfb_1")) == ["n2", "n1"]
        assert await listed(KnowledgePage(2, before="file-n1")) == ["n3", "n2"]
        waiting = KnowledgePage(2, newest_first=False, status="in_progress", after="file-n0")
        assert await listed(waiting) == ["n1", "n2"]
        assert await knowledge.get_file(ALICE, "vs_a", "file-n0") == done
        assert await knowledge.get_files(ALICE, "vs_a", ["file-n0", "file-none"]) == {"file-n0": done}
        nowhere = KnowledgePage(9, after="file-none")
        assert await refused_param(knowledge.list_files(ALICE, "vs_a", nowhere)) == "after"

    async def test_counts_and_usage_are_those_of_the_files_that_are_there(self, store: Store) -> None:
        await filled(store, "a", "b", "c", "d")
        await completed(store, size=10)
        await completed(store, size=5)
        claim = await claimed(store)
        failed = replace(claim.file, status="failed", error_code="invalid_file", error_message="broken")
        assert await store.knowledge.finish(claim, failed)
        assert await store.knowledge.get_file(ALICE, "vs_a", "file-c") == failed
        summary = await store.knowledge.get_store(ALICE, "vs_a")
        assert summary is not None
        assert summary.counts == FileCounts(in_progress=1, completed=2, failed=1)
        assert summary.usage_bytes == 15
        assert await store.knowledge.remove_file(ALICE, "vs_a", "file-a")
        assert not await store.knowledge.remove_file(ALICE, "vs_a", "file-a")
        summary = await store.knowledge.get_store(ALICE, "vs_a")
        assert summary is not None
        assert summary.counts == FileCounts(in_progress=1, completed=1, failed=1)
        assert summary.usage_bytes == 5
        assert await store.knowledge.get_file(ALICE, "vs_a", "file-a") is None

    async def test_a_file_knows_all_the_stores_that_hold_it(self, store: Store) -> None:
        await filled(store, "x")
        await store.knowledge.add_store(ALICE, vector_store("b"), [vector_file("x", store="b")])
        assert await store.knowledge.stores_of_file(ALICE, "file-x") == ["vs_a", "vs_b"]
        await store.knowledge.remove_file(ALICE, "vs_a", "file-x")
        assert await store.knowledge.stores_of_file(ALICE, "file-x") == ["vs_b"]

    async def test_a_batch_counts_its_files(self, store: Store) -> None:
        knowledge = store.knowledge
        await knowledge.add_store(ALICE, vector_store())
        batch = StoredBatch("vsfb_1", "vs_a", NOW)
        files = [vector_file(name, batch="vsfb_1") for name in "abc"]
        assert await knowledge.put_files(ALICE, files, batch)
        await completed(store)
        assert await knowledge.get_batch(ALICE, "vs_a", "vsfb_1") == (batch, FileCounts(2, 1))
        await knowledge.put_files(ALICE, [vector_file("b")])  # somebody else's now
        assert await knowledge.get_batch(ALICE, "vs_a", "vsfb_1") == (batch, FileCounts(1, 1))
        await knowledge.remove_file(ALICE, "vs_a", "file-c")
        assert await knowledge.get_batch(ALICE, "vs_a", "vsfb_1") == (batch, FileCounts(0, 1))

    async def test_cancelling_a_batch_spares_what_is_done_and_what_is_not_its_own(self, store: Store) -> None:
        knowledge = store.knowledge
        await filled(store, "other")
        files = [vector_file(name, 1, batch="vsfb_1") for name in "ab"]
        await knowledge.put_files(ALICE, files, StoredBatch("vsfb_1", "vs_a", NOW))
        assert (await completed(store)).file_id == "file-other"
        await completed(store)
        await knowledge.put_files(ALICE, [vector_file("mine")])
        await knowledge.cancel_batch(ALICE, "vs_a", "vsfb_1")
        found = await knowledge.get_batch(ALICE, "vs_a", "vsfb_1")
        assert found == (StoredBatch("vsfb_1", "vs_a", NOW, cancelled=True), FileCounts(0, 1, 0, 1))
        assert await counts(store) == FileCounts(in_progress=1, completed=2, cancelled=1)

    # --- jobs -------------------------------------------------------------------------------------------------
    async def test_a_claim_says_what_is_to_be_done_for_whom(self, store: Store) -> None:
        await filled(store, "x")
        assert await store.knowledge.next_due() == 0
        claim = await claimed(store)
        assert claim == IngestionClaim(ALICE, vector_file("x"), "t1", 1)
        assert await store.knowledge.next_due() == NOW + LEASE

    async def test_jobs_are_claimed_in_the_order_of_adding_and_each_once(self, store: Store) -> None:
        names = [f"n{number}" for number in range(20)]
        await filled(store, *names)
        claims = await asyncio.gather(
            *(store.knowledge.claim(f"t{number}", NOW, NOW + LEASE) for number in range(25))
        )
        got = [claim.file.file_id.removeprefix("file-") for claim in claims if claim is not None]
        assert got == names
        assert await nothing_to_do(store)

    async def test_a_claim_that_ran_out_is_anybodys_and_its_holder_is_told(self, store: Store) -> None:
        await filled(store, "x")
        first = await claimed(store, "t1")
        assert await nothing_to_do(store, LEASE - 1)
        second = await claimed(store, "t2", LEASE)
        assert second.attempts == 2
        assert not await store.knowledge.renew(first, NOW + 999)
        assert not await store.knowledge.finish(first, replace(first.file, status="completed"))
        await store.knowledge.release(first)
        await store.knowledge.defer(first, NOW + 999)
        assert await store.knowledge.renew(second, NOW + 3 * LEASE)
        assert await nothing_to_do(store, 3 * LEASE - 1)
        assert await store.knowledge.finish(second, replace(second.file, status="completed"))
        assert not await store.knowledge.finish(second, replace(second.file, status="failed"))
        assert await counts(store) == FileCounts(completed=1)

    async def test_a_claim_that_is_let_go_of_is_free_at_once_and_was_no_attempt(self, store: Store) -> None:
        await filled(store, "x")
        await store.knowledge.release(await claimed(store, "t1"))
        again = await claimed(store, "t2")
        assert again.attempts == 1
        await store.knowledge.defer(again, NOW + 30)
        assert await nothing_to_do(store, 29)
        assert await store.knowledge.next_due() == NOW + 30
        assert (await claimed(store, "t3", 30)).attempts == 2

    async def test_a_file_that_is_taken_out_while_somebody_reads_it_is_cleaned_after_him(
        self, store: Store
    ) -> None:
        await filled(store, "x")
        claim = await claimed(store)
        await store.knowledge.remove_file(ALICE, "vs_a", "file-x")
        assert not await store.knowledge.renew(claim, NOW + 999)
        assert not await store.knowledge.finish(claim, replace(claim.file, status="completed"))
        assert await nothing_to_do(store)
        await store.knowledge.release(claim)
        cleaning = await claimed(store, "t2")
        assert (cleaning.task, cleaning.attempts, cleaning.file.file_id) == ("clean", 1, "file-x")
        assert await store.knowledge.finish(cleaning)
        assert await nothing_to_do(store, 999)
        await store.knowledge.put_files(ALICE, [vector_file("x", 5)])
        assert (await claimed(store, "t3")).task == "read"

    async def test_what_was_lost_is_free_when_the_claim_has_run_out(self, store: Store) -> None:
        await filled(store, "x")
        await claimed(store)
        await store.knowledge.put_files(ALICE, [vector_file("x", 5)])
        assert await nothing_to_do(store, LEASE - 1)
        assert (await claimed(store, "t2", LEASE)).file.created_at == NOW + 5

    async def test_a_file_that_begins_anew_has_its_new_settings_and_one_place(self, store: Store) -> None:
        await filled(store, "x", "y")
        claim = await claimed(store)
        again = replace(vector_file("x", 5, batch="vsfb_1"), attributes=b'{"new":true}')
        await store.knowledge.put_files(ALICE, [again], StoredBatch("vsfb_1", "vs_a", NOW))
        assert not await store.knowledge.renew(claim, NOW + 999)
        assert await store.knowledge.get_file(ALICE, "vs_a", "file-x") == again
        assert await counts(store) == FileCounts(in_progress=2)
        await store.knowledge.release(claim)
        anew = await claimed(store, "t2")
        assert (anew.file, anew.attempts, anew.task) == (again, 1, "read")

    async def test_a_failed_file_begins_anew_without_its_error(self, store: Store) -> None:
        await filled(store, "x")
        claim = await claimed(store)
        failed = replace(claim.file, status="failed", error_code="server_error", error_message="no")
        assert await store.knowledge.finish(claim, failed, clean=True)
        assert (await claimed(store, "t2")).task == "clean"
        await store.knowledge.put_files(ALICE, [vector_file("x")])
        assert await store.knowledge.get_file(ALICE, "vs_a", "file-x") == vector_file("x")

    async def test_a_cancelled_file_is_cleaned_and_stays_cancelled(self, store: Store) -> None:
        knowledge = store.knowledge
        await knowledge.add_store(ALICE, vector_store())
        await knowledge.put_files(
            ALICE, [vector_file("x", batch="vsfb_1")], StoredBatch("vsfb_1", "vs_a", NOW)
        )
        claim = await claimed(store)
        await knowledge.cancel_batch(ALICE, "vs_a", "vsfb_1")
        assert not await knowledge.renew(claim, NOW + 999)
        await knowledge.release(claim)
        cleaning = await claimed(store, "t2")
        assert cleaning.task == "clean"
        assert await knowledge.finish(cleaning)
        assert await nothing_to_do(store, 999)
        assert await counts(store) == FileCounts(cancelled=1)

    async def test_other_attributes_are_given_to_the_chunks_of_a_file_that_is_done(
        self, store: Store
    ) -> None:
        await filled(store, "x")
        done = await completed(store)
        changed = await store.knowledge.set_attributes(ALICE, "vs_a", "file-x", b'{"new":1}')
        assert changed == replace(done, attributes=b'{"new":1}')
        claim = await claimed(store, "t2")
        assert (claim.task, claim.file) == ("label", changed)
        await store.knowledge.set_attributes(ALICE, "vs_a", "file-x", b'{"new":2}')
        assert not await store.knowledge.finish(claim)
        await store.knowledge.release(claim)
        claim = await claimed(store, "t3")
        assert claim.file.attributes == b'{"new":2}'
        assert await store.knowledge.finish(claim)
        assert await store.knowledge.get_file(ALICE, "vs_a", "file-x") == replace(
            done, attributes=b'{"new":2}'
        )
        assert await nothing_to_do(store)

    async def test_a_file_that_is_read_is_begun_again_with_its_other_attributes(self, store: Store) -> None:
        await filled(store, "x")
        claim = await claimed(store)
        await store.knowledge.set_attributes(ALICE, "vs_a", "file-x", b"{}")
        assert not await store.knowledge.finish(claim, replace(claim.file, status="completed"))
        await store.knowledge.release(claim)
        again = await claimed(store, "t2")
        assert (again.task, again.file.attributes) == ("read", b"{}")

    async def test_a_failed_file_gets_attributes_and_no_job(self, store: Store) -> None:
        await filled(store, "x")
        claim = await claimed(store)
        await store.knowledge.finish(claim, replace(claim.file, status="failed", error_code="invalid_file"))
        assert await store.knowledge.set_attributes(ALICE, "vs_a", "file-x", b"{}") is not None
        assert await nothing_to_do(store)

    async def test_the_job_of_one_file_may_be_claimed_by_name(self, store: Store) -> None:
        await filled(store, "x", "y")
        claim = await store.knowledge.claim_file(ALICE, "vs_a", "file-y", "t1", NOW, NOW + LEASE)
        assert claim is not None
        assert claim.file.file_id == "file-y"
        assert await store.knowledge.claim_file(ALICE, "vs_a", "file-y", "t2", NOW, NOW + LEASE) is None
        await store.knowledge.defer(claim, NOW + 999)  # those who ask by name do not wait
        claim = await store.knowledge.claim_file(ALICE, "vs_a", "file-y", "t2", NOW, NOW + LEASE)
        assert claim is not None
        assert await store.knowledge.finish(claim, replace(claim.file, status="completed"))
        assert await store.knowledge.claim_file(ALICE, "vs_a", "file-y", "t3", NOW, NOW + LEASE) is None

    async def test_adding_no_files_changes_nothing(self, store: Store) -> None:
        await filled(store)
        assert await store.knowledge.put_files(ALICE, [])
        assert await counts(store) == FileCounts()

    async def test_a_closed_store_is_unavailable(self, store: Store) -> None:
        await filled(store, "x")
        await store.aclose()
        assert await refused_as_unavailable(store.knowledge.claim("t", NOW, NOW + 1))
        assert await refused_as_unavailable(store.knowledge.get_store(ALICE, "vs_a"))
