"""`EmbeddedServer`: start, ready clients, stop."""

import atexit
import tempfile
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import msgspec

from antiphon.config.load import load, load_mapping
from antiphon.config.settings import Settings, StorageSettings
from antiphon.in_process.host import Host, LoopThread, ServerClosed

if TYPE_CHECKING:
    import httpx2
    import openai

BASE_URL = "http://embedded.invalid/v1"
"""A name that can never be looked up (RFC 6761, section 6.4), should a request miss the transport."""

NO_WEBSOCKET = "embedded://takes-no-websocket.use.antiphon-serve/v1"
"""Where the client's WebSocket helper would connect to: it refuses the address, and quotes it."""

Library = Literal["httpx", "httpx2"]


def settings_for(config: str | Path | Mapping[str, Any] | Settings | None) -> Settings:
    """What `antiphon.embedded` was given, as settings. Raises ConfigError."""
    match config:
        case Settings():
            return config
        case "demo":
            from antiphon.discovery import DEMO

            return Settings().with_inference([DEMO])
        case Mapping():
            return load_mapping(config)
        case _:
            return load(config)


class EmbeddedServer:
    """A server in this process. Several may run at once; they share nothing but a database, if told to.

    `with` (or `start` and `close`) runs it on an event loop in a thread of its own: clients of both kinds work from
    everywhere. `async with` runs it on the caller's own loop: no thread, and synchronous clients work from other
    threads only.
    """

    def __init__(self, settings: Settings, *, temporary: bool = False) -> None:
        self._settings = settings
        self._temporary = temporary
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._thread: LoopThread | None = None
        self._host: Host | None = None
        self._at_exit: _AtExit | None = None

    @property
    def settings(self) -> Settings:
        """As configured; once started also with the model servers that were found."""
        return self._settings

    @property
    def state_folder(self) -> Path | None:
        """Where temporary state is kept while the server runs; None when it is where the configuration says."""
        return None if self._folder is None else Path(self._folder.name)

    @property
    def base_url(self) -> str:
        """The address for clients over `transport()` or `async_transport()`."""
        return BASE_URL

    # --- clients ------------------------------------------------------------------------------------------
    def client(self, *, api_key: str | None = None, **options: Any) -> "openai.OpenAI":
        """A client of the server; `options` are those of `openai.OpenAI`.

        `api_key` is needed when the configuration has keys. Raises ImportError without the package `openai`.
        """
        library = _openai()
        http_client = library.DefaultHttpxClient(transport=self.transport(), trust_env=False)
        key = self._key(api_key)
        options = {"websocket_base_url": NO_WEBSOCKET, **options}
        made: openai.OpenAI = library.OpenAI(
            base_url=BASE_URL, api_key=key, http_client=http_client, **options
        )
        return made

    def async_client(self, *, api_key: str | None = None, **options: Any) -> "openai.AsyncOpenAI":
        """The same for coroutines, on any event loop."""
        library = _openai()
        http_client = library.DefaultAsyncHttpxClient(transport=self.async_transport(), trust_env=False)
        key = self._key(api_key)
        options = {"websocket_base_url": NO_WEBSOCKET, **options}
        made: openai.AsyncOpenAI = library.AsyncOpenAI(
            base_url=BASE_URL, api_key=key, http_client=http_client, **options
        )
        return made

    def transport(self, library: Library | None = None) -> "httpx2.BaseTransport":
        """A transport for a client of httpx or httpx2; the one that `openai` uses where left out."""
        from antiphon.in_process.transports import Transport

        return cast("httpx2.BaseTransport", Transport(_http(library), self._running))

    def async_transport(self, library: Library | None = None) -> "httpx2.AsyncBaseTransport":
        from antiphon.in_process.transports import AsyncTransport

        return cast("httpx2.AsyncBaseTransport", AsyncTransport(_http(library), self._running))

    def _key(self, api_key: str | None) -> str:
        if api_key is None and self._settings.server.auth.keys:
            raise ValueError(
                "this configuration asks for API keys (server.auth.keys), in this process too:"
                " pass one, client(api_key=…), or leave the keys out of the embedded configuration."
            )
        return api_key or "embedded"

    # --- life ---------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start in a thread. Raises ConfigError, StoreUnavailable or StartFailed; nothing is left running then."""
        self._refuse_second_start()
        thread = LoopThread()
        try:
            self._host = thread.run(self._open())
        except BaseException:
            thread.stop()
            self._remove_folder()
            raise
        self._thread = thread
        self._at_exit = _AtExit(self.close)

    def close(self) -> None:
        """Stop: open streams end, the upstream calls behind them are cancelled. May be called twice."""
        host, self._host = self._host, None
        thread, self._thread = self._thread, None
        if host is None or thread is None:
            return
        if self._at_exit is not None:
            self._at_exit.forget()
        host.refuse()
        try:
            thread.run(host.aclose())
        finally:
            thread.stop()
            self._remove_folder()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._refuse_second_start()
        try:
            self._host = await self._open()
        except BaseException:
            self._remove_folder()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        host, self._host = self._host, None
        try:
            if host is not None:
                await host.aclose()
        finally:
            self._remove_folder()

    def _running(self) -> Host:
        if self._host is None:
            raise ServerClosed
        return self._host

    def _refuse_second_start(self) -> None:
        if self._host is not None:
            raise RuntimeError("this embedded server runs already.")

    async def _open(self) -> Host:
        from antiphon.app import build
        from antiphon.discovery import discover

        if not self._settings.providers.inference:
            found = await discover(self._settings.discovery, own_port=0)
            self._settings = self._settings.with_inference(found.providers)
        host = Host(build(self._unheard(self._with_state())), self._settings.server.shutdown_grace_s)
        await host.start()
        return host

    @staticmethod
    def _unheard(settings: Settings) -> Settings:
        """It listens on no port, so nothing may lead browsers to one."""
        return msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, port=0))

    def _with_state(self) -> Settings:
        if not self._temporary:
            return self._settings
        self._folder = tempfile.TemporaryDirectory(prefix="antiphon-")
        storage = StorageSettings(url=f"sqlite:///{self._folder.name}/antiphon.db")
        return msgspec.structs.replace(self._settings, storage=storage, home=self._folder.name)

    def _remove_folder(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()


class _AtExit:
    """Closes a server that its program left running, as notebooks do."""

    def __init__(self, close: Callable[[], None]) -> None:
        self._close: Callable[[], None] | None = close
        # `atexit` comes too late: by then no executor takes work any more, and a store is closed by one. This is
        # where `concurrent.futures` itself registers (CPython 3.9 and newer); later registrations run first.
        register = getattr(threading, "_register_atexit", atexit.register)
        register(self._run)

    def forget(self) -> None:
        """The server is closed; a registration cannot be taken back."""
        self._close = None

    def _run(self) -> None:
        if self._close is not None:
            self._close()


def _openai() -> Any:
    """The package `openai`. Raises ImportError that says how to get it."""
    try:
        return import_module("openai")
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        message = (
            "clients of an embedded server need the package openai: `pip install openai`."
            " Without it, server.transport() serves a client of httpx."
        )
        raise ImportError(message, name="openai") from None


def _http(library: Library | None) -> ModuleType:
    """The HTTP library asked for, else the one under the installed `openai`."""
    if library is not None:
        return import_module(library)
    bases: list[type] = list(_openai().DefaultHttpxClient.__mro__)
    names = [base.__module__.partition(".")[0] for base in bases]
    return import_module(next(name for name in names if name in {"httpx", "httpx2"}))
