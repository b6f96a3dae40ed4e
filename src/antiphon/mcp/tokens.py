"""What `Question.token` holds: enough to go on with a call in another process.

A call that waits in this process is found by `parked`. Elsewhere the tool is called again: servers with sessions get
their questions answered from `replies` as they ask them anew; those without get `state` and the `answers` back.
"""

import msgspec

from antiphon.core.hosted_items import ElicitationAction
from antiphon.core.wire import JsonObject, encode
from antiphon.mcp.limits import MAX_STATE_BYTES
from antiphon.ports.mcp import McpRefused, Reply


class Given(msgspec.Struct, omit_defaults=True):
    """A reply to the question of this digest."""

    digest: str
    action: ElicitationAction
    content: JsonObject | None = None


class Token(msgspec.Struct, omit_defaults=True):
    """`asked` is the digest of the question. `inputs` are what a server without sessions asks for, by its keys, in
    its order; `key` is the one that the question is of. `links` are still to be visited before the tool is called
    again.
    """

    parked: str = ""
    asked: str = ""
    replies: list[Given] = []
    state: str | None = None
    inputs: dict[str, JsonObject] = {}
    answers: dict[str, JsonObject] = {}
    key: str = ""
    links: list[JsonObject] = []


_DECODER = msgspec.json.Decoder(Token)


def packed(token: Token) -> bytes:
    """Raises McpRefused for more than is kept for a server."""
    text = encode(token)
    if len(text) > MAX_STATE_BYTES:
        raise McpRefused(
            "The MCP server asks for more to be kept until a question is answered than is allowed here."
        )
    return text


def unpacked(text: bytes) -> Token:
    """Raises McpRefused for what is none of ours."""
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise McpRefused("The question that is answered is not one that was asked here.") from None


def answered(reply: Reply) -> Token:
    """The token of a question with the reply in it."""
    token = unpacked(reply.token)
    content = reply.content if reply.action == "accept" else None
    if token.key:
        token.answers[token.key] = as_result(reply.action, content)
    else:
        token.replies.append(Given(token.asked, reply.action, content))
    return token


def as_result(action: ElicitationAction, content: JsonObject | None) -> JsonObject:
    """As MCP has it on the wire."""
    return {"action": action} if content is None else {"action": action, "content": content}
