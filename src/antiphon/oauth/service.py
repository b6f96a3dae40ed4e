"""`UserAuthorizations`: the port `Authorizations`, and the end of a flow when the user comes back from the browser."""

import asyncio
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import urlencode
from weakref import WeakValueDictionary

from msgspec.structs import replace

from antiphon.oauth import tokens
from antiphon.oauth.asking import Asking, trusted_origins
from antiphon.oauth.callbacks import CallbackRefused, Returned, check_returned
from antiphon.oauth.challenges import Challenge, read_challenge
from antiphon.oauth.clients import Clients, Front
from antiphon.oauth.discovery import Authority, ask_unauthorized, find_authority
from antiphon.oauth.documents import ServerMetadata
from antiphon.oauth.kept import Client, Flow, Token, Vault, pin_key, settings_of, token_key
from antiphon.ports import Clock, Owner, Sealer
from antiphon.ports.exchanges import Exchanges
from antiphon.ports.mcp import (
    AuthorizationLink,
    Connector,
    McpFailure,
    McpRecords,
    McpRefused,
    McpUnreachable,
)

FLOW_S: Final = 600
SKEW_S: Final = 60
"""A token is refreshed so long before it ends, or in the last quarter of its life where that is shorter."""
DISCOVERY_S: Final = 30.0
_OFFLINE = "offline_access"

Key = tuple[Owner, str]


@dataclass(frozen=True, slots=True)
class Done:
    """A user has authorised a connector."""

    connector_id: str
    label: str
    subject: str


class UserAuthorizations:
    """Made anywhere. A token is read and replaced under a lock of its own, so that a refresh token is used once."""

    def __init__(
        self, records: McpRecords, sealer: Sealer, exchanges: Exchanges, clock: Clock, front: Front
    ) -> None:
        self.front = front
        self._records = records
        self._vault = Vault(records, sealer)
        self._exchanges = exchanges
        self._clock = clock
        self._clients = Clients(self._vault, front, clock)
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._refreshing: dict[Key, asyncio.Task[Token | None]] = {}
        self._revoking: set[asyncio.Task[None]] = set()

    # --- tokens -------------------------------------------------------------------------------------------
    async def headers(self, owner: Owner, connector: Connector) -> Mapping[str, str] | None:
        """See `ports.mcp.Authorizations.headers`."""
        token = await self._vault.token(owner, token_key(connector))
        if token is not None and self._is_old(token):
            token = await self._refreshed(owner, connector)
        return _header(token) if token is not None else None

    async def renew(
        self, owner: Owner, connector: Connector, refused: Mapping[str, str]
    ) -> Mapping[str, str] | None:
        """What to send instead of `headers` that a server answered 401 to: those of a newer token, refreshed if need
        be. None, and the token forgotten, when the user has to authorise again. Raises McpFailure.
        """
        key = token_key(connector)
        async with self._lock((owner, key)):
            token = await self._vault.token(owner, key)
            if token is None:
                return None
            if _header(token) == {name.lower(): value for name, value in refused.items()}:
                ended = replace(token, expires_at=self._clock.now(), lifetime_s=None)
                await self._vault.keep_token(owner, ended, self._clock.now())
        return await self.headers(owner, connector)

    async def discard(self, owner: Owner, connector: Connector) -> bool:
        """See `ports.mcp.Authorizations.discard`. Where the authorisation server takes tokens back, it is told; whether
        it listens changes nothing here, and nobody waits for it.
        """
        key = token_key(connector)
        async with self._lock((owner, key)):
            token = await self._vault.token(owner, key)
            deleted = await self._records.delete_token(owner, key)
        if token is not None and token.revocation:
            task = asyncio.create_task(self._revoke(_with_secret(token, connector), self._asking(connector)))
            self._revoking.add(task)
            task.add_done_callback(self._revoking.discard)
        return deleted

    @staticmethod
    async def _revoke(token: Token, asking: Asking) -> None:
        with suppress(McpFailure):
            await tokens.revoke(asking, token)

    async def forget(self, tenant: str, connector: Connector) -> int:
        """Forget everybody's tokens, and the flows that were begun, as when a connector is deleted, or leads elsewhere
        from now on. How many tokens.
        """
        await self._records.delete_client(tenant, pin_key(connector))
        return await self._records.delete_tokens(tenant, token_key(connector))

    def _is_old(self, token: Token) -> bool:
        if token.expires_at is None:
            return False
        skew_s = SKEW_S if token.lifetime_s is None else min(SKEW_S, token.lifetime_s // 4)
        return self._clock.now() >= token.expires_at - skew_s

    async def _refreshed(self, owner: Owner, connector: Connector) -> Token | None:
        """Once for all who wait, and to its end whoever of them gives up: the old refresh token may be spent."""
        key = (owner, token_key(connector))
        task = self._refreshing.get(key)
        if task is None:
            task = asyncio.create_task(self._refresh(owner, connector))
            self._refreshing[key] = task
            task.add_done_callback(lambda done: self._forget_task(key, done))
        return await asyncio.shield(task)

    def _forget_task(self, key: Key, done: asyncio.Task[Token | None]) -> None:
        self._refreshing.pop(key, None)
        if not done.cancelled():
            done.exception()  # seen, although everybody may have left

    async def _refresh(self, owner: Owner, connector: Connector) -> Token | None:
        key = token_key(connector)
        async with self._lock((owner, key)):
            token = await self._vault.token(owner, key)  # by now it may be a new one
            if token is None or not self._is_old(token):
                return token
            if not token.refresh:
                return await self._without_refresh(owner, token)
            token = _with_secret(token, connector)
            asking = self._asking(connector)
            try:
                fresh = await tokens.refresh(asking, token, self._clock.now())
            except tokens.TokenDenied as denied:
                return await self._after_denial(owner, token, denied)
            except McpFailure:
                if self._still_good(token):
                    return token
                raise
            await self._vault.keep_token(owner, fresh, self._clock.now())
            return fresh

    async def _without_refresh(self, owner: Owner, token: Token) -> Token | None:
        if self._still_good(token):
            return token
        await self._records.delete_token(owner, token.server)
        return None

    async def _after_denial(self, owner: Owner, token: Token, denied: tokens.TokenDenied) -> Token | None:
        """Another process may have been first, and its token be there by now. Else the user is asked again."""
        current = await self._vault.token(owner, token.server)
        if current is not None and current.refresh != token.refresh:
            return current
        if not denied.is_final:
            if self._still_good(token):
                return token
            raise denied
        await self._records.delete_token(owner, token.server)
        await self._forget_client(owner, token.client_key, denied.code)
        return None

    async def _forget_client(self, owner: Owner, client_key: str, code: str) -> None:
        """A registration that its server does not know any more: the next flow registers anew."""
        if client_key and code in tokens.UNKNOWN_CLIENT:
            await self._records.delete_client(owner.tenant, client_key)

    def _still_good(self, token: Token) -> bool:
        return token.expires_at is not None and self._clock.now() < token.expires_at

    def _lock(self, key: Key) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _asking(self, connector: Connector) -> Asking:
        return Asking(self._exchanges, trusted_origins(self._exchanges, connector))

    # --- flows --------------------------------------------------------------------------------------------
    async def begin(self, owner: Owner, connector: Connector, challenge: str = "") -> AuthorizationLink:
        """See `ports.mcp.Authorizations.begin`."""
        if not self.front.url:
            raise McpRefused(
                "users cannot come back to this server from a browser; set `mcp.public_url` to where they reach it"
            )
        if not connector.server.url:
            raise McpRefused(
                "a server that is a command has its credentials in its environment, not by OAuth"
            )
        asking = self._asking(connector)
        try:
            async with asyncio.timeout(DISCOVERY_S):
                oauth, server_url = settings_of(connector), connector.server.url
                asked = read_challenge(challenge) if challenge else await ask_unauthorized(asking, server_url)
                authority = await find_authority(asking, server_url, asked, oauth.issuer)
                scopes = await self._scopes(owner, connector, asked, authority)
                client, client_key = await self._clients.find(
                    asking, owner, connector, authority.server, scopes
                )
        except TimeoutError:
            raise McpUnreachable("who authorises for the server was not found out in time") from None
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
        server = authority.server
        flow = Flow(
            subject=owner.subject,
            server=token_key(connector),
            connector_id=connector.id,
            label=connector.server.label or connector.id,
            issuer=server.issuer,
            says_issuer=bool(server.authorization_response_iss_parameter_supported),
            endpoint=server.token_endpoint,
            revocation=server.revocation_endpoint or "",
            redirect_uri=self.front.callback,
            resource=authority.resource,
            client=client,
            client_key=client_key,
            verifier=verifier,
            scopes=tuple(scopes),
            trusted=tuple(sorted(asking.trusted)),
        )
        expires_at = self._clock.now() + FLOW_S
        await self._vault.begin_flow(owner, state, flow, expires_at)
        return AuthorizationLink(_link(server, flow, state), expires_at)

    async def _scopes(
        self, owner: Owner, connector: Connector, asked: Challenge, authority: Authority
    ) -> Sequence[str]:
        """What the server asks for now, else what the operator wrote, else what the server says that it needs; with
        what the user has granted already where more is needed than that.
        """
        scopes = list(asked.scopes or settings_of(connector).scopes or authority.scopes)
        if asked.error == "insufficient_scope":
            token = await self._vault.token(owner, token_key(connector))
            scopes = [*(token.scopes if token is not None else ()), *scopes]
        if scopes and _OFFLINE in (authority.server.scopes_supported or []):
            scopes.append(_OFFLINE)  # without it OpenID providers give no refresh token
        return list(dict.fromkeys(scopes))

    async def finish(self, returned: Returned) -> Done:
        """Take what the authorisation server sent the user back with. Raises CallbackRefused, McpFailure and
        StoreUnavailable.
        """
        taken = await self._vault.take_flow(returned.state, self._clock.now())
        if taken is None:
            raise CallbackRefused(
                "This link is not valid any more: it was used before, it is more than"
                f" {FLOW_S // 60} minutes old, or it was not made here. Ask for a new one."
            )
        owner, flow = taken
        try:
            code = check_returned(returned, flow)
            token = await self._exchanged(flow, code)
        except (CallbackRefused, tokens.TokenDenied) as refused:
            await self._forget_client(owner, flow.client_key, refused.code)
            raise
        async with self._lock((owner, flow.server)):
            await self._vault.keep_token(owner, token, self._clock.now())
        return Done(flow.connector_id, flow.label, owner.subject)

    async def _exchanged(self, flow: Flow, code: str) -> Token:
        asking = Asking(self._exchanges, frozenset(flow.trusted))
        return await tokens.exchange_code(asking, flow, code, self._clock.now())

    async def aclose(self) -> None:
        """Wait for what is on its way to authorisation servers: each request is bounded in time."""
        await asyncio.gather(*self._refreshing.values(), *self._revoking, return_exceptions=True)
        await self._exchanges.aclose()


def _header(token: Token) -> dict[str, str]:
    return {"authorization": f"Bearer {token.access}"}


def _with_secret(token: Token, connector: Connector) -> Token:
    """The operator may have changed the secret of a client since."""
    oauth = settings_of(connector)
    if not oauth.client_secret or oauth.client_id != token.client.id or token.client.auth == "none":
        return token
    client = Client(id=token.client.id, secret=oauth.client_secret, auth=token.client.auth)
    return replace(token, client=client)


def _link(server: ServerMetadata, flow: Flow, state: str) -> str:
    """The authorisation endpoint, with what it is asked (RFC 6749, section 4.1.1; RFC 7636; RFC 8707)."""
    digest = sha256(flow.verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": flow.client.id,
        "redirect_uri": flow.redirect_uri,
        "state": state,
        "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "resource": flow.resource,
    }
    if flow.scopes:
        asked["scope"] = " ".join(flow.scopes)
    if _OFFLINE in flow.scopes:
        asked["prompt"] = "consent"  # OpenID Connect Core, section 11
    endpoint = server.authorization_endpoint
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"
