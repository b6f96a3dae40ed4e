"""What servers get wrong in `/responses` streams, one by one, and what becomes of it."""

import json
from typing import Any

import pytest

from antiphon.core import errors
from antiphon.core.items import CustomToolCall, FunctionCall, Message, OutputText, Reasoning, UrlCitation
from antiphon.core.signals import ItemDone, ModelItem, ModelSignal, StepDone, SummaryDelta, TextDelta
from antiphon.core.thoughts import upstream_blob
from antiphon.core.wire import UNSET
from antiphon.core.wire import encode as encoded
from tests.wire.fake_responses import call, ended, events_of, item_events, message, reasoning
from tests.wire.reading import assert_lawful
from tests.wire.reading_responses import decoder, read, read_bytes, sse

Json = dict[str, Any]
BODY: Json = {"model": "echo", "input": [{"type": "message", "role": "user", "content": "hi"}]}


def stream_of(*items: Json, final: list[Json] | None = None, **response: Any) -> list[Json]:
    """A whole stream of these items. `final` is what the last event says the output is; all of them, if not given."""
    events: list[Json] = [{"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}]
    for at, item in enumerate(items):
        events += item_events(at, item)
    end: Json = {"status": "completed", "output": list(items) if final is None else final, **response}
    return [*events, {"type": f"response.{end['status']}", "response": end}]


def without(events: list[Json], *types: str) -> list[Json]:
    return [event for event in events if event["type"] not in types]


def items(heard: list[ModelSignal]) -> list[ModelItem]:
    assert_lawful(heard)
    return [signal.item for signal in heard if isinstance(signal, ItemDone)]


def text_of(item: ModelItem) -> str:
    assert isinstance(item, Message)
    return "".join(part.text for part in item.content if isinstance(part, OutputText))


def end_of(heard: list[ModelSignal]) -> StepDone:
    assert isinstance(heard[-1], StepDone)
    return heard[-1]


def test_a_stream_by_the_document() -> None:
    body = {**BODY, "model": "thinker", "reasoning": {"summary": "auto"}}
    heard = read(events_of(body, 1))
    thought, said = items(heard)
    assert isinstance(thought, Reasoning)
    assert [part.text for part in thought.summary] == ["I look.", "Then I speak."]
    assert upstream_blob("up", thought) == "rs_1 blob-1"
    assert text_of(said) == "You said: hi"
    usage = end_of(heard).usage
    assert usage is not None
    assert (usage.input_tokens_details.cached_tokens, usage.input_tokens_details.cache_write_tokens) == (3, 2)
    assert usage.output_tokens_details.reasoning_tokens == 4
    assert end_of(heard).service_tier == "default"


@pytest.mark.parametrize(
    "missing",
    [
        ["response.created"],
        ["response.content_part.added"],
        ["response.output_text.done", "response.content_part.done"],
        ["response.output_item.done"],
        ["response.output_item.added"],
        ["response.output_text.delta"],
        ["response.output_text.delta", "response.output_text.done", "response.content_part.done"],
        ["response.output_item.added", "response.content_part.added", "response.output_text.delta"],
        ["response.output_item.added", "response.output_item.done"],
    ],
    ids="+".join,
)
def test_events_that_are_missing_are_not_missed(missing: list[str]) -> None:
    [said] = items(read(without(stream_of(message(1, "one two three")), *missing)))
    assert text_of(said) == "one two three"


@pytest.mark.parametrize("missing", ["added", "done"])
def test_calls_survive_events_that_are_missing(missing: str) -> None:
    events = without(
        stream_of(call(1, "f", '{"a":1}'), call(2, "g", "{}")), f"response.output_item.{missing}"
    )
    first, second = items(read(events))
    assert isinstance(first, FunctionCall)
    assert isinstance(second, FunctionCall)
    assert (first.name, first.arguments, second.name, second.arguments) == ("f", '{"a":1}', "g", "{}")


def test_only_the_last_event_has_the_items() -> None:
    heard = read(stream_of(final=[reasoning(1, "hm"), message(1, "hi")]))
    assert [type(item) for item in items(heard)] == [Reasoning, Message]
    assert [signal.text for signal in heard if isinstance(signal, SummaryDelta | TextDelta)] == ["hm", "hi"]


def test_the_last_event_has_no_items() -> None:
    [said] = items(read(stream_of(message(1, "hi"), final=[])))
    assert text_of(said) == "hi"


def test_parallel_calls_may_share_an_index() -> None:
    events = stream_of(call(1, "f", '{"a":1}'), call(2, "g", '{"b":2}'))
    both = [list(item_events(0, call(1, "f", '{"a":1}'))), list(item_events(0, call(2, "g", '{"b":2}')))]
    mixed = [event for pair in zip(*both, strict=True) for event in pair]
    found = items(read([events[0], *mixed, events[-1]]))
    assert [item.arguments for item in found if isinstance(item, FunctionCall)] == ['{"a":1}', '{"b":2}']


def test_ids_that_differ_from_event_to_event() -> None:
    events = stream_of(message(1, "one two"), call(2, "f", '{"a":1}'))
    for number, event in enumerate(events):
        if "item_id" in event:
            event["item_id"] = f"other_{number}"
    said, called = items(read(events))
    assert text_of(said) == "one two"
    assert isinstance(called, FunctionCall)
    assert called.arguments == '{"a":1}'


def test_deltas_that_name_the_call_instead_of_the_item() -> None:
    events = stream_of(call(1, "f", '{"a":1}'), call(2, "g", '{"b":2}'))
    for event in events:
        if "item_id" in event:
            event["item_id"] = event["item_id"].replace("fc_", "call_")
            del event["output_index"]
    found = items(read(events))
    assert [item.arguments for item in found if isinstance(item, FunctionCall)] == ['{"a":1}', '{"b":2}']


def test_a_name_that_comes_late() -> None:
    events = without(stream_of(call(1, "f", '{"a":1}'), final=[]), "response.output_item.added")
    [called] = items(read(events))
    assert isinstance(called, FunctionCall)
    assert (called.name, called.arguments) == ("f", '{"a":1}')


def test_a_call_without_any_name_breaks_the_protocol() -> None:
    events: list[Json] = [
        {"type": "response.function_call_arguments.delta", "item_id": "x", "delta": "{}"},
        {"type": "response.completed", "response": {"status": "completed", "output": []}},
    ]
    with pytest.raises(errors.ProviderProtocolError, match="without a name"):
        read(events)


def test_calls_without_ids_get_some() -> None:
    item = {key: value for key, value in call(1, "f", "{}").items() if key not in ("call_id", "id")}
    heard = decoder().whole(encoded({"object": "response", "status": "completed", "output": [item, item]}))
    calls = [
        signal.item.call_id
        for signal in heard
        if isinstance(signal, ItemDone) and isinstance(signal.item, FunctionCall)
    ]
    assert calls == ["call_made0", "call_made1"]


@pytest.mark.parametrize("arguments", ["", None])
def test_a_call_without_arguments_has_empty_ones(arguments: str | None) -> None:
    item = {**call(1, "f", ""), "arguments": arguments}
    heard = decoder().whole(encoded({"object": "response", "status": "completed", "output": [item]}))
    assert isinstance(heard[0], ItemDone)
    assert isinstance(heard[0].item, FunctionCall)
    assert heard[0].item.arguments == "{}"


def test_arguments_as_an_object_become_text() -> None:
    item = {**call(1, "f", ""), "arguments": {"a": 1}}
    heard = decoder().whole(encoded({"object": "response", "status": "completed", "output": [item]}))
    assert isinstance(heard[0], ItemDone)
    assert isinstance(heard[0].item, FunctionCall)
    assert json.loads(heard[0].item.arguments) == {"a": 1}


def test_what_was_shown_stands_against_another_end() -> None:
    events = stream_of(message(1, "one two"))
    for event in events:
        if event["type"] == "response.output_item.done":
            event["item"] = message(1, "three")
    [said] = items(read(events))
    assert text_of(said) == "one two"


def test_reasoning_by_the_names_of_open_responses() -> None:
    place = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    events: list[Json] = [
        {"type": "response.reasoning.delta", **place, "delta": "hm "},
        {"type": "response.reasoning.delta", **place, "delta": "hm"},
        {"type": "response.reasoning.done", **place, "text": "hm hm!"},
        *stream_of(message(1, "hi"))[1:],
    ]
    found = items(read(events))
    assert isinstance(found[0], Reasoning)
    assert found[0].content is not UNSET
    assert [part.text for part in found[0].content] == ["hm hm!"]
    assert text_of(found[1]) == "hi"


def test_several_thoughts_of_one_item_become_one() -> None:
    parts = [{"type": "reasoning_text", "text": text} for text in ["one, ", "two"]]
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "content": parts}
    [thought, _] = items(read(stream_of(final=[item, message(1, "hi")])))
    assert isinstance(thought, Reasoning)
    assert thought.content is not UNSET
    assert [part.text for part in thought.content] == ["one, two"]


def test_blobs_are_kept_only_where_they_are_of_use() -> None:
    heard = read(stream_of(reasoning(1, "hm"), message(1, "hi")), decoder(keeps_blobs=False))
    assert isinstance(items(heard)[0], Reasoning)
    assert b"blob" not in encoded(items(heard)[0])


def test_a_summary_and_a_text_are_not_both_shown() -> None:
    item = {**reasoning(1, "short"), "content": [{"type": "reasoning_text", "text": "long"}]}
    [thought, _] = items(read(stream_of(item, message(1, "hi"))))
    assert isinstance(thought, Reasoning)
    assert [part.text for part in thought.summary] == ["short"]
    assert thought.content is UNSET


def test_annotations_of_the_second_part_move() -> None:
    note = {"type": "url_citation", "url": "u", "title": "t", "start_index": 1, "end_index": 2}
    strange = {"type": "of the future", "start_index": 1}
    parts: list[Json] = [
        {"type": "output_text", "text": "four", "annotations": []},
        {"type": "output_text", "text": "more", "annotations": [note, strange, 7]},
    ]
    [said] = items(read(stream_of(final=[message(1, "", content=parts)])))
    assert isinstance(said, Message)
    assert isinstance(said.content, list)
    [part] = said.content
    assert isinstance(part, OutputText)
    assert part.annotations == [UrlCitation(url="u", title="t", start_index=5, end_index=6)]


def test_a_function_that_stands_for_a_custom_tool_is_translated_back() -> None:
    heard = read(stream_of(call(1, "patch", '{"input":"a\\nb"}')), decoder(frozenset({"patch"})))
    assert items(heard) == [CustomToolCall(call_id="call_1", name="patch", input="a\nb")]


def test_receipts_of_the_servers_own_tools_are_skipped() -> None:
    receipt = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    events = stream_of(message(1, "hi"), final=[receipt, message(1, "hi")])
    events.insert(1, {"type": "response.output_item.added", "output_index": 0, "item": receipt})
    events.insert(2, {"type": "response.web_search_call.searching", "item_id": "ws_1"})
    [said] = items(read(events))
    assert text_of(said) == "hi"


def test_a_tool_that_waits_for_the_client_is_an_error() -> None:
    asked = {"type": "mcp_approval_request", "id": "mcpr_1", "name": "rm", "server_label": "x"}
    with pytest.raises(errors.ProviderProtocolError, match="mcp_approval_request"):
        read(stream_of(final=[asked]))


@pytest.mark.parametrize(
    "event", [{"type": "response.of.the.future", "delta": {"a": 1}}, {"type": "keepalive"}, {}]
)
def test_unknown_events_are_skipped(event: Json) -> None:
    events = stream_of(message(1, "hi"))
    [said] = items(read([*events[:3], event, *events[3:]]))
    assert text_of(said) == "hi"


@pytest.mark.parametrize("named", [True, False])
def test_a_done_marker_is_as_good_as_an_end(named: bool) -> None:
    raw = sse(stream_of(message(1, "hi"))[:-1], named=named, done=True)
    heard = read_bytes(raw)
    assert text_of(items(heard)[0]) == "hi"
    assert end_of(heard) == StepDone("stop", None, None)


def test_a_stream_without_an_end_was_cut_off() -> None:
    with pytest.raises(errors.ProviderProtocolError, match="before its response was complete"):
        read(stream_of(message(1, "hi"))[:-1])


@pytest.mark.parametrize(
    ("status", "reason", "finish"),
    [
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "length", "length"),
        ("incomplete", None, "length"),
        ("incomplete", "content_filter", "content_filter"),
    ],
)
@pytest.mark.parametrize("event", ["response.incomplete", "response.completed"])
def test_why_it_was_cut(event: str, status: str, reason: str | None, finish: str) -> None:
    events = stream_of(message(1, "hi"))
    details = {"reason": reason} if reason else None
    events[-1] = {"type": event, "response": {"status": status, "incomplete_details": details}}
    assert end_of(read(events)).finish == finish


def test_an_answer_at_its_limit_was_cut_where_the_server_does_not_say_so() -> None:
    events = stream_of(message(1, "hi"), usage={"input_tokens": 3, "output_tokens": 16})
    assert end_of(read(events, decoder(limit=16))).finish == "length"
    assert end_of(read(events, decoder(limit=17))).finish == "stop"
    assert end_of(read(events)).finish == "stop"


def test_an_empty_answer_is_an_empty_message() -> None:
    [said] = items(read(stream_of()))
    assert text_of(said) == ""


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}, errors.ProviderRateLimited),
        ({"type": "error", "error": {"code": "server_error", "message": "oh"}}, errors.ProviderUnavailable),
        ({"error": {"code": 400, "message": "no", "type": "invalid_request_error"}}, errors.ProviderRejected),
        (
            {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "oh"}}},
            errors.ProviderUnavailable,
        ),
        (
            {
                "type": "response.failed",
                "response": {"status": "failed", "error": {"code": "invalid_image_url", "message": "no"}},
            },
            errors.ProviderRejected,
        ),
        ({"type": "response.failed", "response": {"status": "failed"}}, errors.ProviderUnavailable),
        ({"type": "response.cancelled", "response": {"status": "cancelled"}}, errors.ProviderUnavailable),
    ],
)
def test_errors_in_a_stream(event: Json, kind: type[errors.ProviderError]) -> None:
    reader = decoder()
    events = stream_of(message(1, "hi"))[:-1]
    with pytest.raises(kind):
        read([*events, event], reader)


def test_what_came_before_an_error_is_heard() -> None:
    reader = decoder()
    payloads = [json.dumps(event).encode() for event in stream_of(message(1, "hi there"))[:-1]]
    heard = reader.feed([*payloads, b'{"type":"error","message":"oh"}', *payloads])
    assert [signal.text for signal in heard if isinstance(signal, TextDelta)] == ["hi ", "there"]
    assert isinstance(reader.failure, errors.ProviderUnavailable)


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"text"', b"\xff", b"[" * 5000])
def test_what_is_no_event_breaks_the_protocol(raw: bytes) -> None:
    with pytest.raises(errors.ProviderProtocolError):
        read_bytes(b"data: " + raw + b"\n\n")


def test_a_whole_answer() -> None:
    body = {**BODY, "model": "thinker"}
    output = [reasoning(1), message(1, "hi")]
    heard = decoder().whole(encoded(ended(body, 1, output)))
    assert [type(signal) for signal in heard] == [ItemDone, ItemDone, StepDone]
    first = heard[0]
    assert isinstance(first, ItemDone)
    assert isinstance(first.item, Reasoning)
    assert upstream_blob("up", first.item) == "rs_1 blob-1"
    assert end_of(heard).usage is not None


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"choices": []}, errors.ProviderProtocolError),
        ({"object": "response"}, errors.ProviderProtocolError),
        ({"error": {"message": "slow", "code": 429}}, errors.ProviderRateLimited),
        (
            {"status": "failed", "error": {"code": "server_error", "message": "oh"}},
            errors.ProviderUnavailable,
        ),
        ({"status": "queued", "output": []}, errors.ProviderUnavailable),
    ],
)
def test_whole_answers_that_are_none(body: Json, kind: type[errors.ProviderError]) -> None:
    with pytest.raises(kind):
        decoder().whole(encoded(body))
