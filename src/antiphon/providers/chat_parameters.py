"""What becomes of each request parameter on the chat completions wire: one table, for the renderer and the
docs.

`passed`: sent under `field`. `emulated`: done another way, see the note. `refused`: 400 with `param` (or,
where the operator chose `parameters: lenient`, dropped with a warning). Parameters that this server itself
carries out (`store`, `metadata`, `truncation` …) are not of the wire and not in the table.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from antiphon.core.errors import UnsupportedParameter
from antiphon.core.request import ReasoningConfig, ResponseRequest
from antiphon.core.tools import ChooseAllowed
from antiphon.core.wire import UNSET
from antiphon.ports import Constraint
from antiphon.providers.capabilities import Capabilities, ResponsesCapabilities

Kind = Literal["passed", "emulated", "refused"]
AnyCapabilities = Capabilities | ResponsesCapabilities


@dataclass(frozen=True, slots=True)
class Rule:
    """One parameter. `capability` names the flag that must be set for it to be passed; "" means always.

    `otherwise` is what happens without the flag, and `note` says how.
    """

    param: str
    field: str
    capability: str = ""
    otherwise: Kind = "refused"
    note: str = ""

    def kind(self, capabilities: AnyCapabilities) -> Kind:
        has = not self.capability or bool(getattr(capabilities, self.capability, False))
        return "passed" if has else self.otherwise


class Unsupported(NamedTuple):
    """A parameter that this upstream cannot honour."""

    param: str
    why: str

    def error(self, provider: str) -> UnsupportedParameter:
        return UnsupportedParameter(
            f'`{self.param}`: provider "{provider}" {self.why}. Leave it out, or choose another model.',
            param=self.param,
        )


SCALARS: tuple[Rule, ...] = (
    Rule("temperature", "temperature"),
    Rule("top_p", "top_p"),
    Rule("presence_penalty", "presence_penalty", "penalties"),
    Rule("frequency_penalty", "frequency_penalty", "penalties"),
    Rule("user", "user", "user", "emulated", "left out: these servers watch no users"),
    Rule("stop", "stop"),
    Rule("top_k", "top_k", "top_k"),
    Rule("min_p", "min_p", "min_p"),
    Rule("chat_template_kwargs", "chat_template_kwargs", "chat_template_kwargs"),
    Rule(
        "prompt_cache_key",
        "prompt_cache_key",
        "prompt_cache_key",
        "emulated",
        "these servers cache prefixes by content and need no key",
    ),
)
"""Values that go over as they are."""

ASKED_AND_CHECKED = "asked for in the instructions; held and checked here"
READ_HERE = "read here, and sent as text"
_KEPT = "the modes that ask for nothing (implicit, in_memory) pass everywhere"

OTHERS: tuple[Rule, ...] = (
    Rule("instructions", "messages", note="the first message, of role system or developer"),
    Rule("input", "messages", note="calls of one step become one assistant message"),
    Rule(
        "input: input_image",
        "image_url parts",
        "image_urls",
        "emulated",
        "as data; what a URL names is fetched here",
    ),
    Rule("input: input_file", "file parts", "file_parts", "emulated", READ_HERE),
    Rule(
        "input: reasoning",
        "reasoning or reasoning_content",
        "reasoning_field",
        "emulated",
        "left out, as chat models do not see earlier reasoning",
    ),
    Rule("max_output_tokens", "max_tokens or max_completion_tokens"),
    Rule("tools", "tools"),
    Rule(
        "tools: custom",
        "tools",
        "custom_tools",
        "emulated",
        "a function with one string, `input`; grammars are checked here, a call that breaks one is asked for again",
    ),
    Rule(
        "tool_choice: none",
        "tool_choice",
        "tool_choice",
        "emulated",
        "the tools are not sent",
    ),
    Rule("tool_choice: required", "tool_choice", "tool_choice"),
    Rule("tool_choice: function", "tool_choice", "tool_choice"),
    Rule("tool_choice: custom", "tool_choice", "tool_choice"),
    Rule(
        "tool_choice: allowed_tools",
        "tool_choice",
        "allowed_tools",
        "emulated",
        "its mode is sent, and this server refuses other calls",
    ),
    Rule(
        "parallel_tool_calls",
        "parallel_tool_calls",
        "parallel_tool_calls",
        "emulated",
        "this server refuses further calls of a step",
    ),
    Rule(
        "text.format: json_schema",
        "response_format",
        "json_schema",
        "emulated",
        "asked for, held and validated",
    ),
    Rule(
        "text.format: json_object",
        "response_format",
        "json_object",
        "emulated",
        "asked for, held and validated",
    ),
    Rule(
        "text.format: grammar",
        "structured_outputs, guided_grammar, guided_regex or grammar",
        "grammars",
        "emulated",
        ASKED_AND_CHECKED,
    ),
    Rule(
        "text.format beside tools",
        "response_format",
        "format_beside_tools",
        "emulated",
        "asked for in the instructions, held and validated",
    ),
    Rule(
        "text.verbosity",
        "verbosity",
        "verbosity",
        "emulated",
        "low and high become a line of the instructions",
    ),
    Rule("prompt_cache_options", "prompt_cache_options", "prompt_cache_options", note=_KEPT),
    Rule("prompt_cache_retention", "prompt_cache_retention", "prompt_cache_options", note=_KEPT),
    Rule(
        "input: prompt_cache_breakpoint",
        "prompt_cache_breakpoint",
        "prompt_cache_options",
        "emulated",
        "these servers cache every prefix, so a mark changes nothing",
    ),
    Rule("reasoning.mode", "", "none", note="standard passes, as it asks for nothing"),
    Rule(
        "reasoning.context",
        "reasoning or reasoning_content",
        "reasoning_field",
        note="current_turn leaves earlier reasoning out; auto passes everywhere",
    ),
    Rule("reasoning.effort", "reasoning_effort or chat_template_kwargs", "reasoning_effort"),
    Rule("reasoning.summary", "", "none", "emulated", "the reasoning itself is shown as its summary"),
    Rule("top_logprobs", "logprobs, top_logprobs", "logprobs"),
    Rule("include: message.output_text.logprobs", "logprobs", "logprobs", "emulated", "nothing is included"),
    Rule(
        "safety_identifier",
        "safety_identifier",
        "safety_identifier",
        "emulated",
        "sent as `user` where that is known, else left out",
    ),
    Rule(
        "service_tier", "service_tier", "service_tier", note="auto and default mean the same there and pass"
    ),
    Rule("repetition_penalty", "repetition_penalty or repeat_penalty", "repetition_penalty"),
    Rule("seed", "seed or random_seed", "seed_field"),
)
"""Values that are translated; `chat_render` has the code."""


def rules() -> tuple[Rule, ...]:
    """The whole table, in the order of the docs."""
    return (*OTHERS, *SCALARS)


@dataclass(frozen=True, slots=True)
class Plan:
    """The table worked out for one upstream, so that a request costs a walk over two short tuples."""

    passed: tuple[tuple[str, str], ...]
    refused: tuple[str, ...]

    @classmethod
    def of(cls, capabilities: AnyCapabilities, scalars: Sequence[Rule] = SCALARS) -> "Plan":
        passed = [(rule.param, rule.field) for rule in scalars if rule.kind(capabilities) == "passed"]
        refused = [rule.param for rule in scalars if rule.kind(capabilities) == "refused"]
        named = {"repetition_penalty": capabilities.repetition_penalty, "seed": capabilities.seed_field}
        for param, field in named.items():
            if field is None:
                refused.append(param)
            else:
                passed.append((param, field))
        return cls(tuple(passed), tuple(refused))


def unsupported(request: ResponseRequest, capabilities: Capabilities, plan: Plan) -> list[Unsupported]:
    """Every parameter of the request that the table refuses for this upstream, in no promised order."""
    found = unsupported_anywhere(request, capabilities, plan)
    if request.reasoning is not None:
        found += _of_reasoning(request.reasoning, capabilities)
    return found


def unsupported_anywhere(
    request: ResponseRequest, capabilities: AnyCapabilities, plan: Plan
) -> list[Unsupported]:
    """Those that both wires of this family refuse alike; reasoning is each one's own."""
    why = "does not know this parameter"
    found = [Unsupported(name, why) for name in plan.refused if getattr(request, name) is not None]
    if request.top_logprobs and not capabilities.logprobs:
        found.append(Unsupported("top_logprobs", "gives no log probabilities"))
    if request.service_tier not in (None, "auto", "default") and not capabilities.service_tier:
        found.append(Unsupported("service_tier", "has one service tier"))
    if not capabilities.tool_choice and request.tools and forces_a_call(request):
        found.append(Unsupported("tool_choice", "cannot be made to call a tool"))
    if not capabilities.prompt_cache_options:
        found += _of_caching(request)
    return found


def _of_reasoning(reasoning: ReasoningConfig, capabilities: Capabilities) -> Iterator[Unsupported]:
    if reasoning.effort not in (UNSET, None) and not capabilities.reasoning_effort:
        yield Unsupported("reasoning.effort", "cannot steer reasoning")
    if reasoning.mode not in (UNSET, "standard"):
        yield Unsupported("reasoning.mode", "has one mode of reasoning")
    if reasoning.context == "all_turns" and capabilities.reasoning_field is None:
        yield Unsupported("reasoning.context", "is not shown earlier reasoning")


def _of_caching(request: ResponseRequest) -> Iterator[Unsupported]:
    """What a server that cannot be told how to cache refuses."""
    why = "keeps what it caches as it likes"
    options = request.prompt_cache_options
    if options is not None and (options.mode == "explicit" or options.ttl is not UNSET):
        yield Unsupported("prompt_cache_options", why)
    if request.prompt_cache_retention == "24h":
        yield Unsupported("prompt_cache_retention", why)


def unenforced_by(capabilities: AnyCapabilities, *, beside_tools: bool = False) -> frozenset[Constraint]:
    """See `ports.ModelProvider.unenforced`; `beside_tools`: of a request that has some."""
    found: set[Constraint] = set()
    formats = (
        not (beside_tools and isinstance(capabilities, Capabilities)) or capabilities.format_beside_tools
    )
    if not (capabilities.json_schema and capabilities.keeps_formats and formats):
        found.add("json_schema")
    if not (capabilities.json_object and capabilities.keeps_formats and formats):
        found.add("json_object")
    if not (capabilities.grammars and capabilities.keeps_grammars) or beside_tools:
        found.add("text_grammar")
    if not capabilities.custom_tools:
        found.add("grammar")
    return frozenset(found)


def forces_a_call(request: ResponseRequest) -> bool:
    match request.tool_choice:
        case ChooseAllowed(mode=mode):
            return mode == "required"
        case None | str() as mode:
            return mode == "required"
        case _:
            return True  # it names a tool
