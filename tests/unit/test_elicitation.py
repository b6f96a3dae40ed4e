"""Questions of MCP servers: which forms are put to users, and which answers are taken."""

from typing import Any

import pytest

from antiphon.core.elicitation import check_answer, fault_of_content, fault_of_form
from antiphon.core.errors import InvalidRequest
from antiphon.core.hosted_items import ElicitationAction, McpElicitationRequest, McpElicitationResponse
from antiphon.core.wire import UNSET, JsonObject

FORM: JsonObject = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 5},
        "email": {"type": "string", "format": "email"},
        "day": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "page": {"type": "string", "format": "uri"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "ratio": {"type": "number", "minimum": 0.5},
        "sure": {"type": "boolean"},
        "size": {"type": "string", "enum": ["s", "m"]},
        "colour": {"oneOf": [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]},
        "tags": {
            "type": "array",
            "items": {"type": "string", "enum": ["a", "b"]},
            "minItems": 1,
            "maxItems": 2,
        },
        "hues": {"type": "array", "items": {"anyOf": [{"const": "r", "title": "Red"}]}},
    },
    "required": ["name"],
}


def test_every_kind_of_field_of_the_protocol_is_taken() -> None:
    content = {
        "name": "Ada",
        "email": "ada@example.com",
        "day": "2026-01-31",
        "at": "2026-01-31T10:00:00Z",
        "page": "https://example.com/a",
        "age": 36.0,
        "ratio": 0.5,
        "sure": False,
        "size": "m",
        "colour": "g",
        "tags": ["b", "a"],
        "hues": [],
    }
    assert fault_of_form(FORM) is None
    assert fault_of_content(FORM, content) is None
    assert fault_of_content(FORM, {"name": "Ada"}) is None


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("name", 3, "expected a string"),
        ("name", "A", "at least 2 characters"),
        ("name", "Augusta", "at most 5 characters"),
        ("email", "ada", "the form of email"),
        ("day", "31.1.2026", "the form of date"),
        ("day", "2026-02-30", "the form of date"),
        ("at", "2026-01-31", "the form of date-time"),
        ("page", "example", "the form of uri"),
        ("age", True, "expected an integer, got true"),
        ("age", 1.5, "expected an integer"),
        ("age", -1, "at least 0"),
        ("age", 10**400, "expected an integer"),
        ("ratio", 0.25, "at least 0.5"),
        ("ratio", "1", "expected a number"),
        ("sure", 1, "expected true or false"),
        ("size", "xl", "expected one of s, m"),
        ("colour", "Red", "expected one of r, g"),
        ("tags", "a", "expected an array"),
        ("tags", [], "at least 1 entries"),
        ("tags", ["a", "b", "a"], "at most 2 entries"),
        ("tags", ["a", "c"], "expected some of a, b"),
        ("tags", [1], "expected strings"),
        ("hues", ["g"], "expected some of r"),
        ("more", 1, "the form has no such field"),
    ],
)
def test_what_leaves_the_form_is_named(name: str, value: object, why: str) -> None:
    fault = fault_of_content(FORM, {"name": "Ada", name: value})
    assert fault is not None
    assert fault[0] == f".{name}"
    assert why in fault[1]


def test_a_required_field_that_is_missing_is_named() -> None:
    assert fault_of_content(FORM, {}) == (".name", "required, and missing")


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"type": "array"}, "no object"),
        ({"type": "object", "properties": []}, "no object"),
        ({"type": "object", "properties": {"a": {"type": "object"}}}, 'its field "a"'),
        ({"type": "object", "properties": {"a": True}}, 'its field "a"'),
        ({"type": "object", "properties": {"a": {"type": ["string", "null"]}}}, 'its field "a"'),
        ({"type": "object", "properties": {}, "required": ["a"]}, "requires fields"),
        ({"type": "object", "properties": {}, "required": "a"}, "requires fields"),
        ({"type": "object", "properties": {f"f{at}": {"type": "string"} for at in range(129)}}, "128 fields"),
        ({"type": "object", "properties": {}, "title": "x" * 70_000}, "larger than"),
    ],
)
def test_a_form_that_cannot_be_shown_is_refused(form: dict[str, Any], why: str) -> None:
    assert why in str(fault_of_form(form))


def test_a_form_that_is_nested_without_end_is_refused() -> None:
    form: dict[str, Any] = {"type": "object"}
    for _ in range(5000):
        form = {"properties": form}
    assert "nested" in str(fault_of_form(form))


def asked(mode: str = "form") -> McpElicitationRequest:
    return McpElicitationRequest(
        id="mcpe_1",
        server_label="s",
        name="t",
        arguments="{}",
        message="Who?",
        expires_at=1,
        mode="url" if mode == "url" else "form",
        requested_schema=FORM if mode == "form" else None,
    )


def answer(action: ElicitationAction, content: JsonObject | None = None) -> McpElicitationResponse:
    return McpElicitationResponse(
        elicitation_request_id="mcpe_1", action=action, content=UNSET if content is None else content
    )


@pytest.mark.parametrize(
    ("mode", "given"),
    [
        ("form", answer("accept", {"name": "Ada"})),
        ("form", answer("decline")),
        ("form", answer("cancel")),
        ("url", answer("accept")),
    ],
)
def test_an_answer_that_fits_is_taken(mode: str, given: McpElicitationResponse) -> None:
    check_answer(asked(mode), given, "input[1]")


@pytest.mark.parametrize(
    ("mode", "given", "param"),
    [
        ("form", answer("accept"), "input[1].content"),
        ("form", answer("accept", {"name": 1}), "input[1].content.name"),
        ("form", answer("decline", {"name": "Ada"}), "input[1].content"),
        ("url", answer("accept", {"name": "Ada"}), "input[1].content"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused_at_its_field(
    mode: str, given: McpElicitationResponse, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_answer(asked(mode), given, "input[1]")
    assert refused.value.param == param
