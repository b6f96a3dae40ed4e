"""Server-sent events in every framing that upstreams use."""

import pytest

from antiphon.providers.sse import SSEParser


def parse(*chunks: bytes) -> list[bytes]:
    parser = SSEParser()
    found = [payload for chunk in chunks for payload in parser.feed(chunk)]
    return found + parser.finish()


@pytest.mark.parametrize(
    ("raw", "payloads"),
    [
        (b"data: {}\n\ndata: 1\n\n", [b"{}", b"1"]),
        (b"data:{}\r\n\r\ndata: 1\r\r", [b"{}", b"1"]),
        (b": comment\n\nevent: message\nid: 7\nretry: 3\ndata: a\ndata: b\n\n", [b"a\nb"]),
        (b"data: a\n\n: ping\n\ndata: b\n\n", [b"a", b"b"]),
        (b"\n\n\n\ndata: a\n\n", [b"a"]),
        (b"data: last without a blank line", [b"last without a blank line"]),
        (b"data: a\n\ndata: [DONE]\n\ndata: after\n\n", [b"a"]),
        (b"data:  two spaces\n\n", [b" two spaces"]),
        (b'error: {"code": 500}\n\n', [b'{"error":{"code": 500}}']),
        (b"", []),
    ],
)
def test_every_framing_gives_its_payloads_however_it_is_cut(raw: bytes, payloads: list[bytes]) -> None:
    assert parse(raw) == payloads
    assert parse(*(raw[at : at + 1] for at in range(len(raw)))) == payloads
    for cut in range(len(raw)):
        assert parse(raw[:cut], raw[cut:]) == payloads


def test_done_is_remembered() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: [DONE]\n\n") == []
    assert parser.done
