"""The rules of an agent's configuration, and what counts in a turn of it."""

from typing import Any

import msgspec
import pytest

from antiphon.agents.definition import check_config, check_turn, effective
from antiphon.agents.shapes import AgentConfig, CreateTurn, Greedy, GroupWithArgs, SamplingParams, TopK
from antiphon.core.errors import InvalidRequest

Json = dict[str, Any]


def config(**fields: Any) -> AgentConfig:
    return msgspec.convert({"model": "m", "instructions": "Be kind.", **fields}, AgentConfig)


def turn(**fields: Any) -> CreateTurn:
    return msgspec.convert({"messages": [{"role": "user", "content": "hi"}], **fields}, CreateTurn)


def deep(levels: int) -> Json:
    value: Json = {}
    for _ in range(levels):
        value = {"x": value}
    return value


OPEN: Json = {"type": "json_schema", "json_schema": {"$ref": "#"}}
REFUSED: list[tuple[Json, str]] = [
    ({"model": "  "}, "model"),
    ({"tool_choice": "none", "tool_config": {"tool_choice": "auto"}}, "tool_choice"),
    (
        {"tool_prompt_format": "json", "tool_config": {"tool_prompt_format": "python_list"}},
        "tool_prompt_format",
    ),
    ({"client_tools": [{"name": "a"}, {"name": "a"}]}, "client_tools[1].name"),
    ({"client_tools": [{"name": "knowledge_search"}]}, "client_tools[0].name"),
    ({"toolgroups": ["g", "h", "g"]}, "toolgroups[2]"),
    ({"toolgroups": ["g", {"name": "g", "args": {"a": 1}}]}, "toolgroups[1]"),
    ({"toolgroups": ["builtin::rag", "builtin::rag/knowledge_search"]}, "toolgroups[1]"),
    ({"toolgroups": [{"name": "g", "args": deep(80)}]}, "toolgroups[0].args"),
    ({"toolgroups": [{"name": "g", "args": {"a": "x" * 300_000}}]}, "toolgroups[0].args"),
    ({"input_shields": ["s", "s"]}, "input_shields[1]"),
    ({"output_shields": ["s", "t", "t"]}, "output_shields[2]"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"type": "no"}}},
        "response_format.json_schema.type",
    ),
    ({"response_format": {"type": "json_schema", "json_schema": deep(80)}}, "response_format.json_schema"),
    ({"response_format": OPEN}, "response_format.json_schema"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": 1}}}},
        "response_format.json_schema.schema.type",
    ),
    ({"response_format": {"type": "grammar", "bnf": {}}}, "response_format.bnf"),
    ({"response_format": {"type": "grammar", "bnf": deep(80)}}, "response_format.bnf"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED)
def test_a_configuration_that_cannot_be_is_refused_by_its_place(fields: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_config(config(**fields))
    assert caught.value.param == f"agent_config.{param}"
    assert f"`agent_config.{param}`" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [one for one in REFUSED if not one[1].startswith(("model", "response_format"))],
)
def test_a_turn_is_held_to_the_same_by_its_own_fields(fields: Json, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_turn(turn(**fields))
    assert caught.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tool_choice": "none", "tool_config": {"tool_choice": "none"}},
        {"tool_choice": "none", "tool_config": {}},
        {"tool_choice": "none", "tool_config": {"tool_choice": None, "tool_prompt_format": "json"}},
        {"toolgroups": ["g/a", "g/b", "h"]},
        {"toolgroups": ["g", "gg", "gg2/a"]},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"type": "array", "items": {"type": "string"}},
            }
        },
        {"client_tools": [], "toolgroups": [], "input_shields": [], "output_shields": []},
        {"client_tools": None, "toolgroups": None, "input_shields": None, "tool_config": None},
    ],
)
def test_a_configuration_that_can_be_passes(fields: Json) -> None:
    check_config(config(**fields))


def test_what_nobody_says_has_the_declared_defaults() -> None:
    counts = effective(config())
    assert (counts.model, counts.instructions) == ("m", "Be kind.")
    assert counts.sampling == SamplingParams(
        strategy=Greedy(), max_tokens=0, repetition_penalty=1.0, stop=None
    )
    assert (counts.input_shields, counts.output_shields, counts.groups, counts.client_tools) == (
        (),
        (),
        (),
        (),
    )
    assert (counts.tool_choice, counts.prompt_format, counts.system_message_behavior) == (
        "auto",
        None,
        "append",
    )
    assert (counts.max_infer_iters, counts.keeps, counts.response_format) == (10, True, None)


@pytest.mark.parametrize(("said", "keeps"), [(True, True), (False, False), (None, True)])
def test_sessions_are_kept_unless_that_is_explicitly_turned_off(said: bool | None, keeps: bool) -> None:
    assert effective(config(enable_session_persistence=said)).keeps is keeps


def test_null_counts_as_left_out_but_for_sampling() -> None:
    nulls = config(
        max_infer_iters=None, tool_config=None, tool_choice=None, input_shields=None, sampling_params=None
    )
    counts = effective(nulls)
    assert (counts.max_infer_iters, counts.tool_choice, counts.input_shields) == (10, "auto", ())
    assert counts.sampling is None


AGENT: Json = {
    "sampling_params": {"strategy": {"type": "top_k", "top_k": 3}},
    "input_shields": ["a-in"],
    "output_shields": ["a-out"],
    "client_tools": [{"name": "agents"}],
    "max_infer_iters": 4,
    "tool_config": {
        "tool_choice": "required",
        "tool_prompt_format": "json",
        "system_message_behavior": "replace",
    },
}


def test_what_a_turn_says_stands_in_for_what_the_agent_says() -> None:
    said = turn(
        instructions="Be brief.",
        sampling_params={"strategy": {"type": "top_k", "top_k": 9}},
        input_shields=["t-in"],
        output_shields=[],
        client_tools=[{"name": "turns"}],
        max_infer_iters=2,
        tool_config={"tool_choice": "none"},
    )
    counts = effective(config(**AGENT), said)
    assert counts.instructions == "Be brief."
    assert counts.sampling is not None
    assert counts.sampling.strategy == TopK(top_k=9)
    assert (counts.input_shields, counts.output_shields) == (("t-in",), ())
    assert [one.name for one in counts.client_tools] == ["turns"]
    assert counts.max_infer_iters == 2
    assert (counts.tool_choice, counts.prompt_format, counts.system_message_behavior) == (
        "none",
        "json",
        "replace",
    )
    assert counts.path("client_tools") == "client_tools"
    assert counts.path("sampling_params") == "sampling_params"
    assert counts.path("tool_choice") == "tool_config.tool_choice"
    assert counts.path("tool_prompt_format") == "agent_config.tool_config.tool_prompt_format"
    assert counts.path("model") == "agent_config.model"


def test_a_turn_that_says_nothing_changes_nothing() -> None:
    assert effective(config(**AGENT), turn()) == effective(config(**AGENT))
    assert effective(config(**AGENT)).path("client_tools") == "agent_config.client_tools"


def test_an_empty_text_and_an_explicit_null_of_a_turn_count() -> None:
    counts = effective(config(**AGENT), turn(instructions="", sampling_params=None))
    assert (counts.instructions, counts.sampling) == ("", None)


def test_the_deprecated_twins_count_where_tool_config_says_nothing() -> None:
    old = config(tool_choice="required", tool_prompt_format="function_tag")
    counts = effective(old)
    assert (counts.tool_choice, counts.prompt_format) == ("required", "function_tag")
    assert counts.path("tool_choice") == "agent_config.tool_choice"
    assert effective(old, turn(tool_choice="none")).tool_choice == "none"
    mixed = effective(old, turn(tool_config={"tool_prompt_format": "json"}))
    assert (mixed.tool_choice, mixed.prompt_format) == ("required", "json")


def test_groups_of_agent_and_turn_come_together_and_the_arguments_of_the_turn_win() -> None:
    agents = config(toolgroups=["a", {"name": "b", "args": {"x": 1, "y": 1}}, "c/one"])
    counts = effective(agents, turn(toolgroups=["b", {"name": "a", "args": {"z": 2}}, "d"]))
    assert counts.groups == (
        GroupWithArgs(name="a", args={"z": 2}),
        GroupWithArgs(name="b", args={"x": 1, "y": 1}),
        "c/one",
        "d",
    )
    assert counts.group_paths == (
        "toolgroups[1]",
        "toolgroups[0]",
        "agent_config.toolgroups[2]",
        "toolgroups[2]",
    )
    over = effective(agents, turn(toolgroups=[{"name": "b", "args": {"y": 2}}]))
    assert over.groups[1] == GroupWithArgs(name="b", args={"x": 1, "y": 2})


def test_a_tool_of_a_group_that_is_there_whole_is_not_named_again() -> None:
    assert effective(config(toolgroups=["g"]), turn(toolgroups=["g/a"])).groups == ("g",)
    widened = effective(config(toolgroups=["g/a", "h/b"]), turn(toolgroups=["g"]))
    assert widened.groups == ("h/b", "g")
    assert widened.group_paths == ("agent_config.toolgroups[1]", "toolgroups[0]")
    assert effective(config(toolgroups=["g", "g/a"])).groups == ("g", "g/a"), (
        "one list that says both is refused"
    )


def test_the_search_of_knowledge_is_the_same_as_its_group() -> None:
    named = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": ["vs"]}}
    counts = effective(config(toolgroups=["builtin::rag"]), turn(toolgroups=[named]))
    assert counts.groups == (
        GroupWithArgs(name="builtin::rag/knowledge_search", args={"vector_db_ids": ["vs"]}),
    )
    both = effective(config(toolgroups=[named]), turn(toolgroups=["builtin::rag"]))
    assert both.groups == (GroupWithArgs(name="builtin::rag", args={"vector_db_ids": ["vs"]}),)
