"""What is checked of a rerank request, in both forms, and the one form that upstreams are sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.core import parse
from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.json_values import json_name
from antiphon.core.wire import JsonObject, Wire, encode

MAX_DOCUMENTS = 10_000

Name = Annotated[str, Meta(min_length=1)]
Query = Annotated[str, Meta(min_length=1)] | JsonObject
Documents = Annotated[list[str | JsonObject], Meta(min_length=1, max_length=MAX_DOCUMENTS)]
Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class RerankRequest(Wire):
    """The body of `POST /v1/rerank`, as Cohere, Jina and vLLM have it."""

    model: Name
    query: Query
    documents: Documents
    top_n: Count | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: Count | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None


class StackRerankRequest(Wire):
    """The body of Llama Stack's `POST /v1alpha/inference/rerank`; query and items may be content parts."""

    model: Name
    query: Query
    items: Documents
    max_num_results: Count | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """A rerank request in either form, as texts."""

    model: str
    query: str
    documents: tuple[str, ...]
    limit: int | None = None
    more: tuple[tuple[str, int], ...] = ()
    """Parameters that are passed on."""

    @property
    def wanted(self) -> int:
        """How many results the answer has at most."""
        return min(self.limit or len(self.documents), len(self.documents))

    def sent_as(self, upstream_model: str) -> bytes:
        body: JsonObject = {"model": upstream_model, "query": self.query, "documents": self.documents}
        if self.limit is not None:
            body["top_n"] = self.wanted
        return encode({**body, **dict(self.more)})


def parse_rerank(body: bytes) -> tuple[Ranking, RerankRequest]:
    """Raises InvalidRequest or UnsupportedParameter, with the field in `param`."""
    asked, _ = parse.read(body, _RERANK, RerankRequest)
    limits = {
        "max_tokens_per_doc": asked.max_tokens_per_doc,
        "truncate_prompt_tokens": asked.truncate_prompt_tokens,
    }
    more = tuple((name, value) for name, value in limits.items() if value is not None)
    documents = _texts(asked.documents, "documents")
    return Ranking(asked.model, _query(asked.query), documents, asked.top_n, more), asked


def parse_stack_rerank(body: bytes) -> Ranking:
    """Raises InvalidRequest or UnsupportedParameter, with the field in `param`."""
    asked, _ = parse.read(body, _STACK, StackRerankRequest)
    return Ranking(asked.model, _query(asked.query), _texts(asked.items, "items"), asked.max_num_results)


_RERANK = msgspec.json.Decoder(RerankRequest)
_STACK = msgspec.json.Decoder(StackRerankRequest)


def _query(given: str | JsonObject) -> str:
    text = _text(given, "query")
    if not text:
        raise InvalidRequest("`query` must not be empty.", param="query")
    return text


def _texts(given: Sequence[str | JsonObject], param: str) -> tuple[str, ...]:
    return tuple(_text(one, f"{param}[{at}]") for at, one in enumerate(given))


def _text(given: str | JsonObject, param: str) -> str:
    """The text itself, or that of `{"text": …}`, with or without `type` and other keys."""
    if isinstance(given, str):
        return given
    if given.get("type") == "image_url" or (given.keys() & {"image", "image_url"} and "text" not in given):
        raise UnsupportedParameter(f"`{param}`: images are not reranked here; send text.", param=param)
    if given.get("type", "text") != "text":
        found = json_name(given["type"])
        raise InvalidRequest(f'`{param}.type`: expected "text", found {found}.', param=f"{param}.type")
    text = given.get("text")
    if not isinstance(text, str):
        found = json_name(text) if "text" in given else "nothing"
        raise InvalidRequest(f"`{param}.text`: expected a string, found {found}.", param=f"{param}.text")
    return text
