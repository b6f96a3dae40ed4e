"""Lists as Llama Stack pages them: `start_index` and `limit`, and where there is no limit, everything."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.agents.shapes import Page
from antiphon.core.errors import InvalidRequest
from antiphon.web.routing import Query

EVERYTHING = -1
_NUMBER = re.compile(r"-?[0-9]{1,9}", re.ASCII)

WINDOW_QUERY = (
    Query("start_index", {"type": "integer", "minimum": 0, "default": 0}, "The first one: 0 is the oldest."),
    Query(
        "limit",
        {"type": "integer", "minimum": EVERYTHING, "default": EVERYTHING},
        "How many at most; -1 for all.",
    ),
)


@dataclass(frozen=True, slots=True)
class Window:
    """`limit` None: everything from `start` on."""

    start: int = 0
    limit: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, Sequence[str]]) -> "Window":
        """From a query string. Raises InvalidRequest."""
        start = _number(query, "start_index", 0)
        limit = _number(query, "limit", EVERYTHING)
        if start < 0:
            raise InvalidRequest("`start_index` is a whole number from 0 on.", param="start_index")
        if limit != EVERYTHING and limit < 1:
            raise InvalidRequest("`limit` is a whole number from 1 on, or -1 for everything.", param="limit")
        return cls(start, None if limit == EVERYTHING else limit)

    @property
    def asked(self) -> int | None:
        """How many to read, so that it is known whether more follow."""
        return None if self.limit is None else self.limit + 1

    def page(self, found: Sequence[Any], url: str) -> Page:
        """Of what was read by `asked`."""
        more = self.limit is not None and len(found) > self.limit
        return Page(data=list(found[: self.limit]), has_more=more, url=url)


def _number(query: Mapping[str, Sequence[str]], name: str, default: int) -> int:
    given = (query.get(name) or [""])[-1]
    if not given:
        return default
    if not _NUMBER.fullmatch(given):
        raise InvalidRequest(f"`{name}` is a whole number, not {given[:50]!r}.", param=name)
    return int(given)
