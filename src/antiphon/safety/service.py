"""Shields over HTTP: listed, registered, removed, and run on their own."""

from dataclasses import dataclass, replace

from antiphon.core.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from antiphon.core.shields import Violation
from antiphon.core.wire import JsonObject, encode
from antiphon.ports import Clock, Owner
from antiphon.ports.safety import SafetyProvider, Shield, StoredShield
from antiphon.safety.guards import Guards
from antiphon.safety.messages import shield_messages, touchpoint_of
from antiphon.safety.registry import KnownShield, ShieldRegistry
from antiphon.safety.shapes import RegisterShield, RunShield, ShieldObject

MAX_SHIELDS = 500
"""Of one tenant, besides those of the configuration."""
MAX_PARAMS = 64 * 1024
"""Bytes of `params` as JSON."""


@dataclass(frozen=True, slots=True)
class ShieldService:
    registry: ShieldRegistry
    clock: Clock

    async def list_all(self, owner: Owner) -> list[ShieldObject]:
        return [one.shown() for one in await self.registry.list_all(owner)]

    async def get(self, owner: Owner, shield_id: str) -> ShieldObject:
        """Raises NotFound."""
        return (await self._known(owner, shield_id, "identifier")).shown()

    async def register(self, owner: Owner, body: RegisterShield) -> ShieldObject:
        """The same again changes nothing. Raises InvalidRequest, and Conflict for an id that is taken."""
        provider_id, provider = self._provider(body.provider_id or "")
        name = body.provider_shield_id or provider.default_name(body.shield_id)
        params = body.params or {}
        encoded = _encoded(params)
        shield = Shield(body.shield_id, name, params)
        provider.check(shield)
        if body.shield_id in self.registry.configured:
            raise _taken(body.shield_id, "the server's configuration has one")
        there = await self.registry.list_all(owner)
        known = next((one for one in there if one.shield.id == body.shield_id), None)
        if known is None:
            if len(there) - len(self.registry.configured) >= MAX_SHIELDS:
                raise Conflict(f"there are {MAX_SHIELDS} shields, the most that there may be; delete some.")
            stored = StoredShield(body.shield_id, provider_id, name, encoded, self.clock.now())
            if not await self.registry.records.add_shield(owner, stored):
                raise _taken(body.shield_id, "somebody registered it just now")
        elif known.shield != shield or known.provider_id != provider_id:
            raise _taken(body.shield_id, "delete it first, or take another id")
        return KnownShield(shield, provider_id, provider, self.registry.timeout_s).shown()

    async def delete(self, owner: Owner, shield_id: str) -> None:
        """Raises NotFound, and PermissionDenied for one of the configuration."""
        if shield_id in self.registry.configured:
            raise PermissionDenied(
                f'shield "{shield_id}" is in the server\'s configuration; its operator removes it there.',
                param="identifier",
            )
        if not await self.registry.records.delete_shield(owner, shield_id):
            raise unknown(shield_id, "identifier")

    async def run(self, owner: Owner, body: RunShield) -> Violation | None:
        """Raises NotFound, and InvalidRequest for messages and `params` that cannot be."""
        messages = shield_messages(body.messages)
        known = await self._known(owner, body.shield_id, "shield_id")
        if body.params:
            _encoded(body.params)
            known = replace(
                known, shield=replace(known.shield, params={**known.shield.params, **body.params})
            )
            if known.provider is not None:
                known.provider.check(known.shield)
        only = replace(self.registry, configured={known.shield.id: known})
        return await Guards(only).run(owner, [known.shield.id], messages, touchpoint_of(messages))

    async def _known(self, owner: Owner, shield_id: str, param: str) -> KnownShield:
        known = (await self.registry.find(owner, [shield_id])).get(shield_id)
        if known is None:
            raise unknown(shield_id, param)
        return known

    def _provider(self, provider_id: str) -> tuple[str, SafetyProvider]:
        providers = self.registry.providers
        provider = providers.get(provider_id or self.registry.default)
        if provider is not None:
            return provider.provider_id, provider
        listed = ", ".join(sorted(providers))
        told = f'there is no safety provider "{provider_id[:256]}"' if provider_id else "say which provider"
        raise InvalidRequest(f"`provider_id`: {told}; configured: {listed}.", param="provider_id")


def unknown(shield_id: str, param: str) -> NotFound:
    return NotFound(
        f'there is no shield "{shield_id[:256]}"; it may have been deleted. GET /v1/shields lists those there are.',
        param=param,
    )


def _encoded(params: JsonObject) -> bytes:
    encoded = encode(params)
    if len(encoded) > MAX_PARAMS:
        raise InvalidRequest(
            f"`params`: {len(encoded)} bytes of JSON; {MAX_PARAMS} are the most.", param="params"
        )
    return encoded


def _taken(shield_id: str, why: str) -> Conflict:
    return Conflict(f'there is a shield "{shield_id}" already: {why}.', param="shield_id")
