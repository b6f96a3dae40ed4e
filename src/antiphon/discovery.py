"""What `antiphon serve` finds when no inference provider is configured (design: "Embedded defaults").

First what the environment names, then the usual ports of local model servers. All ports are asked at once; one
that has not answered in time counts as empty: a start must not wait for it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from antiphon.config.settings import DiscoverySettings, ProviderSettings

PROBE_TIMEOUT_S = 0.15
_MAX_ANSWER = 256 * 1024


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A model server that people run on their own machine, and the port it takes unless told otherwise."""

    provider_id: str
    provider_type: str
    title: str
    port: int


LOCAL_SERVERS = (
    LocalServer("ollama", "remote::ollama", "Ollama", 11434),
    LocalServer("llama-cpp", "remote::llama-cpp-server", "llama.cpp", 8080),
    LocalServer("vllm", "remote::vllm", "vLLM", 8000),
    LocalServer("lm-studio", "remote::lmstudio", "LM Studio", 1234),
)
DEMO = ProviderSettings(provider_id="demo", provider_type="inline::scripted", config={})


class _Listed(msgspec.Struct):
    id: str


class _ModelList(msgspec.Struct):
    """The part of an OpenAI model list that matters here."""

    data: list[_Listed]


@dataclass(frozen=True, slots=True)
class Found:
    """Providers to serve, never none, and a line for the operator about each."""

    providers: tuple[ProviderSettings, ...]
    lines: tuple[str, ...]
    demo: bool = False  # nothing real was found


async def discover(
    settings: DiscoverySettings, own_port: int, servers: Sequence[LocalServer] = LOCAL_SERVERS
) -> Found:
    """What the environment names and what answers on the ports of `servers`, `own_port` left out.

    Takes at most PROBE_TIMEOUT_S.
    """
    providers, lines = _named(settings)
    taken = {provider.provider_id for provider in providers}
    wanted = [one for one in servers if one.provider_id not in taken and one.port != own_port]
    if not settings.probe:
        wanted = []
    for server, models in zip(wanted, await asyncio.gather(*map(_probe, wanted)), strict=True):
        if models is not None:
            url = f"http://127.0.0.1:{server.port}/v1"
            providers.append(_provider(server.provider_id, server.provider_type, base_url=url))
            lines.append(f"{server.title} at {url}: {_count(models)}")
    if not providers:
        return Found((DEMO,), tuple(lines), demo=True)
    return Found(tuple(providers), tuple(lines))


def _named(settings: DiscoverySettings) -> tuple[list[ProviderSettings], list[str]]:
    providers: list[ProviderSettings] = []
    lines: list[str] = []
    if settings.openai_api_key:
        url, key = settings.openai_base_url, settings.openai_api_key
        providers.append(_provider("openai", "remote::openai", base_url=url, api_key=key))
        lines.append(f"OpenAI{f' at {url}' if url else ''}, by OPENAI_API_KEY")
    if settings.anthropic_api_key:
        url, key = settings.anthropic_base_url, settings.anthropic_api_key
        providers.append(_provider("anthropic", "remote::anthropic", base_url=url, api_key=key))
        lines.append(f"Anthropic{f' at {url}' if url else ''}, by ANTHROPIC_API_KEY")
    if settings.vllm_url:
        url, key = _with_v1(settings.vllm_url), settings.vllm_api_key
        providers.append(_provider("vllm", "remote::vllm", base_url=url, api_key=key))
        lines.append(f"vLLM at {url}, by VLLM_URL")
    if settings.ollama_url:
        url = _with_v1(settings.ollama_url)
        providers.append(_provider("ollama", "remote::ollama", base_url=url))
        lines.append(f"Ollama at {url}, by OLLAMA_URL")
    return providers, lines


def _provider(provider_id: str, provider_type: str, **config: str) -> ProviderSettings:
    given = {key: value for key, value in config.items() if value}
    return ProviderSettings(provider_id=provider_id, provider_type=provider_type, config=given)


def _with_v1(url: str) -> str:
    """Both servers name their root in their own documents; their OpenAI routes are below /v1."""
    url = url.rstrip("/")
    return url if url.endswith("/v1") else f"{url}/v1"


def _count(models: Sequence[str]) -> str:
    if not models:
        return "no models yet"
    shown = ", ".join(models[:3])
    return f"{shown} and {len(models) - 3} more" if len(models) > 3 else shown


async def _probe(server: LocalServer) -> list[str] | None:
    """The models that a server on this port lists; None when nothing there speaks `GET /v1/models`."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return _listed(await _get_models(server.port))
    except (OSError, TimeoutError, ValueError, msgspec.DecodeError):
        return None


async def _get_models(port: int) -> bytes:
    """The raw answer. A bare socket: the pooled client would cost more start time than the question."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=_MAX_ANSWER)
    try:
        head = f"GET /v1/models HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n\r\n"
        writer.write(head.encode())
        return await _read_all(reader)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    """The answer ends with the connection, or by its Content-Length where a server keeps that open."""
    answer = bytearray()
    while len(answer) < _MAX_ANSWER and not _is_whole(answer):
        chunk = await reader.read(65536)
        if not chunk:
            break
        answer += chunk
    return bytes(answer)


def _is_whole(answer: bytearray) -> bool:
    head, blank, body = bytes(answer).partition(b"\r\n\r\n")
    if not blank:
        return False
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line[15:])
    return False


def _listed(answer: bytes) -> list[str]:
    """The ids in an OpenAI model list. Raises ValueError when the answer is something else."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    if not head.startswith(b"HTTP/1.") or status != [b"200"]:
        raise ValueError("no model list")
    if b"transfer-encoding: chunked" in head.lower():
        body = _unchunked(body)
    return [one.id for one in msgspec.json.decode(body, type=_ModelList).data]


def _unchunked(body: bytes) -> bytes:
    """A chunked body in one piece; some servers chunk even to HTTP/1.0. Raises ValueError when cut short."""
    whole = bytearray()
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return bytes(whole)
        whole += body[:length]
        body = body[length + 2 :]
