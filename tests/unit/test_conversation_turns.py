"""Who may work on a conversation, and when."""

import asyncio
import random

import pytest

from antiphon.conversations.turns import WAIT_S, Turns
from antiphon.core.errors import ConversationLocked
from antiphon.ports import Owner
from antiphon.testing.simulation import simulate

ANN, BOB = Owner("t", "ann"), Owner("t", "bob")


async def settle() -> None:
    """Let every task come to where it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_callers_go_one_after_the_other_in_the_order_in_which_they_came() -> None:
    turns, log = Turns(), list[str]()

    async def turn(name: str) -> None:
        async with turns.one(ANN, "conv_1"):
            log.append(f"{name} in")
            await asyncio.sleep(0)
            log.append(f"{name} out")

    await asyncio.gather(*[turn(name) for name in "abc"])
    assert log == ["a in", "a out", "b in", "b out", "c in", "c out"]
    assert len(turns) == 0


@pytest.mark.parametrize(("owner", "conversation"), [(ANN, "conv_2"), (BOB, "conv_1")])
async def test_other_conversations_and_other_owners_do_not_wait(owner: Owner, conversation: str) -> None:
    turns = Turns()
    async with turns.one(ANN, "conv_1"), turns.one(owner, conversation):
        assert len(turns) == 2
    assert len(turns) == 0


async def test_an_error_lets_the_next_one_in() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="broken"):
        async with turns.one(ANN, "conv_1"):
            raise ValueError("broken")
    async with turns.one(ANN, "conv_1"):
        assert len(turns) == 1


async def test_whoever_is_cancelled_while_waiting_leaves_the_queue() -> None:
    turns, release, log = Turns(), asyncio.Event(), list[str]()

    async def turn(name: str) -> None:
        async with turns.one(ANN, "conv_1"):
            log.append(name)
            await release.wait()

    tasks = [asyncio.ensure_future(turn(name)) for name in "abc"]
    await settle()
    tasks[1].cancel()
    await settle()
    assert tasks[1].cancelled(), "it does not wait for its turn to leave"
    release.set()
    await asyncio.gather(tasks[0], tasks[2])
    assert log == ["a", "c"]
    assert len(turns) == 0


async def test_whoever_is_cancelled_when_the_turn_is_given_passes_it_on() -> None:
    turns, log = Turns(), list[str]()

    async def turn(name: str) -> None:
        async with turns.one(ANN, "conv_1"):
            log.append(name)

    holder = turns.one(ANN, "conv_1")
    await holder.__aenter__()
    tasks = [asyncio.ensure_future(turn(name)) for name in "ab"]
    await settle()
    await holder.__aexit__(None, None, None)
    tasks[0].cancel()  # the lock is about to be its own
    await asyncio.wait(tasks)
    assert log == ["b"]
    assert len(turns) == 0


def test_nobody_waits_for_ever() -> None:
    async def main(_: random.Random) -> tuple[str | None, float, int]:
        turns, loop = Turns(), asyncio.get_running_loop()
        async with turns.one(ANN, "conv_1"):
            with pytest.raises(ConversationLocked) as caught:
                async with turns.one(ANN, "conv_1"):
                    pass
            waited = loop.time()
        async with turns.one(ANN, "conv_1"):
            return caught.value.headers["retry-after"], waited, len(turns)

    retry_after, waited, held = simulate(1, main)
    assert (retry_after, held) == ("10", 1)
    assert waited == pytest.approx(WAIT_S)
