"""The lines of a recording: a header, model exchanges, and the runs they belong to. See docs/reference.

A recording is text: one JSON object a line, `record` says of which kind. Lines are only ever added. A reader takes a
file of this `VERSION` and refuses others; keys it does not know it leaves alone.
"""

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Literal, dataclass_transform

import msgspec
from msgspec import Meta, Raw

from antiphon.core import errors
from antiphon.core.errors import ProviderError, ProviderProtocolError
from antiphon.core.signals import ModelSignal
from antiphon.core.wire import JsonObject
from antiphon.ports import Constraint

VERSION = 1
Api = Literal["responses", "chat", "completions", "embeddings", "rerank"]
API_OF_PATH: Mapping[str, Api] = {
    "/chat/completions": "chat",
    "/completions": "completions",
    "/embeddings": "embeddings",
    "/rerank": "rerank",
}
"""What is passed on, by the path that `ModelProvider.open` is told."""
FORMAT: Literal["antiphon-recording"] = "antiphon-recording"


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Meta(msgspec.StructMeta):
    """Tells type checkers what subclasses inherit."""


class _Part(msgspec.Struct, metaclass=_Meta, frozen=True, kw_only=True, omit_defaults=True):
    pass


class Header(_Part, tag="header", tag_field="record"):
    """The first line of each file. `redact` holds the patterns whose matches were taken out."""

    format: Literal["antiphon-recording"]
    version: int
    antiphon: str
    at: int
    redact: list[str] = []


class Turn(_Part):
    """An ancestor of the run: its new items, as stored."""

    id: str
    input: Raw
    output: Raw


class UsedPrompt(_Part):
    """The version of the stored prompt that `request.prompt` names; `body` as stored."""

    version: int
    body: Raw


class Asked(_Part):
    """What a run began with: enough to run it again."""

    request: Raw
    input: Raw
    history: list[Turn] = []
    prompt: UsedPrompt | None = None
    unenforced: list[Constraint] = []
    """Formats that the upstream was trusted with: `json_schema`, `json_object`."""


class Sent(_Part):
    """The request as the upstream got it, last attempt. Headers are not kept: they hold credentials.

    `body` is null where there was none.
    """

    method: str
    path: str
    body: Raw
    attempts: int = 1


class Piece(_Part):
    """What one network read brought, `ms` after the request was sent. `base64` where it is not UTF-8 by itself."""

    ms: int
    text: str | None = None
    base64: str | None = None

    @classmethod
    def of(cls, ms: int, data: bytes) -> "Piece":
        try:
            return cls(ms=ms, text=data.decode())
        except UnicodeDecodeError:
            return cls(ms=ms, base64=base64.b64encode(data).decode())

    @property
    def data(self) -> bytes:
        if self.base64 is not None:
            return base64.b64decode(self.base64)
        return (self.text or "").encode()


class Answer(_Part):
    """The head of the answer and its bytes. `withheld`: redaction left no way to show the bytes."""

    status: int
    headers: dict[str, str] = {}
    pieces: list[Piece] = []
    withheld: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    @property
    def is_stream(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")


class Heard(_Part):
    """Signals that came together, `ms` after the request was sent."""

    ms: int
    signals: list[ModelSignal]


class Failure(_Part):
    """The error that the call ended with: a class of `core.errors` and its facts."""

    kind: str
    message: str
    param: str | None = None
    retry_after: str | None = None

    def raised_by(self, provider: str) -> ProviderError:
        """The same error, to be raised once more. A class that is gone since stands as a broken protocol."""
        kind = getattr(errors, self.kind, None)
        if not (isinstance(kind, type) and issubclass(kind, ProviderError)):
            kind = ProviderProtocolError
        return kind(provider, self.message, param=self.param, retry_after=self.retry_after)


class Exchange(_Part, tag="exchange", tag_field="record"):
    """One model call. `run` is the response's id, or the request's for what was passed on.

    `model` is the provider's name of it, `asked_model` the caller's. `key` and `question` are for finding it again:
    see `matching`. `asked` stands in step 1 of a response only.
    """

    run: str
    step: Annotated[int, Meta(ge=1)]
    at: int
    tenant: str
    subject: str
    provider: str
    model: str
    asked_model: str
    key: str
    question: JsonObject
    stream: bool
    api: Api
    ended: Literal["done", "error", "cancelled"]
    asked: Asked | None = None
    sent: Sent | None = None
    answer: Answer | None = None
    heard: list[Heard] = []
    error: Failure | None = None


class RunRecord(_Part, tag="run", tag_field="record"):
    """How a response ended. `events` are those of its stream, null where nobody asked for one."""

    run: str
    at: int
    tenant: str
    subject: str
    response: Raw
    parent: str | None = None
    events: list[Raw] | None = None


Line = Header | Exchange | RunRecord
_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def encode_line(line: Line) -> bytes:
    """One line with its end. JSON strings hold no line breaks, so neither does the line."""
    return _ENCODER.encode(line) + b"\n"


def decode_line(data: bytes) -> Line:
    """Raises msgspec.DecodeError (a ValidationError is one)."""
    return _DECODER.decode(data)


def plain(value: object) -> Any:
    """Any value of the wire as plain JSON values."""
    return msgspec.json.decode(msgspec.json.encode(value))
