"""What the user says to approval requests and to questions of MCP servers: found in the input, held to what was asked.

An answer is one that nothing of the model follows in the input: what stands before something that the model made was
answered for in an earlier response, and is only told again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from antiphon.core import elicitation, mcp
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import (
    McpApprovalRequest,
    McpApprovalResponse,
    McpCall,
    McpElicitationRequest,
    McpElicitationResponse,
)
from antiphon.core.items import Call, Message, Reasoning
from antiphon.core.mcp import ElicitationAnswer
from antiphon.core.mcp_turn import Resumed
from antiphon.core.request import ResponseRequest
from antiphon.core.seen import StoredItem
from antiphon.core.tools import McpTool
from antiphon.core.transcript import PastTurn
from antiphon.ports import Clock, Owner
from antiphon.ports.mcp import GrantState, McpRecords

Asked = McpApprovalRequest | McpElicitationRequest
Answer = McpApprovalResponse | McpElicitationResponse
_ANSWERS = frozenset({McpApprovalResponse, McpElicitationResponse})


@dataclass(frozen=True, slots=True)
class Given:
    """What was answered: the calls that go on, and the ids of the requests that are denied."""

    resumed: Sequence[Resumed] = ()
    denied: Sequence[str] = ()

    @property
    def claims(self) -> list[str]:
        """The ids of what is to be marked as answered before a call goes on."""
        return [one.asked.id for one in self.resumed]


NOTHING = Given()


def asked_id(item: Answer) -> str:
    return item.approval_request_id if isinstance(item, McpApprovalResponse) else item.elicitation_request_id


def with_what_was_asked(items: Sequence[StoredItem], history: Sequence[PastTurn]) -> list[StoredItem]:
    """Items of a request, its approval responses with the requests that they answer. What a client says of those itself
    is left out.
    """
    if not any(type(item) is McpApprovalResponse for item in items):
        return list(items)
    asked = _Questions(items, history)
    found: list[StoredItem] = []
    for item in items:
        if isinstance(item, McpApprovalResponse):
            known = asked.get(item.approval_request_id)
            is_approval = isinstance(known, McpApprovalRequest)
            found.append(msgspec.structs.replace(item, asked=known if is_approval else msgspec.UNSET))
        else:
            found.append(item)
    return found


@dataclass(frozen=True, slots=True)
class Answers:
    """Reads answers, and refuses those to what was not asked of this owner, is too late, or was answered before."""

    records: McpRecords
    clock: Clock

    async def given(
        self, owner: Owner, request: ResponseRequest, items: Sequence[StoredItem], history: Sequence[PastTurn]
    ) -> Given:
        """Nothing is marked yet: the run does that when it begins.

        Raises InvalidRequest for an answer that cannot be taken.
        """
        if not any(type(item) in _ANSWERS for item in items):  # every request pays for this look
            return NOTHING
        answers = list(_answers(items))
        if not answers:
            return NOTHING
        questions = _Questions(items, history)
        states = await self.records.get_grants(owner, [asked_id(item) for _, item in answers])
        tools = {tool.server_label: tool for tool in request.tools or () if isinstance(tool, McpTool)}
        resumed: list[Resumed] = []
        denied: list[str] = []
        seen: set[str] = set()
        for at, item in answers:
            path = f"input[{at}].{_field(item)}"
            asked, state = questions.get(asked_id(item)), states.get(asked_id(item))
            if asked is None or state is None or not _fits(asked, item):
                raise _unknown(asked_id(item), path)
            if state.used:
                raise InvalidRequest(
                    f'`{path}`: "{asked.id}" was answered before, and each is answered once.', param=path
                )
            if asked.id in seen:
                raise InvalidRequest(
                    f"`{path}`: answered twice in this request; send one answer.", param=path
                )
            seen.add(asked.id)
            one = _resumed(asked, item, state, f"input[{at}]")
            if one is None:
                denied.append(asked.id)
                continue
            self._check(state, asked, tools.get(asked.server_label), path)
            resumed.append(one)
        return Given(resumed, denied)

    def _check(self, state: GrantState, asked: Asked, tool: McpTool | None, path: str) -> None:
        """Whether the call may go on. Raises InvalidRequest."""
        if state.grant.expires_at <= self.clock.now():
            raise InvalidRequest(
                f'`{path}`: "{asked.id}" has expired; have the model make the call again.', param=path
            )
        if tool is None:
            raise InvalidRequest(
                f'`tools`: none is the MCP server "{asked.server_label}", which "{asked.id}" is about. `tools` are not'
                " inherited from an earlier response; send them again.",
                param="tools",
            )
        if mcp.request_digest(asked, mcp.address_digest(tool)) != state.grant.digest:
            raise InvalidRequest(
                f'`{path}`: "{asked.id}" was asked about another server, tool or arguments than are named now; send the'
                " request as it was, and the same server under its label.",
                param=path,
            )


class _Questions:
    """The questions that a request can answer, by id: those of its own items, then those of the history."""

    def __init__(self, items: Sequence[StoredItem], history: Sequence[PastTurn]) -> None:
        self._own = {item.id: item for item in items if isinstance(item, Asked)}
        self._history = history

    def get(self, wanted: str) -> Asked | None:
        if wanted in self._own:
            return self._own[wanted]
        needle = wanted.encode()
        for turn in reversed(self._history):
            if needle in turn.output or needle in turn.input:
                for item in turn.stored():
                    if isinstance(item, Asked) and item.id == wanted:
                        return item
        return None


def _answers(items: Sequence[StoredItem]) -> Iterator[tuple[int, Answer]]:
    """Those that nothing of the model follows."""
    last = max((at for at, item in enumerate(items) if _is_models(item)), default=-1)
    for at, item in enumerate(items):
        if isinstance(item, Answer) and at > last:
            yield at, item


def _is_models(item: StoredItem) -> bool:
    if isinstance(item, Message):
        return item.role == "assistant"
    return isinstance(item, Reasoning | Call | McpCall | McpApprovalRequest | McpElicitationRequest)


def _field(item: Answer) -> str:
    return "approval_request_id" if isinstance(item, McpApprovalResponse) else "elicitation_request_id"


def _fits(asked: Asked, item: Answer) -> bool:
    return isinstance(asked, McpApprovalRequest) == isinstance(item, McpApprovalResponse)


def _resumed(asked: Asked, item: Answer, state: GrantState, path: str) -> Resumed | None:
    """The call that goes on; None for one that is denied. Raises InvalidRequest for content that does not fit."""
    if isinstance(item, McpApprovalResponse):
        return Resumed(asked, state.grant.definition) if item.approve else None
    if not isinstance(asked, McpElicitationRequest):
        return None
    elicitation.check_answer(asked, item, path)
    content = item.content if isinstance(item.content, dict) else None
    return Resumed(asked, answer=ElicitationAnswer(asked, item.action, content))


def _unknown(wanted: str, path: str) -> InvalidRequest:
    return InvalidRequest(
        f'`{path}`: there is no open request "{wanted[:128]}". Continue with `previous_response_id` from the response'
        " that asked, or send the item of the request in `input` too.",
        param=path,
    )
