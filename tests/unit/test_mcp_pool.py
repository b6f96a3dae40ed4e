"""How connections to MCP servers are shared, in the turns of the loop that no real server can be made to hit."""

import asyncio
from typing import cast

import pytest

from antiphon.mcp.connection import Connection
from antiphon.mcp.limits import McpLimits
from antiphon.mcp.pool import Pool
from antiphon.ports import Owner
from antiphon.ports.mcp import McpServer
from antiphon.testing.store_contract import ALICE

SERVER = McpServer(ALICE, "desk", "http://127.0.0.1:9/mcp")
PATIENCE = 100
LIMIT_S = 10.0


class Ready:
    """A connection that is there when `there` is done; whoever looks for that without an end is stopped."""

    def __init__(self, server: McpServer = SERVER, *, modern: bool) -> None:
        self.server = server
        self.modern = modern
        self.usable = True
        self.users = self.uses = 0
        self.there = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(asyncio.Event().wait())
        self._looked = 0

    def close(self, *, last_words: bool = False) -> None:
        self.usable = False
        self.task.cancel()

    @property
    def ready(self) -> "asyncio.Future[None]":
        self._looked += 1
        if self._looked > PATIENCE:
            raise RecursionError("the loop gets no turn")
        return self.there


@pytest.mark.parametrize("modern", [True, False])
async def test_who_comes_in_the_very_turn_in_which_a_connection_is_there_lets_its_maker_go_first(
    modern: bool,
) -> None:
    made: list[Ready] = []

    def connect(server: McpServer) -> Connection:
        made.append(Ready(modern=modern))
        if len(made) > 1:
            made[-1].there.set_result(None)
        return cast("Connection", made[-1])

    pool = Pool(McpLimits(), connect, lambda _: False)
    first = asyncio.create_task(pool.take(SERVER))
    while not made:  # noqa: ASYNC110 turns of the loop
        await asyncio.sleep(0)
    made[0].there.set_result(None)
    second = await pool.take(SERVER)
    assert (await first is second) == modern
    assert len(made) == (1 if modern else 2)
    await pool.aclose()


def of_tenant(tenant: str, number: int) -> McpServer:
    return McpServer(Owner(tenant, "ann"), f"desk-{number}", "http://127.0.0.1:9/mcp")


async def test_one_tenant_leaves_connections_for_the_others_and_they_come_first_when_one_is_free() -> None:
    made: list[Ready] = []

    def connect(server: McpServer) -> Connection:
        made.append(Ready(server, modern=False))
        made[-1].there.set_result(None)
        return cast("Connection", made[-1])

    pool = Pool(McpLimits(max_connections=4), connect, lambda _: False)
    first = [await pool.take(of_tenant("many", number)) for number in range(3)]
    more = [asyncio.create_task(pool.take(of_tenant("many", number))) for number in range(3, 6)]
    await pool.take(of_tenant("few", 0))
    late = asyncio.create_task(pool.take(of_tenant("few", 1)))
    await asyncio.sleep(0)
    assert pool.size == len(made) == 4
    pool.drop(first[0])
    assert (await asyncio.wait_for(late, LIMIT_S)).server == of_tenant("few", 1)
    assert pool.size == 4
    assert not any(one.done() for one in more)
    for one in more:
        one.cancel()
    await asyncio.gather(*more, return_exceptions=True)
    await pool.aclose()
    assert pool.size == 0
