"""`store: true`: a chat completion is kept, durably, before its last byte is sent.

Nothing half is kept: not when the client leaves before the end, nor when the upstream breaks off or reports an error.
The upstream's id stays where it is the only one of its owner, else a fresh one takes its place.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from antiphon.chat.gathering import GatheredCompletion
from antiphon.core.errors import InvalidRequest, ProviderProtocolError, StoreUnavailable
from antiphon.core.json_values import is_array, is_object
from antiphon.core.wire import JsonObject, decode_json, encode
from antiphon.ports import ChatStore, Clock, Ids, Owner, StoredChat

PREFIX = "chatcmpl-"
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,256}", re.ASCII)
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class ChatKeeper:
    """One per server. `taken` are the ids of streams under way, which the store does not know yet."""

    store: ChatStore
    clock: Clock
    ids: Ids
    taken: set[tuple[Owner, str]] = field(default_factory=set[tuple[Owner, str]])

    def keep(self, owner: Owner, model: str, metadata: Mapping[str, str] | None, body: bytes) -> "Keep":
        """What keeps the answer of one request. `body` is the request as the client sent it.

        Raises InvalidRequest for messages that could be passed on and not be read again.
        """
        try:
            messages = encode(decode_json(bytes(_RAW.decode(body)["messages"])))
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequest(f"`messages`: cannot be stored: {error}.", param="messages") from None
        return Keep(self, owner, model, encode(metadata or {}), messages)

    async def free_id(self, owner: Owner, wanted: object) -> str:
        """The wanted id, if it can stand in a path and the owner has none like it, else a fresh one."""
        if not isinstance(wanted, str) or not _PLAIN_ID.fullmatch(wanted) or (owner, wanted) in self.taken:
            return self.ids.new(PREFIX)
        return wanted if await self.store.get_chat(owner, wanted) is None else self.ids.new(PREFIX)


@dataclass(frozen=True, slots=True)
class Keep:
    """One request whose answer is kept."""

    keeper: ChatKeeper
    owner: Owner
    model: str
    metadata: bytes
    messages: bytes

    async def whole(self, answer: bytes, provider: str) -> bytes:
        """The answer as it is kept. Raises ProviderProtocolError for what is no completion, StoreUnavailable."""
        try:
            body: Any = decode_json(answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = None
        if not is_object(body) or not is_array(body.get("choices")):
            raise _no_completion(provider, "answered with what is no chat completion")
        body["id"] = await self.keeper.free_id(self.owner, body.get("id"))
        if not await self._add(body):  # somebody was faster with this id
            body["id"] = self.keeper.ids.new(PREFIX)
            await self._add(body)
        return encode({**body, "metadata": msgspec.Raw(self.metadata)})

    def stream(self, provider: str) -> "KeptStream":
        return KeptStream(self, provider)

    async def add_gathered(self, body: JsonObject) -> None:
        """Raises StoreUnavailable, also when another process took the id, which the client has seen already."""
        if not await self._add(body):
            raise StoreUnavailable(
                f'the id "{body["id"]}" was taken meanwhile; the completion was not stored.'
            )

    async def _add(self, body: JsonObject) -> bool:
        body.pop("metadata", None)
        now = self.keeper.clock.now()
        chat = StoredChat(body["id"], self.model, now, self.metadata, encode(body), self.messages)
        return await self.keeper.store.add_chat(self.owner, chat)


class KeptStream:
    """One stream that is kept. Use it as a context manager; `feed` it whole events; `finish` keeps what they were."""

    __slots__ = ("_failed", "_gathered", "_id", "_keep", "_provider")

    def __init__(self, keep: Keep, provider: str) -> None:
        self._keep = keep
        self._provider = provider
        self._gathered = GatheredCompletion()
        self._id = ""
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keep.keeper.taken.discard((self._keep.owner, self._id))

    async def feed(self, events: bytes) -> bytes:
        """The events as the client shall see them, under the id that is kept and without `[DONE]`.

        Raises ProviderProtocolError for a chunk that is none.
        """
        out: list[bytes] = []
        for event in _events(events):
            data = _data(event)
            if data is None:
                out.append(event + b"\n\n")
            elif data != b"[DONE]":
                out.append(await self._take(event, data))
        return b"".join(out)

    async def _take(self, event: bytes, data: bytes) -> bytes:
        try:
            chunk: Any = decode_json(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            chunk = None
        if not is_object(chunk):
            raise _no_completion(self._provider, "sent something that is no chunk of a completion")
        if chunk.get("error"):
            self._failed = True
            return event + b"\n\n"
        if not self._id and (
            chunk.get("id") or chunk.get("choices")
        ):  # Azure begins with a chunk that has neither
            await self._choose_id(chunk.get("id"))
        if self._id and chunk.get("id") != self._id:
            chunk["id"] = self._id
            event = b"data: " + encode(chunk)
        self._gathered.add(chunk)
        return event + b"\n\n"

    async def _choose_id(self, wanted: object) -> None:
        keep = self._keep
        found = await keep.keeper.free_id(keep.owner, wanted)
        if (keep.owner, found) in keep.keeper.taken:  # while the store was asked
            found = keep.keeper.ids.new(PREFIX)
        keep.keeper.taken.add((keep.owner, found))
        self._id = found

    async def finish(self) -> bool:
        """Keep the completion; false when the upstream reported an error instead of one.

        Raises ProviderProtocolError when it ended before it was complete, StoreUnavailable.
        """
        if self._failed:
            return False
        if not self._gathered.complete:
            raise _no_completion(self._provider, "ended its stream before the completion was complete")
        await self._keep.add_gathered(self._gathered.body())
        return True


def _events(data: bytes) -> Iterator[bytes]:
    return (event for event in data.split(b"\n\n") if event.strip(b"\n"))


def _data(event: bytes) -> bytes | None:
    """The data of an event; None of a comment."""
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def _no_completion(provider: str, what: str) -> ProviderProtocolError:
    return ProviderProtocolError(provider, f'provider "{provider}" {what}; it was not stored.')
