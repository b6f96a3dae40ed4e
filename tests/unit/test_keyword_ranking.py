"""Texts in memory, ranked by the words of a query."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.keyword_ranking import ranked, telling_share

TEXTS = [
    "The refund policy lasts thirty days for every purchase.",
    "Shipping takes five days.",
    "Refunds are paid by card. Refund requests go to support.",
    "",
]


def test_the_best_text_comes_first_and_others_that_hold_nothing_are_left_out() -> None:
    found = ranked("How do I request a refund?", TEXTS, 5)
    assert [at for at, _ in found] == [2, 0]
    assert 1 >= found[0][1] > found[1][1] > 0
    assert ranked("How do I request a refund?", TEXTS, 1) == found[:1]


@pytest.mark.parametrize(
    ("query", "expected"), [("shipped", [1]), ("purchasing", [0]), ("日本語", []), ("", [])]
)
def test_forms_of_a_word_are_the_word(query: str, expected: list[int]) -> None:
    assert [at for at, _ in ranked(query, TEXTS, 5)] == expected


def test_a_rare_word_counts_more_than_a_frequent_one() -> None:
    texts = [f"boat number {at}" for at in range(20)] + ["the lighthouse"]
    assert ranked("boat lighthouse", texts, 1)[0][0] == 20


def test_scripts_without_spaces_are_found() -> None:
    assert [at for at, _ in ranked("返金について", ["返金の方針は三十日です", "送料は無料です"], 5)] == [0]


def test_the_share_of_telling_words() -> None:
    assert telling_share("How long is the refund policy?", TEXTS[0]) > 0.5
    assert telling_share("Tell me about whales", TEXTS[0]) == 0


@given(query=st.text(max_size=60), texts=st.lists(st.text(max_size=80), max_size=8), limit=st.integers(1, 8))
def test_whatever_is_asked_scores_are_in_order_and_between_0_and_1(
    query: str, texts: list[str], limit: int
) -> None:
    found = ranked(query, texts, limit)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < one <= 1 for one in scores)
    assert len({at for at, _ in found}) == len(found) <= limit
