"""Whatever was said before, a request keeps to the rules of the Messages API; whatever the API streams, the signals
keep their contract, and what clients see is a lawful stream.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from antiphon.core.commands import CallModel
from antiphon.core.errors import ProviderError
from antiphon.core.items import (
    CustomToolCall,
    CustomToolCallOutput,
    FunctionCall,
    FunctionCallOutput,
    InputText,
    Message,
    OutputText,
    Reasoning,
    Refusal,
)
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelItem, ModelSignal, StepDone
from antiphon.core.transcript import PastTurn, Transcript, TranscriptItem
from antiphon.core.wire import UNSET, encode
from antiphon.providers.messages_config import MessagesCapabilities, MessagesConfig
from antiphon.providers.messages_render import MessagesRenderer
from tests.properties.scripts import CUSTOM_TOOL, TOOL_NAMES, Player, Script, requests
from tests.properties.test_loop import PROPERTIES
from tests.wire import fake_anthropic
from tests.wire.anthropic_rules import Json, Model, Refused, check
from tests.wire.fake_anthropic import stream_of
from tests.wire.reading import assert_lawful
from tests.wire.reading_messages import decoder, items_of, read_bytes, said_of, sse

texts = st.text(max_size=8)
USAGE: Json = {"input_tokens": 5, "output_tokens": 7}

# --- what is sent ---------------------------------------------------------------------------------------------

words = st.one_of(st.sampled_from(["hi", " ", ""]), texts)
MARK: Any = {"mode": "explicit"}
kinds = st.sampled_from(
    ["user", "user", "assistant", "system", "thought", "foreign", "call", "call", "custom"]
)


@dataclass(frozen=True)
class Conversation:
    """Turns of (input, output); the last one has no output yet."""

    turns: list[tuple[list[TranscriptItem], list[TranscriptItem]]]


def _item(kind: str, text: str, number: int) -> TranscriptItem:
    match kind:
        case "user":
            mark = {"prompt_cache_breakpoint": MARK} if number % 3 == 0 else {}
            part: Json = {"type": "input_text", "text": text, **mark}
            return Message(role="user", content=[msgspec.convert(part, InputText)])
        case "assistant":
            return Message(role="assistant", content=[OutputText(text=text, annotations=[])])
        case "system":
            return Message(role="developer", content=text)
        case "thought" | "foreign":
            block = {"type": "thinking", "thinking": text, "signature": f"sig{number}"}
            maker = "up" if kind == "thought" else "other"
            return Reasoning(summary=[], encrypted_content=f"{maker}:{json.dumps(block)}")
        case "custom":
            return CustomToolCall(call_id=f"call {number}", name=CUSTOM_TOOL, input=text)
        case _:
            return FunctionCall(call_id=f"call_{number}", name="weather", arguments=text)


def _answer(call: TranscriptItem, text: str) -> TranscriptItem:
    if isinstance(call, CustomToolCall):
        return CustomToolCallOutput(call_id=call.call_id, output=text)
    assert isinstance(call, FunctionCall)
    return FunctionCallOutput(call_id=call.call_id, output=text)


def _is_call(item: TranscriptItem) -> bool:
    return isinstance(item, FunctionCall | CustomToolCall)


def _conversation(
    drawn: list[tuple[list[tuple[str, str]], list[tuple[str, str]]]], remark: bool
) -> Conversation:
    """Turns in which every call is answered: those of an input in it, those of an output in the next input."""
    number = 0
    open_calls: list[TranscriptItem] = []
    turns: list[tuple[list[TranscriptItem], list[TranscriptItem]]] = []
    for given_, made in drawn:
        input_: list[TranscriptItem] = []
        for kind, text in given_:
            number += 1
            input_.append(_item(kind, text, number))
            if _is_call(input_[-1]):
                input_.append(_answer(input_[-1], text))
        results = [_answer(call, "result") for call in open_calls]
        input_ = [*input_, *results] if remark else [*results, *input_]
        output: list[TranscriptItem] = []
        for kind, text in made:
            number += 1
            output.append(_item(kind, text, number))
        open_calls = [item for item in output if _is_call(item)]
        turns.append((input_, output))
    last = [_answer(call, "result") for call in open_calls]
    turns.append(([*last, _item("user", "and now?", 999)], []))
    return Conversation(turns)


said_by_model = st.lists(
    st.tuples(st.sampled_from(["thought", "assistant", "call", "custom"]), words), max_size=4
)
conversations = st.builds(
    _conversation,
    st.lists(st.tuples(st.lists(st.tuples(kinds, words), max_size=4), said_by_model), max_size=5),
    st.booleans(),
)
askings = st.fixed_dictionaries(
    {},
    optional={
        "instructions": words,
        "tools": st.just([{"type": "function", "name": "weather"}, {"type": "custom", "name": CUSTOM_TOOL}]),
        "reasoning": st.sampled_from(
            [
                {"effort": "low"},
                {"effort": "max", "summary": "auto"},
                {"effort": "none"},
                {"context": "current_turn"},
            ]
        ),
        "max_output_tokens": st.sampled_from([16, 1024, 5000]),
        "temperature": st.sampled_from([0.5, 1]),
        "top_k": st.sampled_from([-1, 0, 5]),
        "parallel_tool_calls": st.booleans(),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "stop": st.sampled_from(["END", "\n"]),
        "text": st.just({"format": {"type": "json_object"}}),
        "prompt_cache_options": st.sampled_from([{"mode": "explicit"}, {"ttl": "30m"}]),
    },
)
thinkings = st.sampled_from(["adaptive", "budget", "none"])


def rendered(conversation: Conversation, asking: Json, thinking: Any) -> Json:
    """The body of a lenient provider, which asks for whatever can be asked."""
    if not asking.get("tools"):
        asking = {key: value for key, value in asking.items() if key != "tool_choice"}
    request = ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", **asking}).encode())
    *past, (now, _) = conversation.turns
    history = tuple(
        PastTurn(f"r{at}", encode(input_), encode(output)) for at, (input_, output) in enumerate(past)
    )
    config = MessagesConfig(api_key="key", capabilities=MessagesCapabilities(thinking=thinking))
    call = CallModel(
        request,
        Transcript(request.instructions, history, tuple(now)),
        request.tool_choice or "auto",
        request.max_output_tokens,
    )
    body: Json = json.loads(MessagesRenderer("up", config, lenient=True).render("m", call))
    return body


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations, askings, thinkings)
def test_every_request_keeps_to_the_rules(conversation: Conversation, asking: Json, thinking: Any) -> None:
    body = rendered(conversation, asking, thinking)
    check(body, Model(budget=True), lambda block: "sig" in block["signature"])
    found = [block["type"] for message in body["messages"] for block in message["content"]]
    event(f"thinks: {body.get('thinking', {}).get('type')}")
    event(f"thoughts sent: {min(found.count('thinking'), 2)}, calls: {min(found.count('tool_use'), 2)}")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations)
def test_every_call_and_every_text_is_in_the_request(conversation: Conversation) -> None:
    body = rendered(conversation, {}, "adaptive")
    blocks = [block for message in body["messages"] for block in message["content"]]
    items = [item for turn in conversation.turns for part in turn for item in part]
    assert sum(block["type"] == "tool_use" for block in blocks) == sum(map(_is_call, items))
    users = [part.text for item in items for part in _parts(item, "user") if isinstance(part, InputText)]
    model = [
        part.text for item in items for part in _parts(item, "assistant") if isinstance(part, OutputText)
    ]
    everything = {block.get("text", "") for block in blocks}
    assert {text for text in (*users, *model) if text.strip()} <= everything


def _parts(item: TranscriptItem, role: str) -> list[Any]:
    return list(item.content) if isinstance(item, Message) and item.role == role else []


# --- what is heard --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An answer of the API: its blocks, why it stopped, and the places where reads end."""

    blocks: list[Json]
    stop: str = "end_turn"
    cuts: tuple[int, ...] = ()
    pings: bool = False


def _call(name: str, given_: Json) -> Json:
    return {"type": "tool_use", "name": name, "input": given_}


def _numbered(blocks: list[Json], step: int = 0) -> list[Json]:
    return [{**one, "id": f"toolu_{step}_{at}"} if "name" in one else one for at, one in enumerate(blocks)]


said_blocks = st.one_of(
    texts.map(lambda text: {"type": "text", "text": text}),
    texts.map(lambda text: {"type": "thinking", "thinking": text, "signature": "sig"}),
    st.just({"type": "redacted_thinking", "data": "opaque"}),
    st.builds(_call, st.sampled_from(TOOL_NAMES), st.dictionaries(texts, texts, max_size=2)),
    st.builds(_call, st.just(CUSTOM_TOOL), texts.map(lambda text: {"input": text})),
)
answers = st.builds(
    Answer,
    st.lists(said_blocks, max_size=5).map(_numbered),
    st.sampled_from(["end_turn", "tool_use", "max_tokens", "refusal", "stop_sequence"]),
    st.lists(st.integers(0, 4000), max_size=6).map(tuple),
    st.booleans(),
)


def bytes_of(answer: Answer) -> bytes:
    made = fake_anthropic.Answer(
        answer.blocks, answer.stop, explanation="No." if answer.stop == "refusal" else None
    )
    events = list(stream_of({"model": "m"}, made, USAGE))
    if answer.pings:
        events = [one for event_ in events for one in ({"type": "ping"}, event_)]
    return sse(events)


def read(answer: Answer) -> list[ModelSignal]:
    raw = bytes_of(answer)
    return read_bytes(raw, [min(cut, len(raw)) for cut in answer.cuts], decoder({CUSTOM_TOOL}))


def meant(blocks: list[Json]) -> list[tuple[str, Any]]:
    """Kinds and contents of the items that the blocks are, worked out another way."""
    out: list[tuple[str, Any]] = []
    for block in blocks:
        match block["type"]:
            case "text" if out and out[-1][0] == "message":
                out[-1] = "message", out[-1][1] + block["text"]
            case "text":
                out.append(("message", block["text"]))
            case "tool_use" if block["name"] == CUSTOM_TOOL:
                out.append(("custom", block["input"]["input"]))
            case "tool_use":
                out.append(("call", block["input"]))
            case _:
                out.append(("thought", block))
    return out


def understood(item: ModelItem) -> tuple[str, Any]:
    match item:
        case Message(content=content):
            return "message", "".join(part.text for part in content if isinstance(part, OutputText))
        case CustomToolCall(input=text):
            return "custom", text
        case FunctionCall(arguments=text):
            return "call", json.loads(text)
        case Reasoning(content=content, encrypted_content=blob):
            block: Json = json.loads(str(blob).removeprefix("up:"))
            shown = content[0].text if content is not UNSET else ""
            assert block.get("thinking", "") == shown
            return "thought", block


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers)
def test_nothing_of_an_answer_is_lost(answer: Answer) -> None:
    heard = read(answer)
    assert_lawful(heard)
    refused = [
        part.refusal
        for item in items_of(heard)
        if isinstance(item, Message)
        for part in item.content
        if isinstance(part, Refusal)
    ]
    assert refused == (["No."] if answer.stop == "refusal" else [])
    found = [understood(item) for item in items_of(heard)]
    wanted = meant(answer.blocks)
    assert found == wanted or (found[-1] == ("message", "") and found[:-1] == wanted)
    event(f"items: {len(found)}, stop: {answer.stop}")


@settings(max_examples=300, deadline=None)
@given(answers)
def test_the_pieces_in_which_it_comes_change_nothing(answer: Answer) -> None:
    assert read(answer) == read(replace(answer, cuts=(), pings=False))


@settings(max_examples=300, deadline=None)
@given(answers)
def test_whole_answers_say_what_streams_say(answer: Answer) -> None:
    body: Json = {"type": "message", "content": answer.blocks, "stop_reason": answer.stop, "usage": USAGE}
    if answer.stop == "refusal":
        body["stop_details"] = {"type": "refusal", "explanation": "No."}
    whole = decoder({CUSTOM_TOOL}).whole(json.dumps(body).encode())
    streamed = [one for one in read(answer) if isinstance(one, ItemDone | StepDone)]
    assert [understood(item) for item in items_of(whole)] == [understood(item) for item in items_of(streamed)]
    assert whole[-1] == streamed[-1]


@settings(max_examples=300, deadline=None)
@given(answers, st.integers(0, 4000))
def test_a_stream_that_ends_anywhere_is_whole_or_an_error(answer: Answer, end: int) -> None:
    raw = bytes_of(answer)
    heard, reader = said_of(raw[: min(end, len(raw))], answer.cuts, decoder({CUSTOM_TOOL}))
    try:
        heard += reader.finish()
    except ProviderError:
        event("an error")
        return
    event("whole")
    assert_lawful(heard)
    assert heard == read(replace(answer, cuts=(), pings=False))


class WirePlayer(Player):
    """Takes what the API streams through the loop and the writer."""

    answers: list[Answer]

    def heard(self, step: int) -> list[ModelSignal]:
        return read(self.answers[min(step, len(self.answers) - 1)])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests, st.lists(answers, min_size=1, max_size=4))
def test_what_clients_see_is_lawful(request: Any, given_: list[Answer]) -> None:
    player = WirePlayer(Script(request, [], streamed=True))
    player.answers = [replace(one, blocks=_numbered(one.blocks, at)) for at, one in enumerate(given_)]
    played = player.play()
    event(f"model calls: {min(len(played.calls), 4)}")
    for holds in PROPERTIES:
        assert holds(played), holds.__name__


def test_the_rules_would_be_broken_by_a_plain_rendering() -> None:
    """The rules see what the renderer sees to."""
    conversation = Conversation([([_item("user", "hi", 1)], [_item("call", "{}", 2)])])
    body = rendered(Conversation([*conversation.turns, ([_item("user", "x", 3)], [])]), {}, "none")
    with pytest.raises(Refused, match="without `tool_result`"):
        check(body, Model(), lambda _: True)
