"""Chat chunks of every odd shape, and the signals that they become."""

import json
from typing import Any

import pytest

from antiphon.core import errors
from antiphon.core.items import FunctionCall, Message, OutputText, Refusal, UrlCitation
from antiphon.core.signals import ItemDone, ItemStarted, ModelItem, ModelSignal, StepDone, TextDelta
from antiphon.providers.chat_shapes import BROKEN_REASONS, FINISH_REASONS
from antiphon.providers.chat_stream import ChatDecoder
from antiphon.providers.refusals import Redaction


def decoder() -> ChatDecoder:
    made = iter(range(100))
    return ChatDecoder("p", lambda: f"call_made{next(made)}", Redaction())


def hear(*deltas: dict[str, Any], finish: str | None = "stop", done: bool = True) -> list[ModelSignal]:
    reader = decoder()
    out: list[ModelSignal] = []
    for delta in deltas:
        out += reader.feed([json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode()])
    if finish is not None:
        out += reader.feed([json.dumps({"choices": [{"delta": {}, "finish_reason": finish}]}).encode()])
    return out + reader.finish(done=done)


def items(heard: list[ModelSignal]) -> list[ModelItem]:
    found = {one.slot: one.item for one in heard if isinstance(one, ItemDone)}
    return [found[slot] for slot in sorted(found)]


def said(text: str) -> Message:
    return Message(role="assistant", content=[OutputText(text=text)])


def fragment(**fields: Any) -> dict[str, Any]:
    return {"tool_calls": [fields]}


def function(name: str | None = None, arguments: Any = None) -> dict[str, Any]:
    return {"name": name, "arguments": arguments}


def made_call(name: str, arguments: str, call_id: str) -> FunctionCall:
    return FunctionCall(call_id=call_id, name=name, arguments=arguments)


def test_interleaved_parallel_calls_keep_apart() -> None:
    heard = hear(
        fragment(index=0, id="a", function=function("f", "{")),
        fragment(index=1, id="b", function=function("g", "[")),
        fragment(index=0, function=function(None, "}")),
        fragment(index=1, function=function(None, "]")),
    )
    assert items(heard) == [made_call("f", "{}", "a"), made_call("g", "[]", "b")]


@pytest.mark.parametrize(("sent", "second"), [("a", "call_made0"), ("b" * 513, "call_made0"), ("b", "b")])
def test_ids_that_are_taken_or_too_long_are_replaced(sent: str, second: str) -> None:
    heard = hear(
        fragment(index=0, id="a", function=function("f", "{}")),
        fragment(index=1, id=sent, function=function("g", "[]")),
    )
    assert items(heard) == [made_call("f", "{}", "a"), made_call("g", "[]", second)]


def test_fragments_without_an_index_follow_their_id_or_the_last_call() -> None:
    heard = hear(
        fragment(id="a", function=function("f", "{")),
        fragment(function=function(None, "}")),
        fragment(id="b", function=function("g", "1")),
        fragment(id="b", function=function(None, "2")),
    )
    assert items(heard) == [made_call("f", "{}", "a"), made_call("g", "12", "b")]


def test_parallel_calls_that_are_all_numbered_0_are_told_apart_by_id() -> None:
    heard = hear(
        fragment(index=0, id="a", function=function("f", "{}")),
        fragment(index=0, id="b", function=function("f", "{}")),
    )
    assert items(heard) == [made_call("f", "{}", "a"), made_call("f", "{}", "b")]


def test_a_name_that_comes_after_the_arguments_loses_nothing() -> None:
    heard = hear(
        fragment(index=0, id="a", function=function(None, '{"x"')),
        fragment(index=0, function=function("f", ":1}")),
    )
    assert items(heard) == [made_call("f", '{"x":1}', "a")]


def test_a_call_without_a_name_is_a_protocol_error() -> None:
    with pytest.raises(errors.ProviderProtocolError, match="without a name"):
        hear(fragment(index=0, id="a", function=function(None, "{}")))


@pytest.mark.parametrize("arguments", [None, "", {}])
def test_no_arguments_are_an_empty_object(arguments: Any) -> None:
    heard = hear(fragment(index=0, id="a", function=function("f", arguments)))
    assert items(heard) == [made_call("f", "{}", "a")]


def test_the_old_function_call_is_a_call() -> None:
    heard = hear(
        {"function_call": function("f", "{")}, {"function_call": function(None, "}")}, finish="function_call"
    )
    assert items(heard) == [made_call("f", "{}", "call_made0")]
    assert heard[-1] == StepDone("tool_calls")


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_is_an_item_before_the_message_and_closed_when_text_begins(field: str) -> None:
    heard = hear({field: "think"}, {"content": ""}, {"content": "\n"}, {"content": "say"})
    kinds = [type(one).__name__ for one in heard]
    assert kinds == [
        "ItemStarted",
        "ReasoningDelta",
        "ItemDone",
        "ItemStarted",
        "TextDelta",
        "TextDelta",
        "ItemDone",
        "StepDone",
    ]
    assert items(heard)[1] == said("\nsay")


def test_detailed_and_listed_reasoning_is_read_too() -> None:
    detailed = hear({"reasoning_details": [{"type": "reasoning.text", "text": "a"}]}, {"content": "b"})
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "a"}]}
    listed = hear({"content": [thinking, {"type": "text", "text": "b"}]})
    assert items(detailed) == items(listed)
    assert len(items(listed)) == 2


def test_white_space_beside_calls_is_no_message() -> None:
    call = fragment(index=0, id="a", function=function("f", "{}"))
    assert items(hear({"content": "\n\n"}, call, {"content": "\n"})) == [made_call("f", "{}", "a")]


def test_white_space_alone_is_an_answer() -> None:
    assert items(hear({"content": " "})) == [said(" ")]


def test_an_empty_answer_is_an_empty_message() -> None:
    assert items(hear({"content": ""})) == [said("")]


def test_text_after_a_call_is_a_message_of_its_own() -> None:
    call = fragment(index=0, id="a", function=function("f", "{}"))
    heard = hear({"content": "one"}, call, {"content": "two"})
    assert items(heard) == [said("one"), made_call("f", "{}", "a"), said("two")]


def test_a_refusal_is_a_part_of_the_message() -> None:
    assert items(hear({"refusal": "I "}, {"refusal": "won't"})) == [
        Message(role="assistant", content=[Refusal(refusal="I won't")])
    ]


def test_log_probabilities_without_bytes_get_them_from_the_token() -> None:
    token = {"token": "é", "logprob": -0.5, "bytes": None, "top_logprobs": [{"token": "e", "logprob": None}]}
    chunk = {"choices": [{"delta": {"content": "é"}, "logprobs": {"content": [token]}}]}
    delta = decoder().feed([json.dumps(chunk).encode()])[1]
    assert isinstance(delta, TextDelta)
    assert delta.logprobs[0].bytes == [0xC3, 0xA9]
    assert delta.logprobs[0].top_logprobs[0].logprob == -9999.0


def test_tokens_of_an_unfinished_character_go_with_the_character() -> None:
    def chunk(content: str, token: str) -> bytes:
        logprobs = {"content": [{"token": token, "logprob": -1, "bytes": [1]}]}
        return json.dumps({"choices": [{"delta": {"content": content}, "logprobs": logprobs}]}).encode()

    heard = decoder().feed([chunk("", "x"), chunk("é", "y")])
    assert [one.token for delta in heard if isinstance(delta, TextDelta) for one in delta.logprobs] == [
        "x",
        "y",
    ]


def test_a_citation_becomes_an_annotation() -> None:
    note = {
        "type": "url_citation",
        "url_citation": {"url": "u", "title": "t", "start_index": 1, "end_index": 2},
    }
    message = items(hear({"content": "text"}, {"annotations": [note, {"type": "odd"}]}))[0]
    assert isinstance(message, Message)
    assert message.content == [
        OutputText(text="text", annotations=[UrlCitation(url="u", title="t", start_index=1, end_index=2)])
    ]


@pytest.mark.parametrize(
    ("theirs", "ours"), [*FINISH_REASONS.items(), ("MAX_TOKENS", "length"), ("new", "stop")]
)
def test_each_finish_reason_has_a_meaning(theirs: str, ours: str) -> None:
    end = hear({"content": "a"}, finish=theirs)[-1]
    assert end == StepDone("stop" if ours == "tool_calls" else ours)  # type: ignore[arg-type]  # from the table


def test_calls_make_a_stop_a_tool_calls_and_leave_a_length_alone() -> None:
    call = fragment(index=0, id="a", function=function("f", "{}"))
    assert hear(call, finish="stop")[-1] == StepDone("tool_calls")
    assert hear(call, finish="length")[-1] == StepDone("length")


@pytest.mark.parametrize("reason", sorted(BROKEN_REASONS))
def test_an_upstream_that_gives_up_is_an_error(reason: str) -> None:
    with pytest.raises(errors.ProviderUnavailable, match=reason):
        hear({"content": "a"}, finish=reason)


def test_a_done_marker_or_a_finish_reason_is_enough_of_an_end() -> None:
    assert hear({"content": "a"}, finish=None, done=True)[-1] == StepDone("stop")
    assert hear({"content": "a"}, finish="stop", done=False)[-1] == StepDone("stop")
    with pytest.raises(errors.ProviderProtocolError):
        hear({"content": "a"}, finish=None, done=False)


def test_the_last_usage_counts_when_every_chunk_has_one() -> None:
    reader = decoder()
    for number in (1, 2, 3):
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": number,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        reader.feed([json.dumps({"choices": [{"delta": {"content": "a"}}], "usage": usage}).encode()])
    end = reader.finish(done=True)[-1]
    assert isinstance(end, StepDone)
    assert end.usage is not None
    assert (end.usage.output_tokens, end.usage.total_tokens) == (3, 13)
    assert end.usage.input_tokens_details.cached_tokens == 4


@pytest.mark.parametrize(
    ("chunk", "error"),
    [
        (b'{"error":{"message":"boom","type":"server_error"}}', errors.ProviderUnavailable),
        (b'{"error":"boom"}', errors.ProviderUnavailable),
        (b'{"error":{"message":"boom","code":400}}', errors.ProviderRejected),
        (b'{"object":"error","message":"boom","code":400}', errors.ProviderRejected),
        (
            b'{"error":{"message":"boom: maximum context length is 8","code":400}}',
            errors.ProviderContextLength,
        ),
    ],
)
def test_an_error_object_is_that_error(chunk: bytes, error: type[errors.ProviderError]) -> None:
    with pytest.raises(error, match="boom"):
        decoder().feed([chunk])


@pytest.mark.parametrize("chunk", [b"", b"{", b"[]", b'{"choices":3}', b"\xff", b"[" * 100_000])
def test_what_is_no_chunk_is_a_protocol_error(chunk: bytes) -> None:
    with pytest.raises(errors.ProviderProtocolError):
        decoder().feed([chunk])


@pytest.mark.parametrize(
    "chunk", [b"{}", b'{"choices":null}', b'{"choices":[{}]}', b'{"choices":[{"delta":null}]}']
)
def test_an_empty_chunk_says_nothing(chunk: bytes) -> None:
    assert decoder().feed([chunk]) == []


@pytest.mark.parametrize("body", [b"{}", b'{"hello":1}', b"null", b"<html>"])
def test_an_answer_that_is_no_completion_is_a_protocol_error(body: bytes) -> None:
    with pytest.raises(errors.ProviderProtocolError):
        decoder().whole(body)


def test_a_second_choice_is_not_ours() -> None:
    reader = decoder()
    out = reader.feed(
        [b'{"choices":[{"index":1,"delta":{"content":"other"}},{"index":0,"delta":{"content":"mine"}}]}']
    )
    assert isinstance(out[0], ItemStarted)
    assert items(out + reader.finish(done=True)) == [said("mine")]


@pytest.mark.parametrize("field", ["stop_reason", "matched_stop"])
def test_the_stop_sequence_that_was_met_is_told(field: str) -> None:
    for met, told in (("END", "END"), (128001, None), (None, None)):
        choice: dict[str, Any] = {"delta": {}, "finish_reason": "stop", field: met}
        reader = decoder()
        reader.feed([json.dumps({"choices": [choice]}).encode()])
        assert reader.finish(done=True)[-1] == StepDone("stop", stop_sequence=told)
