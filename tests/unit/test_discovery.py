"""What is found without a configuration, over real sockets on ports the system chose."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from antiphon.config.load import DiscoverySettings
from antiphon.discovery import LocalServer, discover

MODELS = b'{"object":"list","data":[{"id":"llama","object":"model"},{"id":"qwen","object":"model"}]}'
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(MODELS),
    MODELS,
)
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
    len(MODELS),
    MODELS,
)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: bytes | None) -> AsyncGenerator[LocalServer]:
    """A server that answers once with these bytes and closes; with None it never answers."""
    released = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await released.wait()
        else:
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield LocalServer("local", "remote::vllm", "vLLM", server.sockets[0].getsockname()[1])
    finally:
        released.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("answer", [PLAIN, CHUNKED, b"HTTP/1.0 200 OK\r\n\r\n" + MODELS])
async def test_a_local_server_that_lists_models_is_found(answer: bytes) -> None:
    async with listening(answer) as local:
        found = await discover(DiscoverySettings(), 0, [local])
    (provider,) = found.providers
    assert provider.config == {"base_url": f"http://127.0.0.1:{local.port}/v1"}
    assert found.lines == (f"vLLM at http://127.0.0.1:{local.port}/v1: llama, qwen",)
    assert not found.demo


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<ht>",
        b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
        None,
    ],
)
async def test_anything_else_on_the_port_is_passed_over(answer: bytes | None) -> None:
    async with listening(answer) as local:
        found = await discover(DiscoverySettings(), 0, [local])
    assert found.demo
    assert [one.provider_id for one in found.providers] == ["demo"]


async def test_our_own_port_and_a_server_that_the_environment_named_are_not_asked() -> None:
    async with listening(PLAIN) as local:
        assert (await discover(DiscoverySettings(), local.port, [local])).demo
        named = LocalServer("vllm", "remote::vllm", "vLLM", local.port)
        found = await discover(DiscoverySettings(vllm_url="http://gpu:8000"), 0, [named])
    assert [one.config for one in found.providers] == [{"base_url": "http://gpu:8000/v1"}]


async def test_what_the_environment_names_is_taken_without_asking() -> None:
    settings = DiscoverySettings(
        openai_api_key="sk-1", vllm_url="http://gpu:8000/v1/", vllm_api_key="k", ollama_url="http://box:11434"
    )
    found = await discover(settings, 0, [])
    assert {one.provider_id: one.config for one in found.providers} == {
        "openai": {"api_key": "sk-1"},
        "vllm": {"base_url": "http://gpu:8000/v1", "api_key": "k"},
        "ollama": {"base_url": "http://box:11434/v1"},
    }
    assert "sk-1" not in "".join(found.lines)


async def test_probing_can_be_switched_off() -> None:
    async with listening(PLAIN) as local:
        assert (await discover(DiscoverySettings(probe=False), 0, [local])).demo


async def test_an_anthropic_key_is_a_provider() -> None:
    found = await discover(DiscoverySettings(anthropic_api_key="sk-ant-key"), 0, [])
    assert not found.demo
    assert [one.provider_type for one in found.providers] == ["remote::anthropic"]
    assert found.lines == ("Anthropic, by ANTHROPIC_API_KEY",)
    url = "http://gateway:4000"
    found = await discover(DiscoverySettings(anthropic_api_key="sk-ant-key", anthropic_base_url=url), 0, [])
    assert [one.config for one in found.providers] == [{"base_url": url, "api_key": "sk-ant-key"}]
    assert found.lines == (f"Anthropic at {url}, by ANTHROPIC_API_KEY",)
