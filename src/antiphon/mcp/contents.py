"""What servers send, checked and bounded, as the port has it."""

import base64
import binascii
import logging
from collections.abc import Iterable, Iterator
from typing import Final

import mcp_types as types

from antiphon.core.hosted_items import McpListedTool
from antiphon.core.json_values import is_object
from antiphon.core.mcp import Sampling
from antiphon.core.wire import UNSET, JsonObject
from antiphon.mcp.failures import NO_ANSWER, about
from antiphon.mcp.limits import MAX_DESCRIPTION, MAX_NAME
from antiphon.mcp.wording import fits, is_plain, is_too_deep, line, plain
from antiphon.ports.mcp import (
    BinaryContent,
    CallResult,
    Content,
    LinkContent,
    McpProtocolFailure,
    McpRefused,
    TextContent,
)

_log: Final = logging.getLogger("antiphon.mcp")


def call_result(result: types.CallToolResult, label: str) -> CallResult:
    """Raises McpFailure for what cannot be read."""
    structured = result.structured_content
    if is_too_deep(structured):
        raise McpRefused(about(label, "returned a structured result that is nested too deeply"))
    if structured is not None and not is_object(structured):
        structured = {"result": structured}
    content = [_content(block, label) for block in result.content]
    return CallResult(content, structured, result.is_error)


def _content(block: types.ContentBlock, label: str) -> Content:
    match block:
        case types.TextContent():
            return TextContent(block.text)
        case types.ImageContent():
            return BinaryContent("image", block.mime_type, _decoded(block.data, label))
        case types.AudioContent():
            return BinaryContent("audio", block.mime_type, _decoded(block.data, label))
        case types.ResourceLink():
            return LinkContent(block.uri, block.name, block.description or "", block.mime_type or "")
        case types.EmbeddedResource():
            return _resource(block.resource, label)


def _resource(resource: types.TextResourceContents | types.BlobResourceContents, label: str) -> Content:
    if isinstance(resource, types.TextResourceContents):
        return TextContent(resource.text, resource.uri)
    media_type = resource.mime_type or "application/octet-stream"
    return BinaryContent("resource", media_type, _decoded(resource.blob, label), resource.uri)


def _decoded(text: str, label: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise McpProtocolFailure(
            about(label, "returned bytes that are not valid base64"), NO_ANSWER
        ) from None


def listed(tools: Iterable[types.Tool], seen: set[str], label: str) -> Iterator[McpListedTool]:
    """Those that can be offered to a model; of a name the first one. What is left out is said in the log."""
    for tool in tools:
        problem = _problem(tool, seen)
        if problem:
            _log.warning("%s: the tool %r is left out: %s", label, line(tool.name, MAX_NAME), problem)
            continue
        seen.add(tool.name)
        description = plain(tool.description, MAX_DESCRIPTION) if tool.description is not None else UNSET
        annotations = _annotations(tool)
        yield McpListedTool(
            name=tool.name,
            input_schema=tool.input_schema,
            description=description,
            annotations=UNSET if annotations is None else annotations,
        )


def _problem(tool: types.Tool, seen: set[str]) -> str:
    if tool.name in seen:
        return "another one has its name"
    if not tool.name or len(tool.name) > MAX_NAME or not is_plain(tool.name):
        return "its name is empty, too long or holds control characters"
    if not fits(tool.input_schema):
        return "its schema is too large or nested too deeply"
    return ""


def _annotations(tool: types.Tool) -> JsonObject | None:
    given: JsonObject = {}
    if tool.annotations is not None:
        given = tool.annotations.model_dump(by_alias=True, exclude_none=True, mode="json")
    if tool.title is not None:
        given.setdefault("title", tool.title)
    if isinstance(title := given.get("title"), str):
        given["title"] = line(title, MAX_NAME)
    return given or None


def sampling(params: types.CreateMessageRequestParams) -> Sampling | types.ErrorData:
    """What a server wants a model to be asked; an error for what is not text."""
    messages: list[tuple[str, str]] = []
    for message in params.messages:
        texts = [part.text for part in message.content_as_list if isinstance(part, types.TextContent)]
        if len(texts) != len(message.content_as_list):
            return types.ErrorData(code=types.INVALID_PARAMS, message="Only text can be sampled from here")
        messages.append((message.role, "\n".join(texts)))
    if params.tools:
        return types.ErrorData(code=types.INVALID_PARAMS, message="Tools cannot be sampled with here")
    preferences = params.model_preferences
    hints = [hint.name for hint in (preferences.hints or ()) if hint.name] if preferences else []
    return Sampling(
        messages,
        params.max_tokens,
        params.system_prompt,
        params.temperature,
        tuple(params.stop_sequences or ()),
        tuple(hints),
    )
