"""`POST /v1/tool-runtime/invoke`: one call of a tool by itself. A tool that fails is an answer that says so."""

import base64
from dataclasses import dataclass

from antiphon.core.commands import CallTool
from antiphon.core.errors import AntiphonError
from antiphon.core.hosted_items import McpCall, McpToolExecutionError
from antiphon.core.items import FunctionCall
from antiphon.core.mcp import begun, said
from antiphon.core.wire import JsonObject, encode
from antiphon.mcp_tools.together import NoRun
from antiphon.ports import Owner, ToolRuntime
from antiphon.ports.mcp import BinaryContent
from antiphon.tool_groups.headers import ServerHeaders
from antiphon.tool_groups.listing import GroupTools, Located, server_tool
from antiphon.tool_groups.names import label_of
from antiphon.tool_groups.rag import KnowledgeSearch, with_args
from antiphon.tool_groups.runtime import FixedArguments, GroupRuntime
from antiphon.tool_groups.shapes import (
    InvokeTool,
    ResultData,
    ResultImage,
    ResultText,
    ToolInvocationResult,
)

FAILED = 1
"""The `error_code` of a tool that says itself that it failed."""


@dataclass(frozen=True, slots=True)
class Invoking:
    tools: GroupTools
    runtime: ToolRuntime
    search: KnowledgeSearch

    async def invoke(self, owner: Owner, body: InvokeTool, headers: ServerHeaders) -> ToolInvocationResult:
        """Raises NotFound and InvalidRequest where it is not known which tool is meant."""
        found = await self.tools.located(owner, body.tool_name, headers)
        if found.group.searches:
            return await self._searched(owner, with_args(body.kwargs, found.group.args))
        return await self._called(owner, found, body.kwargs, headers)

    async def _searched(self, owner: Owner, arguments: JsonObject) -> ToolInvocationResult:
        try:
            return await self.search.call(owner, arguments)
        except AntiphonError as error:
            return _failure(error.message, error.status)

    async def _called(
        self, owner: Owner, found: Located, arguments: JsonObject, headers: ServerHeaders
    ) -> ToolInvocationResult:
        group, label = found.group, label_of(found.group.id)
        tool = await server_tool(self.tools.registry, owner, group, headers, label)
        text = encode(arguments).decode()
        item = begun(label, found.name, text)
        call = CallTool(FunctionCall(call_id="", name=found.name, arguments=text), tool, item)
        host = NoRun()
        done = await GroupRuntime(self.runtime, {label: FixedArguments(group.args)}).run(owner, call, host)
        if not isinstance(done.item, McpCall):
            raise TypeError(f"a call of an MCP tool became {type(done.item).__name__}")
        return _result(done.item, host)


def _result(item: McpCall, host: NoRun) -> ToolInvocationResult:
    error = item.error
    if isinstance(error, McpToolExecutionError):
        return _failure(said(item).removeprefix("Error: "), FAILED)
    if error:
        return _failure(error.message, error.code)
    text = said(item)
    images = [
        ResultImage(image=ResultData(data=base64.b64encode(one.data).decode()))
        for one in (host.taken.content if host.taken is not None else ())
        if isinstance(one, BinaryContent) and one.kind == "image"
    ]
    return ToolInvocationResult(content=[ResultText(text=text), *images] if images else text)


def _failure(message: str, code: int) -> ToolInvocationResult:
    return ToolInvocationResult(content=f"Error: {message}", error_message=message, error_code=code)
