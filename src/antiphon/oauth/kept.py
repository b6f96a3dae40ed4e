"""What is kept of authorisations: tokens, flows that have begun, and clients that servers registered us as. All of it
is sealed, so a database by itself gives nobody access to anything.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeVar

import msgspec

from antiphon.core.wire import encode
from antiphon.ports import Owner, SealBroken, Sealer
from antiphon.ports.mcp import Connector, McpRecords, OAuthSettings, StoredFlow, StoredToken

TOKEN, FLOW, CLIENT = "mcp_token", "mcp_flow", "mcp_client"
ClientAuth = Literal["none", "client_secret_basic", "client_secret_post"]


class _Secret(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing of it is shown: not in logs, not in tracebacks."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"


class Client(_Secret, frozen=True, kw_only=True):
    """Who we are to an authorisation server; from `expires_at` on (Unix seconds, 0 for never) not for new flows."""

    id: str
    secret: str = ""
    auth: ClientAuth = "none"
    expires_at: int = 0


class Token(_Secret, frozen=True, kw_only=True):
    """A user's access to a server. `subject` and `server` say whose and for what, so that a row which was moved opens
    for nobody else. `endpoint` is where it is refreshed, `revocation` where it is taken back, "" for nowhere;
    `lifetime_s` how long it was to last, None where it does not say.
    """

    subject: str
    server: str
    issuer: str
    endpoint: str
    revocation: str = ""
    resource: str
    client: Client
    client_key: str = ""
    access: str
    refresh: str = ""
    scopes: tuple[str, ...] = ()
    expires_at: int | None = None
    lifetime_s: int | None = None


class Flow(_Secret, frozen=True, kw_only=True):
    """An authorisation that a user has begun: what the answer is checked against, and what to do with it.

    `says_issuer`: the answer has to name its issuer. `trusted`: origins that the operator named.
    """

    subject: str
    server: str
    connector_id: str
    label: str
    issuer: str
    says_issuer: bool
    endpoint: str
    revocation: str = ""
    redirect_uri: str
    resource: str
    client: Client
    client_key: str
    verifier: str
    scopes: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()


class Pin(_Secret, frozen=True, kw_only=True):
    """The authorisation server that an operator's client id was first used with."""

    issuer: str


def settings_of(connector: Connector) -> OAuthSettings:
    return connector.oauth or OAuthSettings()


def token_key(connector: Connector) -> str:
    """What tokens are for: a connector as long as it leads to the same server, with the same client."""
    oauth = settings_of(connector)
    return _digest("token", connector.id, connector.server.url, oauth.issuer, oauth.client_id)


def client_key(issuer: str, redirect_uri: str, scopes: tuple[str, ...]) -> str:
    """A registration holds for one issuer, one address that users come back to, and the scopes it named."""
    return _digest("client", issuer, redirect_uri, *sorted(scopes))


def pin_key(connector: Connector) -> str:
    return _digest("pin", connector.id, connector.server.url, settings_of(connector).client_id)


def state_digest(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogateescape")).hexdigest()


def _digest(*parts: str) -> str:
    return hashlib.sha256(encode(parts)).hexdigest()


SecretT = TypeVar("SecretT", bound=_Secret)


@dataclass(frozen=True, slots=True)
class Vault:
    """`McpRecords` of tokens, flows and clients, sealed on the way in and opened on the way out. What cannot be opened
    any more, since its key is gone, is as if it had never been.
    """

    records: McpRecords
    sealer: Sealer

    async def token(self, owner: Owner, server: str) -> Token | None:
        stored = await self.records.get_token(owner, server)
        token = self._open(owner.tenant, TOKEN, stored.sealed, Token) if stored is not None else None
        mine = token is not None and (token.subject, token.server) == (owner.subject, server)
        return token if mine else None

    async def keep_token(self, owner: Owner, token: Token, now: int) -> None:
        sealed = self.sealer.seal(owner.tenant, TOKEN, encode(token))
        await self.records.put_token(owner, StoredToken(token.server, sealed, token.expires_at, now))

    async def begin_flow(self, owner: Owner, state: str, flow: Flow, expires_at: int) -> None:
        sealed = self.sealer.seal(owner.tenant, FLOW, encode(flow))
        await self.records.add_flow(owner, StoredFlow(state_digest(state), flow.server, sealed, expires_at))

    async def take_flow(self, state: str, now: int) -> tuple[Owner, Flow] | None:
        """The flow of a `state`, once."""
        taken = await self.records.take_flow(state_digest(state), now)
        if taken is None:
            return None
        owner, stored = taken
        flow = self._open(owner.tenant, FLOW, stored.sealed, Flow)
        mine = flow is not None and (flow.subject, flow.server) == (owner.subject, stored.server)
        return (owner, flow) if flow is not None and mine else None

    async def client(self, tenant: str, key: str) -> Client | None:
        sealed = await self.records.get_client(tenant, key)
        return self._open(tenant, CLIENT, sealed, Client) if sealed is not None else None

    async def pin(self, tenant: str, key: str) -> Pin | None:
        sealed = await self.records.get_client(tenant, key)
        return self._open(tenant, CLIENT, sealed, Pin) if sealed is not None else None

    async def keep_client(self, tenant: str, key: str, kept: Client | Pin) -> None:
        await self.records.put_client(tenant, key, self.sealer.seal(tenant, CLIENT, encode(kept)))

    def _open(self, tenant: str, purpose: str, sealed: str, kind: type[SecretT]) -> SecretT | None:
        try:
            return msgspec.json.decode(self.sealer.open(tenant, purpose, sealed), type=kind)
        except (SealBroken, msgspec.DecodeError):
            return None
