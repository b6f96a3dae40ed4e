"""How files get into vector stores: claimed, read, put off, given up; and what is left of those that go."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

import pytest

from antiphon.core.chunking_strategy import StaticSizes, StaticStrategy
from antiphon.core.errors import Conflict, IndexUnavailable, InvalidRequest, NotFound
from antiphon.ports import Owner
from antiphon.ports.knowledge import Collection
from antiphon.testing.store_contract import ALICE
from antiphon.vector_stores.jobs import chunk_id
from antiphon.vector_stores.shapes import (
    AddFile,
    CreateFileBatch,
    CreateVectorStore,
    ExpiresAfter,
    UpdateFile,
    UpdateVectorStore,
)
from tests.knowledge_world import DIMENSION, LEASE_S, World

LONG = " ".join(f"word{number}" for number in range(900))
SMALL = StaticStrategy(static=StaticSizes(max_chunk_size_tokens=100, chunk_overlap_tokens=0))


async def test_a_file_is_cut_embedded_and_kept_with_its_place_and_its_attributes() -> None:
    world = World("embedder/small")
    store_id, (file_id,) = await world.make_store("rain falls")
    world.restart()
    await world.idle()
    ((one,),) = world.chunks(store_id).values()
    assert (one.file_id, one.number, one.text, one.metadata) == (
        file_id,
        0,
        "rain falls",
        b'{"start":0,"end":10}',
    )
    assert one.id == chunk_id(store_id, file_id, 0)
    assert len(one.vector) == 4 * DIMENSION
    shown = await world.process.store_files.get(ALICE, store_id, file_id)
    assert (shown.status, shown.usage_bytes, shown.last_error) == ("completed", 10 + 16, None)
    store = await world.process.stores.get(ALICE, store_id)
    assert (store.status, store.usage_bytes, store.embedding_dimension) == ("completed", 26, DIMENSION)
    await world.process.ingestion.stop()


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("BROKEN file", "invalid_file", "it is broken"),
        ("IMAGE file", "unsupported_file", "it is an image"),
        ("BUG in us", "server_error", "something unexpected happened on the server; its log says what."),
        (" \n ", "invalid_file", "there is no text in the file."),
    ],
)
async def test_a_file_that_cannot_be_read_says_why_and_spares_its_batch(
    text: str, code: str, message: str
) -> None:
    world = World()
    store_id, (bad, good) = await world.make_store(text, "rain")
    world.restart()
    await world.idle()
    shown = await world.process.store_files.get(ALICE, store_id, bad)
    assert shown.status == "failed"
    assert shown.last_error is not None
    assert (shown.last_error.code, shown.last_error.message[: len(message)]) == (code, message)
    assert list(world.chunks(store_id)) == [good]
    assert (await world.process.stores.get(ALICE, store_id)).status == "completed"
    await world.process.ingestion.stop()


async def test_what_may_pass_is_tried_again_later_and_later() -> None:
    world = World("embedder/small")
    store_id, (file_id,) = await world.make_store("rain")
    world.embedder.failures = 2
    world.restart()
    for seconds in (2, 4):
        await world.until(partial(_is_put_off, world, seconds))
        assert not world.process.ingestion.busy
        world.clock.at += seconds
        world.process.ingestion.wake()
    await world.idle(through=False)
    assert await world.status(store_id, file_id) == "completed"
    await world.process.ingestion.stop()


async def _is_put_off(world: World, seconds: int) -> bool:
    return not world.process.ingestion.busy and await world.put_off() == seconds


async def test_what_does_not_pass_is_given_up() -> None:
    world = World("embedder/small")
    store_id, (file_id,) = await world.make_store("rain")
    world.embedder.failures = 99
    world.restart()
    await world.idle()
    shown = await world.process.store_files.get(ALICE, store_id, file_id)
    assert shown.last_error is not None
    assert shown.last_error.code == "server_error"
    assert shown.last_error.message == "given up after 3 attempts: the embedder is down."
    assert world.chunks(store_id) == {}
    await world.process.ingestion.stop()


async def test_a_file_that_kills_the_server_each_time_is_given_up() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store("rain")
    world.extractor.gate.clear()
    for _ in range(3):
        world.extractor.begun.clear()
        process = world.restart()
        await world.until(_begun(world, 1))
        await process.kill()
        world.clock.at += LEASE_S
    world.restart()
    await world.idle()
    shown = await world.process.store_files.get(ALICE, store_id, file_id)
    assert shown.last_error is not None
    assert shown.last_error.message == "it was begun 3 times, and the server never came to its end."
    await world.process.ingestion.stop()


def _begun(world: World, count: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return len(world.extractor.begun) >= count

    return reached


async def test_a_server_that_stops_lets_go_so_that_the_next_one_begins_at_once() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store("rain")
    world.extractor.gate.clear()
    process = world.restart()
    await world.until(_begun(world, 1))
    await process.ingestion.stop()
    world.extractor.gate.set()
    world.restart()
    await world.idle(through=False)
    assert await world.status(store_id, file_id) == "completed"
    await world.process.ingestion.stop()


async def test_no_more_files_are_read_at_once_than_there_are_workers() -> None:
    world = World(workers=2)
    store_id, _ = await world.make_store(*(f"file {number}" for number in range(6)))
    world.extractor.gate.clear()
    world.restart()
    await world.until(_begun(world, 2))
    await asyncio.sleep(0)
    assert len(world.extractor.begun) == 2
    assert (await world.process.stores.get(ALICE, store_id)).status == "in_progress"
    world.extractor.gate.set()
    await world.idle()
    assert len(world.chunks(store_id)) == 6
    await world.process.ingestion.stop()


async def test_a_file_that_is_taken_out_is_found_no_more_when_the_answer_is_there() -> None:
    world = World()
    store_id, (gone, kept) = await world.make_store("rain", "sun")
    world.restart()
    await world.idle()
    await world.process.store_files.remove(ALICE, store_id, gone)
    assert list(world.chunks(store_id)) == [kept]
    with pytest.raises(NotFound):
        await world.process.store_files.remove(ALICE, store_id, gone)
    assert (await world.files.get(ALICE, gone)).id == gone
    await world.process.ingestion.stop()


async def test_a_file_that_is_taken_out_while_it_is_read_leaves_nothing() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store(LONG)
    world.extractor.gate.clear()
    world.restart()
    await world.until(_begun(world, 1))
    await world.process.store_files.remove(ALICE, store_id, file_id)
    assert not world.process.ingestion.busy
    world.extractor.gate.set()
    await world.idle()
    assert world.chunks(store_id) == {}
    assert (await world.process.stores.get(ALICE, store_id)).file_counts.total == 0
    await world.process.ingestion.stop()


async def test_chunks_that_cannot_be_removed_now_are_removed_later() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store("rain")
    world.restart()
    await world.idle()
    world.index.failures = 1
    await world.process.store_files.remove(ALICE, store_id, file_id)
    assert list(world.chunks(store_id)) == [file_id]
    await world.idle()
    assert world.chunks(store_id) == {}
    await world.process.ingestion.stop()


async def test_a_file_that_is_added_again_is_cut_anew_and_keeps_no_old_chunk() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store(LONG)
    world.restart()
    await world.idle()
    before = len(world.chunks(store_id)[file_id])
    await world.process.store_files.add(ALICE, store_id, AddFile(file_id=file_id, chunking_strategy=SMALL))
    await world.idle()
    after = world.chunks(store_id)[file_id]
    assert len(after) > before
    assert [one.number for one in after] == list(range(len(after)))
    await world.process.store_files.add(ALICE, store_id, AddFile(file_id=file_id, attributes={"a": 1}))
    await world.idle()
    assert len(world.chunks(store_id)[file_id]) == before
    assert {one.attributes["a"] for one in world.chunks(store_id)[file_id]} == {1}
    await world.process.ingestion.stop()


async def test_searches_go_by_other_attributes_when_the_answer_is_there() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store("rain")
    world.restart()
    await world.idle()
    shown = await world.process.store_files.update(
        ALICE, store_id, file_id, UpdateFile(attributes={"year": 2026})
    )
    assert shown.attributes == {"year": 2026}
    assert [dict(one.attributes) for one in world.chunks(store_id)[file_id]] == [{"year": 2026}]
    await world.process.ingestion.stop()


async def test_a_file_that_is_being_read_gets_its_other_attributes() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store("rain")
    world.extractor.gate.clear()
    world.restart()
    await world.until(_begun(world, 1))
    await world.process.store_files.update(ALICE, store_id, file_id, UpdateFile(attributes={"year": 2026}))
    world.extractor.gate.set()
    await world.idle()
    assert [dict(one.attributes) for one in world.chunks(store_id)[file_id]] == [{"year": 2026}]
    await world.process.ingestion.stop()


async def test_a_cancelled_batch_ends_at_once_and_keeps_what_is_done() -> None:
    world = World(workers=1)
    store_id, _ = await world.make_store()
    first, second, third = [await world.upload(text) for text in ("rain", "sun", "snow")]
    world.restart()
    files = world.process.store_files
    await files.add(ALICE, store_id, AddFile(file_id=first))
    await world.idle()
    world.extractor.gate.clear()
    batch = await files.create_batch(ALICE, store_id, CreateFileBatch(file_ids=[second, third]))
    assert (batch.status, batch.file_counts.in_progress) == ("in_progress", 2)
    await world.until(_begun(world, 2))
    batch = await files.cancel_batch(ALICE, store_id, batch.id)
    assert (batch.status, batch.file_counts.cancelled, batch.file_counts.in_progress) == ("cancelled", 2, 0)
    world.extractor.gate.set()
    await world.idle()
    assert list(world.chunks(store_id)) == [first]
    assert (await files.cancel_batch(ALICE, store_id, batch.id)).status == "cancelled"
    await world.process.ingestion.stop()


async def test_a_deleted_store_ends_what_is_read_into_it_and_leaves_nothing() -> None:
    world = World()
    store_id, _ = await world.make_store("rain", "sun")
    world.extractor.gate.clear()
    world.restart()
    await world.until(_begun(world, 2))
    await world.process.stores.delete(ALICE, store_id)
    with pytest.raises(NotFound):
        await world.process.stores.get(ALICE, store_id)
    await world.until(lambda: _dropped(world, store_id))
    assert await world.store.knowledge.ending_stores(world.clock.now(), 9) == []
    await world.process.ingestion.stop()


async def _dropped(world: World, store_id: str) -> bool:
    return store_id not in world.index.data and not await world.store.knowledge.ending_stores(2**40, 9)


async def test_a_store_that_was_deleted_before_a_crash_is_dropped_by_the_next_start() -> None:
    world = World()
    store_id, _ = await world.make_store("rain")
    process = world.restart()
    await world.idle()
    await process.kill()
    await world.store.knowledge.delete_store(ALICE, store_id)
    world.restart()
    await world.until(lambda: _dropped(world, store_id))
    await world.process.ingestion.stop()


async def test_a_deleted_store_takes_what_an_unfinished_reindexing_left_of_it_along() -> None:
    world = World()
    store_id, _ = await world.make_store("rain")
    world.restart()
    await world.idle()
    for name in ("main", "other"):
        await world.indexes[name].create(Collection(f"{store_id}_1", 0))
    await world.process.stores.delete(ALICE, store_id)
    await world.until(lambda: _dropped(world, store_id))
    assert [one for index in world.indexes.values() for one in index.data] == []
    await world.process.ingestion.stop()


async def test_a_store_expires_by_its_last_use_and_says_so() -> None:
    world = World()
    file_id = await world.upload("rain")
    after = ExpiresAfter(anchor="last_active_at", days=2)
    made = await world.process.stores.create(
        ALICE, CreateVectorStore(file_ids=[file_id], expires_after=after)
    )
    assert made.expires_at == world.clock.now() + 2 * 86_400
    world.restart()
    await world.idle()
    stores, files = world.process.stores, world.process.store_files
    world.clock.at += 2 * 86_400 - 1
    assert (await stores.get(ALICE, made.id)).status == "completed"
    world.clock.at += 1
    assert (await stores.get(ALICE, made.id)).status == "expired"  # before anybody marked it
    with pytest.raises(InvalidRequest, match="has expired"):
        await files.add(ALICE, made.id, AddFile(file_id=file_id))
    world.process.ingestion.sweep_soon()
    await world.until(lambda: _dropped(world, made.id))
    assert (await stores.get(ALICE, made.id)).status == "expired"
    assert (await stores.update(ALICE, made.id, UpdateVectorStore(name="old"))).status == "expired"
    with pytest.raises(InvalidRequest, match="has expired"):
        await stores.update(ALICE, made.id, UpdateVectorStore(expires_after=after))
    await stores.delete(ALICE, made.id)
    await world.process.ingestion.stop()


async def test_a_store_whose_index_is_not_configured_any_more_is_refused_alone() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store("rain")
    await world.store.knowledge.add_store(
        ALICE,
        replace(
            (await world.store.knowledge.find_stores(ALICE, [store_id]))[store_id],
            id="vs_lost",
            provider_id="gone",
        ),
    )
    world.restart()
    with pytest.raises(IndexUnavailable, match='index "gone"'):
        await world.process.store_files.add(ALICE, "vs_lost", AddFile(file_id=file_id))
    await world.idle()
    assert await world.status(store_id, file_id) == "completed"
    assert (await world.process.stores.get(ALICE, "vs_lost")).provider_id == "gone"
    await world.process.ingestion.stop()


async def test_a_deleted_file_is_taken_out_of_its_stores_and_not_while_it_is_read() -> None:
    world = World()
    store_id, (file_id, other) = await world.make_store("rain", "sun")
    world.files.before_delete = world.process.store_files.detach
    world.extractor.gate.clear()
    process = world.restart()
    world.files.before_delete = process.store_files.detach
    await world.until(_begun(world, 2))
    with pytest.raises(Conflict) as refused:
        await world.files.delete(ALICE, file_id)
    assert store_id in refused.value.message
    world.extractor.gate.set()
    await world.idle()
    await world.files.delete(ALICE, file_id)
    assert list(world.chunks(store_id)) == [other]
    assert (await process.stores.get(ALICE, store_id)).file_counts.total == 1
    await process.ingestion.stop()


async def test_a_file_that_expired_before_it_was_read_fails() -> None:
    world = World()
    store_id, (file_id,) = await world.make_store("rain")
    await world.store.files.delete_file(ALICE, file_id)
    world.restart()
    await world.idle()
    shown = await world.process.store_files.get(ALICE, store_id, file_id)
    assert shown.last_error is not None
    assert (shown.last_error.code, "deleted" in shown.last_error.message) == ("invalid_file", True)
    await world.process.ingestion.stop()


async def test_two_servers_share_the_work_and_do_none_of_it_twice() -> None:
    world = World(workers=3)
    store_id, file_ids = await world.make_store(*(f"file {number}" for number in range(30)))
    first, second = world.restart(), world.restart()
    await world.idle()
    assert sorted(world.chunks(store_id)) == sorted(file_ids)
    assert len(world.extractor.begun) == 30
    await first.ingestion.stop()
    await second.ingestion.stop()


@pytest.mark.parametrize("param", ["file_ids[1]", "files[1].file_id"])
async def test_a_batch_with_an_unknown_or_foreign_file_begins_nothing(param: str) -> None:
    world = World()
    store_id, _ = await world.make_store()
    mine, foreign = await world.upload("rain"), await world.upload("sun", Owner("acme", "bob"))
    for other in ("file-none", foreign):
        body = (
            CreateFileBatch(file_ids=[mine, other])
            if param.startswith("file_ids")
            else CreateFileBatch(files=[AddFile(file_id=mine), AddFile(file_id=other)])
        )
        with pytest.raises(NotFound) as refused:
            await world.process.store_files.create_batch(ALICE, store_id, body)
        assert refused.value.param == param
        assert refused.value.message.replace(other, "X") == (
            f'`{param}`: there is no file "X"; it may have been deleted, or have expired. GET /v1/files lists those'
            " there are."
        )
    with pytest.raises(NotFound) as refused:
        await world.process.stores.create(ALICE, CreateVectorStore(file_ids=[mine, foreign]))
    assert refused.value.param == "file_ids[1]"
    assert (await world.process.stores.get(ALICE, store_id)).file_counts.total == 0


async def test_a_file_that_is_named_twice_is_one() -> None:
    world = World()
    file_id = await world.upload("rain")
    made = await world.process.stores.create(ALICE, CreateVectorStore(file_ids=[file_id, file_id]))
    assert made.file_counts.total == 1


async def test_the_files_of_a_batch_may_have_settings_of_their_own() -> None:
    world = World()
    store_id, _ = await world.make_store()
    first, second = await world.upload("rain"), await world.upload("sun")
    body = CreateFileBatch(
        files=[AddFile(file_id=first, attributes={"own": True}), AddFile(file_id=second)],
        attributes={"own": False},
        chunking_strategy=SMALL,
    )
    await world.process.store_files.create_batch(ALICE, store_id, body)
    one = await world.process.store_files.get(ALICE, store_id, first)
    two = await world.process.store_files.get(ALICE, store_id, second)
    assert (one.attributes, two.attributes) == ({"own": True}, {"own": False})
    assert one.chunking_strategy == two.chunking_strategy == SMALL
