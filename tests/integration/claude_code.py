"""What Claude Code sends (2.1.197, November 2026), as far as a server can tell it from others. The texts are ours.

The main loop is as `claude -p` sent it to a server that wrote it down, the probes are as they are known of it.
"""

from typing import Any

Json = dict[str, Any]
BETAS = (
    "claude-code-20250219,interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,"
    "context-management-2025-06-27,prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07,"
    "effort-2025-11-24"
)
HEADERS = {
    "accept": "application/json",
    "content-type": "application/json",
    "user-agent": "claude-cli/2.1.197 (external, sdk-cli)",
    "x-claude-code-session-id": "feec3e55-7c21-45a6-8724-62b8ca1e3bd0",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "x-stainless-timeout": "600",
    "anthropic-beta": BETAS,
    "anthropic-dangerous-direct-browser-access": "true",
    "anthropic-version": "2023-06-01",
    "x-api-key": "sk-dummy",
    "x-app": "cli",
}
EPHEMERAL: Json = {"type": "ephemeral"}
USER_ID = (
    '{"device_id":"2947a9ff7e337fa2587614a562f301bfb3ebb8d2b537a10b185ac7051d518475",'
    '"account_uuid":"","session_id":"feec3e55-7c21-45a6-8724-62b8ca1e3bd0"}'
)


def text(said: str, *, cached: bool = False) -> Json:
    return {"type": "text", "text": said, **({"cache_control": EPHEMERAL} if cached else {})}


def _tool(name: str, **properties: Json) -> Json:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": list(properties)[:1],
        "additionalProperties": False,
    }
    return {"name": name, "description": f"{name} of the project. " * 20, "input_schema": schema}


_STRING: Json = {"type": "string", "description": "A text."}
_PLACE: Json = {"type": "integer", "minimum": 0, "exclusiveMinimum": -1, "maximum": 9007199254740991}
TOOLS: list[Json] = [
    _tool("Write", file_path=_STRING, content=_STRING),
    _tool("Read", file_path=_STRING, offset=_PLACE, limit=_PLACE, pages=_STRING),
    _tool("Bash", command=_STRING, timeout={"type": "number"}, run_in_background={"type": "boolean"}),
    _tool("Edit", file_path=_STRING, old_string=_STRING, replace_all={"type": "boolean", "default": False}),
    _tool(
        "TaskUpdate",
        taskId=_STRING,
        status={
            "anyOf": [{"type": "string", "enum": ["pending", "done"]}, {"type": "string", "const": "deleted"}]
        },
        metadata={"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {}},
    ),
    _tool(
        "AskUserQuestion",
        questions={"type": "array", "minItems": 1, "maxItems": 4, "items": {"type": "object"}},
    ),
    *(
        _tool(f"mcp__server__tool_{at}", query=_STRING, pattern={"type": "string", "format": "uri"})
        for at in range(18)
    ),
]
SYSTEM: list[Json] = [
    text("x-anthropic-billing-header: cc_version=2.1.197.1c0; cc_entrypoint=sdk-cli;"),
    text("You are an agent that helps with software.", cached=True),
    text("\nThe rules of the house are long. " * 200, cached=True),
]
ASKED: Json = {
    "role": "user",
    "content": [
        text("<system-reminder>\nToday is a day.\n</system-reminder>\n"),
        text("write it", cached=True),
    ],
}
LATE: Json = {"role": "system", "content": "Available agent types for the Agent tool:\n- claude: Catch-all."}


def turn(model: str, *messages: Json, **more: Any) -> Json:
    """A request of the main loop."""
    return {
        "model": model,
        "messages": list(messages),
        "system": SYSTEM,
        "tools": TOOLS,
        "metadata": {"user_id": USER_ID},
        "max_tokens": 32000,
        "thinking": {"type": "adaptive"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "stream": True,
        **more,
    }


def quota(model: str) -> Json:
    """The probe whether there is anything left to spend."""
    return {
        "model": model,
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "quota"}],
        "metadata": {"user_id": USER_ID},
    }


def title(model: str) -> Json:
    """A small question beside the main loop: no thinking, an answer of a given form."""
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
        "additionalProperties": False,
    }
    return {
        "model": model,
        "messages": [{"role": "user", "content": [text("write it")]}],
        "system": [SYSTEM[0], text("Name the conversation.")],
        "tools": [],
        "metadata": {"user_id": USER_ID},
        "max_tokens": 32000,
        "thinking": {"type": "disabled"},
        "temperature": 1,
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "stream": True,
    }


def counting(model: str) -> Json:
    """How much of the context the tools take."""
    return {"model": model, "messages": [{"role": "user", "content": "foo"}], "tools": TOOLS}
