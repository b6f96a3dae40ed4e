"""What a handler gets and gives: a request whose caller is known, and a reply."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from antiphon.core.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from antiphon.core.wire import encode
from antiphon.ports import Owner

JSON = b"application/json"
NO_PARAMS: Mapping[str, str] = {}


class ClientGone(Exception):
    """The client closed the connection before its request was read."""


class Request:
    """One HTTP request. `owner` is whose data it may see; `params` are the variable parts of the path."""

    __slots__ = ("_max_body", "headers", "owner", "params", "receive", "request_id", "scope")

    def __init__(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        owner: Owner,
        request_id: str,
        params: Mapping[str, str],
        max_body: int,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.owner = owner
        self.request_id = request_id
        self.params = params
        self.headers = headers
        self._max_body = max_body

    def query(self) -> dict[str, list[str]]:
        """The query string, decoded; an empty value is kept."""
        return parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)

    async def json_body(self) -> bytes:
        """The body of a JSON request, undecoded.

        Raises UnsupportedMediaType, PayloadTooLarge, or ClientGone when it never came whole.
        """
        media = self.headers.get(b"content-type", JSON)
        if media != JSON:
            _require_json(media)
        if self.headers.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedMediaType("compressed bodies are not read here; send the JSON as it is.")
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max_body:
            raise self._too_large()
        message = await self.receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            return self._checked(body)
        return await self._rest(message)

    async def _rest(self, message: Any) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body:
                raise self._too_large()
            if not message.get("more_body"):
                return self._checked(b"".join(parts))
            message = await self.receive()

    def _checked(self, body: bytes) -> bytes:
        if len(body) > self._max_body:
            raise self._too_large()
        if not body:
            raise InvalidRequest("the body is empty; send a JSON object.")
        return body

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(f"the body is larger than {self._max_body} bytes, the limit of this server.")


def _require_json(media: bytes) -> None:
    kind = media.partition(b";")[0].strip().lower()
    if kind != JSON and not kind.endswith(b"+json"):
        raise UnsupportedMediaType(
            f'content-type "{kind.decode("latin-1")[:100]}" is not read here; send JSON with'
            " `content-type: application/json`."
        )


class Reply(Protocol):
    """Anything that can answer: sends its own ASGI messages."""

    async def respond(self, request: Request, send: Send) -> None: ...


class JsonReply:
    """A whole body. `body` is encoded already."""

    __slots__ = ("body", "headers", "media", "status")

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        media: bytes = JSON,
    ) -> None:
        self.body = body
        self.status = status
        self.headers = headers or NO_PARAMS
        self.media = media

    async def respond(self, request: Request, send: Send) -> None:
        await send_whole(send, self.status, self.body, request.request_id, self.headers, self.media)


def json_reply(value: object, *, status: int = 200) -> JsonReply:
    return JsonReply(encode(value), status=status)


async def send_whole(
    send: Send, status: int, body: bytes, request_id: str, headers: Mapping[str, str], media: bytes = JSON
) -> None:
    pairs = [
        (b"content-type", media),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode("latin-1")),
    ]
    pairs += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


Handler = Callable[[Request], Awaitable[Reply]]
