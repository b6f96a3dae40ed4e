"""Connectors that a tenant makes: created, changed, deleted. Everybody of the tenant may."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from antiphon.connectors.drafts import (
    Draft,
    changed,
    check,
    given_secrets,
    new_draft,
    secrets_of,
)
from antiphon.connectors.registry import ConnectorRegistry, SecretLost
from antiphon.connectors.shapes import (
    ConnectorObject,
    CreateConnector,
    PublicPart,
    SecretPart,
    UpdateConnector,
)
from antiphon.core.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from antiphon.core.wire import UNSET, encode
from antiphon.ports import Clock, Owner
from antiphon.ports.mcp import Connector, McpRecords, StoredConnector

MAX_CONNECTORS = 500
"""Of one tenant, besides those of the configuration."""

ForgetTokens = Callable[[str, Connector], Awaitable[object]]
"""Removes everybody's tokens for a connector of a tenant."""


@dataclass(frozen=True, slots=True)
class ConnectorService:
    registry: ConnectorRegistry
    records: McpRecords
    forget_tokens: ForgetTokens
    clock: Clock

    async def create(self, owner: Owner, body: CreateConnector) -> ConnectorObject:
        """Raises InvalidRequest, and Conflict for an id that is taken."""
        draft = new_draft(body)
        check(draft, owner, self.registry.policy)
        if body.connector_id in self.registry.configured_for(owner):
            raise _taken(body.connector_id, "the server's configuration has one")
        if len(await self.records.list_connectors(owner)) >= MAX_CONNECTORS:
            raise Conflict(f"there are {MAX_CONNECTORS} connectors, the most that there may be; delete some.")
        now = self.clock.now()
        stored = self._stored(owner, body.connector_id, draft, created_at=now, updated_at=now)
        if not await self.records.add_connector(owner, stored):
            raise _taken(body.connector_id, f"POST /v1/connectors/{body.connector_id} changes it")
        return self.registry.shown(owner, stored)

    async def get(self, owner: Owner, connector_id: str) -> ConnectorObject:
        """Raises NotFound."""
        found = await self.registry.get(owner, connector_id)
        if found is None:
            raise unknown(connector_id)
        return found

    async def update(self, owner: Owner, connector_id: str, body: UpdateConnector) -> ConnectorObject:
        """Raises NotFound, InvalidRequest, PermissionDenied for one of the configuration, and Conflict when somebody
        else was faster.
        """
        stored = await self._own(owner, connector_id)
        if body.updated_at not in (UNSET, stored.updated_at):
            raise _changed(connector_id)
        fresh = self._updated(owner, stored, body)
        if not await self.records.replace_connector(owner, fresh, stored.updated_at):
            raise _changed(connector_id)
        before, after = (self.registry.whatever(owner, one) for one in (stored, fresh))
        if (before.server.url, before.oauth) != (after.server.url, after.oauth):
            await self.forget_tokens(owner.tenant, before)
        return self.registry.shown(owner, fresh)

    async def delete(self, owner: Owner, connector_id: str) -> None:
        """With everybody's tokens for it. Raises NotFound, and PermissionDenied for one of the configuration."""
        stored = await self._own(owner, connector_id)
        if not await self.records.delete_connector(owner, connector_id):
            raise unknown(connector_id)
        await self.forget_tokens(owner.tenant, self.registry.whatever(owner, stored))

    async def _own(self, owner: Owner, connector_id: str) -> StoredConnector:
        if connector_id in self.registry.configured_for(owner):
            raise PermissionDenied(
                f'connector "{connector_id}" is in the server\'s configuration; its operator changes it there.',
                param="connector_id",
            )
        stored = await self.records.get_connector(owner, connector_id)
        if stored is None:
            raise unknown(connector_id)
        return stored

    def _updated(self, owner: Owner, stored: StoredConnector, body: UpdateConnector) -> StoredConnector:
        public, draft, lost = self._draft(owner, stored)
        given = given_secrets(public, body)
        moved = "url" in given
        if moved or (lost and given):
            _must_be_sent_again(public, given, lost=lost)
        draft = changed(draft, body, stored.id)
        check(draft, owner, self.registry.policy)
        updated_at = max(self.clock.now(), stored.updated_at + 1)
        if lost and not given:
            return self._with_lost_secret(stored, public, draft, updated_at)
        return self._stored(owner, stored.id, draft, created_at=stored.created_at, updated_at=updated_at)

    def _draft(self, owner: Owner, stored: StoredConnector) -> tuple[PublicPart, Draft, bool]:
        """What is stored, and whether its secrets are lost: then the draft has none."""
        try:
            return *self.registry.draft(owner, stored), False
        except SecretLost:
            return *self.registry.public_draft(stored), True

    def _stored(
        self, owner: Owner, connector_id: str, draft: Draft, *, created_at: int, updated_at: int
    ) -> StoredConnector:
        public, secret = draft.parts()
        sealed = "" if secret == SecretPart() else self.registry.seal(owner, connector_id, secret)
        return StoredConnector(connector_id, created_at, updated_at, encode(public), sealed)

    @staticmethod
    def _with_lost_secret(
        stored: StoredConnector, public: PublicPart, draft: Draft, updated_at: int
    ) -> StoredConnector:
        """What says nothing of secrets may be changed although they are lost; that they are stays known."""
        body = encode(
            PublicPart(
                url=public.url,
                transport=draft.transport,
                server_label=draft.label,
                server_description=draft.description,
                has_authorization=public.has_authorization,
                header_names=public.header_names,
                oauth=public.oauth,
                metadata=draft.metadata,
            )
        )
        return StoredConnector(stored.id, stored.created_at, updated_at, body, stored.secret)


def unknown(connector_id: str) -> NotFound:
    return NotFound(
        f'there is no connector "{connector_id[:200]}"; it may have been deleted. GET /v1/connectors lists those there'
        " are.",
        param="connector_id",
    )


def _taken(connector_id: str, why: str) -> Conflict:
    return Conflict(f'there is a connector "{connector_id}" already: {why}.', param="connector_id")


def _changed(connector_id: str) -> Conflict:
    return Conflict(
        f'connector "{connector_id}" was changed by somebody else meanwhile, so nothing was changed now. Get it, see'
        " what is new, and send the update again.",
        param="updated_at",
    )


def _must_be_sent_again(public: PublicPart, given: list[str], *, lost: bool) -> None:
    """Secrets were meant for the server that was there: nobody leads them elsewhere by changing its address.

    Raises InvalidRequest unless each of them is sent anew, or taken away.
    """
    missing = [name for name in secrets_of(public) if name not in given]
    if not missing:
        return
    names = " and ".join(f"`{name}`" for name in missing)
    why = (
        "the key that sealed this connector's secrets has been removed"
        if lost
        else "a new `url` does not take over the secrets that were meant for the old one"
    )
    raise InvalidRequest(f"`{missing[0]}`: {why}; send {names} anew, or null for none.", param=missing[0])
