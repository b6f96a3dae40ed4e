"""Client tools of agents: the types of parameters, both generations, and what no model could be given."""

import json
from typing import Any

import msgspec
import pytest

from antiphon.agents.client_tools import check_client_tools, function_tool
from antiphon.agents.parameter_types import schema_of
from antiphon.agents.shapes import ToolDef
from antiphon.core.errors import InvalidRequest
from antiphon.core.wire import UNSET

Json = dict[str, Any]
NOTHING: Json = {"type": "object", "properties": {}}


def tool(**fields: Any) -> ToolDef:
    return msgspec.convert({"name": "f", **fields}, ToolDef)


def parameter(kind: str, **fields: Any) -> Json:
    return {"name": "p", "parameter_type": kind, "description": "", "required": True, **fields}


@pytest.mark.parametrize(
    ("written", "schema"),
    [
        ("string", {"type": "string"}),
        ("str", {"type": "string"}),
        ("int", {"type": "integer"}),
        ("Integer", {"type": "integer"}),
        ("float", {"type": "number"}),
        ("bool", {"type": "boolean"}),
        ("list", {"type": "array", "items": {}}),
        ("array", {"type": "array", "items": {}}),
        ("List", {"type": "array", "items": {}}),
        ("dict", {"type": "object"}),
        ("object", {"type": "object"}),
        ("None", {"type": "null"}),
        ("NoneType", {"type": "null"}),
        ("Any", {}),
        ("Optional", {}),
        ("datetime", {"type": "string", "format": "date-time"}),
        ("list[str]", {"type": "array", "items": {"type": "string"}}),
        (
            "typing.List[typing.List[int]]",
            {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        ),
        ("tuple[int, ...]", {"type": "array", "items": {"type": "integer"}}),
        ("tuple[int, str]", {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]}}),
        ("dict[str, float]", {"type": "object", "additionalProperties": {"type": "number"}}),
        ("Optional[int]", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("int | None", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("Union[int, int]", {"type": "integer"}),
        ("Union[int, Any]", {}),
        ("Literal['a', 'b', 3]", {"enum": ["a", "b", 3]}),
        (" int ", {"type": "integer"}),
    ],
)
def test_types_of_json_schema_and_of_python_are_read(written: str, schema: Json) -> None:
    assert schema_of(written) == schema


@pytest.mark.parametrize(
    "written",
    [
        "",
        "strng",
        "Colour",
        "int[3]",
        "dict[str]",
        "list[strng]",
        "list[]",
        "Literal[x]",
        "1",
        "f(x)",
        "int or str",
        "[" * 5000,
        "(" * 200,
        "list[" * 60 + "int" + "]" * 60,
        "\x00",
        "__import__('os')",
        "int\n\nint",
        "Optional[]",
    ],
)
def test_types_that_mean_nothing_are_none(written: str) -> None:
    assert schema_of(written) is None


def test_parameters_become_a_schema_with_what_they_say() -> None:
    given = tool(
        description="Adds.",
        parameters=[
            {"name": "a", "parameter_type": "int", "description": "The first", "required": True},
            {"name": "b", "parameter_type": "number", "description": "x", "required": False, "default": 2.5},
            {
                "name": "c",
                "parameter_type": "list",
                "description": "",
                "items": {"type": "string"},
                "title": "C",
            },
            {"name": "d", "parameter_type": "bool", "default": False, "required": None},
        ],
        metadata={"mine": 1},
        tool_prompt_format="python_list",
    )
    made = function_tool(given)
    assert (made.name, made.description, made.strict) == ("f", "Adds.", None)
    assert made.parameters == {
        "type": "object",
        "properties": {
            "a": {"type": "integer", "description": "The first"},
            "b": {"type": "number", "description": "x", "default": 2.5},
            "c": {"type": "array", "items": {"type": "string"}, "description": "", "title": "C"},
            "d": {"type": "boolean", "default": False},
        },
        "required": ["a", "c", "d"],
    }


@pytest.mark.parametrize(
    "fields", [{}, {"parameters": None}, {"parameters": []}, {"input_schema": None}, {"input_schema": {}}]
)
def test_a_tool_without_parameters_takes_an_object_without_properties(fields: Json) -> None:
    assert function_tool(tool(**fields)).parameters == NOTHING


def test_a_schema_is_passed_on_whole_and_its_arrays_have_items() -> None:
    schema: Json = {
        "type": "object",
        "title": "Input",
        "properties": {
            "tags": {"type": "array"},
            "pairs": {"type": "array", "items": {"type": ["array", "null"]}},
            "place": {"$ref": "#/$defs/Place"},
            "fixed": {"type": "array", "prefixItems": [{"type": "array"}]},
            "any": {"anyOf": [{"type": "array"}, {"type": "null"}], "default": {"type": "array"}},
        },
        "required": ["tags"],
        "$defs": {"Place": {"type": "object", "properties": {"at": {"type": "array", "items": True}}}},
    }
    made = function_tool(tool(input_schema=schema, output_schema={"type": "string"}))
    expected = json.loads(json.dumps(schema))
    expected["properties"]["tags"]["items"] = {}
    expected["properties"]["pairs"]["items"]["items"] = {}
    expected["properties"]["fixed"]["prefixItems"][0]["items"] = {}
    expected["properties"]["any"]["anyOf"][0]["items"] = {}
    assert made.parameters == expected
    assert made.output_schema == {"type": "string"}


def test_a_schema_without_type_or_properties_gets_them() -> None:
    assert function_tool(tool(input_schema={"required": []})).parameters == NOTHING | {"required": []}


def test_what_was_left_out_stays_out() -> None:
    made = function_tool(tool(description=""))
    assert (made.description, made.output_schema) == (UNSET, UNSET)


CYCLE: Json = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/A"}},
    "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
}
ENDLESS: Json = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}


def deep(levels: int) -> Json:
    schema: Json = {"type": "object"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"x": schema}}
    return schema


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([{"name": "a"}, {"name": "b"}, {"name": "a"}], "t[2].name"),
        ([{"name": "has space"}], "t[0].name"),
        ([{"name": "x" * 129}], "t[0].name"),
        ([{"name": "naïve"}], "t[0].name"),
        ([{"name": "a.b"}], "t[0].name"),
        ([{"name": "line\n"}], "t[0].name"),
        ([{"name": "knowledge_search"}], "t[0].name"),
        ([{"name": "brave_search"}], "t[0].name"),
        ([{"name": "web_search"}], "t[0].name"),
        ([{"name": "wolfram_alpha"}], "t[0].name"),
        ([{"name": "code_interpreter"}], "t[0].name"),
        ([{"name": "a", "parameters": [parameter("strng")]}], "t[0].parameters[0].parameter_type"),
        ([{"name": "a", "parameters": [parameter("int"), parameter("int")]}], "t[0].parameters[1].name"),
        ([{"name": "a", "parameters": [parameter("int", items={})]}], "t[0].parameters[0].items"),
        (
            [{"name": "a", "parameters": [parameter("list", items={"type": "x"})]}],
            "t[0].parameters[0].items.type",
        ),
        ([{"name": "a", "parameters": [parameter("dict", default=deep(40))]}], "t[0].parameters[0].default"),
        ([{"name": "a", "input_schema": {"type": "array"}}], "t[0].input_schema.type"),
        ([{"name": "a", "input_schema": {"type": "objekt"}}], "t[0].input_schema.type"),
        ([{"name": "a", "input_schema": {"properties": {"p": 1}}}], "t[0].input_schema.properties.p"),
        ([{"name": "a", "input_schema": deep(60)}], "t[0].input_schema"),
        ([{"name": "a", "input_schema": {"description": "x" * 300_000}}], "t[0].input_schema"),
        ([{"name": "a", "input_schema": CYCLE}], "t[0].input_schema"),
        ([{"name": "a", "input_schema": {"$ref": "#"}}], "t[0].input_schema"),
        ([{"name": "a", "input_schema": ENDLESS}], "t[0].input_schema"),
        ([{"name": "a", "input_schema": {"$ref": "#/$defs/no"}}], "t[0].input_schema.$ref"),
        ([{"name": "a", "output_schema": {"anyOf": [{"$ref": "#"}]}}], "t[0].output_schema"),
        ([{"name": "a", "metadata": deep(60)}], "t[0].metadata"),
        ([{"name": "a", "input_schema": NOTHING, "parameters": [parameter("int")]}], "t[0].parameters"),
        ([{"name": f"t{at}", "description": "x" * 1_000_000} for at in range(5)], "t"),
    ],
)
def test_what_no_model_could_be_given_is_refused_by_its_place(tools: list[Json], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_client_tools(msgspec.convert(tools, list[ToolDef]), "t")
    assert caught.value.param == param
    assert f"`{param}`" in caught.value.message


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
            "required": ["next"],
        },
        {
            "type": "object",
            "properties": {"below": {"type": "array", "items": {"$ref": "#"}}},
            "required": ["below"],
        },
        {
            "$ref": "#/$defs/Tree",
            "$defs": {"Tree": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Tree"}}},
        },
        {"type": "object", "properties": {"$ref": {"type": "string"}, "allOf": {"type": "string"}}},
        {"type": "object", "default": {"$ref": "#/default"}},
    ],
)
def test_schemas_that_contain_themselves_where_a_value_may_end_are_fine(schema: Json) -> None:
    check_client_tools([tool(input_schema=schema)], "t")
