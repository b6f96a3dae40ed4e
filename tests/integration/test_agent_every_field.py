"""No field of an agent's configuration is silently ignored: what each says reaches the model's server, or the turn."""

from collections.abc import Iterator
from typing import Any

import pytest

from antiphon.agents.shapes import AgentConfig, CreateTurn
from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.upstream import Upstream

Json = dict[str, Any]
WEATHER: Json = {
    "name": "get_weather",
    "description": "Says the weather.",
    "parameters": [
        {"name": "city", "parameter_type": "str", "description": "Which", "required": True},
        {"name": "days", "parameter_type": "list", "description": "When", "required": False, "default": [1]},
    ],
    "metadata": {},
    "tool_prompt_format": "python_list",
}
WEATHER_SENT: Json = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Which"},
        "days": {"type": "array", "items": {}, "description": "When", "default": [1]},
    },
    "required": ["city"],
}
SCHEMA: Json = {"type": "object", "title": "Place", "properties": {"city": {"type": "string"}}}


class Agents:
    """Makes agents and turns of them over HTTP, and looks at what the upstream was sent."""

    def __init__(self, raw: Raw, upstream: Upstream) -> None:
        self._raw = raw
        self._upstream = upstream
        self._made: list[str] = []

    def agent(self, **config: Any) -> str:
        body = {"agent_config": {"model": "echo", "instructions": "Be kind.", **config}}
        self._made.append(str(self._ok("/v1/agents", body)["agent_id"]))
        return self._made[-1]

    def delete_all(self) -> None:
        for agent in self._made:
            self._raw.send("DELETE", f"/v1/agents/{agent}")

    def turn(self, agent: str, said: str = "hi", **more: Any) -> Json:
        session = self._ok(f"/v1/agents/{agent}/session", {"session_name": "s"})["session_id"]
        body = {"messages": [{"role": "user", "content": said}], **more}
        return self._ok(f"/v1/agents/{agent}/session/{session}/turn", body)

    def sent(self, config: Json, **more: Any) -> Json:
        """What the upstream was asked with in a turn of such an agent."""
        self.turn(self.agent(**config), **more)
        return self._upstream.last_request()

    def _ok(self, path: str, body: Json) -> Json:
        answer = self._raw.post(path, body)
        assert answer.status == 200, answer.body
        return answer.json


@pytest.fixture
def agents(server: Program, upstream: Upstream, recorder: Recorder) -> Iterator[Agents]:
    with Raw(server.port, recorder) as raw:
        made = Agents(raw, upstream)
        yield made
        made.delete_all()


def strategy(kind: str, **more: Any) -> Json:
    return {"sampling_params": {"strategy": {"type": kind, **more}}}


FUNCTION = {"name": "get_weather", "description": "Says the weather.", "parameters": WEATHER_SENT}
TOOLS: Json = {"client_tools": [WEATHER]}
REACHES: list[tuple[str, Json, Json]] = [
    ("model", {"model": "thinker"}, {"model": "thinker"}),
    (
        "sampling_params",
        {},
        {"temperature": 0.0, "top_p": None, "top_k": None, "max_tokens": None, "stop": None},
    ),
    ("sampling_params", {"sampling_params": None}, {"temperature": None, "top_p": None}),
    ("sampling_params", strategy("greedy"), {"temperature": 0.0}),
    ("sampling_params", strategy("top_p", temperature=0.3), {"temperature": 0.3, "top_p": 0.95}),
    ("sampling_params", strategy("top_p", temperature=0.3, top_p=0.5), {"temperature": 0.3, "top_p": 0.5}),
    ("sampling_params", {"sampling_params": {"max_tokens": 30}}, {"max_tokens": 30}),
    ("sampling_params", {"sampling_params": {"stop": ["END"]}}, {"stop": ["END"]}),
    (
        "response_format",
        {"model": "up/json", "response_format": {"type": "json_schema", "json_schema": SCHEMA}},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "Place", "schema": SCHEMA},
            }
        },
    ),
    ("client_tools", TOOLS, {"tools": [{"type": "function", "function": FUNCTION}], "tool_choice": None}),
    ("tool_choice", {**TOOLS, "tool_choice": "none"}, {"tool_choice": "none"}),
    ("tool_config", {**TOOLS, "tool_config": {"tool_choice": "required"}}, {"tool_choice": "required"}),
    (
        "tool_config",
        {**TOOLS, "tool_config": {"tool_choice": "get_weather"}},
        {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    ),
]


@pytest.mark.parametrize(("field", "config", "expected"), REACHES)
def test_what_an_agent_says_reaches_the_model(
    agents: Agents, field: str, config: Json, expected: Json
) -> None:
    sent = agents.sent(config)
    assert {name: sent.get(name) for name in expected} == expected, field


def test_instructions_are_the_system_message(agents: Agents) -> None:
    sent = agents.sent({"instructions": "Speak Latin."})
    assert sent["messages"][0] == {"role": "system", "content": "Speak Latin."}
    assert [one["role"] for one in agents.sent({"instructions": ""})["messages"]] == ["user"]


@pytest.mark.parametrize("form", ["json", "function_tag", "python_list"])
@pytest.mark.parametrize("deprecated", [True, False])
def test_a_prompt_format_tells_tools_in_words(agents: Agents, form: str, deprecated: bool) -> None:
    said: Json = {"tool_prompt_format": form}
    sent = agents.sent({**TOOLS, **(said if deprecated else {"tool_config": said})})
    assert "tools" not in sent
    assert "get_weather" in sent["messages"][0]["content"]
    assert sent["messages"][0]["content"].startswith("Be kind.")


def test_definitions_stand_where_the_instructions_ask_for_them(agents: Agents) -> None:
    asking = "Tools: {{function_definitions}} Use them."
    replacing = {"tool_config": {"system_message_behavior": "replace"}}
    sent = agents.sent({**TOOLS, **replacing, "instructions": asking})
    assert sent["tools"][0]["function"]["name"] == "get_weather", "they are called by the model's API"
    [system] = [one["content"] for one in sent["messages"] if one["role"] == "system"]
    assert system.startswith('Tools: [\n{"name":"get_weather"')
    assert system.endswith("] Use them.")
    told = {"tool_config": {"system_message_behavior": "replace", "tool_prompt_format": "json"}}
    words = agents.sent({**TOOLS, **told, "instructions": asking})
    assert "tools" not in words
    assert words["messages"][0]["content"] == system
    none = agents.sent({**told, "instructions": asking})
    assert none["messages"][0]["content"] == "Tools: [] Use them."
    kept = agents.sent({**TOOLS, "instructions": asking})
    assert kept["messages"][0]["content"] == asking, "with append they are the author's own words"


def test_both_generations_of_a_client_tool_reach_the_model_alike(agents: Agents) -> None:
    new = {"name": "get_weather", "description": "Says the weather.", "input_schema": WEATHER_SENT}
    assert agents.sent({"client_tools": [new]})["tools"] == agents.sent(TOOLS)["tools"]
    bare = agents.sent({"client_tools": [{"name": "now"}]})["tools"]
    assert bare == [
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}}
    ]


def test_the_limit_of_model_calls_ends_a_turn(agents: Agents) -> None:
    agent = agents.agent(model="caller", max_infer_iters=1, **TOOLS)
    output = agents.turn(agent)["output_message"]
    assert output["stop_reason"] == "end_of_turn", "the calls of the last one are not run"


SAID_BY_TURNS: list[tuple[Json, Json]] = [
    (strategy("top_p", temperature=0.3), {"temperature": 0.3}),
    ({"sampling_params": None}, {"temperature": None}),
    ({"client_tools": []}, {"tools": None}),
    ({"tool_choice": "none"}, {"tool_choice": "none"}),
    ({"tool_config": {"tool_choice": "get_weather"}}, {"tool_choice": REACHES[-1][2]["tool_choice"]}),
    ({"tool_prompt_format": "json"}, {"tools": None}),
]


@pytest.mark.parametrize(("said", "expected"), SAID_BY_TURNS)
def test_what_a_turn_says_stands_in_for_what_its_agent_says(
    agents: Agents, said: Json, expected: Json
) -> None:
    sent = agents.sent(TOOLS, **said)
    assert {name: sent.get(name) for name in expected} == expected


def test_instructions_of_a_turn_stand_in_too(agents: Agents) -> None:
    assert agents.sent(TOOLS, instructions="Now rhyme.")["messages"][0]["content"] == "Now rhyme."


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("temperature", "`sampling_params.strategy`"),
        ("tools", "`client_tools`"),
        ("max_tokens", "`sampling_params.max_tokens`"),
    ],
)
def test_what_other_apis_call_otherwise_is_refused_with_its_name_here(
    raw: Raw, name: str, advice: str
) -> None:
    body = {"agent_config": {"model": "echo", "instructions": "", name: 1}}
    answer = raw.post("/v1/agents", body)
    assert (answer.status, answer.error["param"]) == (400, f"agent_config.{name}")
    assert advice in answer.error["message"]


def test_every_field_is_shown_somewhere() -> None:
    """Those that are not above: shields and groups have tests of their own, and a name and a persistence no wire."""
    here = {field for field, _, _ in REACHES} | {"instructions", "tool_prompt_format", "max_infer_iters"}
    elsewhere = {"name", "enable_session_persistence", "input_shields", "output_shields", "toolgroups"}
    assert here | elsewhere == set(AgentConfig.__struct_fields__)
    of_turns = set(CreateTurn.__struct_fields__) & set(AgentConfig.__struct_fields__)
    assert of_turns - elsewhere <= here
