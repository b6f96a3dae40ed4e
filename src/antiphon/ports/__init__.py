"""What the core and the services need from outside, as protocols. The docstrings are the contract."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

from antiphon.core.commands import CallModel, CallTool, ListTools
from antiphon.core.hosted_items import McpListTools
from antiphon.core.hosted_tools import AnyTool
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal, ToolDone, ToolsListed
from antiphon.core.tools import McpTool
from antiphon.core.transcript import PastTurn
from antiphon.core.usage import Usage
from antiphon.ports.agents import AgentStore, ToolGroupRecords
from antiphon.ports.files import FileStore
from antiphon.ports.knowledge import VectorStoreRecords
from antiphon.ports.mcp import CallHost, McpRecords
from antiphon.ports.owners import Owner as Owner
from antiphon.ports.responses import StoredResponse as StoredResponse
from antiphon.ports.safety import ShieldRecords

Constraint = Literal["json_schema", "json_object", "text_grammar", "grammar"]
"""`text.format` of three types, the third being `grammar`, and the grammars of custom tools."""


class Sealer(Protocol):
    """Opaque blobs that clients carry for us: authenticated, encrypted, bound to a tenant and a purpose."""

    def seal(self, tenant: str, purpose: str, payload: bytes) -> str:
        """The payload as text that only this tenant can bring back."""
        ...

    def open(self, tenant: str, purpose: str, blob: str) -> bytes:
        """The payload. Raises SealBroken, which says why, for what is tampered, foreign or expired."""
        ...


class SealBroken(Exception):
    """A blob that cannot be opened; the message completes "it …"."""


class Clock(Protocol):
    def now(self) -> int:
        """Unix seconds, UTC."""
        ...

    def now_us(self) -> int:
        """Unix microseconds, UTC, never less than before."""
        ...


class Ids(Protocol):
    def new(self, prefix: str) -> str:
        """A fresh id, `prefix` and at least 128 random bits in [0-9a-f]: `resp_1f…`."""
        ...


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a provider serves, under the provider's own name."""

    name: str
    created_at: int = 0
    owned_by: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamCompaction:
    """A context that an upstream compacted. `blob` is its own, marked with its origin (`core.thoughts.marked`):
    nobody else can read it.
    """

    blob: str
    usage: Usage | None = None


class UpstreamReply(Protocol):
    """A 2xx answer that is passed on. Use it as `async with`: leaving frees or closes the connection."""

    async def read(self) -> bytes:
        """The whole body. Raises ProviderError when it does not come whole."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises ProviderError when it breaks off."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ModelProvider(Protocol):
    """Turns a transcript into model signals. One instance per configured provider, shared by all runs."""

    @property
    def provider_id(self) -> str: ...

    def unenforced(self, request: ResponseRequest) -> frozenset[Constraint]:
        """The constraints that the upstream may break although it was told: the run holds such answers back and
        checks them.

        Asked at the head of the answer, when a provider that stands for several knows which one it is; before that
        it is all that any of them may break.
        """
        ...

    def stream(self, model: str, call: CallModel) -> AsyncIterator[Sequence[ModelSignal]]:
        """Yield signals in batches as they arrive, then exactly one `StepDone`, last.

        The first batch, which may be empty, is yielded as soon as the upstream's 2xx head is here: the run begins
        then. With `call.stream` false the upstream answers in one piece and only `ItemDone`s and the `StepDone`
        come. Closing the iterator closes the upstream connection before it returns.

        Raises:
            ProviderUnavailable, ProviderTimeout, ProviderRateLimited: retried inside only while no head was seen.
            ProviderRejected: the upstream refused the request; `param` is the wire field, if it told us.
            ProviderAuthFailed: the upstream refused our credentials.
            ProviderProtocolError: the upstream broke off or sent what is not the protocol.
        """
        ...

    def dropped(self, request: ResponseRequest) -> Sequence[str]:
        """The parameters of this request that a lenient server leaves out here. Empty on a strict one, where
        `stream` refuses them.
        """
        ...

    async def open(self, path: str, body: bytes, *, model: str) -> UpstreamReply:
        """Pass a request on. `path` says of which kind: `/chat/completions` and `/completions` travel as they are;
        `/embeddings` and `/rerank` (in the form of Cohere and Jina) as this upstream can take them. `model` is
        the provider's own name of it, the same as in the body.

        Raises what `stream` raises before the first signal, and UnsupportedParameter, with the field in `param`,
        for what this upstream cannot do; `model` when it cannot do this kind of request at all.
        """
        ...

    async def count_tokens(self, model: str, call: CallModel) -> int | None:
        """The input tokens that the upstream itself counts for this call: what `usage` of it would say. None where
        the upstream cannot say.

        Asked once, without patience. Raises ProviderError, and UnsupportedParameter as `stream` does.
        """
        ...

    async def compact(self, model: str, call: CallModel) -> "UpstreamCompaction | None":
        """What the upstream makes of the call's transcript to continue from; None where it does not compact.

        Raises ProviderError, and UnsupportedParameter as `stream` does.
        """
        ...

    async def list_models(self) -> Sequence[ModelInfo]:
        """The models the upstream serves now. Raises `ProviderError`."""
        ...

    async def aclose(self) -> None: ...


_FILE_KINDS = ("none", "pdf", "all")


@dataclass(frozen=True, slots=True)
class Intake:
    """What of images and files a model's server takes as it is. The rest is fetched, or read as text, here.

    `image_urls`: it fetches images itself. `files`: whether it reads files that stand in the request, of all kinds or
    PDF alone.
    """

    image_urls: bool = True
    files: Literal["none", "pdf", "all"] = "none"

    def shared(self, other: "Intake") -> "Intake":
        """What both take."""
        less = self if _FILE_KINDS.index(self.files) <= _FILE_KINDS.index(other.files) else other
        return Intake(self.image_urls and other.image_urls, less.files)


@runtime_checkable
class TakesFiles(Protocol):
    """A provider that says what it takes; of one that does not, `Intake()` is true."""

    def intake(self) -> Intake: ...


@runtime_checkable
class CallsInWords(Protocol):
    """A provider that says whether its server, or its models, know no native tool calls."""

    @property
    def calls_in_words(self) -> bool: ...


@runtime_checkable
class Patient(Protocol):
    """A provider that waits and repeats what failed before the head, and can be had without that."""

    def without_waiting(self) -> ModelProvider:
        """The same provider over the same connections, for a caller that has somebody else to ask: a refusal is
        final, a connection that was lost is tried once more.
        """
        ...


class ToolRuntime(Protocol):
    """Runs server-side tools."""

    async def check(self, owner: Owner, tools: Sequence[AnyTool]) -> None:
        """Look at the tools of a request before anything is done. `tools[3]` of the request is `tools[3]` here.

        Raises NotFound, InvalidRequest for a tool that could not work, as one over a vector store that is not there.
        """
        ...

    async def list_tools(self, owner: Owner, asked: ListTools) -> ToolsListed:
        """The tools of an MCP server. What goes wrong is said in the item; only cancellation raises."""
        ...

    def outdated(self, owner: Owner, tool: McpTool, known: McpListTools) -> bool:
        """Whether the server's tools are known to be others now than this list of the conversation has: the server said
        so since they were listed for this owner, or they were found to be others in another conversation.
        """
        ...

    async def run(self, owner: Owner, call: CallTool, host: CallHost) -> ToolDone:
        """Run one call to its end, or to a question for the user. A failing tool is a `ToolDone` that says so; only
        cancellation raises.
        """
        ...


ITEMS = "items"
REMOVAL = "removal"
"""Statuses of turns that are no responses: `input` holds items, or the ids (a JSON array) of items taken out."""


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """`metadata` is a JSON object; `tip` the id of its newest turn, None while there is none."""

    id: str
    created_at: int
    metadata: bytes
    tip: str | None = None


@dataclass(frozen=True, slots=True)
class ResponsePage:
    """Which stored responses to list, in which order. `after` and `before` are ids in that order, both left out."""

    limit: int
    newest_first: bool = True
    after: str | None = None
    before: str | None = None
    model: str | None = None
    """Only those that were asked of this model, as the request named it."""


@dataclass(frozen=True, slots=True)
class ListedResponse:
    """A response in a list: `head` and `output` as in `StoredResponse`."""

    id: str
    head: bytes
    output: bytes


class ResponseStore(Protocol):
    """Responses and their chains. Another tenant's or owner's id answers exactly as an unknown one."""

    async def put_response(self, owner: Owner, response: StoredResponse) -> None:
        """Insert or replace a response. Durable (a committed transaction, FULL) when it returns.

        Raises StoreUnavailable when it could not be written; then nothing was.
        """
        ...

    async def get_response(self, owner: Owner, response_id: str) -> StoredResponse | None:
        """None when unknown, foreign or deleted."""
        ...

    async def delete_response(self, owner: Owner, response_id: str) -> bool:
        """Hide a response at once; its items stay while a live descendant needs them. False when unknown."""
        ...

    async def get_chain(self, owner: Owner, response_id: str) -> Sequence[PastTurn]:
        """The turns from the root to `response_id` inclusive, by one query. Empty when unknown or deleted.

        Ancestors that were deleted are still there: a hidden response's items stay as long as a descendant lives.
        """
        ...

    async def list_responses(self, owner: Owner, page: ResponsePage) -> Sequence[ListedResponse]:
        """At most `limit` responses by age, those created in the same second in the order in which they were put.

        From the beginning, or right behind `after`; with `before` alone, those right in front of it. Deleted ones
        are never listed. Raises InvalidRequest for an unknown, foreign or deleted cursor, naming it in `param`.
        """
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StoredPrompt:
    """One version of a prompt. `body` is a JSON object: `prompt` (the template), `variables`, and perhaps `model`."""

    id: str
    version: int
    created_at: int
    is_default: bool
    body: bytes


class PromptStore(Protocol):
    """Prompts and their versions, from 1 on without gaps. Everybody of a tenant reads and changes them; the subject
    that wrote a version is kept. Another tenant's id answers exactly as an unknown one.
    """

    async def create_prompt(self, owner: Owner, prompt: StoredPrompt) -> None:
        """Add a prompt by its first version, with a fresh id. Durable when it returns. Raises StoreUnavailable."""
        ...

    async def add_version(self, owner: Owner, prompt: StoredPrompt) -> int:
        """Add a version behind the latest, and make it the default where `is_default`: in one transaction, durable.

        Returns the latest version before: it was added exactly when that is `prompt.version - 1`, else nothing
        changed. 0: there is no such prompt.
        """
        ...

    async def set_default_prompt(self, owner: Owner, prompt_id: str, version: int) -> bool:
        """Make this version the one and only default. False, and nothing changed, when there is no such version."""
        ...

    async def get_prompt(
        self, owner: Owner, prompt_id: str, version: int | None = None
    ) -> StoredPrompt | None:
        """The version of this number, without one the default. None when there is none."""
        ...

    async def list_prompts(self, owner: Owner) -> Sequence[StoredPrompt]:
        """The default version of each prompt of the tenant, the newest prompt first."""
        ...

    async def list_prompt_versions(self, owner: Owner, prompt_id: str) -> Sequence[StoredPrompt]:
        """Every version, the first one first. Empty when there is no such prompt."""
        ...

    async def delete_prompt(self, owner: Owner, prompt_id: str) -> bool:
        """Remove all versions. False when there are none."""
        ...


@dataclass(frozen=True, slots=True)
class StoredChat:
    """A stored chat completion. `body` is the completion without `metadata`, `messages` the array that was asked, as
    sent; `metadata` is a JSON object of texts. `created_at`, Unix seconds, is when it was stored.
    """

    id: str
    model: str
    created_at: int
    metadata: bytes
    body: bytes
    messages: bytes


@dataclass(frozen=True, slots=True)
class ChatPage:
    """Which stored chat completions to list. `after` is an id in that order, itself left out."""

    limit: int
    newest_first: bool = False
    after: str | None = None
    model: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Only those that have all of these pairs."""


class ChatStore(Protocol):
    """Stored chat completions. Another owner's id answers exactly as an unknown one."""

    async def add_chat(self, owner: Owner, chat: StoredChat) -> bool:
        """Add one; durable when it returns. False, and nothing changed, when the owner has one of this id.

        Raises StoreUnavailable when it could not be written; then nothing was.
        """
        ...

    async def get_chat(self, owner: Owner, chat_id: str) -> StoredChat | None:
        """None when unknown, foreign or deleted."""
        ...

    async def list_chats(self, owner: Owner, page: ChatPage) -> Sequence[StoredChat]:
        """At most `limit` by age, those of the same second in the order in which they were added; `messages` empty.

        Raises InvalidRequest with `param` "after" for an unknown, foreign or deleted cursor.
        """
        ...

    async def set_chat_metadata(self, owner: Owner, chat_id: str, metadata: bytes) -> StoredChat | None:
        """Replace the metadata; durable. The completion as it is then, without `messages`. None when unknown."""
        ...

    async def delete_chat(self, owner: Owner, chat_id: str) -> bool:
        """Remove one. False when unknown."""
        ...


class ConversationStore(Protocol):
    """Conversations: pointers to the newest turn of a chain, which the turns themselves make up.

    Turns are rows beside the responses, and a response made in a conversation is one of them. Those of status `ITEMS`
    and `REMOVAL` never answer as responses, and those of `ITEMS` are never purged: references may name them. Another
    owner's id answers exactly as an unknown one; a deleted conversation is an unknown one.
    """

    async def create(
        self, owner: Owner, conversation: StoredConversation, first: StoredResponse | None = None
    ) -> None:
        """Durable when it returns, its first turn in the same transaction; `tip` is that turn's id."""
        ...

    async def get(self, owner: Owner, conversation_id: str) -> StoredConversation | None: ...

    async def update(self, owner: Owner, conversation_id: str, metadata: bytes) -> StoredConversation | None:
        """Replace the metadata. The conversation as it is then; None when unknown."""
        ...

    async def delete(self, owner: Owner, conversation_id: str) -> bool:
        """Forget the conversation; its turns stay, without responses that were deleted themselves. False: unknown."""
        ...

    async def get_turns(self, owner: Owner, tip: str | None) -> Sequence[PastTurn]:
        """The turns from the root to the tip inclusive, by one query, whether they are hidden or not.

        Empty for None, and when a turn is missing.
        """
        ...

    async def append(
        self, owner: Owner, conversation_id: str, turn: StoredResponse, *, continues: str | None
    ) -> None:
        """Put a turn and move the tip to it, in one transaction. `continues` is the tip that it was made for.

        A caller that is cancelled meanwhile is so when it is known whether the tip has moved.

        Raises ConversationChanged, and writes nothing, when the tip is another one by now or the conversation is gone.
        """
        ...

    async def get_items(self, owner: Owner, turn_id: str) -> bytes | None:
        """The items of a turn of status `ITEMS`, a JSON array. None for all others."""
        ...


class Store(ResponseStore, Protocol):
    """All that a server keeps. Its parts share one database, and `aclose` closes it once."""

    @property
    def conversations(self) -> ConversationStore: ...

    @property
    def prompts(self) -> PromptStore: ...

    @property
    def chats(self) -> ChatStore: ...

    @property
    def files(self) -> FileStore: ...

    @property
    def mcp(self) -> McpRecords: ...

    @property
    def knowledge(self) -> VectorStoreRecords: ...

    @property
    def agents(self) -> AgentStore: ...

    @property
    def shields(self) -> ShieldRecords: ...

    @property
    def tool_groups(self) -> ToolGroupRecords: ...
