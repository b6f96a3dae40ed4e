"""Forms as they come: the same parts however the body is cut, and never more of it in memory than came at once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Message

from antiphon.core.errors import AntiphonError, InvalidRequest, PayloadTooLarge, RequestTimeout
from antiphon.web.auth import ANONYMOUS
from antiphon.web.http import NO_PARAMS, ClientGone, Request
from antiphon.web.multipart import MAX_PARTS, Multipart, Part

BOUNDARY = "b--x"
Read = list[tuple[Part, bytes]]


def request(
    pieces: Sequence[bytes], content_type: str, *, leaves: bool = False, stalls: bool = False
) -> Request:
    messages: list[Message] = [{"type": "http.request", "body": one, "more_body": True} for one in pieces]
    messages.append({"type": "http.disconnect"} if leaves else {"type": "http.request"})
    left = iter(messages)

    async def receive() -> Message:
        message = next(left)
        if stalls and message["type"] == "http.request" and "body" not in message:
            await asyncio.Event().wait()
        return message

    headers = {b"content-type": content_type.encode()}
    return Request({"type": "http"}, headers, receive, ANONYMOUS, "req_1", NO_PARAMS, 100)


async def parts_of(form: Multipart) -> Read:
    read: Read = []
    while (part := await form.next_part()) is not None:
        async with aclosing(form.content()) as content:
            read.append((part, b"".join([piece async for piece in content])))
    return read


def read(pieces: Sequence[bytes], boundary: str = BOUNDARY) -> Read | str:
    """The parts, or the error's message."""
    asked = request(pieces, f'multipart/form-data; boundary="{boundary}"')
    try:
        return asyncio.run(parts_of(Multipart(asked, max_bytes=10**6)))
    except AntiphonError as error:
        return error.message


def body(parts: Sequence[tuple[str, bytes]], boundary: str = BOUNDARY) -> bytes:
    written = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts
    ]
    return b"".join(written) + f"--{boundary}--\r\n".encode()


TRICKY = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", b"b--x", b"b--", b"x", b"--b--x", b"\0", b"data"]
    ),
    max_size=12,
).map(b"".join)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n%\x00'), min_size=1, max_size=20)


def is_content(data: bytes) -> bool:
    """Whether a writer may put it into a form: its boundary begins no line of it."""
    return f"\r\n--{BOUNDARY}".encode() not in b"\r\n" + data


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(
    st.lists(st.tuples(NAMES, (TRICKY | st.binary(max_size=60)).filter(is_content)), min_size=1, max_size=5),
    st.lists(st.integers(0, 2000), max_size=30),
)
@example([("a", b"\r\n--b--")], [60, 61, 62, 63, 64, 65, 66])
def test_what_was_written_is_what_is_read_however_it_is_cut(
    parts: list[tuple[str, bytes]], places: list[int]
) -> None:
    found = read(cut(body(parts), places))
    assert not isinstance(found, str), found
    assert [(part.name, data) for part, data in found] == parts


@given(
    st.binary(max_size=200) | TRICKY.map(lambda data: b"--b--x\r\n" + data),
    st.lists(st.integers(0, 300), max_size=20),
)
@example(b"\r\nx--b--x--", [2])
def test_rubbish_is_read_alike_however_it_is_cut(data: bytes, places: list[int]) -> None:
    whole = read([data])
    pieces = read(cut(data, places))
    assert isinstance(pieces, str) is isinstance(whole, str)
    if not isinstance(whole, str):
        assert pieces == whole


def one(headers: str, data: bytes = b"x") -> Read | str:
    return read([f"--{BOUNDARY}\r\n{headers}\r\n\r\n".encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()])


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('filename="plain.txt"', "plain.txt"),
        ("filename=token.txt", "token.txt"),
        ('FileName="case.txt"', "case.txt"),
        ('filename="sp ace; and=more.txt"', "sp ace; and=more.txt"),
        ('filename="quo\\"ted"', 'quo"ted'),
        ('filename="back\\\\slash"', "back\\slash"),
        ('filename="C:\\dir\\x"', "C:\\dir\\x"),
        ('filename="%22%0A100%25"', '"\n100%25'),
        ('filename="☃.txt"', "☃.txt"),
        ("filename=\"plain\"; filename*=UTF-8''%e2%98%83", "☃"),
        ("filename*=utf-8'en'a%20b", "a b"),
        ("filename*=ISO-8859-1''%e9", "é"),
        ("", None),
    ],
)
def test_names_of_files_are_read_in_every_writing(disposition: str, filename: str | None) -> None:
    more = f"; {disposition}" if disposition else ""
    found = one(f'content-disposition: form-data; name="file"{more}')
    assert found == [(Part("file", filename, ""), b"x")]


@pytest.mark.parametrize(
    "disposition",
    [
        "filename*=UTF-16''a",
        "filename*=plain",
        "filename*=UTF-8''%ff",
        'filename="a"; filename="b"',
        'filename="open',
        'filename="a" rubbish',
    ],
)
def test_names_that_cannot_be_read_are_refused(disposition: str) -> None:
    assert isinstance(one(f'content-disposition: form-data; name="file"; {disposition}'), str)


@pytest.mark.parametrize(
    ("header", "media_type"),
    [
        ("text/plain; charset=utf-8", "text/plain"),
        ("TEXT/HTML", "text/html"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",) * 2,
        ("nonsense", ""),
        ("text/plain\x00", ""),
        ("a/b/c", ""),
    ],
)
def test_media_types_are_read_where_they_make_sense(header: str, media_type: str) -> None:
    found = one(f'content-disposition: form-data; name="file"\r\ncontent-type: {header}')
    assert found == [(Part("file", None, media_type), b"x")]


@pytest.mark.parametrize(
    "headers",
    [
        "content-disposition: attachment; name=a",
        'content-disposition: form-data; name=""',
        "content-disposition: form-data",
        "x: y",
        "content-disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
        "content-disposition: form-data; name=a\r\ncontent-transfer-encoding: quoted-printable",
        "bad header",
        "content-disposition: form-data; name=a\n",
    ],
)
def test_parts_that_make_no_sense_are_refused(headers: str) -> None:
    assert isinstance(one(headers), str)


def test_what_surrounds_the_parts_means_nothing() -> None:
    assert read([b"\r\n" + body([("a", b"1")]) + b"an epilogue\r\n--b--x\r\n"]) == [
        (Part("a", None, ""), b"1")
    ]


def test_a_form_without_its_end_is_refused() -> None:
    whole = body([("a", b"1")])
    for end in range(len(whole) - len("--\r\n")):
        assert isinstance(read([whole[:end]]), str), end


def test_so_many_parts_are_read_and_no_more() -> None:
    assert len(read([body([("a", b"")] * MAX_PARTS)])) == MAX_PARTS
    assert "parts" in read([body([("a", b"")] * (MAX_PARTS + 1))])


async def test_more_than_the_limit_is_refused_as_soon_as_it_is_there() -> None:
    taken = 0

    async def counted(form: Multipart) -> AsyncIterator[bytes]:
        nonlocal taken
        await form.next_part()
        async with aclosing(form.content()) as content:
            async for piece in content:
                taken += len(piece)
                yield piece

    head = body([("a", b"")]).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    asked = request([head, *([b"x" * 100] * 1000)], f"multipart/form-data; boundary={BOUNDARY}")
    with pytest.raises(PayloadTooLarge):
        async for _ in counted(Multipart(asked, max_bytes=1000)):
            pass
    assert taken < 1000


async def test_a_preamble_or_an_epilogue_without_an_end_is_cut_off_too() -> None:
    for start, more in ((b"\r\n", b"\r\n" * 50), (body([("a", b"1")]), b"x" * 100)):
        asked = request([start, *([more] * 1000)], f"multipart/form-data; boundary={BOUNDARY}")
        with pytest.raises(PayloadTooLarge):
            await parts_of(Multipart(asked, max_bytes=1000))


async def test_a_client_that_stalls_or_leaves_is_not_waited_for() -> None:
    media = f"multipart/form-data; boundary={BOUNDARY}"
    begun = body([("a", b"1")])[:-4]
    with pytest.raises(RequestTimeout):
        await parts_of(Multipart(request([begun], media, stalls=True), max_bytes=1000, patience_s=0.01))
    with pytest.raises(ClientGone):
        await parts_of(Multipart(request([begun], media, leaves=True), max_bytes=1000))
    # One that leaves behind the last boundary, but before the end that it announced, has not sent its request.
    with pytest.raises(ClientGone):
        await parts_of(Multipart(request([body([("a", b"1")])], media, leaves=True), max_bytes=1000))


async def test_content_that_nobody_asks_for_is_passed_over() -> None:
    asked = request([body([("a", b"1"), ("b", b"2")])], f"multipart/form-data; boundary={BOUNDARY}")
    form = Multipart(asked, max_bytes=1000)
    assert await form.next_part() == Part("a", None, "")
    assert await form.next_part() == Part("b", None, "")
    assert await form.text(Part("b", None, ""), 10) == "2"
    assert await form.next_part() is None


async def test_a_text_has_its_limit() -> None:
    asked = request([body([("a", b"12345")])], f"multipart/form-data; boundary={BOUNDARY}")
    form = Multipart(asked, max_bytes=1000)
    part = await form.next_part()
    assert part is not None
    with pytest.raises(InvalidRequest) as caught:
        await form.text(part, 4)
    assert caught.value.param == "a"
