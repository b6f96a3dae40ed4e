"""Which servers a request may name by `server_url`: what `server.egress` lets through, and what section `mcp` says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from antiphon.core.errors import InvalidRequest
from antiphon.ports import Owner

Rule = Literal["any", "listed", "none"]


@dataclass(frozen=True, slots=True)
class Address:
    """A URL that was read: `url` is what is asked, `host` its host in lower case."""

    url: str
    host: str


class AddressRefused(Exception):
    """A URL that is none, or may not be asked; the message says why, behind "it …", and holds no address."""


ReadUrl = Callable[[str], Address]
"""The one parser of URLs that callers name, with the rules of `server.egress`. Raises AddressRefused."""


@dataclass(frozen=True, slots=True)
class ServerPolicy:
    """`hosts` are names and `*.` patterns that `listed` allows to everybody, `tenant_hosts` those by tenant. A tenant
    that has some of its own is held to the list, whatever the rule is; with `none` nobody names a server.
    """

    read: ReadUrl
    rule: Rule
    hosts: Sequence[str] = ()
    tenant_hosts: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def address(self, owner: Owner, url: str, param: str) -> Address:
        """What to ask. Raises InvalidRequest with `param`, which names the rule and no address."""
        if self.rule == "none":
            raise self._refused(param, "this server asks no servers that requests name (`mcp.servers: none`)")
        try:
            address = self.read(url)
        except AddressRefused as refused:
            raise self._refused(param, f"the URL {refused}") from None
        own = self.tenant_hosts.get(owner.tenant)
        if (self.rule == "listed" or own is not None) and not _is_listed(
            address.host, (*self.hosts, *(own or ()))
        ):
            why = "the URL leads to a host that is not listed (`mcp.allow_hosts`, `mcp.tenant_hosts`)"
            raise self._refused(param, why)
        return address

    def _refused(self, param: str, why: str) -> InvalidRequest:
        advice = "use another server, or the `connector_id` of one that the operator has configured"
        return InvalidRequest(f"`{param}`: {why}; {advice}.", param=param)


def _is_listed(host: str, patterns: Sequence[str]) -> bool:
    """`*.example.com` is every name below example.com, without itself."""
    for pattern in patterns:
        lower = pattern.lower()
        if host.endswith(lower[1:]) if lower.startswith("*.") else host == lower:
            return True
    return False
