"""Embeddings and reranking of scripted models: texts that share words are near, the same on every machine.

Each word stands for a direction drawn from its hash; a text is the sum of its words' directions at unit length. A
document is as relevant as its words are those of the query. A word counts as a token.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from antiphon.core.vectors import to_base64
from antiphon.core.wire import JsonObject, encode

DIMENSIONS = 256
MAX_DIMENSIONS = 4096
_WORD = re.compile(r"\w+")
_BITS = 512


class EmbeddingBody(msgspec.Struct, frozen=True):
    """What a scripted model looks at in the body of an embeddings request."""

    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None

    def texts(self) -> list[str]:
        """The inputs as text; a token is a word."""
        if isinstance(self.input, str):
            return [self.input]
        if self.input and isinstance(self.input[0], int):
            return [" ".join(map(str, self.input))]
        return [" ".join(map(str, one)) if isinstance(one, list) else str(one) for one in self.input]


class RerankBody(msgspec.Struct, frozen=True):
    query: str
    documents: list[str]
    top_n: int | None = None


def embeddings(body: EmbeddingBody, model: str) -> bytes:
    """The answer, in the shape of `CreateEmbeddingResponse` of the official OpenAPI."""
    texts = body.texts()
    vectors = [vector_of(text, body.dimensions or DIMENSIONS) for text in texts]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": to_base64(vector) if body.encoding_format == "base64" else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    return encode({"object": "list", "model": model, "data": data, "usage": _usage(texts)})


def rerank(body: RerankBody, model: str) -> bytes:
    """The answer in the form of Cohere and Jina, the most relevant document first."""
    scores = [relevance(body.query, document) for document in body.documents]
    order = sorted(range(len(scores)), key=lambda at: -scores[at])[: body.top_n]
    results = [{"index": at, "relevance_score": scores[at]} for at in order]
    usage = _usage([body.query, *body.documents])
    return encode({"model": model, "object": "list", "results": results, "usage": usage})


def vector_of(text: str, dimensions: int) -> list[float]:
    """A vector of unit length."""
    total = [0] * dimensions
    for word, count in Counter(_words(text) or [text]).items():
        for at, sign in enumerate(_signs(word, dimensions)):
            total[at] += sign * count
    length = math.hypot(*total)
    if not length:  # words that cancel one another out; their first one then stands for all
        return vector_of(_words(text)[0], dimensions)
    return [number / length for number in total]


def relevance(query: str, document: str) -> float:
    """From 0, no word in common, to 1, the same words."""
    asked, found = set(_words(query)), set(_words(document))
    if not asked or not found:
        return 0.0
    return len(asked & found) / math.sqrt(len(asked) * len(found))


def _signs(word: str, dimensions: int) -> Iterator[int]:
    for block in range(math.ceil(dimensions / _BITS)):
        digest = hashlib.blake2b(word.encode(), salt=block.to_bytes(16)).digest()
        bits = int.from_bytes(digest)
        for at in range(min(_BITS, dimensions - block * _BITS)):
            yield 1 if bits >> at & 1 else -1


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _usage(texts: Iterable[str]) -> JsonObject:
    words = sum(len(text.split()) for text in texts)
    return {"prompt_tokens": words, "total_tokens": words}
