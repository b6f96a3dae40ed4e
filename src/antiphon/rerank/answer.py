"""An upstream's ranking, checked and brought into order.

Upstreams differ in the name of the list (`results`, `data`) and of the score (`relevance_score`, `score`), in whether
they sort, cut, repeat the documents and count tokens.
"""

import msgspec

from antiphon.core.errors import ProviderProtocolError
from antiphon.core.wire import JsonObject
from antiphon.rerank.request import Ranking


class RerankUsage(msgspec.Struct, kw_only=True):
    prompt_tokens: int
    total_tokens: int


class RerankResult(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`index` is the place among the documents of the request."""

    index: int
    relevance_score: float
    document: JsonObject | None = None


class RerankResponse(msgspec.Struct, kw_only=True):
    id: str
    object: str
    model: str
    results: list[RerankResult]
    usage: RerankUsage


class StackRerankResponse(msgspec.Struct, kw_only=True):
    data: list[RerankResult]


class _Result(msgspec.Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None


class _Tokens(msgspec.Struct):
    total_tokens: int | None = None
    prompt_tokens: int | None = None


class _Answer(msgspec.Struct):
    results: list[_Result] | None = None
    data: list[_Result] | None = None
    usage: _Tokens | None = None


_ANSWER: msgspec.json.Decoder[_Answer | list[_Result]] = msgspec.json.Decoder(_Answer | list[_Result])


def ranked(answer: bytes, asked: Ranking, provider: str) -> tuple[list[RerankResult], RerankUsage]:
    """The most relevant documents first, as many as were asked for; equals in the order of the request.

    Raises ProviderProtocolError for what is no ranking of these documents.
    """
    try:
        given = _ANSWER.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _wrong(provider, str(error)) from None
    if isinstance(given, list):
        given = _Answer(given)
    listed = given.results if given.results is not None else given.data
    if listed is None:
        raise _wrong(provider, "it has no `results`")
    scores = _scores(listed, len(asked.documents), provider)
    if len(scores) < asked.wanted:
        raise _wrong(provider, f"{len(scores)} results, where {asked.wanted} were asked for")
    order = sorted(scores, key=lambda index: (-scores[index], index))[: asked.wanted]
    return [RerankResult(index=index, relevance_score=scores[index]) for index in order], _usage(given.usage)


def _scores(listed: list[_Result], count: int, provider: str) -> dict[int, float]:
    scores: dict[int, float] = {}
    for one in listed:
        score = one.score if one.relevance_score is None else one.relevance_score
        if score is None:
            raise _wrong(provider, "a result has no `relevance_score`")
        if not 0 <= one.index < count or one.index in scores:
            raise _wrong(provider, f"`index` {one.index} names no document, or one twice")
        scores[one.index] = score
    return scores


def _usage(given: _Tokens | None) -> RerankUsage:
    """What the upstream counted, 0 where it did not."""
    total = (given.total_tokens or given.prompt_tokens or 0) if given is not None else 0
    prompt = (given.prompt_tokens or total) if given is not None else 0
    return RerankUsage(prompt_tokens=prompt, total_tokens=total)


def _wrong(provider: str, why: str) -> ProviderProtocolError:
    return ProviderProtocolError(provider, f'provider "{provider}" answered with what is no ranking: {why}.')
