"""Users authorise a server of the official SDK, whose authorisation server is none of ours."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest

from antiphon.oauth.service import UserAuthorizations
from antiphon.ports import Owner
from antiphon.ports.mcp import Connector, McpServer, OAuthSettings
from tests.integration.oauth_world import ALICE, BOB, World, authorizations, authorize, token_of, world

if TYPE_CHECKING:
    from tests.support.oauth_sdk import SdkOAuth

__all__ = ["authorizations", "world"]


@pytest.fixture(scope="module")
def sdk() -> "Iterator[SdkOAuth]":
    from tests.support.oauth_sdk import SdkOAuth

    with SdkOAuth() as running:
        yield running


async def status(sdk: "SdkOAuth", token: str | None) -> int:
    """How the protected server answers this token."""
    initialize = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    headers = {"accept": "application/json, text/event-stream", "authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(sdk.mcp, json=initialize, headers=headers) as answer,
    ):
        return answer.status


async def test_a_server_of_the_sdk_is_authorised_and_its_tokens_follow_each_other(
    sdk: "SdkOAuth", authorizations: UserAuthorizations, world: World
) -> None:
    connector = Connector("vault", McpServer(Owner("", ""), "vault", url=sdk.mcp), oauth=OAuthSettings())
    await authorize(authorizations, ALICE, connector)
    await authorize(authorizations, BOB, connector)
    mine, theirs = [await token_of(authorizations, owner, connector) for owner in (ALICE, BOB)]
    assert mine != theirs
    assert await status(sdk, "invented") == 401
    assert await status(sdk, mine) != 401
    given = sdk.provider.access[mine or ""]
    assert (given.resource, given.scopes) == (sdk.mcp, ["notes:read"])
    world.clock.at += 3600
    following = await token_of(authorizations, ALICE, connector)
    assert following not in {None, mine}
    assert await status(sdk, following) != 401
    assert len(sdk.provider.clients) == 1
    sdk.provider.refresh.clear()
    world.clock.at += 3600
    assert await authorizations.headers(ALICE, connector) is None
    assert await authorizations.headers(replace(ALICE, tenant="other"), connector) is None
