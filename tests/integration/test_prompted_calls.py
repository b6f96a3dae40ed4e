"""Tools over a model server that knows text alone, with the official client."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import openai
import pytest

import antiphon
from antiphon.in_process.server import EmbeddedServer
from tests.integration.llama_server import write_model
from tests.integration.texting import BROKEN, Texting

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
RESULTS = ["18 °C", "24 °C"]


@pytest.fixture(scope="module")
def texting() -> Iterator[Texting]:
    with Texting() as running:
        yield running


@pytest.fixture(scope="module")
def server(texting: Texting) -> Iterator[EmbeddedServer]:
    config = {"base_url": texting.url, "wire": "chat"}
    kind = "remote::openai-compatible"
    told = {**config, "capabilities": {"tool_calls": "prompted"}}
    providers = [
        {"provider_id": "told", "provider_type": kind, "config": told},
        {"provider_id": "plain", "provider_type": kind, "config": config},
    ]
    with antiphon.embedded({"version": 2, "providers": {"inference": providers}}, temporary=True) as running:
        yield running


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[openai.OpenAI]:
    with server.client(max_retries=0) as made:
        yield made


def ask(client: openai.OpenAI, *, streamed: bool = False, **fields: Any) -> tuple[Any, list[Any]]:
    """The final response, and the events of a streamed one."""
    if not streamed:
        return cast("Any", client.responses.create(**fields)), []
    events: list[Any] = list(client.responses.create(stream=True, **fields))
    last: Any = events[-1]
    return last.response, events


@pytest.mark.parametrize("streamed", [False, True])
def test_calls_are_made_and_answered(client: openai.OpenAI, texting: Texting, streamed: bool) -> None:
    first, events = ask(client, streamed=streamed, model="told/texting", input="Weather?", tools=[WEATHER])
    assert first.status == "completed"
    assert [item.type for item in first.output] == ["message", "function_call", "function_call"]
    assert first.output_text == "One moment."
    calls = first.output[1:]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "Rome é"}]
    assert calls[0].call_id != calls[1].call_id
    assert (first.usage.input_tokens, first.usage.output_tokens) == (11, 7)
    deltas = [one for one in events if one.type == "response.output_text.delta"]
    assert "".join(one.delta for one in deltas) == ("One moment." if streamed else "")
    assert len(deltas) != 1
    outputs = [
        {"type": "function_call_output", "call_id": call.call_id, "output": output}
        for call, output in zip(calls, RESULTS, strict=True)
    ]
    second, _ = ask(
        client,
        streamed=streamed,
        model="told/texting",
        input=outputs,
        previous_response_id=first.id,
        tools=[WEATHER],
    )
    assert second.output_text.startswith('It says: <result function="weather">\n18 °C\n</result>')
    roles = [(one["role"], one["content"]) for one in texting.last_request()["messages"]]
    assert [role for role, _ in roles] == ["system", "user", "assistant", "user"]
    assert roles[2][1].startswith('One moment.\n\n{"type": "function", "name": "weather"')


def test_no_tools_may_be_called_and_earlier_calls_are_still_words(client: openai.OpenAI) -> None:
    first, _ = ask(client, model="told/texting", input="Weather?", tools=[WEATHER])
    output = [
        {"type": "function_call_output", "call_id": call.call_id, "output": "18"} for call in first.output[1:]
    ]
    asked: list[dict[str, Any]] = [{}, {"tools": [WEATHER], "tool_choice": "none"}]
    for fields in asked:
        last, _ = ask(client, model="told/texting", input=output, previous_response_id=first.id, **fields)
        assert last.output_text.startswith("It says: <result")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_cannot_be_read_is_the_answer(client: openai.OpenAI, streamed: bool) -> None:
    final, _ = ask(client, streamed=streamed, model="told/broken", input="Weather?", tools=[WEATHER])
    assert final.output_text == BROKEN
    assert [item.type for item in final.output] == ["message"]


def test_a_format_beside_tools_is_asked_for_and_checked(client: openai.OpenAI, texting: Texting) -> None:
    schema = {"type": "object", "required": ["city"]}
    text: Any = {"format": {"type": "json_schema", "name": "place", "schema": schema}}
    final, _ = ask(client, model="told/formatted", input="Where?", tools=[WEATHER], text=text)
    assert json.loads(final.output_text) == {"city": "Paris"}
    assert "response_format" not in texting.last_request()


def test_a_custom_tool_is_called_in_words(client: openai.OpenAI) -> None:
    custom: Any = {"type": "custom", "name": "weather"}
    final, _ = ask(client, streamed=True, model="told/texting", input="Weather?", tools=[custom])
    calls = [item for item in final.output if item.type == "custom_tool_call"]
    assert [call.input for call in calls] == ["Paris", "Rome é"]


# --- chat completions -----------------------------------------------------------------------------------------
CHAT_TOOL: Any = {
    "type": "function",
    "function": {key: WEATHER[key] for key in ("name", "description", "parameters")},
}
WEATHER_CALLS = [("weather", {"city": "Paris"}), ("weather", {"city": "Rome é"})]


def test_chat_completions_have_calls_too(client: openai.OpenAI, texting: Texting) -> None:
    messages: list[Any] = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Weather?"}]
    first = client.chat.completions.create(
        model="told/texting", messages=messages, tools=[CHAT_TOOL]
    ).choices[0]
    assert (first.finish_reason, first.message.content) == ("tool_calls", "One moment.")
    calls: list[Any] = list(first.message.tool_calls or ())
    assert [(one.function.name, json.loads(one.function.arguments)) for one in calls] == WEATHER_CALLS
    messages.append(first.message.to_dict())
    messages += [{"role": "tool", "tool_call_id": one.id, "content": "18"} for one in calls]
    second = client.chat.completions.create(model="told/texting", messages=messages, tools=[CHAT_TOOL])
    assert second.choices[0].finish_reason == "stop"
    assert (second.choices[0].message.content or "").startswith("It says: <result")
    system, _, said, results = texting.last_request()["messages"]
    assert system["content"].startswith("Be kind.\n\nYou can call functions.")
    assert said["content"].startswith('One moment.\n\n{"type": "function"')
    assert results["role"] == "user"
    assert results["content"].count("<result") == 2


def test_a_chat_stream_has_calls_too(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="told/texting",
        messages=[{"role": "user", "content": "Weather?"}],
        tools=[CHAT_TOOL],
        stream_options={"include_usage": True},
    ) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    choice = final.choices[0]
    assert "".join(deltas) == choice.message.content == "One moment."
    assert len(deltas) > 1
    assert choice.finish_reason == "tool_calls"
    calls: list[Any] = list(choice.message.tool_calls or ())
    assert [(one.function.name, json.loads(one.function.arguments)) for one in calls] == WEATHER_CALLS
    assert final.usage is not None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tools": [{"type": "retrieval"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {"name": 5}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "custom", "custom": {"name": "c", "format": 5}}]}, "tools[0].custom.format"),
        ({"tool_choice": "always"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": "weather"}}, "tool_choice.function"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": 5}}},
            "tool_choice.allowed_tools.tools",
        ),
        ({"tool_choice": {"type": "weather"}}, "tool_choice"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": 5}]}]},
            "messages[0].tool_calls[0].function",
        ),
    ],
)
def test_what_cannot_be_said_in_words_in_chat_is_refused(
    client: openai.OpenAI, texting: Texting, fields: dict[str, Any], param: str
) -> None:
    before = len(texting.seen.requests)
    body = {
        "model": "told/texting",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [CHAT_TOOL],
        **fields,
    }
    with pytest.raises(openai.BadRequestError) as caught:
        post(client, "/chat/completions", body)
    assert caught.value.param == param
    assert len(texting.seen.requests) == before


def test_chat_without_tools_passes_as_it_is(client: openai.OpenAI, texting: Texting) -> None:
    messages: list[Any] = [{"role": "user", "content": "Hi"}]
    final = client.chat.completions.create(model="told/texting", messages=messages)
    assert final.choices[0].message.content == "You said: Hi"
    assert texting.last_request()["messages"] == messages


def test_the_real_engine_is_told_in_words(tmp_path: Path) -> None:
    """Its weights are chance, so what it says is too; that it is shown the tools as text is seen by its prompt."""
    pytest.importorskip("xllamacpp", reason="no xllamacpp wheel here: the local engine is not tested")
    write_model(tmp_path / "tiny.gguf")
    model = {"tiny": {"path": str(tmp_path / "tiny.gguf"), "threads": 1, "context": 4096}}
    counts: dict[str, int] = {}
    for way in ("native", "prompted"):
        config = {"models": model, "capabilities": {"tool_calls": way}}
        local = {"provider_id": "local", "provider_type": "inline::llama-cpp", "config": config}
        settings = {"version": 2, "providers": {"inference": [local]}}
        with antiphon.embedded(settings, temporary=True) as running, running.client(max_retries=0) as client:
            asked: Any = {"model": "tiny", "input": "Weather?", "tools": [WEATHER], "max_output_tokens": 16}
            if way == "prompted":
                final = cast("Any", client.responses.create(**asked, temperature=0))
                assert final.status in ("completed", "incomplete")
            counts[way] = client.responses.input_tokens.count(
                model="tiny", input="Weather?", tools=[WEATHER]
            ).input_tokens
    assert counts["prompted"] > counts["native"] + 500  # a token is a letter or two in this model


# --- agents ---------------------------------------------------------------------------------------------------
FORMS = ("json", "function_tag", "python_list")


def post(client: openai.OpenAI, path: str, body: Any) -> Any:
    return client.post(path, body=body, cast_to=object)


@pytest.mark.parametrize("form", FORMS)
def test_an_agent_names_the_form_of_its_calls(client: openai.OpenAI, texting: Texting, form: str) -> None:
    tool = {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": [{"name": "city", "parameter_type": "string", "description": "Where."}],
    }
    config = {
        "model": "plain/texting",
        "instructions": "Be kind.",
        "client_tools": [tool],
        "tool_config": {"tool_prompt_format": form},
    }
    agent = post(client, "/agents", {"agent_config": config})["agent_id"]
    session = post(client, f"/agents/{agent}/session", {"session_name": "s"})["session_id"]
    turns = f"/agents/{agent}/session/{session}/turn"
    turn = post(client, turns, {"messages": [{"role": "user", "content": "Weather?"}], "stream": False})
    message = turn["output_message"]
    assert [call["arguments"] for call in message["tool_calls"]] == [{"city": "Paris"}, {"city": "Rome é"}]
    assert message["stop_reason"] == "end_of_message"
    responses = [
        {"call_id": call["call_id"], "tool_name": "weather", "content": result}
        for call, result in zip(message["tool_calls"], RESULTS, strict=True)
    ]
    done = post(client, f"{turns}/{turn['turn_id']}/resume", {"tool_responses": responses, "stream": False})
    assert done["output_message"]["content"].startswith("It says: <result")
    assert done["output_message"]["stop_reason"] == "end_of_turn"
    system, _, said, _ = texting.last_request()["messages"]
    assert system["content"].startswith("Be kind.\n\nYou can call functions.")
    assert said["role"] == "assistant"
    begins = {"json": '{"type"', "function_tag": "<function=weather>", "python_list": "[weather(city="}
    assert said["content"].startswith(f"One moment.\n\n{begins[form]}")


def test_an_agent_whose_instructions_stand_alone(client: openai.OpenAI, texting: Texting) -> None:
    tool = {"name": "weather", "description": "Tells the weather."}
    config = {
        "model": "plain/texting",
        "instructions": "Functions: {{function_definitions}} To call: [name_of_a_function(…)]",
        "client_tools": [tool],
        "tool_config": {"tool_prompt_format": "python_list", "system_message_behavior": "replace"},
    }
    agent = post(client, "/agents", {"agent_config": config})["agent_id"]
    session = post(client, f"/agents/{agent}/session", {"session_name": "s"})["session_id"]
    body = {"messages": [{"role": "user", "content": "Weather?"}], "stream": False}
    turn = post(client, f"/agents/{agent}/session/{session}/turn", body)
    assert [call["tool_name"] for call in turn["output_message"]["tool_calls"]] == ["weather", "weather"]
    system = texting.last_request()["messages"][0]["content"]
    assert system.startswith('Functions: [\n{"name":"weather","description":"Tells the weather."')
    assert system.endswith("] To call: [name_of_a_function(…)]")
