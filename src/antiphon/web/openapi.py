"""`/openapi.json`: the route table and the wire types as an OpenAPI 3.1 document."""

import re
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from antiphon.agents.types import TYPES as AGENT_TYPES
from antiphon.chat.answers import ChatCompletion, ChatCompletionChunk, Completion
from antiphon.chat.request import ChatRequest, CompletionRequest
from antiphon.chat.stored import ChatList, ChatMessageList, StoredCompletion, UpdateChat
from antiphon.connectors.shapes import TYPES as CONNECTOR_TYPES
from antiphon.conversations.bodies import (
    ChangedConversation,
    Conversation,
    ConversationItemList,
    DeletedConversation,
    MoreItems,
    NewConversation,
)
from antiphon.core.compact_request import CompactBody
from antiphon.core.count_request import CountBody
from antiphon.core.events import Event
from antiphon.core.hosted_items import AnyOutputItem
from antiphon.core.request import ResponseRequest
from antiphon.core.response_object import Compacted, InputItemList, Response, TokenCount
from antiphon.core.wire import JsonObject
from antiphon.embeddings.answer import EmbeddingList
from antiphon.embeddings.request import EmbeddingRequest
from antiphon.files import shapes as files
from antiphon.mcp_server.shapes import TYPES as MCP_TYPES
from antiphon.messages import shapes as messages
from antiphon.messages.types import CountRequest, MessagesRequest
from antiphon.models.catalog import Model
from antiphon.prompts.shapes import CreatePrompt, PromptList, PromptObject, SetDefaultVersion, UpdatePrompt
from antiphon.rerank.answer import RerankResponse, StackRerankResponse
from antiphon.rerank.request import RerankRequest, StackRerankRequest
from antiphon.responses.socket_frames import CreateFrame, ErrorFrame
from antiphon.safety.shapes import TYPES as SAFETY_TYPES
from antiphon.tool_groups.shapes import TYPES as TOOL_GROUP_TYPES
from antiphon.vector_io.types import TYPES as VECTOR_IO_TYPES
from antiphon.vector_stores.types import TYPES as VECTOR_STORE_TYPES
from antiphon.version import __version__
from antiphon.web.bodies import FORM, JSON
from antiphon.web.routing import Query, Route, SocketRoute


class ErrorFacts(msgspec.Struct, kw_only=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(msgspec.Struct, kw_only=True):
    error: ErrorFacts


class Deleted(msgspec.Struct, kw_only=True):
    id: str
    object: str
    deleted: bool


class ModelList(msgspec.Struct, kw_only=True):
    object: str
    data: list[Model]


class ResponseList(msgspec.Struct, kw_only=True):
    object: str
    data: list[Response]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Status(msgspec.Struct, kw_only=True):
    status: str


class Readiness(Status, kw_only=True):
    upstreams: dict[Literal["closed", "open", "half_open"], int]
    """How many models of upstreams that were asked lately have their circuit breaker in which state."""


class Version(msgspec.Struct, kw_only=True):
    version: str


class Provider(msgspec.Struct, kw_only=True):
    api: str
    provider_id: str
    provider_type: str
    config: JsonObject
    health: Status


class ProviderList(msgspec.Struct, kw_only=True):
    data: list[Provider]


class RouteInfo(msgspec.Struct, kw_only=True):
    route: str
    method: str
    provider_types: list[str]


class RouteList(msgspec.Struct, kw_only=True):
    data: list[RouteInfo]


TYPES: dict[str, Any] = {
    **messages.TYPES,
    **AGENT_TYPES,
    **SAFETY_TYPES,
    **VECTOR_STORE_TYPES,
    **VECTOR_IO_TYPES,
    **TOOL_GROUP_TYPES,
    **files.TYPES,
    **CONNECTOR_TYPES,
    **MCP_TYPES,
    "MessagesRequest": MessagesRequest,
    "ChangedConversation": ChangedConversation,
    "ChatCompletion": ChatCompletion,
    "ChatCompletionChunk": ChatCompletionChunk,
    "ChatList": ChatList,
    "ChatMessageList": ChatMessageList,
    "ChatRequest": ChatRequest,
    "StoredCompletion": StoredCompletion,
    "UpdateChat": UpdateChat,
    "Completion": Completion,
    "CompletionRequest": CompletionRequest,
    "Conversation": Conversation,
    "ConversationItem": AnyOutputItem,
    "ConversationItemList": ConversationItemList,
    "CompactContext": CompactBody,
    "CompactedContext": Compacted,
    "CountTokens": CountBody,
    "CreateFrame": CreateFrame,
    "CreateResponse": ResponseRequest,
    "Deleted": Deleted,
    "DeletedConversation": DeletedConversation,
    "EmbeddingList": EmbeddingList,
    "EmbeddingRequest": EmbeddingRequest,
    "CountMessageTokens": CountRequest,
    "ErrorEnvelope": ErrorEnvelope,
    "ErrorFrame": ErrorFrame,
    "Event": Event,
    "ItemList": InputItemList,
    "Model": Model,
    "MoreItems": MoreItems,
    "NewConversation": NewConversation,
    "ModelList": ModelList,
    "CreatePrompt": CreatePrompt,
    "Prompt": PromptObject,
    "PromptList": PromptList,
    "SetDefaultVersion": SetDefaultVersion,
    "UpdatePrompt": UpdatePrompt,
    "Provider": Provider,
    "ProviderList": ProviderList,
    "RerankRequest": RerankRequest,
    "RerankResponse": RerankResponse,
    "Response": Response,
    "ResponseList": ResponseList,
    "RouteList": RouteList,
    "StackRerankRequest": StackRerankRequest,
    "StackRerankResponse": StackRerankResponse,
    "Status": Status,
    "TokenCount": TokenCount,
    "Readiness": Readiness,
    "Version": Version,
}
"""The names that routes use for the types of their bodies."""

_PARAM = re.compile(r"\{(\w+)(:path)?\}")


def build(routes: Sequence[Route], sockets: Sequence[SocketRoute] = ()) -> JsonObject:
    """The whole document. WebSockets, which OpenAPI has no place for, are under `x-websockets`, by path."""
    schemas, components = msgspec.json.schema_components(
        list(TYPES.values()), ref_template="#/components/schemas/{name}"
    )
    by_name = dict(zip(TYPES, schemas, strict=True))
    paths: JsonObject = {}
    for route in routes:
        path = _PARAM.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, by_name, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Antiphon",
            "version": __version__,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "x-websockets": {one.path: _socket(one, by_name, components) for one in sockets},
        "components": {
            "schemas": dict(components),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: JsonObject, components: dict[str, Any]) -> JsonObject:
    operation: JsonObject = {
        "operationId": _operation_id(route),
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": [_path_parameter(name) for name, _ in _PARAM.findall(route.path)]
        + [_query_parameter(query) for query in route.query],
        "responses": {
            "200": _answer(route, schemas),
            "default": _content(schemas[route.errors], "An error"),
        },
        "security": [] if route.public else [{"key": []}],
    }
    if route.request is not None:
        schema = schemas[route.request]
        kinds = [JSON, FORM] if route.form else [JSON]
        media = [route.body] if route.body else [kind.decode() for kind in kinds]
        content = {kind: {"schema": schema} for kind in media}
        operation["requestBody"] = {"required": True, "content": content}
        operation["x-fields"] = _fields(schema, components)
    return operation


def _socket(route: SocketRoute, schemas: JsonObject, components: dict[str, Any]) -> JsonObject:
    """What either side sends, as text frames of one JSON object each."""
    frame = schemas[route.frames]
    return {
        "summary": route.summary,
        "description": "Either side sends text frames of one JSON object each; every frame of an answer repeats the"
        " `stream_id` of the one that asked. The flat `ErrorEvent` is not sent here.",
        "client": {"allOf": [frame], "required": ["type"]},
        "server": {"oneOf": [schemas[route.events], schemas["ErrorFrame"]]},
        "x-fields": _fields(frame, components),
        "security": [{"key": []}],
    }


def _fields(schema: JsonObject, components: dict[str, Any]) -> JsonObject:
    """Field → whether it is required, for the page."""
    target = components[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    required = set(target.get("required", ()))
    return {name: name in required for name in target.get("properties", {})}


def _answer(route: Route, schemas: JsonObject) -> JsonObject:
    if route.response is None:
        media = route.answer or ("text/html" if route.path == "/docs" else "application/json")
        return {"description": "OK", "content": {media: {"schema": {}}}}
    answer = _content(schemas[route.response], "OK")
    if route.events is not None:
        answer["content"]["text/event-stream"] = {"schema": schemas[route.events]}
    return answer


def _content(schema: Any, description: str) -> JsonObject:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", route.path.removeprefix("/v1").replace(":path", ""))
    return "_".join([route.method.lower(), *words])


def _path_parameter(name: str) -> JsonObject:
    description = f"The {name.replace('_', ' ')}."
    return {
        "name": name,
        "in": "path",
        "required": True,
        "schema": {"type": "string"},
        "description": description,
    }


def _query_parameter(query: Query) -> JsonObject:
    return {"name": query.name, "in": "query", "schema": dict(query.schema), "description": query.description}
