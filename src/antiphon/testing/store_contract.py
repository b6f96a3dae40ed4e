"""What every `ResponseStore` promises, as tests. Subclass `ResponseStoreContract` and give it a fixture `store`.

    class TestMine(ResponseStoreContract):
        @pytest.fixture
        async def store(self) -> AsyncIterator[ResponseStore]:
            store = MyStore()
            yield store
            await store.aclose()

The tests are coroutines: pytest-asyncio runs them in its auto mode. Plain `assert`s, so that no test framework is
needed to import this.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace

from antiphon.core.errors import InvalidRequest, StoreUnavailable
from antiphon.core.transcript import PastTurn
from antiphon.ports import ListedResponse, Owner, ResponsePage, ResponseStore, StoredResponse

ALICE = Owner("acme", "alice")
STRANGERS = (Owner("acme", "bob"), Owner("other", "alice"), Owner("", ""))


def response(name: str, parent: str | None = None, *, size_bytes: int = 20) -> StoredResponse:
    """A small response whose content tells its name."""
    filling = "x" * size_bytes
    return StoredResponse(
        id=f"resp_{name}",
        parent_id=None if parent is None else f"resp_{parent}",
        status="completed",
        model="demo",
        created_at=1_767_225_600,
        head=f'{{"id":"resp_{name}"}}'.encode(),
        input=f'[{{"in":"{name}","filling":"{filling}"}}]'.encode(),
        output=f'[{{"out":"{name}"}}]'.encode(),
        served_by=f"local/{name}",
    )


def turn(stored: StoredResponse) -> PastTurn:
    return PastTurn(stored.id, stored.input, stored.output, stored.served_by)


async def put_chain(store: ResponseStore, *names: str) -> list[StoredResponse]:
    """Responses that continue one another."""
    parents = (None, *names)
    chain = [response(name, parent) for name, parent in zip(names, parents, strict=False)]
    for one in chain:
        await store.put_response(ALICE, one)
    return chain


async def refused_as_unavailable(call: Awaitable[object]) -> bool:
    try:
        await call
    except StoreUnavailable:
        return True
    return False


def ids(turns: Sequence[PastTurn]) -> list[str]:
    return [one.id for one in turns]


async def listed(store: ResponseStore, page: ResponsePage, owner: Owner = ALICE) -> list[str]:
    """The names on a page: `a` for `resp_a`."""
    return [one.id.removeprefix("resp_") for one in await store.list_responses(owner, page)]


async def cursor_refused(store: ResponseStore, page: ResponsePage, owner: Owner = ALICE) -> str | None:
    """The parameter that a page was refused for."""
    try:
        await store.list_responses(owner, page)
    except InvalidRequest as error:
        return error.param
    return None


async def put_aged(store: ResponseStore, *ages: int) -> None:
    """Responses `n0`, `n1` … created so many seconds after the first moment, put in this order."""
    for number, age in enumerate(ages):
        one = response(f"n{number}")
        await store.put_response(ALICE, replace(one, created_at=one.created_at + age))


class ResponseStoreContract:
    """The promises. Test names are the sentences that are false when they fail."""

    async def test_what_was_put_is_what_is_got(self, store: ResponseStore) -> None:
        stored = response("a")
        await store.put_response(ALICE, stored)
        assert await store.get_response(ALICE, stored.id) == stored

    async def test_an_unknown_id_is_none_false_and_empty(self, store: ResponseStore) -> None:
        assert await store.get_response(ALICE, "resp_none") is None
        assert await store.delete_response(ALICE, "resp_none") is False
        assert list(await store.get_chain(ALICE, "resp_none")) == []

    async def test_a_foreign_id_answers_as_an_unknown_one(self, store: ResponseStore) -> None:
        stored = response("a")
        await store.put_response(ALICE, stored)
        for stranger in STRANGERS:
            assert await store.get_response(stranger, stored.id) is None
            assert await store.delete_response(stranger, stored.id) is False
            assert list(await store.get_chain(stranger, stored.id)) == []
        assert await store.get_response(ALICE, stored.id) == stored

    async def test_putting_under_a_foreign_id_leaves_the_foreign_response_alone(
        self, store: ResponseStore
    ) -> None:
        stored = response("a")
        await store.put_response(ALICE, stored)
        for stranger in STRANGERS:
            await store.put_response(stranger, replace(stored, status="failed"))
        assert await store.get_response(ALICE, stored.id) == stored

    async def test_a_chain_does_not_cross_into_another_owner(self, store: ResponseStore) -> None:
        await store.put_response(ALICE, response("a"))
        for stranger in STRANGERS:
            await store.put_response(stranger, response("b", "a"))
            assert list(await store.get_chain(stranger, "resp_b")) == []

    async def test_putting_again_replaces(self, store: ResponseStore) -> None:
        await put_chain(store, "a", "b")
        later = replace(response("b", "a"), status="failed", output=b'[{"out":"later"}]')
        await store.put_response(ALICE, later)
        assert await store.get_response(ALICE, later.id) == later
        assert (await store.get_chain(ALICE, later.id))[-1] == turn(later)

    async def test_a_chain_is_in_order_from_its_root(self, store: ResponseStore) -> None:
        names = [f"turn{number}" for number in range(200)]
        chain = await put_chain(store, *names)
        assert list(await store.get_chain(ALICE, chain[-1].id)) == [turn(one) for one in chain]
        assert list(await store.get_chain(ALICE, chain[4].id)) == [turn(one) for one in chain[:5]]

    async def test_two_responses_may_continue_the_same_one(self, store: ResponseStore) -> None:
        await put_chain(store, "root", "left")
        await store.put_response(ALICE, response("right", "root"))
        assert ids(await store.get_chain(ALICE, "resp_left")) == ["resp_root", "resp_left"]
        assert ids(await store.get_chain(ALICE, "resp_right")) == ["resp_root", "resp_right"]

    async def test_a_deleted_response_is_unknown_at_once(self, store: ResponseStore) -> None:
        await put_chain(store, "a")
        assert await store.delete_response(ALICE, "resp_a") is True
        assert await store.get_response(ALICE, "resp_a") is None
        assert list(await store.get_chain(ALICE, "resp_a")) == []
        assert await store.delete_response(ALICE, "resp_a") is False

    async def test_a_deleted_ancestor_stays_in_the_chain_of_a_live_descendant(
        self, store: ResponseStore
    ) -> None:
        chain = await put_chain(store, "a", "b", "c")
        await store.delete_response(ALICE, "resp_a")
        await store.delete_response(ALICE, "resp_b")
        assert list(await store.get_chain(ALICE, "resp_c")) == [turn(one) for one in chain]
        assert await store.get_response(ALICE, "resp_b") is None
        assert list(await store.get_chain(ALICE, "resp_b")) == []

    async def test_deleting_one_branch_leaves_the_other_whole(self, store: ResponseStore) -> None:
        await put_chain(store, "root", "left")
        await store.put_response(ALICE, response("right", "root"))
        await store.delete_response(ALICE, "resp_root")
        await store.delete_response(ALICE, "resp_left")
        assert ids(await store.get_chain(ALICE, "resp_right")) == ["resp_root", "resp_right"]

    async def test_replacing_a_deleted_response_does_not_bring_it_back(self, store: ResponseStore) -> None:
        chain = await put_chain(store, "a", "b")
        await store.delete_response(ALICE, "resp_a")
        await store.put_response(ALICE, chain[0])
        assert await store.get_response(ALICE, "resp_a") is None

    async def test_a_chain_that_lost_its_root_is_no_chain(self, store: ResponseStore) -> None:
        """A parent that was purged while its child still ran: half a history must not pass for a whole one."""
        await put_chain(store, "a")
        await store.delete_response(ALICE, "resp_a")
        await store.put_response(ALICE, response("late", "a"))
        assert list(await store.get_chain(ALICE, "resp_late")) == []

    async def test_a_list_is_by_age_and_then_by_the_order_of_puts(self, store: ResponseStore) -> None:
        await put_aged(store, 5, 1, 5, 3, 1)
        assert await listed(store, ResponsePage(9, newest_first=False)) == ["n1", "n4", "n3", "n0", "n2"]
        assert await listed(store, ResponsePage(9)) == ["n2", "n0", "n3", "n4", "n1"]

    async def test_a_listed_response_has_its_head_and_output(self, store: ResponseStore) -> None:
        stored = response("a")
        await store.put_response(ALICE, stored)
        assert list(await store.list_responses(ALICE, ResponsePage(1))) == [
            ListedResponse(stored.id, stored.head, stored.output)
        ]

    async def test_pages_behind_one_another_are_the_whole_list(self, store: ResponseStore) -> None:
        await put_aged(store, *[number // 3 for number in range(20)])
        for newest_first in (True, False):
            whole = await listed(store, ResponsePage(99, newest_first))
            assert len(whole) == 20
            for limit in (1, 3, 7, 20):
                pages: list[str] = []
                while page := await listed(
                    store, ResponsePage(limit, newest_first, after=f"resp_{pages[-1]}" if pages else None)
                ):
                    pages += page
                assert pages == whole

    async def test_before_gives_the_page_that_ends_in_front_of_it(self, store: ResponseStore) -> None:
        await put_aged(store, 1, 2, 3, 4, 5, 6)
        assert await listed(store, ResponsePage(2, before="resp_n1")) == ["n3", "n2"]
        assert await listed(store, ResponsePage(2, newest_first=False, before="resp_n4")) == ["n2", "n3"]
        assert await listed(store, ResponsePage(9, before="resp_n5")) == []

    async def test_between_two_cursors_a_page_begins_at_after(self, store: ResponseStore) -> None:
        await put_aged(store, 1, 2, 3, 4, 5, 6)
        page = ResponsePage(2, after="resp_n5", before="resp_n0")
        assert await listed(store, page) == ["n4", "n3"]
        assert await listed(store, replace(page, limit=9)) == ["n4", "n3", "n2", "n1"]
        assert await listed(store, replace(page, after="resp_n0", before="resp_n5")) == []

    async def test_a_list_of_one_model_holds_no_other(self, store: ResponseStore) -> None:
        await put_aged(store, 1, 2)
        await store.put_response(ALICE, replace(response("other"), model="other"))
        assert await listed(store, ResponsePage(9, model="other")) == ["other"]
        assert await listed(store, ResponsePage(1, model="demo")) == ["n1"]
        assert await listed(store, ResponsePage(9, model="nothing")) == []
        assert await listed(store, ResponsePage(9, after="resp_n1", model="other")) == ["other"]

    async def test_a_list_holds_nothing_of_strangers(self, store: ResponseStore) -> None:
        await put_chain(store, "a", "b")
        for stranger in STRANGERS:
            await store.put_response(stranger, response("theirs"))
            assert await listed(store, ResponsePage(9), stranger) == ["theirs"]
            assert await cursor_refused(store, ResponsePage(9, after="resp_a"), stranger) == "after"
            assert await cursor_refused(store, ResponsePage(9, before="resp_a"), stranger) == "before"
        assert await listed(store, ResponsePage(9)) == ["b", "a"]

    async def test_a_deleted_response_is_neither_listed_nor_a_cursor(self, store: ResponseStore) -> None:
        await put_chain(store, "a", "b", "c")
        await store.delete_response(ALICE, "resp_b")
        assert await listed(store, ResponsePage(9)) == ["c", "a"]
        assert await cursor_refused(store, ResponsePage(9, after="resp_b")) == "after"
        assert await cursor_refused(store, ResponsePage(9, before="resp_none")) == "before"

    async def test_a_replaced_response_keeps_its_place_in_the_list(self, store: ResponseStore) -> None:
        chain = await put_chain(store, "a", "b")
        await store.put_response(ALICE, replace(chain[0], status="failed", output=b"[]"))
        page = await store.list_responses(ALICE, ResponsePage(9))
        assert [(one.id, one.output) for one in page] == [
            ("resp_b", chain[1].output),
            ("resp_a", b"[]"),
        ]

    async def test_two_hundred_puts_at_once_are_all_there(self, store: ResponseStore) -> None:
        every = [response(f"n{number}") for number in range(200)]
        await asyncio.gather(*[store.put_response(ALICE, one) for one in every])
        assert [await store.get_response(ALICE, one.id) for one in every] == every

    async def test_ten_megabytes_come_back_whole(self, store: ResponseStore) -> None:
        stored = response("big", size_bytes=10_000_000)
        await store.put_response(ALICE, stored)
        assert await store.get_response(ALICE, stored.id) == stored
        assert list(await store.get_chain(ALICE, stored.id)) == [turn(stored)]

    async def test_any_text_comes_back_as_it_was(self, store: ResponseStore) -> None:
        odd = "né\u0000 \U0001f600 ' \" \\ %s :id \ud7ff"
        owner = Owner("tenant " + odd, odd)
        stored = replace(
            response("odd"), id="resp_" + odd, model=odd, status=odd, head=odd.encode(), output=b"\x00\xff"
        )
        await store.put_response(owner, stored)
        assert await store.get_response(owner, stored.id) == stored

    async def test_a_cancelled_caller_does_not_harm_the_others(self, store: ResponseStore) -> None:
        gone = asyncio.ensure_future(store.put_response(ALICE, response("gone")))
        kept = asyncio.ensure_future(store.put_response(ALICE, response("kept")))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone, kept])
        assert await store.get_response(ALICE, "resp_kept") is not None

    async def test_a_closed_store_is_unavailable_and_may_be_closed_again(self, store: ResponseStore) -> None:
        await store.aclose()
        await store.aclose()
        assert await refused_as_unavailable(store.put_response(ALICE, response("a")))
        assert await refused_as_unavailable(store.get_response(ALICE, "resp_a"))
        assert await refused_as_unavailable(store.get_chain(ALICE, "resp_a"))
        assert await refused_as_unavailable(store.delete_response(ALICE, "resp_a"))
        assert await refused_as_unavailable(store.list_responses(ALICE, ResponsePage(9)))
