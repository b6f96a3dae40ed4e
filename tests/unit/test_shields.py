"""Shields are asked all at once, and what could not be checked does not pass."""

import asyncio
import logging
from typing import Any

import pytest

from antiphon.core.errors import (
    InvalidRequest,
    ModelNotFound,
    ProviderProtocolError,
    ProviderTimeout,
    ProviderUnavailable,
    StoreUnavailable,
)
from antiphon.core.shields import ShieldMessage, Violation
from antiphon.core.wire import encode
from antiphon.ports.safety import Shield, StoredShield
from antiphon.safety.guards import NOT_CHECKED
from antiphon.storage.memory import MemoryStore
from tests.shields_world import ANNE, BEN, CANARY, SAYS, Provider, answers, guards, registry, violation


async def test_what_all_shields_let_pass_passes() -> None:
    provider = answers({"a": None, "b": None})
    assert await guards(provider, "a", "b").run(ANNE, ["a", "b"], SAYS, "user-input") is None
    assert [(one, point) for one, _, point in provider.asked] == [("a", "user-input"), ("b", "user-input")]


async def test_without_shields_nothing_is_asked_and_a_shield_named_twice_is_asked_once() -> None:
    provider = answers({"a": None})
    assert await guards(provider, "a").run(ANNE, [], SAYS, "user-input") is None
    assert not provider.asked
    await guards(provider, "a").run(ANNE, ["a", "a"], SAYS, "user-input")
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("levels", "wins"),
    [
        (["info", "warn", "error"], 2),
        (["error", "warn"], 0),
        (["warn", "warn"], 0),
        (["error", "error", "error"], 0),
        (["info", "info"], 0),
        ([None, "info"], 1),
    ],
)
async def test_the_most_severe_violation_counts_and_of_equal_ones_the_first(
    levels: list[Any], wins: int
) -> None:
    said = {str(at): None if level is None else violation(level, f"m{at}") for at, level in enumerate(levels)}
    found = await guards(answers(said), *said).run(ANNE, list(said), SAYS, "assistant-output")
    assert found is not None
    assert found.violation_level == levels[wins]
    assert found.user_message == f"m{wins}"
    assert found.metadata == {"rule": levels[wins], "shield_id": str(wins)}


FAILURES: list[tuple[str, Any, str]] = [
    ("refused", ProviderUnavailable("up", f"no connection, {CANARY}"), "unreachable"),
    ("unknown model", ModelNotFound("llama-guard3", []), "unreachable"),
    ("no store", StoreUnavailable(CANARY), "unreachable"),
    ("a bug of the provider", ZeroDivisionError(CANARY), "unreachable"),
    ("its own cancellation", asyncio.CancelledError(), "unreachable"),
    ("a deep stack", RecursionError(), "unreachable"),
    ("slow upstream", ProviderTimeout("up", "too slow"), "timeout"),
    ("timeout error", TimeoutError(), "timeout"),
    ("no verdict", ProviderProtocolError("up", f"it said {CANARY}"), "malformed"),
    ("something else", "safe", "malformed"),
    ("false", False, "malformed"),
    ("a level that is none", Violation(violation_level="fatal"), "malformed"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] what a plugin may do
]


@pytest.mark.parametrize(
    ("failure", "reason"), [one[1:] for one in FAILURES], ids=[one[0] for one in FAILURES]
)
async def test_a_shield_that_fails_blocks(
    failure: Any, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = await guards(answers({"a": None, "b": failure}), "a", "b").run(
            ANNE, ["a", "b"], SAYS, "user-input"
        )
    assert found is not None
    assert found.violation_level == "error"
    assert found.user_message == NOT_CHECKED
    assert found.metadata == {"shield_id": "b", "reason": reason}
    assert CANARY not in encode(found).decode() + caplog.text


async def test_a_shield_that_does_not_answer_in_time_blocks_and_is_given_up() -> None:
    given_up = asyncio.Event()

    async def hang(_: Shield) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    found = await guards(Provider(hang), "slow", timeout_s=0.01).run(ANNE, ["slow"], SAYS, "user-input")
    assert found is not None
    assert found.metadata == {"shield_id": "slow", "reason": "timeout"}
    assert given_up.is_set()


async def test_shields_are_asked_at_once() -> None:
    there = asyncio.Barrier(3)

    async def meet(_: Shield) -> None:
        await there.wait()

    async with asyncio.timeout(10):
        assert await guards(Provider(meet), "a", "b", "c").run(ANNE, "abc", SAYS, "user-input") is None


async def test_a_run_that_is_cancelled_is_cancelled() -> None:
    asked = asyncio.Event()

    async def hang(_: Shield) -> None:
        asked.set()
        await asyncio.Event().wait()

    running = asyncio.create_task(guards(Provider(hang), "a").run(ANNE, ["a"], SAYS, "user-input"))
    await asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_shield_that_is_gone_blocks() -> None:
    for one in (guards(answers({})), guards(None, "b")):
        found = await one.run(ANNE, ["b"], SAYS, "user-input")
        assert found is not None
        assert found.metadata == {"shield_id": "b", "reason": "unknown_shield"}


async def test_a_store_that_is_gone_blocks() -> None:
    store = MemoryStore()
    await store.aclose()
    found = await _guards_over(store).run(ANNE, ["b"], SAYS, "user-input")
    assert found is not None
    assert found.metadata == {"shield_id": "b", "reason": "unreachable"}


async def test_registered_shields_are_those_of_a_tenant() -> None:
    store = MemoryStore()
    stored = StoredShield("mine", "test", "pii", b'{"level":"warn"}', 5)
    assert await store.shields.add_shield(ANNE, stored)
    asked: list[Shield] = []

    async def note(shield: Shield) -> None:
        asked.append(shield)

    one = _guards_over(store, Provider(note))
    assert await one.run(ANNE, ["mine"], SAYS, "user-input") is None
    assert asked == [Shield("mine", "pii", {"level": "warn"})]
    found = await one.run(BEN, ["mine"], SAYS, "user-input")
    assert found is not None
    assert found.metadata["reason"] == "unknown_shield"


async def test_check_names_the_place_of_the_first_that_is_not_there() -> None:
    one = guards(answers({"a": None}), "a")
    await one.check(ANNE, ["a", "a"], "input_shields")
    with pytest.raises(InvalidRequest) as refused:
        await one.check(ANNE, ["a", "nope", "neither"], "agent_config.output_shields")
    assert refused.value.param == "agent_config.output_shields[1]"
    assert '"nope"' in refused.value.message
    with pytest.raises(InvalidRequest, match="not configured any more"):
        await guards(None, "a").check(ANNE, ["a"], "input_shields")


async def test_messages_reach_the_provider_as_they_are() -> None:
    said = (*SAYS, ShieldMessage("tool", "42", ("data:image/png;base64,AA==",)))
    provider = answers({"a": None})
    await guards(provider, "a").run(ANNE, ["a"], said, "assistant-output")
    assert provider.asked == [("a", said, "assistant-output")]


def _guards_over(store: MemoryStore, provider: Provider | None = None) -> Any:
    from antiphon.safety.guards import Guards

    return Guards(registry(provider or answers({}), store=store))
