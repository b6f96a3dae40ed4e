"""Tool specifications of a request, and `tool_choice`, as far as they run today; the rest: `hosted_tools`."""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire

ToolName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[a-zA-Z0-9_-]+\Z")]
MAX_GRAMMAR = 1024 * 1024
AllowedCallers = list[Literal["direct", "programmatic"]] | UnsetType | None


class FunctionTool(Wire, tag="function"):
    """A function that the client runs. `parameters` is a JSON Schema; null or absent means no arguments."""

    name: ToolName
    parameters: JsonObject | None = None
    strict: bool | None = None
    description: str | UnsetType | None = UNSET
    output_schema: JsonObject | UnsetType | None = UNSET
    defer_loading: bool | UnsetType = UNSET
    allowed_callers: AllowedCallers = UNSET


class TextFormat(Wire, tag="text"):
    pass


class GrammarFormat(Wire, tag="grammar"):
    """`lark` in the dialect of LLGuidance, `regex` in that of Rust; the whole input must match."""

    syntax: Literal["lark", "regex"]
    definition: Annotated[str, Meta(max_length=MAX_GRAMMAR)]


class CustomTool(Wire, tag="custom"):
    """A tool that takes free text, which a grammar may bind; the client runs it."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | UnsetType = UNSET
    format: TextFormat | GrammarFormat | UnsetType = UNSET
    defer_loading: bool | UnsetType = UNSET
    allowed_callers: AllowedCallers = UNSET


# --- tools that the client runs, besides functions -----------------------------------------------------------
class ComputerTool(Wire, tag="computer"):
    pass


class ComputerUseTool(Wire, tag="computer_use"):
    """`ComputerTool` as AG2 spells it, with or without the measures of the preview tool."""

    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"] | UnsetType = UNSET
    display_width: int | UnsetType = UNSET
    display_height: int | UnsetType = UNSET


class ComputerUsePreviewTool(Wire, tag="computer_use_preview"):
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]
    display_width: int
    display_height: int


class NetworkDisabled(Wire, tag="disabled"):
    pass


class DomainSecret(Wire):
    domain: str
    name: str
    value: str


class NetworkAllowlist(Wire, tag="allowlist"):
    allowed_domains: list[str]
    domain_secrets: list[DomainSecret] | UnsetType = UNSET


NetworkPolicy = NetworkDisabled | NetworkAllowlist | UnsetType
MemoryLimit = Literal["1g", "4g", "16g", "64g"] | UnsetType | None
ContainerFiles = Annotated[list[str], Meta(max_length=50)] | UnsetType


class LocalShellTool(Wire, tag="local_shell"):
    pass


class SkillReference(Wire, tag="skill_reference"):
    skill_id: str
    version: str | UnsetType = UNSET


class SkillArchive(Wire, tag="base64"):
    media_type: Literal["application/zip"]
    data: str


class InlineSkill(Wire, tag="inline"):
    name: str
    description: str
    source: SkillArchive


class ShellContainer(Wire, tag="container_auto"):
    file_ids: ContainerFiles = UNSET
    memory_limit: MemoryLimit = UNSET
    network_policy: NetworkPolicy = UNSET
    skills: Annotated[list[SkillReference | InlineSkill], Meta(max_length=200)] | UnsetType = UNSET


class SkillAt(Wire):
    name: str
    description: str
    path: str


class LocalEnvironment(Wire, tag="local"):
    skills: Annotated[list[SkillAt], Meta(max_length=200)] | UnsetType = UNSET


class ContainerReference(Wire, tag="container_reference"):
    container_id: str


class ShellTool(Wire, tag="shell"):
    environment: ShellContainer | LocalEnvironment | ContainerReference | UnsetType | None = UNSET
    allowed_callers: AllowedCallers = UNSET


class NamespaceFunction(Wire, tag="function"):
    """`FunctionToolParam`: unlike `FunctionTool` it renders nothing that was left out."""

    name: ToolName
    parameters: JsonObject | UnsetType | None = UNSET
    strict: bool | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    output_schema: JsonObject | UnsetType | None = UNSET
    defer_loading: bool | UnsetType = UNSET
    allowed_callers: AllowedCallers = UNSET


class NamespaceTool(Wire, tag="namespace"):
    name: Annotated[str, Meta(min_length=1)]
    description: str
    tools: Annotated[list[NamespaceFunction | CustomTool], Meta(min_length=1)]


class ToolSearchTool(Wire, tag="tool_search"):
    execution: Literal["server", "client"] | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    parameters: JsonObject | UnsetType | None = UNSET


class ApplyPatchTool(Wire, tag="apply_patch"):
    allowed_callers: AllowedCallers = UNSET


# --- tools that the server runs ------------------------------------------------------------------------------
class Filter(Wire):
    """A comparison (`key`, `value`) or, with `and` and `or`, a group of filters."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "and", "or"]
    key: str | UnsetType = UNSET
    value: str | float | bool | list[str | float] | UnsetType = UNSET
    filters: list["Filter"] | UnsetType = UNSET


class HybridSearch(Wire):
    embedding_weight: float
    text_weight: float


class RankingOptions(Wire):
    """`score_threshold` is 0 to 1."""

    ranker: Literal["auto", "default-2024-11-15"] | UnsetType = UNSET
    score_threshold: float | UnsetType = UNSET
    hybrid_search: HybridSearch | UnsetType = UNSET


class FileSearchTool(Wire, tag="file_search"):
    vector_store_ids: list[str]
    max_num_results: int | UnsetType = UNSET
    ranking_options: RankingOptions | UnsetType = UNSET
    filters: Filter | UnsetType | None = UNSET


class KnowledgeSearchTool(FileSearchTool, tag="file_search"):
    """The file search of Llama Stack's agents: their models know it as `knowledge_search`. No request has one."""


class McpFilter(Wire):
    """Tools of a server by name, or those whose `readOnlyHint` is this; with both, tools that match both."""

    tool_names: list[str] | UnsetType = UNSET
    read_only: bool | UnsetType = UNSET


class McpApprovalRules(Wire):
    """`never` wins for the tools it names; a tool in neither needs approval. Llama Stack writes the names alone."""

    always: McpFilter | list[str] | UnsetType | None = UNSET
    never: McpFilter | list[str] | UnsetType | None = UNSET


class McpTool(Wire, tag="mcp"):
    """The tools of an MCP server. One of `server_url` and `connector_id`; `tunnel_id` is OpenAI's own and refused.

    `authorization` (a bearer token) and `headers` are secrets: used for this request, never stored or shown.
    """

    server_label: str
    server_url: str | UnsetType | None = UNSET
    connector_id: str | UnsetType | None = UNSET
    tunnel_id: str | UnsetType | None = UNSET
    authorization: str | UnsetType | None = UNSET
    server_description: str | UnsetType | None = UNSET
    headers: dict[str, str] | UnsetType | None = UNSET
    allowed_tools: list[str] | McpFilter | UnsetType | None = UNSET
    allowed_callers: AllowedCallers = UNSET
    require_approval: McpApprovalRules | Literal["always", "never"] | UnsetType | None = UNSET
    defer_loading: bool | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"McpTool({self.server_label!r})"  # what else there is may be a secret


# --- tool_choice ---------------------------------------------------------------------------------------------
class ChooseFunction(Wire, tag="function"):
    name: str


class ChooseCustom(Wire, tag="custom"):
    name: str


class ChooseAllowed(Wire, tag="allowed_tools"):
    """Only these tools may be called; the model is shown all. An entry is `{type, name}` or like it."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[JsonObject], Meta(max_length=512)]


class ChooseComputer(Wire, tag="computer"):
    pass


class ChooseComputerUse(Wire, tag="computer_use"):
    pass


class ChooseComputerUsePreview(Wire, tag="computer_use_preview"):
    pass


class ChooseApplyPatch(Wire, tag="apply_patch"):
    pass


class ChooseShell(Wire, tag="shell"):
    pass


class ChooseFileSearch(Wire, tag="file_search"):
    pass


class ChooseMcp(Wire, tag="mcp"):
    """Any tool of a server, or the one of this name. The Agents SDK and the AI SDK name no server: any of them."""

    server_label: str | UnsetType = UNSET
    name: str | UnsetType | None = UNSET


ModelTool = FunctionTool | CustomTool
"""What a model is shown; every other tool is shown as one of these (`toolbox`)."""
Tool = (
    FunctionTool
    | CustomTool
    | ComputerTool
    | ComputerUseTool
    | ComputerUsePreviewTool
    | LocalShellTool
    | ShellTool
    | ApplyPatchTool
    | NamespaceTool
    | ToolSearchTool
    | FileSearchTool
    | McpTool
)
ToolChoiceMode = Literal["none", "auto", "required"]
ModelChoice = ToolChoiceMode | ChooseFunction | ChooseCustom | ChooseAllowed
ToolChoice = (
    ModelChoice
    | ChooseComputer
    | ChooseComputerUse
    | ChooseComputerUsePreview
    | ChooseApplyPatch
    | ChooseShell
    | ChooseFileSearch
    | ChooseMcp
)
