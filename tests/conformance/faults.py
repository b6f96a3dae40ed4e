"""The ways in which `WrongServer` is wrong: for each the case that finds it, and words of what the case says."""

import json
from collections.abc import Callable
from typing import Any

from antiphon.client import Answer
from tests.conformance.wrong_server import Ask, Asked, Fault, Json, edit, edit_events, json_answer

RESPONSES = "/responses"
CHAT = "/chat/completions"
Change = Callable[[Json], None]


def on_post(path: str, change: Change) -> Fault:
    """Changes each 200 of a POST that is JSON."""

    def fault(asked: Asked, ask: Ask) -> Answer:
        answer = ask()
        if asked.is_post(path) and answer.status == 200 and answer.media == "application/json":
            return edit(answer, change)
        return answer

    return fault


def on_get(start: str, change: Change) -> Fault:
    def fault(asked: Asked, ask: Ask) -> Answer:
        answer = ask()
        hit = asked.method == "GET" and asked.path.startswith(start) and answer.status == 200
        return edit(answer, change) if hit else answer

    return fault


def on_events(change: Callable[[list[Json]], list[Json]]) -> Fault:
    """Changes the events of each Responses stream."""

    def fault(asked: Asked, ask: Ask) -> Answer:
        answer = ask()
        hit = asked.is_post(RESPONSES) and answer.media == "text/event-stream"
        return edit_events(answer, change) if hit else answer

    return fault


def on_bytes(path: str, old: bytes, new: bytes) -> Fault:
    """Changes the bytes of each stream."""

    def fault(asked: Asked, ask: Ask) -> Answer:
        answer = ask()
        if asked.is_post(path) and answer.media == "text/event-stream":
            assert old in answer.body
            return Answer(200, answer.headers, answer.body.replace(old, new))
        return answer

    return fault


def on_request(path: str, change: Change) -> Fault:
    """Asks the right server something else than it was asked."""

    def fault(asked: Asked, ask: Ask) -> Answer:
        if not asked.is_post(path) or asked.body is None:
            return ask()
        change(asked.body)
        return asked.with_body(asked.body)

    return fault


def on_refusal(status: int, make: Callable[[Answer], Answer]) -> Fault:
    """Changes each refusal of this status."""

    def fault(asked: Asked, ask: Ask) -> Answer:
        answer = ask()
        return make(answer) if answer.status == status else answer

    return fault


def refusing(path: str, mark: str, status: int = 500) -> Fault:
    """Fails every request whose body has `mark` in it."""

    def fault(asked: Asked, ask: Ask) -> Answer:
        if asked.is_post(path) and mark in asked.raw.decode():
            error = {"message": "no", "type": "server_error", "param": None, "code": None}
            return json_answer(status, {"error": error})
        return ask()

    return fault


def put(**values: Any) -> Change:
    def change(body: Json) -> None:
        body.update(values)

    return change


def without(*names: str) -> Change:
    def change(body: Json) -> None:
        for name in names:
            body.pop(name, None)

    return change


def silent(body: Json) -> None:
    """A response whose messages are empty."""
    for item in body["output"]:
        for part in item.get("content", []):
            part["text"] = ""


def bad_arguments(body: Json) -> None:
    for item in body["output"]:
        if item["type"] == "function_call":
            item["arguments"] = "Oslo, I think"


def bare_parts(body: Json) -> None:
    for item in body["output"]:
        for part in item.get("content", []):
            del part["annotations"]


def no_total(body: Json) -> None:
    del body["usage"]["total_tokens"]


def no_input(body: Json) -> None:
    for item in body["output"]:
        if item["type"] == "custom_tool_call":
            item["input"] = ""


def other_call_id(body: Json) -> None:
    for item in body["output"]:
        if item["type"] == "function_call":
            item["call_id"] = ""


def same_ids(body: Json) -> None:
    body["output"] = body["output"] * 2


def wrong_total(body: Json) -> None:
    body["usage"]["total_tokens"] += 1


def reason_length(body: Json) -> None:
    if body["incomplete_details"]:
        body["incomplete_details"] = {"reason": "length"}


def no_usage_in_last(events: list[Json]) -> list[Json]:
    events[-1]["response"]["usage"] = None
    return events


def missing(kind: str) -> Fault:
    return on_events(lambda events: [event for event in events if event["type"] != kind])


def first_lost_delta(events: list[Json]) -> list[Json]:
    at = next(at for at, event in enumerate(events) if event["type"] == "response.output_text.delta")
    return events[:at] + events[at + 1 :]


def bare_error(answer: Answer) -> Answer:
    """As FastAPI writes one."""
    return json_answer(answer.status, {"detail": "Not Found"})


def nameless(answer: Answer) -> Answer:
    return edit(answer, lambda body: body["error"].update(param=None))


def codeless(answer: Answer) -> Answer:
    return edit(answer, lambda body: body["error"].pop("code"))


def wordless(answer: Answer) -> Answer:
    return edit(answer, lambda body: body["error"].update(message=""))


def with_status(status: int) -> Callable[[Answer], Answer]:
    return lambda answer: Answer(status, answer.headers, answer.body)


def as_page(answer: Answer) -> Answer:
    return Answer(answer.status, {"content-type": "text/html"}, b"<h1>Not Found</h1>")


def as_stream(answer: Answer) -> Answer:
    body = b'event: error\ndata: {"type":"error","sequence_number":0,"message":"no"}\n\n'
    return Answer(200, {"content-type": "text/event-stream"}, body)


def keeps_deleted(asked: Asked, ask: Ask) -> Answer:
    if asked.method == "DELETE":
        return json_answer(200, {"id": asked.path.rpartition("/")[2], "object": "response", "deleted": True})
    return ask()


def forgets_the_name(asked: Asked, ask: Ask) -> Answer:
    """Chat chunks without the `type` of a call's first piece."""
    answer = ask()
    if asked.is_post(CHAT) and answer.media == "text/event-stream":
        return Answer(200, answer.headers, answer.body.replace(b'"type":"function",', b""))
    return answer


def twice(body: Json) -> None:
    body["data"] = body["data"] * 2


def forced(body: Json) -> None:
    if "tools" in body:
        body["tool_choice"] = "required"


def no_text(body: Json) -> None:
    body["choices"][0]["message"]["content"] = None


def bad_chat_arguments(body: Json) -> None:
    for call in body["choices"][0]["message"].get("tool_calls") or ():
        call["function"]["arguments"] = "Oslo"


def stored_without_text(body: Json) -> None:
    body["choices"][0]["message"]["content"] = ""


def stored_text_differs(body: Json) -> None:
    if body.get("object") == "response":
        body["output"][0]["content"][0]["text"] = "something else"


EXTRA_EVENT = json.dumps({"type": "response.ping", "sequence_number": 0})

FAULTS: tuple[tuple[str, str, Fault], ...] = (
    ("models.list", "a model is listed twice", on_get("/models", twice)),
    ("models.list", "GET /models: ", on_get("/models", put(object="models"))),
    ("models.retrieve", "answered with the model other", on_get("/models/", put(id="other"))),
    ("models.unknown", "answered 500, expected 404", on_refusal(404, with_status(500))),
    ("responses.basic", "usage adds up to", on_post(RESPONSES, wrong_total)),
    ("responses.shape", "missing required field `created_at`", on_post(RESPONSES, without("created_at"))),
    ("responses.basic", "an id of its own", on_post(RESPONSES, same_ids)),
    ("responses.basic", "the status is in_progress", on_post(RESPONSES, put(status="in_progress"))),
    ("responses.basic", "`output` is str, not an array", on_post(RESPONSES, put(output="Hello"))),
    ("responses.shape", "required field `annotations`", on_post(RESPONSES, bare_parts)),
    ("responses.shape", "required field `total_tokens`", on_post(RESPONSES, no_total)),
    ("responses.parts", "no text", on_post(RESPONSES, silent)),
    ("responses.easy_message", "answered 500: no", refusing(RESPONSES, '"role"')),
    ("responses.stream", "begins with response.in_progress", missing("response.created")),
    ("responses.stream", "no terminal event", missing("response.completed")),
    ("responses.stream", "where no item is open", missing("response.output_item.added")),
    ("responses.stream", "which is not open", missing("response.content_part.added")),
    ("responses.stream", "part 0 is still open", missing("response.content_part.done")),
    ("responses.stream", "items [0] are open", missing("response.output_item.done")),
    ("responses.stream", "not the sum of its deltas", on_events(first_lost_delta)),
    ("responses.stream_numbers", "has the sequence number 9", on_bytes(RESPONSES, b'number":3}', b'number":9}')),
    ("responses.stream", "one event line and one data line", on_bytes(RESPONSES, b"event: response.created\n", b"")),
    ("responses.stream", "over type", on_bytes(RESPONSES, b"event: response.created\n", b"event: created\n")),
    ("responses.stream_shape", "event response.out.delta", on_bytes(RESPONSES, b"output_text.delta", b"out.delta")),
    ("responses.stream", "no JSON object", on_bytes(RESPONSES, b'data: {"type":"response.created"', b"data: {")),
    ("responses.stream", "lacks 'output_index'", on_bytes(RESPONSES, b'"output_index":0,', b"")),
    ("responses.stream_usage", "ends with response.output_item.done", missing("response.completed")),
    ("responses.stream_usage", "has no usage", on_events(no_usage_in_last)),
    ("responses.instructions", "come back as None", on_post(RESPONSES, put(instructions=None))),
    ("responses.system_message", "answered 500", refusing(RESPONSES, '"system"')),
    ("responses.developer_message", "answered 400", refusing(RESPONSES, '"developer"', 400)),
    ("responses.multi_turn", "answered 500", refusing(RESPONSES, '"assistant"')),
    ("responses.output_as_input", "answered 400", refusing(RESPONSES, '"status"', 400)),
    ("responses.max_output_tokens", "incomplete_details", on_post(RESPONSES, reason_length)),
    ("responses.max_output_tokens", "the response used", on_request(RESPONSES, without("max_output_tokens"))),
    ("responses.echo", "`metadata` was sent as", on_post(RESPONSES, put(metadata={}))),
    ("responses.json_schema", "does not fit the schema", on_request(RESPONSES, without("text"))),
    ("responses.json_object", "no JSON object", on_request(RESPONSES, without("text"))),
    ("responses.image", "answered 500", refusing(RESPONSES, "input_image")),
    ("responses.logprobs", "are not there", on_request(RESPONSES, without("include", "top_logprobs"))),
    ("responses.logprobs", "the tokens have 1", on_request(RESPONSES, put(top_logprobs=1))),
    ("responses.reasoning_effort", "comes back as None", on_post(RESPONSES, put(reasoning=None))),
    ("tools.call", "the tool was required and is not called", on_request(RESPONSES, without("tools", "tool_choice"))),
    ("tools.call", "no JSON object", on_post(RESPONSES, bad_arguments)),
    ("tools.shape", "missing required field `name`", on_bytes(RESPONSES, b'"name":"get_weather",', b"")),
    ("tools.call_stream", "the deltas of the arguments say ''", missing("response.function_call_arguments.delta")),
    ("tools.call_stream", "there is no", missing("response.function_call_arguments.done")),
    ("tools.stream_order", "not the sum of its deltas", missing("response.function_call_arguments.delta")),
    ("tools.stream_order", "out of turn", on_bytes(RESPONSES, b'"output_index":0', b'"output_index":1')),
    ("tools.named", "the call is of get_weather", on_request(RESPONSES, forced)),
    ("tools.none", "a tool is called", on_request(RESPONSES, forced)),
    ("tools.custom", "required and is not called", on_request(RESPONSES, without("tools", "tool_choice"))),
    ("tools.custom", "the input of the call is ''", on_post(RESPONSES, no_input)),
    ("tools.result", "answered 500", refusing(RESPONSES, "function_call_output")),
    ("tools.round_trip", "call_id", on_post(RESPONSES, other_call_id)),
    ("state.retrieve", "is stored as", on_get("/responses/", put(output=[]))),
    ("state.retrieve", "is stored as 'resp_x'", on_get("/responses/", put(id="resp_x"))),
    ("state.retrieve_streamed", "not the one that was streamed", on_get("/responses/", stored_text_differs)),
    ("state.previous_response", "comes back as None", on_post(RESPONSES, put(previous_response_id=None))),
    ("state.chained_tool", "answered 500", refusing(RESPONSES, "previous_response_id")),
    ("state.store_false", "can be retrieved", on_request(RESPONSES, put(store=True))),
    ("state.input_items", "first_id is not", on_get("/responses/", put(first_id="item_x"))),
    ("state.delete", "answered 200, expected 404", keeps_deleted),
    ("state.unknown", "not under the key `error`", on_refusal(404, bare_error)),
    ("state.unknown_previous", "`param` is None", on_refusal(400, nameless)),
    ("errors.envelope", "missing required field `code`", on_refusal(400, codeless)),
    ("errors.envelope", "`error.message` is ''", on_refusal(400, wordless)),
    ("errors.bad_json", "answered 500", on_refusal(400, with_status(500))),
    ("errors.wrong_type", "`param` is None", on_refusal(400, nameless)),
    ("errors.out_of_range", "answered 200", on_request(RESPONSES, without("temperature"))),
    ("errors.wrong_item", "answered 422", on_refusal(400, with_status(422))),
    ("errors.unknown_model", "not under the key `error`", on_refusal(404, bare_error)),
    ("errors.unknown_model_stream", "answered 200", on_refusal(404, as_stream)),
    ("errors.output_without_call", "answered 500", on_refusal(400, with_status(500))),
    ("errors.unknown_route", "content-type 'text/html'", on_refusal(404, as_page)),
    ("chat.basic", "has no text", on_post(CHAT, no_text)),
    ("chat.basic", "missing required field `created`", on_post(CHAT, without("created"))),
    ("chat.stream", "[DONE]", on_bytes(CHAT, b"data: [DONE]\n\n", b"")),
    ("chat.stream", "a chunk: ", on_bytes(CHAT, b'"chat.completion.chunk"', b'"chunk"')),
    ("chat.stream", "expected one: stop", on_bytes(CHAT, b'"stop"', b'"tool_calls"')),
    ("chat.stream_usage", "has no usage", on_request(CHAT, without("stream_options"))),
    ("chat.tool_call", "no JSON object", on_post(CHAT, bad_chat_arguments)),
    ("chat.tool_call_stream", "no type: function", forgets_the_name),
    ("chat.tool_result", "answered 500", refusing(CHAT, '"tool_call_id"')),
    ("chat.stored", "`choices` was", on_get(f"{CHAT}/", put(choices=[]))),
    ("chat.stored", "is not listed", on_get(f"{CHAT}?", put(data=[]))),
    ("chat.stored_stream", "is stored as", on_get(f"{CHAT}/", stored_without_text)),
    ("chat.stored_delete", "answered 200, expected 404", keeps_deleted),
    ("chat.wrong_type", "`param` is None", on_refusal(400, nameless)),
    ("chat.unknown_model", "answered 500", on_refusal(404, with_status(500))),
)  # fmt: skip
"""Name of the case, words of its finding, and the fault."""
