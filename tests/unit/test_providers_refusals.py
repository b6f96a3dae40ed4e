"""The words in which each kind of server refuses, and what we make of them."""

import json

import pytest

from antiphon.core import errors
from antiphon.providers.refusals import Redaction, refusal

OVERFLOWS = [
    (
        400,
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens.",
    ),
    (400, "the request exceeds the available context size (4096 tokens), try increasing it"),
    (400, "The decoder prompt (length 9000) is longer than the maximum model length of 8192."),
    (400, "Input length 9000 exceeds the maximum allowed length; prompt is too long"),
    (413, "Please reduce the length of the messages or completion."),
    (500, "the input length exceeds the context length"),
    (500, "input (15002 tokens) is too large to process. increase the physical batch size (current: 512)"),
    (422, "`inputs` must have less than 4096 tokens: too many tokens"),
]


@pytest.mark.parametrize(("status", "message"), OVERFLOWS)
def test_an_overflow_of_the_context_is_known_in_every_wording(status: int, message: str) -> None:
    error = refusal("p", status, json.dumps({"error": {"message": message}}).encode(), Redaction())
    assert isinstance(error, errors.ProviderContextLength)
    assert (error.status, error.code) == (400, "context_length_exceeded")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "no", "code": "context_length_exceeded"}}, errors.ProviderContextLength),
        (400, {"error": {"type": "exceed_context_size_error"}}, errors.ProviderContextLength),
        (401, None, errors.ProviderAuthFailed),
        (402, {"error": "Insufficient balance"}, errors.ProviderUnavailable),
        (403, {"detail": "no"}, errors.ProviderAuthFailed),
        (404, {"error": {"message": "no", "code": "DeploymentNotFound"}}, errors.ProviderModelUnknown),
        (404, {"error": "model 'x' not found"}, errors.ProviderModelUnknown),
        (404, {"detail": "Not Found"}, errors.ProviderProtocolError),
        (404, None, errors.ProviderProtocolError),
        (400, [{"error": {"message": "bad", "status": "INVALID"}}], errors.ProviderRejected),
        (422, {"detail": [{"msg": "field required"}]}, errors.ProviderRejected),
        (429, {"message": "slow"}, errors.ProviderRateLimited),
        (500, None, errors.ProviderUnavailable),
        (
            500,
            {"error": {"message": "image input is not supported - hint: you may need to provide the mmproj"}},
            errors.ProviderRejected,
        ),
        (302, None, errors.ProviderProtocolError),
        (405, None, errors.ProviderProtocolError),
    ],
)
def test_each_refusal_has_its_error(status: int, body: object, kind: type[errors.ProviderError]) -> None:
    raw = b"" if body is None else json.dumps(body).encode()
    assert type(refusal("p", status, raw, Redaction())) is kind


def test_a_page_of_html_is_not_quoted() -> None:
    assert "html" not in refusal("p", 503, b"<html><b>Bad</b></html>", Redaction()).message


def test_keys_are_never_quoted_even_those_that_are_not_ours() -> None:
    body = b'{"error": "got Bearer abcdef and sk-abcdefghij, custom hush-hush"}'
    message = refusal("p", 400, body, Redaction(("hush-hush",))).message
    assert "abcdef" not in message
    assert "hush" not in message


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe",
        b'{"\xff": 1}',
        b'{"error": "\xff"}',
        b"[" * 100_000,
        b"null",
        b"[]",
        b'{"error": null}',
        b'{"error": 7}',
    ],
)
def test_no_body_can_break_the_mapping(body: bytes) -> None:
    assert isinstance(refusal("p", 400, body, Redaction()), errors.ProviderRejected)
