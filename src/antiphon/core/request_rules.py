"""The rules of a request that need nothing but the request: no model list, no stored state."""

from collections.abc import Sequence

from antiphon.core import support, tool_rules
from antiphon.core.body import FormatGrammar, FormatJsonSchema, Runnable
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import CompactionTrigger
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.json_schemas import nesting_exceeds


def check(request: Runnable) -> None:
    """Raises InvalidRequest or UnsupportedParameter for the first rule that does not hold."""
    check_identity(request)
    _check_needs(request)
    check_contents(request)


def check_contents(request: Runnable) -> None:
    """The rules of what is there, for every route that takes a part of a request. Raises as `check` does."""
    support.refuse_request(request)
    _check_compaction(request)
    if request.include:
        _check_include(request.include)
    if request.tools:
        tool_rules.check_tools(request.tools, "tools", names_must_differ=True)
    if isinstance(request.input, list):
        tool_rules.check_items(request.input)
        tool_rules.check_beside(request.tools or (), request.input)
    if not (request.previous_response_id or request.conversation_id or request.agent):
        check_choice(request, tool_rules.brought_by(request.input) if isinstance(request.input, list) else ())
    if request.text is not None and isinstance(request.text.format, FormatJsonSchema):
        tool_rules.check_schema(request.text.format.schema, "text.format.schema")
    if request.text is not None and isinstance(request.text.format, FormatGrammar):
        tool_rules.check_grammar(request.text.format.definition, "text.format")
    for name in ("client_metadata", "chat_template_kwargs"):
        value = getattr(request, name)
        if value is not None and nesting_exceeds(value, tool_rules.MAX_NESTING):
            raise InvalidRequest(f"`{name}`: nested deeper than {tool_rules.MAX_NESTING} levels.", param=name)


def check_choice(request: Runnable, brought: Sequence[AnyTool]) -> None:
    """Whether there is what `tool_choice` names. `brought` are the tools that the conversation has loaded: what
    continues one, or has the tools of a stored agent, can be judged only when it was read. Raises InvalidRequest.
    """
    if request.tool_choice is not None and request.tool_choice != "auto":
        tool_rules.check_choice(request.tool_choice, [*(request.tools or ()), *brought])


def check_identity(request: Runnable) -> None:
    """Who is asked, and what it goes on from. Raises InvalidRequest."""
    if not (request.model or request.prompt or request.agent):
        raise InvalidRequest(
            "`model`: required, and missing or empty; name one of GET /v1/models.", param="model"
        )
    if request.previous_response_id is not None and request.conversation is not None:
        raise InvalidRequest(
            "`previous_response_id` and `conversation` both say what came before; send one of them.",
            param="previous_response_id",
        )


def _check_needs(request: Runnable) -> None:
    if request.conversation is not None and request.store is False:
        raise InvalidRequest(
            "`store`: a conversation is stored, and so is every response made in it; leave `store` out, or send the"
            " items as `input` without `conversation`.",
            param="store",
        )
    continues = request.previous_response_id or request.conversation_id is not None or request.prompt
    if request.input is None and not continues:
        raise InvalidRequest(
            "`input`: required, and missing; send a string or an array of items.", param="input"
        )
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest(
            "`stream_options`: only allowed with `stream: true`; leave it out or stream.",
            param="stream_options",
        )
    if request.background and request.store is False:
        raise InvalidRequest(
            "`background`: needs the response to be stored; leave `store` out or set it to true.",
            param="background",
        )


def _check_compaction(request: Runnable) -> None:
    for at, one in enumerate(request.context_management or ()):
        if one.type != "compaction":
            raise InvalidRequest(
                f'`context_management[{at}].type`: "{one.type[:80]}" is not known; allowed: "compaction".',
                param=f"context_management[{at}].type",
            )
    given = request.input if isinstance(request.input, list) else []
    for at, item in enumerate(given[:-1]):
        if isinstance(item, CompactionTrigger):
            raise InvalidRequest(
                f"`input[{at}]`: a compaction_trigger has to be the last item; items follow it.",
                param=f"input[{at}]",
            )


def _check_include(values: list[str]) -> None:
    for at, value in enumerate(values):
        if value not in support.INCLUDES:
            known = ", ".join(f'"{one}"' for one in support.INCLUDES)
            raise InvalidRequest(
                f'`include[{at}]`: "{value[:80]}" is not known; allowed: {known}.', param=f"include[{at}]"
            )
