"""`POST /responses/compact` of an upstream: what it is asked, and what it answers. Pure."""

import msgspec

from antiphon.core.errors import ProviderProtocolError
from antiphon.core.thoughts import marked
from antiphon.core.usage import InputDetails, OutputDetails, Usage
from antiphon.ports import UpstreamCompaction

COMPACT_FIELDS = (
    "model",
    "input",
    "instructions",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
)
"""`CompactResponseMethodPublicBody` of the official OpenAPI, without what only OpenAI stores."""


class _Details(msgspec.Struct):
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Item(msgspec.Struct):
    type: str = ""
    encrypted_content: str = ""


class _Compacted(msgspec.Struct):
    output: list[_Item]
    usage: _Usage | None = None


def read_compaction(provider: str, answer: bytes) -> UpstreamCompaction:
    """The blob of the last compaction item. Raises ProviderProtocolError where there is none."""
    try:
        compacted = msgspec.json.decode(answer, type=_Compacted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        compacted = _Compacted([])
    blobs = [one.encrypted_content for one in compacted.output if one.type == "compaction"]
    if not blobs or not blobs[-1]:
        raise ProviderProtocolError(
            provider, f'provider "{provider}" answered /responses/compact without a compaction.'
        )
    return UpstreamCompaction(marked(provider, blobs[-1]), _usage(compacted.usage))


def _usage(told: _Usage | None) -> Usage | None:
    if told is None:
        return None
    read, written = told.input_tokens_details or _Details(), told.output_tokens_details or _Details()
    return Usage(
        input_tokens=told.input_tokens,
        input_tokens_details=InputDetails(
            cached_tokens=read.cached_tokens, cache_write_tokens=read.cache_write_tokens
        ),
        output_tokens=told.output_tokens,
        output_tokens_details=OutputDetails(reasoning_tokens=written.reasoning_tokens),
        total_tokens=told.input_tokens + told.output_tokens,
    )
