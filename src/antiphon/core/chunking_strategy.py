"""How a file is to be cut into chunks, as a request says it.

Source of the shapes: `ChunkingStrategyRequestParam` of the official OpenAPI for `auto` and `static`; `contextual` is
OGX's (`VectorStoreChunkingStrategyContextual`), its defaults included.
"""

from dataclasses import dataclass
from typing import Annotated, Final, assert_never

import msgspec
from msgspec import Meta

from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import UNSET, UnsetType, Wire

DEFAULT_CHUNK_TOKENS: Final = 800
DEFAULT_OVERLAP_TOKENS: Final = 400
MIN_CHUNK_TOKENS: Final = 100
MAX_CHUNK_TOKENS: Final = 4096
DOCUMENT: Final = "{{WHOLE_DOCUMENT}}"
CHUNK: Final = "{{CHUNK_CONTENT}}"

ChunkTokens = Annotated[int, Meta(ge=MIN_CHUNK_TOKENS, le=MAX_CHUNK_TOKENS)]
OverlapTokens = Annotated[int, Meta(ge=0, le=MAX_CHUNK_TOKENS)]


class StaticSizes(Wire):
    max_chunk_size_tokens: ChunkTokens
    chunk_overlap_tokens: OverlapTokens


class ContextualSettings(Wire):
    """Left out, `model_id`, `timeout_seconds` (of one sentence) and `max_concurrency` are the server's own."""

    model_id: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = UNSET
    context_prompt: Annotated[str, Meta(min_length=1, max_length=16_384)] | UnsetType = UNSET
    max_chunk_size_tokens: ChunkTokens = 700
    chunk_overlap_tokens: OverlapTokens = 400
    timeout_seconds: Annotated[int, Meta(ge=1, le=3_600)] | UnsetType = UNSET
    max_concurrency: Annotated[int, Meta(ge=1, le=64)] | UnsetType = UNSET


class AutoStrategy(Wire, tag="auto"):
    """800 tokens with an overlap of 400, and sections of a structured document kept apart."""


class StaticStrategy(Wire, tag="static"):
    static: StaticSizes


class ContextualStrategy(Wire, tag="contextual"):
    """A model writes a sentence about the place of each chunk in its document."""

    contextual: ContextualSettings = ContextualSettings()


ChunkingStrategy = AutoStrategy | StaticStrategy | ContextualStrategy
_DECODER: Final[msgspec.json.Decoder[ChunkingStrategy]] = msgspec.json.Decoder(ChunkingStrategy)


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """In tokens, as `core.chunk_tokens` counts them; `overlap_tokens` is less than `max_tokens`.

    `by_section`: chunks keep to the sections of a document that has headings.
    """

    max_tokens: int
    overlap_tokens: int
    by_section: bool = False


def sizes_of(strategy: ChunkingStrategy) -> ChunkSizes:
    match strategy:
        case AutoStrategy():
            return ChunkSizes(DEFAULT_CHUNK_TOKENS, DEFAULT_OVERLAP_TOKENS, by_section=True)
        case StaticStrategy(static=one):
            return ChunkSizes(one.max_chunk_size_tokens, one.chunk_overlap_tokens)
        case ContextualStrategy(contextual=one):
            return ChunkSizes(one.max_chunk_size_tokens, one.chunk_overlap_tokens, by_section=True)
        case _:
            assert_never(strategy)


def check_strategy(strategy: ChunkingStrategy, param: str = "chunking_strategy") -> None:
    """What the types alone do not say. Raises InvalidRequest, with the path of the field in `param`."""
    match strategy:
        case AutoStrategy():
            return
        case StaticStrategy(static=one):
            _check_overlap(one, f"{param}.static", most=one.max_chunk_size_tokens // 2, share="half")
        case ContextualStrategy(contextual=one):
            most = one.max_chunk_size_tokens * 3 // 4
            _check_overlap(one, f"{param}.contextual", most=most, share="three quarters")
            if one.context_prompt is not UNSET:
                _check_prompt(one.context_prompt, f"{param}.contextual.context_prompt")
        case _:
            assert_never(strategy)


def decode_strategy(stored: bytes) -> ChunkingStrategy:
    """A strategy from the JSON that `core.wire.encode` made of it."""
    return _DECODER.decode(stored)


def llama_stack_sizes(chunk_size_in_tokens: int, param: str = "chunk_size_in_tokens") -> ChunkSizes:
    """What clients of Llama Stack mean by one number: a quarter of it is the overlap, as it was there."""
    if not 16 <= chunk_size_in_tokens <= MAX_CHUNK_TOKENS:
        raise InvalidRequest(
            f"`{param}`: {chunk_size_in_tokens} is out of range: 16 to {MAX_CHUNK_TOKENS}.", param=param
        )
    return ChunkSizes(chunk_size_in_tokens, chunk_size_in_tokens // 4, by_section=True)


def _check_overlap(given: StaticSizes | ContextualSettings, path: str, *, most: int, share: str) -> None:
    if given.chunk_overlap_tokens > most:
        param = f"{path}.chunk_overlap_tokens"
        raise InvalidRequest(
            f"`{param}`: {given.chunk_overlap_tokens} is more than {share} of `max_chunk_size_tokens`"
            f" ({given.max_chunk_size_tokens}); send at most {most}.",
            param=param,
        )


def _check_prompt(prompt: str, path: str) -> None:
    """The document comes first, so that a model's server can keep what it made of it from chunk to chunk."""
    for placeholder in (DOCUMENT, CHUNK):
        if placeholder not in prompt:
            raise InvalidRequest(
                f"`{path}`: holds no {placeholder}; the prompt needs {DOCUMENT} and, behind it, {CHUNK}.",
                param=path,
            )
    if prompt.index(DOCUMENT) > prompt.index(CHUNK):
        raise InvalidRequest(f"`{path}`: {CHUNK} stands before {DOCUMENT}; put it behind.", param=path)
