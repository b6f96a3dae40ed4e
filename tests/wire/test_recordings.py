"""Do we read what real servers sent? Every recording, whole and in every kind of pieces."""

import json
import random
from typing import Any

import pytest

from antiphon.core.errors import ProviderError
from antiphon.providers.chat_shapes import FINISH_REASONS
from antiphon.providers.refusals import Redaction, refusal
from tests.wire.reading import Ours, Raw, assert_lawful, read, read_stream
from tests.wire.recordings import Recording, load, params

ALL = load()
CHAT = [one for one in ALL if one.is_chat and one.response is not None]
STREAMED = [one for one in CHAT if one.stream]
WHOLE = [one for one in CHAT if not one.stream]


@pytest.mark.parametrize("recording", params(CHAT))
def test_what_the_upstream_said_is_what_the_items_hold(recording: Recording) -> None:
    raw, ours = Raw.of(recording), Ours.of(read(recording))
    assert ours.refusal == raw.refusal
    assert ours.thought == raw.reasoning
    assert ours.tokens == raw.tokens
    if raw.text.strip() or not raw.calls:
        assert ours.text == raw.text
    else:
        assert ours.messages == []
    wanted = [(call["id"], call["name"], call["arguments"] or "{}") for _, call in sorted(raw.calls.items())]
    assert [(call.call_id, call.name, call.arguments) for call in ours.calls] == wanted
    for call in ours.calls:
        json.loads(call.arguments)


@pytest.mark.parametrize("recording", params(CHAT))
def test_usage_and_finish_reason_are_kept(recording: Recording) -> None:
    raw, ours = Raw.of(recording), Ours.of(read(recording))
    if raw.usage is None:
        assert ours.end.usage is None
    else:
        assert ours.end.usage is not None
        assert ours.end.usage.input_tokens == raw.usage["prompt_tokens"]
        assert ours.end.usage.output_tokens == raw.usage["completion_tokens"]
        assert ours.end.usage.total_tokens == raw.usage["total_tokens"]
        details: dict[str, Any] = raw.usage.get("completion_tokens_details") or {}
        assert ours.end.usage.output_tokens_details.reasoning_tokens == (details.get("reasoning_tokens") or 0)
    assert raw.finish in FINISH_REASONS
    assert ours.end.finish == ("tool_calls" if raw.calls else FINISH_REASONS[raw.finish])


@pytest.mark.parametrize("recording", params(STREAMED))
def test_a_stream_keeps_the_contract_of_signals(recording: Recording) -> None:
    assert_lawful(read(recording))


@pytest.mark.parametrize("recording", params(STREAMED))
def test_the_network_may_cut_a_stream_anywhere(recording: Recording) -> None:
    chance = random.Random(recording.name)
    expected = read_stream(recording.sse())
    for newline in (b"\n", b"\r\n", b"\r"):
        raw = recording.sse(newline)
        for pieces in (2, 7, 60):
            cuts = [chance.randrange(len(raw)) for _ in range(pieces)]
            assert read_stream(raw, cuts) == expected, (newline, cuts)


def test_the_shortest_stream_can_be_cut_at_every_byte() -> None:
    if not STREAMED:
        pytest.skip("no recordings")
    raw = min((one.sse() for one in STREAMED), key=len)
    expected = read_stream(raw)
    assert read_stream(raw, range(1, len(raw))) == expected
    for cut in range(1, len(raw)):
        assert read_stream(raw, [cut]) == expected


@pytest.mark.parametrize("recording", params(STREAMED))
def test_the_same_answer_in_one_piece_gives_the_same_items(recording: Recording) -> None:
    raw = Raw.of(recording)
    message = {
        "content": raw.text or None,
        "refusal": raw.refusal or None,
        "reasoning": raw.reasoning or None,
        "tool_calls": [
            {"id": call["id"], "function": {"name": call["name"], "arguments": call["arguments"]}}
            for _, call in sorted(raw.calls.items())
        ],
    }
    choice = {"index": 0, "message": message, "finish_reason": raw.finish}
    whole = Recording("", "", "", {}, stream=False, response={"choices": [choice], "usage": raw.usage})
    ours, theirs = Ours.of(read(recording)), Ours.of(read(whole))
    assert (ours.text, ours.thought, ours.refusal, ours.calls) == (
        theirs.text,
        theirs.thought,
        theirs.refusal,
        theirs.calls,
    )
    assert (ours.end.finish, ours.end.usage) == (theirs.end.finish, theirs.end.usage)


def test_the_recordings_hold_the_quirks_that_we_claim_to_read() -> None:
    if not ALL:
        pytest.skip("no recordings")
    chunks = [(one, chunk) for one in STREAMED for chunk in one.chunks]
    deltas: list[dict[str, Any]] = [choice["delta"] for _, chunk in chunks for choice in chunk["choices"]]
    assert any(not chunk["choices"] and not chunk.get("usage") for _, chunk in chunks)
    assert any(delta.get("content") is None for delta in deltas)
    assert any(delta.get("reasoning") for delta in deltas)
    fragments: list[dict[str, Any]] = []
    for delta in deltas:
        fragments += delta.get("tool_calls") or []
    assert any(call["id"] is None for call in fragments)
    assert any(call["function"]["arguments"] is None for call in fragments)
    assert any(call["function"]["name"] == "" for call in fragments)
    made: list[dict[str, Any]] = []
    for one in WHOLE:
        made += one.response["choices"][0]["message"]["tool_calls"] or []
    assert any("index" not in call for call in made)


@pytest.mark.parametrize("recording", params(STREAMED))
def test_a_stream_that_stops_short_is_an_error_and_never_an_answer(recording: Recording) -> None:
    raw = recording.sse()
    at = next(
        at for at, chunk in enumerate(recording.chunks) if any(c["finish_reason"] for c in chunk["choices"])
    )
    cut = b"\n\n".join(raw.split(b"\n\n")[:at]) + (b"\n\n" if at else b"")
    with pytest.raises(ProviderError, match="without a finish reason"):
        read_stream(cut)


def test_a_refusal_without_a_body_has_a_meaning_too() -> None:
    error = refusal("p", 400, b"", Redaction())
    assert error.status == 400
    assert error.message == 'provider "p" rejected the request.'
