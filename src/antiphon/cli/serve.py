"""`antiphon serve`: find models, open the state, listen, say what is served."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Iterator, Sequence

import msgspec
import uvicorn

from antiphon import __version__
from antiphon.app import build
from antiphon.cli.check import auth_line
from antiphon.cli.http_server import uvicorn_config
from antiphon.config.settings import ConfigError, Settings
from antiphon.discovery import Found, discover
from antiphon.web.edge import Edge

_BACKLOG = 2048


def serve(settings: Settings, models: Sequence[str] = ()) -> int:
    """Serve until SIGTERM or SIGINT; then finish what runs, for at most `shutdown_grace_s`.

    `models` are those of `--model`: paths of GGUF files and `hf:` references.
    """
    found: Found | None = None
    if models:
        from antiphon.cli.local_models import with_models

        settings = with_models(settings, models)
    if not settings.providers.inference:
        found = asyncio.run(discover(settings.discovery, settings.server.port))
        settings = settings.with_inference(found.providers)
    listener = _listen(settings)
    # uvicorn stops gracefully and then raises the signal again for whoever handled it before: a stop that was asked
    # for is no failure.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, _stopped)
    try:
        edge = build(_listening(settings, listener))
        grace_s = max(1, round(settings.server.shutdown_grace_s))
        config = uvicorn_config(edge, settings.server, grace_s=grace_s)
        server = _Server(config, edge, "\n".join(_summary(settings, found, listener)))
        server.run(sockets=[listener])
    finally:
        listener.close()
    return 0 if server.started else 1


def _stopped(_number: int, _frame: object) -> None:
    """The server has stopped already when this runs."""


class _Server(uvicorn.Server):
    """Prints the summary when requests are answered, not before."""

    def __init__(self, config: uvicorn.Config, edge: Edge, summary: str) -> None:
        super().__init__(config)
        self._edge = edge
        self._summary = summary

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        _settle_garbage_collector()
        if self.started:
            sys.stdout.write(self._summary + "\n")
            sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._edge.end()
        await super().shutdown(sockets=sockets)


def _settle_garbage_collector() -> None:
    """What start-up made lives as long as the process: it need not be looked at again.

    The threshold is the number of new objects between collections. With 700, the default, every few requests pay
    for one; what a request makes is freed by its reference counts, so collections find next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _listen(settings: Settings) -> socket.socket:
    """The listening socket. Raises ConfigError when the address is taken or is not ours."""
    host, port = settings.server.host.strip("[]"), settings.server.port
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        advice = "; another server may be running there: choose a --port, 0 for a free one"
        message = f"cannot listen on {host}:{port}: {error.strerror or error}{advice}"
        raise ConfigError(None, None, message) from None


def _listening(settings: Settings, listener: socket.socket) -> Settings:
    """With the port that the system chose, where it was asked to: links that lead back here name it."""
    server = msgspec.structs.replace(settings.server, port=listener.getsockname()[1])
    return msgspec.structs.replace(settings, server=server)


def _summary(settings: Settings, found: Found | None, listener: socket.socket) -> Iterator[str]:
    host = settings.server.host.strip("[]")
    scheme = "https" if settings.server.tls_certfile else "http"
    port = listener.getsockname()[1]
    address = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    yield f"antiphon {__version__}"
    yield f"  models  {_models(settings, found)}"
    for line in found.lines if found else ():
        yield f"          {line}"
    if found and found.demo:
        yield "          connect a real one: start Ollama, llama.cpp, vLLM or LM Studio, or set OPENAI_API_KEY"
    yield f"  state   {settings.storage.url.removeprefix('sqlite:///')}"
    if settings.recording.path:
        yield f"  record  {settings.recording.path}"
    yield f"  access  {auth_line(settings)}"
    yield f"  config  {settings.source or 'none'}"
    yield f"  docs    {address}/docs"
    for note in settings.notes:
        yield f"  note    {note}"
    yield f"listening on {address}"


def _models(settings: Settings, found: Found | None) -> str:
    if found and found.demo:
        return "demo, a scripted model: no model server was found"
    return "from " + ", ".join(provider.provider_id for provider in settings.providers.inference)
