"""Requests for responses that name a stored agent: what it says counts where the request says nothing."""

import json
from typing import Any

import pytest

from antiphon.agents.bridge import StoredAgents
from antiphon.core.body import FormatJsonObject, FormatJsonSchema
from antiphon.core.errors import AntiphonError, InvalidRequest, NotFound
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import ChooseFunction, FunctionTool, McpTool
from antiphon.core.turn_rules import TurnRules
from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.ports.agents import StoredAgent
from antiphon.responses.setup import RunSetup
from antiphon.storage.memory import MemoryStore
from tests.agent_requests_world import OWNER, RUNTIME, config, requests

Json = dict[str, Any]
AGENT: Json = {
    "instructions": "Be kind.",
    "sampling_params": {
        "strategy": {"type": "top_p", "temperature": 0.7, "top_p": 0.5},
        "max_tokens": 60,
        "repetition_penalty": 1.2,
        "stop": ["END"],
    },
    "response_format": {"type": "json_schema", "json_schema": {"type": "object"}},
    "input_shields": ["calm"],
    "output_shields": ["strict"],
    "toolgroups": ["mcp::maps"],
    "client_tools": [{"name": "weather"}],
    "tool_config": {"tool_choice": "weather"},
    "max_infer_iters": 4,
}


async def applied(stored: Json, owner: Owner = OWNER, **said: Any) -> tuple[ResponseRequest, RunSetup]:
    store = MemoryStore()
    await store.agents.add_agent(OWNER, StoredAgent("a1", 0, encode(config(**stored))))
    asked = ResponseRequest.parse(json.dumps({"agent": "a1", "input": "hi", **said}).encode())
    return await StoredAgents(store.agents, requests()).applied(owner, asked)


async def test_everything_that_an_agent_says_counts_where_the_request_says_nothing() -> None:
    request, setup = await applied(AGENT)
    assert (request.model, request.instructions, request.agent) == ("m", "Be kind.", None)
    assert (request.temperature, request.top_p, request.repetition_penalty) == (0.7, 0.5, 1.2)
    assert request.stop == ["END"]
    assert request.text is not None
    assert isinstance(request.text.format, FormatJsonSchema)
    assert [type(tool) for tool in request.tools or ()] == [FunctionTool, McpTool]
    assert request.tool_choice == ChooseFunction(name="weather")
    assert request.max_infer_iters == 4
    assert setup.rules == TurnRules(("calm",), ("strict",), max_step_tokens=60)
    assert setup.tools is RUNTIME


async def test_what_only_requests_say_is_left_alone() -> None:
    request, _ = await applied(AGENT, previous_response_id="resp_1", metadata={"a": "b"}, stream=True)
    assert (request.previous_response_id, request.metadata, request.stream) == ("resp_1", {"a": "b"}, True)
    assert (request.input, request.store, request.truncation) == ("hi", None, None)
    assert request.stream_options is None


OWN = {"type": "function", "name": "own"}


@pytest.mark.parametrize(
    ("said", "field", "value"),
    [
        ({"model": "up/m"}, "model", "up/m"),
        ({"instructions": "Be brief."}, "instructions", "Be brief."),
        ({"instructions": ""}, "instructions", ""),
        ({"temperature": 0.1}, "temperature", 0.1),
        ({"top_p": 0.9}, "top_p", 0.9),
        ({"stop": ["STOP"]}, "stop", ["STOP"]),
        ({"max_infer_iters": 2}, "max_infer_iters", 2),
        ({"tool_choice": "none"}, "tool_choice", "none"),
        ({"tools": []}, "tools", []),
        ({"tools": []}, "tool_choice", None),
        ({"tools": [OWN]}, "tools", [FunctionTool(name="own")]),
        ({"tools": [OWN], "tool_choice": "required"}, "tool_choice", "required"),
    ],
)
async def test_what_the_request_says_itself_wins(said: Json, field: str, value: Any) -> None:
    request, _ = await applied(AGENT, **said)
    assert getattr(request, field) == value
    others = await applied(AGENT)
    untouched = {"temperature", "top_p", "instructions", "stop", "model"} - set(said)
    assert {name: getattr(request, name) for name in untouched} == {
        name: getattr(others[0], name) for name in untouched
    }


async def test_a_limit_of_tokens_of_the_request_stands_in_for_that_of_each_call() -> None:
    request, setup = await applied(AGENT, max_output_tokens=100)
    assert (request.max_output_tokens, setup.rules.max_step_tokens) == (100, None)


async def test_a_format_of_the_request_wins_and_a_verbosity_does_not_push_the_agents_out() -> None:
    own, _ = await applied(AGENT, text={"format": {"type": "json_object"}})
    assert own.text is not None
    assert own.text.format == FormatJsonObject()
    both, _ = await applied(AGENT, text={"verbosity": "low"})
    assert both.text is not None
    assert (type(both.text.format), both.text.verbosity) == (FormatJsonSchema, "low")


async def test_tools_of_the_request_leave_out_the_groups_and_their_runtime() -> None:
    _, setup = await applied(AGENT, tools=[OWN])
    assert setup.tools is None
    assert setup.rules.input_shields == ("calm",)


async def test_an_agent_that_leaves_sampling_to_the_model_sends_nothing() -> None:
    request, setup = await applied({"sampling_params": None})
    assert (request.temperature, request.top_p, setup.rules) == (None, None, TurnRules())
    assert request.max_infer_iters == 10


async def test_a_call_that_the_agent_wants_is_wanted_once() -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": "Sunny."}
    for items, choice in (
        ([output], None),
        ([output, {"role": "user", "content": "hi"}], ChooseFunction(name="weather")),
    ):
        assert (await applied(AGENT, input=items))[0].tool_choice == choice
    never = AGENT | {"tool_config": {"tool_choice": "none"}}
    assert (await applied(never, input=[output]))[0].tool_choice == "none"


@pytest.mark.parametrize("named", ["a1", {"agent_id": "a1"}, {"id": "a1"}])
async def test_an_agent_is_named_by_its_id_however_it_is_wrapped(named: object) -> None:
    assert (await applied({}, agent=named))[0].model == "m"


@pytest.mark.parametrize(
    ("named", "param"),
    [
        (7, "agent"),
        (True, "agent"),
        (["a1"], "agent"),
        ({"agent_id": 7}, "agent.agent_id"),
        ({"id": None}, "agent.id"),
        ({"name": "a1"}, "agent.name"),
        ({"id": "a1", "agent_id": "a1"}, "agent.id"),
        ({"id": "a1", "type": "agent"}, "agent.type"),
    ],
)
async def test_what_names_no_agent_is_refused(named: object, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await applied({}, agent=named)
    assert caught.value.param == param


async def test_an_unknown_agent_is_not_found_and_a_foreign_one_neither() -> None:
    for owner, named in ((OWNER, "nope"), (Owner("other", "o"), "a1")):
        with pytest.raises(NotFound) as caught:
            await applied({}, owner, agent=named)
        assert caught.value.param == "agent"
    with pytest.raises(NotFound) as caught:
        await applied({}, agent={"agent_id": "nope"})
    assert caught.value.param == "agent.agent_id"
    assert (await applied({}, Owner("t", "somebody else")))[0].model == "m", "anybody of the tenant uses it"


async def test_an_agent_whose_shield_or_group_is_gone_is_named_with_what_is_wrong() -> None:
    for agent in ({"input_shields": ["gone"]}, {"toolgroups": ["gone"]}):
        with pytest.raises(AntiphonError) as caught:
            await applied(agent)
        assert (caught.value.status, caught.value.param) == (400, "agent")
        assert "`agent_config." in caught.value.message


async def test_tools_of_the_agent_and_those_that_items_bring_are_checked_together() -> None:
    custom = {"type": "custom", "name": "weather"}
    items = [
        {"role": "user", "content": "hi"},
        {"type": "additional_tools", "role": "developer", "tools": [custom]},
    ]
    with pytest.raises(InvalidRequest) as caught:
        await applied(AGENT, input=items)
    assert caught.value.param == "input[1].tools[0].name"
