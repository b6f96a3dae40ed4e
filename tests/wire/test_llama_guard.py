"""Llama Guard over the chat wire: what goes out, and what real and broken servers answer."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.shields import ShieldMessage, Violation
from antiphon.models.catalog import Catalog
from antiphon.ports.safety import Shield
from antiphon.providers.remote import Remote
from antiphon.providers.upstream import UpstreamClient
from antiphon.safety.asking import CatalogModels
from antiphon.safety.guards import Guards
from antiphon.safety.registry import KnownShield
from antiphon.shields.llama_guard import MAX_TOKENS, LlamaGuard
from tests.shields_world import ANNE, registry
from tests.wire.fake_upstream import Exchange, FakeUpstream, Handler, fake_upstream
from tests.wire.recordings import Recording, load, params
from tests.wire.test_upstream import CountingIds, FixedClock

MODEL = "ollama/llama-guard3:1b"
RECORDED = [one for one in load() if "llama-guard" in str(one.request.get("model"))]
PNG = "data:image/png;base64,iVBORw0KGgo="


def completion(content: str | None, finish: str = "stop", **more: Any) -> bytes:
    message = {"role": "assistant", "content": content, **more}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 0, "choices": [choice]}).encode()


def replying(body: bytes, status: int = 200) -> Handler:
    async def reply(exchange: Exchange) -> None:
        await exchange.reply(status, body)

    return reply


async def hang_up(exchange: Exchange) -> None:
    exchange.writer.close()


async def say_nothing(exchange: Exchange) -> None:
    await exchange.gone()


@asynccontextmanager
async def guarded(
    handler: Handler, timeout_s: float = 30.0, model: str = MODEL
) -> AsyncGenerator[tuple[Guards, FakeUpstream]]:
    async def no_wait(_: float) -> None:
        return

    clock = FixedClock()
    client = UpstreamClient(clock, sleep=no_wait, jitter=lambda: 1.0)
    async with fake_upstream(handler) as upstream:
        config = {"base_url": upstream.url, "wire": "chat", "allowed_models": [model.partition("/")[2]]}
        provider = Remote.from_config("ollama", "remote::openai-compatible", config, client, CountingIds())
        catalog = Catalog({"ollama": provider}, [], clock=clock)
        guard = LlamaGuard.from_config("lg", {}, CatalogModels(catalog), Path())
        known = registry(guard)
        shield = KnownShield(Shield("lg", model, {}), "lg", guard, timeout_s)
        yield Guards(type(known)({"lg": guard}, "lg", {"lg": shield}, known.records, timeout_s)), upstream
        await catalog.aclose()
    await client.aclose()


async def ask(guards: Guards, *images: str) -> Violation | None:
    return await guards.run(ANNE, ["lg"], [ShieldMessage("user", "hello", images)], "user-input")


@pytest.mark.parametrize("recording", params(RECORDED))
async def test_what_a_real_server_answered_is_read(recording: Recording) -> None:
    async with guarded(replying(recording.body())) as (guards, upstream):
        assert await ask(guards) is None
        sent = json.loads(upstream.exchanges[-1].body)
        assert sent["messages"][0]["role"] == "user"
        assert set(sent["messages"][0]) == set(recording.request["messages"][0])
        assert isinstance(sent["messages"][0]["content"], str)
        assert sent["temperature"] == recording.request["temperature"] == 0
        assert not sent.get("stream")


async def test_the_question_is_one_message_sampled_greedily_and_short() -> None:
    async with guarded(replying(completion("unsafe\nS2"))) as (guards, upstream):
        found = await ask(guards)
        assert found is not None
        assert found.metadata["categories"] == ["Non-Violent Crimes"]
        sent = json.loads(upstream.exchanges[-1].body)
        assert sent["model"] == "llama-guard3:1b"
        assert len(sent["messages"]) == 1
        assert MAX_TOKENS in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
        assert "tools" not in sent


async def test_a_model_that_sees_is_sent_the_image() -> None:
    model = "ollama/llama-guard-4-12b"
    async with guarded(replying(completion("safe")), model=model) as (guards, upstream):
        assert await ask(guards, PNG) is None
        content = json.loads(upstream.exchanges[-1].body)["messages"][0]["content"]
        assert [part["type"] for part in content] == ["text", "image_url"]
        assert content[1]["image_url"]["url"] == PNG


BROKEN: list[tuple[str, Handler, str]] = [
    ("nobody there", hang_up, "unreachable"),
    ("500", replying(b'{"error": {"message": "oh"}}', 500), "unreachable"),
    ("401", replying(b'{"error": {"message": "no"}}', 401), "unreachable"),
    ("404", replying(b'{"error": {"message": "model not found"}}', 404), "unreachable"),
    ("no JSON", replying(b"<html>safe</html>"), "malformed"),
    ("no choice", replying(b'{"id": "c", "object": "chat.completion", "choices": []}'), "malformed"),
    ("null", replying(completion(None)), "malformed"),
    ("words", replying(completion("This is safe.")), "malformed"),
    ("cut off", replying(completion("safe", "length")), "malformed"),
    ("filtered", replying(completion("safe", "content_filter")), "malformed"),
    ("refused", replying(completion("safe", refusal="I cannot judge this.")), "malformed"),
    ("unknown category", replying(completion("unsafe\nS99")), "malformed"),
]


@pytest.mark.parametrize(("handler", "reason"), [one[1:] for one in BROKEN], ids=[one[0] for one in BROKEN])
async def test_an_answer_that_is_none_blocks(handler: Handler, reason: str) -> None:
    async with guarded(handler) as (guards, _):
        found = await ask(guards)
    assert found is not None
    assert found.violation_level == "error"
    assert found.metadata == {"reason": reason, "shield_id": "lg"}


async def test_a_server_that_says_nothing_blocks_in_time() -> None:
    async with guarded(say_nothing, timeout_s=0.05) as (guards, _):
        found = await ask(guards)
    assert found is not None
    assert found.metadata == {"reason": "timeout", "shield_id": "lg"}
