"""Tool types and tool choices of hosted tools, typed in full (`Tool`, `ToolChoiceParam`); others: `tools`."""

from typing import Annotated, Literal

from msgspec import Meta

from antiphon.core.tools import (
    AllowedCallers,
    ApplyPatchTool,
    ChooseAllowed,
    ChooseApplyPatch,
    ChooseComputer,
    ChooseComputerUse,
    ChooseComputerUsePreview,
    ChooseCustom,
    ChooseFileSearch,
    ChooseFunction,
    ChooseMcp,
    ChooseShell,
    ComputerTool,
    ComputerUsePreviewTool,
    ComputerUseTool,
    ContainerFiles,
    CustomTool,
    FileSearchTool,
    FunctionTool,
    LocalShellTool,
    McpTool,
    MemoryLimit,
    NamespaceTool,
    NetworkPolicy,
    ShellTool,
    ToolChoiceMode,
    ToolSearchTool,
)
from antiphon.core.wire import UNSET, UnsetType, Wire

ContextSize = Literal["low", "medium", "high"]


class Location(Wire):
    type: Literal["approximate"] | UnsetType = UNSET
    country: str | UnsetType | None = UNSET
    region: str | UnsetType | None = UNSET
    city: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET


class DomainFilter(Wire):
    allowed_domains: list[str] | UnsetType | None = UNSET


class WebSearchTool(Wire, tag="web_search"):
    external_web_access: bool | UnsetType = UNSET
    filters: DomainFilter | UnsetType | None = UNSET
    user_location: Location | UnsetType | None = UNSET
    search_context_size: ContextSize | UnsetType = UNSET


class WebSearchToolDated(WebSearchTool, tag="web_search_2025_08_26"):
    pass


class WebSearchPreviewTool(Wire, tag="web_search_preview"):
    user_location: Location | UnsetType | None = UNSET
    search_context_size: ContextSize | UnsetType = UNSET
    search_content_types: list[Literal["text", "image"]] | UnsetType = UNSET


class WebSearchPreviewToolDated(WebSearchPreviewTool, tag="web_search_preview_2025_03_11"):
    pass


class CodeContainer(Wire, tag="auto"):
    file_ids: ContainerFiles = UNSET
    memory_limit: MemoryLimit = UNSET
    network_policy: NetworkPolicy = UNSET


class CodeInterpreterTool(Wire, tag="code_interpreter"):
    container: str | CodeContainer
    allowed_callers: AllowedCallers = UNSET


class ProgrammaticToolCalling(Wire, tag="programmatic_tool_calling"):
    pass


class ImageMask(Wire):
    image_url: str | UnsetType = UNSET
    file_id: str | UnsetType = UNSET


class ImageGenerationTool(Wire, tag="image_generation"):
    model: str | UnsetType = UNSET
    quality: Literal["low", "medium", "high", "auto"] | UnsetType = UNSET
    size: str | UnsetType = UNSET
    output_format: Literal["png", "webp", "jpeg"] | UnsetType = UNSET
    output_compression: Annotated[int, Meta(ge=0, le=100)] | UnsetType = UNSET
    moderation: Literal["auto", "low"] | UnsetType = UNSET
    background: Literal["transparent", "opaque", "auto"] | UnsetType = UNSET
    input_fidelity: Literal["high", "low"] | UnsetType | None = UNSET
    input_image_mask: ImageMask | UnsetType = UNSET
    partial_images: Annotated[int, Meta(ge=0, le=3)] | UnsetType = UNSET
    action: Literal["generate", "edit", "auto"] | UnsetType = UNSET


HostedTool = (
    FileSearchTool
    | ComputerTool
    | ComputerUseTool
    | ComputerUsePreviewTool
    | WebSearchTool
    | WebSearchToolDated
    | WebSearchPreviewTool
    | WebSearchPreviewToolDated
    | McpTool
    | CodeInterpreterTool
    | ProgrammaticToolCalling
    | ImageGenerationTool
    | LocalShellTool
    | ShellTool
    | CustomTool
    | NamespaceTool
    | ToolSearchTool
    | ApplyPatchTool
)
AnyTool = FunctionTool | HostedTool


class ChooseWebSearchPreview(Wire, tag="web_search_preview"):
    pass


class ChooseWebSearchPreviewDated(Wire, tag="web_search_preview_2025_03_11"):
    pass


class ChooseWebSearch(Wire, tag="web_search"):
    """Not in the specification, though the tool is."""


class ChooseImageGeneration(Wire, tag="image_generation"):
    pass


class ChooseCodeInterpreter(Wire, tag="code_interpreter"):
    pass


class ChooseProgrammatic(Wire, tag="programmatic_tool_calling"):
    pass


HostedChoice = (
    ChooseMcp
    | ChooseCustom
    | ChooseFileSearch
    | ChooseWebSearch
    | ChooseWebSearchPreview
    | ChooseWebSearchPreviewDated
    | ChooseComputer
    | ChooseComputerUse
    | ChooseComputerUsePreview
    | ChooseImageGeneration
    | ChooseCodeInterpreter
    | ChooseProgrammatic
    | ChooseApplyPatch
    | ChooseShell
)
AnyToolChoice = ToolChoiceMode | ChooseFunction | ChooseAllowed | HostedChoice
