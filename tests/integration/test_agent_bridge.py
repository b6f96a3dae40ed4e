"""The official client asks stored agents for responses: `extra_body={"agent": …}`, in every way a response is made."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Connect, Raw
from tests.integration.sockets import RawSocket, text_of
from tests.integration.upstream import Upstream

Json = dict[str, Any]
AGENT: Json = {
    "model": "echo",
    "instructions": "Be kind.",
    "sampling_params": {"strategy": {"type": "top_p", "temperature": 0.3}, "max_tokens": 50},
    "client_tools": [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}],
}


Make = Callable[..., str]


@pytest.fixture
def make(client: openai.OpenAI) -> Iterator[Make]:
    """Makes agents, and deletes them."""
    ids: list[str] = []

    def one(**config: Any) -> str:
        made: Any = client.post("/agents", body={"agent_config": {**AGENT, **config}}, cast_to=object)
        ids.append(str(made["agent_id"]))
        return ids[-1]

    yield one
    for agent_id in ids:
        client.delete(f"/agents/{agent_id}", cast_to=object)


@pytest.fixture
def agent(make: Make) -> str:
    return make()


def of(agent: object, **more: Any) -> Any:
    """Arguments of a request for a response."""
    return {"input": "hi", **more, "extra_body": {"agent": agent}}


def ask(client: openai.OpenAI, **request: Any) -> Any:
    """A response to a request without a model, which no type of the client's describes."""
    create: Any = client.responses.create
    return create(**request)


def test_an_agent_is_asked_with_all_that_it_says(
    client: openai.OpenAI, upstream: Upstream, agent: str
) -> None:
    answer = ask(client, **of(agent))
    assert (answer.output_text, answer.model, answer.instructions) == ("You said: hi", "echo", "Be kind.")
    assert [getattr(tool, "name", None) for tool in answer.tools] == ["get_weather"]
    sent = upstream.last_request()
    assert sent["messages"][0] == {"role": "system", "content": "Be kind."}
    assert (sent["temperature"], sent["top_p"], sent["max_tokens"]) == (0.3, 0.95, 50)
    assert sent["tools"][0]["function"]["name"] == "get_weather"


@pytest.mark.parametrize("wrap", ["agent_id", "id"])
def test_an_agent_is_named_as_an_object_too(client: openai.OpenAI, agent: str, wrap: str) -> None:
    assert ask(client, **of({wrap: agent})).model == "echo"


def test_what_the_request_says_wins(client: openai.OpenAI, upstream: Upstream, agent: str) -> None:
    own: Any = {
        "type": "function",
        "name": "own",
        "parameters": {"type": "object", "properties": {}},
        "strict": False,
    }
    asked = of(agent, model="thinker", instructions="Be brief.", temperature=1.0, tools=[own])
    answer = ask(client, **asked)
    assert (answer.model, answer.instructions, answer.temperature, answer.top_p) == (
        "thinker",
        "Be brief.",
        1.0,
        0.95,
    )
    sent = upstream.last_request()
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["own"]
    assert (sent["model"], sent["temperature"]) == ("thinker", 1.0)


def test_streams_chains_and_conversations_are_those_of_every_request(
    client: openai.OpenAI, upstream: Upstream, agent: str
) -> None:
    with client.responses.stream(**of(agent, model="")) as stream:  # its helper wants some model
        kinds = [event.type for event in stream]
        first = stream.get_final_response()
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    ask(client, **of(agent, previous_response_id=first.id))
    assert [one["role"] for one in upstream.last_request()["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]
    assert client.responses.retrieve(first.id).instructions == "Be kind."
    conversation = client.conversations.create().id
    for _ in range(2):
        ask(client, **of(agent, conversation=conversation))
    assert [one["role"] for one in upstream.last_request()["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
    ]


def test_the_agents_tools_are_called_and_answered(client: openai.OpenAI, make: Make) -> None:
    agent = make(model="caller", tool_config={"tool_choice": "get_weather"})
    first = ask(client, **of(agent))
    [call] = first.output
    assert (call.type, getattr(call, "name", "")) == ("function_call", "get_weather")
    output = {"type": "function_call_output", "call_id": getattr(call, "call_id", ""), "output": "Sunny."}
    last = ask(client, **of(agent, input=[output], previous_response_id=first.id))
    assert last.output_text == "You said: Sunny."


async def test_the_asynchronous_client_does_the_same(connect: Connect, agent: str) -> None:
    async with connect.asynchronous() as client:
        create: Any = client.responses.create
        assert (await create(**of(agent))).output_text == "You said: hi"


def test_tokens_are_counted_and_contexts_compacted_as_the_agent_would_see_them(
    client: openai.OpenAI, upstream: Upstream, make: Make
) -> None:
    long, short = make(instructions="Be kind. " * 200), make(instructions="Be kind.")
    tokens = [client.responses.input_tokens.count(**of(one)).input_tokens for one in (long, short)]
    assert tokens[0] > tokens[1] + 300
    items = [{"role": "user", "content": f"fact {at}: " + "x" * 400} for at in range(8)]
    compacted: Any = client.post("/responses/compact", body={"agent": short, "input": items}, cast_to=object)
    assert compacted["output"][-1]["type"] == "compaction"
    assert upstream.last_request()["model"] == "echo"


def test_a_format_and_a_prompt_format_of_the_agent_count(
    client: openai.OpenAI, upstream: Upstream, make: Make
) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    said = {"type": "json_schema", "json_schema": schema}
    formed = make(model="up/json", response_format=said, client_tools=[])
    ask(client, **of(formed))
    assert upstream.last_request()["response_format"]["json_schema"]["schema"] == schema
    told = make(tool_prompt_format="json")
    ask(client, **of(told))
    assert "tools" not in upstream.last_request()
    assert "get_weather" in upstream.last_request()["messages"][0]["content"]


def test_the_agents_shields_guard_responses(client: openai.OpenAI, upstream: Upstream, make: Make) -> None:
    client.post(
        "/shields", body={"shield_id": "bridge-secrets", "provider_shield_id": "secrets"}, cast_to=object
    )
    guarded = make(input_shields=["bridge-secrets"])
    before = len(upstream.seen.requests)
    answer = ask(client, **of(guarded, input="my key is AKIAIOSFODNN7EXAMPLZ"))
    [message] = answer.output
    assert (answer.status, message.type) == ("completed", "message")
    assert getattr(message, "content", [])[0].type == "refusal"
    assert len(upstream.seen.requests) == before, "no model was asked"
    client.delete("/shields/bridge-secrets", cast_to=object)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **of(guarded))
    assert caught.value.param == "agent"
    assert "agent_config.input_shields[0]" in caught.value.message


@pytest.mark.parametrize(
    ("named", "status", "param"),
    [
        ("00000000-0000-4000-8000-000000000000", 404, "agent"),
        ({"agent_id": "00000000-0000-4000-8000-000000000000"}, 404, "agent.agent_id"),
        ("x" * 10_000, 404, "agent"),
        (7, 400, "agent"),
        (["a"], 400, "agent"),
        ({"agent_id": None}, 400, "agent.agent_id"),
        ({"name": "x"}, 400, "agent.name"),
        ({}, 400, "model"),
        ("", 400, "model"),
        (None, 400, "model"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/input_tokens", "/v1/responses/compact"])
def test_what_names_no_agent_is_refused_by_its_place(
    raw: Raw, path: str, named: object, status: int, param: str
) -> None:
    answer = raw.post(path, {"agent": named, "input": [{"role": "user", "content": "hi"}]})
    assert (answer.status, answer.error["param"]) == (status, param)
    assert len(answer.error["message"]) < 500


def test_a_websocket_asks_agents_too(
    server: Program, raw: Raw, recorder: Recorder, upstream: Upstream
) -> None:
    agent = raw.post("/v1/agents", {"agent_config": AGENT}).json["agent_id"]
    with RawSocket(server.port, recorder) as socket:
        socket.send({"type": "response.create", "agent": agent, "input": "hi", "store": False})
        frames = socket.until_end()
        assert text_of(frames) == "You said: hi"
        first = frames[-1]["response"]["id"]
        socket.send(
            {"type": "response.create", "agent": agent, "input": "more", "previous_response_id": first}
        )
        assert text_of(socket.until_end()) == "You said: more"
        assert [one["role"] for one in upstream.last_request()["messages"]] == [
            "system",
            "user",
            "assistant",
            "user",
        ]
        socket.send({"type": "response.create", "agent": "nobody", "input": "hi"})
        [refusal] = socket.until_end()
        assert (refusal["status"], refusal["error"]["param"]) == (404, "agent")
    assert raw.send("DELETE", f"/v1/agents/{agent}").status in (200, 204)
