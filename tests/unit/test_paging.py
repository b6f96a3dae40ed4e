"""Pages of lists that are in memory, by both cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import JsonObject
from antiphon.web.paging import Page

IDS = [f"i{number}" for number in range(10)]


def cut(query: str, count: int = 10) -> JsonObject:
    pairs = [part.partition("=") for part in query.split("&") if part]
    page = Page.of({name: [value] for name, _, value in pairs})
    return page.cut(list(range(count)), IDS[:count])


@pytest.mark.parametrize(
    ("query", "data", "has_more"),
    [
        ("", [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], False),
        ("order=asc&limit=3", [0, 1, 2], True),
        ("order=asc&limit=3&after=i2", [3, 4, 5], True),
        ("order=asc&limit=3&after=i6", [7, 8, 9], False),
        ("order=asc&after=i9", [], False),
        ("limit=3&after=i2", [1, 0], False),
        ("order=asc&limit=3&before=i5", [2, 3, 4], True),
        ("order=asc&limit=5&before=i5", [0, 1, 2, 3, 4], False),
        ("order=asc&before=i0", [], False),
        ("limit=2&before=i5", [7, 6], True),
        ("limit=2&after=i8&before=i3", [7, 6], True),
        ("limit=9&after=i8&before=i3", [7, 6, 5, 4], False),
        ("order=asc&after=i8&before=i3", [], False),
        ("order=asc&after=i3&before=i3", [], False),
    ],
)
def test_a_page_is_what_its_cursors_say(query: str, data: list[int], has_more: bool) -> None:
    page = cut(query)
    assert page["data"] == data
    assert page["has_more"] is has_more
    assert page["first_id"] == (f"i{data[0]}" if data else None)
    assert page["last_id"] == (f"i{data[-1]}" if data else None)


@pytest.mark.parametrize(
    ("query", "param"),
    [("after=x", "after"), ("before=x", "before"), ("after=i1&before=x", "before"), ("limit=0", "limit")],
)
def test_an_unknown_cursor_is_refused_by_name(query: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        cut(query)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "limit", ["00000150", "000001" + "9" * 5000, "0" * 5000 + "1", "101", "+5", "5 ", "\u0665"]
)
def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        cut(f"limit={limit}")
    assert caught.value.param == "limit"


@given(st.integers(1, 10), st.integers(1, 10), st.sampled_from(["asc", "desc"]))
def test_walking_forth_and_back_gives_the_whole_list(count: int, limit: int, order: str) -> None:
    whole = cut(f"order={order}", count)["data"]
    for cursor, at in (("after", "last_id"), ("before", "first_id")):
        seen: list[int] = []
        if cursor == "before":  # a last item to walk back from
            seen = [whole[-1]]
        query = f"order={order}&limit={limit}"
        page = cut(f"{query}&before=i{whole[-1]}" if seen else query, count)
        while True:
            seen = seen + page["data"] if cursor == "after" else page["data"] + seen
            if not page["has_more"]:
                break
            page = cut(f"{query}&{cursor}={page[at]}", count)
        assert seen == whole
