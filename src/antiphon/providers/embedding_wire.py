"""Embedding and rerank requests as an upstream can take them: by its capabilities passed, emulated or refused.

The bodies are those of `POST /v1/embeddings` and of the rerank route in Cohere's and Jina's form, which vLLM and
llama.cpp have as well.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from antiphon.core.errors import ProviderError, ProviderProtocolError, UnsupportedParameter
from antiphon.core.vectors import from_base64, shortened
from antiphon.core.wire import decode_json, encode
from antiphon.providers.capabilities import Capabilities

EMBEDDINGS = "/embeddings"
RERANK = "/rerank"


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """What the upstream is sent, and how long the vectors are cut here; None: they are not."""

    body: bytes
    cut_to: int | None = None


def embedding_call(provider_id: str, capabilities: Capabilities, body: bytes) -> EmbeddingCall:
    """Raises UnsupportedParameter, naming what this upstream cannot do."""
    name = f'provider "{provider_id}"'
    if not capabilities.embeddings:
        raise UnsupportedParameter(
            f"{name} makes no embeddings; name a model of another one. GET /v1/models lists them.",
            param="model",
        )
    fields: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    if not capabilities.embedding_tokens and _holds_tokens(bytes(fields.get("input", b'""'))):
        raise UnsupportedParameter(
            f"{name} takes text, not token numbers: they are those of another model's vocabulary. Send strings"
            " (LangChain: check_embedding_ctx_length=False).",
            param="input",
        )
    if not capabilities.user and "user" in fields:
        raise UnsupportedParameter(f"{name} does not take `user`; leave it out.", param="user")
    if not capabilities.embedding_base64:
        fields.pop("encoding_format", None)
    dimensions: int | None = decode_json(bytes(fields.get("dimensions", b"null")))
    if dimensions is None or capabilities.embedding_dimensions == "pass":
        return EmbeddingCall(encode(fields))
    if capabilities.embedding_dimensions == "refuse":
        raise UnsupportedParameter(
            f"{name} cannot choose the number of dimensions; leave `dimensions` out. If its model was trained to be"
            " cut, the operator can set capabilities.embedding_dimensions to truncate.",
            param="dimensions",
        )
    del fields["dimensions"]
    return EmbeddingCall(encode(fields), dimensions)


def _holds_tokens(given: bytes) -> bool:
    """Whether an `input` is a token array, or an array of them."""
    return given[:1] == b"[" and given[1:].lstrip()[:1] != b'"'


def cut(provider_id: str, answer: bytes, dimensions: int) -> bytes:
    """An answer with its vectors cut to `dimensions`, as numbers. Raises UnsupportedParameter for shorter ones."""
    try:
        whole: Any = decode_json(answer)
        for one in whole["data"]:
            vector = one["embedding"]
            vector = from_base64(vector) if isinstance(vector, str) else [float(number) for number in vector]
            if len(vector) < dimensions:
                raise UnsupportedParameter(
                    f"this model's vectors have {len(vector)} dimensions; ask for that many or fewer.",
                    param="dimensions",
                )
            one["embedding"] = shortened(vector, dimensions)
        return encode(whole)
    except (ValueError, KeyError, TypeError, msgspec.DecodeError, RecursionError):
        raise ProviderProtocolError(
            provider_id, f'provider "{provider_id}" answered {EMBEDDINGS} with something else.'
        ) from None


def rerank_path(provider_id: str, capabilities: Capabilities) -> str:
    """Where this upstream reranks. Raises UnsupportedParameter where it does not."""
    if capabilities.rerank_path is None:
        raise UnsupportedParameter(
            f'provider "{provider_id}" does not rerank; name a model of one that does (vLLM, llama.cpp). If its server'
            " has such a route, the operator can name it in capabilities.rerank_path.",
            param="model",
        )
    return capabilities.rerank_path


def no_such_route(provider_id: str, path: str, error: ProviderError) -> UnsupportedParameter | None:
    """What a refusal means that says that the server has no such route, or was not started for it (llama.cpp).

    It is the request that is in the wrong place then: the upstream did not fail.
    """
    missing = isinstance(error, ProviderProtocolError) and error.upstream_status in {404, 405}
    if not missing and error.upstream_status != 501:
        return None
    what = "makes no embeddings" if path == EMBEDDINGS else "does not rerank"
    said = "" if missing else f" It says: {error.message}"
    return UnsupportedParameter(
        f'the server of provider "{provider_id}" {what}; name a model of another one.{said}', param="model"
    )
