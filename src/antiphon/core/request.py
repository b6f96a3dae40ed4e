"""`ResponseRequest`: the one request object, from the handler to the provider."""

from collections.abc import Sequence

import msgspec

from antiphon.core import parse, request_rules, support
from antiphon.core.body import (
    ContextManagement,
    ConversationRef,
    CreateResponse,
    FormatGrammar,
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
    "FormatGrammar",
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
        return cls.read(body)[0]

    @classmethod
    def read(cls, body: bytes, *, lenient: bool = False) -> "tuple[ResponseRequest, list[str]]":
        """The request, and the names of what was left out of it: tools that its client only offers (`support.spare`)
        and, for a lenient server, the top-level fields that nobody knows.

        Raises as `parse` does, also for what is known and refused.
        """
        request, left_out = parse.read(
            body, _DECODER, cls, refuse=support.refuse_json, spare=support.spare, lenient=lenient
        )
        request_rules.check(request)
        return request, left_out


_DECODER: msgspec.json.Decoder[ResponseRequest] = msgspec.json.Decoder(ResponseRequest)
