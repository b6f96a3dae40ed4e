"""Which ways of cutting a file a request may ask for."""

from typing import Any

import msgspec
import pytest

from antiphon.core.chunking_strategy import (
    AutoStrategy,
    ChunkingStrategy,
    ChunkSizes,
    check_strategy,
    decode_strategy,
    llama_stack_sizes,
    sizes_of,
)
from antiphon.core.errors import InvalidRequest
from antiphon.core.faults import repair
from antiphon.core.wire import encode

PROMPT = "<d>{{WHOLE_DOCUMENT}}</d> <c>{{CHUNK_CONTENT}}</c>"


def read(given: dict[str, Any]) -> ChunkingStrategy:
    strategy: ChunkingStrategy = msgspec.convert(given, ChunkingStrategy)
    check_strategy(strategy)
    return strategy


def static(size: int, overlap: int) -> dict[str, Any]:
    return {"type": "static", "static": {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}}


def contextual(**fields: Any) -> dict[str, Any]:
    return {"type": "contextual", "contextual": fields}


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({"type": "auto"}, ChunkSizes(800, 400, by_section=True)),
        (static(100, 0), ChunkSizes(100, 0)),
        (static(4096, 2048), ChunkSizes(4096, 2048)),
        ({"type": "contextual"}, ChunkSizes(700, 400, by_section=True)),
        (
            contextual(max_chunk_size_tokens=100, chunk_overlap_tokens=75, context_prompt=PROMPT),
            ChunkSizes(100, 75, by_section=True),
        ),
    ],
)
def test_a_strategy_gives_sizes_and_is_stored_as_it_was_sent(
    given: dict[str, Any], sizes: ChunkSizes
) -> None:
    strategy = read(given)
    assert sizes_of(strategy) == sizes
    assert decode_strategy(encode(strategy)) == strategy


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (static(800, 401), "chunking_strategy.static.chunk_overlap_tokens"),
        (
            contextual(max_chunk_size_tokens=100, chunk_overlap_tokens=76),
            "chunking_strategy.contextual.chunk_overlap_tokens",
        ),
        (contextual(context_prompt="{{CHUNK_CONTENT}}"), "chunking_strategy.contextual.context_prompt"),
        (contextual(context_prompt="{{WHOLE_DOCUMENT}}"), "chunking_strategy.contextual.context_prompt"),
        (
            contextual(context_prompt="{{CHUNK_CONTENT}} {{WHOLE_DOCUMENT}}"),
            "chunking_strategy.contextual.context_prompt",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(given: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(given)
    assert caught.value.param == param
    assert f"`{param}`" in caught.value.message


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (static(99, 0), "static.max_chunk_size_tokens"),
        (static(4097, 0), "static.max_chunk_size_tokens"),
        (static(800, -1), "static.chunk_overlap_tokens"),
        ({"type": "static"}, "static"),
        ({"type": "static", "static": {"max_chunk_size_tokens": 800}}, "static.chunk_overlap_tokens"),
        ({"type": "semantic"}, "type"),
        ({"type": "auto", "static": {}}, "static"),
        (contextual(model_id=""), "contextual.model_id"),
        (contextual(timeout_seconds=0), "contextual.timeout_seconds"),
        (contextual(max_concurrency=65), "contextual.max_concurrency"),
    ],
)
def test_what_is_out_of_range_or_unknown_is_named(given: dict[str, Any], param: str) -> None:
    assert [one.param for one in repair(given, ChunkingStrategy)] == [param]
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, ChunkingStrategy)


def test_one_number_of_a_llama_stack_client_is_a_size_with_a_quarter_of_overlap() -> None:
    assert llama_stack_sizes(512) == ChunkSizes(512, 128, by_section=True)
    assert llama_stack_sizes(16).overlap_tokens == 4
    for wrong in (0, 15, 4097, -1):
        with pytest.raises(InvalidRequest) as caught:
            llama_stack_sizes(wrong, "body.chunk_size_in_tokens")
        assert caught.value.param == "body.chunk_size_in_tokens"


def test_auto_has_no_settings() -> None:
    assert encode(AutoStrategy()) == b'{"type":"auto"}'
