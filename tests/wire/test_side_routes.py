"""How each wire asks its upstream to count tokens and to compact, and what becomes of an upstream that cannot."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.models.catalog import Catalog, NamedModel
from antiphon.plugins import provider_class
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer
from antiphon.testing.simulation import Answer, exchange
from tests.wire.fake_responses import USAGE
from tests.wire.fake_side_routes import AZURE, BLOB, COUNTED, FakeSideRoutes

Json = dict[str, Any]
HEADER = "x-antiphon-token-count"
LONG = "remember the lighthouse " * 900
FULL = [{"type": "compaction", "compact_threshold": 1000}]
TOOL: Json = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
PROVIDERS: dict[str, tuple[str, Json]] = {
    "openai": ("remote::openai", {"wire": "responses"}),
    "second": ("remote::openai", {"wire": "responses"}),
    "auto": ("remote::openai", {"wire": "auto"}),
    "azure": ("remote::azure", {"wire": "responses"}),
    "vllm": ("remote::vllm", {}),
    "llama": ("remote::llama-cpp-server", {}),
    "claude": ("remote::anthropic", {}),
    "plain": ("remote::openai-compatible", {"wire": "chat"}),
}


@dataclass
class Front:
    """Our server in front of a model server whose every route is of every kind. Models are PROVIDER/MODEL."""

    app: Any
    fake: FakeSideRoutes

    async def post(self, path: str, model: str, **fields: Any) -> Answer:
        return await exchange(self.app, "POST", f"/v1/responses{path}", {"model": model, **fields})

    async def ok(self, path: str, model: str, **fields: Any) -> Json:
        answer = await self.post(path, model, **fields)
        assert answer.status == 200, answer.body
        found: Json = answer.json
        return found


@pytest.fixture(scope="module")
def running() -> Iterator[FakeSideRoutes]:
    with FakeSideRoutes() as fake:
        yield fake


@pytest.fixture
def fake(running: FakeSideRoutes) -> Iterator[FakeSideRoutes]:
    """What it was sent, and what it sent, keeps to the official document."""
    running.seen.violations.clear()
    running.asked.clear()
    yield running
    assert running.seen.violations == []


def _address(fake: FakeSideRoutes, provider: str) -> str:
    return fake.url.replace("/v1", AZURE if provider == "azure" else "/v1")


@pytest.fixture
async def front(fake: FakeSideRoutes) -> AsyncIterator[Front]:
    clock = FakeClock()
    client = UpstreamClient(clock)
    providers = {
        name: provider_class(kind).from_config(
            name,
            kind,
            {
                "base_url": _address(fake, name),
                "api_key": "sk-secret",
                "max_retries": 0,
                **more,
            },
            client,
            FakeIds(),
        )
        for name, (kind, more) in PROVIDERS.items()
    }
    upstream_models = ("echo", "caller", "x-broken", "x-nonsense", "x-gone", "x-bare")
    named = [NamedModel(f"{name}/{model}", name, model) for name in PROVIDERS for model in upstream_models]
    catalog = Catalog(providers, named, clock=clock)
    services = services_for(
        Settings(), catalog, MemoryStore(), client, clock, FakeIds(), sealer=PlainSealer()
    )
    yield Front(serve(services, FakeIds()), fake)
    await client.aclose()


# --- counting ---------------------------------------------------------------------------------------------------
async def test_vllm_is_asked_with_messages_and_tools(front: Front) -> None:
    answer = await front.post(
        "/input_tokens", "vllm/echo", input="hi", instructions="Be brief.", tools=[TOOL]
    )
    assert (answer.headers[HEADER], answer.json["input_tokens"]) == ("exact", COUNTED)
    [(path, body)] = front.fake.asked
    assert path == "/tokenize"
    assert set(body) == {"model", "messages", "tools"}
    assert [one["role"] for one in body["messages"]] == ["system", "user"]
    assert body["tools"][0]["function"]["name"] == "weather"


async def test_llama_cpp_makes_the_prompt_first(front: Front) -> None:
    answer = await front.post("/input_tokens", "llama/echo", input="hi", tools=[TOOL])
    assert (answer.headers[HEADER], answer.json["input_tokens"]) == ("exact", COUNTED)
    (first, asked), (second, text) = front.fake.asked
    assert (first, second) == ("/apply-template", "/tokenize")
    assert set(asked) >= {"messages", "tools"}
    assert text == {"content": "<the prompt>", "add_special": True, "parse_special": True}


async def test_anthropic_is_asked_without_what_only_an_answer_needs(front: Front) -> None:
    answer = await front.post(
        "/input_tokens", "claude/echo", input="hi", instructions="Be brief.", tools=[TOOL]
    )
    assert (answer.headers[HEADER], answer.json["input_tokens"]) == ("exact", COUNTED)
    [(path, body)] = front.fake.asked
    assert path == "/v1/messages/count_tokens"
    assert {"model", "messages", "system", "tools"} <= set(body)
    assert not {"max_tokens", "stream", "temperature"} & set(body)


@pytest.mark.parametrize("provider", ["openai", "auto"])
async def test_openai_is_asked_by_its_own_route(front: Front, provider: str) -> None:
    answer = await front.post(
        "/input_tokens", f"{provider}/echo", input="hi", instructions="Be brief.", tools=[TOOL]
    )
    assert (answer.headers[HEADER], answer.json["input_tokens"]) == ("exact", COUNTED)
    path, body = front.fake.asked[-1]
    assert path == "/v1/responses/input_tokens"
    assert not {"store", "stream", "include"} & set(body)


@pytest.mark.parametrize("provider", ["openai", "auto", "vllm", "claude"])
@pytest.mark.parametrize("model", ["x-broken", "x-nonsense", "x-bare"])
async def test_a_tokenizer_that_fails_costs_the_exactness_alone(
    front: Front, provider: str, model: str
) -> None:
    answer = await front.post("/input_tokens", f"{provider}/{model}", input="x" * 4000)
    assert (answer.status, answer.headers[HEADER]) == (200, "estimated")
    assert 1000 <= answer.json["input_tokens"] < 1100


@pytest.mark.parametrize("provider", ["openai", "vllm", "claude"])
async def test_a_model_that_is_unknown_there_is_an_error_here(front: Front, provider: str) -> None:
    answer = await front.post("/input_tokens", f"{provider}/x-gone", input="x")
    assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("provider", ["plain", "azure"])
async def test_an_upstream_without_a_tokenizer_is_not_asked(front: Front, provider: str) -> None:
    answer = await front.post("/input_tokens", f"{provider}/echo", input="x" * 4000)
    assert (answer.status, answer.headers[HEADER]) == (200, "estimated")
    assert front.fake.asked == []


# --- compaction -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("provider", ["openai", "auto", "azure"])
async def test_an_upstream_that_compacts_does_it(front: Front, provider: str) -> None:
    items = [{"role": "user", "content": "the key is 7"}, {"role": "assistant", "content": "ok"}]
    made = await front.ok(
        "/compact", f"{provider}/echo", input=items, instructions="Be brief.", prompt_cache_key="k"
    )
    path, body = front.fake.asked[-1]
    assert path.endswith("/v1/responses/compact")
    assert [one["content"] for one in body["input"]][1] == "ok"
    assert body["instructions"] == "Be brief."
    assert not {"store", "stream", "include"} & set(body)
    assert [one["type"] for one in made["output"]] == ["message", "compaction"]
    assert made["output"][0]["content"][0]["text"] == "the key is 7"  # as it was sent, not as it came back
    assert made["usage"] == USAGE
    assert BLOB not in str(made["output"][-1])
    await front.ok("", f"{provider}/echo", input=[*made["output"], {"role": "user", "content": "go on"}])
    sent = front.fake.last_request()["input"]
    assert sent[1] == {"type": "compaction", "encrypted_content": BLOB}
    assert sent[2]["content"] == [{"type": "input_text", "text": "go on"}]


@pytest.mark.parametrize("other", ["second", "vllm", "claude", "plain"])
async def test_its_blob_goes_to_nobody_else(front: Front, other: str) -> None:
    made = await front.ok("/compact", "openai/echo", input="the key is 7")
    answer = await front.post("", f"{other}/echo", input=[*made["output"], {"role": "user", "content": "x"}])
    error = answer.json["error"]
    assert (answer.status, error["code"], error["param"]) == (400, "unsupported_parameter", "input")
    assert BLOB not in str(error)


async def test_a_response_is_compacted_by_its_upstream(front: Front) -> None:
    parent = await front.ok("", "openai/echo", input=LONG)
    front.fake.asked.clear()
    made = await front.ok(
        "",
        "openai/echo",
        input="what was it?",
        previous_response_id=parent["id"],
        context_management=FULL,
    )
    assert [one["type"] for one in made["output"]] == ["message"]  # their tokenizer counts 123
    assert [path for path, _ in front.fake.asked] == ["/v1/responses/input_tokens"]
    made = await front.ok(
        "", "azure/echo", input="what was it?", previous_response_id=parent["id"], context_management=FULL
    )
    assert [one["type"] for one in made["output"]] == ["compaction", "message"]
    sent = front.fake.last_request()["input"]
    assert [one.get("role", one["type"]) for one in sent] == ["user", "compaction", "user"]
    assert made["usage"]["total_tokens"] == 2 * USAGE["total_tokens"]
    await front.ok("", "azure/echo", input="go on", previous_response_id=made["id"])
    sent = front.fake.last_request()["input"]
    assert [one.get("role", one["type"]) for one in sent] == [
        "user",
        "compaction",
        "user",
        "assistant",
        "user",
    ]


async def test_a_gateway_without_the_route_is_asked_for_a_summary(front: Front) -> None:
    made = await front.ok("/compact", "openai/x-bare", input="the key is 7")
    assert [one["type"] for one in made["output"]] == ["message", "compaction"]
    sent = front.fake.last_request()
    assert "tools" not in sent
    assert sent["instructions"].startswith("You write the summary")
    await front.ok("", "second/echo", input=[*made["output"], {"role": "user", "content": "x"}])


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("x-broken", 503, "provider_unavailable"),
        ("x-nonsense", 502, "provider_protocol_error"),
        ("x-gone", 404, "model_not_found"),
    ],
)
async def test_the_route_tells_what_their_compaction_failed_with(
    front: Front, model: str, status: int, code: str
) -> None:
    answer = await front.post("/compact", f"openai/{model}", input="x")
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
