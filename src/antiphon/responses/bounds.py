"""What binds an answer and is checked here has to be readable: else a model would be asked for nothing it can do."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from antiphon.core.body import FormatGrammar, FormatJsonSchema
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import AdditionalTools, ToolSearchOutput
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import CustomTool, GrammarFormat, NamespaceTool
from antiphon.core.wire import UNSET, encode
from antiphon.ports import Constraint, ModelProvider
from antiphon.runs import grammars, schemas

READ_AT_ONCE = 8_192
FEW = 4
"""Characters, and bounds, that are read without leaving the event loop: a few milliseconds."""


async def check_bounds(request: ResponseRequest, provider: ModelProvider) -> None:
    """Refuse a grammar or a JSON schema that cannot be read, where we are the ones to check it.

    Large ones are read beside the event loop: that takes seconds, in which others are to be served.
    """
    checks = _bounds(request)
    if not checks:
        return
    unenforced = provider.unenforced(request)
    asked = [one for one in checks if one.constraint in unenforced]
    if not asked:
        return
    few = sum(one.size for one in asked) <= READ_AT_ONCE and len(asked) <= FEW
    found = _first_fault(asked) if few else await asyncio.to_thread(_first_fault, asked)
    if found is not None:
        check, problem = found
        raise InvalidRequest(f"`{check.param}`: no valid {check.kind}: {problem}.", param=check.param)


@dataclass(frozen=True, slots=True)
class _Check:
    constraint: Constraint
    param: str
    kind: str
    size: int
    fault: Callable[[], str | None]


def _bounds(request: ResponseRequest) -> list[_Check]:
    checks: list[_Check] = []
    wanted = request.text.format if request.text is not None else UNSET
    if isinstance(wanted, FormatJsonSchema):
        size = len(encode(wanted.schema))
        fault = partial(schemas.fault, wanted.schema)
        checks.append(_Check("json_schema", "text.format.schema", "JSON schema", size, fault))
    elif isinstance(wanted, FormatGrammar):
        size = len(wanted.definition)
        fault = partial(grammars.fault, wanted)
        checks.append(_Check("text_grammar", "text.format.definition", wanted.syntax, size, fault))
    for path, tool in _custom_tools(request):
        if isinstance(tool.format, GrammarFormat):
            grammar = tool.format
            param = f"{path}.format.definition"
            fault = partial(grammars.fault, grammar)
            checks.append(_Check("grammar", param, grammar.syntax, len(grammar.definition), fault))
    return checks


def _custom_tools(request: ResponseRequest) -> Iterator[tuple[str, CustomTool]]:
    yield from _custom_among(request.tools or (), "tools")
    for at, item in enumerate(request.input if isinstance(request.input, list) else ()):
        if isinstance(item, ToolSearchOutput | AdditionalTools):
            yield from _custom_among(item.tools, f"input[{at}].tools")


def _custom_among(tools: Sequence[object], path: str) -> Iterator[tuple[str, CustomTool]]:
    for at, tool in enumerate(tools):
        if isinstance(tool, CustomTool):
            yield f"{path}[{at}]", tool
        elif isinstance(tool, NamespaceTool):
            yield from _custom_among(tool.tools, f"{path}[{at}].tools")


def _first_fault(checks: Sequence[_Check]) -> tuple[_Check, str] | None:
    return next(((one, problem) for one in checks if (problem := one.fault()) is not None), None)
