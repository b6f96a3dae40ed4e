"""What every `PromptStore` promises, as tests. Subclass `PromptStoreContract` and give it a fixture `store`, a `Store`.

As `store_contract`, which says more.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from antiphon.ports import Owner, Store, StoredPrompt
from antiphon.testing.store_contract import ALICE, refused_as_unavailable

BOB = Owner(ALICE.tenant, "bob")
STRANGERS = (Owner("other", ALICE.subject), Owner("", ""))


def version(name: str, number: int = 1, *, is_default: bool = True) -> StoredPrompt:
    """A version whose body tells its name and number."""
    body = f'{{"prompt":"{name} {number}"}}'.encode()
    return StoredPrompt(f"pmpt_{name}", number, 1_767_225_600, is_default, body)


async def put(store: Store, name: str, marks: str = "+") -> list[StoredPrompt]:
    """A prompt with a version for each of `marks`: `+` is made the default when it is added, `-` is not."""
    versions = [version(name, number, is_default=mark == "+") for number, mark in enumerate(marks, 1)]
    await store.prompts.create_prompt(ALICE, versions[0])
    for later in versions[1:]:
        assert await store.prompts.add_version(ALICE, later) == later.version - 1
    return versions


def named(prompts: Sequence[StoredPrompt]) -> list[tuple[str, int]]:
    return [(one.id.removeprefix("pmpt_"), one.version) for one in prompts]


class PromptStoreContract:
    """The promises. Test names are the sentences that are false when they fail."""

    async def test_what_was_created_is_what_is_got(self, store: Store) -> None:
        (prompt,) = await put(store, "a")
        assert await store.prompts.get_prompt(ALICE, prompt.id) == prompt
        assert await store.prompts.get_prompt(ALICE, prompt.id, 1) == prompt
        assert await store.prompts.get_prompt(ALICE, prompt.id, 2) is None

    async def test_an_unknown_id_has_nothing(self, store: Store) -> None:
        prompts = store.prompts
        assert await prompts.get_prompt(ALICE, "pmpt_none") is None
        assert await prompts.get_prompt(ALICE, "pmpt_none", 1) is None
        assert list(await prompts.list_prompt_versions(ALICE, "pmpt_none")) == []
        assert await prompts.add_version(ALICE, version("none", 1)) == 0
        assert await prompts.add_version(ALICE, version("none", 2)) == 0
        assert await prompts.set_default_prompt(ALICE, "pmpt_none", 1) is False
        assert await prompts.delete_prompt(ALICE, "pmpt_none") is False
        assert list(await prompts.list_prompts(ALICE)) == []

    async def test_the_tenant_shares_and_others_see_nothing(self, store: Store) -> None:
        (prompt,) = await put(store, "a")
        for stranger in STRANGERS:
            assert await store.prompts.get_prompt(stranger, prompt.id) is None
            assert await store.prompts.add_version(stranger, version("a", 2)) == 0
            assert await store.prompts.set_default_prompt(stranger, prompt.id, 1) is False
            assert await store.prompts.delete_prompt(stranger, prompt.id) is False
            assert list(await store.prompts.list_prompts(stranger)) == []
            assert list(await store.prompts.list_prompt_versions(stranger, prompt.id)) == []
        assert await store.prompts.get_prompt(BOB, prompt.id) == prompt
        assert await store.prompts.add_version(BOB, version("a", 2)) == 1
        assert named(await store.prompts.list_prompts(ALICE)) == [("a", 2)]
        assert await store.prompts.delete_prompt(BOB, prompt.id) is True

    async def test_two_tenants_may_have_the_same_id(self, store: Store) -> None:
        await put(store, "a")
        theirs = replace(version("a"), body=b"{}")
        await store.prompts.create_prompt(STRANGERS[0], theirs)
        assert await store.prompts.get_prompt(STRANGERS[0], theirs.id) == theirs
        assert await store.prompts.get_prompt(ALICE, theirs.id) == version("a")

    async def test_a_new_version_becomes_the_default_only_where_it_says_so(self, store: Store) -> None:
        first, second, third = await put(store, "a", "+-+")
        versions = await store.prompts.list_prompt_versions(ALICE, first.id)
        assert list(versions) == [replace(first, is_default=False), second, third]
        assert await store.prompts.get_prompt(ALICE, first.id) == third
        await store.prompts.add_version(ALICE, version("a", 4, is_default=False))
        assert await store.prompts.get_prompt(ALICE, first.id) == third
        assert await store.prompts.get_prompt(ALICE, first.id, 4) == version("a", 4, is_default=False)

    async def test_a_version_that_is_not_the_next_changes_nothing(self, store: Store) -> None:
        _, second = await put(store, "a", "++")
        for number in (1, 2, 4):
            assert await store.prompts.add_version(ALICE, replace(version("a", number), body=b"{}")) == 2
        assert len(await store.prompts.list_prompt_versions(ALICE, second.id)) == 2
        assert await store.prompts.get_prompt(ALICE, second.id) == second

    async def test_of_two_that_add_the_same_version_one_wins(self, store: Store) -> None:
        await put(store, "a")
        rivals = [replace(version("a", 2), body=body) for body in (b'{"by":1}', b'{"by":2}')]
        latest = await asyncio.gather(*(store.prompts.add_version(ALICE, one) for one in rivals))
        assert sorted(latest) == [1, 2]
        assert await store.prompts.get_prompt(ALICE, "pmpt_a", 2) == rivals[latest.index(1)]

    async def test_the_default_is_set_to_any_version_there_is(self, store: Store) -> None:
        first, second = await put(store, "a", "++")
        assert await store.prompts.set_default_prompt(ALICE, first.id, 1) is True
        assert await store.prompts.get_prompt(ALICE, first.id) == first
        for missing in (0, 3):
            assert await store.prompts.set_default_prompt(ALICE, first.id, missing) is False
        versions = await store.prompts.list_prompt_versions(ALICE, first.id)
        assert list(versions) == [first, replace(second, is_default=False)]

    async def test_the_list_has_each_prompt_once_by_its_default_newest_first(self, store: Store) -> None:
        await put(store, "a", "+-")
        await put(store, "b", "++")
        await put(store, "c")
        await store.prompts.add_version(ALICE, version("a", 3))
        assert named(await store.prompts.list_prompts(ALICE)) == [("c", 1), ("b", 2), ("a", 3)]

    async def test_a_deleted_prompt_is_gone_with_all_its_versions(self, store: Store) -> None:
        await put(store, "a", "++-")
        await put(store, "b")
        assert await store.prompts.delete_prompt(ALICE, "pmpt_a") is True
        assert await store.prompts.delete_prompt(ALICE, "pmpt_a") is False
        for number in (None, 1, 2, 3):
            assert await store.prompts.get_prompt(ALICE, "pmpt_a", number) is None
        assert named(await store.prompts.list_prompts(ALICE)) == [("b", 1)]

    async def test_a_closed_store_has_no_prompts_to_give(self, store: Store) -> None:
        await store.aclose()
        assert await refused_as_unavailable(store.prompts.create_prompt(ALICE, version("a")))
        assert await refused_as_unavailable(store.prompts.add_version(ALICE, version("a", 2)))
        assert await refused_as_unavailable(store.prompts.set_default_prompt(ALICE, "pmpt_a", 1))
        assert await refused_as_unavailable(store.prompts.get_prompt(ALICE, "pmpt_a"))
        assert await refused_as_unavailable(store.prompts.list_prompts(ALICE))
        assert await refused_as_unavailable(store.prompts.list_prompt_versions(ALICE, "pmpt_a"))
        assert await refused_as_unavailable(store.prompts.delete_prompt(ALICE, "pmpt_a"))
