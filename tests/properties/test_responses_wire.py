"""Whatever a responses upstream streams, and however it breaks the document: the signals keep their contract, and what
our clients see of them is a lawful stream.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from antiphon.core.errors import ProviderProtocolError
from antiphon.core.items import CustomToolCall, FunctionCall, Message, OutputText, Reasoning, Refusal
from antiphon.core.signals import ItemDone, ModelItem, ModelSignal, StepDone
from antiphon.core.wire import UNSET
from tests.properties.scripts import CUSTOM_TOOL, TOOL_NAMES, Player, Script, requests
from tests.properties.test_loop import PROPERTIES
from tests.wire.fake_responses import item_events
from tests.wire.reading import assert_lawful
from tests.wire.reading_responses import decoder, read_bytes, sse

Json = dict[str, Any]
texts = st.text(max_size=8)


@dataclass(frozen=True)
class Answer:
    """An answer of an upstream: its items, whether their events interleave, and the places where reads end."""

    items: list[Json]
    interleaved: bool = False
    status: str = "completed"
    cuts: tuple[int, ...] = ()


def _parts(said: list[tuple[str, str]]) -> list[Json]:
    return [
        {"type": "refusal", "refusal": text}
        if kind == "refusal"
        else {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        for kind, text in said
    ]


def _named(items: list[Json]) -> list[Json]:
    """The items with ids of their own."""
    return [
        {**item, "id": f"item_{at}", **({"call_id": f"call_{at}"} if "name" in item else {})}
        for at, item in enumerate(items)
    ]


messages = st.lists(st.tuples(st.sampled_from(["text", "text", "refusal"]), texts), max_size=3).map(
    lambda said: {"type": "message", "role": "assistant", "status": "completed", "content": _parts(said)}
)
summaries = st.lists(texts, max_size=3).map(
    lambda parts: {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in parts],
        "encrypted_content": "blob",
    }
)
thoughts = st.lists(texts, max_size=3).map(
    lambda parts: {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": text} for text in parts],
    }
)


def _call(name: str, text: str) -> Json:
    return {"type": "function_call", "name": name, "arguments": text}


calls = st.builds(_call, st.sampled_from(TOOL_NAMES), texts)
customs = texts.map(lambda text: {"type": "custom_tool_call", "name": CUSTOM_TOOL, "input": text})
answers = st.builds(
    Answer,
    st.lists(st.one_of(messages, summaries, thoughts, calls, customs), max_size=4).map(_named),
    st.booleans(),
    st.sampled_from(["completed", "completed", "incomplete"]),
    st.lists(st.integers(0, 4000), max_size=6).map(tuple),
)

Events = list[Json]


def _without(*endings: str) -> Callable[[Events], Events]:
    return lambda events: [one for one in events if not one["type"].endswith(endings)]


def _without_key(key: str) -> Callable[[Events], Events]:
    return lambda events: [{name: value for name, value in one.items() if name != key} for one in events]


def _foreign_ids(events: Events) -> Events:
    return [{**one, "item_id": f"x{at}"} if "item_id" in one else one for at, one in enumerate(events)]


def _shared_index(events: Events) -> Events:
    return [{**one, "output_index": 0} if "output_index" in one else one for one in events]


def _no_final_items(events: Events) -> Events:
    last = events[-1]
    return [*events[:-1], {**last, "response": {**last["response"], "output": []}}]


def _older_reasoning_names(events: Events) -> Events:
    return [{**one, "type": one["type"].replace("reasoning_text", "reasoning")} for one in events]


MISTAKES: dict[str, Callable[[Events], Events]] = {
    "none": lambda events: events,
    "no added": _without("output_item.added"),
    "no parts": _without("part.added", "part.done"),
    "no text done": _without("text.done", "refusal.done", "arguments.done", "input.done"),
    "no item done": _without("output_item.done"),
    "no deltas": _without(".delta"),
    "only the end": lambda events: events[-1:],
    "no final items": _no_final_items,
    "shared index": _shared_index,
    "no index": _without_key("output_index"),
    "no part index": _without_key("content_index"),
    "older names": _older_reasoning_names,
    "foreign ids": _foreign_ids,
    "no ids": _without_key("item_id"),
}
LOSSLESS = [name for name in MISTAKES if name not in {"foreign ids", "no ids"}]
"""Those after which every text can still be told; without ids, interleaved texts of one kind cannot."""


NAMELESS = {"no added", "no item done", "no final items"}
"""Together they leave the call of a custom tool without its name, which is an error."""


def stream_of(answer: Answer, *mistakes: str) -> bytes:
    streams = [list(item_events(at, item)) for at, item in enumerate(answer.items)]
    events = _interleaved(streams) if answer.interleaved else [one for stream in streams for one in stream]
    end = {"status": answer.status, "output": answer.items}
    events.append({"type": f"response.{answer.status}", "response": end})
    for mistake in mistakes:
        events = MISTAKES[mistake](events)
    return sse(events)


def _interleaved(streams: list[Events]) -> Events:
    longest = max((len(stream) for stream in streams), default=0)
    return [stream[at] for at in range(longest) for stream in streams if at < len(stream)]


def read(answer: Answer, *mistakes: str) -> list[ModelSignal]:
    raw = stream_of(answer, *mistakes)
    return read_bytes(raw, [min(cut, len(raw)) for cut in answer.cuts])


def said(item: ModelItem) -> tuple[str, str]:
    """Kind and text of one of our items."""
    match item:
        case Message(content=content):
            texts_ = [part.text for part in content if isinstance(part, OutputText)]
            refusals = [part.refusal for part in content if isinstance(part, Refusal)]
            return "message", "".join([*texts_, "|", *refusals])
        case Reasoning(summary=summary, content=content):
            thought = [part.text for part in content] if content is not UNSET else []
            return "reasoning", "".join([*(part.text for part in summary), *thought])
        case FunctionCall(arguments=text):
            return "function_call", text
        case CustomToolCall(input=text):
            return "custom_tool_call", text


def meant(item: Json) -> tuple[str, str]:
    """The same of an upstream's item."""
    match item["type"]:
        case "message":
            texts_ = [part["text"] for part in item["content"] if part["type"] == "output_text"]
            refusals = [part["refusal"] for part in item["content"] if part["type"] == "refusal"]
            return "message", "".join([*texts_, "|", *refusals])
        case "reasoning":
            return "reasoning", "".join(part["text"] for part in [*item["summary"], *item.get("content", [])])
        case "function_call":
            return "function_call", item["arguments"] or "{}"
        case _:
            return "custom_tool_call", item["input"]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers, st.sampled_from(LOSSLESS))
def test_no_text_is_lost(answer: Answer, mistake: str) -> None:
    event(f"{mistake}, {'interleaved' if answer.interleaved else 'in order'}")
    if mistake in {"no index", "shared index", "no added"} and answer.interleaved:
        answer = replace(answer, interleaved=False)
    heard = read(answer, mistake)
    assert_lawful(heard)
    found = sorted(said(one.item) for one in heard if isinstance(one, ItemDone))
    wanted = sorted(meant(item) for item in answer.items)
    if mistake == "no final items" or (wanted and mistake != "none"):
        # An item of which nothing was said is not missed where the events were broken.
        found, wanted = (
            [one for one in found if one[1] not in ("", "|")],
            [one for one in wanted if one[1] not in ("", "|")],
        )
    assert found == wanted or (not wanted and found in ([], [("message", "|")]))


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers, st.lists(st.sampled_from(sorted(MISTAKES)), max_size=4))
def test_signals_are_lawful_whatever_is_wrong(answer: Answer, mistakes: list[str]) -> None:
    event(f"mistakes: {len(set(mistakes))}")
    try:
        heard = read(answer, *mistakes)
    except ProviderProtocolError:
        if set(mistakes) >= NAMELESS:
            return
        raise
    assert_lawful(heard)
    end = heard[-1]
    assert isinstance(end, StepDone)
    event(f"end: {end.finish}")
    if answer.status == "incomplete":
        assert end.finish == "length"


@settings(max_examples=300, deadline=None)
@given(answers)
def test_the_pieces_in_which_it_comes_change_nothing(answer: Answer) -> None:
    assert read(answer) == read(replace(answer, cuts=()))


class WirePlayer(Player):
    """Takes what an upstream streams through the loop and the writer."""

    answers: list[Answer]
    mistakes: list[str]

    def heard(self, step: int) -> list[ModelSignal]:
        return read(self.answers[min(step, len(self.answers) - 1)], *self.mistakes)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    requests,
    st.lists(answers, min_size=1, max_size=4),
    st.lists(st.sampled_from(sorted(MISTAKES)), max_size=2),
)
def test_what_clients_see_is_lawful(request: Any, given_: list[Answer], mistakes: list[str]) -> None:
    player = WirePlayer(Script(request, [], streamed=True))
    player.answers, player.mistakes = given_, mistakes
    played = player.play()
    event(f"model calls: {min(len(played.calls), 4)}")
    for holds in PROPERTIES:
        assert holds(played), holds.__name__


@settings(max_examples=300, deadline=None)
@given(answers)
def test_whole_answers_say_what_streams_say(answer: Answer) -> None:
    body = {"object": "response", "status": answer.status, "output": answer.items}
    whole = decoder().whole(json.dumps(body).encode())
    assert all(isinstance(one, ItemDone | StepDone) for one in whole)
    streamed = [
        one for one in read(replace(answer, interleaved=False)) if isinstance(one, ItemDone | StepDone)
    ]
    assert whole == streamed


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_each_mistake_changes_the_stream(mistake: str) -> None:
    """A mistake that makes none would prove nothing."""
    part = {"type": "reasoning_text", "text": "hm hm"}
    thought = {"type": "reasoning", "summary": [], "content": [part]}
    said_ = {"type": "message", "content": _parts([("text", "one two"), ("text", "three")])}
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    answer = Answer(_named([thought, said_, call]))
    assert (stream_of(answer, mistake) == stream_of(answer)) == (mistake == "none")
