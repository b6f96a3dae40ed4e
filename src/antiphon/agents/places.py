"""Where in a body of this API something stands that the engine names by its own path, and errors told so."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from antiphon.agents.definition import Effective
from antiphon.agents.shapes import GrammarFormat, Greedy, TopP
from antiphon.core.errors import AntiphonError, ProviderError

GROUPS: Final = "groups"
"""What the list of an agent's and a turn's groups together is called until its places are told."""
_GREEDY: Final = (
    " Greedy sampling, the default of agents, is a temperature of 0; `sampling_params: null` leaves sampling to the"
    " model."
)
_QUOTED: Final = re.compile(r"`([^`\s]+)`")
_TOOL: Final = re.compile(r"tools\[(\d+)\](.*)", re.DOTALL)
_INPUT: Final = re.compile(r"input\[(\d+)\]")
_GROUP: Final = re.compile(rf"{GROUPS}\[(\d+)\](.*)", re.DOTALL)
_BARE_GROUP: Final = re.compile(rf"(?<![\w.]){GROUPS}\[\d+\]")
_FORMAT: Final = re.compile(r"text\.format\b(.*)", re.DOTALL)
_SAMPLING: Final = {
    "temperature": "strategy.temperature",
    "top_p": "strategy.top_p",
    "top_k": "strategy.top_k",
    "max_output_tokens": "max_tokens",
    "repetition_penalty": "repetition_penalty",
    "stop": "stop",
}


@dataclass(frozen=True, slots=True)
class Places:
    """Of one request for the engine. `input` has, for each of its items, where in the body it came from."""

    counts: Effective
    input: Sequence[str] = ()

    @property
    def is_greedy(self) -> bool:
        return self.counts.sampling is not None and isinstance(self.counts.sampling.strategy, Greedy)

    def path_of(self, param: str) -> str:
        """The path in the body for a path of the engine; one that it does not know stays as it is."""
        counts = self.counts
        if param in ("model", "instructions", "max_infer_iters"):
            return counts.path(param)
        if param == "tools":
            return counts.path("client_tools")
        if param in _SAMPLING:
            return self._sampling(param)
        if param.startswith("tool_choice"):
            return counts.path("tool_choice")
        if param == "previous_response_id":
            return "session_id"
        if (found := _FORMAT.match(param)) is not None:
            return self._format(found[1])
        if (found := _TOOL.match(param)) is not None:
            return self._tool(int(found[1]), found[2])
        if (found := _GROUP.match(param)) is not None and int(found[1]) < len(counts.group_paths):
            return counts.group_paths[int(found[1])] + found[2]
        if (found := _INPUT.match(param)) is not None and int(found[1]) < len(self.input):
            return self.input[int(found[1])]
        return "messages" if param == "input" else param

    def _sampling(self, param: str) -> str:
        """Greedy sampling is a temperature of 0 that nobody wrote."""
        params, path = self.counts.sampling, self.counts.path("sampling_params")
        if params is None:
            return path
        if param == "temperature" and not isinstance(params.strategy, TopP):
            return f"{path}.strategy"
        return f"{path}.{_SAMPLING[param]}"

    def _format(self, below: str) -> str:
        given, path = self.counts.response_format, self.counts.path("response_format")
        if isinstance(given, GrammarFormat):
            return f"{path}.bnf"
        return f"{path}.json_schema{below.removeprefix('.schema')}" if below.startswith(".schema") else path

    def _tool(self, at: int, below: str) -> str:
        """Client tools come first; what groups are follows."""
        if at >= len(self.counts.client_tools):
            return self.counts.group_paths[0].rpartition("[")[0] if self.counts.group_paths else "toolgroups"
        path = f"{self.counts.path('client_tools')}[{at}]"
        if not below.startswith(".parameters"):
            return path + below
        if self.counts.client_tools[at].input_schema:
            return f"{path}.input_schema{below.removeprefix('.parameters')}"
        return f"{path}.parameters"


def in_words_of_agents(error: AntiphonError, places: Places) -> AntiphonError:
    """The same error with its `param`, and the names in backticks of its message, in the words of this API.

    What an upstream said of its own stays as it is, but for the field that was recognized.
    """
    param = error.param
    if not isinstance(error, ProviderError):
        message = _QUOTED.sub(lambda quoted: f"`{places.path_of(quoted[1])}`", error.message)
        error.message = _BARE_GROUP.sub(lambda found: places.path_of(found[0]), message)
    elif param is not None:
        error.message = error.message.replace(f"`{param}`", f"`{places.path_of(param)}`")
        if param == "temperature" and places.is_greedy:
            error.message = f"{error.message.rstrip('.')}.{_GREEDY}"
    if param is not None:
        error.param = places.path_of(param)
    return error
