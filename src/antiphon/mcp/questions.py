"""What a server asks a user: checked, and as the port has it."""

from typing import Any, Final

import mcp_types as types

from antiphon.core.json_values import is_object
from antiphon.core.mcp import digest
from antiphon.core.wire import JsonObject
from antiphon.fetching.urls import Refused, read
from antiphon.mcp.limits import MAX_MESSAGE
from antiphon.mcp.tokens import Token, packed
from antiphon.mcp.wording import fits, plain
from antiphon.ports.mcp import Question

_SHOWN: Final = 64 * 1024


class Unfit(Exception):
    """A question that no user is asked; the message says why, to the server."""


def elicitation(params: Any) -> types.ElicitRequestParams:
    """Raises ValueError."""
    kind = types.ElicitRequestURLParams if is_object(params) and params.get("mode") == "url" else None
    return (kind or types.ElicitRequestFormParams).model_validate(params)


def digest_of(params: types.ElicitRequestParams) -> str:
    """The same for the same question, asked anew."""
    if isinstance(params, types.ElicitRequestURLParams):
        return digest("url", params.message, params.url)
    return digest("form", params.message, params.requested_schema)


def question(params: types.ElicitRequestParams, token: Token) -> Question:
    """Raises Unfit, and McpRefused where the token would be too large."""
    message = plain(params.message, MAX_MESSAGE)
    if isinstance(params, types.ElicitRequestURLParams):
        try:
            read(params.url)
        except Refused as refused:
            raise Unfit(f"the URL to visit {refused}") from None
        return Question(message, packed(token), "url", url=params.url)
    schema: JsonObject = dict(params.requested_schema)
    if not fits(schema, _SHOWN):
        raise Unfit("the form is too large or nested too deeply")
    return Question(message, packed(token), schema=schema)
