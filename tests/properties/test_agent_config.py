"""Configurations of agents: each one is run as it says, or refused by a place that is in it; a client tool means the
same in both generations.
"""

import asyncio
import json
import re
from typing import Any

import msgspec
from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.agents.client_tools import check_client_tools, function_tool
from antiphon.agents.definition import check_turn, effective
from antiphon.agents.shapes import CreateAgent, CreateTurn, ToolDef
from antiphon.core import parse
from antiphon.core.errors import AntiphonError
from antiphon.core.json_schemas import fault_of_schema
from antiphon.core.json_values import is_array, is_object
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import FunctionTool
from antiphon.core.wire import encode
from tests.agent_requests_world import OWNER, requests

Json = dict[str, Any]
_AGENT = msgspec.json.Decoder(CreateAgent)
_TURN = msgspec.json.Decoder(CreateTurn)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")

# --- what is generated ------------------------------------------------------------------------------------------
keys = st.sampled_from(["a", "b", "c d"])
good_names = st.sampled_from(["f", "get_weather", "a-b", "X" * 128])
names = good_names | st.sampled_from(["", "a b", "knowledge_search", "x" * 129, "ü"])
good_types = st.sampled_from(
    ["string", "int", "float", "bool", "list", "dict", "list[str]", "Optional[int]", "Any"]
)
types = good_types | st.sampled_from(["", "strng", "list[", "object | strng"])
leaves = st.sampled_from([{"type": "string"}, {"type": "array"}, {"type": ["integer", "null"]}, {}, True])
bad_leaves = st.sampled_from([{"type": "strng"}, 7, {"$ref": "#/nowhere"}, {"$ref": "#"}, {"required": "x"}])


def schemas(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    inner = st.recursive(
        below,
        lambda inner: (
            st.fixed_dictionaries({"type": st.just("array"), "items": inner})
            | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
            | st.fixed_dictionaries({"type": st.just("object"), "properties": st.dictionaries(keys, inner)})
        ),
        max_leaves=4,
    )
    return st.fixed_dictionaries(
        {"properties": st.dictionaries(keys, inner, max_size=3)},
        optional={
            "type": st.sampled_from(["object", ["object"]]),
            "$defs": st.dictionaries(keys, inner, max_size=1),
        },
    )


good_schemas = schemas(leaves)
any_schemas = schemas(leaves | bad_leaves)


def parameters(name: st.SearchStrategy[str], kind: st.SearchStrategy[str]) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {"name": name, "parameter_type": kind, "description": st.text(max_size=3) | st.none()},
        optional={
            "required": st.booleans() | st.none(),
            "default": st.none() | st.booleans() | st.integers(0, 9) | st.just([1]),
        },
    )


def _name(one: Json) -> str:
    return str(one["name"])


def tools(name: st.SearchStrategy[str], kind: st.SearchStrategy[str], schema: Any) -> st.SearchStrategy[Json]:
    said = st.text(max_size=5) | st.none()
    old = st.fixed_dictionaries(
        {"name": name},
        optional={
            "description": said,
            "parameters": st.lists(parameters(good_names, kind), max_size=3, unique_by=_name),
        },
    )
    new = st.fixed_dictionaries(
        {"name": name}, optional={"description": said, "input_schema": schema, "output_schema": schema}
    )
    return old | new


groups = st.sampled_from(
    [
        "mcp::maps",
        "mcp::mail/send",
        "builtin::rag",
        {"name": "mcp::maps", "args": {"x": 1}},
        {"name": "nope"},
        "",
    ]
)
strategies = st.sampled_from(
    [
        {"type": "greedy"},
        {"type": "top_p"},
        {"type": "top_p", "temperature": 0.5, "top_p": 0.1},
        {"type": "top_k", "top_k": 1},
        {"type": "top_p", "temperature": 0},
        {"type": "top_k"},
        {"type": "beam"},
    ]
)
sampling = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "strategy": strategies,
        "max_tokens": st.sampled_from([0, 1, 512, -1]),
        "repetition_penalty": st.sampled_from([1.0, 1.3, 0]),
        "stop": st.none() | st.lists(st.text(max_size=2), max_size=17),
    },
)
formats = st.none() | st.fixed_dictionaries({"type": st.just("json_schema"), "json_schema": any_schemas})
shields = st.none() | st.lists(st.sampled_from(["calm", "strict", "nope"]), max_size=3)
common: dict[str, st.SearchStrategy[Any]] = {
    "sampling_params": sampling,
    "input_shields": shields,
    "output_shields": shields,
    "toolgroups": st.none() | st.lists(groups, max_size=3),
    "client_tools": st.none() | st.lists(tools(names, types, any_schemas), max_size=3),
    "tool_choice": st.sampled_from(["auto", "none", "required", None]),
    "tool_prompt_format": st.sampled_from(["json", "python_list", None]),
    "tool_config": st.none()
    | st.fixed_dictionaries(
        {},
        optional={
            "tool_choice": st.sampled_from(["auto", "required", "f", "find", "knowledge_search", "nope"]),
            "tool_prompt_format": st.sampled_from(["json", "function_tag", None]),
            "system_message_behavior": st.sampled_from(["append", "replace"]),
        },
    ),
    "max_infer_iters": st.sampled_from([1, 10, None, 0]),
}
configs = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["m", "up/m", *["m"] * 8, "nope"]),
        "instructions": st.sampled_from(["", "Be kind."]),
    },
    optional={
        **common,
        "response_format": formats,
        "enable_session_persistence": st.booleans() | st.none(),
        "name": st.none() | st.just("n"),
    },
)
turns = st.fixed_dictionaries(
    {"messages": st.just([{"role": "user", "content": "hi"}])},
    optional={**common, "instructions": st.none() | st.just("")},
)


# --- what holds -------------------------------------------------------------------------------------------------
def leads_somewhere(param: str, body: Json) -> bool:
    """Whether a path is one of this body, or of a field that could be in it."""
    at: Any = body
    steps = [name or int(index) for name, index in _STEP.findall(param)]
    for number, step in enumerate(steps):
        if is_object(at) and isinstance(step, str):
            if step not in at:
                return number == len(steps) - 1
            at = at[step]
        elif is_array(at) and isinstance(step, int) and step < len(at):
            at = at[step]
        else:
            return False
    return bool(steps)


async def attempt(agent: Json, asked: Json) -> ResponseRequest | AntiphonError:
    """What an agent is made, and asked, with; or why not."""
    world = requests()
    try:
        config = parse.read(encode({"agent_config": agent}), _AGENT, CreateAgent, items=False)[0].agent_config
        await world.check(OWNER, config)
        kept = msgspec.json.decode(encode(config), type=type(config))
        assert kept == config, "what is kept is what was said"
        turn = parse.read(encode(asked), _TURN, CreateTurn, items=False)[0]
        check_turn(turn)
        built = await world.build(OWNER, effective(kept, turn))
    except AntiphonError as error:
        return error
    assert built.rules.max_steps
    return built.request


@settings(deadline=None, max_examples=300)
@given(configs, turns)
def test_a_configuration_is_run_as_it_says_or_refused_by_a_place_that_is_in_it(
    agent: Json, asked: Json
) -> None:
    made = asyncio.run(attempt(agent, asked))
    if isinstance(made, AntiphonError):
        event(f"refused with {made.status}")
        assert made.status == 400 or (made.status, made.param) == (404, "agent_config.model")
        assert made.param
        assert leads_somewhere(made.param, {"agent_config": agent, **asked}), (made.param, made.message)
        assert made.param in made.message or made.status == 404
        return
    event("run")
    again = json.loads(encode(made)) | {"input": "hi", "stream": False}
    assert ResponseRequest.parse(json.dumps(again).encode()).tools == made.tools, (
        "it is a request of its own right"
    )
    said = asked.get("client_tools")
    given_tools = said if said is not None else agent.get("client_tools")
    functions = [tool for tool in made.tools or () if isinstance(tool, FunctionTool)]
    assert [tool.name for tool in functions] == [tool["name"] for tool in given_tools or ()]


def new_of(old: Json) -> Json:
    """A tool of 0.2 as a client of 0.3 writes it, made from the engine's own form of it."""
    made = function_tool(msgspec.convert(old, ToolDef))
    return {key: value for key, value in old.items() if key != "parameters"} | {
        "input_schema": made.parameters
    }


@settings(deadline=None, max_examples=200)
@given(tools(good_names, good_types, good_schemas))
def test_a_client_tool_means_the_same_in_both_generations(tool: Json) -> None:
    given_tool = msgspec.convert(tool, ToolDef)
    check_client_tools([given_tool], "client_tools")
    made = function_tool(given_tool)
    assert isinstance(made.parameters, dict)
    assert fault_of_schema(made.parameters, of_arguments=True) is None
    assert made.parameters["type"] in ("object", ["object"])
    assert "properties" in made.parameters
    newer = msgspec.convert(new_of(tool), ToolDef)
    check_client_tools([newer], "client_tools")
    assert function_tool(newer) == made
    event("old" if "parameters" in tool else "new")
