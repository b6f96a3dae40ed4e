"""What holds of every ranking: bounds, orders, weights, thresholds; and that a chunk counts once."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from antiphon.core.ranking import (
    ChunkKey,
    Found,
    best,
    blended,
    fused,
    keyword_scores,
    merged,
    relevances,
    similarities,
)
from antiphon.core.searching import Fusion

FUSIONS: tuple[Fusion, ...] = ("rrf", "weighted")
keys = st.tuples(st.sampled_from(["vs_a", "vs_b"]), st.sampled_from("klmnop"))
scores = st.dictionaries(keys, st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5, 0.75, 2.0, 9.5]), max_size=8)
shares = st.floats(0, 1)


@st.composite
def searches(draw: st.DrawFn) -> Found:
    """One list, as a search over all stores or over one of them gives it."""
    found = draw(scores)
    weight = draw(st.sampled_from([0.0, 0.5, 1.0, 3.0]))
    stores = draw(st.sampled_from([None, frozenset({"vs_a"}), frozenset({"vs_a", "vs_b"})]))
    kept = {key: score for key, score in found.items() if stores is None or key[0] in stores}
    return Found(kept, weight, stores)


several = st.lists(searches(), max_size=4)


@given(several, st.sampled_from(FUSIONS), st.randoms())
def test_scores_are_0_to_1_and_the_order_of_the_searches_does_not_matter(
    lists: list[Found], fusion: Fusion, chance: object
) -> None:
    result = fused(lists, fusion)
    event(f"{min(len(result), 6)} chunks")
    assert all(0 <= score <= 1 for score in result.values())
    turned = [replace(one, scores=dict(reversed(list(one.scores.items())))) for one in reversed(lists)]
    assert fused(turned, fusion) == result
    assert best(fused(turned, fusion), 50) == best(result, 50)


@given(several, st.sampled_from(FUSIONS))
def test_a_search_of_no_weight_is_as_one_that_was_not_made(lists: list[Found], fusion: Fusion) -> None:
    assert fused(lists, fusion) == fused([one for one in lists if one.weight], fusion)


@given(several, st.sampled_from(FUSIONS))
def test_what_is_found_is_what_some_search_found(lists: list[Found], fusion: Fusion) -> None:
    assert set(fused(lists, fusion)) == {key for one in lists if one.weight for key in one.scores}


@given(several, st.sampled_from(FUSIONS), st.sampled_from([2.0, 10.0]))
def test_only_the_relation_of_weights_counts(lists: list[Found], fusion: Fusion, factor: float) -> None:
    heavier = [replace(one, weight=one.weight * factor) for one in lists]
    assert fused(heavier, fusion) == pytest.approx(fused(lists, fusion))


@given(several, st.sampled_from(FUSIONS))
def test_what_is_better_in_every_search_is_better_in_the_end(lists: list[Found], fusion: Fusion) -> None:
    result = fused(lists, fusion)
    for one in result:
        for other in result:
            if one[0] != other[0]:
                continue
            pairs = [(found.scores.get(one), found.scores.get(other)) for found in lists if found.weight]
            if all(behind is None or (ahead is not None and ahead >= behind) for ahead, behind in pairs):
                assert result[one] >= result[other] - 1e-12


@given(scores, st.sampled_from(FUSIONS))
def test_what_both_halves_put_first_scores_1(found: dict[ChunkKey, float], fusion: Fusion) -> None:
    result = fused([Found(found), Found(found, 0.5)], fusion)
    if found:
        assert result[max(found, key=lambda key: found[key])] == pytest.approx(1)


@given(scores, scores, st.sampled_from(FUSIONS))
def test_a_store_is_not_worse_off_for_a_search_that_did_not_ask_it(
    words: dict[ChunkKey, float], vectors: dict[ChunkKey, float], fusion: Fusion
) -> None:
    asked = {key: score for key, score in vectors.items() if key[0] == "vs_a"}
    result = fused([Found(words), Found(asked, 1.0, frozenset({"vs_a"}))], fusion)
    alone = fused([Found(words)], fusion)
    assert {key: score for key, score in result.items() if key[0] == "vs_b"} == {
        key: score for key, score in alone.items() if key[0] == "vs_b"
    }


@given(scores)
def test_one_list_keeps_its_order(found: dict[ChunkKey, float]) -> None:
    for fusion in FUSIONS:
        result = fused([Found(found, 2.0)], fusion)
        assert [key for key, _ in best(result, 50)] == [key for key, _ in best(found, 50)]


@given(st.lists(scores, max_size=4))
def test_a_chunk_that_several_queries_find_counts_once_with_its_best_score(
    answers: list[dict[ChunkKey, float]],
) -> None:
    result = merged(answers)
    assert merged(reversed(answers)) == result
    assert merged([result, *answers]) == result
    for key, score in result.items():
        assert score == max(one[key] for one in answers if key in one)


@given(scores, st.integers(0, 10), shares)
def test_cutting_keeps_the_best_and_equals_stand_by_their_ids(
    found: dict[ChunkKey, float], limit: int, threshold: float
) -> None:
    kept = best(found, limit, threshold)
    assert len(kept) <= limit
    assert kept == sorted(kept, key=lambda one: (-one[1], one[0]))
    assert all(score >= threshold for _, score in kept)
    left = {key: score for key, score in found.items() if key not in dict(kept) and score >= threshold}
    assert not left or (len(kept) == limit and (not kept or max(left.values()) <= kept[-1][1]))


@given(scores, scores, shares)
def test_a_reranker_has_its_share(
    before: dict[ChunkKey, float], judged: dict[ChunkKey, float], share: float
) -> None:
    first, second = similarities(before), similarities(judged)
    result = blended(first, second, share)
    assert set(result) == set(second)
    assert all(0 <= score <= 1 for score in result.values())
    assert blended(first, second, 1.0) == second


@given(st.dictionaries(keys, st.floats(-1e300, 1e300), max_size=8))
def test_the_scores_of_any_reranker_become_0_to_1_in_their_order(raw: Mapping[ChunkKey, float]) -> None:
    result = relevances(raw)
    assert all(0 <= score <= 1 for score in result.values())
    for one in raw:
        for other in raw:
            assert not (raw[one] > raw[other] and result[one] < result[other])


def test_probabilities_stay_as_they_are() -> None:
    told = {("vs", "a"): 0.9, ("vs", "b"): 0.1}
    assert relevances(told) == told
    assert relevances({("vs", "a"): 0.0, ("vs", "b"): -2.0})["vs", "a"] == 0.5


@given(
    st.text(max_size=40),
    st.lists(st.lists(st.tuples(keys, st.floats(0, 50), st.text(max_size=40)), max_size=5), max_size=3),
)
def test_keyword_scores_are_0_to_1(query: str, answers: list[list[tuple[ChunkKey, float, str]]]) -> None:
    assert all(0 <= score <= 1 for score in keyword_scores(query, answers).values())


def test_a_store_that_holds_the_query_comes_before_one_that_holds_a_small_word_of_it() -> None:
    """Whatever their indexes' scores are: those of different indexes say nothing to one another."""
    answers = [
        [
            (("vs_a", "1"), 0.000001, "The warranty of the X200 pump is two years."),
            (("vs_a", "2"), 0.0000009, "A pump."),
        ],
        [(("vs_b", "1"), 37.0, "What is the weather?"), (("vs_b", "2"), 36.0, "the")],
    ]
    result = keyword_scores("what is the warranty of the X200 pump?", answers)
    assert [key for key, _ in best(result, 4)][:2] == [("vs_a", "1"), ("vs_a", "2")]


def test_forms_of_a_word_and_words_without_spaces_are_the_same_words() -> None:
    (same,) = keyword_scores("configured servers", [[(("vs", "1"), 1.0, "Configure the server")]]).values()
    (half,) = keyword_scores("configured servers", [[(("vs", "1"), 1.0, "Configure it")]]).values()
    assert same == 1
    assert 0 < half < 1
    (chinese,) = keyword_scores("保修期是多久", [[(("vs", "1"), 1.0, "水泵的保修期是两年")]]).values()
    assert 0.3 < chinese < 1


def test_rrf_is_that_of_the_paper() -> None:
    first = {("vs", "a"): 9.0, ("vs", "b"): 5.0, ("vs", "c"): 1.0}
    second = {("vs", "c"): 0.9, ("vs", "b"): 0.8}
    result = fused([Found(first), Found(second)], "rrf", 60)
    paper = {("vs", "a"): 1 / 61, ("vs", "b"): 1 / 62 + 1 / 62, ("vs", "c"): 1 / 63 + 1 / 61}
    assert result == pytest.approx({key: score / (2 / 61) for key, score in paper.items()})


def test_weighted_scores_are_spread_over_0_to_1() -> None:
    first = {("vs", "a"): 9.0, ("vs", "b"): 5.0, ("vs", "c"): 1.0}
    second = {("vs", "c"): 0.9, ("vs", "b"): 0.8}
    result = fused([Found(first, 0.25), Found(second, 0.75)], "weighted")
    assert result == pytest.approx({("vs", "a"): 0.25, ("vs", "b"): 0.125, ("vs", "c"): 0.75})
