"""What an agent is: the rules of its configuration, and what counts in a turn of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec

from antiphon.agents import schemas
from antiphon.agents.client_tools import check_client_tools
from antiphon.agents.formats import check_format
from antiphon.agents.shapes import (
    AgentConfig,
    CreateTurn,
    GrammarFormat,
    GroupWithArgs,
    JsonSchemaFormat,
    SamplingParams,
    ToolDef,
    ToolGroup,
    ToolPromptFormat,
)
from antiphon.config.group_settings import BUILTIN_RAG
from antiphon.core.errors import InvalidRequest
from antiphon.core.file_search import KNOWLEDGE_SEARCH
from antiphon.core.wire import UNSET

AGENT_CONFIG: Final = "agent_config"
DEFAULT_MAX_ITERS: Final = 10
_REPLACED: Final = ("instructions", "input_shields", "output_shields", "client_tools", "max_infer_iters")
"""Fields of a turn that stand in for the agent's of the same name unless they are null."""


@dataclass(frozen=True, slots=True)
class Effective:
    """What counts in one turn: the agent's configuration, with what the turn says in place of it.

    `sampling` None leaves sampling to the model. `keeps` says whether sessions are stored. `paths` has, by the name of
    a field, where in a body it was said (`agent_config.tool_config.tool_choice`), and `group_paths` that of each group.
    """

    model: str
    instructions: str
    sampling: SamplingParams | None = None
    response_format: JsonSchemaFormat | GrammarFormat | None = None
    input_shields: tuple[str, ...] = ()
    output_shields: tuple[str, ...] = ()
    groups: tuple[ToolGroup, ...] = ()
    client_tools: tuple[ToolDef, ...] = ()
    tool_choice: str = "auto"
    prompt_format: ToolPromptFormat | None = None
    system_message_behavior: Literal["append", "replace"] = "append"
    max_infer_iters: int = DEFAULT_MAX_ITERS
    keeps: bool = True
    paths: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    group_paths: tuple[str, ...] = ()

    def path(self, name: str) -> str:
        """Where in a body this field was said, or would be."""
        return self.paths.get(name, f"{AGENT_CONFIG}.{name}")


# --- rules ------------------------------------------------------------------------------------------------------
def check_config(config: AgentConfig, field: str = AGENT_CONFIG) -> None:
    """The rules of a configuration that need nothing but it. Raises InvalidRequest, naming the place below `field`."""
    if not config.model.strip():
        raise _wrong(f"{field}.model", "empty; name one of GET /v1/models")
    _check_common(config, f"{field}.")
    if config.response_format is not None:
        check_format(config.response_format, f"{field}.response_format")


def check_turn(turn: CreateTurn) -> None:
    """The same for what a turn says in place of its agent's configuration."""
    _check_common(turn, "")


def _check_common(given: AgentConfig | CreateTurn, prefix: str) -> None:
    _check_twins(given, prefix)
    check_client_tools(given.client_tools or (), f"{prefix}client_tools")
    _check_groups(given.toolgroups or (), f"{prefix}toolgroups")
    for name in ("input_shields", "output_shields"):
        shields: Sequence[str] = getattr(given, name) or ()
        for at, shield in enumerate(shields):
            if shield in shields[:at]:
                raise _wrong(f"{prefix}{name}[{at}]", f'"{shield}" is there twice; name each shield once')


def _check_twins(given: AgentConfig | CreateTurn, prefix: str) -> None:
    """`tool_choice` and `tool_prompt_format` came before `tool_config`, and may say the same."""
    if given.tool_config is None:
        return
    for name in ("tool_choice", "tool_prompt_format"):
        old, new = getattr(given, name), getattr(given.tool_config, name)
        if old is not None and new is not UNSET and new is not None and old != new:
            raise _wrong(
                f"{prefix}{name}",
                f'"{old}" is not what `{prefix}tool_config.{name}` says, "{new}"; leave the deprecated field out',
            )


def _check_groups(groups: Sequence[ToolGroup], path: str) -> None:
    for at, group in enumerate(groups):
        if isinstance(group, GroupWithArgs):
            schemas.check_depth(group.args, f"{path}[{at}].args")
            schemas.check_size(group.args, f"{path}[{at}].args", schemas.MAX_SCHEMA_BYTES)
        same = next((n for n, other in enumerate(groups[:at]) if _same(other) == _same(group)), None)
        if same is not None:
            raise _wrong(f"{path}[{at}]", f'"{name_of(group)}" is in {path}[{same}] already; name it once')


def name_of(group: ToolGroup) -> str:
    return group.name if isinstance(group, GroupWithArgs) else group


def _wrong(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"`{path}`: {what}.", param=path)


# --- what counts ------------------------------------------------------------------------------------------------
def effective(config: AgentConfig, turn: CreateTurn | None = None) -> Effective:
    """What counts in a turn, or of the agent alone. Both are checked."""
    overrides = _overrides(turn) if turn is not None else {}
    paths = {name: name for name in overrides}
    merged = msgspec.structs.replace(config, **overrides)
    choice = _tool_config("tool_choice", config, turn, paths)
    prompt_format = _tool_config("tool_prompt_format", config, turn, paths)
    behavior = _tool_config("system_message_behavior", config, turn, paths)
    groups = _union(config.toolgroups or (), (turn and turn.toolgroups) or ())
    return Effective(
        model=config.model,
        instructions=merged.instructions,
        sampling=merged.sampling_params,
        response_format=config.response_format,
        input_shields=tuple(merged.input_shields or ()),
        output_shields=tuple(merged.output_shields or ()),
        groups=tuple(group for group, _ in groups),
        client_tools=tuple(merged.client_tools or ()),
        tool_choice=choice or "auto",
        prompt_format=prompt_format,
        system_message_behavior=behavior or "append",
        max_infer_iters=merged.max_infer_iters or DEFAULT_MAX_ITERS,
        keeps=config.enable_session_persistence is not False,
        paths=MappingProxyType(paths),
        group_paths=tuple(path for _, path in groups),
    )


def _overrides(turn: CreateTurn) -> dict[str, Any]:
    """What the turn says in place of the agent's fields of the same names."""
    said = {name: value for name in _REPLACED if (value := getattr(turn, name)) is not None}
    if turn.sampling_params is not UNSET:
        said["sampling_params"] = turn.sampling_params
    return said


def _tool_config(name: str, config: AgentConfig, turn: CreateTurn | None, paths: dict[str, str]) -> Any:
    """A field of `tool_config`: the turn's, or its deprecated twin, or else those of the agent. Its place goes to
    `paths`. None where nobody says anything.
    """
    for holder, prefix in ((turn, ""), (config, f"{AGENT_CONFIG}.")):
        for within, path in ((holder and holder.tool_config, f"{prefix}tool_config."), (holder, prefix)):
            said = getattr(within, name, None)
            if said is not None and said is not UNSET:
                paths[name] = f"{path}{name}"
                return said
    paths[name] = f"{AGENT_CONFIG}.tool_config.{name}"
    return None


def _union(agents: Sequence[ToolGroup], turns: Sequence[ToolGroup]) -> list[tuple[ToolGroup, str]]:
    """The groups of both, each with its place. Of one that both name, the turn's arguments win; a tool of a group that
    the other names as a whole is not named again, unless it comes with arguments of its own.
    """
    found: dict[str, tuple[ToolGroup, str]] = {}
    wholes = [{name_of(group) for group in groups} for groups in (turns, agents)]
    for groups, others, path in (
        (agents, wholes[0], f"{AGENT_CONFIG}.toolgroups"),
        (turns, wholes[1], "toolgroups"),
    ):
        for at, group in enumerate(groups):
            whole, _, tool = name_of(group).partition("/")
            if tool and whole in others and not isinstance(group, GroupWithArgs):
                continue
            earlier = found.get(_same(group))
            merged = group if earlier is None else _with_args(earlier[0], group)
            found[_same(group)] = (merged, f"{path}[{at}]")
    return list(found.values())


def _same(group: ToolGroup) -> str:
    """A name that is the same for what is the same: `builtin::rag` has one tool."""
    name = name_of(group)
    return BUILTIN_RAG if name == f"{BUILTIN_RAG}/{KNOWLEDGE_SEARCH}" else name


def _with_args(earlier: ToolGroup, later: ToolGroup) -> ToolGroup:
    args = [one.args for one in (earlier, later) if isinstance(one, GroupWithArgs)]
    if not args:
        return later
    return GroupWithArgs(name=name_of(later), args={key: value for one in args for key, value in one.items()})
