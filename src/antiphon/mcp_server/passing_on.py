"""Results of other MCP servers for a client: texts, images, audio and resources as they came, within limits."""

import base64
from typing import assert_never

from antiphon.core.wire import JsonObject, encode
from antiphon.mcp_server.tools import ToolResult, text_block
from antiphon.ports.mcp import BinaryContent, CallResult, Content, LinkContent, TextContent


def passed_on(result: CallResult, max_chars: int) -> ToolResult:
    """At most `max_chars` characters of text, and a note where there was more; structured content only if it is no
    longer than that.
    """
    blocks: list[JsonObject] = []
    left, cut = max_chars, 0
    for one in result.content:
        if isinstance(one, TextContent) and len(one.text) > left:
            cut += len(one.text) - left
            one = TextContent(one.text[:left], one.uri)  # noqa: PLW2901 the rest of it is left out
        if isinstance(one, TextContent):
            left -= len(one.text)
        blocks.append(_block(one))
    if cut:
        blocks.append(
            text_block(f"[{cut} more characters were left out; {max_chars} are the limit of this server.]")
        )
    structured = result.structured
    if structured is not None and len(encode(structured)) > max_chars:
        structured = None
        blocks.append(text_block("[structured content was left out: it is too long.]"))
    return ToolResult(blocks, structured, result.is_error)


def _block(content: Content) -> JsonObject:
    match content:
        case TextContent(text=text, uri=""):
            return text_block(text)
        case TextContent(text=text, uri=uri):
            return {"type": "resource", "resource": {"uri": uri, "text": text}}
        case BinaryContent(kind="resource"):
            blob = base64.b64encode(content.data).decode()
            about = {"uri": content.uri, "mimeType": content.media_type, "blob": blob}
            return {"type": "resource", "resource": about}
        case BinaryContent():
            data = base64.b64encode(content.data).decode()
            return {"type": content.kind, "data": data, "mimeType": content.media_type}
        case LinkContent():
            return _link(content)
        case _:
            assert_never(content)


def _link(content: LinkContent) -> JsonObject:
    more = {"description": content.description, "mimeType": content.media_type}
    known = {key: value for key, value in more.items() if value}
    return {"type": "resource_link", "uri": content.uri, "name": content.name or content.uri, **known}
