"""`store: true` where something goes wrong, or the upstream is odd."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from antiphon.app import serve, services_for
from antiphon.chat.keeping import ChatKeeper, Keep, KeptStream
from antiphon.config.settings import Settings
from antiphon.core.errors import InvalidRequest, ProviderProtocolError, StoreUnavailable
from antiphon.core.wire import decode_json, encode
from antiphon.models.catalog import Catalog
from antiphon.ports import ChatPage, Owner, StoredChat
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.storage.memory_chats import MemoryChats
from antiphon.testing import FakeClock, FakeIds, PlainSealer, scripted_model
from antiphon.testing.simulation import Answer, exchange

OWNER = Owner("t", "o")
ASKED = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"store":true}'
DONE = b"data: [DONE]\n\n"


class FullDisk(MemoryChats):
    """Reads and does not write."""

    async def add_chat(self, owner: Owner, chat: StoredChat) -> bool:
        raise StoreUnavailable("the disk is full.")


class Snatched(MemoryChats):
    """Whatever id is free when it is asked for is taken when it is written, once."""

    async def add_chat(self, owner: Owner, chat: StoredChat) -> bool:
        taken = not await self.list_chats(owner, ChatPage(1))
        if taken:
            await super().add_chat(owner, chat)
        return False if taken else await super().add_chat(owner, chat)


def keep_of(keeper: ChatKeeper) -> Keep:
    return keeper.keep(OWNER, "m", {"a": "b"}, ASKED)


def keeper(chats: MemoryChats | None = None) -> ChatKeeper:
    return ChatKeeper(chats or MemoryStore().chats, FakeClock(), FakeIds())


def sent(**fields: Any) -> bytes:
    return b"data: %b\n\n" % encode({"id": "up-1", "created": 1, "model": "m", **fields})


def choice(content: str | None = None, finish: str | None = None) -> list[dict[str, Any]]:
    delta = {} if content is None else {"content": content}
    return [{"index": 0, "delta": delta, "finish_reason": finish}]


async def stored(one: ChatKeeper) -> list[Mapping[str, Any]]:
    return [decode_json(chat.body) for chat in await one.store.list_chats(OWNER, ChatPage(99))]


async def fed(stream: KeptStream, *events: bytes) -> bytes:
    return b"".join([await stream.feed(event) for event in events])


async def ask(chats: MemoryChats, *, stream: bool) -> Answer:
    clock, ids, store = FakeClock(), FakeIds(), MemoryStore()
    store.chats = chats
    catalog = Catalog({"demo": scripted_model()}, clock=clock)
    services = services_for(
        Settings(), catalog, store, UpstreamClient(clock), clock, ids, sealer=PlainSealer()
    )
    body = {
        "model": "demo",
        "messages": [{"role": "user", "content": "hi"}],
        "store": True,
        "stream": stream,
    }
    return await exchange(serve(services, ids), "POST", "/v1/chat/completions", body)


async def test_a_store_that_cannot_write_is_a_503_before_anything_is_sent() -> None:
    got = await ask(FullDisk(lambda: None), stream=False)
    assert (got.status, got.json["error"]["code"]) == (503, "store_unavailable")


async def test_a_store_that_cannot_write_ends_a_stream_with_an_error() -> None:
    got = await ask(FullDisk(lambda: None), stream=True)
    assert got.status == 200
    assert got.ended
    assert b"[DONE]" not in got.body
    last = decode_json(got.body.strip().split(b"\n\n")[-1].removeprefix(b"data: "))
    assert last["error"]["code"] == "store_unavailable"


async def test_a_store_that_is_closed_refuses_a_stream_with_a_status() -> None:
    def closed() -> None:
        raise StoreUnavailable("closed.")

    got = await ask(MemoryChats(closed), stream=True)
    assert (got.status, got.json["error"]["code"]) == (503, "store_unavailable")


async def test_an_id_that_is_snatched_away_is_replaced_in_a_whole_answer() -> None:
    one = keeper(Snatched(lambda: None))
    answer = decode_json(await keep_of(one).whole(encode({"id": "up-1", "choices": []}), "p"))
    assert answer["id"] != "up-1"
    assert [chat["id"] for chat in await stored(one)] == ["up-1", answer["id"]]


async def test_an_id_that_is_snatched_from_a_stream_is_an_error() -> None:
    one = keeper(Snatched(lambda: None))
    with keep_of(one).stream("p") as stream:
        await fed(stream, sent(choices=choice("hi", "stop")))
        with pytest.raises(StoreUnavailable):
            await stream.finish()


@pytest.mark.parametrize("wanted", [None, "", 7, "a/b", "a b", "x" * 257, "é"])
async def test_an_id_that_cannot_stand_in_a_path_is_replaced(wanted: Any) -> None:
    one = keeper()
    answer = decode_json(await keep_of(one).whole(encode({"id": wanted, "choices": []}), "p"))
    with keep_of(one).stream("p") as stream:
        said = decode_json(
            (await fed(stream, sent(id=wanted, choices=choice("hi", "stop")))).removeprefix(b"data: ")
        )
        assert await stream.finish()
    made = [chat["id"] for chat in await stored(one)]
    assert made == [answer["id"], said["id"]]
    assert all(one.startswith("chatcmpl-") for one in made)


async def test_streams_at_once_have_ids_of_their_own() -> None:
    one = keeper()

    async def run(text: str) -> str:
        with keep_of(one).stream("p") as stream:
            event = await stream.feed(sent(choices=choice(text)))
            await asyncio.sleep(0)
            await stream.feed(sent(choices=choice(None, "stop")))
            await stream.finish()
        made: str = decode_json(event.removeprefix(b"data: "))["id"]
        return made

    made = await asyncio.gather(*(run(str(at)) for at in range(5)))
    assert len(set(made)) == 5
    said = {chat["id"]: chat["choices"][0]["message"]["content"] for chat in await stored(one)}
    assert said == {name: str(at) for at, name in enumerate(made)}
    assert not one.taken


async def test_a_stream_whose_chunks_change_their_id_is_one_completion() -> None:
    one = keeper()
    with keep_of(one).stream("p") as stream:
        out = await fed(
            stream,
            sent(id="", model="", choices=[], prompt_filter_results=[]),  # as Azure begins
            sent(choices=choice("a")),
            sent(id="up-2", choices=choice("b", "stop")) + b": a comment\n\n" + DONE,
        )
        assert await stream.finish()
    assert out.count(b'"up-1"') == 2
    assert b"up-2" not in out
    assert b"[DONE]" not in out
    assert b": a comment\n\n" in out
    (chat,) = await stored(one)
    assert (chat["id"], chat["model"], chat["choices"][0]["message"]["content"]) == ("up-1", "m", "ab")


async def test_an_error_in_a_stream_is_passed_on_and_nothing_is_stored() -> None:
    one = keeper()
    error = b'data: {"error":{"message":"overloaded"}}\n\n'
    with keep_of(one).stream("p") as stream:
        out = await fed(stream, sent(choices=choice("a")), error, sent(choices=choice("b", "stop")))
        assert not await stream.finish()
    assert error in out
    assert await stored(one) == []


@pytest.mark.parametrize("events", [[], [sent(choices=choice("a"))], [sent(choices=[])], [DONE]])
async def test_a_stream_that_ends_before_it_is_complete_is_not_stored(events: list[bytes]) -> None:
    one = keeper()
    with keep_of(one).stream("p") as stream:
        await fed(stream, *events)
        with pytest.raises(ProviderProtocolError):
            await stream.finish()
    assert await stored(one) == []
    assert not one.taken


@pytest.mark.parametrize("data", [b"data: {", b"data: 7", b"data: []", b"data:{\xff}"])
async def test_a_chunk_that_is_none_ends_the_stream(data: bytes) -> None:
    with keep_of(keeper()).stream("p") as stream, pytest.raises(ProviderProtocolError):
        await stream.feed(data + b"\n\n")


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"choices":null}', b'{"object":"error"}', b"\xff"])
async def test_a_whole_answer_that_is_no_completion_is_not_stored(answer: bytes) -> None:
    one = keeper()
    with pytest.raises(ProviderProtocolError):
        await keep_of(one).whole(answer, "p")
    assert await stored(one) == []


@pytest.mark.parametrize("more", [b'"\\ud800"', b"[" * 100_000 + b"]" * 100_000], ids=["lone", "deep"])
def test_messages_that_could_not_be_read_again_are_refused(more: bytes) -> None:
    body = b'{"messages":[{"role":"user","content":"hi","other":%b}]}' % more
    with pytest.raises(InvalidRequest) as caught:
        keeper().keep(OWNER, "m", None, body)
    assert caught.value.param == "messages"
