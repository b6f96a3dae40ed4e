"""What of the Messages API is refused by name, and what is accepted without an effect: tables for code and docs.

A value that asks for nothing (null, false, an empty list or object) is never refused.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from antiphon.core.errors import UnsupportedParameter
from antiphon.core.json_values import is_array, is_object
from antiphon.messages.client_tools import is_described
from antiphon.messages.errors import NO_THREADS


class Refused(NamedTuple):
    """`why` and `instead` are sentences without their full stop."""

    why: str
    instead: str
    code: str = UnsupportedParameter.code or ""

    def error(self, name: str, path: str) -> UnsupportedParameter:
        error = UnsupportedParameter(
            f"`{path}`: {name} is not supported here: {self.why}. {self.instead}.", param=path
        )
        error.code = self.code
        return error


_HOSTED = Refused(
    "this server runs no tools of Anthropic's", "Offer a tool with an `input_schema`, and run it"
)
_AWAY = Refused("there are no containers", "Send the file as a document, by its id or as base64")
_CONTENT = Refused(
    "it comes from a tool that is not run here", "Leave the block out, or send its content as text"
)

FIELDS: Final[Mapping[str, Refused]] = MappingProxyType(
    {
        "container": Refused("there are no containers", "Leave it out"),
        "mcp_servers": Refused("MCP servers are not called for this API", "Call them from your client"),
        "diagnostics": Refused("nothing is remembered of earlier requests", "Leave it out"),
        "inference_geo": Refused(
            "where a model runs is the operator's choice", "Choose a model that runs there"
        ),
        "user_profile_id": Refused("there are no such profiles", "Send metadata.user_id"),
        "compaction": Refused("there is no compaction for this API", "Shorten `messages` in your client"),
        "fallbacks": Refused("the operator says who stands in for a model", "Name a routed model"),
        "fallback_credit_token": Refused("there are no such credits", "Leave it out"),
        "billing_policy": Refused("nothing is billed here", "Leave it out"),
        "thread": Refused(
            "nothing is kept between requests of this API", "Send the whole conversation", NO_THREADS
        ),
    }
)

BLOCKS: Final[Mapping[str, Refused]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "server_tool_use",
                "web_search_tool_result",
                "web_fetch_tool_result",
                "code_execution_tool_result",
                "bash_code_execution_tool_result",
                "text_editor_code_execution_tool_result",
                "tool_search_tool_result",
                "mcp_tool_use",
                "mcp_tool_result",
                "tool_reference",
                "browser_state",
                "compaction",
            ),
            _CONTENT,
        ),
        "container_upload": _AWAY,
    }
)

EDITS: Final = Refused(
    "only `clear_thinking_20251015` is done here", "Leave the edit out, or clear results in your client"
)

INERT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "betas": "what they switch on is either there for everybody or refused by its own name",
        "cache_control on tools, system and blocks of the assistant": (
            "prompts are cached by the model's server as far as they are the same as before; at Anthropic's own the"
            " ends of both are marked"
        ),
        "cache_control.ttl, cache_control.scope": "how long and for whom is the model's server's to say",
        "tools.eager_input_streaming": "the input of a call is always streamed as it comes",
        "image.transformations": "images go to the model's server as they are",
        "text.citations, document.citations.enabled: false": "sources are not cited",
        "tool_use.caller, toolset_name": "every call is the model's own",
    }
)
"""Accepted, and why nothing comes of it."""


def refuse_json(body: dict[str, Any]) -> None:
    """Raises UnsupportedParameter for what stands in the tables, in a body that is still plain JSON, of any shape."""
    for name, row in FIELDS.items():
        if body.get(name):
            raise row.error(f"`{name}`", name)
    for at, tool in enumerate(_objects(body.get("tools"))):
        refuse_tool(tool.get("type"), f"tools.{at}.type")
    for at, message in enumerate(_objects(body.get("messages"))):
        _refuse_blocks(message.get("content"), f"messages.{at}.content")
    management: Any = body.get("context_management")
    if is_object(management):
        for at, edit in enumerate(_objects(management.get("edits"))):
            kind = edit.get("type")
            if isinstance(kind, str) and not kind.startswith("clear_thinking_"):
                path = f"context_management.edits.{at}.type"
                raise EDITS.error(f'the edit "{kind[:64]}"', path)


def refuse_tool(kind: object, path: str) -> None:
    """Raises UnsupportedParameter for a type of tool that is neither the client's own nor described here."""
    if isinstance(kind, str) and kind != "custom" and not is_described(kind):
        raise _HOSTED.error(f'the tool type "{kind[:64]}"', path)


def _refuse_blocks(content: Any, path: str) -> None:
    for at, block in enumerate(_objects(content)):
        kind, here = block.get("type"), f"{path}.{at}"
        if isinstance(kind, str) and kind in BLOCKS:
            raise BLOCKS[kind].error(f'a block of type "{kind}"', here)
        if kind == "tool_result":
            _refuse_blocks(block.get("content"), f"{here}.content")


def _objects(value: Any) -> list[dict[str, Any]]:
    """`value` as a list with its objects in their places; what is no object counts as an empty one."""
    if not is_array(value):
        return []
    return [one if is_object(one) else {} for one in value]
