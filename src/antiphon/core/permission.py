"""Which calls a request permits: `tools`, `tool_choice` and `parallel_tool_calls` together."""

from dataclasses import dataclass

from antiphon.core.request import ResponseRequest
from antiphon.core.toolbox import Toolbox
from antiphon.core.tools import ChooseAllowed, ChooseCustom, ChooseFunction, ChooseMcp, ModelChoice


@dataclass(frozen=True, slots=True)
class Permission:
    """What `tool_choice` means for each step and each call. Names are those that the model is shown.

    `required` and a named tool bind the first step only: afterwards the model may answer. `none`,
    `allowed_tools` and a named tool's exclusion of other tools in its step are enforced by us, since not every
    upstream does. The list of tools that the model sees always stays whole.
    """

    choice: ModelChoice
    known: frozenset[str]
    allowed: frozenset[str]
    parallel: bool
    hidden: frozenset[str] = frozenset()
    """Tools that a search would load."""
    first: frozenset[str] | None = None
    """Those that may be called in the first step, where it is not all that are allowed."""

    @classmethod
    def of(cls, request: ResponseRequest, toolbox: Toolbox) -> "Permission":
        known = frozenset(toolbox.names)
        given = toolbox.choice()
        choice: ModelChoice = given if given is not None else "auto"
        allowed = known
        first: frozenset[str] | None = None
        if isinstance(choice, ChooseAllowed):
            names = frozenset(str(tool.get("name")) for tool in choice.tools)
            if isinstance(request.tool_choice, ChooseMcp):  # it is to call one of a server's tools, once
                first = names
            else:
                allowed = names
        elif isinstance(choice, ChooseFunction | ChooseCustom):
            first = frozenset({choice.name})
        elif choice == "none":
            allowed = frozenset[str]()
        hidden = frozenset(one.face.name for one in toolbox.findable) - known
        return cls(choice, known, allowed, request.parallel_tool_calls is not False, hidden, first)

    def choice_for(self, step: int) -> ModelChoice:
        """What to tell the model at step 1, 2, …"""
        if step == 1:
            return self.choice
        if isinstance(self.choice, ChooseAllowed) and self.first is None:
            return ChooseAllowed(mode="auto", tools=self.choice.tools)
        return "none" if self.choice == "none" else "auto"

    def refusal(self, name: str, calls_so_far: int, step: int) -> str | None:
        """Why this call may not be made, in words for the model; None when it may."""
        if name in self.hidden:
            return f'tool "{name}" is not loaded; load it with tool_search, then call it'
        if name not in self.known:
            return f'there is no tool "{name}"; there are: {_names(self.known)}'
        if name not in self.allowed:
            return f'tool "{name}" may not be called in this request; allowed: {_names(self.allowed)}'
        if step == 1 and self.first is not None and name not in self.first:
            quoted = ", ".join(f'"{one}"' for one in sorted(self.first))
            return f"only {quoted} may be called now"
        if calls_so_far and not self.parallel:
            return "only one tool may be called at a time; call this one again after the other's result"
        return None


def _names(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "none"
