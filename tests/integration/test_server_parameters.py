"""The parameters that this server carries out itself, with their effects; the page of parameters names these tests."""

import json
from typing import Any

import openai
import pytest

import antiphon
from tests.integration.clients import Raw
from tests.integration.upstream import Upstream
from tests.wire.fake_upstream import Exchange, FakeUpstream, fake_upstream

TOOL: dict[str, Any] = {
    "type": "function",
    "name": "get_time",
    "parameters": {"type": "object", "properties": {}},
}
OTHER: dict[str, Any] = {**TOOL, "name": "get_weather"}


def create(raw: Raw, **body: Any) -> Any:
    answer = raw.post("/v1/responses", {"model": "up/echo", "input": "hi", **body})
    assert answer.status == 200, answer.body
    return answer.json


def test_model_is_the_upstreams_own_name_there(raw: Raw, upstream: Upstream) -> None:
    assert create(raw, model="up/echo")["model"] == "up/echo"
    assert upstream.last_request()["model"] == "echo"


def test_stream_is_asked_of_the_upstream_as_of_us(raw: Raw, upstream: Upstream) -> None:
    assert create(raw, stream=False)["status"] == "completed"
    assert not upstream.last_request().get("stream")
    answer = raw.post("/v1/responses", {"model": "up/echo", "input": "hi", "stream": True})
    assert answer.body.startswith(b"event: response.created")
    assert upstream.last_request()["stream"] is True


def test_metadata_is_kept_and_stays_here(raw: Raw, upstream: Upstream) -> None:
    made = create(raw, metadata={"ticket": "4711"})
    assert made["metadata"] == {"ticket": "4711"}
    assert raw.get(f"/v1/responses/{made['id']}").json["metadata"] == {"ticket": "4711"}
    assert "4711" not in json.dumps(upstream.last_request())


def test_client_metadata_goes_nowhere(raw: Raw, upstream: Upstream) -> None:
    made = create(raw, client_metadata={"session": "4712"})
    assert "4712" not in json.dumps(upstream.last_request())
    assert "4712" not in json.dumps(raw.get(f"/v1/responses/{made['id']}").json)


def test_max_infer_iters_bounds_the_model_calls(raw: Raw, upstream: Upstream) -> None:
    """`caller` calls the first tool in every step; outside the allowed tools it is asked again."""
    allowed = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": "get_weather"}],
    }
    before = len(upstream.seen.requests)
    create(raw, model="up/caller", tools=[TOOL, OTHER], tool_choice=allowed, max_infer_iters=2)
    asked = upstream.seen.requests[before:]
    assert len(asked) == 2
    assert asked[-1]["tool_choice"] == "none"


def _small(limit: int) -> Any:
    """An upstream with room for so many messages."""

    async def answer(exchange: Exchange) -> None:
        body = json.loads(exchange.body or b"{}")
        if len(body["messages"]) > limit:
            error = {
                "message": "This model's maximum context length is 8 tokens.",
                "code": "context_length_exceeded",
            }
            await exchange.reply(400, json.dumps({"error": error}).encode())
            return
        message = {"role": "assistant", "content": "yes"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        await exchange.reply(200, json.dumps({"choices": [choice]}).encode())

    return answer


def _sent(upstream: FakeUpstream) -> list[str]:
    return [message["content"] for message in json.loads(upstream.exchanges[-1].body)["messages"]]


async def test_truncation_auto_leaves_older_turns_out() -> None:
    turns: list[Any] = [
        {"role": role, "content": f"{role} {n}"} for n in range(4) for role in ("user", "assistant")
    ]
    said: Any = [*turns, {"role": "user", "content": "last"}]
    async with fake_upstream(_small(5)) as upstream:
        entry = {
            "provider_id": "small",
            "provider_type": "remote::openai-compatible",
            "config": {"base_url": upstream.url, "allowed_models": ["m"]},
        }
        config = {"providers": {"inference": [entry]}, "models": [{"model_id": "m", "provider_id": "small"}]}
        async with antiphon.embedded(config, temporary=True) as server:
            create = server.async_client(max_retries=0).with_raw_response.responses.create
            kept = await create(model="m", input=said, truncation="auto", instructions="Be brief.")
            assert (
                json.loads(kept.text if isinstance(kept.text, str) else kept.text())["status"] == "completed"
            )
            assert _sent(upstream)[0] == "Be brief."
            assert _sent(upstream)[-1] == "last"
            assert len(_sent(upstream)) <= 5
            number = len(upstream.exchanges)
            with pytest.raises(openai.BadRequestError, match="context"):
                await create(model="m", input=said, truncation="disabled")
            assert len(upstream.exchanges) == number + 1
