"""What is wrong is refused by name, stores nothing, and leaves the connection as it was."""

import json
from typing import Any

import pytest

from tests.integration.clients import Raw
from tests.integration.upstream import Upstream

OK: dict[str, Any] = {"model": "echo", "input": "hi"}
TOOL: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": None}

BAD_BODIES: dict[str, tuple[Any, int, str | None]] = {
    "malformed JSON": (b'{"model": "echo", "input": ', 400, None),
    "empty body": (b"", 400, None),
    "not an object": (b"[1, 2]", 400, None),
    "bad UTF-8": (b'{"model": "echo", "input": "\xff\xfe"}', 400, None),
    "deep nesting": (b'{"model": "echo", "input": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", 400, None),
    "model missing": ({"input": "hi"}, 400, "model"),
    "input missing": ({"model": "echo"}, 400, "input"),
    "wrong type at the top": ({**OK, "temperature": "hot"}, 400, "temperature"),
    "wrong type deep down": (
        {**OK, "input": [{"role": "user", "content": [{"type": "input_text", "text": 7}]}]},
        400,
        "input",
    ),
    "unknown part type": ({**OK, "input": [{"role": "user", "content": [{"type": "smell"}]}]}, 400, "input"),
    "unknown item type": ({**OK, "input": [{"type": "dream"}]}, 400, "input"),
    "unknown role": ({**OK, "input": [{"role": "judge", "content": "x"}]}, 400, "input"),
    "unknown field": ({**OK, "temprature": 1}, 400, "temprature"),
    "number too large": ({**OK, "temperature": 2.5}, 400, "temperature"),
    "number too small": ({**OK, "top_p": -0.1}, 400, "top_p"),
    "too few output tokens": ({**OK, "max_output_tokens": 3}, 400, "max_output_tokens"),
    "top_logprobs out of range": ({**OK, "top_logprobs": 21}, 400, "top_logprobs"),
    "infinite number": (b'{"model": "echo", "input": "hi", "temperature": 1e999}', 400, None),
    "unknown model": ({**OK, "model": "nobody"}, 404, "model"),
    "two pasts": (
        {**OK, "previous_response_id": "resp_1", "conversation": "conv_1"},
        400,
        "previous_response_id",
    ),
    "unknown parent": ({**OK, "previous_response_id": "resp_nobody"}, 400, "previous_response_id"),
    "choice of an absent tool": (
        {**OK, "tools": [TOOL], "tool_choice": {"type": "function", "name": "g"}},
        400,
        "tool_choice",
    ),
    "allowed tools that are absent": (
        {
            **OK,
            "tools": [TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "g"}],
            },
        },
        400,
        "tool_choice",
    ),
    "two tools of one name": ({**OK, "tools": [TOOL, TOOL]}, 400, "tools"),
    "impossible tool name": ({**OK, "tools": [{**TOOL, "name": "no spaces!"}]}, 400, "tools"),
    "invalid tool schema": ({**OK, "tools": [{**TOOL, "parameters": {"type": "objekt"}}]}, 400, "tools"),
    "invalid format schema": (
        {
            **OK,
            "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "objekt"}}},
        },
        400,
        "text",
    ),
    "unknown include": ({**OK, "include": ["everything"]}, 400, "include"),
    "too many metadata": ({**OK, "metadata": {str(at): "x" for at in range(17)}}, 400, "metadata"),
    "metadata key too long": ({**OK, "metadata": {"k" * 65: "x"}}, 400, "metadata"),
    "metadata value too long": ({**OK, "metadata": {"k": "x" * 513}}, 400, "metadata"),
    "metadata not text": ({**OK, "metadata": {"k": 1}}, 400, "metadata"),
    "orphan output": (
        {**OK, "input": [{"type": "function_call_output", "call_id": "call_x", "output": ""}]},
        400,
        "input",
    ),
    "stream options without a stream": (
        {**OK, "stream_options": {"include_obfuscation": False}},
        400,
        "stream_options",
    ),
    "background without store": ({**OK, "background": True, "store": False}, 400, None),
    "a tool that comes later": ({**OK, "tools": [{"type": "image_generation"}]}, 400, "tools"),
    "unknown reference": ({**OK, "input": [{"type": "item_reference", "id": "msg_nobody"}]}, 400, "input"),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_bad_request_is_refused_by_name(raw: Raw, upstream: Upstream, case: str) -> None:
    body, status, param = BAD_BODIES[case]
    asked = len(upstream.seen.requests)
    answer = raw.post("/v1/responses", body)
    assert answer.status == status, answer.body
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.error["message"]
    if param is not None:
        assert (answer.error["param"] or "").startswith(param), answer.error
    assert len(upstream.seen.requests) == asked
    assert raw.post("/v1/responses", OK).status == 200, "the connection is usable afterwards"


CHAT_OK: dict[str, Any] = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ({"messages": CHAT_OK["messages"]}, 400),
        ({"model": "echo"}, 400),
        ({"model": "echo", "messages": "hi"}, 400),
        ({"model": "echo", "messages": []}, 400),
        ({**CHAT_OK, "temperature": "warm"}, 400),
        ({**CHAT_OK, "model": "nobody"}, 404),
    ],
    ids=str,
)
def test_a_bad_chat_request_is_refused(raw: Raw, body: Any, status: int) -> None:
    answer = raw.post("/v1/chat/completions", body)
    assert answer.status == status, answer.body
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert raw.post("/v1/chat/completions", CHAT_OK).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/v1/responses", 405),
        ("PATCH", "/v1/models", 405),
        ("PUT", "/v1/chat/completions", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/v1/responses/resp_nobody", 404),
        ("DELETE", "/v1/responses/resp_nobody", 404),
        ("GET", "/v1/responses/resp_nobody/input_items", 404),
    ],
)
def test_a_wrong_method_or_path_has_the_envelope(raw: Raw, method: str, path: str, status: int) -> None:
    answer = raw.send(method, path)
    assert answer.status == status
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert raw.get("/v1/models").status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
def test_a_wrong_media_type_is_415(raw: Raw, kind: str) -> None:
    answer = raw.send("POST", "/v1/responses", OK, {"content-type": kind})
    assert answer.status == 415, answer.body
    assert "application/json" in answer.error["message"]
    assert raw.post("/v1/responses", OK).status == 200


def test_a_body_over_the_limit_is_413(raw: Raw) -> None:
    answer = raw.post("/v1/responses", {**OK, "input": "x" * (33 * 1024 * 1024)})
    assert answer.status == 413
    assert answer.error["code"] == "payload_too_large"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "responses/resp_1"),
        ("POST", "responses/compact"),
        ("POST", "responses/input_tokens"),
        ("POST", "prompts"),
        ("POST", "prompts/pmpt_1"),
        ("POST", "prompts/pmpt_1/set-default-version"),
        ("DELETE", "prompts/pmpt_1"),
        ("POST", "chat/completions/chatcmpl-1"),
        ("DELETE", "chat/completions/chatcmpl-1"),
        ("POST", "conversations"),
        ("POST", "conversations/conv_1"),
        ("DELETE", "conversations/conv_1"),
        ("DELETE", "conversations/conv_1/items/msg_1"),
        ("POST", "conversations/conv_1/items"),
    ],
)
def test_a_query_that_asks_for_nothing_known_is_refused(raw: Raw, method: str, path: str) -> None:
    """Or `DELETE /v1/prompts/{prompt_id}?version=2` would delete them all."""
    answer = raw.send(method, f"/v1/{path}?version=2", {} if method == "POST" else None)
    assert answer.status == 400
    assert answer.error["param"] == "version"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=many", "order=sideways", "include=everything"]
)
def test_a_bad_list_query_is_400(raw: Raw, query: str) -> None:
    made = raw.post("/v1/responses", OK).json
    answer = raw.get(f"/v1/responses/{made['id']}/input_items?{query}")
    assert answer.status == 400
    assert answer.error["param"] == query.partition("=")[0]


def test_an_unknown_model_names_those_that_are_served(raw: Raw) -> None:
    error = raw.post("/v1/responses", {**OK, "model": "nobody"}).error
    assert "echo" in error["message"]
    assert error["code"] == "model_not_found"


def test_every_answer_has_a_request_id_and_a_slash_changes_nothing(raw: Raw) -> None:
    for path in ("/v1/models", "/v1/models/", "/livez", "/livez/", "/v1/nothing"):
        assert raw.get(path).headers["x-request-id"]
    sent = raw.send("GET", "/v1/models", None, {"x-request-id": "mine-1"})
    assert sent.headers["x-request-id"]
    assert raw.post("/v1/responses/", OK).status == 200


def test_extensions_that_clients_send_are_taken(raw: Raw) -> None:
    answer = raw.post("/v1/responses", {**OK, "client_metadata": {"a": "b"}, "max_infer_iters": 3})
    assert answer.status == 200, answer.body


def test_probes_and_documents_answer(raw: Raw) -> None:
    for path in ("/livez", "/readyz", "/v1/health", "/v1/version"):
        assert raw.get(path).status == 200, path
    document = json.loads(raw.get("/openapi.json").body)
    assert document["openapi"].startswith("3.1")
    for path in ("/v1/responses", "/v1/responses/{response_id}", "/v1/chat/completions", "/v1/models"):
        assert path in document["paths"], path
    assert raw.get("/docs").status == 200
