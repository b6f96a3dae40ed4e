"""What a responses upstream is sent. What becomes of each parameter is proved by `tests/wire/test_parameters_page`."""

import json
from typing import Any

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import UnsupportedParameter
from antiphon.core.request import ResponseRequest
from antiphon.core.thoughts import marked
from antiphon.core.transcript import PastTurn, Transcript
from antiphon.providers.capabilities import ResponsesCapabilities
from antiphon.providers.presets import PRESETS
from antiphon.providers.responses_items import packed
from antiphon.providers.responses_render import ResponsesRenderer

Json = dict[str, Any]
OPENAI = PRESETS["remote::openai"].responses
LLAMA = PRESETS["remote::llama-cpp-server"].responses
PLAIN = ResponsesCapabilities()
USER: Json = {"type": "message", "id": "msg_1", "role": "user", "content": "hi"}
CALL: Json = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "c1",
    "name": "f",
    "arguments": "{}",
    "status": "completed",
}
OUTPUT: Json = {"type": "function_call_output", "id": "fco_1", "call_id": "c1", "output": "done"}
IMAGE: Json = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}


def said(text: str = "yes", **more: Any) -> Json:
    part: Json = {"type": "output_text", "text": text, "annotations": []}
    return {
        "type": "message",
        "id": "msg_2",
        "role": "assistant",
        "content": [part],
        "status": "completed",
        **more,
    }


def thought(blob: str | None = None, text: str = "", provider: str = "up") -> Json:
    item: Json = {"type": "reasoning", "id": "rs_ours", "summary": [], "status": "completed"}
    if blob is not None:
        item["encrypted_content"] = marked(provider, packed("rs_theirs", blob))
    if text:
        item["content"] = [{"type": "reasoning_text", "text": text}]
    return item


def turn(number: int, *items: Json) -> PastTurn:
    given = [item for item in items if item.get("role") == "user" or "output" in item]
    made = [item for item in items if item not in given]
    return PastTurn(f"resp_{number}", json.dumps(given).encode(), json.dumps(made).encode())


def body(
    *items: Json,
    can: ResponsesCapabilities = OPENAI,
    history: tuple[PastTurn, ...] = (),
    max_output_tokens: int | None = None,
    **request: Any,
) -> Json:
    asked = ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", **request}).encode())
    now = turn(0, *items).items()
    transcript = Transcript(asked.instructions, history, tuple(now))
    call = CallModel(asked, transcript, asked.tool_choice or "auto", max_output_tokens)
    rendered: Json = json.loads(ResponsesRenderer("up", can).render("m", call))
    return rendered


def types(rendered: Json) -> list[str]:
    return [item["type"] for item in rendered["input"]]


def test_nothing_of_ours_goes_along() -> None:
    rendered = body(USER, said(), CALL, OUTPUT, metadata={"a": "b"}, store=True, truncation="auto")
    assert rendered["store"] is False
    assert not {"metadata", "truncation"} & set(rendered)
    assert all(not {"id", "status"} & set(item) for item in rendered["input"])
    assert "fco_1" not in json.dumps(rendered)


def test_the_blob_goes_back_under_the_id_that_it_had() -> None:
    rendered = body(USER, thought("blob"), said())
    assert rendered["input"][1] == {
        "type": "reasoning",
        "id": "rs_theirs",
        "summary": [],
        "encrypted_content": "blob",
    }


@pytest.mark.parametrize("item", [thought("blob", provider="other"), thought(text="hm"), thought()])
def test_reasoning_of_others_is_left_out(item: Json) -> None:
    assert types(body(USER, item, said())) == ["message", "message"]


def test_reasoning_goes_as_text_where_no_blobs_are_known() -> None:
    rendered = body(USER, thought("blob", text="hm"), CALL, OUTPUT, can=LLAMA)
    assert rendered["input"][1]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert "encrypted_content" not in rendered["input"][1]
    assert "include" not in rendered


@pytest.mark.parametrize("can", [OPENAI, LLAMA])
@pytest.mark.parametrize(
    "items",
    [
        (USER, thought("b", text="hm")),
        (USER, thought("b", text="hm"), USER),
        (USER, thought("b", text="hm"), {**CALL, "status": "incomplete"}),
        (USER, CALL, thought("b", text="hm"), OUTPUT),
    ],
)
def test_reasoning_that_led_to_nothing_is_left_out(
    can: ResponsesCapabilities, items: tuple[Json, ...]
) -> None:
    assert "reasoning" not in types(body(*items, can=can))


def test_current_turn_leaves_earlier_reasoning_out_where_the_upstream_does_not() -> None:
    history = (turn(1, USER, thought("one"), said()),)
    items = (USER, thought("two"), CALL, OUTPUT)
    asked = {"context": "current_turn"}
    here = body(*items, can=PLAIN, history=history, reasoning=asked)
    assert [item.get("encrypted_content") for item in here["input"] if item["type"] == "reasoning"] == ["two"]
    there = body(*items, history=history, reasoning=asked)
    assert there["reasoning"] == {"context": "current_turn"}
    assert types(there).count("reasoning") == 2


def test_phases_are_kept() -> None:
    assert body(USER, said(phase="commentary"))["input"][1]["phase"] == "commentary"
    assert "phase" not in body(USER, said(phase=None))["input"][1]


def test_refusals_are_what_was_said() -> None:
    item = said(content=[{"type": "refusal", "refusal": "I will not."}])
    assert body(USER, item)["input"][1]["content"] == "I will not."


def test_images_of_outputs_follow_their_siblings_where_outputs_are_text() -> None:
    output = {**OUTPUT, "output": [{"type": "input_text", "text": "look"}, IMAGE]}
    second = [{**CALL, "call_id": "c2"}, {**OUTPUT, "call_id": "c2"}]
    items = (USER, CALL, second[0], output, second[1])
    assert [part["type"] for part in body(*items)["input"][3]["output"]] == ["input_text", "input_image"]
    rendered = body(*items, can=LLAMA)
    assert types(rendered) == [
        "message",
        "function_call",
        "function_call",
        "function_call_output",
        "function_call_output",
        "message",
    ]
    assert rendered["input"][3]["output"].startswith("look\n[")
    assert rendered["input"][5]["content"][1] == {**IMAGE, "detail": "auto"}


@pytest.mark.parametrize(
    "part", [{"type": "input_file", "file_data": "AAAA"}, {"type": "input_image", "file_id": "f"}]
)
def test_content_that_cannot_go_is_refused(part: Json) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        body({**USER, "content": [part]}, can=PLAIN)
    assert caught.value.param == "input"


def test_a_turn_is_rendered_once_and_kept() -> None:
    renderer = ResponsesRenderer("up", OPENAI)
    asked = ResponseRequest(model="m", input="hi")
    first = renderer.render("m", CallModel(asked, Transcript(None, (turn(1, USER, said("one")),))))
    changed = turn(1, USER, said("two"))
    assert renderer.render("m", CallModel(asked, Transcript(None, (changed,)))) == first


@pytest.mark.parametrize(("left", "sent"), [(None, None), (3, 16), (16, 16), (900, 900)])
def test_the_fewest_tokens_are_those_of_the_document(left: int | None, sent: int | None) -> None:
    assert body(USER, max_output_tokens=left).get("max_output_tokens") == sent


def test_functions_have_the_keys_that_the_document_wants() -> None:
    tools: list[Json] = [
        {"type": "function", "name": "f"},
        {"type": "function", "name": "g", "strict": True, "parameters": {}},
    ]
    first, second = body(USER, tools=tools)["tools"]
    assert first["parameters"]["additionalProperties"] is False
    assert first["strict"] is None
    assert (second["parameters"], second["strict"]) == ({}, True)


def test_unsupported_parameters_are_refused_or_left_out() -> None:
    asked = ResponseRequest(model="m", input="hi", seed=7)
    with pytest.raises(UnsupportedParameter) as caught:
        ResponsesRenderer("up", OPENAI).render("m", CallModel(asked, Transcript()))
    assert caught.value.param == "seed"
    assert b"seed" not in ResponsesRenderer("up", OPENAI, lenient=True).render(
        "m", CallModel(asked, Transcript())
    )
