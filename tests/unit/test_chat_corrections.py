"""What an upstream answers to a completion is repaired where that is possible, and never breaks the server."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.chat.corrections import StreamCorrections, corrected_body
from antiphon.core.json_values import is_object

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3)
ODD: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "delta", "tool_calls", "index", "id", "model"]), inner
        )
    ),
    max_leaves=12,
)


@given(ODD.filter(is_object))
def test_any_object_gets_through(answer: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    assert json.loads(corrected_body(body, "mine", "theirs"))["model"] == "mine"
    corrections = StreamCorrections("mine", "theirs")
    passed = corrections.feed(b"data: " + body + b"\n\n") + corrections.finish()
    assert passed.startswith(b"data: {")
    assert passed.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'"x"', b"", b'{"\xff": 1}', b'{"a":' + b"[" * 100_000])
def test_what_is_no_object_is_told_apart(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        corrected_body(body, "mine", "theirs")


def test_a_broken_event_passes_as_it_came() -> None:
    corrections = StreamCorrections("mine", "theirs")
    for event in (b'data: {"a": \xff}\n\n', b"data: {" + b'"a":{' * 100_000 + b"\n\n", b"data: {x\n\n"):
        assert corrections.feed(event) == event


CHUNK = b'data: {"model":"mine","choices":[]}\n\n'


@pytest.mark.parametrize("done", [b"", b"data: [DONE]\n\n", b"data: [DONE]\n", b"data: [DONE]"])
@pytest.mark.parametrize("cut", range(1, 20))
def test_a_stream_ends_with_one_marker_or_with_none(done: bytes, cut: int) -> None:
    """However the upstream ended it, and wherever the reads were cut."""
    for marked, owed in ((True, b"data: [DONE]\n\n"), (False, b"")):
        corrections = StreamCorrections("mine", "mine", done_marker=marked)
        sent = CHUNK + done
        passed = corrections.feed(sent[:-cut]) + corrections.feed(sent[-cut:]) + corrections.finish()
        assert passed == CHUNK + owed
