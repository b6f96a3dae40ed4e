"""A recorded run made ready to run again: its request, its history in a store of its own, its ids and its time."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.core.ids import RESPONSE_PREFIX, response_of
from antiphon.core.json_values import is_array, is_object
from antiphon.core.request import ResponseRequest
from antiphon.core.wire import JsonObject, decode_json, encode
from antiphon.core.writer import Event
from antiphon.models.catalog import Catalog
from antiphon.ports import Clock, Ids, Owner, Store, StoredConversation, StoredPrompt, StoredResponse
from antiphon.recording.format import Asked
from antiphon.recording.reader import RecordedRun, RecordingError
from antiphon.recording.recorded_tools import ITEMS, grant_again
from antiphon.responses.service import ResponseService
from antiphon.runs.runner import Emit

MakeService = Callable[[Catalog, Store, Clock, Ids], ResponseService]
"""The server's own way of putting a response service together."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What `ResponseService.prepare` needs to make the run once more."""

    owner: Owner
    request: ResponseRequest
    store: Store
    clock: Clock
    ids: Ids


@dataclass(slots=True)
class FixedClock:
    at: int

    def now(self) -> int:
        return self.at

    def now_us(self) -> int:
        return self.at * 1_000_000


@dataclass(slots=True)
class RunIds:
    """The recorded id for the response, numbers for everything else."""

    run_id: str
    _last: int = 0

    def new(self, prefix: str) -> str:
        if prefix == RESPONSE_PREFIX:
            return self.run_id
        self._last += 1
        return f"{prefix}{self._last:032x}"


@dataclass(slots=True)
class Witness:
    """A `RunWatcher` that keeps the events and the end."""

    events: list[JsonObject] = field(default_factory=list[JsonObject])
    final: JsonObject | None = None

    def around(self, emit: Emit | None) -> Emit:
        """See `runs.runner.RunWatcher`."""
        del emit

        async def keep(events: list[Event]) -> None:
            self.events += [decode_json(event.data) for event in events]

        return keep

    def ended(self, final: bytes) -> None:
        """See `runs.runner.RunWatcher`."""
        self.final = decode_json(final)


async def rebuild(run: RecordedRun, store: Store, changes: Mapping[str, Any]) -> Rebuilt:
    """The run with its request changed. `store` is an empty one; the history is put into it.

    Raises RecordingError where the recording lacks the run's beginning, InvalidRequest for a change that is none.
    """
    asked = run.exchanges[0].asked
    if asked is None:
        raise RecordingError(f"{run.id}: the recording does not hold how this run began")
    owner = Owner(run.exchanges[0].tenant, run.exchanges[0].subject)
    parent: str | None = None
    for turn in asked.history:
        await store.put_response(
            owner, _stored(turn.id, parent, bytes(turn.input), bytes(turn.output), run.exchanges[0].at)
        )
        parent = turn.id
    known = {turn.id for turn in asked.history}
    await _store_referenced(store, owner, asked, known, run.exchanges[0].at)
    request: JsonObject = decode_json(bytes(asked.request))
    if asked.prompt is not None:
        prompt_id, version = request["prompt"]["id"], asked.prompt.version
        await store.prompts.create_prompt(
            owner, StoredPrompt(prompt_id, version, 0, is_default=True, body=bytes(asked.prompt.body))
        )
    again = ResponseRequest.parse(encode({**request, **changes}))
    if again.tools:
        turns = [bytes(part) for turn in asked.history for part in (turn.input, turn.output)]
        items = [item for part in (*turns, bytes(asked.input)) for item in ITEMS.decode(part)]
        await grant_again(store.mcp, owner, again.tools, items, run.exchanges[0].at)
    if again.conversation_id is not None:
        await store.conversations.create(owner, StoredConversation(again.conversation_id, 0, b"{}", parent))
    at = run.record.at if run.record is not None else run.exchanges[0].at
    return Rebuilt(owner, again, store, FixedClock(at), RunIds(run.id))


async def _store_referenced(
    store: Store, owner: Owner, asked: Asked, known: Collection[str], at: int
) -> None:
    """Items that the request names and its history does not hold, each where a look for it goes."""
    given = decode_json(bytes(asked.request)).get("input")
    if not is_array(given) or b'"item_reference"' not in bytes(asked.request):
        return
    named = {item["id"] for item in given if is_object(item) and item.get("type") == "item_reference"}
    turns: dict[str, list[JsonObject]] = {}
    for item in decode_json(bytes(asked.input)):
        turn_id = response_of(item["id"]) if item["id"] in named else None
        if turn_id is not None and turn_id not in known:
            turns.setdefault(turn_id, []).append(item)
    for turn_id, items in turns.items():
        await store.put_response(owner, _stored(turn_id, None, encode(items), b"[]", at))


def _stored(turn_id: str, parent: str | None, given: bytes, output: bytes, at: int) -> StoredResponse:
    return StoredResponse(
        id=turn_id,
        parent_id=parent,
        status="completed",
        model="",
        created_at=at,
        head=b"{}",
        input=given,
        output=output,
    )
