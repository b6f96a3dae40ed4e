"""Stored agents in requests for responses: `agent` names one, whose configuration is what the request leaves out."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from antiphon.agents.building import AgentRequests, Built
from antiphon.agents.definition import Effective, effective
from antiphon.agents.record import TurnRecord
from antiphon.agents.shapes import AgentConfig
from antiphon.core import request_rules
from antiphon.core.body import TextConfig
from antiphon.core.errors import AntiphonError, InvalidRequest, NotFound
from antiphon.core.items import CallOutput
from antiphon.core.json_values import is_object, json_name
from antiphon.core.request import ResponseRequest
from antiphon.core.turn_rules import TurnRules
from antiphon.core.wire import UNSET
from antiphon.ports import Owner
from antiphon.ports.agents import AgentStore
from antiphon.responses.setup import RunSetup

_CONFIG: msgspec.json.Decoder[AgentConfig] = msgspec.json.Decoder(AgentConfig)
_NAMES = ("agent_id", "id")
_DEFAULTS = ("instructions", "temperature", "top_p", "top_k", "repetition_penalty", "stop")
"""Fields of a request that an agent's stands in for where they are left out."""


@dataclass(frozen=True, slots=True)
class StoredAgents:
    """`AgentDefaults` of the agents in a store."""

    store: AgentStore
    requests: AgentRequests

    async def applied(self, owner: Owner, request: ResponseRequest) -> tuple[ResponseRequest, RunSetup]:
        """See `AgentDefaults.applied`. What the request says itself wins: its tools stand in for all of the agent's,
        with its `tool_choice`. Sessions are no part of this: what came before is said as in every request.
        """
        agent_id, param = agent_named(request.agent)
        stored = await self.store.get_agent(owner, agent_id)
        if stored is None:
            raise NotFound(
                f'`{param}`: there is no agent "{agent_id[:80]}"; it may have been deleted. GET /v1/agents lists those'
                " there are.",
                param=param,
            )
        counts = _left_open(effective(_CONFIG.decode(stored.config)), request)
        try:
            built = await self.requests.build(owner, counts)
        except AntiphonError as error:
            error.message = f'`{param}`: the agent "{agent_id}" cannot be asked now: {error.message}'
            error.param = param
            raise
        merged = _merged(request, built, counts)
        request_rules.check_contents(merged)
        return merged, _setup(request, built)

    async def response_of(self, owner: Owner, turn_id: str) -> str | None:
        """See `AgentDefaults.response_of`."""
        turn = await self.store.turn_of(owner, turn_id)
        return None if turn is None else TurnRecord.of(turn).last_response_id


def agent_named(given: object) -> tuple[str, str]:
    """The id in `agent`, and the field that it is in: the id itself, or an object with it as `agent_id` or `id`.

    Raises InvalidRequest.
    """
    if isinstance(given, str):
        return given, "agent"
    if not is_object(given):
        raise _wrong("agent", f'expected the id of an agent, or {{"agent_id": …}}, not {json_name(given)}')
    for key in given:
        if key not in _NAMES:
            raise _wrong(f"agent.{key[:64]}", 'unknown; an agent is named by its "agent_id" alone')
    found = [(given[name], f"agent.{name}") for name in _NAMES if name in given]
    if len(found) > 1:
        raise _wrong("agent.id", "`agent.agent_id` names the agent too; send one of them")
    named, param = found[0]
    if not isinstance(named, str):
        raise _wrong(param, f"expected the id of an agent, not {json_name(named)}")
    return named, param


def _left_open(counts: Effective, request: ResponseRequest) -> Effective:
    """The part of an agent's configuration that the request does not speak of."""
    if request.tools is not None:
        counts = replace(counts, client_tools=(), groups=(), tool_choice="auto")
    if request.tool_choice is not None or (_answers_calls(request) and counts.tool_choice != "none"):
        counts = replace(counts, tool_choice="auto")
    if request.text is not None and request.text.format is not UNSET:
        counts = replace(counts, response_format=None)
    return counts


def _answers_calls(request: ResponseRequest) -> bool:
    """Whether it goes on from calls of the model: one that was wanted was made, and wanted again, there was no end."""
    return (
        bool(request.input) and isinstance(request.input, list) and isinstance(request.input[-1], CallOutput)
    )


def _merged(request: ResponseRequest, built: Built, counts: Effective) -> ResponseRequest:
    agents = built.request
    said: dict[str, Any] = {
        name: getattr(agents, name) for name in _DEFAULTS if getattr(request, name) is None
    }
    if request.tools is None:
        said["tools"] = agents.tools
    if request.tool_choice is None:
        said["tool_choice"] = agents.tool_choice
    if agents.text is not None:
        given = request.text or TextConfig()
        said["text"] = msgspec.structs.replace(given, format=agents.text.format)
    said["model"] = request.model or agents.model
    said["max_infer_iters"] = request.max_infer_iters or counts.max_infer_iters
    return msgspec.structs.replace(request, agent=None, **said)


def _setup(request: ResponseRequest, built: Built) -> RunSetup:
    """`max_infer_iters` is in the request: a response that reaches it ends with an answer, and not among calls."""
    rules = TurnRules(
        input_shields=built.rules.input_shields,
        output_shields=built.rules.output_shields,
        max_step_tokens=built.rules.max_step_tokens if request.max_output_tokens is None else None,
    )
    return RunSetup(rules=rules, tools=built.tools, before=built.before)


def _wrong(param: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{param}`: {what}.", param=param)
