"""`/v1/responses` over real WebSockets: the upgrade, what the upstream sees, sizes, and how connections end."""

import json
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import LIMIT_S, Raw, read_until
from tests.integration.conftest import StartServer
from tests.integration.sockets import RawSocket, text_of
from tests.integration.test_keys import KEYS
from tests.integration.test_raw_streams import settled
from tests.integration.upstream import FLOOD_CHUNK, FLOOD_CHUNKS, Upstream

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}}
    for name in ("get_weather", "get_time")
]
UPGRADE = (
    "GET /v1/responses HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.fixture
def line(server: Program, recorder: Recorder) -> Iterator[RawSocket]:
    with RawSocket(server.port, recorder) as connection:
        yield connection


@pytest.mark.parametrize(
    "model",
    [
        "echo",
        "caller",
        "parallel",
        "thinker",
        "refuser",
        "cut",
        "filtered",
        "up/json",
        "plain/json",
        "breaks",
    ],
)
def test_a_response_has_the_events_that_sse_has(line: RawSocket, raw: Raw, model: str) -> None:
    """The recorder checks each frame against the document, and their order."""
    frames = line.turn(model, tools=TOOLS)
    body = {"model": model, "input": "hi", "tools": TOOLS, "stream": True}
    lines = raw.post("/v1/responses", body).body.decode().splitlines()
    over_http = [json.loads(one[6:]) for one in lines if one.startswith("data: ")]
    assert [frame["type"] for frame in frames] == [event["type"] for event in over_http]
    ours, theirs = frames[-1]["response"]["output"], over_http[-1]["response"]["output"]
    assert [item["type"] for item in ours] == [item["type"] for item in theirs]
    assert text_of(frames) == text_of(over_http)


@pytest.mark.parametrize(
    "path", ["/v1/responses", "/v1/responses/", "/v1/openai/v1/responses", "/v1/openai/v1/responses/"]
)
def test_the_upgrade_is_taken_wherever_the_route_is(server: Program, recorder: Recorder, path: str) -> None:
    with RawSocket(server.port, recorder, path=path, headers={"x-request-id": "mine-1"}) as connection:
        assert connection.connection.response is not None
        assert connection.connection.response.headers["x-request-id"] == "mine-1"
        assert text_of(connection.turn("echo")) == "You said: hi"


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/v1/responses", {}, 401, "invalid_api_key"),
        ("/v1/responses", {"authorization": "Bearer nobody"}, 401, "invalid_api_key"),
        ("/v1/chat/completions", {"authorization": "Bearer key-of-ann"}, 404, "not_found"),
        ("/v1/responses/resp_1", {}, 404, "not_found"),
    ],
)
def test_a_refused_upgrade_is_a_real_answer(
    start_server: StartServer, recorder: Recorder, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    server = start_server(KEYS)
    with pytest.raises(InvalidStatus) as refused:
        RawSocket(server.port, recorder, path=path, headers=headers)
    answer = refused.value.response
    assert answer.status_code == status
    assert answer.headers["x-request-id"].startswith("req_")
    error = json.loads(answer.body or b"")["error"]
    assert error["code"] == code
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
def test_a_key_opens_the_connection_and_owns_what_is_made_on_it(
    start_server: StartServer, recorder: Recorder, header: str
) -> None:
    server = start_server(KEYS)
    value = "Bearer key-of-ann" if header == "authorization" else "key-of-ann"
    with RawSocket(
        server.port, recorder, headers={header: value, "origin": "https://elsewhere.example"}
    ) as one:
        response_id = one.turn("echo")[-1]["response"]["id"]
    with RawSocket(server.port, recorder, headers={"authorization": "Bearer key-of-bob"}) as other:
        (error,) = other.turn("echo", previous_response_id=response_id)
        assert error["error"]["code"] == "previous_response_not_found"
    with Raw(server.port, recorder, {"authorization": "Bearer key-of-ann"}) as raw:
        assert raw.get(f"/v1/responses/{response_id}").status == 200


def test_without_keys_only_pages_of_the_server_itself_may_connect(
    server: Program, recorder: Recorder
) -> None:
    for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
        with pytest.raises(InvalidStatus) as refused:
            RawSocket(server.port, recorder, headers={"origin": origin})
        assert refused.value.response.status_code == 403
    with RawSocket(server.port, recorder, headers={"origin": server.url}) as connection:
        assert text_of(connection.turn("echo")) == "You said: hi"


def test_the_model_sees_the_whole_chain_of_unstored_turns(line: RawSocket, upstream: Upstream) -> None:
    first = line.turn("thinker", "one", store=False)[-1]["response"]
    second = line.turn("thinker", "two", store=False, previous_response_id=first["id"])[-1]["response"]
    line.turn("thinker", "three", store=False, previous_response_id=second["id"], instructions="Be brief.")
    said = [(message["role"], message["content"]) for message in upstream.last_request()["messages"]]
    assert said == [
        ("system", "Be brief."),
        ("user", "one"),
        ("assistant", "You said: one"),
        ("user", "two"),
        ("assistant", "You said: two"),
        ("user", "three"),
    ]


def test_a_tool_flow_needs_nothing_stored(line: RawSocket, raw: Raw) -> None:
    called = line.turn("caller", store=False, tools=TOOLS)[-1]["response"]
    call = called["output"][0]
    answer = {"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees"}
    frames = line.turn("caller", [answer], store=False, tools=TOOLS, previous_response_id=called["id"])
    assert text_of(frames) == "You said: 21 degrees"
    assert raw.get(f"/v1/responses/{called['id']}").status == 404


def test_two_lanes_run_at_once(line: RawSocket, upstream: Upstream) -> None:
    """The first answer never ends, and the second is whole all the same."""
    line.create("endless", stream_id="first")
    while line.receive()["type"] != "response.output_text.delta":
        pass
    frames = line.turn("echo", stream_id="second")
    assert text_of(frames) == "You said: hi"
    assert {frame["stream_id"] for frame in frames} == {"second"}


def test_a_client_that_leaves_cancels_what_runs_in_every_lane(
    server: Program, recorder: Recorder, raw: Raw, upstream: Upstream
) -> None:
    before = upstream.seen.closed_by_client
    with RawSocket(server.port, recorder) as connection:
        ids: list[str] = []
        for lane in ("a", "b"):
            connection.create("endless", stream_id=lane)
            ids.append(connection.until("response.created")["response"]["id"])
            connection.until("response.output_text.delta")
    upstream.wait_for("both calls closed", lambda seen: seen.closed_by_client >= before + 2)
    for response_id in ids:
        status = wait_for_status(raw, response_id)
        assert status == "cancelled"


def wait_for_status(raw: Raw, response_id: str) -> str:
    """The upstream hears of the end before it is stored: ask until it is."""
    for _ in range(2000):
        answer = raw.get(f"/v1/responses/{response_id}")
        if answer.status == 200:
            return str(answer.json["status"])
        threading.Event().wait(0.005)
    pytest.fail("the cancelled response was never stored")


def test_a_slow_reader_holds_the_upstream_back(server: Program, upstream: Upstream) -> None:
    """The upstream has 100 MB to say; the reader stops after one event and then no more is taken in."""
    before = server.rss_mb()
    upstream.seen.flood_sent = 0
    closed = upstream.seen.closed_by_client
    with upgraded(server, receive_buffer=65536) as connection:
        connection.sendall(
            client_frame(b'{"type":"response.create","model":"flood","input":"go","store":false}')
        )
        read_until(connection, b"response.output_text.delta")
        assert settled(upstream) < len(FLOOD_CHUNK) * FLOOD_CHUNKS / 2
        assert server.rss_mb() - before < 48
    upstream.wait_for("the flood ends", lambda seen: seen.closed_by_client > closed)


def upgraded(server: Program, *, receive_buffer: int) -> socket.socket:
    """A socket on which the upgrade was answered."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(LIMIT_S)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(UPGRADE.encode())
    assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 101")
    return connection


def client_frame(text: bytes) -> bytes:
    """One masked text frame; a mask of zeros changes nothing."""
    assert len(text) < 126
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text


@pytest.mark.parametrize("size", [100, 125, 126, 127, 65_535, 65_536, 200_000])
def test_messages_of_every_size_arrive_whole(line: RawSocket, size: int) -> None:
    """Frames have three forms of length, on both sides."""
    text = "é" * (size // 2)
    assert text_of(line.turn("echo", text, store=False)) == f"You said: {text}"


def test_a_frame_that_is_too_large_is_told_so_and_one_that_is_far_too_large_ends_the_connection(
    start_server: StartServer, recorder: Recorder
) -> None:
    server = start_server("server: {limits: {max_body_bytes: 100000}}")
    with RawSocket(server.port, recorder) as connection:
        (error,) = connection.turn("echo", "x" * 100_000)
        assert (error["status"], error["error"]["code"]) == (413, "payload_too_large")
        assert text_of(connection.turn("echo")) == "You said: hi"
        connection.create("echo", "x" * 1_500_000)
        frames, code = connection.until_closed()
        assert (frames, code) == ([], 1009)


def test_an_old_connection_is_told_so_and_closed(start_server: StartServer, recorder: Recorder) -> None:
    server = start_server("server: {websocket: {max_age_s: 0.2}}")
    with RawSocket(server.port, recorder) as connection:
        frames, code = connection.until_closed()
        assert [frame["error"]["code"] for frame in frames] == ["websocket_connection_limit_reached"]
        assert code == 1001


def test_sigterm_closes_idle_connections_and_lets_responses_end(
    start_server: StartServer, recorder: Recorder
) -> None:
    server = start_server("server: {shutdown_grace_s: 30}")
    with RawSocket(server.port, recorder) as idle, RawSocket(server.port, recorder) as used:
        used.turn("echo")
        server.process.send_signal(signal.SIGTERM)
        assert idle.until_closed() == ([], 1012)
        assert used.until_closed() == ([], 1012)
    assert server.process.wait(LIMIT_S) == 0
    assert "Traceback" not in server.output


def test_what_does_not_end_within_the_grace_is_cancelled_and_says_so(
    start_server: StartServer, recorder: Recorder
) -> None:
    server = start_server("server: {shutdown_grace_s: 1}")
    with RawSocket(server.port, recorder) as connection:
        connection.create("endless", stream_id="a")
        connection.until("response.output_text.delta")
        connection.create("endless")
        connection.until("response.output_text.delta")
        server.process.send_signal(signal.SIGTERM)
        frames, code = connection.until_closed()
        failed = [frame["response"]["status"] for frame in frames if frame["type"] == "response.failed"]
        assert (failed, code) == (["cancelled"] * 2, 1012)
    assert server.process.wait(LIMIT_S) == 0
    assert "Traceback" not in server.output


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("GET ", "POST "),
        ("sec-websocket-version: 13", "sec-websocket-version: 12"),
        ("sec-websocket-key: ", "sec-websocket-keys: "),
        ("host: x", "host: x\r\n" + "\r\n".join(f"x-{number}: 1" for number in range(200))),
    ],
)
def test_an_upgrade_that_is_none_is_refused_at_once(server: Program, old: str, new: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), LIMIT_S) as connection:
        connection.sendall(UPGRADE.replace(old, new).encode())
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("frame", "code"),
    [(b"\x81\x82\0\0\0\0\xff\xfe", 1007), (b"\x81\x02{}", 1002), (b"\x83\x80\0\0\0\0", 1002)],
)
def test_what_is_no_websocket_frame_ends_the_connection(server: Program, frame: bytes, code: int) -> None:
    """No text, not masked, no such kind: below the level on which a server could answer."""
    with upgraded(server, receive_buffer=65536) as connection:
        connection.sendall(frame)
        assert connection.recv(100)[2:4] == code.to_bytes(2, "big")
