"""From a request to what the model sees: the stored turns that it continues, and its own items."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from antiphon.core.context import build_context, own_items
from antiphon.core.errors import InvalidRequest, PreviousResponseNotFound
from antiphon.core.ids import ItemIds, response_of
from antiphon.core.items import ItemReference, Reasoning
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import PastTurn, Transcript, TranscriptItem
from antiphon.ports import Owner, Sealer, Store
from antiphon.runs.thoughts import Thoughts

_ITEMS = msgspec.json.Decoder(list[TranscriptItem])


@dataclass(frozen=True, slots=True)
class Assembled:
    """`transcript` is what the model sees; `stored` what the client sent, every item with an id."""

    transcript: Transcript
    stored: tuple[TranscriptItem, ...]


@dataclass(frozen=True, slots=True)
class Assembly:
    """Shared by all that look at a request as the model would: runs, token counts, compaction."""

    store: Store
    sealer: Sealer

    async def assemble(self, owner: Owner, request: ResponseRequest, item_ids: ItemIds) -> Assembled:
        """Raises PreviousResponseNotFound, InvalidRequest."""
        history = await self._history(owner, request.previous_response_id)
        given = await self._inner_items(owner, request.input, history)
        context = build_context(history, own_items(given, item_ids))
        return Assembled(Transcript(request.instructions, tuple(history), context.shown), context.stored)

    async def _history(self, owner: Owner, parent_id: str | None) -> Sequence[PastTurn]:
        if parent_id is None:
            return ()
        turns = await self.store.get_chain(owner, parent_id)
        if not turns:
            raise PreviousResponseNotFound(parent_id)
        return turns

    async def _inner_items(
        self,
        owner: Owner,
        given: str | Sequence[object] | None,
        history: Sequence[PastTurn],
    ) -> str | list[TranscriptItem] | None:
        """The input in its inner form: each `item_reference` replaced by the stored item, reasoning opened."""
        if given is None or isinstance(given, str):
            return given
        thoughts = Thoughts(self.sealer, owner.tenant)
        items: list[TranscriptItem] = []
        for at, item in enumerate(given):
            if isinstance(item, ItemReference):
                items.append(await self._referenced(owner, item.id, history, at))
            elif isinstance(item, Reasoning):
                items.append(thoughts.opened(item, f"input[{at}]"))
            else:
                items.append(item)  # type: ignore[arg-type]  # `parse` refused every other item type
        return items

    async def _referenced(
        self, owner: Owner, item_id: str, history: Sequence[PastTurn], at: int
    ) -> TranscriptItem:
        for turn in reversed(history):
            if item_id.encode() in turn.input or item_id.encode() in turn.output:
                found = _find(item_id, turn.input, turn.output)
                if found is not None:
                    return found
        response_id = response_of(item_id)
        stored = await self.store.get_response(owner, response_id) if response_id else None
        found = _find(item_id, stored.input, stored.output) if stored is not None else None
        if found is None:
            raise InvalidRequest(
                f'there is no stored item "{item_id}"; send the item itself instead of a reference.',
                param=f"input[{at}].id",
            )
        return found


def _find(item_id: str, *arrays: bytes) -> TranscriptItem | None:
    for array in arrays:
        for item in _ITEMS.decode(array):
            if item.id == item_id:
                return item
    return None
