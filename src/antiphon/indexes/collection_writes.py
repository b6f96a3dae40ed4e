"""Changes to the file of one collection. Each function runs inside one transaction."""

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec

from antiphon.core.filters import Attributes, Scalar
from antiphon.indexes.codes import to_quantize
from antiphon.indexes.spaced import spaced
from antiphon.indexes.sqlite_filters import stored
from antiphon.indexes.statements import number, row, run, run_many, statements
from antiphon.ports.knowledge import Chunk, Collection

SQL: Final = statements("collection")
_ATTRIBUTES: Final = msgspec.json.Decoder(dict[str, str | float | int | bool])


def put(connection: apsw.Connection, collection: Collection, chunks: Sequence[Chunk]) -> None:
    latest = {one.id: one for one in chunks}
    run(connection, SQL["changed"])
    sets: dict[str, int] = {}
    for one in latest.values():
        attributes = encoded(one.attributes)
        if attributes not in sets:
            sets[attributes] = _attribute_set(connection, attributes, one.attributes)
        _put(connection, collection, one, sets[attributes])
    _remove_unused(connection)


def _put(connection: apsw.Connection, collection: Collection, one: Chunk, set_n: int) -> None:
    values = (one.id, one.file_id, one.number, set_n, one.text, one.context, one.metadata)
    n = number(connection, SQL["put_chunk"], values)
    run(connection, SQL["put_words"], (n, spaced(one.searched)))
    if collection.dimension:
        run(connection, SQL["put_code"], (n, set_n, *to_quantize(one.vector, collection.dimension)))
        run(connection, SQL["put_vector"], (n, one.vector))
    else:
        run(connection, SQL["put_set"], (n, set_n))


def remove_file(connection: apsw.Connection, file_id: str) -> None:
    run(connection, SQL["changed"])
    rows = run(connection, SQL["numbers_of_file"], (file_id,))
    for name in ("remove_words", "remove_code", "remove_vector", "remove_chunk"):
        run_many(connection, SQL[name], rows)
    _remove_unused(connection)


def set_attributes(connection: apsw.Connection, file_id: str, attributes: Attributes) -> None:
    set_n = _attribute_set(connection, encoded(attributes), attributes)
    run(connection, SQL["set_attributes_of_codes"], (set_n, file_id))
    run(connection, SQL["set_attributes_of_chunks"], (set_n, file_id))
    _remove_unused(connection)


def _attribute_set(connection: apsw.Connection, text: str, attributes: Attributes) -> int:
    found = row(connection, SQL["find_set"], (text,))
    if found is not None:
        return int(found[0])
    n = number(connection, SQL["add_set"], (text,))
    for key, value in attributes.items():
        run(connection, SQL["add_value"], (key, *stored(value), n))
    return n


def _remove_unused(connection: apsw.Connection) -> None:
    run(connection, SQL["remove_unused_values"])
    run(connection, SQL["remove_unused_sets"])


def encoded(attributes: Attributes) -> str:
    """The same text for the same attributes, whatever their order."""
    return msgspec.json.encode(dict(attributes), order="sorted").decode()


def decoded(text: str) -> Attributes:
    found: dict[str, Scalar] = dict(_ATTRIBUTES.decode(text))
    return found
