"""What becomes of each request parameter on the responses wire: one table, for the renderer and the docs.

The words are those of `chat_parameters`. Nearly everything keeps its name here; what differs is what each upstream's
route knows. `store` is always sent as false: responses are kept here, not there.
"""

from collections.abc import Iterator

from antiphon.core.request import ReasoningConfig, ResponseRequest
from antiphon.core.wire import UNSET
from antiphon.providers.capabilities import ResponsesCapabilities
from antiphon.providers.chat_parameters import (
    ASKED_AND_CHECKED,
    READ_HERE,
    Plan,
    Rule,
    Unsupported,
    unsupported_anywhere,
)

SCALARS: tuple[Rule, ...] = (
    Rule("temperature", "temperature"),
    Rule("top_p", "top_p"),
    Rule("presence_penalty", "presence_penalty", "penalties"),
    Rule("frequency_penalty", "frequency_penalty", "penalties"),
    Rule("user", "user", "user", "emulated", "left out: these servers watch no users"),
    Rule("stop", "stop", "stop"),
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

_KEPT = "the modes that ask for nothing (implicit, in_memory) pass everywhere"

OTHERS: tuple[Rule, ...] = (
    Rule("instructions", "instructions"),
    Rule("input", "input", note="without the ids and states that items have here"),
    Rule(
        "input: input_image",
        "input_image",
        "image_urls",
        "emulated",
        "as data; what a URL names is fetched here",
    ),
    Rule("input: input_file", "input_file", "file_parts", "emulated", READ_HERE),
    Rule(
        "input: reasoning",
        "reasoning items",
        "reasoning_items",
        note="where it was encrypted only its maker gets it back, everybody else's is left out; else as text",
    ),
    Rule("max_output_tokens", "max_output_tokens", note="16 at least, as the API has it"),
    Rule("tools", "tools"),
    Rule(
        "tools: custom",
        "tools",
        "custom_tools",
        "emulated",
        "a function with one string, `input`; grammars are checked here, a call that breaks one is asked for again",
    ),
    Rule("tool_choice: none", "tool_choice", "tool_choice", "emulated", "the tools are not sent"),
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
        "text.format or response_format",
        "json_schema",
        "emulated",
        "asked for, held and validated",
    ),
    Rule(
        "text.format: json_object",
        "text.format or response_format",
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
    Rule("text.format beside tools", "text.format or response_format"),
    Rule(
        "text.verbosity",
        "text.verbosity",
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
    Rule("reasoning.mode", "reasoning.mode", "reasoning_mode", note="standard passes everywhere"),
    Rule(
        "reasoning.context",
        "reasoning.context",
        "reasoning_context",
        "emulated",
        "current_turn leaves earlier reasoning out; auto and all_turns change nothing",
    ),
    Rule("reasoning.effort", "reasoning.effort or chat_template_kwargs", "reasoning_effort"),
    Rule(
        "reasoning.summary",
        "reasoning.summary",
        "reasoning_summary",
        "emulated",
        "the reasoning itself is shown as its summary",
    ),
    Rule("top_logprobs", "top_logprobs, include", "logprobs"),
    Rule("include: message.output_text.logprobs", "include", "logprobs", "emulated", "nothing is included"),
    Rule("safety_identifier", "safety_identifier", "safety_identifier", "emulated", "sent as `user`"),
    Rule(
        "service_tier", "service_tier", "service_tier", note="auto and default mean the same there and pass"
    ),
    Rule("repetition_penalty", "repetition_penalty or repeat_penalty", "repetition_penalty"),
    Rule("seed", "seed", "seed_field"),
)
"""Values that are translated; `responses_render` has the code."""


def rules() -> tuple[Rule, ...]:
    """The whole table, in the order of the docs."""
    return (*OTHERS, *SCALARS)


def unsupported(request: ResponseRequest, can: ResponsesCapabilities, plan: Plan) -> list[Unsupported]:
    """Every parameter of the request that the table refuses for this upstream, in no promised order."""
    found = unsupported_anywhere(request, can, plan)
    if request.reasoning is not None:
        found += _of_reasoning(request.reasoning, can)
    return found


def _of_reasoning(reasoning: ReasoningConfig, can: ResponsesCapabilities) -> Iterator[Unsupported]:
    if reasoning.effort not in (UNSET, None) and not can.reasoning_effort:
        yield Unsupported("reasoning.effort", "cannot steer reasoning")
    if reasoning.mode not in (UNSET, "standard") and not can.reasoning_mode:
        yield Unsupported("reasoning.mode", "has one mode of reasoning")
    if reasoning.context == "all_turns" and can.reasoning_items is None:
        yield Unsupported("reasoning.context", "is not shown earlier reasoning")
