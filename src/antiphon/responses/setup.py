"""`RunSetup`: how a run is made that is more than the answer to one request: a turn of an agent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import PastTurn
from antiphon.core.turn_rules import PLAIN, TurnRules
from antiphon.ports import ModelProvider, Owner, ToolRuntime
from antiphon.runs.runner import ResponseKeeper

SeenBy = Callable[[ModelProvider], ModelProvider]
"""Puts something before a provider, for this run alone."""


@dataclass(frozen=True, slots=True)
class RunSetup:
    """`response_id`: that of the response, where it is fixed before. `tools` runs the tools of this run, and `before`
    stands before its provider. With `events` they are written although the request does not stream.
    """

    response_id: str = ""
    rules: TurnRules = PLAIN
    tools: ToolRuntime | None = None
    before: SeenBy | None = None
    events: bool = False
    history: Sequence[PastTurn] | None = None
    """What came before, root first, in place of the chain that `previous_response_id` names."""
    keeper: ResponseKeeper | None = None
    """Where the response is kept, in place of the store; also with `store: false`."""


AS_ASKED = RunSetup()


class AgentDefaults(Protocol):
    """Stored agents, as requests name them in `agent`."""

    async def applied(self, owner: Owner, request: ResponseRequest) -> tuple[ResponseRequest, RunSetup]:
        """The request, without `agent`, with what the agent says where the request says nothing, and how its run is
        made. Raises NotFound with the field in `param`, and InvalidRequest for an agent that cannot be asked so.
        """
        ...

    async def response_of(self, owner: Owner, turn_id: str) -> str | None:
        """The id of the response that the newest run of a turn is."""
        ...
