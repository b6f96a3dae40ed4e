"""What tests of OAuth share: users with browsers, the parts over a store, names that lead to loopback."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from antiphon.fetching.addresses import Reach
from antiphon.fetching.exchanges import GuardedExchanges
from antiphon.fetching.urls import Egress
from antiphon.oauth.callbacks import Returned, read_returned
from antiphon.oauth.clients import Front
from antiphon.oauth.service import Done, UserAuthorizations
from antiphon.ports import Owner
from antiphon.ports.mcp import AuthorizationLink, Connector, McpRecords, McpServer, OAuthSettings
from antiphon.sealing.aead import AeadSealer
from antiphon.testing import FakeClock, MemoryStore
from tests.support.oauth_server import OAuthCase, OAuthServers

ALICE, BOB = Owner("acme", "alice"), Owner("acme", "bob")
EVE = Owner("other", "alice")
FRONT = Front("http://127.0.0.1:8321", "127.0.0.1")
LOOPBACK = Egress(Reach.of(["127.0.0.0/8"]), timeout_s=5)


@pytest.fixture(scope="session")
def oauth_servers() -> Iterator[OAuthServers]:
    with OAuthServers() as running:
        yield running


@pytest.fixture
def case(oauth_servers: OAuthServers) -> OAuthCase:
    return oauth_servers.case()


async def to_loopback(host: str, port: int) -> Sequence[str]:
    """Every name is this machine."""
    return ["127.0.0.1"]


@dataclass(slots=True)
class World:
    """The parts, over records that several of them may share."""

    records: McpRecords
    egress: Egress = LOOPBACK
    front: Front = FRONT
    clock: FakeClock = field(default_factory=FakeClock)
    key: bytes = field(default_factory=lambda: os.urandom(32))

    def authorizations(self) -> UserAuthorizations:
        """As another process would have them."""
        sealer = AeadSealer(lambda: [self.key], self.clock, max_age_days=None)
        exchanges = GuardedExchanges(self.egress, lookup=to_loopback)
        return UserAuthorizations(self.records, sealer, exchanges, self.clock, self.front)


@pytest.fixture
def world() -> World:
    return World(MemoryStore().mcp)


@pytest.fixture
async def authorizations(world: World) -> AsyncIterator[UserAuthorizations]:
    made = world.authorizations()
    yield made
    await made.aclose()


def connector_to(case: OAuthCase, *, id: str = "notes", trusted: bool = False, **oauth: Any) -> Connector:
    server = McpServer(Owner("", ""), id, url=case.mcp, trusted=trusted)
    return Connector(id, server, oauth=OAuthSettings(**oauth))


async def visited(link: AuthorizationLink, user: str = "alice") -> Mapping[str, list[str]]:
    """Open the link as a user's browser does; the query that it is sent back with."""
    async with (
        aiohttp.ClientSession(cookies={"user": user}) as browser,
        browser.get(link.url, allow_redirects=False) as answer,
    ):
        assert answer.status == 302, await answer.text()
        return parse_qs(urlsplit(answer.headers["location"]).query)


async def back_from(link: AuthorizationLink, user: str = "alice") -> Returned:
    return read_returned(await visited(link, user))


async def authorize(
    authorizations: UserAuthorizations, owner: Owner, connector: Connector, challenge: str = ""
) -> Done:
    """The whole of it, as the user of this name."""
    link = await authorizations.begin(owner, connector, challenge)
    return await authorizations.finish(await back_from(link, owner.subject))


async def token_of(authorizations: UserAuthorizations, owner: Owner, connector: Connector) -> str | None:
    """The access token that would be sent."""
    headers = await authorizations.headers(owner, connector)
    return None if headers is None else headers["authorization"].removeprefix("Bearer ")


def asked_in(link: AuthorizationLink) -> dict[str, str]:
    return {name: one[0] for name, one in parse_qs(urlsplit(link.url).query).items()}
