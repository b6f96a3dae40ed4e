"""Indexes in databases: their configurations, words, and the order of texts and numbers as numbers."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.filters import Comparison, holds
from antiphon.core.words import MAX_WORD, words_asked, words_in
from antiphon.index_plugins import index_class
from antiphon.indexes.flat_attributes import (
    COVERED_BYTES,
    Every,
    Field,
    OneOf,
    Ordered,
    Plain,
    Some,
    begins_alike,
    fields_of,
    pieces,
    plain,
    sortable,
    ties,
)
from antiphon.indexes.pgvector_sql import attributes_json, attributes_of, restored, stored
from antiphon.ports.adapters import AdapterConfigError
from antiphon.testing.index_samples import random_attributes, random_filter

LIKE_TEXTS = st.text(st.sampled_from("\x00\x01ab\u00e4\uffff\U0001f600"), max_size=50)
PREFIX = "the same forty bytes at the beginning of "


# --- configurations ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("provider_type", "config"),
    [
        ("remote::pgvector", {}),
        ("remote::pgvector", {"host": "db", "port": "5432", "db": "x", "user": "y", "password": "z"}),
        ("remote::pgvector", {"url": "postgresql://u:p@db/x", "schema": "mine", "pool_size": 3}),
        ("remote::chromadb", {"url": "http://localhost:8000"}),
        ("remote::chromadb", {"url": "https://c/base", "tenant": "t", "database": "d", "api_token": "x"}),
        ("remote::qdrant", {"path": "~/qdrant"}),
        ("remote::qdrant", {"location": ":memory:"}),
        ("remote::qdrant", {"url": "https://q:6333", "api_key": "x", "timeout_s": 5}),
        ("remote::qdrant", {"host": "q", "port": 6333, "https": True, "prefix": "p", "api_key": ""}),
    ],
)
async def test_good_configurations_make_an_index_and_open_nothing(
    provider_type: str, config: Mapping[str, Any]
) -> None:
    index = index_class(provider_type).from_config("it", config, None)
    await index.aclose()


@pytest.mark.parametrize(
    ("provider_type", "config", "key"),
    [
        ("remote::pgvector", {"hots": "x"}, "hots"),
        ("remote::pgvector", {"url": "mysql://x"}, "url"),
        ("remote::pgvector", {"url": "postgresql://x", "password": "y"}, "password"),
        ("remote::pgvector", {"port": 0}, "port"),
        ("remote::pgvector", {"port": "five"}, "port"),
        ("remote::pgvector", {"port": True}, "port"),
        ("remote::pgvector", {"host": 7}, "host"),
        ("remote::pgvector", {"schema": "s" * 61}, "schema"),
        ("remote::pgvector", {"pool_size": 0}, "pool_size"),
        ("remote::pgvector", {"timeout_s": -1}, "timeout_s"),
        ("remote::chromadb", {}, "url"),
        ("remote::chromadb", {"url": "localhost:8000"}, "url"),
        ("remote::chromadb", {"url": "http://u:p@localhost"}, "url"),
        ("remote::chromadb", {"url": "http://[half"}, "url"),
        ("remote::chromadb", {"url": "http://c", "token": "x"}, "token"),
        ("remote::chromadb", {"url": "http://c", "tenant": 1}, "tenant"),
        ("remote::qdrant", {}, ""),
        ("remote::qdrant", {"url": "http://q", "path": "/x"}, "path"),
        ("remote::qdrant", {"url": "q:6333"}, "url"),
        ("remote::qdrant", {"location": "memory"}, "location"),
        ("remote::qdrant", {"host": "q", "https": "yes"}, "https"),
        ("remote::qdrant", {"path": "/x", "kvstore": {}}, "kvstore"),
    ],
)
def test_bad_configurations_are_refused_by_their_key(
    provider_type: str, config: Mapping[str, Any], key: str
) -> None:
    with pytest.raises(AdapterConfigError) as caught:
        index_class(provider_type).from_config("it", config, None)
    assert caught.value.key == key


# --- words ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("The CAFÉ, foo_bar; it's 3.14", "cafe foo bar it s 3 14"),
        ("Cafe\u0301 naïve Straße", "café NAIVE strasse"),
        ("ΣΊΣΥΦΟΣ", "σισυφος"),
        ("ﬁne Ⅷ \uff11\uff12", "fine viii 12"),
        ("דָּבָר مُحَمَّد محـــمد", "דבר محمد"),
        ("हिन्दी में", "हिन्दी"),
        ("私は東京に住んでいます", "東京 京"),
        ("ประเทศไทยอยู่ในเอเชีย", "ไทย"),
        ("서울은 한국의", "한국의"),
        ("iPhone15東京abc", "iphone15 東京 abc"),
        ("x" * 200, "x" * MAX_WORD),
    ],
)
def test_words_are_found_however_they_are_written(text: str, asked: str) -> None:
    held = words_in(text)
    assert words_asked(asked, 99)
    assert all(word in held for word in words_asked(asked, 99))


@pytest.mark.parametrize("text", ["", " \n", "?!…", "\x00", "_", "😀", "\u0301"])
def test_texts_without_letters_have_no_words(text: str) -> None:
    assert not words_in(text)
    assert words_asked(text, 9) == []


@given(st.text(max_size=60))
def test_a_text_holds_each_word_that_it_asks_for(text: str) -> None:
    held = words_in(text)
    assert all(word in held and "'" not in word and "\\" not in word for word in words_asked(text, 1_000))


# --- order ---------------------------------------------------------------------------------------------------------
@given(LIKE_TEXTS, LIKE_TEXTS)
def test_pieces_are_ordered_as_texts_are(one: str, other: str) -> None:
    left, right = pieces(one), pieces(other)
    assert all(0 <= piece < 2**53 for piece in left)
    if left != right:
        assert (left < right) == (one < other)
    else:
        assert one == other or len(one.encode()) >= COVERED_BYTES


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_sortable_numbers_are_ordered_as_floats_are(one: float, other: float) -> None:
    assert (sortable(one) < sortable(other)) == (one < other)
    assert (sortable(one) == sortable(other)) == (one == other)
    assert -(2**63) <= sortable(one) < 2**63


def passes(condition: Plain, fields: Mapping[Field, Any]) -> bool:
    """What a database makes of a filter over flat fields."""
    match condition:
        case OneOf(field, values, negated):
            return (field in fields and fields[field] in values) != negated
        case Ordered(field, sign, value):
            return (
                field in fields
                and {
                    "gt": fields[field] > value,
                    "gte": fields[field] >= value,
                    "lt": fields[field] < value,
                    "lte": fields[field] <= value,
                }[sign]
            )
        case Every(parts):
            return all(passes(one, fields) for one in parts)
        case Some(parts):
            return any(passes(one, fields) for one in parts)


def test_filters_over_flat_fields_mean_what_they_meant() -> None:
    chance, reach = Random(7), 0
    for _ in range(3_000):
        attributes, where = random_attributes(chance), random_filter(chance)
        assert passes(plain(where, {}), dict(fields_of(attributes))) == holds(where, attributes)
        reach += holds(where, attributes)
    assert 300 < reach < 2_700


def test_long_texts_that_begin_alike_are_told_apart_by_what_is_looked_up() -> None:
    values = [PREFIX + end for end in ("", "\x00", "a", "ab", "b", "\U0001f600")] + [
        PREFIX[:-1],
        "x",
        "",
        PREFIX[:35],
    ]
    stored_fields = [dict(fields_of({"k": value})) for value in values]
    for asked in values:
        for sign in ("gt", "gte", "lt", "lte"):
            where = Comparison("k", sign, asked)
            tied = {
                tie: [
                    fields[Field("text", "k")]
                    for fields in stored_fields
                    if passes(begins_alike(tie), fields)
                ]
                for tie in ties(where)
            }
            assert bool(tied) == (len(asked.encode()) >= COVERED_BYTES)
            condition = plain(where, {tie: [str(one) for one in found] for tie, found in tied.items()})
            for value, fields in zip(values, stored_fields, strict=True):
                assert passes(condition, fields) == holds(where, {"k": value}), (value, sign, asked)


# --- texts of PostgreSQL --------------------------------------------------------------------------------------------
@given(LIKE_TEXTS, LIKE_TEXTS)
def test_texts_are_stored_without_zero_characters_in_the_same_order(one: str, other: str) -> None:
    assert "\x00" not in stored(one)
    assert restored(stored(one)) == one
    assert (stored(one) < stored(other)) == (one < other)


def test_numbers_come_back_as_the_same_floats() -> None:
    values = [0.0, 1.0, -1.0, 0.1, 5e-324, 1.7976931348623157e308, 9007199254740993.0]
    given = {f"k{at}": value for at, value in enumerate(values)}
    assert attributes_of(attributes_json(given)) == given
    # As PostgreSQL writes them: in full.
    written = '{"big": ' + "1" + "0" * 300 + ', "small": 0.' + "0" * 323 + "5}"
    assert attributes_of(written) == {"big": 1e300, "small": 5e-324}
