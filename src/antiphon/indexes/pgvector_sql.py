"""The statements of `PgvectorIndex`: texts in which `Schema.filled` puts names for `{schema}`, `{number}` …

A text of PostgreSQL holds no U+0000, so one that does is written otherwise (`stored`), in a way that keeps the order.
"""

import re
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, assert_never

import msgspec

from antiphon.core.filters import AttributeFilter, Attributes, Comparison, Group, Scalar, values_of

MAX_DIMENSION: Final = 16_000
"""Of pgvector's type `vector`."""
MAX_INDEXED: Final = 2_000
"""Of an HNSW index over `vector`; over `halfvec` it is twice that."""

PREPARE: Final = """
CREATE TABLE IF NOT EXISTS {schema}.collections (
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  dimension integer NOT NULL,
  indexed boolean NOT NULL DEFAULT false
)
"""
CREATE: Final = """
CREATE TABLE {schema}.labels_{number} (
  key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  file_id text COLLATE "C" NOT NULL,
  attributes jsonb NOT NULL
);
CREATE INDEX ON {schema}.labels_{number} (file_id);
CREATE TABLE {schema}.chunks_{number} (
  id text COLLATE "C" PRIMARY KEY,
  label bigint NOT NULL,
  file_id text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  text text NOT NULL,
  context text NOT NULL,
  metadata bytea NOT NULL,
  length integer NOT NULL,
  words tsvector NOT NULL,
  vector {vector}({size})
) WITH (toast_tuple_target = 8160);
CREATE INDEX ON {schema}.chunks_{number} (file_id, number, id);
CREATE INDEX ON {schema}.chunks_{number} (label) INCLUDE (length);
CREATE INDEX ON {schema}.chunks_{number} USING gin (words) WITH (fastupdate = off);
"""
INDEX: Final = """
CREATE INDEX IF NOT EXISTS vectors_{number} ON {schema}.chunks_{number} USING hnsw ({indexed} {class})
"""


@dataclass(frozen=True, slots=True)
class Tables:
    """Those of one collection."""

    number: int
    dimension: int
    indexed: bool


_COLUMNS: Final = (
    "c.id, c.file_id, c.number, c.text, c.context, c.metadata, c.vector, l.attributes::text AS attributes"
)
PUT_LABELS: Final = """
INSERT INTO {schema}.labels_{number} (file_id, attributes)
SELECT DISTINCT g.file_id, g.attributes FROM unnest($1::text[], $2::jsonb[]) AS g (file_id, attributes)
WHERE NOT EXISTS (
  SELECT FROM {schema}.labels_{number} l WHERE l.file_id = g.file_id AND l.attributes = g.attributes
)
"""
LABELS_OF: Final = """
SELECT g.place, min(l.key)
FROM unnest($1::text[], $2::jsonb[]) WITH ORDINALITY AS g (file_id, attributes, place)
JOIN {schema}.labels_{number} l ON l.file_id = g.file_id AND l.attributes = g.attributes
GROUP BY g.place ORDER BY g.place
"""
UNUSED_LABELS: Final = """
DELETE FROM {schema}.labels_{number} l
WHERE l.file_id = ANY ($1) AND NOT EXISTS (SELECT FROM {schema}.chunks_{number} c WHERE c.label = l.key)
"""
PUT: Final = """
INSERT INTO {schema}.chunks_{number} (id, label, file_id, number, text, context, metadata, length, words, vector)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::tsvector, $10)
ON CONFLICT (id) DO UPDATE SET
  label = excluded.label, file_id = excluded.file_id, number = excluded.number, text = excluded.text,
  context = excluded.context, metadata = excluded.metadata, length = excluded.length, words = excluded.words,
  vector = excluded.vector
"""
# One file at a time is changed by one transaction; in the order of their numbers, so that none waits in a circle.
LOCK_FILES: Final = """
SELECT pg_advisory_xact_lock({number}::bigint::int, hash) FROM (
  SELECT DISTINCT hashtext(file_id) AS hash FROM unnest($1::text[]) AS f (file_id) ORDER BY hash
) AS files
"""
REMOVE_FILE: Final = "DELETE FROM {schema}.chunks_{number} WHERE file_id = $1"
REMOVE_LABELS: Final = "DELETE FROM {schema}.labels_{number} WHERE file_id = $1"
SET_ATTRIBUTES: Final = "UPDATE {schema}.labels_{number} SET attributes = $2 WHERE file_id = $1"
COUNT: Final = "SELECT count(*) FROM {schema}.chunks_{number}"
COUNT_TO: Final = "SELECT count(*) FROM (SELECT FROM {schema}.chunks_{number} LIMIT $1) AS few"
PLACE: Final = "SELECT file_id, number, id FROM {schema}.chunks_{number} WHERE id = $1"
PAGE: Final = f"""
SELECT {_COLUMNS} FROM {{schema}}.chunks_{{number}} c
JOIN {{schema}}.labels_{{number}} l ON l.key = c.label
WHERE ($1::text IS NULL OR c.file_id = $1) AND (c.file_id, c.number, c.id) > ($2::text, $3::bigint, $4::text)
ORDER BY c.file_id, c.number, c.id LIMIT $5
"""  # noqa: S608  names of columns

# --- searching ------------------------------------------------------------------------------------------------
# Plans are made for the values at hand; a filtered search by the index goes on until it has found enough.
SETTINGS: Final = """
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
  set_config('hnsw.ef_search', $1::text, true)
"""
# The planner would rather read a table of some thousand rows than ask the index.
USE_INDEX: Final = "SELECT set_config('enable_seqscan', 'off', true)"
ITERATE: Final = """
SELECT set_config('hnsw.iterative_scan', 'strict_order', true), set_config('hnsw.max_scan_tuples', '100000', true)
"""
PASSING: Final = "SELECT key FROM {schema}.labels_{number} WHERE "
PASSING_TO: Final = """
SELECT count(*) FROM (SELECT FROM {schema}.chunks_{number} WHERE label = ANY ($1::bigint[]) LIMIT $2) AS few
"""
# Adding zero keeps the index out: every chunk that passes is looked at.
NEAREST_EXACT: Final = f"""
SELECT {_COLUMNS}, found.score FROM (
  SELECT id, -(vector {{by}} $1) AS score FROM {{schema}}.chunks_{{number}}
  WHERE $2::bigint[] IS NULL OR label = ANY ($2)
  ORDER BY (vector {{by}} $1) + 0, file_id, number, id LIMIT $3
) AS found
JOIN {{schema}}.chunks_{{number}} c ON c.id = found.id JOIN {{schema}}.labels_{{number}} l ON l.key = c.label
ORDER BY found.score DESC, c.file_id, c.number, c.id
"""  # noqa: S608  names of columns
# `$4` candidates come from the index, over halved floats where the vectors are long, and are scored by their floats.
NEAREST: Final = f"""
SELECT {_COLUMNS}, found.score FROM (
  SELECT id, -(vector {{by}} $1) AS score FROM (
    SELECT id, vector FROM {{schema}}.chunks_{{number}}
    WHERE $2::bigint[] IS NULL OR label = ANY ($2)
    ORDER BY {{indexed}} {{by}} {{asked}} LIMIT $4
  ) AS candidates ORDER BY score DESC LIMIT $3
) AS found
JOIN {{schema}}.chunks_{{number}} c ON c.id = found.id JOIN {{schema}}.labels_{{number}} l ON l.key = c.label
ORDER BY found.score DESC, c.file_id, c.number, c.id
"""  # noqa: S608  names of columns
SIZES: Final = "SELECT count(*), coalesce(avg(length), 1)::float8 FROM {schema}.chunks_{number}"
FREQUENCIES: Final = """
SELECT (SELECT count(*) FROM {schema}.chunks_{number} c WHERE c.words @@ a.word::tsquery)
FROM unnest($1::text[]) WITH ORDINALITY AS a (word, place) ORDER BY a.place
"""
KEYWORD: Final = f"""
SELECT {_COLUMNS}, found.score FROM (
  SELECT id, {{bm25}} AS score
  FROM {{schema}}.chunks_{{number}}
  WHERE words @@ $1::text::tsquery AND ($2::bigint[] IS NULL OR label = ANY ($2))
  ORDER BY score DESC, file_id, number, id LIMIT $3
) AS found
JOIN {{schema}}.chunks_{{number}} c ON c.id = found.id JOIN {{schema}}.labels_{{number}} l ON l.key = c.label
ORDER BY found.score DESC, c.file_id, c.number, c.id
"""  # noqa: S608  names of columns


def keyword(words: int) -> str:
    """The search for chunks of so many words: each is an argument, from `$5` on, followed by what it tells (its idf).

    The score is BM25 with k1 = 1.2 and b = 0.75. With weights of 1, `ts_rank` of one word that occurs n times is
    (1 + 1/4 + … + 1/n²) / c, where c is π²/6. What that sum is short of c is 1/n but for a trifle, and so n is had back
    without unpacking the tsvector: n ≈ 1 / (c - c · rank) - 1 / c, which is 0 for no occurrence and 0.94 for one.
    """
    length = "(0.3 + 0.9 * length / $4::float8)"
    terms = [
        f"${at + 1}::float8 * (1 - {length} / (1 / greatest(1.64493406685 * (1 - ts_rank('{{1,1,1,1}}', words,"
        f" ${at}::text::tsquery)), 1e-3) - 0.60792710185 + {length}))"
        for at in range(5, 5 + 2 * words, 2)
    ]
    return KEYWORD.replace("{bm25}", f"(2.2 * ({' + '.join(terms)}))")


class MissingTable(Exception):
    """A table that was asked is not there (any more)."""


# --- texts ------------------------------------------------------------------------------------------------------
_WRITTEN = re.compile("\x01([\x01\x02])")


def stored(text: str) -> str:
    """`text` without U+0000, so that order and difference of texts stay what they are."""
    return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")


def restored(text: str) -> str:
    if "\x01" not in text:
        return text
    return _WRITTEN.sub(lambda found: "\x00" if found[1] == "\x01" else "\x01", text)


def attributes_json(attributes: Attributes) -> str:
    return msgspec.json.encode(
        {stored(key): stored(value) if isinstance(value, str) else value for key, value in attributes.items()}
    ).decode()


def attributes_of(text: str) -> Attributes:
    given = msgspec.json.decode(text, type=dict[str, bool | float | str])
    return {
        restored(key): restored(value) if isinstance(value, str) else value for key, value in given.items()
    }


# --- words ------------------------------------------------------------------------------------------------------
MAX_WORDS_BYTES: Final = 900_000
"""Of the words of one chunk; a tsvector takes a megabyte."""


def tsvector(words: Mapping[str, int]) -> str:
    """Words with how often they occur, as the text of a tsvector with as many places for each."""
    parts: list[str] = []
    size = 0
    for word, times in words.items():
        size += len(word.encode()) + 8
        if size > MAX_WORDS_BYTES:
            break
        parts.append(f"'{word}':" + ",".join(map(str, range(1, min(times, 200) + 1))))
    return " ".join(parts)


def tsquery(words: Iterable[str]) -> str:
    """Any of these words."""
    return " | ".join(f"'{word}'" for word in words)


# --- vectors ----------------------------------------------------------------------------------------------------
def to_binary(vector: bytes) -> bytes:
    """Little-endian floats in pgvector's binary form: two 16-bit numbers, then the floats, all big-endian."""
    floats = array("f", vector)
    floats.byteswap()
    return len(floats).to_bytes(2, "big") + b"\x00\x00" + floats.tobytes()


def from_binary(data: bytes) -> bytes:
    floats = array("f", bytes(data[4:]))
    floats.byteswap()
    return floats.tobytes()


# --- filters ----------------------------------------------------------------------------------------------------
_SIGNS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class Condition:
    """A filter as SQL over the column `attributes`: `sql` has its values in `arguments`, from `$1` on."""

    def __init__(self, where: AttributeFilter) -> None:
        self.arguments: list[Any] = []
        self.sql = self._condition(where)

    def _argument(self, value: object, kind: str) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}::{kind}"

    def _condition(self, where: AttributeFilter) -> str:
        if isinstance(where, Group):
            inner = (" AND " if where.operator == "and" else " OR ").join(map(self._condition, where.filters))
            return f"({inner})"
        key = self._argument(stored(where.key), "text")
        match where.operator:
            case "eq" | "in":
                return self._is_one_of(key, where)
            case "ne" | "nin":
                return f"NOT {self._is_one_of(key, where)}"
            case "gt" | "gte" | "lt" | "lte":
                return self._is_ordered(key, _SIGNS[where.operator], values_of(where)[0])
            case _:
                assert_never(where.operator)

    def _is_one_of(self, key: str, where: Comparison) -> str:
        """Values of jsonb are equal where they are of one kind and equal."""
        values = [_json(value) for value in values_of(where)]
        return f"coalesce(attributes -> {key} = ANY ({self._argument(values, 'jsonb[]')}), false)"

    def _is_ordered(self, key: str, sign: str, value: Scalar) -> str:
        if isinstance(value, str):
            kind, found, other = (
                "string",
                f'(attributes ->> {key}) COLLATE "C"',
                self._argument(stored(value), "text"),
            )
        else:
            kind, found, other = (
                "number",
                f"(attributes -> {key})::numeric",
                self._argument(repr(value), "text") + "::numeric",
            )
        # A CASE, since AND may look at its second side first, and not every value is a number.
        return f"CASE WHEN jsonb_typeof(attributes -> {key}) = '{kind}' THEN {found} {sign} {other} ELSE false END"


def _json(value: Scalar) -> str:
    return msgspec.json.encode(stored(value) if isinstance(value, str) else value).decode()
