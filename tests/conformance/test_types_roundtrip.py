"""Every schema reachable from `/responses` in the official OpenAPI has a type that parses and renders it."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any

import msgspec
import pytest

from antiphon.core import body, events, hosted_items, hosted_tools, items, machine_items, parse, tools, usage
from antiphon.core import response_object as objects
from antiphon.core.json_values import is_array, is_object
from tests.conformance import official
from tests.conformance.schema_instances import Instances, reachable

pytestmark = pytest.mark.skipif(not official.available(), reason=official.MISSING)

SAMPLES = 40

# Request forms whose `type` may be left out: only these, and what holds one, may need the repairing path.
UNTYPED = {"EasyInputMessage", "InputMessage", "ItemReferenceParam"}

ITEM: Any = hosted_items.AnyInputItem
STORED: Any = hosted_items.AnyOutputItem
TYPES: dict[str, Any] = {
    # bodies
    "CreateResponse": objects.AnyRequest,
    "CreateModelResponseProperties": objects.AnyRequest,
    "ModelResponseProperties": objects.AnyRequest,
    "ResponseProperties": objects.AnyRequest,
    "Response": objects.Response,
    "ResponseItemList": objects.InputItemList,
    "CompactResponseMethodPublicBody": objects.CompactRequest,
    "CompactResource": objects.Compacted,
    "TokenCountsBody": objects.TokenCountRequest,
    "TokenCountsResource": objects.TokenCount,
    "Error": objects.ErrorBody,
    # parts of bodies
    "ContextManagementParam": body.ContextManagement,
    "ConversationParam": str | body.ConversationRef,
    "ConversationParam-2": body.ConversationRef,
    "ResponseConversation": body.ConversationRef,
    "Metadata": body.Metadata | None,
    "ModerationParam": body.ModerationRequest,
    "ModerationPolicyParam": body.ModerationPolicy,
    "ModerationConfigParam": body.ModerationConfig,
    "Moderation": objects.Moderation,
    "ModerationResultBody": objects.ModerationResult,
    "ModerationErrorBody": objects.ModerationError,
    "Prompt": body.Prompt | None,
    "ResponsePromptVariables": dict[str, str | items.InputText | items.InputImage | items.InputFile] | None,
    "PromptCacheOptions": body.PromptCacheOptions,
    "PromptCacheOptionsParam": body.PromptCacheOptions,
    "Reasoning": body.ReasoningConfig,
    "ResponseStreamOptions": body.StreamOptions | None,
    "ResponseTextParam": body.TextConfig,
    "TextResponseFormatConfiguration": body.FormatText | body.FormatJsonObject | body.FormatJsonSchema,
    "ResponseFormatText": body.FormatText,
    "ResponseFormatJsonObject": body.FormatJsonObject,
    "TextResponseFormatJsonSchema": body.FormatJsonSchema,
    "ResponseFormatJsonSchemaSchema": dict[str, Any],
    "ResponseError": objects.ResponseError | None,
    "ResponseUsage": usage.Usage,
    # items, in all their roles
    "InputParam": str | list[hosted_items.AnyInputItem],
    "InputItem": ITEM,
    "Item": ITEM,
    "ItemResource": STORED,
    "OutputItem": STORED,
    "ItemField": hosted_items.CompactedItem,
    "EasyInputMessage": ITEM,
    "InputMessage": ITEM,
    "InputMessageResource": items.Message,
    "OutputMessage": items.Message,
    "Message": hosted_items.StoredMessage,
    "ItemReferenceParam": ITEM,
    "ReasoningItem": items.Reasoning,
    "FunctionToolCall": items.FunctionCall,
    "FunctionToolCallResource": items.FunctionCall,
    "FunctionCallOutputItemParam": hosted_items.NamedCallOutput,
    "FunctionToolCallOutput": hosted_items.NamedCallOutput,
    "FunctionToolCallOutputResource": hosted_items.NamedCallOutput,
    "CustomToolCall": items.CustomToolCall,
    "CustomToolCallResource": items.CustomToolCall,
    "CustomToolCallOutput": items.CustomToolCallOutput,
    "CustomToolCallOutputResource": items.CustomToolCallOutput,
    "FileSearchToolCall": hosted_items.FileSearchCall,
    "VectorStoreFileAttributes": dict[str, str | float | bool] | None,
    "WebSearchToolCall": hosted_items.WebSearchCall,
    "WebSearchActionSearch": hosted_items.WebSearch,
    "WebSearchActionOpenPage": hosted_items.WebOpenPage,
    "WebSearchActionFind": hosted_items.WebFindInPage,
    "ImageGenToolCall": hosted_items.ImageGenerationCall,
    "MCPListTools": hosted_items.McpListTools,
    "MCPListToolsTool": hosted_items.McpListedTool,
    "MCPApprovalRequest": hosted_items.McpApprovalRequest,
    "MCPApprovalResponse": hosted_items.McpApprovalResponse,
    "MCPApprovalResponseResource": hosted_items.McpApprovalResponse,
    "MCPToolCall": hosted_items.McpCall,
    "MCPToolCallError": (
        hosted_items.McpProtocolError | hosted_items.McpToolExecutionError | hosted_items.McpHttpError
    ),
    "MCPProtocolError": hosted_items.McpProtocolError,
    "MCPToolExecutionError": hosted_items.McpToolExecutionError,
    "HTTPError": hosted_items.McpHttpError,
    "ToolSearchCall": hosted_items.ToolSearchCall,
    "ToolSearchCallItemParam": hosted_items.ToolSearchCall,
    "ToolSearchOutput": hosted_items.ToolSearchOutput,
    "ToolSearchOutputItemParam": hosted_items.ToolSearchOutput,
    "AdditionalTools": hosted_items.AdditionalTools,
    "AdditionalToolsItemParam": hosted_items.AdditionalTools,
    "Program": hosted_items.Program,
    "ProgramItemParam": hosted_items.Program,
    "ProgramOutput": hosted_items.ProgramOutput,
    "ProgramOutputItemParam": hosted_items.ProgramOutput,
    "CompactionBody": hosted_items.Compaction,
    "CompactionSummaryItemParam": hosted_items.Compaction,
    "CompactionTriggerItemParam": hosted_items.CompactionTrigger,
    # items of machine tools
    "CodeInterpreterToolCall": machine_items.CodeInterpreterCall,
    "CodeInterpreterOutputLogs": machine_items.CodeLogs,
    "CodeInterpreterOutputImage": machine_items.CodeImage,
    "ComputerToolCall": machine_items.ComputerCall,
    "ComputerCallOutputItemParam": machine_items.ComputerCallOutput,
    "ComputerToolCallOutput": machine_items.ComputerCallOutput,
    "ComputerToolCallOutputResource": machine_items.ComputerCallOutput,
    "ComputerCallSafetyCheckParam": machine_items.SafetyCheck,
    "ComputerScreenshotContent": machine_items.Screenshot,
    "ComputerScreenshotImage": machine_items.Screenshot,
    "ComputerAction": machine_items.ComputerAction,
    "ComputerActionList": list[machine_items.ComputerAction],
    "ClickParam": machine_items.Click,
    "DoubleClickAction": machine_items.DoubleClick,
    "DragParam": machine_items.Drag,
    "CoordParam": machine_items.Point,
    "KeyPressAction": machine_items.KeyPress,
    "MoveParam": machine_items.Move,
    "ScreenshotParam": machine_items.TakeScreenshot,
    "ScrollParam": machine_items.Scroll,
    "TypeParam": machine_items.TypeText,
    "WaitParam": machine_items.Wait,
    "LocalShellToolCall": machine_items.LocalShellCall,
    "LocalShellExecAction": machine_items.LocalShellAction,
    "LocalShellToolCallOutput": machine_items.LocalShellCallOutput,
    "FunctionShellCall": machine_items.ShellCall,
    "FunctionShellCallItemParam": machine_items.ShellCall,
    "FunctionShellAction": machine_items.ShellAction,
    "FunctionShellActionParam": machine_items.ShellAction,
    "FunctionShellCallOutput": machine_items.ShellCallOutput,
    "FunctionShellCallOutputItemParam": machine_items.ShellCallOutput,
    "FunctionShellCallOutputContent": machine_items.ShellOutput,
    "FunctionShellCallOutputContentParam": machine_items.ShellOutput,
    "FunctionShellCallOutputOutcomeParam": machine_items.ShellTimeout | machine_items.ShellExit,
    "FunctionShellCallOutputExitOutcome": machine_items.ShellExit,
    "FunctionShellCallOutputExitOutcomeParam": machine_items.ShellExit,
    "FunctionShellCallOutputTimeoutOutcome": machine_items.ShellTimeout,
    "FunctionShellCallOutputTimeoutOutcomeParam": machine_items.ShellTimeout,
    "ShellCallOutputDelta": events.ShellOutputDelta,
    "ApplyPatchToolCall": machine_items.ApplyPatchCall,
    "ApplyPatchToolCallItemParam": machine_items.ApplyPatchCall,
    "ApplyPatchToolCallOutput": machine_items.ApplyPatchCallOutput,
    "ApplyPatchToolCallOutputItemParam": machine_items.ApplyPatchCallOutput,
    "ApplyPatchOperationParam": (
        machine_items.CreateFile | machine_items.DeleteFile | machine_items.UpdateFile
    ),
    "ApplyPatchCreateFileOperation": machine_items.CreateFile,
    "ApplyPatchCreateFileOperationParam": machine_items.CreateFile,
    "ApplyPatchDeleteFileOperation": machine_items.DeleteFile,
    "ApplyPatchDeleteFileOperationParam": machine_items.DeleteFile,
    "ApplyPatchUpdateFileOperation": machine_items.UpdateFile,
    "ApplyPatchUpdateFileOperationParam": machine_items.UpdateFile,
    # content parts
    "InputContent": items.ToolOutputPart,
    "InputMessageContentList": list[items.ToolOutputPart],
    "FunctionAndCustomToolCallOutput": items.ToolOutputPart,
    "InputTextContent": items.InputText,
    "InputTextContentParam": items.InputText,
    "InputImageContent": items.InputImage,
    "InputImageContentParamAutoParam": items.InputImage,
    "InputFileContent": items.InputFile,
    "InputFileContentParam": items.InputFile,
    "PromptCacheBreakpointConfig": items.CacheBreakpoint,
    "PromptCacheBreakpointParam": items.CacheBreakpoint,
    "OutputContent": items.OutputText | items.Refusal | items.ReasoningText,
    "OutputMessageContent": items.OutputText | items.Refusal,
    "OutputTextContent": items.OutputText,
    "RefusalContent": items.Refusal,
    "ReasoningTextContent": items.ReasoningText,
    "SummaryTextContent": items.SummaryText,
    "TextContent": hosted_items.PlainText,
    "Annotation": items.Annotation,
    "FileCitationBody": items.FileCitation,
    "UrlCitationBody": items.UrlCitation,
    "ContainerFileCitationBody": items.ContainerFileCitation,
    "FilePath": items.FilePath,
    "LogProb": items.Logprob,
    "TopLogProb": items.TopLogprob,
    "ResponseLogProb": events.TokenLogprob,
    "ToolCallCaller": items.Caller,
    "ToolCallCallerParam": items.Caller,
    "DirectToolCallCaller": items.DirectCaller,
    "DirectToolCallCallerParam": items.DirectCaller,
    "ProgramToolCallCaller": items.ProgramCaller,
    "ProgramToolCallCallerParam": items.ProgramCaller,
    # tools
    "Tool": hosted_tools.AnyTool,
    "ToolsArray": list[hosted_tools.AnyTool],
    "FunctionTool": tools.FunctionTool,
    "FunctionToolParam": tools.NamespaceFunction,
    "EmptyModelParam": dict[str, Any],
    "FileSearchTool": tools.FileSearchTool,
    "Filters": tools.Filter,
    "ComparisonFilter": tools.Filter,
    "CompoundFilter": tools.Filter,
    "RankingOptions": tools.RankingOptions,
    "HybridSearchOptions": tools.HybridSearch,
    "ComputerTool": tools.ComputerTool,
    "ComputerUsePreviewTool": tools.ComputerUsePreviewTool,
    "WebSearchTool": hosted_tools.WebSearchTool | hosted_tools.WebSearchToolDated,
    "WebSearchPreviewTool": hosted_tools.WebSearchPreviewTool | hosted_tools.WebSearchPreviewToolDated,
    "ApproximateLocation": hosted_tools.Location,
    "WebSearchApproximateLocation": hosted_tools.Location | None,
    "MCPTool": tools.McpTool,
    "MCPToolFilter": tools.McpFilter,
    "CodeInterpreterTool": hosted_tools.CodeInterpreterTool,
    "AutoCodeInterpreterToolParam": hosted_tools.CodeContainer,
    "ContainerAutoParam": tools.ShellContainer,
    "ContainerNetworkPolicyAllowlistParam": tools.NetworkAllowlist,
    "ContainerNetworkPolicyDisabledParam": tools.NetworkDisabled,
    "ContainerNetworkPolicyDomainSecretParam": tools.DomainSecret,
    "ContainerReferenceParam": tools.ContainerReference,
    "ContainerReferenceResource": tools.ContainerReference,
    "LocalEnvironmentParam": tools.LocalEnvironment,
    "LocalEnvironmentResource": tools.LocalEnvironment,
    "LocalSkillParam": tools.SkillAt,
    "SkillReferenceParam": tools.SkillReference,
    "InlineSkillParam": tools.InlineSkill,
    "InlineSkillSourceParam": tools.SkillArchive,
    "ProgrammaticToolCallingParam": hosted_tools.ProgrammaticToolCalling,
    "ImageGenTool": hosted_tools.ImageGenerationTool,
    "LocalShellToolParam": tools.LocalShellTool,
    "FunctionShellToolParam": tools.ShellTool,
    "CustomToolParam": tools.CustomTool,
    "CustomTextFormatParam": tools.TextFormat,
    "CustomGrammarFormatParam": tools.GrammarFormat,
    "NamespaceToolParam": tools.NamespaceTool,
    "ToolSearchToolParam": tools.ToolSearchTool,
    "ApplyPatchToolParam": tools.ApplyPatchTool,
    # tool choices
    "ToolChoiceParam": hosted_tools.AnyToolChoice,
    "ToolChoiceAllowed": tools.ChooseAllowed,
    "ToolChoiceFunction": tools.ChooseFunction,
    "ToolChoiceMCP": tools.ChooseMcp,
    "ToolChoiceCustom": tools.ChooseCustom,
    "ToolChoiceTypes": hosted_tools.HostedChoice,
    "SpecificApplyPatchParam": tools.ChooseApplyPatch,
    "SpecificFunctionShellParam": tools.ChooseShell,
    "SpecificProgrammaticToolCallingParam": hosted_tools.ChooseProgrammatic,
    # events: the union, of which every member is tried under its own name too
    "ResponseStreamEvent": events.Event,
}

EXCLUDED = {
    "TooManyRequests": "named by the document under `components/responses`; its body is `Error`",
}
BETA = "the Beta schemas are of the paths with `?beta=true`, which this version does not serve"


@cache
def _document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((official.spec_folder() / "openai.json").read_bytes())
    return found


@cache
def _instances() -> Instances:
    return Instances(_document())


def _paths(*, beta: bool) -> list[Any]:
    return [
        operations
        for path, operations in _document()["paths"].items()
        if path.startswith("/responses") and path.endswith("?beta=true") == beta
    ]


@cache
def _reachable() -> frozenset[str]:
    return frozenset(reachable(_document(), _paths(beta=False)))


def _type_of(name: str) -> Any:
    """Our type for a schema; the events share one, since its tags tell them apart."""
    return TYPES.get(name) or (events.Event if name in official.openai().events.values() else None)


def _structures() -> list[str]:
    """Reachable schemas that are more than a single value."""
    if not official.available():
        return []
    schemas = _document()["components"]["schemas"]
    return sorted(name for name in _reachable() if name in schemas and not _instances().is_scalar(name))


def _same(ours: Any, theirs: Any) -> bool:
    """Equal JSON: 1 and 1.0 are one number, 1 and true are not. We name the type of what may leave it out."""
    if is_object(theirs) and is_object(ours):
        added = ours.keys() - {key for key, one in theirs.items() if key != "type" or one is not None}
        if added and not (added == {"type"} and ours["type"] in ("message", "item_reference")):
            return False
        return all(
            (key in ours and _same(ours[key], one)) or (key == "type" and one is None and key in added)
            for key, one in theirs.items()
        )
    if is_array(theirs) and is_array(ours):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if isinstance(theirs, bool) or isinstance(ours, bool):
        return ours is theirs
    return bool(ours == theirs)


def _without_top_nulls(instance: Any) -> Any:
    """What a request body means: null at its top is the same as left out."""
    return {key: one for key, one in instance.items() if one is not None}


def _cases(name: str) -> Iterator[Any]:
    yield from _instances().variants(name)
    random = Random(name)
    for _ in range(SAMPLES):
        yield _instances().sample(name, random)


def _may_be_repaired(name: str) -> bool:
    return bool(UNTYPED & reachable(_document(), [{"$ref": f"#/{name}"}]))


def test_every_reachable_schema_has_a_type_or_a_reason() -> None:
    schemas = _document()["components"]["schemas"]
    missing = [
        name
        for name in sorted(_reachable())
        if name not in EXCLUDED
        and not (name in schemas and _instances().is_scalar(name))
        and not _type_of(name)
    ]
    assert not missing, f"give these a type, or a reason in EXCLUDED: {missing}"


def test_nothing_is_excluded_that_is_not_there() -> None:
    assert set(EXCLUDED) <= _reachable()
    assert set(TYPES) <= _reachable()


def test_what_only_the_beta_paths_reach_is_beta() -> None:
    only_beta = reachable(_document(), _paths(beta=True)) - _reachable()
    assert only_beta, BETA
    assert [name for name in only_beta if not name.startswith("Beta")] == [], BETA


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """Counts over the module, told at its end."""
    counts: Counter[str] = Counter()
    yield counts
    capture: Any = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n" + ", ".join(f"{count} {what}" for what, count in counts.items()))  # noqa: T201 the figures


def _parsed(name: str, wanted: Any, data: bytes, tally: Counter[str]) -> Any:
    try:
        return msgspec.json.decode(data, type=wanted)
    except msgspec.ValidationError as error:
        if not _may_be_repaired(name):
            pytest.fail(f"{error} for {data[:2000]!r}")
    tally["parsed on the repairing path"] += 1
    return parse.convert(json.loads(data), wanted)


@pytest.mark.parametrize("name", _structures())
def test_instances_parse_and_render_alike(name: str, tally: Counter[str]) -> None:
    wanted = _type_of(name)
    tally["schemas"] += 1
    tried = 0
    for instance in _cases(name):
        data = json.dumps(instance).encode()
        faults = official.openai().errors(name, instance)
        assert not faults, f"the generator made an invalid instance: {faults[0]} in {data[:500]!r}"
        rendered = json.loads(msgspec.json.encode(_parsed(name, wanted, data, tally)))
        expected = _without_top_nulls(instance) if wanted is objects.AnyRequest else instance
        assert _same(rendered, expected), f"{rendered} is not {expected}"
        tried += 1
    tally["instances"] += tried
    assert tried > SAMPLES


@pytest.mark.parametrize(
    ("name", "instance"),
    [
        (
            "OutputMessage",
            {"type": "message", "id": "m", "role": "assistant", "content": [], "status": "gone"},
        ),
        (
            "FunctionTool",
            {"type": "function", "name": "f", "parameters": None, "strict": None, "stricter": True},
        ),
        ("ResponseTextDeltaEvent", {"type": "response.output_text.delta", "delta": "x"}),
        ("Response", {"id": "resp_1", "object": "response"}),
    ],
)
def test_types_refuse_what_the_document_refuses(name: str, instance: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(instance), type=_type_of(name))
