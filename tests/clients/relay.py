"""Between a client and a server: every connection is passed on, and what it began with is kept."""

import contextlib
import socket
import socketserver
import threading
from typing import Self

_PIECE = 65_536


class Relay(socketserver.ThreadingTCPServer):
    """`lines` are the first lines of the connections, `GET /path HTTP/1.1` and the like, in the order they came.

    As the proxy of a client it shows whom else the client wanted to reach: `CONNECT example.org:443 HTTP/1.1`.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = ("127.0.0.1", port)
        self.lines: list[str] = []
        self._serving = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self._serving.join()
        self.server_close()


class _Connection(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        relay, client = self.server, self.request
        assert isinstance(relay, Relay)
        begun = _until_first_line(client)
        relay.lines.append(begun.partition(b"\r\n")[0].decode("latin-1"))
        with contextlib.suppress(OSError), socket.create_connection(relay.target) as server:
            server.sendall(begun)
            answers = threading.Thread(target=_pump, args=(server, client))
            answers.start()
            _pump(client, server)
            answers.join()


def _until_first_line(client: socket.socket) -> bytes:
    """What came until the first line was whole."""
    begun = b""
    while b"\r\n" not in begun and (piece := client.recv(_PIECE)):
        begun += piece
    return begun


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Pass on what comes until either side ends, and end the other."""
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            sink.sendall(piece)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
