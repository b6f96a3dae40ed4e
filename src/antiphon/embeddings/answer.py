"""An upstream's embeddings in the form that the client asked for (`CreateEmbeddingResponse`).

Upstreams differ: some know no base64, some answer base64 unasked, some leave out `index` or `usage`, or have the
vectors in another order. Vectors that are right already pass undecoded.
"""

from typing import Any, Literal

import msgspec

from antiphon.core.errors import ProviderProtocolError, UnsupportedParameter
from antiphon.core.vectors import from_base64, to_base64
from antiphon.core.wire import decode_json, encode
from antiphon.embeddings.request import EmbeddingRequest


class EmbeddingUsage(msgspec.Struct, kw_only=True):
    prompt_tokens: int
    total_tokens: int


class Embedding(msgspec.Struct, kw_only=True):
    """`embedding` is base64 of little-endian 32-bit floats where that was asked for."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingList(msgspec.Struct, kw_only=True):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


class _Vector(msgspec.Struct):
    embedding: msgspec.Raw
    index: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Vector]
    usage: _Usage | None = None


_OF_NUMBERS = b"0123456789+-.eE, \t\r\n"
_ANSWER = msgspec.json.Decoder(_Answer)
_FLOATS = msgspec.json.Decoder(list[float])


class _Wrong(Exception):
    """Why an answer is none."""


def corrected(answer: bytes, asked: EmbeddingRequest, provider: str) -> bytes:
    """The answer for the client.

    Raises ProviderProtocolError for what is no answer to this request, UnsupportedParameter when the upstream did not
    heed `dimensions`.
    """
    try:
        given = _ANSWER.decode(answer)
        vectors = [bytes(one.embedding) for one in _in_order(given.data, asked.count)]
        sizes = {_size(vector) for vector in vectors}
        if asked.dimensions is not None and sizes != {asked.dimensions}:
            raise _not_heeded(asked.dimensions, max(sizes), provider)
        as_base64 = asked.encoding_format == "base64"
        data = [
            {"object": "embedding", "index": index, "embedding": msgspec.Raw(_in_form(vector, as_base64))}
            for index, vector in enumerate(vectors)
        ]
    except (msgspec.DecodeError, RecursionError, ValueError, _Wrong) as error:
        raise ProviderProtocolError(
            provider, f'provider "{provider}" answered with what are no embeddings: {error}.'
        ) from None
    return encode({"object": "list", "data": data, "model": asked.model, "usage": _usage(given.usage, asked)})


def _in_order(data: list[_Vector], count: int) -> list[_Vector]:
    if len(data) != count:
        raise _Wrong(f"{len(data)} vectors for {count} inputs")
    if any(one.index is None for one in data):
        return data
    places = {one.index: one for one in data}
    if set(places) != set(range(count)):
        raise _Wrong("`index` does not number the vectors")
    return [places[index] for index in range(count)]


def _size(vector: bytes) -> int:
    """How many numbers a vector has, read from its JSON."""
    if vector[:1] == b'"':
        packed = len(vector) - 2
        return (packed * 3 // 4 - vector.count(b"=", -3)) // 4
    if vector[:1] != b"[" or vector[1:].lstrip()[:1] == b"]" or vector[1:-1].translate(None, _OF_NUMBERS):
        raise _Wrong("an embedding is no array of numbers")
    return vector.count(b",") + 1


def _in_form(vector: bytes, as_base64: bool) -> bytes:
    if (vector[:1] == b'"') == as_base64:
        return vector
    if as_base64:
        return encode(to_base64(_FLOATS.decode(vector)))
    text: Any = decode_json(vector)
    return encode(from_base64(text))


def _usage(given: _Usage | None, asked: EmbeddingRequest) -> EmbeddingUsage:
    """What the upstream counted; where it did not, the tokens that were sent, 0 of texts."""
    prompt = given.prompt_tokens if given is not None else None
    if prompt is None:
        prompt = _tokens_sent(asked)
    total = given.total_tokens if given is not None else None
    return EmbeddingUsage(prompt_tokens=prompt, total_tokens=prompt if total is None else total)


def _tokens_sent(asked: EmbeddingRequest) -> int:
    if isinstance(asked.input, str):
        return 0
    return sum(len(one) if isinstance(one, list) else isinstance(one, int) for one in asked.input)


def _not_heeded(dimensions: int, found: int, provider: str) -> UnsupportedParameter:
    return UnsupportedParameter(
        f'provider "{provider}" answered with {found} dimensions, not {dimensions}: this model cannot choose them.'
        " Leave `dimensions` out. If the model was trained to be cut, the operator can set"
        " capabilities.embedding_dimensions to truncate.",
        param="dimensions",
    )
