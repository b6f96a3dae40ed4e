"""What agents and turns say, as the request for the engine and the rules of its run; and errors in this API's words."""

from typing import Any

import msgspec
import pytest

from antiphon.agents.definition import effective
from antiphon.agents.places import Places, in_words_of_agents
from antiphon.core.body import FormatJsonSchema, StreamOptions, TextConfig
from antiphon.core.errors import AntiphonError, InvalidRequest, ModelNotFound, ProviderRejected
from antiphon.core.tools import (
    ChooseFileSearch,
    ChooseFunction,
    ChooseMcp,
    FileSearchTool,
    FunctionTool,
    McpTool,
)
from antiphon.core.turn_rules import TurnRules
from antiphon.ports.agents import StoredSession
from tests.agent_requests_world import OWNER, RUNTIME, FewGroups, Models, config, requests, turn

Json = dict[str, Any]
SESSION = StoredSession("s1", "a1", "n", 0, stores=("vs_1", "vs_2"), memory="vs_3")


async def built(**fields: Any) -> Any:
    return await requests().build(OWNER, effective(config(**fields)))


def sampling(kind: str, **fields: Any) -> Json:
    more = {name: fields.pop(name) for name in ("max_tokens", "repetition_penalty", "stop") if name in fields}
    return {"sampling_params": {"strategy": {"type": kind, **fields}, **more}}


NAMES = ("temperature", "top_p", "top_k", "repetition_penalty", "stop")


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({}, {"temperature": 0.0}),
        ({"sampling_params": None}, {}),
        ({"sampling_params": {}}, {"temperature": 0.0}),
        (sampling("greedy"), {"temperature": 0.0}),
        (sampling("top_p", temperature=0.7), {"temperature": 0.7, "top_p": 0.95}),
        (sampling("top_p", temperature=0.7, top_p=0.5), {"temperature": 0.7, "top_p": 0.5}),
        (sampling("top_p", temperature=None, top_p=None), {}),
        (sampling("top_p"), {"top_p": 0.95}),
        (sampling("top_k", top_k=40), {"top_k": 40}),
        (sampling("greedy", repetition_penalty=1.2), {"temperature": 0.0, "repetition_penalty": 1.2}),
        (sampling("greedy", repetition_penalty=1.0), {"temperature": 0.0}),
        (sampling("greedy", repetition_penalty=None), {"temperature": 0.0}),
        (sampling("greedy", stop=["END", "."]), {"temperature": 0.0, "stop": ["END", "."]}),
        (sampling("greedy", stop=[]), {"temperature": 0.0}),
        (sampling("greedy", max_tokens=50), {"temperature": 0.0}),
    ],
)
async def test_sampling_is_what_the_model_is_asked_with(said: Json, sent: Json) -> None:
    request = (await built(**said)).request
    assert {name: getattr(request, name) for name in NAMES if getattr(request, name) is not None} == sent
    assert request.max_output_tokens is None, "it bounds each model call, not the run"


@pytest.mark.parametrize(("tokens", "rule"), [(0, None), (None, None), (1, 1), (512, 512)])
async def test_max_tokens_bounds_each_model_call(tokens: int | None, rule: int | None) -> None:
    made = await built(**sampling("greedy", max_tokens=tokens))
    assert made.rules.max_step_tokens == rule


async def test_the_request_says_what_the_agent_says() -> None:
    made = await built(model="m", instructions="Be kind.", client_tools=[{"name": "f"}])
    assert (made.request.model, made.request.instructions) == ("m", "Be kind.")
    assert (made.request.input, made.request.previous_response_id, made.request.store) == (None, None, None)
    assert (made.request.truncation, made.request.parallel_tool_calls) == ("auto", None)
    assert made.request.tools == [FunctionTool(name="f", parameters={"type": "object", "properties": {}})]
    assert (made.tools, made.before) == (None, None)
    empty = await built(instructions="")
    assert (empty.request.instructions, empty.request.tools, empty.request.tool_choice) == (None, None, None)


async def test_a_session_that_is_not_kept_stores_no_response() -> None:
    assert (await built(enable_session_persistence=False)).request.store is False


async def test_a_stream_is_not_padded() -> None:
    made = await requests().build(OWNER, effective(config()), stream=True)
    assert made.request.stream is True
    assert made.request.stream_options == StreamOptions(include_obfuscation=False)


async def test_the_rules_of_a_run() -> None:
    said = config(input_shields=["calm"], output_shields=["strict", "calm"], max_infer_iters=5)
    made = await requests().build(OWNER, effective(said), steps_used=2)
    assert made.rules == TurnRules(("calm",), ("strict", "calm"), max_steps=3, marks=True)
    late = await requests().build(OWNER, effective(said), steps_used=9)
    assert late.rules.max_steps == 1


# --- formats ----------------------------------------------------------------------------------------------------
OPEN: Json = {"type": "object", "properties": {"a": {"type": "string"}}}
CLOSED: Json = OPEN | {"required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "name", "strict", "sent"),
    [
        (OPEN, "answer", None, OPEN),
        (CLOSED, "answer", True, CLOSED),
        (OPEN | {"title": "My Answer!"}, "My_Answer_", None, OPEN | {"title": "My Answer!"}),
        (OPEN | {"title": "x" * 80}, "x" * 64, None, OPEN | {"title": "x" * 80}),
        (OPEN | {"title": "ü"}, "_", None, OPEN | {"title": "ü"}),
        ({"name": "n", "schema": OPEN}, "n", None, OPEN),
        ({"name": "n", "schema": CLOSED, "strict": False}, "n", False, CLOSED),
        ({"name": "n", "schema": OPEN, "strict": True}, "n", True, OPEN),
        ({"schema": OPEN}, "answer", None, OPEN),
        (
            {"type": "object", "properties": {"schema": OPEN}},
            "answer",
            None,
            {"type": "object", "properties": {"schema": OPEN}},
        ),
    ],
)
async def test_a_json_schema_binds_the_answer(
    schema: Json, name: str, strict: bool | None, sent: Json
) -> None:
    request = (await built(response_format={"type": "json_schema", "json_schema": schema})).request
    assert request.text == TextConfig(format=FormatJsonSchema(name=name, schema=sent, strict=strict))


async def test_a_grammar_binds_the_answer() -> None:
    given = {"type": "grammar", "bnf": {"grammar": 'root ::= "yes" | "no"'}}
    made = (await built(response_format=given)).request.text.format
    assert made.syntax == "lark"
    assert '"yes"' in made.definition


# --- tools ------------------------------------------------------------------------------------------------------
async def test_groups_become_tools_behind_the_clients_and_bring_their_runtime() -> None:
    groups = FewGroups()
    said = config(client_tools=[{"name": "f"}], toolgroups=["mcp::maps", "builtin::rag"])
    headers = {b"x-llamastack-provider-data": b"{}"}
    asked = effective(said, turn(toolgroups=[{"name": "mcp::mail/send", "args": {"to": "me"}}]))
    made = await requests(groups).build(OWNER, asked, session=SESSION, headers=headers)
    kinds = [type(tool) for tool in made.request.tools or ()]
    assert kinds == [FunctionTool, McpTool, FileSearchTool, McpTool]
    assert made.tools is RUNTIME
    [saw] = groups.asked
    assert (saw["stores"], saw["headers"], saw["session_id"]) == (["vs_1", "vs_2", "vs_3"], headers, "s1")
    assert [getattr(one, "name", one) for one in saw["groups"]] == [
        "mcp::maps",
        "builtin::rag",
        "mcp::mail/send",
    ]


TOOLS: Json = {"client_tools": [{"name": "f"}], "toolgroups": ["mcp::maps/find", "builtin::rag"]}


@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("auto", None),
        ("required", "required"),
        ("none", "none"),
        ("f", ChooseFunction(name="f")),
        ("knowledge_search", ChooseFileSearch()),
        ("find", ChooseMcp(server_label="maps", name="find")),
    ],
)
async def test_a_tool_choice_is_a_mode_or_the_name_of_a_tool(name: str, choice: Any) -> None:
    said = effective(config(**TOOLS, tool_config={"tool_choice": name}))
    made = await requests().build(OWNER, said, session=SESSION)
    assert made.request.tool_choice == choice


async def test_a_call_that_was_wanted_is_wanted_once_in_a_turn() -> None:
    for choice, later in (("f", None), ("required", None), ("none", "none")):
        said = effective(config(client_tools=[{"name": "f"}], tool_config={"tool_choice": choice}))
        assert (await requests().build(OWNER, said, steps_used=1)).request.tool_choice == later


async def test_a_tool_of_a_server_whose_tools_are_not_known_yet_may_be_chosen() -> None:
    made = await built(toolgroups=["mcp::maps"], tool_config={"tool_choice": "anything"})
    assert made.request.tool_choice == ChooseMcp(server_label="maps", name="anything")


async def test_a_tool_of_a_group_is_chosen_by_what_its_server_lists() -> None:
    made = await built(toolgroups=["mcp::maps", "mcp::mail"], tool_config={"tool_choice": "read"})
    assert made.request.tool_choice == ChooseMcp(server_label="mail", name="read")
    with pytest.raises(InvalidRequest) as caught:
        await built(toolgroups=["mcp::mail"], tool_config={"tool_choice": "find"})
    assert caught.value.param == "agent_config.tool_config.tool_choice"
    assert "its tools: send, read" in caught.value.message


@pytest.mark.parametrize("name", ["g", "Auto", "knowledge_search", "maps", "mcp::maps/find"])
async def test_a_choice_of_a_tool_that_there_is_not_names_those_there_are(name: str) -> None:
    tools = {"client_tools": [{"name": "f"}], "toolgroups": ["mcp::maps/find"]}
    with pytest.raises(InvalidRequest) as caught:
        await built(**tools, tool_config={"tool_choice": name})
    assert caught.value.param == "agent_config.tool_config.tool_choice"
    assert "its tools: f, find" in caught.value.message


# --- what is checked when an agent is made ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input_shields": ["calm", "nope"]}, "agent_config.input_shields[1]"),
        ({"output_shields": ["nope"]}, "agent_config.output_shields[0]"),
        ({"toolgroups": ["mcp::maps", "nope"]}, "agent_config.toolgroups[1]"),
        ({"model": ""}, "agent_config.model"),
        ({"model": "nope"}, "agent_config.model"),
        ({"model": "up/nope"}, "agent_config.model"),
        ({"client_tools": [{"name": "web_search"}]}, "agent_config.client_tools[0].name"),
        ({"tool_config": {"tool_choice": "nope"}}, "agent_config.tool_config.tool_choice"),
    ],
)
async def test_an_agent_that_could_not_be_run_is_not_made(fields: Json, param: str) -> None:
    with pytest.raises(AntiphonError) as caught:
        await requests().check(OWNER, config(**fields) if fields.get("model") != "" else _without_model())
    assert caught.value.param == param
    assert caught.value.status == (404 if isinstance(caught.value, ModelNotFound) else 400)


def _without_model() -> Any:
    return msgspec.structs.replace(config(), model="")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": "up/m"},
        {**TOOLS, "tool_config": {"tool_choice": "required"}},
        {**TOOLS, "tool_config": {"tool_choice": "knows_only_the_server"}},
        {"tool_config": {"tool_choice": "required"}},
        {"client_tools": [{"name": "f"}], "tool_choice": "required"},
    ],
)
async def test_an_agent_that_could_be_run_is_made(fields: Json) -> None:
    await requests().check(OWNER, config(**fields))


@pytest.mark.parametrize(
    ("model", "made"),
    [("up/m", True), ("m", True), ("down/any", True), ("any", True), ("org/any", True), ("up/any", False)],
)
async def test_a_provider_that_cannot_be_asked_forbids_no_agent_of_its_models(model: str, made: bool) -> None:
    world = requests(up=Models("m"), down=Models(down=True))
    if made:
        await world.check(OWNER, config(model=model))
    else:
        with pytest.raises(ModelNotFound) as caught:
            await world.check(OWNER, config(model=model))
        assert caught.value.param == "agent_config.model"


async def test_a_name_that_several_providers_have_has_to_say_which() -> None:
    with pytest.raises(InvalidRequest) as caught:
        await requests(one=Models("m"), two=Models("m")).check(OWNER, config(model="m"))
    assert caught.value.param == "agent_config.model"
    assert '"one/m", "two/m"' in caught.value.message


# --- places -----------------------------------------------------------------------------------------------------
AGENT: Json = {
    "client_tools": [{"name": "old", "parameters": []}, {"name": "new", "input_schema": {"type": "object"}}],
    "toolgroups": ["mcp::maps"],
    "response_format": {"type": "json_schema", "json_schema": OPEN},
    "sampling_params": {"strategy": {"type": "top_p", "temperature": 1}},
}


@pytest.mark.parametrize(
    ("param", "path"),
    [
        ("model", "agent_config.model"),
        ("instructions", "agent_config.instructions"),
        ("temperature", "agent_config.sampling_params.strategy.temperature"),
        ("top_p", "agent_config.sampling_params.strategy.top_p"),
        ("max_output_tokens", "agent_config.sampling_params.max_tokens"),
        ("stop", "agent_config.sampling_params.stop"),
        ("repetition_penalty", "agent_config.sampling_params.repetition_penalty"),
        ("tools[0].name", "agent_config.client_tools[0].name"),
        ("tools[0].parameters.properties.x", "agent_config.client_tools[0].parameters"),
        ("tools[1].parameters.properties.x", "agent_config.client_tools[1].input_schema.properties.x"),
        ("tools[2].server_label", "agent_config.toolgroups"),
        ("tools", "agent_config.client_tools"),
        ("tool_choice.name", "agent_config.tool_config.tool_choice"),
        ("text.format.schema.properties.x", "agent_config.response_format.json_schema.properties.x"),
        ("text.format", "agent_config.response_format"),
        ("input[1].content[0]", "messages[0].content"),
        ("input[7]", "input[7]"),
        ("input", "messages"),
        ("previous_response_id", "session_id"),
        ("groups[0].args.x", "agent_config.toolgroups[0].args.x"),
        ("agent_config.input_shields[2]", "agent_config.input_shields[2]"),
        ("something", "something"),
    ],
)
def test_errors_of_the_engine_name_the_fields_of_this_api(param: str, path: str) -> None:
    places = Places(effective(config(**AGENT)), ("messages[0].content", "messages[0].content"))
    error = in_words_of_agents(InvalidRequest(f"`{param}`: no good; see `other words`.", param=param), places)
    assert (error.param, error.message) == (path, f"`{path}`: no good; see `other words`.")


@pytest.mark.parametrize(
    ("agent", "fields", "param", "path"),
    [
        ({}, {}, "temperature", "agent_config.sampling_params.strategy"),
        (AGENT, {"sampling_params": None}, "temperature", "sampling_params"),
        (AGENT, {"client_tools": [{"name": "x"}]}, "tools[0].name", "client_tools[0].name"),
        (AGENT, {"toolgroups": ["mcp::mail"]}, "groups[1]", "toolgroups[0]"),
        (AGENT, {"instructions": "x"}, "instructions", "instructions"),
        (AGENT, {"tool_config": {"tool_choice": "x"}}, "tool_choice", "tool_config.tool_choice"),
        (
            {"response_format": {"type": "grammar", "bnf": {}}},
            {},
            "text.format",
            "agent_config.response_format.bnf",
        ),
    ],
)
def test_what_a_turn_says_is_named_by_its_own_fields(
    agent: Json, fields: Json, param: str, path: str
) -> None:
    assert Places(effective(config(**agent), turn(**fields))).path_of(param) == path


def test_other_groups_that_a_message_speaks_of_are_named_too() -> None:
    error = InvalidRequest(
        '`groups[1]`: "x" is there already, by groups[0]; toolgroups[0] is not.', param="groups[1]"
    )
    told = in_words_of_agents(error, Places(effective(config(**AGENT), turn(toolgroups=["mcp::mail"]))))
    assert told.message == (
        '`toolgroups[0]`: "x" is there already, by agent_config.toolgroups[0]; toolgroups[0] is not.'
    )


def test_what_an_upstream_says_stays_but_for_the_field() -> None:
    places = Places(effective(config(**AGENT)))
    error = ProviderRejected("p", "`temperature`: the model `stop` says no.", param="temperature")
    told = in_words_of_agents(error, places)
    assert told.message == "`agent_config.sampling_params.strategy.temperature`: the model `stop` says no."


def test_a_model_that_cannot_be_asked_greedily_is_told_with_the_way_out() -> None:
    error = ProviderRejected("p", "`temperature`: only 1 is taken.", param="temperature")
    told = in_words_of_agents(error, Places(effective(config())))
    assert told.param == "agent_config.sampling_params.strategy"
    assert "only 1 is taken. Greedy" in told.message
    assert "`sampling_params: null`" in told.message


def test_nothing_is_made_up_where_no_field_is_named() -> None:
    told = in_words_of_agents(InvalidRequest("no field"), Places(effective(config())))
    assert (told.param, told.message) == (None, "no field")
