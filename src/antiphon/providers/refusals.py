"""What an upstream's refusal means: its status and body, mapped to one error of ours.

The wordings are those of OpenAI, Azure, vLLM, llama.cpp, Ollama and the gateways in front of them. Nothing of
our own side leaks: messages are stripped of control characters, of our credentials and of the upstream's
address.
"""

import math
import re
from dataclasses import dataclass
from typing import Any

import msgspec

from antiphon.core.errors import (
    ProviderAuthFailed,
    ProviderContextLength,
    ProviderError,
    ProviderModelUnknown,
    ProviderProtocolError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from antiphon.core.json_values import is_array, is_object

RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may do better. 409 is how OpenAI reports a lock it could not get, 529 how
Anthropic says that it is overloaded.
"""

MAX_MESSAGE = 500

CONTEXT_OVERFLOW = re.compile(
    r"context[ _]length|maximum context|context (?:size|window)|exceed_context_size"
    r"|too many (?:input )?tokens"
    r"|prompt is too long|input (?:length|is too long)|longer than the maximum (?:model|context)"
    r"|maximum (?:input|prompt) length|max_model_len|reduce the length of"
    r"|`inputs` (?:tokens \+|must have less than)|too large to process",
    re.IGNORECASE,
)
NOT_TAKEN = re.compile(
    r"(?:image|audio|video|multimodal) (?:input|data)?\s*(?:is|are) not supported", re.IGNORECASE
)
"""How llama.cpp says, by a 500, that a model takes no such input: the request is wrong, the server is well."""
CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
MODEL_CODES = frozenset({"model_not_found", "DeploymentNotFound", "NotFoundError", "model_not_available"})

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_KEY_LIKE = re.compile(r"\b(?:sk|pk|gsk|rk)-[A-Za-z0-9_*.-]{6,}|\bBearer\s+\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Redaction:
    """Texts that must never be quoted: keys, header values, the upstream's host."""

    secrets: tuple[str, ...] = ()

    def clean(self, text: str) -> str:
        """`text` on one line, without secrets, at most MAX_MESSAGE characters."""
        text = text[: 20 * MAX_MESSAGE]
        for secret in self.secrets:
            if secret:
                text = text.replace(secret, "[redacted]")
        text = _CONTROL.sub(" ", _KEY_LIKE.sub("[redacted]", text)).strip()
        return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


@dataclass(frozen=True, slots=True)
class _Facts:
    message: str
    code: str
    param: str | None
    status: int | None


def refusal(
    provider: str, status: int, body: bytes, redaction: Redaction, *, retry_after: float | None = None
) -> ProviderError:
    """The error for a non-2xx answer."""
    try:
        parsed: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        parsed = body.decode("utf-8", "replace") if not body.lstrip().startswith(b"<") else ""
    error = _mapped(provider, status, _facts(parsed, redaction), retry_after)
    error.upstream_status = status
    return error


def stream_error(provider: str, error: object, redaction: Redaction) -> ProviderError:
    """The error for an error object inside a 2xx answer. Its status, if it names one, decides; else it is a
    500.
    """
    facts = _facts(error, redaction)
    status = facts.status or _STATUS_BY_CODE.get(facts.code, 500)
    return _mapped(provider, status, facts, None)


_STATUS_BY_CODE = {
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}


def _mapped(provider: str, status: int, facts: _Facts, retry_after: float | None) -> ProviderError:
    name = f'provider "{provider}"'
    said = f": {facts.message}" if facts.message else "."
    wait = str(math.ceil(retry_after)) if retry_after is not None else None
    if status in (401, 403):
        return ProviderAuthFailed(
            provider,
            f"{name} refused our credentials (HTTP {status}); check its api_key in the configuration.",
        )
    if status == 404:
        return _not_found(provider, name, facts)
    if status == 429:
        return ProviderRateLimited(provider, f"{name} limits our rate{said}", retry_after=wait)
    if status == 408:
        return ProviderTimeout(provider, f"{name} gave up waiting{said}")
    if status in (402, 409, 424) or status >= 500:  # 424 is how TGI reports that the model failed
        if CONTEXT_OVERFLOW.search(facts.message) or facts.code in CONTEXT_CODES:
            # llama.cpp and some gateways report an overflow as a 500.
            return ProviderContextLength(provider, f"{name}{said}", param="input")
        if NOT_TAKEN.search(facts.message):
            return ProviderRejected(provider, f"{name} rejected the request{said}", param=facts.param)
        return ProviderUnavailable(provider, f"{name} failed with HTTP {status}{said}", retry_after=wait)
    if status >= 400 and status not in (405, 406, 415):
        return _rejected(provider, name, said, facts)
    return ProviderProtocolError(
        provider, f"{name} answered HTTP {status}, which this wire does not expect; check its base_url."
    )


def _not_found(provider: str, name: str, facts: _Facts) -> ProviderError:
    if facts.code in MODEL_CODES or "model" in facts.message.lower():
        return ProviderModelUnknown(
            provider, f"{name} does not serve this model: {facts.message}", param="model"
        )
    return ProviderProtocolError(provider, f"{name} has no such path (HTTP 404); check its base_url.")


def _rejected(provider: str, name: str, said: str, facts: _Facts) -> ProviderError:
    if facts.code in CONTEXT_CODES or CONTEXT_OVERFLOW.search(facts.message):
        return ProviderContextLength(provider, f"{name}{said}", param="input")
    if facts.code == "model_not_found":
        return ProviderModelUnknown(provider, f"{name} does not serve this model{said}", param="model")
    return ProviderRejected(provider, f"{name} rejected the request{said}", param=facts.param)


def _facts(parsed: object, redaction: Redaction) -> _Facts:
    """Message, code, param and status out of every shape that is in use."""
    if is_array(parsed) and parsed:
        parsed = parsed[0]  # Google's gateway wraps its error in an array
    inner = parsed["error"] if is_object(parsed) and "error" in parsed else parsed
    if not is_object(inner):
        return _Facts(redaction.clean(inner if isinstance(inner, str) else ""), "", None, None)
    code, kind, param = inner.get("code"), inner.get("type"), inner.get("param")
    message = inner.get("message") or inner.get("detail") or inner.get("msg") or ""
    return _Facts(
        message=redaction.clean(message if isinstance(message, str) else str(message)),
        code=next((word for word in (code, kind) if isinstance(word, str) and word), ""),
        param=redaction.clean(param) if isinstance(param, str) and param else None,
        status=_status(code) or _status(inner.get("status")) or _status(inner.get("http_status_code")),
    )


def _status(value: object) -> int | None:
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and 400 <= value <= 599 else None
