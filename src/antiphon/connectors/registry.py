"""`ConnectorRegistry`: which connectors there are for whom, and the server behind each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from antiphon.config.mcp_settings import ConnectorSettings
from antiphon.connectors.drafts import Draft, shown_url, stored_draft
from antiphon.connectors.shapes import (
    ConnectorObject,
    NewOAuth,
    PublicOAuth,
    PublicPart,
    SecretPart,
    read_public,
    read_secret,
)
from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import encode
from antiphon.mcp_tools.addresses import AddressRefused, ServerPolicy
from antiphon.ports import Owner, SealBroken, Sealer
from antiphon.ports.mcp import Connector, McpRecords, McpServer, OAuthSettings, StoredConnector

PURPOSE = "mcp_connector"
Entry = ConnectorSettings | StoredConnector
"""A connector of either kind, as it is kept."""


def id_of(entry: Entry) -> str:
    return entry.connector_id if isinstance(entry, ConnectorSettings) else entry.id


class SecretLost(InvalidRequest):
    """The sealed part of a connector cannot be opened any more."""

    def __init__(self, connector_id: str) -> None:
        super().__init__(
            f'the secrets of connector "{connector_id}" cannot be read any more: the key that sealed them has been'
            f" removed. Set them anew with POST /v1/connectors/{connector_id}.",
            param="connector_id",
        )


@dataclass(frozen=True, slots=True)
class ConnectorRegistry:
    """`Connectors`. Those of the configuration come first: one that is stored under the same id is not seen.

    `shows_addresses`: whether callers are shown the URLs that the configuration names.
    """

    records: McpRecords
    sealer: Sealer
    policy: ServerPolicy
    configured: Sequence[ConnectorSettings] = ()
    shows_addresses: bool = True

    async def find(self, owner: Owner, connector_id: str) -> Connector | None:
        """See `ports.mcp.Connectors.find`."""
        settings = self.configured_for(owner).get(connector_id)
        if settings is not None:
            return _configured(owner, settings)
        stored = await self.records.get_connector(owner, connector_id)
        return None if stored is None else self._usable(owner, stored)

    async def known(self, owner: Owner, connector_id: str) -> Connector | None:
        """As `find`, but also one that cannot be used, without secrets that are lost: for what asks no server."""
        settings = self.configured_for(owner).get(connector_id)
        if settings is not None:
            return _configured(owner, settings)
        stored = await self.records.get_connector(owner, connector_id)
        return None if stored is None else self.whatever(owner, stored)

    def whatever(self, owner: Owner, stored: StoredConnector) -> Connector:
        """The connector behind a row, whether it can be used or not."""
        try:
            _, draft = self.draft(owner, stored)
        except SecretLost:
            _, draft = self.public_draft(stored)
        return self.connector(owner, stored.id, draft)

    async def get(self, owner: Owner, connector_id: str) -> ConnectorObject | None:
        """As callers are shown it."""
        entry = await self.entry(owner, connector_id)
        return None if entry is None else self.shown(owner, entry)

    async def entry(self, owner: Owner, connector_id: str) -> Entry | None:
        """As it is kept."""
        settings = self.configured_for(owner).get(connector_id)
        return settings or await self.records.get_connector(owner, connector_id)

    async def list_all(self, owner: Owner) -> list[Entry]:
        """Those of the configuration in the order of the file, then the others, the oldest first."""
        configured = self.configured_for(owner)
        stored = [one for one in await self.records.list_connectors(owner) if one.id not in configured]
        return [*configured.values(), *reversed(stored)]

    async def ids(self, owner: Owner) -> Sequence[str]:
        """Of `list_all`."""
        return [id_of(one) for one in await self.list_all(owner)]

    def configured_for(self, owner: Owner) -> Mapping[str, ConnectorSettings]:
        """The configuration's connectors that this owner may use, by id."""
        return {
            one.connector_id: one for one in self.configured if not one.tenants or owner.tenant in one.tenants
        }

    def shown(self, owner: Owner, entry: Entry) -> ConnectorObject:
        """As callers are shown it, but for its secrets."""
        if isinstance(entry, ConnectorSettings):
            return self._shown_settings(entry)
        return self._shown_stored(owner, entry)

    def _shown_stored(self, owner: Owner, stored: StoredConnector) -> ConnectorObject:
        public = read_public(stored.body)
        return ConnectorObject(
            id=stored.id,
            connector_id=stored.id,
            url=public.url,
            transport=public.transport,
            server_label=public.server_label,
            server_description=public.server_description,
            has_authorization=public.has_authorization,
            header_names=public.header_names,
            oauth=public.oauth,
            metadata=public.metadata,
            source="api",
            problem=self._problem(owner, stored),
            created_at=stored.created_at,
            updated_at=stored.updated_at,
        )

    def seal(self, owner: Owner, connector_id: str, secret: SecretPart) -> str:
        """The blob is good for this connector of this tenant alone."""
        return self.sealer.seal(owner.tenant, _purpose(connector_id), encode(secret))

    def draft(self, owner: Owner, stored: StoredConnector) -> tuple[PublicPart, Draft]:
        """A stored connector with its secrets. Raises SecretLost."""
        if not stored.secret:
            return self.public_draft(stored)
        try:
            secret = read_secret(self.sealer.open(owner.tenant, _purpose(stored.id), stored.secret))
        except SealBroken:
            raise SecretLost(stored.id) from None
        public = read_public(stored.body)
        return public, stored_draft(public, secret)

    @staticmethod
    def public_draft(stored: StoredConnector) -> tuple[PublicPart, Draft]:
        """A stored connector without its secrets."""
        public = read_public(stored.body)
        return public, stored_draft(public, SecretPart())

    def connector(self, owner: Owner, connector_id: str, draft: Draft) -> Connector:
        """The server of a connector that was made over HTTP, whether it may be asked or not."""
        try:
            url = self.policy.read(draft.url).url
        except AddressRefused:
            url = draft.url
        headers = {name.lower(): value for name, value in draft.headers.items()}
        if draft.authorization:
            headers["authorization"] = f"Bearer {draft.authorization}"
        sent = tuple(sorted(headers.items()))
        server = McpServer(owner, draft.label, url, draft.transport, sent, trusted=False)
        oauth = None if draft.oauth is None else _oauth(draft.oauth)
        return Connector(connector_id, server, draft.description or "", oauth)

    def _usable(self, owner: Owner, stored: StoredConnector) -> Connector:
        """Raises InvalidRequest. What the operator lets through may have changed since it was made."""
        _, draft = self.draft(owner, stored)
        self.policy.address(owner, draft.url, "connector_id")
        return self.connector(owner, stored.id, draft)

    def _problem(self, owner: Owner, stored: StoredConnector) -> str | None:
        try:
            self._usable(owner, stored)
        except InvalidRequest as error:
            return error.message
        return None

    def _shown_settings(self, settings: ConnectorSettings) -> ConnectorObject:
        oauth = settings.oauth
        return ConnectorObject(
            id=settings.connector_id,
            connector_id=settings.connector_id,
            url=shown_url(settings.url) if self.shows_addresses else "",
            transport=settings.transport,
            server_label=settings.server_label or settings.connector_id,
            server_description=settings.description or None,
            has_authorization=bool(settings.authorization),
            header_names=sorted(name.lower() for name in settings.headers),
            oauth=None
            if oauth is None
            else PublicOAuth(
                client_id=oauth.client_id or None,
                has_client_secret=bool(oauth.client_secret),
                scopes=list(oauth.scopes),
                issuer=oauth.issuer or None,
            ),
            metadata={},
            source="config",
            problem=None,
            created_at=None,
            updated_at=None,
        )


def _purpose(connector_id: str) -> str:
    return f"{PURPOSE}/{connector_id}"


def _oauth(given: NewOAuth) -> OAuthSettings:
    scopes = tuple(given.scopes or ())
    return OAuthSettings(given.client_id or "", given.client_secret or "", scopes, given.issuer or "")


def _configured(owner: Owner, settings: ConnectorSettings) -> Connector:
    """A header that a variable left empty is not sent."""
    headers = {name.lower(): value for name, value in settings.headers.items() if value}
    if settings.authorization:
        headers["authorization"] = f"Bearer {settings.authorization}"
    server = McpServer(
        owner,
        settings.server_label or settings.connector_id,
        settings.url,
        settings.transport,
        tuple(sorted(headers.items())),
        trusted=True,
        command=settings.command,
        environment=tuple(sorted(settings.env.items())),
        folder=settings.cwd,
    )
    given = settings.oauth
    oauth = (
        None
        if given is None
        else OAuthSettings(given.client_id, given.client_secret, given.scopes, given.issuer)
    )
    return Connector(settings.connector_id, server, settings.description, oauth)
