"""Names of groups and their tools, and parameters of tools as old clients read them."""

from typing import Any

import pytest

from antiphon.config.group_settings import connector_id_of
from antiphon.tool_groups.headers import address, headers_for, server_headers
from antiphon.tool_groups.listing import parameters_of
from antiphon.tool_groups.names import distinct_label, label_of, splits


def test_a_name_may_be_a_group_or_a_tool_of_it_wherever_the_slashes_are() -> None:
    assert list(splits("desk")) == [("desk", "")]
    assert list(splits("a/b/c")) == [("a/b/c", ""), ("a/b", "c"), ("a", "b/c")]
    assert list(splits("a/")) == [("a/", "")]
    assert list(splits("/a")) == [("/a", "")]
    assert list(splits("")) == [("", "")]


@pytest.mark.parametrize(
    ("group", "connector", "label"),
    [
        ("mcp::deepwiki", "deepwiki", "deepwiki"),
        ("notes", "notes", "notes"),
        ("mcp::my files/all", "my-files-all", "my-files-all"),
        ("a::b", "a-b", "a-b"),
        ("mcp::..x..", "x", "x"),
        ("mcp::日本", "group-66d8a74ab01e", "group"),
        ("x" * 200, "x" * 128, "x" * 100),
    ],
)
def test_connectors_and_labels_are_made_from_ids(group: str, connector: str, label: str) -> None:
    assert connector_id_of(group) == connector
    assert label_of(group) == label


def test_labels_differ() -> None:
    assert distinct_label("mcp::a b", []) == "a-b"
    assert distinct_label("mcp::a b", ["a-b", "a-b-2"]) == "a-b-3"


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": ["null", "number"]}, "number"),
        ({"anyOf": [{"type": "null"}, {"type": "array"}]}, "array"),
        ({"oneOf": [{"$ref": "#/$defs/x"}]}, "object"),
        ({"properties": {}}, "object"),
        ({}, "string"),
        (True, "string"),
        ({"type": 5}, "string"),
        ({"type": ["null"]}, "string"),
    ],
)
def test_a_parameter_has_one_type(schema: Any, kind: str) -> None:
    [one] = parameters_of({"type": "object", "properties": {"x": schema}, "required": ["x"]})
    assert (one.parameter_type, one.required) == (kind, True)


@pytest.mark.parametrize(
    "schema", [{}, {"properties": None}, {"properties": []}, {"type": "object", "required": 5}]
)
def test_arguments_without_properties_are_no_parameters(schema: Any) -> None:
    assert parameters_of(schema) == []


def test_addresses_are_the_same_whatever_is_asked_there() -> None:
    same = ["https://A.example/mcp", "https://a.example:443/mcp/", "https://a.example/mcp?key=1#x"]
    assert len({address(one) for one in same}) == 1
    others = [
        "http://a.example/mcp",
        "https://a.example:8443/mcp",
        "https://a.example/sse",
        "https://b.example/mcp",
    ]
    assert len({address(one) for one in (*same, *others)}) == 5
    given = server_headers(
        {b"x-llamastack-provider-data": b'{"mcp_headers": {"https://a.example/mcp": {"X-A": "1"}}}'}
    )
    assert headers_for("https://a.example/mcp?key=1", given) == {"X-A": "1"}
    assert headers_for("", given) == headers_for(others[0], given) == {}
    assert (
        server_headers(None)
        == server_headers({b"x-llamastack-provider-data": b'{"openai_api_key": "x"}'})
        == {}
    )
