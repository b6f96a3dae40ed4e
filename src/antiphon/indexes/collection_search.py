"""Searches over the file of one collection: keywords by FTS5, vectors by sqlite-vec, both under a filter.

BM25 costs 0.6 µs for each chunk that holds a word, so words that half of a large collection holds are not scored by it:
the rarer words choose the chunks, and a frequent one adds its weight to those of them that hold it.
"""

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

import apsw

from antiphon.core.errors import EmbeddingMismatch
from antiphon.core.filters import AttributeFilter
from antiphon.core.stop_words import STOP_WORDS
from antiphon.indexes.codes import to_quantize
from antiphon.indexes.spaced import is_one_letter, spaced_query
from antiphon.indexes.sqlite_filters import Condition
from antiphon.indexes.statements import in_array, number, row, run, statements
from antiphon.ports.knowledge import Collection

SQL: Final = statements("collection")
MAX_QUERY_CHARACTERS = 8_000
MAX_WORDS = 64
TOKENIZER: Final = ("porter", ["unicode61", "remove_diacritics", "2", "categories", "L* N* Co Mn Mc"])
EXACT_CHUNKS = 20_000
"""Up to so many chunks every vector is compared."""
EXACT_PASSING = 5_000
"""In a larger collection, up to so many chunks that pass a filter."""
CANDIDATES, CANDIDATES_PER_HIT = 800, 16
"""How many chunks the codes choose for the vectors to decide over."""
SCORED = 25_000
"""How many places of words are scored at most; of a single word that is rarer than all others:"""
SCORED_ALONE = 60_000
WEIGHED = 6
"""How many of the words that are not scored still add their weight, the rarest of them."""
_COUNTS_KEPT = 10_000

Found = list[tuple[int, float]]
"""Numbers of chunks with their scores, best first."""


@dataclass(slots=True)
class WordCounts:
    """In how many chunks words are, as it was counted when the collection had `chunks`; forgotten when that changed by
    a tenth.
    """

    chunks: int = 0
    known: dict[str, int] = field(default_factory=dict[str, int])

    def get(self, match: str, chunks: int, counted: Callable[[], int]) -> int:
        if abs(chunks - self.chunks) * 10 > self.chunks or len(self.known) > _COUNTS_KEPT:
            self.chunks, self.known = chunks, {}
        found = self.known.get(match)
        if found is None:
            found = self.known[match] = counted()
        return found


# --- vectors ----------------------------------------------------------------------------------------------------
def nearest(
    connection: apsw.Connection,
    collection: Collection,
    vector: bytes,
    limit: int,
    where: AttributeFilter | None,
) -> Found:
    """By cosine similarity. Raises EmbeddingMismatch."""
    check_vector(collection, vector)
    if not collection.dimension:
        return []
    name, condition, bindings = "nearest_of_all", "", {"vector": vector, "limit": limit}
    share = row(connection, SQL["facts"])
    large = share is not None and share[1] > EXACT_CHUNKS
    if where is not None:
        wanted = Condition(where)
        condition, name = wanted.sql, "nearest_of_passing"
        bindings |= wanted.bindings
        large = (
            large
            and number(connection, with_condition(SQL["passing"], condition), wanted.bindings) > EXACT_PASSING
        )
    if large:
        name = "nearest_by_codes_of_passing" if where is not None else "nearest_by_codes"
        code = row(connection, SQL["code_of"], to_quantize(vector, collection.dimension))
        bindings["code"] = code[0] if code is not None else b""
        bindings["candidates"] = max(CANDIDATES, CANDIDATES_PER_HIT * limit)
    rows = run(connection, with_condition(SQL[name], condition), bindings)
    return [(int(n), 1.0 - float(distance)) for n, distance in rows]


def check_vector(collection: Collection, vector: bytes) -> None:
    """Raises EmbeddingMismatch for a vector of another size than the collection's."""
    if len(vector) != 4 * collection.dimension:
        raise EmbeddingMismatch(
            f"a vector of {len(vector) // 4} numbers does not belong to a collection of"
            f" {collection.dimension}. Use the embedding model that the vector store was made with, or index it anew."
        )


# --- words ------------------------------------------------------------------------------------------------------
def keyword(
    connection: apsw.Connection,
    counts: WordCounts,
    text: str,
    limit: int,
    where: AttributeFilter | None,
) -> Found:
    """By BM25 of the words of a text, as far as they are rare enough to be told apart by."""
    facts = row(connection, SQL["facts"])
    chunks = int(facts[1]) if facts is not None else 0
    search = _WordSearch(connection, None if where is None else Condition(where))
    words = search.counted(_asked(connection, text), counts, chunks)
    scored = _worth_scoring(words)
    others = words[len(scored) :]
    found = search.ranked([match for match, _ in scored], max(4 * limit, 100) if others else limit)
    for match, holders in others[:WEIGHED]:
        found = search.weighed(found, match, _weight(holders, chunks))
    found = found[:limit]
    if len(found) < limit and others:
        found += search.unscored([match for match, _ in others], limit, {n for n, _ in found})
    return found


def _asked(connection: apsw.Connection, text: str) -> list[str]:
    """The words of a text as FTS5 expressions that each match one word and can be nothing else."""
    data = spaced_query(text[:MAX_QUERY_CHARACTERS]).encode("utf-8", "replace")
    tokenizer = connection.fts5_tokenizer(*TOKENIZER)
    tokens = cast(
        "list[tuple[int, int, str]]",
        tokenizer(data, apsw.FTS5_TOKENIZE_QUERY, None, include_offsets=True, include_colocated=False),
    )
    words = {token[2]: data[token[0] : token[1]].decode("utf-8", "replace") for token in tokens}
    telling = [word for word in words.values() if word.lower() not in STOP_WORDS]
    chosen = (telling or list(words.values()))[:MAX_WORDS]
    return [f'"{word}"*' if is_one_letter(word) else f'"{word}"' for word in chosen if '"' not in word]


def _weight(holders: int, chunks: int) -> float:
    """That of BM25 for a word that so many hold of so many; `holders` may be of a little earlier."""
    return math.log((max(0, chunks - holders) + 0.5) / (holders + 0.5))


def _worth_scoring(words: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    """The rarest, as many as may be scored. `words` are in order of their counts."""
    total = 0
    for at, (_, holders) in enumerate(words):
        total += holders
        if total > SCORED and (at or holders > SCORED_ALONE):
            return words[:at]
    return words


@dataclass(frozen=True, slots=True)
class _WordSearch:
    connection: apsw.Connection
    condition: Condition | None

    def counted(self, matches: Sequence[str], counts: WordCounts, chunks: int) -> list[tuple[str, int]]:
        """Words with about how many chunks hold each, rarest first. One that none held may be held by now."""
        found = [
            (match, counts.get(match, chunks, partial(self._how_many, match, chunks))) for match in matches
        ]
        return sorted(found, key=lambda one: one[1])

    def _how_many(self, match: str, chunks: int) -> int:
        """Of a word that so many chunks hold that it tells nothing any more: all."""
        limit = max(SCORED_ALONE, chunks // 8) + 1
        found = number(self.connection, SQL["how_many"], {"match": match, "limit": limit})
        return found if found < limit else chunks

    def _rows(self, name: str, bindings: dict[str, Any]) -> list[tuple[Any, ...]]:
        if self.condition is None:
            return run(self.connection, SQL[name], bindings)
        sql = with_condition(SQL[f"{name}_of_passing"], self.condition.sql)
        return run(self.connection, sql, bindings | self.condition.bindings)

    def ranked(self, matches: Sequence[str], limit: int) -> Found:
        if not matches:
            return []
        rows = self._rows("ranked", {"match": " OR ".join(matches), "limit": limit})
        return [(int(n), float(score)) for n, score in rows]

    def weighed(self, found: Found, match: str, weight: float) -> Found:
        """The chunks that hold the word too score higher by its weight: BM25 with the word there once."""
        if weight <= 0 or not found:
            return found
        these = in_array(array("q", [n for n, _ in found]))
        rows = run(self.connection, SQL["holding_of_these"], (match, these))
        holding = {int(n) for (n,) in rows}
        more = [(n, score + weight if n in holding else score) for n, score in found]
        return sorted(more, key=lambda one: -one[1])

    def unscored(self, matches: Sequence[str], limit: int, known: set[int]) -> Found:
        """Chunks behind all others: first those that hold all of the frequent words, then any that hold one."""
        found: dict[int, float] = {}
        for operator in (" AND ", " OR "):
            missing = limit - len(known) - len(found)
            if missing > 0:
                bindings = {"match": operator.join(matches), "limit": limit + len(known)}
                numbers = [int(n) for (n,) in self._rows("holding", bindings)]
                fresh = [n for n in numbers if n not in known and n not in found]
                found |= dict.fromkeys(fresh[:missing], 0.0)
        return list(found.items())


def with_condition(sql: str, condition: str) -> str:
    """A statement with a filter in the place of its `{where}`."""
    return sql.replace("{where}", condition)
