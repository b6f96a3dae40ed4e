"""Our MCP server, asked by the official SDK's client in both generations, in this process."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import mcp_types as types
import pytest
from mcp.client.client import Client
from mcp.client.context import ClientRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types.jsonrpc import URL_ELICITATION_REQUIRED

from tests.mcp_server_world import PAGE, Tools, World, key, serving

MODES = ("legacy", "auto")
REVISIONS = {"legacy": "2025-11-25", "auto": "2026-07-28"}


@pytest.fixture
def tools() -> Tools:
    return Tools()


@pytest.fixture
async def world(tools: Tools) -> AsyncIterator[World]:
    async with serving(tools) as made:
        yield made


def text(result: Any) -> str:
    [block] = result.content
    assert block.type == "text"
    return str(block.text)


def answering(*answers: types.ElicitResult) -> Any:
    """A user; `.asked` is what they were asked."""
    left = list(answers)

    async def answer(_: ClientRequestContext, asked: Any) -> types.ElicitResult:
        answer_of.asked.append(asked)
        return left.pop(0)

    answer_of: Any = answer
    answer_of.asked = []
    return answer_of


@pytest.mark.parametrize("mode", MODES)
async def test_a_client_needs_the_address_alone(world: World, mode: str) -> None:
    async with world.client(mode) as client:
        assert client.protocol_version == REVISIONS[mode]
        assert client.server_info is not None
        assert client.server_info.name == "antiphon"
        assert "file_search" in (client.instructions or "")
        assert client.server_capabilities.tools == types.ToolsCapability(list_changed=False)
        listed = await client.list_tools()
        assert "who" in [one.name for one in listed.tools]
        assert text(await client.call_tool("who", {"a": [1, None]})) == "default/anonymous {'a': [1, None]}"
        with pytest.raises(MCPError, match='no tool "nope"') as refused:
            await client.call_tool("nope")
        assert refused.value.code == types.INVALID_PARAMS


@pytest.mark.parametrize("mode", MODES)
async def test_a_fault_of_the_arguments_is_told_to_the_model(world: World, mode: str) -> None:
    async with world.client(mode) as client:
        result = await client.call_tool("refuse")
    assert result.is_error
    assert text(result) == "`colour`: expected a text."


@pytest.mark.parametrize("mode", MODES)
async def test_a_bug_is_an_internal_error_that_tells_nothing(world: World, mode: str) -> None:
    async with world.client(mode) as client:
        with pytest.raises(MCPError, match="its log has the reason") as failed:
            await client.call_tool("boom")
    assert failed.value.code == types.INTERNAL_ERROR
    assert "a bug" not in str(failed.value)


@pytest.mark.parametrize("mode", MODES)
async def test_progress_is_told_to_who_asks_for_it(world: World, mode: str) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    async with world.client(mode) as client:
        assert text(await client.call_tool("steps")) == "asked for it: False"
        assert heard == []
        assert text(await client.call_tool("steps", progress_callback=hear)) == "asked for it: True"
    assert heard == [(1, None, "step 1"), (2, None, "step 2"), (3, None, "step 3")]


# --- questions to users ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
async def test_a_question_reaches_the_user_and_the_call_goes_on(world: World, mode: str) -> None:
    user = answering(types.ElicitResult(action="accept", content={"colour": "red"}))
    async with world.client(mode, elicitation_callback=user) as client:
        result = await client.call_tool("ask", {"n": 1})
    assert text(result) == "accept {'colour': 'red'} state-of-ask"
    [asked] = user.asked
    assert (asked.message, asked.requested_schema["required"]) == ("Which colour?", ["colour"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_user_may_say_no(world: World, mode: str, action: Any) -> None:
    user = answering(types.ElicitResult(action=action))
    async with world.client(mode, elicitation_callback=user) as client:
        assert text(await client.call_tool("ask")) == f"{action} None state-of-ask"


@pytest.mark.parametrize("mode", MODES)
async def test_a_page_for_the_user_is_passed_on(world: World, mode: str) -> None:
    user = answering(types.ElicitResult(action="accept"))
    async with world.client(mode, elicitation_callback=user) as client:
        assert text(await client.call_tool("ask_url")) == "accept None state-of-url"
    assert [one.url for one in user.asked] == [PAGE]


@pytest.mark.parametrize("mode", MODES)
async def test_a_question_to_a_client_that_cannot_ask_is_cancelled(world: World, mode: str) -> None:
    async with world.client(mode) as client:
        assert text(await client.call_tool("ask")) == "cancel None state-of-ask"


async def test_a_tool_that_asks_without_end_is_ended(world: World, tools: Tools) -> None:
    user = answering(*[types.ElicitResult(action="decline")] * 100)
    async with world.client("legacy", elicitation_callback=user) as client:
        result = await client.call_tool("ask_forever")
    assert result.is_error
    assert "too often" in text(result)
    assert len(tools.answers) == 16


# --- authorisations -------------------------------------------------------------------------------------------
async def test_an_authorisation_is_an_error_with_its_page_for_clients_of_2025(
    world: World, tools: Tools
) -> None:
    async with world.client("legacy", elicitation_callback=answering()) as client:
        with pytest.raises(MCPError) as needed:
            await client.call_tool("locked")
        assert needed.value.code == URL_ELICITATION_REQUIRED
        data = types.ElicitationRequiredErrorData.model_validate(needed.value.data)
        assert [(one.mode, one.url) for one in data.elicitations] == [("url", PAGE)]
        assert data.elicitations[0].elicitation_id
        tools.unlocked = True
        assert text(await client.call_tool("locked")) == "open"


async def test_an_authorisation_is_asked_for_in_the_call_by_newer_clients(world: World, tools: Tools) -> None:
    async def grant(_: ClientRequestContext, asked: Any) -> types.ElicitResult:
        assert asked.url == PAGE
        tools.unlocked = True
        return types.ElicitResult(action="accept")

    async with world.client("auto", elicitation_callback=grant) as client:
        assert text(await client.call_tool("locked")) == "open"


async def test_an_authorisation_that_was_not_given_is_said_once_and_not_asked_again(world: World) -> None:
    user = answering(types.ElicitResult(action="accept"), types.ElicitResult(action="decline"))
    async with world.client("auto", elicitation_callback=user) as client:
        still = await client.call_tool("locked")
        assert still.is_error
        assert PAGE in text(still)
        refused = await client.call_tool("locked")
        assert text(refused) == "The user did not authorise this."
    assert len(user.asked) == 2


@pytest.mark.parametrize("mode", MODES)
async def test_clients_that_open_no_pages_get_the_address_as_text(world: World, mode: str) -> None:
    async with world.client(mode) as client:
        result = await client.call_tool("locked")
    assert result.is_error
    assert PAGE in text(result)


# --- cancelling, and many at once -----------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
async def test_what_a_client_cancels_ends(world: World, tools: Tools, mode: str) -> None:
    async with world.client(mode) as client:
        calling = asyncio.create_task(client.call_tool("hold"))
        await tools.until_holding(1)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await tools.until_holding(0)
        assert text(await client.call_tool("who")) == "default/anonymous {}"
    assert tools.cancelled == 1
    assert not world.under_way.calls


@pytest.mark.parametrize("mode", MODES)
async def test_calls_of_one_client_run_at_once_and_each_gets_its_own_answer(
    world: World, tools: Tools, mode: str
) -> None:
    async with world.client(mode) as client:
        holding = [asyncio.create_task(client.call_tool("hold")) for _ in range(5)]
        await tools.until_holding(5)
        others = await asyncio.gather(*(client.call_tool("who", {"n": n}) for n in range(20)))
        assert [text(one) for one in others] == [f"default/anonymous {{'n': {n}}}" for n in range(20)]
        tools.gate.set()
        assert [text(one) for one in await asyncio.gather(*holding)] == ["released"] * 5


async def test_tools_of_one_tenant_never_show_for_another(tools: Tools) -> None:
    tools.only_for = "acme"
    keys = [key("sk-a", "acme", "ann"), key("sk-b", "other", "bob")]
    async with serving(tools, keys=keys) as world:

        async def see(client: Client) -> list[str]:
            return [one.name for one in (await client.list_tools()).tools]

        for mode in MODES:
            async with world.client(mode, "sk-a") as ann, world.client(mode, "sk-b") as bob:
                assert "who" in await see(ann)
                assert await see(bob) == []
                assert text(await ann.call_tool("who")) == "acme/ann {}"
                with pytest.raises(MCPError, match="there is no tool"):
                    await bob.call_tool("who")


async def test_a_long_list_comes_in_pages(tools: Tools) -> None:
    tools.many = 1100
    async with serving(tools) as world, world.client("auto") as client:
        names: list[str] = []
        cursor: str | None = None
        pages = 0
        while pages == 0 or cursor:
            page = await client.list_tools(cursor=cursor)
            names += [one.name for one in page.tools]
            cursor, pages = page.next_cursor, pages + 1
    assert pages == 3
    assert len(set(names)) == len(names) == 1109
