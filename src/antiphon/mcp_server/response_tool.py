"""The tool `create_response`: a model of this server answers, with its tools, as `POST /v1/responses` has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from msgspec import Meta

from antiphon.core.errors import InvalidRequest
from antiphon.core.json_values import is_object
from antiphon.core.request import ResponseRequest
from antiphon.core.wire import UNSET, JsonObject, UnsetType, Wire, decode_json, encode
from antiphon.core.writer import Event
from antiphon.mcp_server.tools import Exchange, Tool, ToolResult, UserAnswer, read_arguments, text_block
from antiphon.ports import Owner
from antiphon.responses.service import ResponseService

CREATE_RESPONSE: Final = "create_response"
_SHOWN_MODELS: Final = 20
_Id = Annotated[str, Meta(min_length=1, max_length=256)]
_WAITS_FOR: Final = {
    "mcp_approval_request": "a call that the user has to approve",
    "antiphon:mcp_elicitation_request": "a question of a tool for the user",
    "antiphon:mcp_authorization_request": "an authorisation by the user",
}


class ResponseArguments(Wire):
    """`model` may be left out where one model is served."""

    input: Annotated[str, Meta(min_length=1)]
    model: _Id | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    previous_response_id: _Id | UnsetType = UNSET
    vector_store_ids: Annotated[list[_Id], Meta(min_length=1, max_length=32)] | UnsetType = UNSET
    connector_ids: Annotated[list[_Id], Meta(min_length=1, max_length=16)] | UnsetType = UNSET


def _ids(description: str, most: int) -> JsonObject:
    items = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": most}
    return {**items, "description": description}


_TOOL: Final = Tool(
    name=CREATE_RESPONSE,
    title="Ask a model of this server",
    description="Have a model of this server answer. It can search files and use connectors on its own before it"
    " answers. Returns its text. The response is stored; its id as `previous_response_id` goes on from it.",
    input_schema={
        "type": "object",
        "properties": {
            "input": {"type": "string", "minLength": 1, "description": "What to ask or tell the model."},
            "model": {
                "type": "string",
                "description": "Which model; may be left out where only one is served.",
            },
            "instructions": {
                "type": "string",
                "description": "How the model should behave (a system message).",
            },
            "previous_response_id": {"type": "string", "description": "Go on from this response."},
            "vector_store_ids": _ids("The model may search the files of these vector stores.", 32),
            "connector_ids": _ids(
                "The model may use all tools of these connectors, without further approval.", 16
            ),
        },
        "required": ["input"],
        "additionalProperties": False,
    },
    output_schema={
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "response_id": {"type": "string"},
            "status": {"type": "string", "enum": ["completed", "incomplete", "failed", "cancelled"]},
            "model": {"type": "string"},
        },
        "required": ["text", "response_id", "status", "model"],
    },
    annotations={
        "title": "Ask a model of this server",
        "readOnlyHint": False,
        "destructiveHint": True,
        "idempotentHint": False,
        "openWorldHint": True,
    },
)


@dataclass(frozen=True, slots=True)
class ResponseTool:
    """A `ToolSource`."""

    responses: ResponseService

    async def tools(self, owner: Owner, *, from_server: bool) -> Sequence[Tool]:
        del owner, from_server
        return (_TOOL,)

    async def call(
        self,
        owner: Owner,
        name: str,
        arguments: JsonObject,
        exchange: Exchange,
        answer: UserAnswer | None = None,
    ) -> ToolResult | None:
        del answer
        if name != CREATE_RESPONSE:
            return None
        asked = read_arguments(arguments, ResponseArguments)
        if asked.connector_ids and exchange.from_server:
            raise InvalidRequest(
                "`connector_ids`: another server asks, and what it asks for may not lead on to a third; give that"
                " server the connectors itself.",
                param="connector_ids",
            )
        request = await self._request(asked, streamed=exchange.wants_progress)
        run = await self.responses.prepare(owner, request)
        if exchange.wants_progress:
            run.emit = _Progress(exchange).emit
        return _result(decode_json(await run.execute()))

    async def _request(self, asked: ResponseArguments, *, streamed: bool) -> ResponseRequest:
        """Raises InvalidRequest."""
        body: JsonObject = {
            "model": asked.model or await self._only_model(),
            "input": asked.input,
            "stream": streamed,
        }
        if asked.instructions is not UNSET:
            body["instructions"] = asked.instructions
        if asked.previous_response_id is not UNSET:
            body["previous_response_id"] = asked.previous_response_id
        tools: list[JsonObject] = [
            {
                "type": "mcp",
                "server_label": f"connector_{at}",
                "connector_id": one,
                "require_approval": "never",
            }
            for at, one in enumerate(asked.connector_ids or [])
        ]
        if asked.vector_store_ids:
            tools.append({"type": "file_search", "vector_store_ids": list(asked.vector_store_ids)})
        if tools:
            body["tools"] = tools
        return ResponseRequest.parse(encode(body))

    async def _only_model(self) -> str:
        served = [one.id for one in await self.responses.catalog.list()]
        if len(served) == 1:
            return served[0]
        names = ", ".join(served[:_SHOWN_MODELS]) or "none yet"
        raise InvalidRequest(f"`model`: say which one; served: {names}.", param="model")


class _Progress:
    """Tells the client of each item that is done."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._done = 0

    async def emit(self, events: list[Event]) -> None:
        for event in events:
            if event.type == "response.output_item.done":
                self._done += 1
                item: Any = decode_json(event.data)["item"]
                await self._exchange.progress(self._done, str(item["type"]))


def _result(response: JsonObject) -> ToolResult:
    output: list[JsonObject] = response["output"]
    text = "".join(_texts(output))
    status = str(response["status"])
    structured: JsonObject = {
        "text": text,
        "response_id": response["id"],
        "status": status,
        "model": response["model"],
    }
    blocks = [text_block(one) for one in (text, _note(response, output)) if one]
    return ToolResult(blocks, structured, is_error=status not in ("completed", "incomplete"))


def _texts(output: Sequence[JsonObject]) -> list[str]:
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    return [str(part.get("text") or part.get("refusal") or "") for part in parts]


def _note(response: JsonObject, output: Sequence[JsonObject]) -> str:
    """What else there is to say of how it ended."""
    error, why = response.get("error"), response.get("incomplete_details")
    if is_object(error):
        return f"The response failed: {error.get('message')}"
    if is_object(why):
        return f"The response is incomplete: {why.get('reason')}."
    waits = [_WAITS_FOR[item["type"]] for item in output if item["type"] in _WAITS_FOR]
    if waits:
        return f"The response waits for {waits[0]}; answer it over POST /v1/responses ({response['id']})."
    return "" if any(_texts(output)) else "(the model answered without text)"
