"""`POST /v1/responses/compact`: a context as something shorter to go on from. Nothing is stored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
from starlette.types import Send

from antiphon.core.compact_request import CompactBody, read_compact
from antiphon.core.compacting import asked, nothing_to_compact, whole
from antiphon.core.compaction import compaction_item
from antiphon.core.ids import RESPONSE_PREFIX, ItemIds
from antiphon.core.items import Message
from antiphon.core.usage import Usage
from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.responses.service import Considered, ResponseService
from antiphon.runs.compacting import compact
from antiphon.runs.compactions import Compactions
from antiphon.web.http import Reply, Request
from antiphon.web.left_out import left_out_header
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Route
from antiphon.web.served_by import served_by_header
from antiphon.web.whole import answer_whole


@dataclass(frozen=True, slots=True)
class CompactedContext:
    """One context on its way to a shorter one."""

    service: ResponseService
    owner: Owner
    considered: Considered
    id: str
    item_ids: ItemIds

    async def make(self) -> bytes:
        """The `CompactResource`: what the user said, word for word, and one compaction, last. It stands in line: its
        items are sent back as they are, and the model sees what is around it.

        Raises InvalidRequest where there is nothing to compact, and where shields of its agent object,
        CompactionFailed, ProviderError.
        """
        call, resolved = self.considered.loop.planned(), self.considered.resolved
        split = whole(call.transcript)
        if not split.is_worth_it:
            raise nothing_to_compact()
        await self.service.check_input(self.owner, self.considered)
        summed_up = replace(call, transcript=split.to_sum_up(call.transcript.instructions))
        made = await compact(resolved.provider, resolved.upstream_model, summed_up)
        item = compaction_item(split.replaced_by(made, replaces=False))
        item = msgspec.structs.replace(item, id=self.item_ids.new("compaction"))
        sealed = Compactions(self.service.sealer, self.owner.tenant).sealed(item)
        said = [self._whole_message(one) for one in asked(split.summed_up)]
        fields = {
            "id": self.id,
            "object": "response.compaction",
            "created_at": self.service.clock.now(),
            "output": [*said, sealed],
            "usage": made.usage or Usage(),
        }
        return encode(fields)

    def _whole_message(self, message: Message) -> Message:
        """As the specification wants a stored one."""
        return msgspec.structs.replace(
            message,
            id=message.id or self.item_ids.new("message"),
            status=message.status or "completed",
        )


class CompactReply:
    """The answer, when it is there."""

    def __init__(self, context: CompactedContext, unknown: Sequence[str]) -> None:
        self._context = context
        self._unknown = unknown

    async def respond(self, request: Request, send: Send) -> None:
        await answer_whole(request, send, self._context.make, self._headers)

    def _headers(self) -> dict[str, str]:
        served_by = self._context.considered.resolved.served_by()
        return served_by_header(served_by) | left_out_header(self._unknown)


@dataclass(frozen=True, slots=True)
class CompactRoutes:
    service: ResponseService
    lenient: bool = False

    async def create(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = await request.json_body(CompactBody)
        wanted, unknown = read_compact(body, lenient=self.lenient)
        made_id = self.service.ids.new(RESPONSE_PREFIX)
        item_ids = ItemIds(made_id)
        considered = await self.service.consider(request.owner, wanted, item_ids)
        context = CompactedContext(self.service, request.owner, considered, made_id, item_ids)
        return CompactReply(context, unknown)

    def table(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/responses/compact",
                self.create,
                "Compact a context: give what stands for it from now on",
                request="CompactContext",
                response="CompactedContext",
                form=True,
            )
        ]
