"""`/v1/toolgroups`, `/v1/tools` and `/v1/tool-runtime`, as Llama Stack's clients ask for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from antiphon.core.errors import InvalidRequest
from antiphon.core.json_values import is_object
from antiphon.core.parse import load
from antiphon.core.wire import decode_json
from antiphon.tool_groups.headers import server_headers
from antiphon.tool_groups.invoking import Invoking
from antiphon.tool_groups.listing import GroupTools
from antiphon.tool_groups.service import GroupService
from antiphon.tool_groups.shapes import InvokeTool, RegisterToolGroup, ToolGroupList
from antiphon.web.http import JsonReply, Reply, Request, json_reply
from antiphon.web.paging import refuse_unknown
from antiphon.web.routing import Query, Route

_TAG = "Llama Stack"
_GROUPS = "/v1/toolgroups"
_GROUP = _GROUPS + "/{toolgroup_id:path}"
_TOOLS = "/v1/tools"
_ENDPOINT = "mcp_endpoint"
_ENDPOINT_FORMS = (_ENDPOINT, f"{_ENDPOINT}[uri]", f"{_ENDPOINT}.uri")
"""As JSON or a plain URL, and as clients write an object."""
_NOTHING = b"null"
_TEXT = {"type": "string"}


@dataclass(frozen=True, slots=True)
class ToolGroupRoutes:
    service: GroupService
    tools: GroupTools
    invoking: Invoking

    async def list_groups(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(ToolGroupList(data=list(await self.service.list_all(request.owner))))

    async def get_group(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        return json_reply(await self.service.get(request.owner, request.params["toolgroup_id"]))

    async def register(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), RegisterToolGroup, items=False)
        await self.service.register(request.owner, body)
        return JsonReply(_NOTHING)

    async def unregister(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        await self.service.unregister(request.owner, request.params["toolgroup_id"])
        return JsonReply(_NOTHING)

    async def list_tools(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, "toolgroup_id")
        headers, name = server_headers(request.headers), _only(query, "toolgroup_id")
        if name is None:
            return json_reply(await self.tools.of_all(request.owner, headers))
        return json_reply(await self.tools.of_group(request.owner, name, headers, "toolgroup_id"))

    async def get_tool(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        headers = server_headers(request.headers)
        return json_reply(await self.tools.get(request.owner, request.params["tool_name"], headers))

    async def runtime_tools(self, request: Request) -> Reply:
        query = request.query()
        refuse_unknown(query, "tool_group_id", *_ENDPOINT_FORMS)
        headers, name, uri = server_headers(request.headers), _only(query, "tool_group_id"), _endpoint(query)
        if uri is None and name is None:
            return json_reply(await self.tools.of_all(request.owner, headers))
        if uri is None:
            return json_reply(await self.tools.of_group(request.owner, str(name), headers, "tool_group_id"))
        if name is not None:
            message = f"`{_ENDPOINT}`: there is a `tool_group_id` too; send the one that is meant."
            raise InvalidRequest(message, param=_ENDPOINT)
        return json_reply(await self.tools.at(request.owner, uri, headers, _ENDPOINT))

    async def invoke(self, request: Request) -> Reply:
        refuse_unknown(request.query())
        body = load(await request.json_body(), InvokeTool, items=False)
        headers = server_headers(request.headers)
        return json_reply(await self.invoking.invoke(request.owner, body, headers))

    def table(self) -> list[Route]:
        group, register = "ToolGroup", "RegisterToolGroup"
        return [
            Route("GET", _GROUPS, self.list_groups, "List tool groups", _TAG, response="ToolGroupList"),
            Route("POST", _GROUPS, self.register, "Register a tool group", _TAG, register),
            Route("GET", _GROUP, self.get_group, "Get a tool group", _TAG, response=group),
            Route("DELETE", _GROUP, self.unregister, "Unregister a tool group", _TAG),
            *self._tools(),
        ]

    def _tools(self) -> list[Route]:
        one, runtime = Query("toolgroup_id", _TEXT, "A group, or `group/tool`."), "/v1/tool-runtime"
        of_runtime = (
            Query("tool_group_id", _TEXT, "A group, or `group/tool`."),
            Query(
                _ENDPOINT, _TEXT, "The URL of an MCP server, in place of a group; `mcp_endpoint[uri]` too."
            ),
        )
        return [
            Route(
                "GET",
                _TOOLS,
                self.list_tools,
                "List the tools of groups",
                _TAG,
                response="ToolList",
                query=(one,),
            ),
            Route(
                "GET",
                _TOOLS + "/{tool_name:path}",
                self.get_tool,
                "Get a tool of a group",
                _TAG,
                response="GroupTool",
            ),
            Route(
                "GET",
                f"{runtime}/list-tools",
                self.runtime_tools,
                "List the tools of groups, or of an MCP server",
                _TAG,
                response="ToolList",
                query=of_runtime,
            ),
            Route(
                "POST",
                f"{runtime}/invoke",
                self.invoke,
                "Run a tool of a group",
                _TAG,
                "InvokeTool",
                "ToolInvocationResult",
            ),
        ]


def _only(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    """The value of a parameter that is sent once. Raises InvalidRequest."""
    values = query.get(name, ())
    if len(values) > 1:
        raise InvalidRequest(f"`{name}`: is there {len(values)} times; send it once.", param=name)
    return values[0] if values else None


def _endpoint(query: Mapping[str, Sequence[str]]) -> str | None:
    """The URL of a server, in each form that clients send: `mcp_endpoint[uri]=URL`, `mcp_endpoint={"uri": URL}`, and
    as it is. Raises InvalidRequest.
    """
    given = {name: value for name in _ENDPOINT_FORMS if (value := _only(query, name)) is not None}
    if not given:
        return None
    if len(given) > 1:
        raise InvalidRequest(f"`{_ENDPOINT}`: is there in two forms; send one of them.", param=_ENDPOINT)
    text = next(iter(given.values()))
    if not text.lstrip().startswith("{"):
        return _checked_uri(text)
    try:
        value = decode_json(text)
    except (msgspec.DecodeError, RecursionError):
        value = None
    uri = value.get("uri") if is_object(value) and len(value) == 1 else None
    return _checked_uri(uri)


def _checked_uri(uri: object) -> str:
    if not isinstance(uri, str) or not uri.strip():
        raise InvalidRequest(f'`{_ENDPOINT}`: expected a URL, or {{"uri": URL}}.', param=_ENDPOINT)
    return uri
