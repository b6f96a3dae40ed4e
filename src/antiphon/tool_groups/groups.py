"""`ToolGroups`: what agents need of tool groups, as a protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from antiphon.core.tools import Tool
from antiphon.core.wire import JsonObject
from antiphon.ports import Owner, ToolRuntime


class GroupWithArgs(Protocol):
    """A group, or one tool of it (`group/tool`), with arguments that win over the model's."""

    @property
    def name(self) -> str: ...

    @property
    def args(self) -> JsonObject: ...


GivenGroup = str | GroupWithArgs
"""`group`, `group/tool`, or either with arguments."""


@dataclass(frozen=True, slots=True)
class ResolvedGroups:
    """The tools that groups are for the engine, in their order, and the runtime that carries them out, and all others.

    `runtime` is for this run alone: it holds what the groups' arguments and the session are.
    """

    tools: tuple[Tool, ...]
    runtime: ToolRuntime


class ToolGroups(Protocol):
    async def check(self, owner: Owner, groups: Sequence[GivenGroup], *, field: str) -> None:
        """Whether groups can be had, for what is kept and used later: known, given once, with arguments that they take.
        Only a server of which single tools are named is asked, and one that does not answer is taken at its word.

        Raises InvalidRequest, with `field[2]` in `param`, or with what is below it.
        """
        ...

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
        """The tools of groups for one run. `stores` are the vector stores of the session (ids, or the names that they
        were registered under): a group that searches does so in these, as far as they are still there, besides those
        that its arguments name; without any it is no tool. `headers` are those of the request, by lower-case name: old
        clients send servers' headers in one of them. `session_id` becomes an argument of each tool that takes one of
        this name, unless it is "".

        Raises InvalidRequest as `check` does, also for a tool that a server is known not to have, and NotFound for a
        vector store that there is not.
        """
        ...
