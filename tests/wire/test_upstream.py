"""The chat wire over real sockets: retries, refusals, time limits, cancellation, and what must never leak."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest

from antiphon.core import errors
from antiphon.core.commands import CallModel
from antiphon.core.items import FunctionCall, Message
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ItemDone, ModelSignal, StepDone, TextDelta
from antiphon.core.transcript import Transcript
from antiphon.ports import ModelInfo
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.upstream import UpstreamClient
from tests.wire.fake_upstream import Exchange, FakeUpstream, fake_upstream
from tests.wire.recordings import Recording, load, params

KEY = "sk-very-secret-0123456789"
ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


class FixedClock:
    def now(self) -> int:
        return 1_800_000_000

    def now_us(self) -> int:
        return self.now() * 1_000_000


@dataclass
class CountingIds:
    made: int = 0

    def new(self, prefix: str) -> str:
        self.made += 1
        return f"{prefix}{self.made}"


@dataclass
class Rig:
    """A client whose waits are written down and not waited."""

    client: UpstreamClient
    waits: list[float] = field(default_factory=list[float])

    def provider(self, upstream: FakeUpstream, **config: Any) -> OpenAIChat:
        mapping = {"base_url": upstream.url, "api_key": KEY, **config}
        return OpenAIChat.from_config(
            "main", "remote::openai-compatible", mapping, self.client, CountingIds()
        )


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    client = UpstreamClient(FixedClock(), sleep=sleep, jitter=lambda: 1.0)
    yield Rig(client, waits)
    await client.aclose()


def call(*, stream: bool = True, **more: Any) -> CallModel:
    request = ResponseRequest.parse(json.dumps({"model": "m", "input": "hi", **more}).encode())
    return CallModel(request, Transcript(items=(Message(role="user", content="hi"),)), stream=stream)


async def run(
    provider: OpenAIChat, step: CallModel, heard: list[ModelSignal] | None = None
) -> list[ModelSignal]:
    """Every signal of a call; `heard` has those before an error too."""
    kept = heard if heard is not None else []
    async with aclosing(provider.stream("m", step)) as batches:
        async for batch in batches:
            kept += batch
    return kept


def event(**chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def text(content: str) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": content}}])


STOP = event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])


async def good(exchange: Exchange) -> None:
    await exchange.reply(200, json.dumps(ANSWER).encode())


def answer(status: int, body: Any = None, *headers: str) -> Any:
    async def handler(exchange: Exchange) -> None:
        await exchange.reply(status, b"" if body is None else json.dumps(body).encode(), *headers)

    return handler


async def hang_up(exchange: Exchange) -> None:
    exchange.writer.close()


# --- the good case -------------------------------------------------------------------------------------------
async def test_an_answer_in_one_piece_is_items_and_an_end(rig: Rig) -> None:
    async with fake_upstream(good) as upstream:
        heard = await run(rig.provider(upstream), call(stream=False))
    assert [type(one) for one in heard] == [ItemDone, StepDone]
    sent = upstream.exchanges[0]
    assert sent.target == "/v1/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(sent.body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
    }


async def test_streams_share_one_connection_when_each_was_read_to_its_end(rig: Rig) -> None:
    async def stream(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(text("a") + STOP)
        await exchange.chunk(b"data: [DONE]\n\n")
        await exchange.end_stream()

    async with fake_upstream(stream) as upstream:
        provider = rig.provider(upstream)
        for _ in range(3):
            heard = await run(provider, call())
            assert isinstance(heard[-1], StepDone)
        assert upstream.connections == 1


async def test_the_head_is_reported_before_the_first_token(rig: Rig) -> None:
    go = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await go.wait()
        await exchange.chunk(text("late") + STOP + b"data: [DONE]\n\n")
        await exchange.end_stream()

    async with (
        fake_upstream(slow) as upstream,
        aclosing(rig.provider(upstream).stream("m", call())) as batches,
    ):
        assert list(await anext(batches)) == []
        go.set()
        rest = [signal async for batch in batches for signal in batch]
    assert any(isinstance(one, TextDelta) and one.text == "late" for one in rest)


async def test_a_server_that_answers_a_stream_request_whole_is_understood(rig: Rig) -> None:
    async with fake_upstream(good) as upstream:
        heard = await run(rig.provider(upstream), call(stream=True))
    assert [type(one) for one in heard] == [ItemDone, StepDone]


async def test_calls_without_ids_get_ids_of_ours(rig: Rig) -> None:
    fragment = {"function": {"name": "f", "arguments": {"a": 1}}}
    body = {"choices": [{"message": {"tool_calls": [fragment, fragment]}, "finish_reason": "stop"}]}
    async with fake_upstream(answer(200, body)) as upstream:
        heard = await run(rig.provider(upstream), call(stream=False))
    items = [one.item for one in heard if isinstance(one, ItemDone)]
    assert items == [FunctionCall(call_id=f"call_{n}", name="f", arguments='{"a":1}') for n in (1, 2)]


# --- retries -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
async def test_a_passing_trouble_is_tried_again(rig: Rig, status: int) -> None:
    async with fake_upstream(answer(status), answer(status), good) as upstream:
        await run(rig.provider(upstream), call(stream=False))
    assert rig.waits == [0.5, 1.0]
    assert len(upstream.exchanges) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422, 501, 302])
async def test_a_refusal_is_not_tried_again(rig: Rig, status: int) -> None:
    async with fake_upstream(answer(status), good) as upstream:
        with pytest.raises(errors.ProviderError):
            await run(rig.provider(upstream), call(stream=False))
    assert len(upstream.exchanges) == 1


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("image input is not supported - hint: you may need the mmproj", errors.ProviderRejected),
        ("input (900 tokens) is too large to process", errors.ProviderContextLength),
    ],
)
async def test_a_request_that_is_refused_by_a_500_is_not_tried_again(
    rig: Rig, message: str, kind: type[errors.ProviderError]
) -> None:
    async with fake_upstream(answer(500, {"error": {"message": message}}), good) as upstream:
        with pytest.raises(kind):
            await run(rig.provider(upstream), call(stream=False))
    assert len(upstream.exchanges) == 1


async def test_a_lost_connection_is_tried_again(rig: Rig) -> None:
    async with fake_upstream(hang_up, good) as upstream:
        await run(rig.provider(upstream), call(stream=False))
    assert len(upstream.exchanges) == 2


async def test_a_server_that_is_not_there_is_unavailable(rig: Rig) -> None:
    async with fake_upstream(good) as upstream:
        provider = rig.provider(upstream)
    with pytest.raises(errors.ProviderUnavailable) as caught:
        await run(provider, call(stream=False))
    assert len(rig.waits) == 2
    assert str(upstream.port) not in caught.value.message


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("retry-after: 7", 7.0),
        ("retry-after-ms: 250", 0.25),
        ("retry-after: Fri, 01 Jan 2027 00:00:09 GMT\r\ndate: Fri, 01 Jan 2027 00:00:00 GMT", 9.0),
        ("retry-after: soon", 0.5),
    ],
)
async def test_retry_after_is_honoured(rig: Rig, header: str, wait: float) -> None:
    async with fake_upstream(answer(429, {}, header), good) as upstream:
        await run(rig.provider(upstream), call(stream=False))
    assert rig.waits == [wait]


async def test_an_upstream_that_asks_for_too_long_a_wait_is_not_waited_for(rig: Rig) -> None:
    async with fake_upstream(answer(429, {}, "retry-after: 120"), good) as upstream:
        with pytest.raises(errors.ProviderRateLimited) as caught:
            await run(rig.provider(upstream), call(stream=False))
    assert caught.value.headers == {"retry-after": "120"}
    assert rig.waits == []


async def test_nothing_is_tried_again_after_the_head(rig: Rig) -> None:
    async def broken(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(text("half"))
        exchange.writer.close()

    async with fake_upstream(broken, good) as upstream:
        heard: list[ModelSignal] = []
        with pytest.raises(errors.ProviderProtocolError, match="broke off"):
            await run(rig.provider(upstream), call(), heard)
    assert any(isinstance(one, TextDelta) for one in heard)
    assert len(upstream.exchanges) == 1


async def test_an_error_inside_a_stream_keeps_its_meaning(rig: Rig) -> None:
    async def failing(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(text("a") + event(error={"message": "slow down", "code": 429}))
        await exchange.end_stream()

    async with fake_upstream(failing) as upstream:
        with pytest.raises(errors.ProviderRateLimited, match="slow down"):
            await run(rig.provider(upstream), call())
    assert len(upstream.exchanges) == 1


# --- time limits and cancellation ----------------------------------------------------------------------------
async def silent(exchange: Exchange) -> None:
    await exchange.gone()


async def test_no_first_byte_is_a_timeout_and_not_tried_again(rig: Rig) -> None:
    async with fake_upstream(silent) as upstream:
        provider = rig.provider(upstream, timeouts={"first_byte_s": 0.02})
        with pytest.raises(errors.ProviderTimeout):
            await run(provider, call())
    assert len(upstream.exchanges) == 1


async def test_a_stream_that_falls_silent_is_a_timeout(rig: Rig) -> None:
    async def stalls(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(text("a"))
        await exchange.gone()

    async with fake_upstream(stalls) as upstream:
        provider = rig.provider(upstream, timeouts={"idle_s": 0.02})
        with pytest.raises(errors.ProviderTimeout):
            await run(provider, call())


async def test_closing_the_iterator_closes_the_upstream_connection(rig: Rig) -> None:
    closed = asyncio.Event()

    async def endless(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(text("a"))
        await exchange.gone()
        closed.set()

    async with fake_upstream(endless) as upstream:
        batches = rig.provider(upstream).stream("m", call())
        assert not await anext(batches)
        assert await anext(batches)
        await batches.aclose()
        await closed.wait()


async def test_cancelling_the_reader_closes_the_upstream_connection(rig: Rig) -> None:
    reached, closed = asyncio.Event(), asyncio.Event()

    async def stuck(exchange: Exchange) -> None:
        reached.set()
        await exchange.gone()
        closed.set()

    async with fake_upstream(stuck) as upstream:
        task = asyncio.create_task(run(rig.provider(upstream), call()))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await closed.wait()


# --- refusals ------------------------------------------------------------------------------------------------
async def test_refused_credentials_name_the_provider_and_no_secret(rig: Rig) -> None:
    said = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
    async with fake_upstream(answer(401, said)) as upstream:
        with pytest.raises(errors.ProviderAuthFailed) as caught:
            await run(rig.provider(upstream), call())
    assert caught.value.status == 502
    assert '"main"' in caught.value.message
    assert KEY not in caught.value.message


async def test_a_message_that_quotes_the_key_or_the_address_is_cleaned(rig: Rig) -> None:
    async with fake_upstream() as upstream:
        said = {"error": {"message": f"bad\x00 header {KEY} at 127.0.0.1:{upstream.port}" + "x" * 2000}}
        upstream.handlers = (answer(400, said),)
        with pytest.raises(errors.ProviderRejected) as caught:
            await run(rig.provider(upstream), call())
    message = caught.value.message
    assert KEY not in message
    assert "127.0.0.1" not in message
    assert "\x00" not in message
    assert len(message) < 600


async def test_a_rejected_parameter_is_named_as_our_caller_wrote_it(rig: Rig) -> None:
    said = {"error": {"message": "too many", "param": "max_tokens", "type": "invalid_request_error"}}
    async with fake_upstream(answer(400, said)) as upstream:
        provider = rig.provider(upstream)
        with pytest.raises(errors.ProviderRejected, match="too many") as caught:
            await run(provider, call())
        with pytest.raises(errors.ProviderRejected) as passed_through:
            await provider.open("/chat/completions", b"{}", model="m")
    assert caught.value.param == "max_output_tokens"
    assert passed_through.value.param == "max_tokens"


# --- passing through, listing --------------------------------------------------------------------------------
async def test_a_passed_through_answer_keeps_its_bytes(rig: Rig) -> None:
    async with fake_upstream(good) as upstream:
        reply = await rig.provider(upstream).open("/completions", b'{"x":1}', model="m")
        async with reply:
            assert json.loads(await reply.read()) == ANSWER
    assert upstream.exchanges[0].target == "/v1/completions"
    assert upstream.exchanges[0].body == b'{"x":1}'


async def test_a_passed_through_stream_comes_as_it_came(rig: Rig) -> None:
    sent = text("a") + STOP + b"data: [DONE]\n\n"

    async def stream(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for start in range(0, len(sent), 10):
            await exchange.chunk(sent[start : start + 10])
        await exchange.end_stream()

    async with (
        fake_upstream(stream) as upstream,
        await rig.provider(upstream).open("/chat/completions", b"{}", model="m") as reply,
    ):
        received = b"".join([chunk async for chunk in reply])
    assert received == sent


async def test_models_are_listed_with_seconds_and_an_owner(rig: Rig) -> None:
    listed = {"data": [{"id": "a", "created": 1726531200000, "owned_by": "x"}, {"id": "b", "created": None}]}
    async with fake_upstream(answer(200, listed)) as upstream:
        models = await rig.provider(upstream).list_models()
    assert list(models) == [ModelInfo("a", 1726531200, "x"), ModelInfo("b", 0, "main")]
    assert upstream.exchanges[0].target == "/v1/models"


@pytest.mark.parametrize("recording", params([one for one in load() if one.endpoint.endswith("/models")]))
async def test_recorded_model_lists_are_read(rig: Rig, recording: Recording) -> None:
    async with fake_upstream(answer(200, {"object": "list", "data": recording.response})) as upstream:
        models = await rig.provider(upstream).list_models()
    assert [model.name for model in models] == [one["id"] for one in recording.response]
    assert all(0 <= model.created_at < 10_000_000_000 for model in models)
    assert all(model.owned_by for model in models)


@pytest.mark.parametrize(
    "recording", params([one for one in load() if one.response and not one.endpoint.endswith("/models")])
)
async def test_recorded_answers_pass_through_unchanged(rig: Rig, recording: Recording) -> None:
    sent = recording.sse() if recording.stream else recording.body()

    async def handler(exchange: Exchange) -> None:
        await exchange.reply(200, sent)

    async with (
        fake_upstream(handler) as upstream,
        await rig.provider(upstream).open(recording.endpoint.removeprefix("/v1"), b"{}", model="m") as reply,
    ):
        assert b"".join([chunk async for chunk in reply]) == sent


async def test_azure_names_the_deployment_in_the_path_and_the_key_in_its_own_header(rig: Rig) -> None:
    async with fake_upstream(good) as upstream:
        config = {
            "base_url": f"http://127.0.0.1:{upstream.port}",
            "api_key": KEY,
            "api_version": "2024-10-21",
        }
        provider = OpenAIChat.from_config("az", "remote::azure", config, rig.client, CountingIds())
        async with aclosing(provider.stream("my-gpt", call(stream=False))) as batches:
            _ = [batch async for batch in batches]
    sent = upstream.exchanges[0]
    assert sent.target == "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert sent.headers["api-key"] == KEY
    assert "authorization" not in sent.headers
