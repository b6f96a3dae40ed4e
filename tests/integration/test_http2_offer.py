"""Clients that offer to go on in HTTP/2, as Java's does: they are answered in HTTP/1.1, with their body read."""

import json
import socket

import pytest

from bench.program import Program

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQBAAAA\r\n"


def request(body: bytes, more: bytes = OFFER) -> bytes:
    length = b"Content-Length: %d" % len(body)
    head = b"POST /v1/responses HTTP/1.1\r\nHost: x\r\n%bContent-Type: application/json\r\n%b\r\n\r\n"
    return head % (more, length) + body


def answer(connection: socket.socket) -> bytes:
    """Reads as far as the body that `content-length` promises."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    size = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")
    )
    while len(body) < size:
        body += connection.recv(65_536)
    assert head.startswith(b"HTTP/1.1 200"), data
    return body


def said(body: bytes) -> str:
    return str(json.loads(body)["output"][0]["content"][0]["text"])


@pytest.mark.parametrize("cut", [None, 40, 400], ids=["whole", "in the head", "in the body"])
def test_an_offer_is_passed_over_and_the_connection_kept(server: Program, cut: int | None) -> None:
    body = json.dumps({"model": "demo", "input": "Upgrade: h2c" + "x" * 300, "store": False}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        for more in (OFFER, b""):
            whole = request(body, more)
            connection.sendall(whole[:cut])
            if cut is not None:
                connection.sendall(whole[cut:])
            assert "h2c" in said(answer(connection))
