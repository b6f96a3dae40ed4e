"""A server for as long as a chat lasts: in this process, on a free port of this machine, behind a key of its own."""

import secrets
import socket
import threading
from types import TracebackType
from typing import Self

import msgspec
import uvicorn

from antiphon.app import build
from antiphon.cli.http_server import uvicorn_config
from antiphon.config.load import hash_key
from antiphon.config.settings import ApiKey, AuthSettings, ConfigError, Settings

START_LIMIT_S = 30.0
STOP_LIMIT_S = 15.0


class LocalServer:
    """Use it as a context manager. `url` and `key` are how to reach it.

    The key is made anew each time, so that other users of the machine cannot use the port; who has it sees the
    state that a server without keys has.
    """

    def __init__(self, settings: Settings) -> None:
        self.key = "sk-antiphon-chat-" + secrets.token_urlsafe(32)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._server = _Server(self._config(settings))
        self._thread = threading.Thread(target=self._run, name="antiphon-server", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server.settled.wait(START_LIMIT_S)
        if not self._server.started:
            self._stop()
            raise ConfigError(
                None, None, "the server of this chat could not be started; try `antiphon serve`"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_LIMIT_S)
        self._listener.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._server.settled.set()

    def _config(self, settings: Settings) -> uvicorn.Config:
        own = ApiKey(name="this chat", hash=hash_key(self.key), tenant="default", owner="anonymous")
        auth = AuthSettings(keys=(*settings.server.auth.keys, own))
        server = msgspec.structs.replace(settings.server, auth=auth, tls_certfile=None, tls_keyfile=None)
        edge = build(msgspec.structs.replace(settings, server=server))
        return uvicorn_config(edge, server, log_level="error", grace_s=2)


class _Server(uvicorn.Server):
    """Says when it answers, or that it never will."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.settled.set()
