"""What a handler gets and gives: a request whose caller is known, and a reply."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import encode
from antiphon.ports import Owner
from antiphon.web.bodies import JSON, Decoder, decoder, media_kind, refuse_form, too_large

NO_PARAMS: Mapping[str, str] = {}


class ClientGone(Exception):
    """The client closed the connection before its request was read."""


class EmptyBody(InvalidRequest):
    """A request without a body, where one is needed."""


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

    async def json_body(self, form: type[Any] | None = None) -> bytes:
        """The body of a JSON request, undecoded. A form becomes the JSON of a `form`, where the route reads forms.

        Raises UnsupportedMediaType, PayloadTooLarge, InvalidRequest, or ClientGone when it never came whole.
        """
        media = self.headers.get(b"content-type", JSON)
        if media != JSON or b"content-encoding" in self.headers:
            return await self._unusual_body(media, form)
        return await self._plain_body()

    async def optional_json_body(self) -> bytes:
        """As `json_body`; an empty object where there is no body, whatever type it is said to have: aiohttp's client
        names one for a body that it does not send.
        """
        if self.headers.get(b"content-length") == b"0":
            return b"{}"
        try:
            return await self.json_body()
        except EmptyBody:
            return b"{}"

    async def _unusual_body(self, media: bytes, form: type[Any] | None) -> bytes:
        is_form = media_kind(media) == "form"
        if is_form and form is None:
            raise refuse_form()
        decoding = decoder(self.headers.get(b"content-encoding", b""), self._max_body)
        body = await (self._plain_body() if decoding is None else self._decoded_body(decoding))
        if not is_form:
            return body
        from antiphon.web.forms import to_json  # reads the types' structure, which no JSON request pays for

        return to_json(body, form)

    async def _plain_body(self) -> bytes:
        self._check_announced()
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
                raise too_large(self._max_body)
            if not message.get("more_body"):
                return self._checked(b"".join(parts))
            message = await self.receive()

    async def _decoded_body(self, decoding: Decoder) -> bytes:
        self._check_announced()
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            decoding.feed(message.get("body", b""))
            more = message.get("more_body", False)
        return self._checked(decoding.finish())

    def _check_announced(self) -> None:
        announced = self.headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max_body:
            raise too_large(self._max_body)

    def _checked(self, body: bytes) -> bytes:
        if len(body) > self._max_body:
            raise too_large(self._max_body)
        if not body:
            raise EmptyBody("the body is empty; send a JSON object.")
        return body


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
