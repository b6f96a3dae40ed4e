"""Which slot a `prompt_cache_key` goes to."""

from contextlib import suppress

from antiphon.providers.llama_cpp.slots import SlotMap


def used(slots: SlotMap, key: str | None) -> int | None:
    with slots.use(key) as slot:
        return slot


def test_a_key_comes_back_to_its_slot() -> None:
    slots = SlotMap(3)
    first = {key: used(slots, key) for key in "abc"}
    assert sorted(first.values(), key=str) == [0, 1, 2]
    assert {key: used(slots, key) for key in "cab"} == first


def test_a_new_key_takes_the_slot_that_was_used_least_recently() -> None:
    slots = SlotMap(2)
    a, b = used(slots, "a"), used(slots, "b")
    assert used(slots, "a") == a
    assert used(slots, "c") == b
    assert used(slots, "a") == a
    assert used(slots, "b") == b  # given anew; c is forgotten


def test_without_a_key_the_engine_chooses() -> None:
    slots = SlotMap(1)
    assert used(slots, None) is None
    assert used(slots, "") is None


def test_a_busy_slot_is_neither_waited_for_nor_taken() -> None:
    slots = SlotMap(2)
    with slots.use("a") as first:
        assert used(slots, "a") is None
        second = used(slots, "b")
        assert second != first
        with slots.use("b"):
            assert used(slots, "c") is None
    assert used(slots, "a") == first


def test_a_slot_is_free_again_after_a_failure() -> None:
    slots = SlotMap(1)
    with suppress(ZeroDivisionError), slots.use("a") as slot:
        assert slot == 1 // 0
    assert used(slots, "b") == 0
