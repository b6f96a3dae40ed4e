"""Chunks gathered into completions: what a stream says is what the whole answer says."""

from typing import Any

import pytest

from antiphon.chat.gathering import GatheredCompletion

HEAD: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 7,
    "model": "m",
    "service_tier": None,
    "system_fingerprint": "fp",
}


def gathered(*choices: dict[str, Any], **more: Any) -> GatheredCompletion:
    """A stream with one choice in each chunk, and a last chunk with `more`."""
    completion = GatheredCompletion()
    for choice in choices:
        completion.add(
            {**HEAD, "choices": [{"index": 0, "finish_reason": None, **choice}], "obfuscation": "x"}
        )
    completion.add({**HEAD, "choices": [], "usage": None, **more})
    return completion


def delta(**fields: Any) -> dict[str, Any]:
    return {"delta": fields}


END: dict[str, Any] = {"delta": {}, "finish_reason": "stop"}


def test_text_is_joined_and_the_head_kept() -> None:
    parts = [delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"), END]
    completion = gathered(*parts, usage={"total_tokens": 3}, service_tier="default")
    assert completion.complete
    assert completion.body() == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "system_fingerprint": "fp",
        "service_tier": "default",
        "usage": {"total_tokens": 3},
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = gathered(*parts, END).body()["choices"][0]["message"]
    return found


def test_calls_are_joined_by_their_index_in_any_order_of_pieces() -> None:
    def call(index: int, **fields: Any) -> dict[str, Any]:
        return delta(tool_calls=[{"index": index, **fields}])

    found = message(
        delta(role="assistant", content=""),
        call(1, id="b", type="function", function={"name": "g", "arguments": '{"x"'}),
        call(0, id="a", type="function", function={"name": "f", "arguments": ""}),
        call(1, id="b", function={"name": "g", "arguments": ":1}"}),  # some servers name it in each piece
        call(0, function={"arguments": "{}"}),
    )
    assert found == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "g", "arguments": '{"x":1}'}},
        ],
    }


def test_refusals_reasoning_and_what_has_no_name_here_are_joined_too() -> None:
    found = message(
        delta(role="assistant", content="", refusal="I will ", reasoning_content="Let me"),
        delta(refusal="not.", reasoning_content=" think."),
        delta(annotations=[{"type": "url_citation"}], audio={"id": "a", "data": "AA", "expires_at": 1}),
        delta(annotations=[{"type": "file_citation"}], audio={"id": "a", "data": "BB", "expires_at": 2}),
    )
    assert found == {
        "role": "assistant",
        "content": None,
        "refusal": "I will not.",
        "reasoning_content": "Let me think.",
        "annotations": [{"type": "url_citation"}, {"type": "file_citation"}],
        "audio": {"id": "a", "data": "AABB", "expires_at": 2},
    }


def test_log_probabilities_are_added_up() -> None:
    head: dict[str, Any] = {"logprob": -0.5, "bytes": None, "top_logprobs": []}
    tokens = [{"token": one, **head} for one in "ab"]
    parts = [
        {**delta(content=one["token"]), "logprobs": {"content": [one], "refusal": None}} for one in tokens
    ]
    choice = gathered(*parts, END).body()["choices"][0]
    assert choice["logprobs"] == {"content": tokens, "refusal": None}


def test_several_choices_are_told_apart() -> None:
    parts = [
        {"index": at, **delta(content=text)}
        for at, text in ((1, "b"), (0, "a"), (1, "B"), (0, "A"), (2, "c"))
    ]
    completion = gathered(*parts, {**END, "index": 1}, {**END, "index": 0})
    assert not completion.complete
    completion.add({**HEAD, "choices": [{"index": 2, "delta": {}, "finish_reason": "length"}]})
    assert completion.complete
    choices = completion.body()["choices"]
    assert [(one["index"], one["message"]["content"]) for one in choices] == [(0, "aA"), (1, "bB"), (2, "c")]
    assert [one["finish_reason"] for one in choices] == ["stop", "stop", "length"]


@pytest.mark.parametrize(
    "odd", [{}, {"choices": None}, {"choices": 7}, {"choices": [None, 3]}, {"choices": [{"delta": "x"}]}]
)
def test_odd_chunks_do_no_harm_and_are_no_completion(odd: dict[str, Any]) -> None:
    completion = GatheredCompletion()
    completion.add(odd)
    assert not completion.complete
