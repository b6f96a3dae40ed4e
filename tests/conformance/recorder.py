"""Every exchange of the suite, checked against the official document and counted for the docs."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from antiphon.conformance.stream import check_stream, frames, response_events
from antiphon.core.vectors import from_base64
from tests.conformance import official
from tests.conformance.forms import OWN, forms_of_choice, forms_of_tool, without_own

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer as the client saw them. `whole` is false when it left a stream early."""

    method: str
    path: str
    request: bytes
    status: int
    content_type: str
    body: bytes
    whole: bool = True


SOCKET = "WebSocket /v1/responses"
"""How the page names what came over WebSockets."""
LISTED = "Response in a list"
"""The document has no list of responses: each response in ours has to be one of its own."""

ASKED_MESSAGES = "ChatCompletionMessageList"
"""In the document every message of the list is one of the assistant, but in its own example there."""

_LISTS = frozenset(
    {
        "ResponseItemList",
        "ConversationItemList",
        "ChatCompletionList",
        "ListFilesResponse",
        "ListVectorStoresResponse",
        "ListVectorStoreFilesResponse",
        ASKED_MESSAGES,
    }
)

ROUTES: tuple[tuple[str, str, str | None, str | None], ...] = (
    ("POST", "/v1/responses", "Response", "ResponseStreamEvent"),
    ("GET", "/v1/responses", LISTED, None),
    ("POST", "/v1/responses/compact", "CompactResource", None),
    ("POST", "/v1/responses/input_tokens", "TokenCountsResource", None),
    ("GET", "/v1/responses/{id}", "Response", None),
    ("DELETE", "/v1/responses/{id}", None, None),
    ("GET", "/v1/responses/{id}/input_items", "ResponseItemList", None),
    ("POST", "/v1/conversations", "ConversationResource", None),
    ("GET", "/v1/conversations/{id}", "ConversationResource", None),
    ("POST", "/v1/conversations/{id}", "ConversationResource", None),
    ("DELETE", "/v1/conversations/{id}", "DeletedConversationResource", None),
    ("POST", "/v1/conversations/{id}/items", "ConversationItemList", None),
    ("GET", "/v1/conversations/{id}/items", "ConversationItemList", None),
    ("GET", "/v1/conversations/{id}/items/{id}", "ConversationItem", None),
    ("DELETE", "/v1/conversations/{id}/items/{id}", "ConversationResource", None),
    ("POST", "/v1/chat/completions", "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
    ("GET", "/v1/chat/completions", "ChatCompletionList", None),
    ("GET", "/v1/chat/completions/{id}", "CreateChatCompletionResponse", None),
    ("POST", "/v1/chat/completions/{id}", "CreateChatCompletionResponse", None),
    ("DELETE", "/v1/chat/completions/{id}", "ChatCompletionDeleted", None),
    ("GET", "/v1/chat/completions/{id}/messages", ASKED_MESSAGES, None),
    ("POST", "/v1/completions", "CreateCompletionResponse", "CreateCompletionResponse"),
    ("POST", "/v1/embeddings", "CreateEmbeddingResponse", None),
    ("GET", "/v1/models", "ListModelsResponse", None),
    ("GET", "/v1/models/{id}", "Model", None),
    ("POST", "/v1/files", "OpenAIFile", None),
    ("GET", "/v1/files", "ListFilesResponse", None),
    ("GET", "/v1/files/{id}", "OpenAIFile", None),
    ("DELETE", "/v1/files/{id}", "DeleteFileResponse", None),
    ("GET", "/v1/files/{id}/content", None, None),
    ("POST", "/v1/uploads", "Upload", None),
    ("POST", "/v1/uploads/{id}/parts", "UploadPart", None),
    ("POST", "/v1/uploads/{id}/complete", "Upload", None),
    ("POST", "/v1/uploads/{id}/cancel", "Upload", None),
    ("POST", "/v1/vector_stores", "VectorStoreObject", None),
    ("GET", "/v1/vector_stores", "ListVectorStoresResponse", None),
    ("GET", "/v1/vector_stores/{id}", "VectorStoreObject", None),
    ("POST", "/v1/vector_stores/{id}", "VectorStoreObject", None),
    ("DELETE", "/v1/vector_stores/{id}", "DeleteVectorStoreResponse", None),
    ("POST", "/v1/vector_stores/{id}/search", "VectorStoreSearchResultsPage", None),
    ("POST", "/v1/vector_stores/{id}/files", "VectorStoreFileObject", None),
    ("GET", "/v1/vector_stores/{id}/files", "ListVectorStoreFilesResponse", None),
    ("GET", "/v1/vector_stores/{id}/files/{id}", "VectorStoreFileObject", None),
    ("POST", "/v1/vector_stores/{id}/files/{id}", "VectorStoreFileObject", None),
    ("DELETE", "/v1/vector_stores/{id}/files/{id}", "DeleteVectorStoreFileResponse", None),
    ("GET", "/v1/vector_stores/{id}/files/{id}/content", "VectorStoreFileContentResponse", None),
    ("POST", "/v1/vector_stores/{id}/file_batches", "VectorStoreFileBatchObject", None),
    ("GET", "/v1/vector_stores/{id}/file_batches/{id}", "VectorStoreFileBatchObject", None),
    ("POST", "/v1/vector_stores/{id}/file_batches/{id}/cancel", "VectorStoreFileBatchObject", None),
    ("GET", "/v1/vector_stores/{id}/file_batches/{id}/files", "ListVectorStoreFilesResponse", None),
)
"""Method, route, schema of a JSON answer, schema of a stream's events."""


def route_of(method: str, path: str) -> tuple[str, str, str | None, str | None] | None:
    plain = path.split("?", maxsplit=1)[0].replace("/v1/openai/v1/", "/v1/").rstrip("/")
    for route in ROUTES:
        pattern = re.sub(r"\{id\}", ".+" if "models" in route[1] else "[^/]+", route[1])
        if route[0] == method and re.fullmatch(pattern, plain):
            return route
    return None


@dataclass(slots=True)
class Seen:
    """What was exercised: for each thing whether it was ever valid, and whether it ever was not."""

    passed: set[str] = field(default_factory=set[str])
    failed: set[str] = field(default_factory=set[str])
    refused: set[str] = field(default_factory=set[str])

    def note(self, name: str, errors: list[str]) -> None:
        (self.failed if errors else self.passed).add(name)


class Recorder:
    """Takes exchanges; `violations` are those of the current test, the rest grows over the session."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.routes = Seen()
        self.events = Seen()
        self.items = Seen()
        self.parameters: dict[str, Seen] = {
            "/v1/responses": Seen(),
            "/v1/chat/completions": Seen(),
            "/v1/embeddings": Seen(),
        }
        self.mcp_tool = Seen()
        self.tool_choice = Seen()

    def take_violations(self) -> list[str]:
        taken, self.violations = self.violations, []
        return taken

    def add(self, exchange: Exchange) -> None:
        route = route_of(exchange.method, exchange.path)
        if route is None or not official.available():
            return
        method, path, body_schema, event_schema = route
        errors: list[str]
        if exchange.status >= 400:
            errors = self._error(exchange)
        elif "text/event-stream" in exchange.content_type:
            errors = self._stream(exchange, event_schema)
        else:
            errors = self._body(exchange, body_schema)
        kind = "stream" if "text/event-stream" in exchange.content_type else str(exchange.status)
        self.routes.note(f"{method} {path} {kind}", errors)
        if method == "POST" and path in self.parameters:
            self._parameters(self.parameters[path], exchange)
        self.violations += [f"{method} {exchange.path} ({exchange.status}): {error}" for error in errors]

    def add_socket(self, frames: list[Json]) -> None:
        """All that a server sent over one WebSocket to `/v1/responses`, in order."""
        if not official.available():
            return
        errors: list[str] = []
        streams: dict[tuple[str | None, int], list[Json]] = {}
        begun: dict[str | None, int] = {}
        for frame in frames:
            lane = frame.get("stream_id")
            if frame["type"] == "error":
                errors += official.open_responses().errors("WebSocketErrorEvent", frame)
                if "sequence_number" not in frame:
                    continue
            else:
                errors += self._event(frame)
            begun[lane] = begun.get(lane, 0) + (frame["type"] == "response.created")
            streams.setdefault((lane, begun[lane]), []).append(frame)
        for (lane, number), events in streams.items():
            errors += check_stream(events, whole=number < begun[lane])
        self.routes.note(SOCKET, errors)
        self.violations += [f"{SOCKET}: {error}" for error in errors]

    def _error(self, exchange: Exchange) -> list[str]:
        if "application/json" not in exchange.content_type:
            return [f"an error is {exchange.content_type}, not JSON"]
        body = json.loads(exchange.body)
        errors = official.openai().errors("ErrorResponse", body)
        if not errors and set(body["error"]) != {"message", "type", "param", "code"}:
            errors.append(f"the envelope has the keys {sorted(body['error'])}")
        return errors

    def _body(self, exchange: Exchange, schema: str | None) -> list[str]:
        if schema is None:
            return []
        body: Json = without_own(json.loads(exchange.body))
        if schema in _LISTS and not body.get("data"):
            # The document has no empty list: its first_id and last_id are strings. Ours are null then.
            body = {**body, "first_id": "", "last_id": ""}
        if schema in ("OpenAIFile", "ListFilesResponse"):
            # The document lets files be uploaded for evaluations, and has no such files.
            body = json.loads(exchange.body.replace(b'"purpose":"evals"', b'"purpose":"user_data"')) | {
                key: value for key, value in body.items() if key in ("first_id", "last_id")
            }
        if schema == ASKED_MESSAGES:
            body = {**body, "data": [{**one, "role": "assistant"} for one in body["data"]]}
        if schema == LISTED:
            listed = map(without_own, body["data"])
            return [wrong for one in listed for wrong in official.openai().errors("Response", one)]
        if schema == "CreateEmbeddingResponse":
            # The document knows numbers only; clients ask for base64, and decode it before they look.
            body = {**body, "data": [_with_numbers(one) for one in body["data"]]}
        errors = official.openai().errors(schema, body)
        key = "data" if schema in {"ResponseItemList", "ConversationItemList"} else "output"
        shown: list[Json] = body.get(key, [])
        for item in shown:
            self.items.note(item["type"], errors)
        return errors

    def _stream(self, exchange: Exchange, schema: str | None) -> list[str]:
        if schema != "ResponseStreamEvent":
            return self._chat_stream(exchange, schema)
        errors: list[str] = []
        events = response_events(exchange.body, errors)
        for event in events:
            errors += self._event(event)
        return errors + check_stream(events, whole=exchange.whole)

    def _event(self, event: Json) -> list[str]:
        """What is wrong with a stream event. One of an item of our own is not of the document."""
        item: Json = event.get("item") or {}
        if str(item.get("type", "")).startswith(OWN):
            return [] if item.get("id") else [f"an item {item['type']} without an id"]
        if "response" in event:
            event = {**event, "response": without_own(event["response"])}
        wrong = official.openai().event_errors(event)
        self.events.note(event["type"], wrong)
        if event["type"] == "response.output_item.done":
            self.items.note(item["type"], wrong)
        return wrong

    def _chat_stream(self, exchange: Exchange, schema: str | None) -> list[str]:
        errors: list[str] = []
        data = [frame.data[0] for frame in frames(exchange.body) if frame.data]
        if (
            exchange.whole
            and (not data or data[-1] != "[DONE]")
            and not any('"error"' in line[:10] for line in data)
        ):
            errors.append("the stream does not end with [DONE]")
        for line in data:
            chunk = json.loads(line) if line != "[DONE]" else None
            if chunk is not None and "error" not in chunk and schema is not None:
                errors += official.openai().errors(schema, chunk)
        return errors

    def _parameters(self, seen: Seen, exchange: Exchange) -> None:
        try:
            body = json.loads(exchange.request)
        except (ValueError, RecursionError):
            return
        if not isinstance(body, dict):
            return
        if exchange.status < 400:
            seen.passed |= {name for name, value in body.items() if value is not None}  # pyright: ignore[reportUnknownVariableType] JSON of any shape
            if seen is self.parameters["/v1/responses"]:
                self._tools(body)  # pyright: ignore[reportUnknownArgumentType] the same
        elif exchange.status == 400 and "application/json" in exchange.content_type:
            error = json.loads(exchange.body)["error"]
            if error["code"] == "unsupported_parameter" and error["param"]:
                seen.refused.add(re.split(r"[.\[]", error["param"])[0])
                of_tool = re.fullmatch(r"tools\[\d+\]\.(\w+)", error["param"])
                if of_tool is not None:
                    self.mcp_tool.refused.add(of_tool[1])

    def _tools(self, body: Json) -> None:
        """What of `mcp` tools and of `tool_choice` was in a request that succeeded."""
        tools: list[Json] = body.get("tools") or []
        for tool in tools:
            if tool.get("type") == "mcp":
                self.mcp_tool.passed |= set(forms_of_tool(tool))
        choice = body.get("tool_choice")
        if choice is not None:
            self.tool_choice.passed |= set(forms_of_choice(choice))


def _with_numbers(embedding: Json) -> Json:
    vector = embedding["embedding"]
    return {**embedding, "embedding": from_base64(vector) if isinstance(vector, str) else vector}
