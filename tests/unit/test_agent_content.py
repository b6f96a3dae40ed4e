"""Content of Llama Stack's clients as parts and text, and the attachments that tools give out."""

import base64
from typing import Any

import msgspec
import pytest

from antiphon.agents import attachments_out
from antiphon.agents.attachments_out import MARKER, taken_out
from antiphon.agents.content import output_of, parts_of, text_of
from antiphon.agents.shapes import Attachment, Content
from antiphon.core.errors import InvalidRequest
from antiphon.core.items import InputImage, InputText

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
PNG_DATA = base64.b64encode(PNG).decode()


def content(value: Any) -> Content:
    made: Content = msgspec.convert(value, Content)
    return made


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "image": source}


def urls(value: Any) -> list[object]:
    return [one.image_url for one in parts_of(content(value), "c") if isinstance(one, InputImage)]


def test_texts_and_images_become_parts_in_order() -> None:
    given = content([text("a"), image(data=PNG_DATA), text("b")])
    first, second, third = parts_of(given, "c")
    assert (first, third) == (InputText(text="a"), InputText(text="b"))
    assert isinstance(second, InputImage)
    assert second.image_url == f"data:image/png;base64,{PNG_DATA}"
    assert parts_of("plain", "c") == [InputText(text="plain")]
    assert parts_of(content(text("one")), "c") == [InputText(text="one")]
    assert parts_of(content([]), "c") == []


def test_the_type_of_an_image_is_told_from_its_bytes() -> None:
    for start, kind in ((b"\xff\xd8\xff\xe0", "jpeg"), (b"GIF89a", "gif"), (b"RIFF\0\0\0\0WEBP", "webp")):
        data = base64.b64encode(start + bytes(8)).decode()
        assert urls(image(data=data)) == [f"data:image/{kind};base64,{data}"]
    said = f"data:image/gif;base64,{PNG_DATA}"
    assert urls(image(url={"uri": said})) == [f"data:image/png;base64,{PNG_DATA}"]


def test_a_url_is_handed_on() -> None:
    assert urls(image(url={"uri": "https://example.com/a.png"}, data=None)) == ["https://example.com/a.png"]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ([text("a"), image()], "c[1].image"),
        (image(url={"uri": "https://a/"}, data=PNG_DATA), "c.image"),
        (image(data="%%%"), "c.image.data"),
        (image(data="aGVsbG8="), "c.image.data"),
        (image(url={"uri": "data:image/png;base64,!!"}), "c.image.url.uri"),
        (image(url={"uri": "data:image/png,raw"}), "c.image.url.uri"),
        (image(url={"uri": "file:///etc/passwd"}), "c.image.url.uri"),
        (image(url={"uri": "https://a/" + "x" * 10_000}), "c.image.url.uri"),
    ],
)
def test_an_image_that_is_none_is_refused_by_its_place(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parts_of(content(given), "c")
    assert caught.value.param == param
    assert param in caught.value.message


def test_the_text_of_content_leaves_images_out() -> None:
    assert text_of(content([text("a"), image(data=PNG_DATA), text(""), text("b")])) == "a\nb"
    assert text_of("") == ""


def test_what_a_tool_answered_is_a_text_unless_it_holds_images() -> None:
    assert output_of(content([text("a"), text("b")]), "c") == "a\nb"
    parts = output_of(content([text("a"), image(data=PNG_DATA)]), "c")
    assert [type(one) for one in parts] == [InputText, InputImage]


# --- attachments --------------------------------------------------------------------------------------------------
def test_an_attachment_is_taken_out_of_what_a_tool_answered() -> None:
    output = f'Plotted.\n{MARKER}{{"filepath": "/tmp/a {{1}}.png", "mimetype": "image/png"}}\nDone.'
    assert taken_out(output) == (
        "Plotted.\nDone.",
        [Attachment(content={"uri": "file:///tmp/a {1}.png"}, mime_type="image/png")],
    )
    linked = f'{MARKER}{{"uri":"https://a/b","mime_type":"text/csv"}}'
    several = f'{linked} and {MARKER}{{"content":"x","mimetype":"text/plain"}}'
    rest, found = taken_out(several)
    assert rest == " and "
    assert [one.content for one in found] == [{"uri": "https://a/b"}, "x"]


@pytest.mark.parametrize(
    "behind",
    [
        "",
        "{",
        "[1]",
        "{}",
        "{" * 100_000,
        '{"filepath": "/tmp/a"}',
        '{"filepath": 7, "mimetype": "image/png"}',
        '{"filepath": "/a", "uri": "https://a/", "mimetype": "image/png"}',
        '{"uri": "javascript:alert(1)", "mimetype": "text/html"}',
        '{"content": "x", "mimetype": ""}',
        '{"content": "x", "mimetype": "' + "x" * 200 + '"}',
    ],
)
def test_a_marker_without_an_attachment_behind_it_stays(behind: str) -> None:
    output = f"before {MARKER}{behind}"
    assert taken_out(output) == (output, [])


def test_attachments_are_bounded_in_size_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    one = f'{MARKER}{{"content":"{"x" * 50}","mimetype":"text/plain"}}'
    rest, found = taken_out(one * 20)
    assert (len(found), rest.count(MARKER)) == (attachments_out.MAX_ATTACHMENTS, 4)
    monkeypatch.setattr(attachments_out, "MAX_ATTACHMENT", 40)
    assert taken_out(one) == (one, [])
    assert taken_out(MARKER * 100_000) == (MARKER * 100_000, [])
