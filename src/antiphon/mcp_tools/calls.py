"""One call of a tool of a server: its place among the calls that run, its answer, and what that becomes."""

from dataclasses import dataclass, replace
from functools import cache
from typing import cast

import msgspec

from antiphon.core.commands import CallTool
from antiphon.core.errors import AntiphonError
from antiphon.core.hosted_items import McpCall, McpToolExecutionError
from antiphon.core.json_values import is_object
from antiphon.core.mcp import Sampled, Sampling
from antiphon.core.signals import ToolDone
from antiphon.core.tools import McpTool
from antiphon.core.wire import JsonObject, decode_json
from antiphon.mcp_tools.limits import FairLimit, NoPlace
from antiphon.mcp_tools.questions import CannotAsk, CannotGoOn, Questions
from antiphon.mcp_tools.results import Files, Keeping, cleaned, error_content, text_of
from antiphon.mcp_tools.targets import Target
from antiphon.mcp_tools.texts import Scrubber
from antiphon.ports import Owner
from antiphon.ports.mcp import CallHost, CallResult, McpClient, McpRefused, McpServer, Question, TakesResults


@dataclass(frozen=True, slots=True)
class Limits:
    """Of calls: how many run at once, how long one may take, and how much of its result a model reads."""

    server_calls: int = 32
    tenant_calls: int = 64
    call_timeout_s: float = 60.0
    max_output_chars: int = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it is to be made."""

    owner: Owner
    tool: McpTool
    item: McpCall
    call: CallTool
    host: CallHost


class Calls:
    """`tenants` and `servers` are the places of calls that run: of a tenant, shared out among its users, and of a
    server, shared out among tenants. Whoever waits for a server takes none of its places, but one of their tenant's:
    `shares` lets no more calls of a tenant that far than the server could run, so that one that hangs leaves the others
    their places.
    """

    def __init__(self, client: McpClient, questions: Questions, files: Files, limits: Limits) -> None:
        self._client = client
        self._questions = questions
        self._files = files
        self._limits = limits
        self.shares = FairLimit(limits.server_calls)
        self.tenants = FairLimit(limits.tenant_calls)
        self.servers = FairLimit(limits.server_calls)

    async def make(self, asked: Asked, target: Target) -> ToolDone:
        """The call's end, or its question to the user. Raises McpFailure, AntiphonError, CannotGoOn."""
        owner, server, patience_s = asked.owner, target.server, self._limits.call_timeout_s
        identity = _identity(server)
        try:
            async with (
                self.shares.place(f"{owner.tenant}\0{identity}", owner.subject, patience_s),
                self.tenants.place(owner.tenant, owner.subject, patience_s),
                self.servers.place(identity, owner.tenant, patience_s),
            ):
                answer = await self._called(asked, target)
        except NoPlace:
            why = f"MCP server `{server.label}` was not asked: too many calls run at once; try again later."
            raise McpRefused(why) from None
        if isinstance(answer, Question):
            return await self._question(asked, target, answer)
        return _done(asked, await self._result(asked, target, answer))

    async def _called(self, asked: Asked, target: Target) -> CallResult | Question:
        item, answer = asked.item, asked.call.answer
        reply = self._questions.reply(asked.owner, asked.tool, item, answer) if answer is not None else None
        return await self._client.call(
            target.server,
            item.name,
            _arguments(item.arguments),
            _ScrubbedHost(asked.host, target.scrub),
            timeout_s=self._limits.call_timeout_s,
            reply=reply,
        )

    async def _question(self, asked: Asked, target: Target, question: Question) -> ToolDone:
        """A question that cannot be put to the user fails the call, and the server is told that nobody answers."""
        item = asked.item
        try:
            ask = self._questions.asked(asked.owner, asked.tool, item, question, target.scrub)
        except (CannotAsk, AntiphonError) as error:
            await self._client.forget(question.token)
            why = f"MCP server `{item.server_label}` has a question for the user that was not put to them: {error}."
            raise McpRefused(why) from None
        waiting = msgspec.structs.replace(item, status="incomplete", output=None, error=None)
        return ToolDone(asked.call.call.call_id, "", waiting, (ask,))

    async def _result(self, asked: Asked, target: Target, result: CallResult) -> McpCall:
        if _takes_results(type(asked.host)):
            cast("TakesResults", asked.host).take(cleaned(result, target.scrub))
        keeping = Keeping(self._files, asked.owner, asked.item.name, asked.host.keeps)
        text = await text_of(result, target.scrub, keeping, self._limits.max_output_chars)
        if result.is_error:
            error = McpToolExecutionError(content=error_content(text))
            return msgspec.structs.replace(asked.item, status="failed", output=None, error=error)
        return msgspec.structs.replace(asked.item, status="completed", output=text, error=None)


@cache
def _takes_results(host: type[CallHost]) -> bool:
    """Once for each type: to look through a protocol takes longer than all else that is done with a short result."""
    return issubclass(host, TakesResults)


@dataclass(frozen=True, slots=True)
class _ScrubbedHost:
    """What a server says to a model goes through the same cleaning as what it says to users."""

    host: CallHost
    scrub: Scrubber

    @property
    def keeps(self) -> bool:
        return self.host.keeps

    async def sample(self, asked: Sampling) -> Sampled:
        text = self.scrub.text
        messages = [(role, text(said)) for role, said in asked.messages]
        prompt = None if asked.system_prompt is None else text(asked.system_prompt)
        return await self.host.sample(replace(asked, messages=messages, system_prompt=prompt))


def _arguments(text: str) -> JsonObject:
    """The core has looked at them. Raises CannotGoOn where they are no object all the same."""
    try:
        value = decode_json(text)
    except (msgspec.DecodeError, RecursionError):
        value = None
    if not is_object(value):
        raise CannotGoOn("its arguments are no JSON object")
    return value


def _done(asked: Asked, item: McpCall) -> ToolDone:
    return ToolDone(asked.call.call.call_id, "", item)


def _identity(server: McpServer) -> str:
    """One server, whoever asks it and as whom."""
    return server.url or "\0".join((server.folder, *server.command))
