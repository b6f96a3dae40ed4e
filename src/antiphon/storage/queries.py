"""The thin layer over SQL: statements live in `sql/*.sql`, one per `-- name:` line; `execute` runs them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

_FOLDER = Path(__file__).parent / "sql"


def load(name: str) -> Mapping[str, str]:
    """The statements of `sql/<name>.sql` by name, in file order, without their comments."""
    statements: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (_FOLDER / f"{name}.sql").read_text(encoding="utf-8").splitlines():
        if line.startswith("-- name:"):
            current = statements.setdefault(line.removeprefix("-- name:").strip(), [])
        elif line and not line.startswith("--"):
            current.append(line)
    return {key: "\n".join(lines) for key, lines in statements.items()}


def execute(
    connection: apsw.Connection, sql: str, bindings: Mapping[str, Any] | Sequence[Any] | None = None
) -> apsw.Cursor:
    """Run a statement; apsw prepares it once per connection. Raises apsw.Error."""
    # apsw's own types name a class that Python has only since 3.12.
    return connection.execute(sql, bindings)  # pyright: ignore[reportUnknownMemberType]
