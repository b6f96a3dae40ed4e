"""The bodies of `/v1/toolgroups`, `/v1/tools` and `/v1/tool-runtime`.

Source: the types of llama-stack-client 0.2 and 0.3. A tool is what both of them read: `identifier` and `parameters` of
the one, `name` and `input_schema` of the other.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from antiphon.core.mcp_rules import MAX_URL
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

MAX_ID = 256
GroupId = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
ProviderId = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]


class McpEndpoint(Wire):
    uri: Annotated[str, Meta(min_length=1, max_length=MAX_URL)]

    def __repr__(self) -> str:
        return "McpEndpoint()"  # there may be a token in the URL


class RegisterToolGroup(Wire):
    """`mcp_endpoint` becomes a connector; of a connector that is there, it is left out. `args` win over the model's."""

    toolgroup_id: GroupId
    provider_id: ProviderId
    mcp_endpoint: McpEndpoint | UnsetType | None = UNSET
    args: JsonObject | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return f"RegisterToolGroup({self.toolgroup_id!r})"


class ToolGroupObject(Wire):
    """`provider_resource_id` is the connector behind it, or its own id. `mcp_endpoint` has `***` for each value of the
    URL's query; it is null where there is none that callers are shown.
    """

    identifier: str
    provider_id: str
    provider_resource_id: str
    args: JsonObject | None
    mcp_endpoint: McpEndpoint | None
    type: Literal["tool_group"] = "tool_group"


class ToolGroupList(Wire):
    data: list[ToolGroupObject]


class ToolParameter(Wire):
    """A property of `input_schema`. `items` is there for an array that says what it holds."""

    name: str
    parameter_type: str
    description: str
    required: bool
    default: Any
    items: JsonObject | UnsetType = UNSET


class GroupTool(Wire):
    """`provider_id` and `toolgroup_id` are null for a server that the request named by its URL: it is no group."""

    identifier: str
    name: str
    description: str
    parameters: list[ToolParameter]
    input_schema: JsonObject
    output_schema: JsonObject | None
    provider_id: str | None
    provider_resource_id: str
    toolgroup_id: str | None
    metadata: JsonObject | None
    type: Literal["tool"] = "tool"


class LeftOut(Wire):
    """A group whose tools could not be had, and why."""

    toolgroup_id: str
    message: str


class ToolList(Wire):
    data: list[GroupTool]
    left_out: list[LeftOut] | UnsetType = UNSET


class InvokeTool(Wire):
    """`tool_name` may be `group/tool`."""

    tool_name: Annotated[str, Meta(min_length=1, max_length=2 * MAX_ID)]
    kwargs: JsonObject


class ResultText(Wire, tag="text"):
    text: str


class ResultData(Wire):
    """Bytes in base64."""

    data: str


class ResultImage(Wire, tag="image"):
    image: ResultData


class ToolInvocationResult(Wire):
    """Of a tool that failed, `content` says so too, for a model. `error_code` is JSON-RPC's, an HTTP status, or 1 where
    the tool says itself that it failed.
    """

    content: str | list[ResultText | ResultImage] | None
    error_message: str | None = None
    error_code: int | None = None
    metadata: JsonObject | None = None


TYPES: dict[str, Any] = {
    "InvokeTool": InvokeTool,
    "RegisterToolGroup": RegisterToolGroup,
    "ToolGroup": ToolGroupObject,
    "ToolGroupList": ToolGroupList,
    "ToolInvocationResult": ToolInvocationResult,
    "GroupTool": GroupTool,
    "ToolList": ToolList,
}
"""The names that the routes use for the types of their bodies, for `/openapi.json`."""
