"""`ResponseRequest`: the one request object, from the handler to the provider."""

from collections.abc import Sequence

import msgspec

from antiphon.core import parse, request_rules, support
from antiphon.core.body import (
    ContextManagement,
    ConversationRef,
    CreateResponse,
    FormatJsonObject,
    FormatJsonSchema,
    FormatText,
    InputItem,
    Metadata,
    ModerationRequest,
    Prompt,
    PromptCacheOptions,
    ReasoningConfig,
    Runnable,
    ServiceTier,
    StreamOptions,
    TextConfig,
)
from antiphon.core.tools import ModelTool

__all__ = [
    "ContextManagement",
    "ConversationRef",
    "CreateResponse",
    "FormatJsonObject",
    "FormatJsonSchema",
    "FormatText",
    "InputItem",
    "Metadata",
    "ModerationRequest",
    "Prompt",
    "PromptCacheOptions",
    "ReasoningConfig",
    "ResponseRequest",
    "ServiceTier",
    "StreamOptions",
    "TextConfig",
]


class ResponseRequest(Runnable):
    """A checked `POST /v1/responses` body that this server can run.

    Use `parse`; it is the only way in from bytes.
    """

    @property
    def model_tools(self) -> Sequence[ModelTool]:
        """The tools of the two kinds that models are shown: all of them, in the request of a `CallModel`."""
        return [tool for tool in self.tools or () if isinstance(tool, ModelTool)]

    @classmethod
    def parse(cls, body: bytes) -> "ResponseRequest":
        """The request in `body`. Raises InvalidRequest or UnsupportedParameter, with the field in `param`."""
        try:
            request = _DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            request = parse.load(body, cls, refuse=support.refuse_json)
        request_rules.check(request)
        return request

    @classmethod
    def parse_known(cls, body: bytes) -> "tuple[ResponseRequest, list[str]]":
        """For a lenient server: the request without the top-level fields that nobody knows, and their names.

        Raises as `parse` does, also for what is known and refused.
        """
        unknown: list[str] = []
        try:
            request = _DECODER.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            fields = cls.__struct_fields__
            request = parse.load(body, cls, refuse=support.refuse_json, known=fields, left_out=unknown)
        request_rules.check(request)
        return request, unknown


_DECODER: msgspec.json.Decoder[ResponseRequest] = msgspec.json.Decoder(ResponseRequest)
