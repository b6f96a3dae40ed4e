"""The statements of `sql/*.sql`, and how they are run."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, cast

import apsw

Bindings = Mapping[str, Any] | Sequence[Any] | None


@cache
def statements(name: str) -> Mapping[str, str]:
    """The statements of `sql/<name>.sql` by name, without their comments. One statement or a script each; `{where}`
    stands for a condition on `s`, a row of `attribute_sets`.
    """
    found: dict[str, list[str]] = {}
    current: list[str] = []
    path = Path(__file__).parent / "sql" / f"{name}.sql"
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-- name:"):
            current = found.setdefault(line.removeprefix("-- name:").strip(), [])
        elif line and not line.startswith("--"):
            current.append(line)
    return {key: "\n".join(lines) for key, lines in found.items()}


def run(connection: apsw.Connection, sql: str, bindings: Bindings = None) -> list[tuple[Any, ...]]:
    """Run a statement to its end; apsw prepares it once per connection. Raises apsw.Error."""
    # apsw's own types name a class that Python has only since 3.12.
    cursor = connection.execute(sql, bindings)  # pyright: ignore[reportUnknownMemberType]
    return cast("list[tuple[Any, ...]]", cursor.fetchall())  # pyright: ignore[reportUnknownMemberType]


def batches(
    connection: apsw.Connection, sql: str, bindings: Bindings, size: int
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a statement, so many at once."""
    rows = connection.execute(sql, bindings)  # pyright: ignore[reportUnknownMemberType]
    while batch := list(islice(cast("Iterator[tuple[Any, ...]]", rows), size)):
        yield batch


def run_many(connection: apsw.Connection, sql: str, bindings: Iterable[Sequence[Any]]) -> None:
    """Run a statement once for each of these."""
    connection.executemany(sql, bindings)  # pyright: ignore[reportUnknownMemberType]


def row(connection: apsw.Connection, sql: str, bindings: Bindings = None) -> tuple[Any, ...] | None:
    """The first row; None where there is none."""
    found = run(connection, sql, bindings)
    return found[0] if found else None


def number(connection: apsw.Connection, sql: str, bindings: Bindings = None) -> int:
    """The one number that a statement answers."""
    ((found,),) = run(connection, sql, bindings)
    return int(found)


def in_array(values: "array[Any] | tuple[str, ...]") -> Any:
    """What `carray(?)` is bound to: numbers, or texts without NUL; at least one."""
    return apsw.carray(values)  # pyright: ignore[reportUnknownMemberType]
