"""From what counts in a turn to the request that the engine runs, and to the rules that its run keeps to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from antiphon.agents.choices import chosen, tools_of
from antiphon.agents.client_tools import function_tool
from antiphon.agents.definition import Effective, check_config, effective
from antiphon.agents.definitions_shown import tools_in_words
from antiphon.agents.formats import text_format
from antiphon.agents.places import GROUPS, Places, in_words_of_agents
from antiphon.agents.shapes import AgentConfig, SamplingParams, TopK, TopP
from antiphon.core import request_rules
from antiphon.core.body import StreamOptions, TextConfig
from antiphon.core.errors import AntiphonError, ModelNotFound
from antiphon.core.file_search import KNOWLEDGE_SEARCH
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import Tool, ToolChoice
from antiphon.core.turn_rules import TurnRules
from antiphon.core.wire import UNSET
from antiphon.models.catalog import Catalog
from antiphon.ports import Owner, ToolRuntime
from antiphon.ports.agents import StoredSession
from antiphon.ports.safety import Shields
from antiphon.responses.setup import SeenBy
from antiphon.tool_groups.groups import ToolGroups

DEFAULT_TOP_P = 0.95


@dataclass(frozen=True, slots=True)
class Built:
    """How a turn is run. `request` has no input, and does not say what it continues.

    `tools` runs the tools of this run, where it is not the server's own runtime; `before` stands before the model's
    provider. `places` says what the engine's errors are about.
    """

    request: ResponseRequest
    rules: TurnRules
    tools: ToolRuntime | None
    before: SeenBy | None
    places: Places


@dataclass(frozen=True, slots=True)
class AgentRequests:
    """Makes requests for the engine of what agents and turns say."""

    catalog: Catalog
    groups: ToolGroups
    shields: Shields

    async def check(self, owner: Owner, config: AgentConfig) -> None:
        """Whether there is what a configuration names, and it could be run.

        A model that nobody lists is refused, unless a provider that might have it cannot be asked now: agents are made
        while model servers start.

        Raises InvalidRequest, and ModelNotFound, naming the place below `agent_config`.
        """
        check_config(config)
        counts = effective(config)
        try:
            await self._check_model(config.model)
            await self._check_shields(owner, counts)
            await self.groups.check(owner, counts.groups, field=GROUPS)
            mine: list[Tool] = list(map(function_tool, counts.client_tools))
            if not counts.groups and counts.tool_choice != KNOWLEDGE_SEARCH:
                await chosen(counts.tool_choice, mine, counts.path("tool_choice"))
            request_rules.check_contents(_request(counts, mine))
        except AntiphonError as error:
            raise in_words_of_agents(error, Places(counts)) from None

    async def build(
        self,
        owner: Owner,
        counts: Effective,
        *,
        session: StoredSession | None = None,
        steps_used: int = 0,
        stream: bool = False,
        headers: Mapping[bytes, bytes] | None = None,
    ) -> Built:
        """How a turn is run. `steps_used` are the model calls of it that were made before. `headers` are those of the
        HTTP request, by lower-case name: older clients send those for MCP servers in one of them.

        Raises InvalidRequest in the words of this API: for shields and groups that are gone too.
        """
        places = Places(counts)
        try:
            await self._check_shields(owner, counts)
            found, runtime = await self._tools(owner, counts, session, headers)
            tools: list[Tool] = [*map(function_tool, counts.client_tools), *found]
            names = partial(tools_of, runtime, owner) if runtime is not None else None
            choice = await chosen(counts.tool_choice, tools, counts.path("tool_choice"), names)
            if steps_used and choice != "none":
                choice = None  # a call that was wanted was made; wanted again, the turn would never end
            request = _request(counts, tools, choice, stream=stream)
            request_rules.check_contents(request)
        except AntiphonError as error:
            raise in_words_of_agents(error, places) from None
        return Built(request, _rules(counts, steps_used), runtime, tools_in_words(counts), places)

    async def _tools(
        self,
        owner: Owner,
        counts: Effective,
        session: StoredSession | None,
        headers: Mapping[bytes, bytes] | None,
    ) -> tuple[Sequence[Tool], ToolRuntime | None]:
        if not counts.groups:
            return (), None
        stores = (*session.stores, session.memory) if session is not None else ()
        found = await self.groups.resolve(
            owner,
            counts.groups,
            stores=[store for store in stores if store is not None],
            headers=headers,
            session_id=session.id if session is not None else "",
            field=GROUPS,
        )
        return found.tools, found.runtime

    async def _check_shields(self, owner: Owner, counts: Effective) -> None:
        for name in ("input_shields", "output_shields"):
            shields: Sequence[str] = getattr(counts, name)
            if shields:
                await self.shields.check(owner, shields, counts.path(name))

    async def _check_model(self, model: str) -> None:
        try:
            await self.catalog.resolve(model)
        except ModelNotFound:
            provider_id, _, name = model.partition("/")
            named = name and provider_id in self.catalog.providers
            down = self.catalog.failures
            if not (provider_id in down if named else down):
                raise


def _request(
    counts: Effective, tools: list[Tool], choice: ToolChoice | None = None, *, stream: bool = False
) -> ResponseRequest:
    """Long sessions go on: what no longer fits is left out from the beginning. A session that is not kept stores no
    response.
    """
    given = counts.response_format
    text = (
        TextConfig(format=text_format(given, counts.path("response_format"))) if given is not None else None
    )
    return ResponseRequest(
        model=counts.model,
        instructions=counts.instructions or None,
        store=None if counts.keeps else False,
        stream=stream,
        stream_options=StreamOptions(include_obfuscation=False) if stream else None,
        tools=tools or None,
        tool_choice=choice,
        text=text,
        truncation="auto",
        **_sampling(counts.sampling),
    )


def _rules(counts: Effective, steps_used: int) -> TurnRules:
    params = counts.sampling
    return TurnRules(
        input_shields=counts.input_shields,
        output_shields=counts.output_shields,
        max_steps=max(1, counts.max_infer_iters - steps_used),
        max_step_tokens=(params.max_tokens or None) if params is not None else None,
        marks=True,
    )


def _sampling(params: SamplingParams | None) -> dict[str, Any]:
    """None leaves everything to the model. `max_tokens` is no part of this: it bounds each model call, not the run."""
    if params is None:
        return {}
    said: dict[str, Any] = {"stop": params.stop or None}
    if params.repetition_penalty != 1.0:
        said["repetition_penalty"] = params.repetition_penalty
    match params.strategy:
        case TopP(temperature=temperature, top_p=top_p):
            said["temperature"] = None if temperature is UNSET else temperature
            said["top_p"] = DEFAULT_TOP_P if top_p is UNSET else top_p
        case TopK(top_k=top_k):
            said["top_k"] = top_k
        case _:
            said["temperature"] = 0.0
    return said
