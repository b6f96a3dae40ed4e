"""Pages of what an owner has. Those of responses are read by an index, `responses_listed`: none costs more than
another.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

import apsw

from antiphon.core.errors import InvalidRequest
from antiphon.ports import ListedResponse, Owner, ResponsePage
from antiphon.storage.queries import execute

_FIRST = (-1, -1)
_LAST = (2**63 - 1, 2**63 - 1)


def unknown_cursor(cursor: str, param: str, kind: str = "response") -> InvalidRequest:
    return InvalidRequest(
        f'there is no {kind} "{cursor[:200]}" to continue the list from; it may have been deleted.'
        " Take an id from a page of this list, or leave the parameter out to begin anew.",
        param=param,
    )


class _Aged(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> int: ...


AgedT = TypeVar("AgedT", bound=_Aged)


def by_age(rows: Iterable[AgedT], *, newest_first: bool, after: str | None, kind: str) -> list[AgedT]:
    """Rows in the order in which they were added, as they are listed behind the cursor. Raises InvalidRequest."""
    ordered = sorted(rows, key=lambda row: row.created_at)
    if newest_first:
        ordered.reverse()
    if after is None:
        return ordered
    ids = [row.id for row in ordered]
    if after not in ids:
        raise unknown_cursor(after, "after", kind)
    return ordered[ids.index(after) + 1 :]


def read_page(
    connection: apsw.Connection, sql: Mapping[str, str], owner: Owner, page: ResponsePage
) -> list[ListedResponse]:
    """See `ports.ResponseStore.list_responses`. Raises apsw.Error and InvalidRequest."""
    after = _position(connection, sql, owner, page.after, "after")
    before = _position(connection, sql, owner, page.before, "before")
    older, newer = (before, after) if page.newest_first else (after, before)
    backwards = before is not None and after is None  # the page ends where the cursor is
    newest_first = page.newest_first != backwards
    bindings: dict[str, Any] = {
        "tenant": owner.tenant,
        "subject": owner.subject,
        "model": page.model,
        "limit": page.limit,
    }
    bindings["older_at"], bindings["older_number"] = older or _FIRST
    bindings["newer_at"], bindings["newer_number"] = newer or _LAST
    statement = sql["list_newest_first" if newest_first else "list_oldest_first"]
    found = [ListedResponse(*row) for row in execute(connection, statement, bindings)]
    return found[::-1] if backwards else found


def _position(
    connection: apsw.Connection, sql: Mapping[str, str], owner: Owner, cursor: str | None, param: str
) -> tuple[int, int] | None:
    if cursor is None:
        return None
    bindings = {"id": cursor, "tenant": owner.tenant, "subject": owner.subject}
    row = execute(connection, sql["list_position"], bindings).fetchone()
    if row is None:
        raise unknown_cursor(cursor, param)
    return row[0], row[1]
