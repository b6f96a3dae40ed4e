"""What becomes of each request parameter on the Messages wire: one table, for the renderer and the docs."""

from collections.abc import Iterator

from antiphon.core.request import FormatJsonSchema, ReasoningConfig, ResponseRequest
from antiphon.core.wire import UNSET, JsonObject
from antiphon.providers.chat_parameters import ASKED_AND_CHECKED, Rule, Unsupported, forces_a_call
from antiphon.providers.messages_config import MessagesCapabilities
from antiphon.providers.messages_models import NOTHING_KNOWN, ModelFacts
from antiphon.providers.messages_schemas import bindable

MIN_THINKING = 1024
TIERS = {"auto": "auto", "default": "standard_only"}
FAST = "fast"
_LEAST_TOP_P_OF_THOUGHT = 0.95

RULES: tuple[Rule, ...] = (
    Rule(
        "instructions", "system", note="with the system and developer messages at the beginning of the input"
    ),
    Rule(
        "input",
        "messages",
        note="later system and developer messages become user messages that say so; a conversation begins and ends"
        " with the user, if need be by a word of this server",
    ),
    Rule("input: input_image", "image blocks"),
    Rule("input: input_file", "document blocks", note="PDF and text as file_data"),
    Rule("input: reasoning", "thinking blocks", note="those that this provider made; others are left out"),
    Rule("input: prompt_cache_breakpoint", "cache_control", note="the latest four"),
    Rule("max_output_tokens", "max_tokens", note="the provider's `max_tokens` where none is given"),
    Rule("tools", "tools", note="`strict` where the API can bind the schema"),
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
        "a schema that the API cannot bind (recursive, of any keys, with limits) is asked for, held and validated",
    ),
    Rule("text.format: json_object", "system", "none", "emulated", "asked for, held and validated"),
    Rule("text.format: grammar", "system", "none", "emulated", ASKED_AND_CHECKED),
    Rule("text.verbosity", "system", "none", "emulated", "low and high become a line of the instructions"),
    Rule(
        "reasoning.effort",
        "thinking, output_config.effort",
        "thinking",
        note="the nearest lower one that the model is listed with; older models get a number of tokens, and then"
        " neither a forced call nor another temperature",
    ),
    Rule(
        "reasoning.summary",
        "thinking.display",
        "none",
        "emulated",
        "readable thoughts are shown as a summary",
    ),
    Rule("reasoning.mode", "", "none", note="standard passes, as it asks for nothing"),
    Rule("reasoning.context", "thinking blocks", note="current_turn leaves earlier thoughts out"),
    Rule("temperature", "temperature", note="up to 1; above that, and beside an effort, refused"),
    Rule("top_p", "top_p", note="beside an effort from 0.95 on"),
    Rule("top_k", "top_k", note="not beside an effort; 0 and -1 ask for nothing"),
    Rule("stop", "stop_sequences", note="white space alone is refused"),
    Rule("user", "metadata.user_id", note="hashed where it is longer than 256 characters"),
    Rule("safety_identifier", "metadata.user_id"),
    Rule(
        "service_tier",
        "service_tier, speed",
        note="auto, default as standard_only, fast as the speed of that name; others refused",
    ),
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


def bound_schema(request: ResponseRequest, can: MessagesCapabilities) -> JsonObject | None:
    """The schema that goes over as a parameter; None where there is none, or where it must be asked for in words."""
    wanted = request.text.format if request.text is not None else None
    return bindable(wanted.schema) if isinstance(wanted, FormatJsonSchema) and can.json_schema else None


def unsupported(
    request: ResponseRequest, can: MessagesCapabilities, facts: ModelFacts = NOTHING_KNOWN
) -> Iterator[Unsupported]:
    """Every parameter of the request that the table refuses for this upstream, and for the model as far as known."""
    for name in _UNKNOWN:
        if getattr(request, name) is not None:
            yield Unsupported(name, "does not know this parameter")
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(request, name):
            yield Unsupported(name, "does not know this parameter")
    if request.top_logprobs:
        yield Unsupported("top_logprobs", "gives no log probabilities")
    if request.stop is not None and any(not stop.strip() for stop in stops_of(request)):
        yield Unsupported("stop", "takes no stop sequence of white space alone")
    if request.service_tier not in (None, FAST, *TIERS):
        yield Unsupported("service_tier", "has the tiers auto, default and fast")
    if request.prompt_cache_retention == "24h":
        yield Unsupported("prompt_cache_retention", "keeps a cached prompt for an hour at most")
    thinks = False
    if request.reasoning is not None:
        found = list(_of_reasoning(request, request.reasoning, can, facts))
        yield from found
        refused = any(one.param == "reasoning.effort" for one in found)
        thinks = thinks_of(request, can, facts, forced=forces_a_call(request)) is not None and not refused
    yield from _of_sampling(request, thinks=thinks)


def stops_of(request: ResponseRequest) -> list[str]:
    stop = request.stop or []
    return [stop] if isinstance(stop, str) else stop


def thinks_of(
    request: ResponseRequest, can: MessagesCapabilities, facts: ModelFacts, *, forced: bool
) -> str | None:
    """How thinking is asked for in a model call: `adaptive`, `budget`, or not at all.

    It excludes a forced call. Where an effort can be told, it can be told without thinking.
    """
    effort = request.reasoning.effort if request.reasoning is not None else None
    if not isinstance(effort, str) or effort == "none":
        return None
    mode = mode_of(can, facts)
    return None if forced and mode == "adaptive" else mode


def asks_for_effort(request: ResponseRequest) -> bool:
    return request.reasoning is not None and isinstance(request.reasoning.effort, str)


def mode_of(can: MessagesCapabilities, facts: ModelFacts) -> str | None:
    if can.thinking != "auto":
        return None if can.thinking == "none" else can.thinking
    if facts.adaptive is None or facts.adaptive:
        return "adaptive"
    return "budget" if facts.budget else None


def _of_sampling(request: ResponseRequest, *, thinks: bool) -> Iterator[Unsupported]:
    """Source: "Feature compatibility" of the page on extended thinking."""
    if request.temperature is not None and request.temperature > 1:
        yield Unsupported("temperature", "takes temperatures from 0 to 1")
    elif thinks and request.temperature not in (None, 1):
        yield Unsupported("temperature", "takes no other temperature than 1 beside reasoning.effort")
    if thinks and request.top_k is not None and request.top_k > 0:
        yield Unsupported("top_k", "does not take it beside reasoning.effort")
    if thinks and request.top_p is not None and request.top_p < _LEAST_TOP_P_OF_THOUGHT:
        yield Unsupported("top_p", "takes 0.95 and more beside reasoning.effort")


def _of_reasoning(
    request: ResponseRequest, reasoning: ReasoningConfig, can: MessagesCapabilities, facts: ModelFacts
) -> Iterator[Unsupported]:
    if reasoning.mode not in (UNSET, "standard"):
        yield Unsupported("reasoning.mode", "has one mode of reasoning")
    effort = reasoning.effort
    if effort in (UNSET, None):
        return
    if effort == "none":
        if not facts.can_stop_thinking:
            yield Unsupported("reasoning.effort", "has a model here that cannot be kept from reasoning")
        return
    mode = mode_of(can, facts)
    if mode is None:
        yield Unsupported("reasoning.effort", "cannot steer reasoning")
    elif mode == "budget" and forces_a_call(request):
        yield Unsupported("reasoning.effort", "cannot reason and be made to call a tool at once")
    elif mode == "budget" and (request.max_output_tokens or MIN_THINKING + 1) <= MIN_THINKING:
        yield Unsupported("reasoning.effort", f"thinks only with max_output_tokens above {MIN_THINKING}")
