"""Whatever a completion holds, however it is cut into chunks: gathered again it is the same completion."""

from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from antiphon.chat.gathering import GatheredCompletion

Json = dict[str, Any]
TEXTS = st.text(max_size=12)
NAMES = st.text(min_size=1, max_size=4)


def _token(text: str, logprob: float) -> Json:
    return {"token": text, "logprob": logprob}


def _call(call_id: str, name: str, arguments: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


TOKENS = st.lists(st.builds(_token, TEXTS, st.floats(-9, 0)), max_size=4)
CALLS = st.lists(st.builds(_call, NAMES, NAMES, TEXTS), max_size=3)


@st.composite
def choices(draw: st.DrawFn, index: int) -> Json:
    """A choice as a whole answer has it: with a text, with calls, or with a refusal."""
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    match draw(st.sampled_from(["content", "refusal", "calls", "reasoned"])):
        case "content":
            message["content"] = draw(TEXTS)
        case "refusal":
            message["refusal"] = draw(st.text(min_size=1, max_size=12))
        case "calls":
            calls = draw(CALLS)
            message |= {"tool_calls": calls} if calls else {"content": ""}
        case _:
            message |= {"content": draw(TEXTS), "reasoning_content": draw(TEXTS)}
    tokens = draw(st.none() | TOKENS)
    logprobs = None if tokens is None else {"content": tokens, "refusal": None}
    finish = draw(st.sampled_from(["stop", "length", "tool_calls"]))
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish}


COMPLETIONS = st.integers(1, 3).flatmap(lambda n: st.tuples(*(choices(index) for index in range(n))))


def cut(draw: st.DrawFn, text: str) -> list[str]:
    """The text in pieces, some of them empty."""
    marks = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[start:end] for start, end in zip([0, *marks], [*marks, len(text)], strict=True)]


def pieces(draw: st.DrawFn, choice: Json) -> Iterator[Json]:
    """The deltas of a choice, in an order that is legal: the role first, the reason last."""
    message, logprobs = choice["message"], choice["logprobs"]
    yield {"delta": {"role": "assistant", "content": ""}}
    for name in ("reasoning_content", "content", "refusal"):
        if message.get(name) is not None:
            yield from ({"delta": {name: piece}} for piece in cut(draw, message[name]))
    calls: Sequence[Json] = message.get("tool_calls", ())
    for at, call in enumerate(calls):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield {"delta": {"tool_calls": [{"index": at, **call, "function": function}]}}
        for piece in cut(draw, call["function"]["arguments"]):
            yield {"delta": {"tool_calls": [{"index": at, "function": {"arguments": piece}}]}}
    if logprobs is not None:
        yield {"delta": {}, "logprobs": {"content": [], "refusal": None}}
        for token in logprobs["content"]:
            yield {"delta": {}, "logprobs": {"content": [token], "refusal": None}}
    yield {"delta": {}, "finish_reason": choice["finish_reason"]}


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Json], list[Json]]:
    """A completion's choices, and chunks in which those of several choices are mixed."""
    whole = list(draw(COMPLETIONS))
    waiting = [list(pieces(draw, choice)) for choice in whole]
    chunks: list[Json] = []
    while any(waiting):
        at = draw(st.sampled_from([index for index, left in enumerate(waiting) if left]))
        one = {"index": at, "finish_reason": None, "logprobs": None, **waiting[at].pop(0)}
        chunks.append(
            {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [one]}
        )
    return whole, chunks


@given(streams())
def test_a_completion_in_chunks_is_the_completion(made: tuple[list[Json], list[Json]]) -> None:
    whole, chunks = made
    gathered = GatheredCompletion()
    for chunk in chunks:
        gathered.add(chunk)
    event(f"{len(whole)} choices, calls: {any('tool_calls' in one['message'] for one in whole)}")
    assert gathered.complete
    expected = [{**one, "message": {**one["message"], "content": _content(one["message"])}} for one in whole]
    assert gathered.body() == {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": expected,
    }


def _content(message: Json) -> str | None:
    """A stream begins with an empty text: it counts as none where there are calls or a refusal."""
    if message["content"]:
        return str(message["content"])
    return None if message.get("tool_calls") or message["refusal"] else ""
