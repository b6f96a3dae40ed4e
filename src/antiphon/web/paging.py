"""Lists with cursors: `limit`, `order`, `after`, and the list object of the OpenAI APIs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import JsonObject
from antiphon.web.routing import Query

_LIMIT = re.compile(r"0{0,9}[0-9]{1,6}", re.ASCII)
"""A whole number of few digits. Never decoded before it fits: Python refuses to read thousands of them."""

PAGE_QUERY = (
    Query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "Items on a page."),
    Query(
        "order",
        {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
        "By age; desc is newest first.",
    ),
    Query("after", {"type": "string"}, "The id of the last item of the page before."),
    Query(
        "before", {"type": "string"}, "The id of the first item of the page behind; gives the items up to it."
    ),
)


@dataclass(frozen=True, slots=True)
class Page:
    """Both cursors are left out of the page. With `before` alone it ends there, else it begins behind `after`."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None

    @property
    def backwards(self) -> bool:
        return self.before is not None and self.after is None

    @classmethod
    def of(
        cls,
        query: Mapping[str, Sequence[str]],
        *,
        order: Literal["asc", "desc"] = "desc",
        limit: int = 20,
        most: int = 100,
    ) -> "Page":
        """From a query string; `order` and `limit` where it says nothing of them. Raises InvalidRequest."""
        asked_limit = _last(query, "limit") or str(limit)
        if not _LIMIT.fullmatch(asked_limit) or not 1 <= int(asked_limit) <= most:
            raise InvalidRequest(
                f"limit is a whole number from 1 to {most}, not {asked_limit[:50]!r}.", param="limit"
            )
        asked = _last(query, "order") or order
        if asked not in ("asc", "desc"):
            raise InvalidRequest(f'order is "asc" or "desc", not {asked[:50]!r}.', param="order")
        cursors = [_last(query, name) or None for name in ("after", "before")]
        return cls(int(asked_limit), "asc" if asked == "asc" else "desc", *cursors)

    def cut(self, items: Sequence[object], ids: Sequence[str]) -> JsonObject:
        """The page of `items` (oldest first, with their `ids`) as a list object. Raises InvalidRequest."""
        places = range(len(items)) if self.order == "asc" else range(len(items) - 1, -1, -1)
        ordered = [ids[place] for place in places]
        start = 0 if self.after is None else self._find(ordered, self.after, "after") + 1
        end = len(items) if self.before is None else self._find(ordered, self.before, "before")
        between = places[start : max(start, end)]
        page = between[-self.limit :] if self.backwards else between[: self.limit]
        return {
            "object": "list",
            "data": [items[place] for place in page],
            "first_id": ids[page[0]] if page else None,
            "last_id": ids[page[-1]] if page else None,
            "has_more": len(between) > self.limit,
        }

    @staticmethod
    def _find(ordered: Sequence[str], cursor: str, param: str) -> int:
        if cursor not in ordered:
            raise InvalidRequest(f'no item of this list has the id "{cursor[:200]}".', param=param)
        return ordered.index(cursor)


def _last(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None


def refuse_unknown(query: Mapping[str, Sequence[str]], *known: str) -> None:
    """Raises InvalidRequest for a query parameter that is not served here. `include[]` counts as `include`."""
    for name in query:
        if name.removesuffix("[]") not in known:
            served = ", ".join(known) or "none"
            raise InvalidRequest(
                f'query parameter "{name[:100]}" is not served here; served: {served}.', param=name[:100]
            )


def included(query: Mapping[str, Sequence[str]]) -> list[str]:
    """The values of `include` in each form that clients send: repeated, with `[]`, or comma-separated."""
    given = [*query.get("include", ()), *query.get("include[]", ())]
    return [value for part in given for value in part.split(",") if value]
