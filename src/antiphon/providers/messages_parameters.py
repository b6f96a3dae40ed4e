"""What becomes of each request parameter on the Messages wire: one table, for the renderer and the docs."""

from collections.abc import Iterator

from antiphon.core.request import ResponseRequest
from antiphon.core.wire import UNSET
from antiphon.providers.chat_parameters import Rule, Unsupported
from antiphon.providers.messages_config import MessagesConfig

MIN_THINKING = 1024
BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
"""Tokens of thought that stand for an effort, for models that take a number (`thinking: budget`)."""
TIERS = {"auto": "auto", "default": "standard_only"}

RULES: tuple[Rule, ...] = (
    Rule(
        "instructions", "system", note="with the system and developer messages at the beginning of the input"
    ),
    Rule("input", "messages", note="later system and developer messages become user messages that say so"),
    Rule("input: input_image", "image blocks"),
    Rule("input: input_file", "document blocks", note="PDF and plain text as file_data"),
    Rule("input: reasoning", "thinking blocks", note="those that this provider made; others are left out"),
    Rule("input: prompt_cache_breakpoint", "cache_control"),
    Rule("max_output_tokens", "max_tokens", note="the provider's `max_tokens` where none is given"),
    Rule("tools", "tools"),
    Rule(
        "tools: custom",
        "tools",
        "none",
        "emulated",
        "a tool with one string, `input`; grammars are checked here, a call that breaks one is asked for again",
    ),
    Rule("tool_choice: none", "tool_choice"),
    Rule("tool_choice: required", "tool_choice", note="`any`"),
    Rule("tool_choice: function", "tool_choice"),
    Rule("tool_choice: custom", "tool_choice"),
    Rule(
        "tool_choice: allowed_tools",
        "tool_choice",
        "none",
        "emulated",
        "its mode is sent, and this server refuses other calls",
    ),
    Rule("parallel_tool_calls", "tool_choice.disable_parallel_tool_use"),
    Rule(
        "text.format: json_schema",
        "output_config.format",
        "json_schema",
        "emulated",
        "asked for, held and validated",
    ),
    Rule("text.format: json_object", "system", "none", "emulated", "asked for, held and validated"),
    Rule("text.verbosity", "system", "none", "emulated", "low and high become a line of the instructions"),
    Rule("reasoning.effort", "thinking, output_config.effort", "thinking"),
    Rule("reasoning.summary", "", "none", "emulated", "the thoughts are shown as a summary"),
    Rule("reasoning.mode", "", "none", note="standard passes, as it asks for nothing"),
    Rule("reasoning.context", "thinking blocks", note="current_turn leaves earlier thoughts out"),
    Rule("temperature", "temperature", note="up to 1; above that refused"),
    Rule("top_p", "top_p"),
    Rule("top_k", "top_k"),
    Rule("stop", "stop_sequences"),
    Rule("user", "metadata.user_id"),
    Rule("safety_identifier", "metadata.user_id"),
    Rule("service_tier", "service_tier", note="auto, and default as standard_only; others refused"),
    Rule("prompt_cache_key", "", "none", "emulated", "prompts are cached by content and need no key"),
    Rule("prompt_cache_options", "cache_control", note="a ttl asks for the hour that this wire has"),
    Rule("prompt_cache_retention", "", "none", note="in_memory passes, as it asks for nothing"),
    Rule("top_logprobs", "", "none"),
    Rule("include: message.output_text.logprobs", "", "none", "emulated", "nothing is included"),
    Rule("presence_penalty", "", "none"),
    Rule("frequency_penalty", "", "none"),
    Rule("seed", "", "none"),
    Rule("min_p", "", "none"),
    Rule("repetition_penalty", "", "none"),
    Rule("chat_template_kwargs", "", "none"),
)
"""`none` is a capability that nobody has: such a row is refused, or done in another way."""

_UNKNOWN = ("seed", "min_p", "repetition_penalty", "chat_template_kwargs")


def unsupported(request: ResponseRequest, config: MessagesConfig) -> Iterator[Unsupported]:
    """Every parameter of the request that the table refuses for this upstream."""
    for name in _UNKNOWN:
        if getattr(request, name) is not None:
            yield Unsupported(name, "does not know this parameter")
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(request, name):
            yield Unsupported(name, "does not know this parameter")
    if request.top_logprobs:
        yield Unsupported("top_logprobs", "gives no log probabilities")
    if request.temperature is not None and request.temperature > 1:
        yield Unsupported("temperature", "takes temperatures from 0 to 1")
    if request.service_tier not in (None, *TIERS):
        yield Unsupported("service_tier", "has the tiers auto and default")
    if request.prompt_cache_retention == "24h":
        yield Unsupported("prompt_cache_retention", "keeps a cached prompt for an hour at most")
    yield from _of_reasoning(request, config)


def _of_reasoning(request: ResponseRequest, config: MessagesConfig) -> Iterator[Unsupported]:
    reasoning = request.reasoning
    if reasoning is None:
        return
    if reasoning.mode not in (UNSET, "standard"):
        yield Unsupported("reasoning.mode", "has one mode of reasoning")
    effort = reasoning.effort
    if effort in (UNSET, None, "none"):
        return
    if config.thinking == "off":
        yield Unsupported("reasoning.effort", "cannot steer reasoning")
    elif config.thinking == "budget" and (request.max_output_tokens or MIN_THINKING + 1) <= MIN_THINKING:
        yield Unsupported("reasoning.effort", f"thinks only with max_output_tokens above {MIN_THINKING}")
