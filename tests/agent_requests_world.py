"""Stand-ins for what agents' requests are made with: a few groups, a few shields, models that are and that are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from antiphon.agents.building import AgentRequests
from antiphon.agents.shapes import AgentConfig, CreateTurn
from antiphon.core.errors import InvalidRequest, ProviderUnavailable
from antiphon.core.hosted_items import McpListedTool
from antiphon.core.shields import ShieldMessage, Touchpoint, Violation
from antiphon.core.tools import FileSearchTool, McpTool, Tool
from antiphon.models.catalog import Catalog
from antiphon.ports import ModelInfo, ModelProvider, Owner
from antiphon.testing import FakeClock, ToolBox, scripted_model
from antiphon.tool_groups.groups import GivenGroup, ResolvedGroups

OWNER = Owner("t", "o")
MAIL = [McpListedTool(name=name, input_schema={"type": "object"}) for name in ("send", "read")]
RUNTIME = ToolBox(servers={"mail": MAIL})


class FewShields:
    """`calm` and `strict` are there."""

    async def check(self, owner: Owner, shield_ids: Sequence[str], field: str) -> None:
        for at, name in enumerate(shield_ids):
            if name not in ("calm", "strict"):
                raise InvalidRequest(f"`{field}[{at}]`: there is no shield.", param=f"{field}[{at}]")

    async def run(
        self,
        owner: Owner,
        shield_ids: Sequence[str],
        messages: Sequence[ShieldMessage],
        touchpoint: Touchpoint,
    ) -> Violation | None:
        return None


@dataclass
class FewGroups:
    """`mcp::maps` and `mcp::mail` are servers; the first says nothing of its tools. `builtin::rag` searches the stores
    that it is given.
    """

    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def check(self, owner: Owner, groups: Sequence[GivenGroup], *, field: str) -> None:
        for at, group in enumerate(groups):
            name = group if isinstance(group, str) else group.name
            if name.partition("/")[0] not in ("mcp::maps", "mcp::mail", "builtin::rag"):
                raise InvalidRequest(f'`{field}[{at}]`: there is no group "{name}".', param=f"{field}[{at}]")

    async def resolve(
        self,
        owner: Owner,
        groups: Sequence[GivenGroup],
        *,
        stores: Sequence[str] = (),
        headers: Mapping[bytes, bytes] | None = None,
        session_id: str = "",
        field: str = "toolgroups",
    ) -> ResolvedGroups:
        self.asked.append({"groups": groups, "stores": stores, "headers": headers, "session_id": session_id})
        await self.check(owner, groups, field=field)
        tools: list[Tool] = []
        for group in groups:
            name, _, tool = (group if isinstance(group, str) else group.name).partition("/")
            if name != "builtin::rag":
                label = name.removeprefix("mcp::")
                allowed = [tool] if tool else msgspec.UNSET
                tools.append(McpTool(server_label=label, connector_id=label, allowed_tools=allowed))
            elif stores:
                tools.append(FileSearchTool(vector_store_ids=list(stores)))
        return ResolvedGroups(tuple(tools), RUNTIME)


class Models:
    """A provider that lists these names, or cannot be asked."""

    def __init__(self, *names: str, down: bool = False) -> None:
        self.inner = scripted_model()
        self._names = names
        self._down = down

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def list_models(self) -> Sequence[ModelInfo]:
        if self._down:
            raise ProviderUnavailable("down", "nobody answers")
        return [ModelInfo(name) for name in self._names]


def catalog(**providers: Any) -> Catalog:
    made: dict[str, ModelProvider] = dict(providers)
    return Catalog(made, clock=FakeClock())


def requests(groups: FewGroups | None = None, **providers: Any) -> AgentRequests:
    return AgentRequests(catalog(**(providers or {"up": Models("m")})), groups or FewGroups(), FewShields())


def config(**fields: Any) -> AgentConfig:
    return msgspec.convert({"model": "m", "instructions": "Be kind.", **fields}, AgentConfig)


def turn(**fields: Any) -> CreateTurn:
    return msgspec.convert({"messages": [{"role": "user", "content": "hi"}], **fields}, CreateTurn)
