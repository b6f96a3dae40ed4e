"""The part of responses, and of their stream events, that we read: every field optional, unknown ones skipped.

Sources: `ResponseStreamEvent` and `Response` of the official OpenAPI, and what llama.cpp, vLLM, Ollama, OGX and LiteLLM
send instead.
"""

from typing import Any

import msgspec

from antiphon.core.items import (
    Annotation,
    ContainerFileCitation,
    FileCitation,
    FilePath,
    Logprob,
    UrlCitation,
)
from antiphon.core.signals import FinishReason
from antiphon.core.usage import InputDetails, OutputDetails, Usage
from antiphon.providers.chat_shapes import Logprobs, RawLogprob, logprobs_of


class Delta(msgspec.Struct, gc=False):
    """What a delta event holds; of every other event its type. Read first, since nine events of ten are deltas."""

    type: str = ""
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = 0
    summary_index: int | None = 0
    delta: Any = None
    logprobs: Any = None


class RawPart(msgspec.Struct):
    """A content part, or a part of a reasoning item's summary."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    logprobs: list[RawLogprob] | None = None


class RawItem(msgspec.Struct):
    type: str = ""
    id: str | None = None
    phase: str | None = None
    content: list[RawPart] | str | None = None
    summary: list[RawPart] | None = None
    encrypted_content: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | dict[str, Any] | None = None
    input: Any = None

    @property
    def parts(self) -> list[RawPart]:
        if isinstance(self.content, str):
            return [RawPart("output_text", self.content)]
        return self.content or []


class RawInputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class RawOutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class RawUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: RawInputDetails | None = None
    output_tokens_details: RawOutputDetails | None = None

    def usage(self) -> Usage:
        given, made = self.input_tokens or 0, self.output_tokens or 0
        details, out = self.input_tokens_details, self.output_tokens_details
        return Usage(
            input_tokens=given,
            input_tokens_details=InputDetails(
                cached_tokens=(details.cached_tokens if details else None) or 0,
                cache_write_tokens=(details.cache_write_tokens if details else None) or 0,
            ),
            output_tokens=made,
            output_tokens_details=OutputDetails(
                reasoning_tokens=(out.reasoning_tokens if out else None) or 0
            ),
            total_tokens=self.total_tokens or given + made,
        )


class RawIncomplete(msgspec.Struct):
    reason: str | None = None


class RawResponse(msgspec.Struct):
    """A whole response; `status` is empty where the server has none."""

    object: str | None = None
    status: str | None = None
    output: list[RawItem] | None = None
    error: Any = None
    incomplete_details: RawIncomplete | None = None
    usage: RawUsage | None = None
    service_tier: str | None = None


class Event(msgspec.Struct):
    """An event that is no delta."""

    type: str = ""
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    item: RawItem | None = None
    part: RawPart | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    name: str | None = None
    annotation: Any = None
    response: RawResponse | None = None
    error: Any = None
    code: Any = None
    message: Any = None


class RawAnnotation(msgspec.Struct):
    """An annotation of any of the four types."""

    type: str = ""
    url: str = ""
    title: str | None = None
    file_id: str = ""
    filename: str = ""
    container_id: str = ""
    index: int = 0
    start_index: int = 0
    end_index: int = 0

    def moved(self, by: int) -> Annotation | None:
        """The annotation of a text that begins so many characters earlier; None for a type that is not known."""
        start, end = self.start_index + by, self.end_index + by
        match self.type:
            case "url_citation":
                return UrlCitation(url=self.url, title=self.title or "", start_index=start, end_index=end)
            case "file_citation":
                return FileCitation(file_id=self.file_id, filename=self.filename, index=self.index + by)
            case "container_file_citation":
                return ContainerFileCitation(
                    container_id=self.container_id,
                    file_id=self.file_id,
                    filename=self.filename,
                    start_index=start,
                    end_index=end,
                )
            case "file_path":
                return FilePath(file_id=self.file_id, index=self.index + by)
            case _:
                return None


def annotations_of(raw: list[Any], moved_by: int) -> list[Annotation]:
    """The annotations that we know; what is none is left out."""
    found: list[Annotation] = []
    for one in raw:
        try:
            annotation = msgspec.convert(one, RawAnnotation).moved(moved_by)
        except msgspec.ValidationError:
            continue
        if annotation is not None:
            found.append(annotation)
    return found


def logprobs_in(raw: Any) -> tuple[Logprob, ...]:
    """The log probabilities of a delta, which leaves out the bytes."""
    try:
        return logprobs_of(Logprobs(msgspec.convert(raw, list[RawLogprob])))
    except msgspec.ValidationError:
        return ()


INCOMPLETE: dict[str, FinishReason] = {"content_filter": "content_filter"}
"""Why an answer is incomplete, where it is not its length. Some servers make up words of their own for that."""

NOT_RETRIED = frozenset({"invalid_prompt", "data_residency_mismatch", "bio_policy"})
"""`ResponseErrorCode`s that blame the request, with all that are about an image."""

AWAITED = frozenset({"computer_call", "local_shell_call", "apply_patch_call", "mcp_approval_request"})
"""Items that wait for the client. We offer no such tools, so nobody could answer."""
