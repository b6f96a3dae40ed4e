"""What the Messages API refuses, in its own words where they are known: the rules that `FakeAnthropic` holds us to.

Sources: the API reference of `POST /v1/messages`, and the pages on extended and adaptive thinking, tool use, prompt
caching and structured outputs.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from antiphon.core.json_values import is_object

Json = dict[str, Any]
TOP = frozenset(
    {
        "model", "messages", "max_tokens", "cache_control", "container", "inference_geo", "metadata", "output_config",
        "service_tier", "speed", "stop_sequences", "stream", "system", "temperature", "thinking", "tool_choice",
        "tools", "top_k", "top_p",
    }
)  # fmt: skip
ID = re.compile(r"[a-zA-Z0-9_-]+\Z")
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
BLOCKS: dict[str, frozenset[str]] = {
    "user": frozenset({"text", "image", "document", "tool_result"}),
    "assistant": frozenset({"text", "thinking", "redacted_thinking", "tool_use"}),
}
KEYS: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"text"}, {"cache_control", "citations"}),
    "image": ({"source"}, {"cache_control"}),
    "document": ({"source"}, {"cache_control", "title", "context", "citations"}),
    "tool_result": ({"tool_use_id"}, {"content", "is_error", "cache_control"}),
    "tool_use": ({"id", "name", "input"}, {"cache_control"}),
    "thinking": ({"thinking", "signature"}, set()),
    "redacted_thinking": ({"data"}, set()),
}
SOURCES: dict[str, dict[str, tuple[str, ...]]] = {
    "image": {"base64": ("image/jpeg", "image/png", "image/gif", "image/webp"), "url": ()},
    "document": {"base64": ("application/pdf",), "text": ("text/plain",), "url": ()},
}
BOUND = frozenset(
    {
        "type", "title", "description", "default", "examples", "required", "enum", "const", "$schema", "$id",
        "properties", "additionalProperties", "items", "minItems", "anyOf", "allOf", "$ref", "$defs", "definitions",
        "format",
    }
)  # fmt: skip


class Refused(Exception):
    """400 `invalid_request_error`, unless it says otherwise."""

    def __init__(self, message: str, kind: str = "invalid_request_error", status: int = 400) -> None:
        super().__init__(message)
        self.kind, self.message, self.status = kind, message, status


@dataclass(frozen=True, slots=True)
class Model:
    """What a model can do, as the list of models tells it."""

    adaptive: bool = True
    budget: bool = False
    disabled: bool = True
    efforts: tuple[str, ...] = ("low", "medium", "high", "xhigh", "max")
    max_tokens: int = 64_000


def check(body: Json, model: Model, issued: Callable[[Json], bool]) -> None:
    """Raises Refused. `issued` says whether a thinking block is one that was given out, unchanged."""
    unknown = sorted(set(body) - TOP)
    if unknown:
        raise Refused(f"{unknown[0]}: Extra inputs are not permitted")
    for name in ("model", "messages", "max_tokens"):
        if name not in body:
            raise Refused(f"{name}: Field required")
    _limits(body, model)
    _thinking(body, model)
    _tools(body)
    _system(body)
    _messages(body, issued)
    _caching(body)
    _format(body)


def _limits(body: Json, model: Model) -> None:
    if type(body["max_tokens"]) is not int or body["max_tokens"] < 1:
        raise Refused("max_tokens: Input should be greater than or equal to 1")
    if body["max_tokens"] > model.max_tokens:
        raise Refused(
            f"max_tokens: {body['max_tokens']} > {model.max_tokens}, which is the maximum allowed number of output"
            f" tokens for {body['model']}"
        )
    for name, top in (("temperature", 1), ("top_p", 1)):
        if name in body and not 0 <= body[name] <= top:
            raise Refused(f"{name}: range: 0..1")
    if body.get("top_k", 0) < 0:
        raise Refused("top_k: Input should be greater than or equal to 0")
    for stop in body.get("stop_sequences", ()):
        if not stop.strip():
            raise Refused("stop_sequences: each stop sequence must contain non-whitespace")
    metadata = body.get("metadata", {})
    if set(metadata) - {"user_id"} or len(metadata.get("user_id", "")) > 256:
        raise Refused("metadata.user_id: String should have at most 256 characters")
    if body.get("service_tier", "auto") not in ("auto", "standard_only"):
        raise Refused("service_tier: Input should be 'auto' or 'standard_only'")


def _thinking(body: Json, model: Model) -> None:
    thinking: Json = body.get("thinking", {"type": "disabled"})
    kind = thinking["type"]
    allowed = {"adaptive": model.adaptive, "enabled": model.budget, "disabled": model.disabled}
    if not allowed.get(kind, False) and ("thinking" in body or kind != "disabled"):
        raise Refused(f"thinking.type: '{kind}' is not supported on this model")
    if set(thinking) - {"type", "display"} - ({"budget_tokens"} if kind == "enabled" else set[str]()):
        raise Refused("thinking: Extra inputs are not permitted")
    effort = body.get("output_config", {}).get("effort")
    if effort is not None and effort not in model.efforts:
        raise Refused(f"output_config.effort: '{effort}' is not supported on this model")
    if kind == "disabled":
        return
    if kind == "enabled" and not 1024 <= thinking["budget_tokens"] < body["max_tokens"]:
        raise Refused("thinking.budget_tokens: must be at least 1024 and less than `max_tokens`")
    if body.get("temperature", 1) != 1:
        raise Refused("`temperature` may only be set to 1 when thinking is enabled")
    if "top_k" in body or body.get("top_p", 1) < 0.95:
        raise Refused("`top_k` must be unset when thinking is enabled")
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "enabled":
        _begins_with_thought(body["messages"])


def _begins_with_thought(messages: list[Json]) -> None:
    """In the middle of a tool loop the model must have thought before it began."""
    loop: list[Json] = []
    for message in reversed(messages):
        if message["role"] == "user" and not any(one["type"] == "tool_result" for one in message["content"]):
            break
        loop.append(message)
    asked = [message for message in loop if message["role"] == "assistant"]
    if asked and "thinking" not in asked[-1]["content"][0]["type"]:
        raise Refused(
            "messages: Expected `thinking` or `redacted_thinking`, but found"
            f" `{asked[-1]['content'][0]['type']}`. When `thinking` is enabled, a final `assistant` message must start"
            " with a thinking block."
        )


def _tools(body: Json) -> None:
    tools: list[Json] = body.get("tools", [])
    for at, tool in enumerate(tools):
        if set(tool) - {"name", "description", "input_schema", "strict", "cache_control", "type"}:
            raise Refused(f"tools.{at}: Extra inputs are not permitted")
        if not NAME.match(tool["name"]):
            raise Refused(f"tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if tool["input_schema"].get("type") != "object":
            raise Refused(f"tools.{at}.custom.input_schema.type: Field required")
        if tool.get("strict"):
            _bound(tool["input_schema"], f"tools.{at}.custom.input_schema")
    names = [tool["name"] for tool in tools]
    if len(set(names)) < len(names):
        raise Refused("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not tools:
        raise Refused("tool_choice: may only be specified while providing tools")
    extra = {"name"} if choice["type"] == "tool" else set[str]()
    if choice["type"] != "none":
        extra |= {"disable_parallel_tool_use"}
    if choice["type"] not in ("auto", "any", "tool", "none") or set(choice) - {"type"} - extra:
        raise Refused("tool_choice: Extra inputs are not permitted")
    if choice["type"] == "tool" and choice["name"] not in names:
        raise Refused(f"tool_choice: Tool '{choice['name']}' not found in provided tools")


def _system(body: Json) -> None:
    for at, block in enumerate(body.get("system", ())):
        if block["type"] != "text" or not block["text"].strip():
            raise Refused(f"system.{at}: text content blocks must contain non-whitespace text")


# --- messages -------------------------------------------------------------------------------------------------


def _messages(body: Json, issued: Callable[[Json], bool]) -> None:
    messages: list[Json] = body["messages"]
    if not messages:
        raise Refused("messages: at least one message is required")
    if messages[0]["role"] != "user":
        raise Refused('messages: first message must use the "user" role')
    if messages[-1]["role"] == "assistant":
        raise Refused("This model does not support assistant message prefill.")
    wanted: list[str] = []
    seen: set[str] = set()
    for at, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[at % 2]:
            raise Refused('messages: roles must alternate between "user" and "assistant"')
        if not message["content"]:
            raise Refused(f"messages.{at}: content must not be empty")
        for where, block in enumerate(message["content"]):
            _block(block, BLOCKS[message["role"]], f"messages.{at}.content.{where}")
            if "thinking" in block["type"] and not issued(block):
                raise Refused(f"messages.{at}.content.{where}: Invalid `signature` in `thinking` block")
        _results(message, wanted, f"messages.{at}")
        wanted = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        if seen & set(wanted) or len(set(wanted)) < len(wanted):
            raise Refused(f"messages.{at}: `tool_use` ids must be unique")
        seen |= set(wanted)
        if "thinking" in message["content"][-1]["type"]:
            raise Refused(f"messages.{at}: The final block in an assistant message cannot be `thinking`.")


def _results(message: Json, wanted: list[str], path: str) -> None:
    kinds = [block["type"] == "tool_result" for block in message["content"]]
    if kinds != sorted(kinds, reverse=True):
        raise Refused(f"{path}.content: `tool_result` blocks must come first")
    given = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
    if missing := [one for one in wanted if one not in given]:
        raise Refused(f"{path}: `tool_use` ids were found without `tool_result` blocks: {missing[0]}")
    if orphans := [one for one in given if one not in wanted]:
        raise Refused(
            f"{path}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {orphans[0]}"
        )


def _block(block: Json, kinds: frozenset[str], path: str) -> None:
    kind = block["type"]
    if kind not in kinds:
        raise Refused(f"{path}.type: unexpected '{kind}'")
    required, optional = KEYS[kind]
    if not required <= set(block) or set(block) - required - optional - {"type"}:
        raise Refused(f"{path}.{kind}: Field required, or extra inputs are not permitted")
    match kind:
        case "text" if not block["text"].strip():
            raise Refused(f"{path}: text content blocks must contain non-whitespace text")
        case "image" | "document":
            _source(block["source"], SOURCES[kind], f"{path}.{kind}.source")
        case "tool_use" if not (
            ID.match(block["id"]) and NAME.match(block["name"]) and isinstance(block["input"], dict)
        ):
            raise Refused(f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        case "tool_result" if isinstance(block.get("content"), list):
            for at, inner in enumerate(block["content"]):
                _block(inner, frozenset({"text", "image", "document"}), f"{path}.content.{at}")
        case _:
            return


def _source(source: Json, kinds: dict[str, tuple[str, ...]], path: str) -> None:
    kind = source["type"]
    if kind not in kinds:
        raise Refused(f"{path}.type: unexpected '{kind}'")
    if kind == "url" and (set(source) != {"type", "url"} or not source["url"].startswith("http")):
        raise Refused(f"{path}.url: Only HTTP(S) URLs are supported")
    if kind != "url" and (
        set(source) != {"type", "media_type", "data"}
        or source["media_type"] not in kinds[kind]
        or not source["data"]
    ):
        raise Refused(f"{path}.media_type: Input should be one of {kinds[kind]}")


# --- caching and formats --------------------------------------------------------------------------------------


def cacheable(body: Json) -> Iterator[Json]:
    """Every block that may be marked, in the order of the cache: tools, system, messages."""
    yield from body.get("tools", ())
    yield from body.get("system", ())
    for message in body["messages"]:
        yield from message["content"]


def _caching(body: Json) -> None:
    marks = [block["cache_control"] for block in cacheable(body) if "cache_control" in block]
    if len(marks) > 4:
        raise Refused(f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}.")
    for mark in marks:
        if (
            mark["type"] != "ephemeral"
            or set(mark) - {"type", "ttl"}
            or mark.get("ttl", "5m") not in ("5m", "1h")
        ):
            raise Refused("cache_control.ttl: Input should be '5m' or '1h'")
    times = [mark.get("ttl", "5m") for mark in marks]
    if times != sorted(times):
        raise Refused("cache_control: a ttl='1h' block must not come after a ttl='5m' block")


def _format(body: Json) -> None:
    config: Json = body.get("output_config", {})
    if set(config) - {"effort", "format"}:
        raise Refused("output_config: Extra inputs are not permitted")
    wanted = config.get("format")
    if wanted is None:
        return
    if set(wanted) != {"type", "schema"} or wanted["type"] != "json_schema":
        raise Refused("output_config.format: Input should be a json_schema with its schema")
    _bound(wanted["schema"], "output_config.format.schema")


def _bound(schema: Any, path: str) -> None:
    if not is_object(schema):
        return
    node: Json = schema
    if unknown := sorted(set(node) - BOUND):
        raise Refused(f"{path}: For this type, property '{unknown[0]}' is not supported")
    if node.get("type") == "object" and node.get("additionalProperties") is not False:
        raise Refused(f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    inner: list[Any] = [*node.get("properties", {}).values(), *node.get("anyOf", ()), node.get("items")]
    for one in [*inner, *node.get("$defs", {}).values()]:
        _bound(one, path)
