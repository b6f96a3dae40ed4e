"""An upstream's refusal keeps its meaning and gives nothing away."""

import pytest

from tests.integration.clients import Raw
from tests.integration.upstream import Upstream

EXPECTED: dict[str, tuple[int, str]] = {
    "fails-401": (502, "provider_authentication_failed"),
    "fails-403": (502, "provider_authentication_failed"),
    "fails-429": (429, "rate_limit_exceeded"),
    "fails-400": (400, "provider_rejected"),
    "fails-context": (400, "context_length_exceeded"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", EXPECTED)
@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_an_upstream_error_before_the_first_byte_is_an_http_error(
    raw: Raw, path: str, model: str, stream: bool
) -> None:
    status, code = EXPECTED[model]
    messages = [{"role": "user", "content": "hi"}]
    body = {"model": model, "stream": stream}
    body |= {"input": "hi"} if path == "/v1/responses" else {"messages": messages}
    answer = raw.post(path, body)
    assert (answer.status, answer.error["code"]) == (status, code), answer.body
    assert b"sk-upstream-secret" not in answer.body
    assert b"127.0.0.1" not in answer.body
    if status == 429:
        assert answer.headers["retry-after"] == "0"
    if status == 502:
        assert '"up"' in answer.error["message"] or "up" in answer.error["message"].split()


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_a_broken_upstream_is_a_5xx(raw: Raw, path: str) -> None:
    body = {"model": "fails-500"}
    body |= {"input": "hi"} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "hi"}]}  # type: ignore[dict-item]  # JSON
    answer = raw.post(path, body)
    assert answer.status in {502, 503}
    assert set(answer.error) == {"message", "type", "param", "code"}


def test_our_key_is_sent_upstream_and_the_caller_is_not(raw: Raw, upstream: Upstream) -> None:
    raw.send(
        "POST", "/v1/responses", {"model": "echo", "input": "hi"}, {"authorization": "Bearer caller-key"}
    )
    sent = upstream.seen.headers[-1]
    assert sent["authorization"] == "Bearer sk-upstream-secret"
    assert "caller-key" not in str(sent)


@pytest.mark.parametrize("provider", ["plain", "up"])
def test_json_that_does_not_fit_its_schema_is_asked_for_once_more_and_then_fails(
    raw: Raw, upstream: Upstream, provider: str
) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    text = {"format": {"type": "json_schema", "name": "w", "schema": schema}}
    asked = len(upstream.seen.requests)
    answer = raw.post("/v1/responses", {"model": f"{provider}/not-json", "input": "?", "text": text})
    assert answer.status == 200
    assert answer.json["status"] == "failed"
    assert answer.json["error"]["code"] == "server_error"
    assert len(upstream.seen.requests) == asked + 2
    late = raw.post("/v1/responses", {"model": f"{provider}/json-late", "input": "?", "text": text})
    assert late.json["status"] == "completed"
    assert late.json["output"][-1]["content"][0]["text"] == '{"city":"Paris","degrees":21}'
