"""Who we are to an authorisation server: the client that the operator registered, our client metadata document, or a
registration of our own (RFC 7591), in this order. Each is known to one issuer only.
"""

import asyncio
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote
from weakref import WeakValueDictionary

from msgspec.structs import replace

from antiphon.core.json_values import json_name
from antiphon.core.wire import JsonObject, encode
from antiphon.oauth.asking import Asking
from antiphon.oauth.documents import Registered, ServerMetadata, decoded, error_code
from antiphon.oauth.kept import Client, ClientAuth, Pin, Vault, client_key, pin_key, settings_of
from antiphon.ports import Clock, Owner
from antiphon.ports.mcp import Connector, McpFailure, McpRefused

CALLBACK = "/v1/connectors/oauth/callback"
DOCUMENT = "/v1/connectors/oauth/client.json"
NAME = "Antiphon"
REGISTRATION_S = 30 * 86_400
"""A registration is used for new flows so long at most: servers forget some, and tell only the user, on a page of
their own. Tokens go on with the one that they were got with.
"""
_BASIC: ClientAuth = "client_secret_basic"
_POST: ClientAuth = "client_secret_post"
_NONE: ClientAuth = "none"
_OURS: Mapping[str, ClientAuth] = {_BASIC: _BASIC, _POST: _POST, _NONE: _NONE}
"""By how well they show who we are."""
_MAX_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Front:
    """Where browsers and authorisation servers reach this server: `https://agents.example.com`, without a slash at the
    end; "" where it is reached by nobody but the program that it runs in.
    """

    url: str
    host: str

    @property
    def callback(self) -> str:
        return self.url + CALLBACK

    @property
    def document(self) -> str:
        """The client id that is a URL; "" where we cannot have one: it has to be https, and reached by others."""
        reached = self.url.startswith("https://") and self.application_type == "web"
        return self.url + DOCUMENT if reached else ""

    @property
    def application_type(self) -> str:
        """As OpenID Connect Dynamic Client Registration means it: `web` may not come back to this machine."""
        try:
            here = ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            here = self.host == "localhost"
        return "native" if here else "web"

    def metadata(self) -> JsonObject:
        """The document behind `document`."""
        return {"client_id": self.document, **_described(self, grants=_GRANTS, auth=_NONE)}


_GRANTS = ("authorization_code", "refresh_token")


class _Locks(WeakValueDictionary[tuple[str, str], asyncio.Lock]):
    """By tenant and registration; each for as long as somebody holds it, or waits for it."""


@dataclass(frozen=True, slots=True)
class Clients:
    """Finds who we are, and registers us where nobody has."""

    vault: Vault
    front: Front
    clock: Clock
    _locks: _Locks = field(default_factory=_Locks, repr=False)

    async def find(
        self,
        asking: Asking,
        owner: Owner,
        connector: Connector,
        server: ServerMetadata,
        scopes: Sequence[str],
    ) -> tuple[Client, str]:
        """The client, and where it is kept, "" for one that is not. Raises McpFailure."""
        oauth = settings_of(connector)
        if oauth.client_id:
            await self._check_pin(owner, connector, server.issuer)
            return configured(oauth.client_id, oauth.client_secret, server), ""
        if server.client_id_metadata_document_supported and self.front.document:
            return Client(id=self.front.document), ""
        key = client_key(server.issuer, self.front.callback, tuple(scopes))
        async with self._locks.setdefault((owner.tenant, key), asyncio.Lock()):
            known = await self.vault.client(owner.tenant, key)
            now = self.clock.now()
            if known is not None and not 0 < known.expires_at <= now:
                return known, key
            client = await self._register(asking, server, scopes)
            ends = min(client.expires_at or now + REGISTRATION_S, now + REGISTRATION_S)
            await self.vault.keep_client(owner.tenant, key, replace(client, expires_at=ends))
            return client, key

    async def _check_pin(self, owner: Owner, connector: Connector, issuer: str) -> None:
        """A secret that was registered with one authorisation server is never shown to another one, whatever the
        MCP server says of who authorises for it.
        """
        if settings_of(connector).issuer:
            return
        key = pin_key(connector)
        pin = await self.vault.pin(owner.tenant, key)
        if pin is None:
            await self.vault.keep_client(owner.tenant, key, Pin(issuer=issuer))
        elif pin.issuer != issuer:
            raise McpRefused(
                "the server names another authorisation server than the one that its `client_id` was used with before;"
                " if that is right, set `oauth.issuer` of the connector"
            )

    async def _register(self, asking: Asking, server: ServerMetadata, scopes: Sequence[str]) -> Client:
        if not server.registration_endpoint:
            raise McpFailure(
                "the authorisation server registers no clients: register this server there by hand, with the redirect"
                f" address {self.front.callback}, and set `oauth.client_id` of the connector"
            )
        auth = chosen_auth(server)
        offered = server.grant_types_supported
        grants = tuple(one for one in _GRANTS if offered is None or one in offered or one == _GRANTS[0])
        body = _described(self.front, grants, auth)
        if scopes:
            body["scope"] = " ".join(scopes)
        what = "the registration at the authorisation server"
        answer = await asking.post(server.registration_endpoint, what, encode(body), "application/json", {})
        if answer.status not in {200, 201}:
            code = error_code(answer)
            said = f": {code}" if code in _KNOWN_ERRORS else ""
            raise McpFailure(f"{what} failed with status {answer.status}{said}")
        return _registered(decoded(answer, Registered, what), auth, what)


_KNOWN_ERRORS = frozenset(
    {
        "invalid_redirect_uri",
        "invalid_client_metadata",
        "invalid_software_statement",
        "unapproved_software_statement",
    }
)


def _described(front: Front, grants: Sequence[str], auth: ClientAuth) -> JsonObject:
    return {
        "client_name": NAME,
        "redirect_uris": [front.callback],
        "grant_types": list(grants),
        "response_types": ["code"],
        "token_endpoint_auth_method": auth,
        "application_type": front.application_type,
    }


def _registered(answer: Registered, asked: ClientAuth, what: str) -> Client:
    """Servers may register something else than was asked for; what we cannot do is found out here, not later."""
    secret = answer.client_secret or ""
    method = answer.token_endpoint_auth_method or (asked if secret else _NONE)
    auth = _OURS.get(method)
    if auth is None or (auth != _NONE and not secret):
        raise McpFailure(f"{what} gave a client that cannot be used: it has no way of showing who it is")
    if not answer.client_id or max(len(answer.client_id), len(secret)) > _MAX_TEXT:
        raise McpFailure(f"{what} gave a client that cannot be used: its id is {json_name(answer.client_id)}")
    return Client(
        id=answer.client_id,
        secret=secret if auth != _NONE else "",
        auth=auth,
        expires_at=answer.client_secret_expires_at or 0,
    )


def configured(client_id: str, secret: str, server: ServerMetadata) -> Client:
    """The operator's client. Raises McpFailure when the server takes no way of showing who it is that we have."""
    return Client(id=client_id, secret=secret, auth=chosen_auth(server) if secret else _NONE)


def chosen_auth(server: ServerMetadata) -> ClientAuth:
    """How to show who we are. A server that says nothing of it takes the first one (RFC 8414, section 2)."""
    offered = server.token_endpoint_auth_methods_supported
    if offered is None:
        return _BASIC
    for one in _OURS.values():
        if one in offered:
            return one
    raise McpFailure(
        "the authorisation server takes none of the ways of showing who a client is that are supported here:"
        " client_secret_basic, client_secret_post, none"
    )


def shown(client: Client, form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """A form for the token endpoint, and headers, that show who we are (RFC 6749, section 2.3.1). The id is always in
    the form: servers made with the MCP SDK look for it there alone (mcp 2.3).
    """
    form = {**form, "client_id": client.id}
    match client.auth:
        case "client_secret_basic":
            pair = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
            return form, {"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        case "client_secret_post":
            return {**form, "client_secret": client.secret}, {}
        case "none":
            return form, {}
