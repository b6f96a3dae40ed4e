"""The rules of a route: what they look at in a request, and what becomes of one that nobody takes."""

from typing import Any

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import (
    InvalidRequest,
)
from antiphon.core.items import FunctionCall, InputFile, InputImage, InputText, Message
from antiphon.core.transcript import PastTurn, Transcript
from antiphon.core.wire import encode
from antiphon.models.traits import traits_of, traits_of_body
from tests.unit.routing import A, B, World, calling, ruled

IMAGE = InputImage(image_url="data:image/png;base64," + "A" * 100_000)
TOOL: dict[str, Any] = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {}},
}
FORMAT: dict[str, Any] = {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}}


def turn(*items: Message | FunctionCall) -> PastTurn:
    return PastTurn("resp_1", encode(list(items)), b"[]")


@pytest.mark.parametrize(
    ("rule", "meets", "misses"),
    [
        ({"tools": True}, {"tools": [TOOL]}, {}),
        ({"tools": False}, {}, {"tools": [TOOL]}),
        ({"json_schema": True}, {"text": FORMAT}, {"text": {"format": {"type": "json_object"}}}),
        ({"reasoning": True}, {"reasoning": {"effort": "low"}}, {"reasoning": {"effort": "none"}}),
        ({"reasoning": False}, {"reasoning": {"summary": "auto"}}, {"reasoning": {"effort": "high"}}),
        ({"stream": False}, {"stream": False}, {"stream": True}),
        ({"min_input_tokens": 200}, {"text_of": 1000}, {"text_of": 500}),
        ({"max_input_tokens": 200}, {"text_of": 500}, {"text_of": 1000}),
    ],
)
async def test_a_rule_lets_through_what_it_says(
    rule: dict[str, Any], meets: dict[str, Any], misses: dict[str, Any]
) -> None:
    for more, served_by in ((meets, A), (misses, B)):
        asked = dict(more)
        text = "x" * asked.pop("text_of", 2)
        assert await World(ruled(a=rule, b={})).run(calling(text, **asked)) == served_by


@pytest.mark.parametrize("part", [IMAGE, InputFile(filename="a.pdf", file_data="AAAA")])
@pytest.mark.parametrize("in_history", [False, True])
async def test_images_and_files_count_in_the_request_and_in_its_history(
    part: InputImage | InputFile, in_history: bool
) -> None:
    rule = {"images": True} if isinstance(part, InputImage) else {"files": True}
    message = Message(role="user", content=[InputText(text="what is this?"), part])
    items = () if in_history else (message,)
    history = (turn(message),) if in_history else ()
    call = CallModel(calling().request, Transcript(None, history, items))
    assert await World(ruled(a={next(iter(rule)): False}, b=rule)).run(call) == B
    quoting = calling(encode(part).decode())
    assert await World(ruled(a=rule, b={})).run(quoting) == B


async def test_a_request_that_no_candidate_takes_is_refused_with_the_reasons() -> None:
    world = World(ruled(a={"max_input_tokens": 10}, b={"images": True}))
    for way in (world.run(calling("x" * 400)), world.pass_on({"messages": ["x" * 400]})):
        with pytest.raises(InvalidRequest) as caught:
            await way
        assert caught.value.param == "model"
        assert "a/one wants max_input_tokens: 10; b/two wants images: true." in caught.value.message
    assert world.asked == []


def test_an_image_is_a_thousand_tokens_however_long_its_data() -> None:
    message = Message(role="user", content=[IMAGE])
    sent = CallModel(calling().request, Transcript(None, (), (message,)))
    kept = CallModel(calling().request, Transcript(None, (turn(message),), ()))
    for call in (sent, kept):
        assert 1_000 <= traits_of(call, count=True).input_tokens <= 1_050
    assert traits_of(sent, count=False).input_tokens == 0


def test_a_passed_on_body_has_the_same_traits() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    body: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "user", "content": [part, {"type": "file", "file": {"file_data": "AA"}}]}],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x"}},
        "reasoning_effort": "low",
        "stream": True,
    }
    traits = traits_of_body(encode(body), count=True)
    assert 1_000 <= traits.input_tokens <= 1_200
    assert (
        traits.tools,
        traits.images,
        traits.files,
        traits.json_schema,
        traits.reasoning,
        traits.stream,
    ) == (True,) * 6
    plain = traits_of_body(b'{"model": "m", "input": "type: image_url"}', count=True)
    assert (plain.tools, plain.images, plain.files, plain.json_schema, plain.reasoning, plain.stream) == (
        False,
    ) * 6
