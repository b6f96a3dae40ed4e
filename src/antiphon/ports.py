"""What the core and the services need from outside, as protocols. The docstrings are the contract."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self, runtime_checkable

from antiphon.core.commands import CallModel, CallTool
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal, ToolDone
from antiphon.core.transcript import PastTurn


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose data a call may see: a tenant, and a subject (user or key) in it."""

    tenant: str
    subject: str


Constraint = Literal["json_schema", "json_object", "grammar"]
"""`text.format` of the two types, and the grammars of custom tools."""


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

    async def list_models(self) -> Sequence[ModelInfo]:
        """The models the upstream serves now. Raises `ProviderError`."""
        ...

    async def aclose(self) -> None: ...


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

    async def run(self, owner: Owner, call: CallTool) -> ToolDone:
        """Run one call to its end. A failing tool is a `ToolDone` that says so; only cancellation raises."""
        ...


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as stored: wire JSON, kept once, and the columns that are queried.

    `head` is the response object without `output`; `input` and `output` are JSON arrays of this response's own new
    items (not of its ancestors), every item with an id.
    """

    id: str
    parent_id: str | None
    status: str
    model: str
    created_at: int
    head: bytes
    input: bytes
    output: bytes
    served_by: str = ""
    """The model that answered, `provider_id/model`; "" where it is not known."""


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


class Store(ResponseStore, Protocol):
    """All that a server keeps. Its parts share one database, and `aclose` closes it once."""
