"""What a rerank request may hold in its two forms, and how upstreams' rankings are put right."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequest, ProviderProtocolError, ProviderRejected, UnsupportedParameter
from antiphon.rerank.answer import ranked
from antiphon.rerank.request import (
    Ranking,
    RerankRequest,
    StackRerankRequest,
    parse_rerank,
    parse_stack_rerank,
)
from antiphon.testing import scripted_model
from tests.unit.faulty import faulty_fields

OK: dict[str, Any] = {"model": "m", "query": "q", "documents": ["a", "b"]}
STACK: dict[str, Any] = {"model": "m", "query": "q", "items": ["a", "b"]}


def parsed(**fields: Any) -> Ranking:
    return parse_rerank(json.dumps({**OK, **fields}).encode())[0]


def stack_parsed(**fields: Any) -> Ranking:
    return parse_stack_rerank(json.dumps({**STACK, **fields}).encode())


# --- the request -------------------------------------------------------------------------------------------------
def test_both_forms_are_one_request_to_the_upstream() -> None:
    one = parsed(query={"text": "q"}, documents=["a", {"text": "b", "id": 7}], top_n=1)
    other = stack_parsed(
        query={"type": "text", "text": "q"}, items=["a", {"type": "text", "text": "b"}], max_num_results=1
    )
    assert one == other
    assert json.loads(one.sent_as("theirs")) == {**OK, "model": "theirs", "top_n": 1}


def test_limits_of_documents_are_passed_on_and_a_top_n_beyond_them_is_their_number() -> None:
    sent = json.loads(parsed(top_n=9, max_tokens_per_doc=5, truncate_prompt_tokens=-1).sent_as("m"))
    assert sent == {**OK, "top_n": 2, "max_tokens_per_doc": 5, "truncate_prompt_tokens": -1}
    assert "top_n" not in json.loads(parsed(top_n=None).sent_as("m"))


@pytest.mark.parametrize(("name", "value"), [*faulty_fields(RerankRequest)], ids=lambda one: str(one)[:30])
def test_a_faulty_field_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**{name: value})
    assert (caught.value.param or "").partition("[")[0] == name


@pytest.mark.parametrize(
    ("name", "value"), [*faulty_fields(StackRerankRequest)], ids=lambda one: str(one)[:30]
)
def test_a_faulty_field_of_the_stack_form_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        stack_parsed(**{name: value})
    assert (caught.value.param or "").partition("[")[0] == name


IMAGE = {"type": "image_url", "image_url": {"url": "http://x/y.png"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"query": IMAGE}, "query"),
        ({"query": {"image": "http://x"}}, "query"),
        ({"query": {}}, "query.text"),
        ({"query": {"text": ""}}, "query"),
        ({"query": {"type": "audio", "text": "a"}}, "query.type"),
        ({"documents": ["a", IMAGE]}, "documents[1]"),
        ({"documents": [{"text": 5}]}, "documents[0].text"),
        ({"documents": [{"txt": "a"}]}, "documents[0].text"),
        ({"rank_fields": ["title"]}, "rank_fields"),
        ({"model": None}, "model"),
    ],
)
def test_what_is_no_text_is_refused_at_its_place(fields: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**fields)
    assert caught.value.param == param
    if "image" in str(fields):
        assert isinstance(caught.value, UnsupportedParameter)


@pytest.mark.parametrize("missing", ["model", "query", "items"])
def test_what_is_missing_is_named(missing: str) -> None:
    body = {name: value for name, value in STACK.items() if name != missing}
    with pytest.raises(InvalidRequest) as caught:
        parse_stack_rerank(json.dumps(body).encode())
    assert caught.value.param == missing


# --- the answer --------------------------------------------------------------------------------------------------
def found(answer: Any, **fields: Any) -> list[tuple[int, float]]:
    results, _ = ranked(json.dumps(answer).encode(), parsed(**fields), "up")
    return [(one.index, one.relevance_score) for one in results]


SCORED = [
    {"index": 0, "relevance_score": 0.1},
    {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}},
]


@pytest.mark.parametrize(
    "answer",
    [
        {"results": SCORED, "id": "x", "meta": {"billed_units": {}}},
        {"object": "list", "data": SCORED},
        [{"index": 0, "score": 0.1}, {"index": 1, "score": 0.9}],
        {"results": SCORED[::-1]},
    ],
    ids=["cohere", "data", "bare", "sorted"],
)
def test_each_form_of_ranking_is_read_and_sorted(answer: Any) -> None:
    assert found(answer) == [(1, 0.9), (0, 0.1)]
    assert found(answer, top_n=1) == [(1, 0.9)]


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, (0, 0)),
        ({}, (0, 0)),
        ({"total_tokens": 5}, (5, 5)),
        ({"prompt_tokens": 4}, (4, 4)),
        ({"prompt_tokens": 4, "total_tokens": 5}, (4, 5)),
    ],
)
def test_usage_is_there_whatever_the_upstream_counts(usage: Any, expected: tuple[int, int]) -> None:
    _, counted = ranked(json.dumps({"results": SCORED, "usage": usage}).encode(), parsed(), "up")
    assert (counted.prompt_tokens, counted.total_tokens) == expected


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"results": []},
        {"results": SCORED[:1]},
        {"results": [*SCORED, SCORED[0]]},
        {"results": [{"index": 2, "relevance_score": 1}, *SCORED]},
        {"results": [{"index": 0}, {"index": 1}]},
        {"results": [{"index": 0, "relevance_score": None}, {"index": 1, "relevance_score": 1}]},
        {"results": "no"},
        "no",
    ],
    ids=range(9),
)
def test_what_is_no_ranking_of_the_documents_is_the_providers_fault(answer: Any) -> None:
    with pytest.raises(ProviderProtocolError, match='"up"'):
        found(answer)


@pytest.mark.parametrize(
    "answer", [b"<html>", b'{"\xff": 1}', b'{"results": [{"index": "\xff"}]}', b"[" * 100_000]
)
def test_nor_does_one_that_is_no_json_break_anything(answer: bytes) -> None:
    with pytest.raises(ProviderProtocolError, match='"up"'):
        ranked(answer, parsed(), "up")


# --- the scripted model ------------------------------------------------------------------------------------------
async def scripted(query: str, documents: list[str], top_n: int | None = None) -> list[tuple[int, float]]:
    asked = parsed(query=query, documents=documents, top_n=top_n)
    async with await scripted_model().open("/rerank", asked.sent_as("demo"), model="demo") as reply:
        results, _ = ranked(await reply.read(), asked, "scripted")
    return [(one.index, one.relevance_score) for one in results]


async def test_the_scripted_model_ranks_by_words_in_common() -> None:
    documents = ["a dog", "The black cat", "black", "", "cat black!"]
    order = await scripted("black cat", documents)
    assert [index for index, _ in order] == [4, 1, 2, 0, 3]
    assert order[0][1] == pytest.approx(1)
    assert order[-1][1] == 0
    assert await scripted("black cat", documents, 2) == order[:2]


WORDS = st.lists(st.sampled_from("abcdef"), max_size=5).map(" ".join)


@given(st.text("abc ", min_size=1), st.lists(WORDS, min_size=1, max_size=8), st.integers(1, 9))
async def test_a_ranking_is_sorted_without_repeats_and_as_long_as_asked(
    query: str, documents: list[str], top_n: int
) -> None:
    order = await scripted(query, documents, top_n)
    assert len(order) == len({index for index, _ in order}) == min(top_n, len(documents))
    assert [score for _, score in order] == sorted((score for _, score in order), reverse=True)
    assert all(0 <= score <= 1 + 1e-9 for _, score in order)


async def test_an_unknown_scripted_model_is_refused() -> None:
    for path in ("/rerank", "/embeddings"):
        with pytest.raises(ProviderRejected) as caught:
            await scripted_model().open(path, b'{"query":"","documents":[],"input":"a"}', model="nobody")
        assert caught.value.param == "model"
