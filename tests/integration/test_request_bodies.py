"""Forms, compressed bodies and bombs, against the installed program."""

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
import zstandard

from bench.program import Program
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw
from tests.integration.upstream import Upstream
from tests.unit.test_bodies import gzip_bomb, zstd_bomb

FORM = {"content-type": "application/x-www-form-urlencoded"}
OK = {"model": "up/echo", "input": "hi"}
CHAT = {"model": "up/echo", "messages": [{"role": "user", "content": "hi"}]}


def test_a_response_may_be_asked_for_by_a_form(raw: Raw, upstream: Upstream) -> None:
    form = (
        b"model=up/caller&input[0][role]=user&input[0][content]=42&temperature=0.5&metadata[team]=7&store=false"
        b"&tools[0][type]=function&tools[0][name]=look&tools[0][parameters][type]=object"
    )
    answer = raw.send("POST", "/v1/responses", form, FORM)
    assert answer.status == 200, answer.body
    assert answer.json["metadata"] == {"team": "7"}
    assert answer.json["store"] is False
    assert [item["type"] for item in answer.json["output"]] == ["function_call"]
    asked = upstream.last_request()
    assert asked["messages"][-1] == {"role": "user", "content": "42"}
    assert asked["temperature"] == 0.5


def test_a_form_may_ask_for_a_stream(raw: Raw) -> None:
    answer = raw.send("POST", "/v1/responses", b"model=up/echo&input=hi&stream=true", FORM)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert b"event: response.completed" in answer.body


def test_a_chat_completion_may_be_asked_for_by_a_form(raw: Raw, upstream: Upstream) -> None:
    form = b"model=up/echo&messages[0][role]=user&messages[0][content]=1&max_tokens=9"
    answer = raw.send("POST", "/v1/chat/completions", form, FORM)
    assert answer.json["choices"][0]["message"]["content"] == "You said: 1"
    assert upstream.last_request()["max_tokens"] == 9


def test_a_bad_form_names_its_field(raw: Raw) -> None:
    answer = raw.send("POST", "/v1/responses", b"model=up/echo&input=a&input=b", FORM)
    assert (answer.status, answer.error["param"]) == (400, "input")
    answer = raw.send("POST", "/v1/responses", b"model=up/echo&input=a&temperature=hot", FORM)
    assert (answer.status, answer.error["param"]) == (400, "temperature")
    assert raw.post("/v1/responses", OK).status == 200


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.ZstdCompressor().compress)],
    ids=["gzip", "deflate", "zstd"],
)
def test_a_compressed_body_is_read(
    raw: Raw, path: str, encoding: str, pack: Callable[[bytes], bytes]
) -> None:
    body = pack(json.dumps(CHAT if "chat" in path else OK).encode())
    answer = raw.send("POST", path, body, {"content-encoding": encoding})
    assert answer.status == 200, answer.body
    assert b"You said: hi" in answer.body


def test_encodings_that_are_not_read_are_415_and_say_which_are(raw: Raw) -> None:
    for encoding in ("br", "gzip, zstd"):
        answer = raw.send("POST", "/v1/responses", OK, {"content-encoding": encoding})
        assert answer.status == 415
        assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"
    assert raw.send("POST", "/v1/responses", OK, {"content-encoding": "identity"}).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_broken_compressed_body_is_400(raw: Raw, encoding: str) -> None:
    for body in (b"\x00" * 100, gzip.compress(b"{}" * 500)[:20], b"\x28\xb5\x2f\xfd"):
        answer = raw.send("POST", "/v1/responses", body, {"content-encoding": encoding})
        assert answer.status == 400, answer.body
    assert raw.post("/v1/responses", OK).status == 200


def test_a_charset_that_is_not_utf_8_is_415(raw: Raw) -> None:
    answer = raw.send("POST", "/v1/responses", OK, {"content-type": "application/json; charset=latin-1"})
    assert answer.status == 415
    assert "UTF-8" in answer.error["message"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_of_ten_gigabytes_is_413_and_the_server_stays_small(
    server: Program, raw: Raw, recorder: Recorder, encoding: str
) -> None:
    size = 10 * 1024**3
    bomb = zstd_bomb(size) if encoding == "zstd" else b"".join(gzip_bomb(size // 20))
    before = server.rss_mb()
    with Raw(server.port, recorder) as other:
        answer = other.send("POST", "/v1/responses", bomb, {"content-encoding": encoding})
    assert answer.status == 413, answer.body
    assert server.rss_mb() - before < 150
    assert raw.post("/v1/responses", OK).status == 200


def test_the_document_says_which_routes_read_forms(raw: Raw) -> None:
    paths = json.loads(raw.get("/openapi.json").body)["paths"]
    bodies = {
        path: methods["post"]["requestBody"]["content"]
        for path, methods in paths.items()
        if "requestBody" in methods.get("post", {})
    }
    uploads = {path for path, content in bodies.items() if "multipart/form-data" in content}
    assert uploads == {"/v1/files", "/v1/uploads/{upload_id}/parts"}
    bodies = {path: content for path, content in bodies.items() if path not in uploads}
    assert {"/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/rerank"} <= set(bodies)
    for path, content in bodies.items():
        answer = raw.send("POST", path, b"model=nobody", FORM)
        assert (answer.status == 415) == (FORM["content-type"] not in content), path
        assert "application/json" in content
