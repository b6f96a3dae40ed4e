"""Questions of servers to users (elicitation): what is put to them, and the seal on what the call needs to go on.

The client carries the sealed part, and brings it back with the answer: so a call goes on in another process, and with
`store: false`.
"""

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from antiphon.core.elicitation import fault_of_content, fault_of_form
from antiphon.core.hosted_items import McpCall, McpElicitationRequest
from antiphon.core.mcp import ElicitationAnswer, address_digest
from antiphon.core.tools import McpTool
from antiphon.core.wire import JsonObject
from antiphon.mcp_tools.texts import Scrubber
from antiphon.ports import Clock, Owner, SealBroken, Sealer
from antiphon.ports.mcp import Question, Reply

PURPOSE: Final = "mcp_elicitation"
MAX_MESSAGE: Final = 8192
MAX_URL: Final = 8192
MAX_SEALED: Final = 1024 * 1024
"""As `McpElicitationRequest.encrypted_content`."""


class _Inside(msgspec.Struct, frozen=True, array_like=True):
    """What is sealed: whose question it is, of which call of which server, and what the client needs to go on."""

    subject: str
    address: str
    name: str
    arguments: str
    token: bytes


class CannotAsk(Exception):
    """A question that is not put to anybody; the message says why, behind "its question was not put to the user: "."""


class CannotGoOn(Exception):
    """An answer whose call cannot be gone on with; the message says why."""


@dataclass(frozen=True, slots=True)
class Questions:
    """`ttl_s`: how long a user may take."""

    sealer: Sealer
    clock: Clock
    ttl_s: int

    def asked(
        self, owner: Owner, tool: McpTool, call: McpCall, question: Question, scrub: Scrubber
    ) -> McpElicitationRequest:
        """What is shown to the user. Raises CannotAsk, SealingUnavailable."""
        schema = _form(question, scrub) if question.mode == "form" else None
        url = _url(question, scrub) if question.mode == "url" else None
        inside = _Inside(owner.subject, address_digest(tool), call.name, call.arguments, question.token)
        sealed = self.sealer.seal(owner.tenant, PURPOSE, msgspec.msgpack.encode(inside))
        if len(sealed) > MAX_SEALED:
            raise CannotAsk("what is needed to go on with the call is larger than a client can carry")
        message = scrub.text(question.message)
        return McpElicitationRequest(
            id="",
            server_label=call.server_label,
            name=call.name,
            arguments=call.arguments,
            message=message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}…",
            expires_at=self.clock.now() + self.ttl_s,
            mode=question.mode,
            requested_schema=msgspec.UNSET if schema is None else schema,
            url=msgspec.UNSET if url is None else url,
            encrypted_content=sealed,
            status="completed",
        )

    def reply(self, owner: Owner, tool: McpTool, call: McpCall, answer: ElicitationAnswer) -> Reply:
        """What the call goes on with. Raises CannotGoOn, SealingUnavailable."""
        try:
            payload = self.sealer.open(owner.tenant, PURPOSE, answer.asked.encrypted_content)
            inside = msgspec.msgpack.decode(payload, type=_Inside)
        except SealBroken as broken:
            raise CannotGoOn(f"the question's encrypted_content {broken}") from None
        except msgspec.DecodeError:
            raise CannotGoOn(
                "the question's encrypted_content is of another version of this server"
            ) from None
        here = (owner.subject, address_digest(tool), call.name, call.arguments)
        if (inside.subject, inside.address, inside.name, inside.arguments) != here:
            raise CannotGoOn("the question belongs to another user, server or call")
        return Reply(inside.token, answer.action, _content(answer))


def _content(answer: ElicitationAnswer) -> JsonObject | None:
    """Looked at again: whoever made this command may not have."""
    if answer.action != "accept" or answer.asked.mode != "form":
        return None
    content = answer.content or {}
    fault = fault_of_content(answer.asked.requested_schema or {}, content)
    if fault is not None:
        raise CannotGoOn(f"content{fault[0]}: {fault[1]}")
    return content


def _form(question: Question, scrub: Scrubber) -> JsonObject:
    schema: Any = question.schema if question.schema is not None else {"type": "object", "properties": {}}
    fault = fault_of_form(schema)
    if fault is not None:
        raise CannotAsk(fault)
    cleaned: JsonObject = scrub.value(schema)
    return cleaned


def _url(question: Question, scrub: Scrubber) -> str:
    """A page that a browser may be sent to. Whose it is, the user is shown and has to judge."""
    url = question.url
    try:
        parts = urlsplit(url)
    except ValueError:
        raise CannotAsk("the page that it names is not a URL") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise CannotAsk("the page that it names is no http or https URL without a user name")
    if len(url) > MAX_URL or any(one <= " " or one == "\\" for one in url) or scrub.text(url) != url:
        raise CannotAsk("the page that it names is too long a URL, or has characters or secrets in it")
    return url
