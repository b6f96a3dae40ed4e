"""Images for a model of this machine: sent along, never fetched."""

from typing import Any

import msgspec
import pytest

from antiphon.core.errors import UnsupportedParameter
from antiphon.core.items import FunctionCallOutput, InputImage, InputText, Message
from antiphon.providers.llama_cpp.images import refuse_remote, refuse_remote_in

HERE = "data:image/png;base64,AAAA"
THERE = ["http://10.0.0.1/x.png", "https://example.com/x.png", "file:///etc/passwd", "//x", " data:image/png"]


def test_what_a_data_url_holds_gets_through() -> None:
    refuse_remote([Message(role="user", content=[InputText(text="http://x"), InputImage(image_url=HERE)])])
    refuse_remote_in(msgspec.json.encode(chat(HERE)))
    refuse_remote_in(b'{"messages": [{"role": "user", "content": "see http://example.com"}]}')


@pytest.mark.parametrize("url", THERE)
def test_what_would_be_fetched_is_refused(url: str) -> None:
    items: list[Message | FunctionCallOutput] = [
        Message(role="user", content=[InputImage(image_url=url)]),
        FunctionCallOutput(call_id="c", output=[InputImage(image_url=url)]),
    ]
    for item in items:
        with pytest.raises(UnsupportedParameter, match="data: URLs only") as caught:
            refuse_remote([item])
        assert caught.value.param == "input"
    with pytest.raises(UnsupportedParameter) as caught:
        refuse_remote_in(msgspec.json.encode(chat(url)))
    assert caught.value.param == "messages"


def test_the_short_form_is_seen_too() -> None:
    body = {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "http://10.0.0.1/"}]}]
    }
    with pytest.raises(UnsupportedParameter):
        refuse_remote_in(msgspec.json.encode(body))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages": 1}', b"[" * 100_000])
def test_what_is_no_body_is_left_to_the_engine(body: bytes) -> None:
    refuse_remote_in(body)


def chat(url: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": "m", "messages": [{"role": "user", "content": parts}]}
