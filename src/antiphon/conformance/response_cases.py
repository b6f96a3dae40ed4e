"""The cases of `POST /v1/responses`: answers, streams, tools, and what the model is given.

The prompts ask a real model for as little as will do, and tools are forced where the answer must be a call.
"""

import json
from typing import Any, cast

import msgspec

from antiphon.conformance.server import Server, calls_of, child, expect, text_of
from antiphon.conformance.shapes import event_violation, response_violation
from antiphon.conformance.stream import Json

WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city now",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CLOCK: Json = {
    "type": "function",
    "name": "get_clock",
    "description": "The time of a city now",
    "strict": True,
    "parameters": WEATHER["parameters"],
}
PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
CITY_SCHEMA: Json = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
HELLO = "Say hello in three words."
ASK_WEATHER = "What is the weather in Oslo?"
MAX_TOKENS = 16  # the least that OpenAI takes


class City(msgspec.Struct, forbid_unknown_fields=True):
    """What fits CITY_SCHEMA."""

    city: str
    people: int


def message(role: str, content: Any) -> Json:
    return {"type": "message", "role": role, "content": content}


def _speaks(response: Json) -> None:
    expect(text_of(response).strip(), "the response has no text")


def basic(server: Server) -> None:
    response = server.completed(input=HELLO)
    _speaks(response)
    usage = response.get("usage")
    expect(usage, "a completed response has no usage")
    whole = cast("Json", usage)
    total = whole["input_tokens"] + whole["output_tokens"]
    expect(whole["total_tokens"] == total, f"usage adds up to {total}, says {whole['total_tokens']}")
    ids = [item.get("id") for item in response["output"]]
    expect(all(ids) and len(set(ids)) == len(ids), f"each output item needs an id of its own: {ids}")


def shape(server: Server) -> None:
    _is_response(server.create(input=HELLO, metadata={"case": "shape"}))


def stream_shape(server: Server) -> None:
    wrong = event_violation(server.framed(input=HELLO))
    expect(wrong is None, str(wrong))


def _is_response(response: Json) -> None:
    wrong = response_violation(response)
    expect(wrong is None, f"the response: {wrong}")


def parts(server: Server) -> None:
    _speaks(server.completed(input=[message("user", [{"type": "input_text", "text": HELLO}])]))


def easy_message(server: Server) -> None:
    _speaks(server.completed(input=[{"role": "user", "content": HELLO}]))


def stream(server: Server) -> None:
    events = server.events(input=HELLO)
    _speaks(server.final(events))
    deltas = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    expect(deltas, "the text came without a response.output_text.delta")


def stream_numbers(server: Server) -> None:
    """`sequence_number` counts the events from 0: clients resume a stream by it."""
    numbers = [event.get("sequence_number") for event in server.framed(input=HELLO)]
    wrong = next((at for at, number in enumerate(numbers) if number != at), None)
    expect(wrong is None, f"event {wrong} has the sequence number {numbers[wrong or 0]}")


def stream_usage(server: Server) -> None:
    """Clients read the usage of a stream from its last event."""
    expect(server.final(server.framed(input=HELLO)).get("usage"), "response.completed has no usage")


def instructions(server: Server) -> None:
    said = "You are a pirate. Answer as one."
    response = server.completed(input="Say hello.", instructions=said)
    found = response.get("instructions")
    expect(found == said, f"`instructions` come back as {found!r}")


def system_message(server: Server) -> None:
    _speaks(server.completed(input=[message("system", "You are a pirate."), message("user", "Say hello.")]))


def developer_message(server: Server) -> None:
    _speaks(
        server.completed(input=[message("developer", "You are a pirate."), message("user", "Say hello.")])
    )


def multi_turn(server: Server) -> None:
    answer: list[Json] = [{"type": "output_text", "text": "Hello Ada, how can I help?", "annotations": []}]
    turns = [message("user", "My name is Ada."), message("assistant", answer), message("user", "My name?")]
    _speaks(server.completed(input=turns))


def output_as_input(server: Server) -> None:
    """What came out can be sent back as it is, as clients that keep the conversation themselves do."""
    first = server.completed(input=HELLO)
    turns = [message("user", HELLO), *first["output"], message("user", "And again.")]
    _speaks(server.completed(input=turns, store=False))


def max_output_tokens(server: Server) -> None:
    words = "Count from 1 to 200 in words, one after the other, and say nothing else."
    response = server.create(input=words, max_output_tokens=MAX_TOKENS)
    used = child(response, "usage").get("output_tokens", 0)
    expect(used <= MAX_TOKENS, f"max_output_tokens is {MAX_TOKENS}, the response used {used}")
    if response.get("status") != "completed":
        expect(response.get("status") == "incomplete", f"the status is {response.get('status')}")
        reason = child(response, "incomplete_details").get("reason")
        expect(reason == "max_output_tokens", f"incomplete_details.reason is {reason!r}")


def echoes(server: Server) -> None:
    sent: Json = {"temperature": 0.5, "metadata": {"case": "echo"}, "parallel_tool_calls": False}
    response = server.create(optional=True, input=HELLO, **sent)
    for name, value in sent.items():
        found = response.get(name)
        expect(found == value, f"`{name}` was sent as {value!r} and comes back as {found!r}")


def json_schema(server: Server) -> None:
    wanted = {"type": "json_schema", "name": "city", "schema": CITY_SCHEMA, "strict": True}
    words = "Name a big city and how many people live there, as JSON."
    text = text_of(server.completed(input=words, text={"format": wanted}))
    try:
        msgspec.json.decode(text, type=City)
    except (msgspec.DecodeError, RecursionError) as error:
        expect(condition=False, words=f"the text does not fit the schema: {error}: {text[:200]}")


def json_object(server: Server) -> None:
    words = "Name a big city in a JSON object with the key city."
    text = text_of(server.completed(optional=True, input=words, text={"format": {"type": "json_object"}}))
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    expect(isinstance(value, dict), f"the text is no JSON object: {text[:200]}")


def image(server: Server) -> None:
    picture = {"type": "input_image", "image_url": PIXEL, "detail": "low"}
    ask = {"type": "input_text", "text": "What is in this picture? One sentence."}
    _speaks(server.completed(optional=True, input=[message("user", [ask, picture])]))


def logprobs(server: Server) -> None:
    asked = ["message.output_text.logprobs"]
    response = server.completed(optional=True, input=HELLO, include=asked, top_logprobs=2)
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    found: list[Json] = [one for part in parts for one in part.get("logprobs") or ()]
    expect(found, "the log probabilities that `include` asks for are not there")
    expect(all(one.get("logprob", 1) <= 0 for one in found), "a log probability is above 0")
    tops = [len(one.get("top_logprobs") or ()) for one in found]
    expect(max(tops) == 2, f"top_logprobs is 2, the tokens have {max(tops)}")


def reasoning_effort(server: Server) -> None:
    response = server.completed(optional=True, input=HELLO, reasoning={"effort": "low"})
    effort = child(response, "reasoning").get("effort")
    expect(effort == "low", f"reasoning.effort was sent as low and comes back as {effort!r}")


def _one_call(response: Json, name: str) -> Json:
    calls = calls_of(response)
    expect(calls, "the tool was required and is not called")
    call = calls[0]
    expect(call["name"] == name, f"the call is of {call['name']}, asked for was {name}")
    expect(call["call_id"], "the call has no call_id")
    try:
        arguments = json.loads(call["arguments"])
    except ValueError:
        arguments = None
    expect(isinstance(arguments, dict), f"the arguments are no JSON object: {call['arguments'][:200]}")
    expect("city" in cast("Json", arguments), f"the arguments lack the required `city`: {arguments}")
    return call


def tool_call(server: Server) -> None:
    response = server.completed(input=ASK_WEATHER, tools=[WEATHER], tool_choice="required")
    _one_call(response, "get_weather")
    expect(response.get("tools"), "`tools` do not come back")


def tool_shape(server: Server) -> None:
    asked: Json = {"input": ASK_WEATHER, "tools": [WEATHER], "tool_choice": "required"}
    _is_response(server.create(**asked))
    wrong = event_violation(server.framed(**asked))
    expect(wrong is None, str(wrong))


def tool_call_stream(server: Server) -> None:
    events = server.framed(input=ASK_WEATHER, tools=[WEATHER], tool_choice="required")
    call = _one_call(server.final(events), "get_weather")
    stem = "response.function_call_arguments"
    deltas = "".join(event["delta"] for event in events if event["type"] == f"{stem}.delta")
    expect(deltas == call["arguments"], f"the deltas of the arguments say {deltas!r}")
    expect(any(event["type"] == f"{stem}.done" for event in events), f"there is no {stem}.done")


def tool_stream_order(server: Server) -> None:
    events = server.events(input=ASK_WEATHER, tools=[WEATHER], tool_choice="required")
    _one_call(server.final(events), "get_weather")


def tool_named(server: Server) -> None:
    choice = {"type": "function", "name": "get_clock"}
    response = server.completed(input=ASK_WEATHER, tools=[WEATHER, CLOCK], tool_choice=choice)
    _one_call(response, "get_clock")


def tool_none(server: Server) -> None:
    response = server.completed(input=ASK_WEATHER, tools=[WEATHER], tool_choice="none")
    expect(not calls_of(response), "tool_choice is none and a tool is called")
    _speaks(response)


def tool_custom(server: Server) -> None:
    """A custom tool takes text instead of JSON."""
    tool = {"type": "custom", "name": "write_note", "description": "Keeps a note, which is any text."}
    response = server.completed(
        optional=True, input="Keep the note: buy milk.", tools=[tool], tool_choice="required"
    )
    calls = [item for item in response["output"] if item["type"] == "custom_tool_call"]
    expect(calls, "the custom tool was required and is not called")
    expect(calls[0].get("call_id"), "the call has no call_id")
    found = calls[0].get("input")
    expect(isinstance(found, str) and found, f"the input of the call is {found!r}, not a text")


def tool_result(server: Server) -> None:
    call: Json = {"type": "function_call", "call_id": "call_1", "name": "get_weather"}
    turns = [
        message("user", ASK_WEATHER),
        {**call, "arguments": '{"city":"Oslo"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "21 degrees, clear"},
    ]
    _speaks(server.completed(input=turns, tools=[WEATHER], tool_choice="none"))


def tool_round_trip(server: Server) -> None:
    """The server's own call, answered with the items that it gave."""
    first = server.completed(input=ASK_WEATHER, tools=[WEATHER], tool_choice="required")
    outputs = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees, clear"}
        for call in calls_of(first)
    ]
    expect(outputs, "the tool was required and is not called")
    turns = [message("user", ASK_WEATHER), *first["output"], *outputs]
    _speaks(server.completed(input=turns, tools=[WEATHER], tool_choice="none", store=False))
