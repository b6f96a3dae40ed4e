"""Every bad request is refused with the path of the fault, what was found, and what to do."""

import json
from typing import Any

import pytest

from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.request import ResponseRequest

TOOL: dict[str, Any] = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": None}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | fields).encode()


def item(**fields: Any) -> bytes:
    return body(input=[fields])


def user(*parts: Any) -> bytes:
    return item(type="message", role="user", content=list(parts))


def tool(**fields: Any) -> bytes:
    return body(tools=[TOOL | fields])


def schema(value: Any) -> bytes:
    return body(text={"format": {"type": "json_schema", "name": "n", "schema": value}})


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"properties": {"x": value}}
    return value


NOT_JSON = [
    (b"", None, "empty"),
    (b"  \n", None, "empty"),
    (b"{", None, "not valid JSON"),
    (b'{"model": "m",}', None, "not valid JSON"),
    (b'{"model": "m"} x', None, "not valid JSON"),
    (b'{"model": "m", "input": "hi", "temperature": NaN}', None, "not valid JSON"),
    (b'{"model": "\xff", "input": "hi"}', None, "UTF-8"),
    (b"\xff\xfe{}", None, "UTF-8"),
    (b"[]", None, "JSON object, not an array"),
    (b"null", None, "JSON object, not null"),
    (b'"hi"', None, "JSON object, not the string"),
    (b"[" * 100_000, None, "nested too deep"),
    (b'{"a":' * 100_000, None, "nested too deep"),
    (b'{"model":"m","input":"x","client_metadata":' + b"[" * 100_000, None, "nested too deep"),
]
NEEDS = [
    (b"{}", "model", "required"),
    (body(model=""), "model", "GET /v1/models"),
    (body(model=None), "model", "required"),
    (body(model=5), "model", "expected a string, found the integer 5"),
    (b'{"model": "m"}', "input", "required"),
    (body(input=None), "input", "required"),
    (body(previous_response_id="resp_1", conversation="conv_1"), "previous_response_id", "send one of them"),
    (body(stream_options={"include_obfuscation": False}), "stream_options", "stream: true"),
    (body(background=True, store=False), "background", "stored"),
]
WRONG_TYPES = [
    (body(input=5), "input", "expected a string or an array, found the integer 5"),
    (body(input={"role": "user"}), "input", "found an object"),
    (body(stream="yes"), "stream", 'expected true or false, found the string "yes"'),
    (body(store=1), "store", "true or false"),
    (body(temperature="hot"), "temperature", "expected a number"),
    (body(temperature=True), "temperature", "found true"),
    (body(tools={}), "tools", "expected an array, found an object"),
    (body(metadata=[]), "metadata", "expected an object, found an array"),
    (body(metadata={"a": 1}), "metadata.a", "expected a string, found the integer 1"),
    (body(instructions=["be nice"]), "instructions", "found an array"),
    (body(text="json"), "text", "expected an object"),
    (body(text={"format": "json"}), "text.format", "expected an object"),
    (body(reasoning={"effort": "huge"}), "reasoning.effort", "Allowed:"),
    (body(reasoning={"effort": "hgih"}), "reasoning.effort", 'Did you mean "high"?'),
    (
        body(stream=True, stream_options={"include_obfuscation": 1}),
        "stream_options.include_obfuscation",
        "true",
    ),
    (body(client_metadata="x"), "client_metadata", "expected an object"),
    (body(stop=[1]), "stop[0]", "expected a string"),
]
NUMBERS = [
    (body(max_output_tokens=15), "max_output_tokens", "16 to"),
    (body(max_output_tokens=16.5), "max_output_tokens", "expected an integer, found the number 16.5"),
    (body(max_output_tokens=10**30), "max_output_tokens", "out of range"),
    (body(temperature=2.1), "temperature", "0 to 2"),
    (body(temperature=-1), "temperature", "0 to 2"),
    (
        body(
            tools=[
                {
                    "type": "file_search",
                    "vector_store_ids": ["vs_1"],
                    "filters": {"type": "eq", "key": "year", "value": 10**400},
                }
            ]
        ),
        "tools[0].filters.value",
        "out of range",
    ),
    (body(top_p=1.5), "top_p", "0 to 1"),
    (body(presence_penalty=3), "presence_penalty", "-2 to 2"),
    (body(frequency_penalty=-2.5), "frequency_penalty", "-2 to 2"),
    (body(top_logprobs=21), "top_logprobs", "0 to 20"),
    (body(top_logprobs=-1), "top_logprobs", "0 to 20"),
    (body(max_tool_calls=0), "max_tool_calls", "1 to"),
    (body(max_infer_iters=0), "max_infer_iters", "1 to 100"),
    (body(max_infer_iters=101), "max_infer_iters", "1 to 100"),
    (body(repetition_penalty=0), "repetition_penalty", "more than 0"),
    (body(min_p=2), "min_p", "0 to 1"),
    (body(seed=2**70), "seed", "out of range"),
]
SIZES = [
    (body(metadata={str(at): "x" for at in range(17)}), "metadata", "17 keys; at most 16"),
    (body(metadata={"k" * 65: "x"}), "metadata." + "k" * 64, "at most 64"),
    (body(metadata={"a": "x" * 513}), "metadata.a", "at most 512"),
    (body(safety_identifier="x" * 65), "safety_identifier", "at most 64"),
    (body(prompt_cache_key="x" * 65), "prompt_cache_key", "at most 64"),
    (body(input=[{"role": "user", "content": "x"}] * 10_001), "input", "10001 elements; at most 10000"),
    (body(tools=[TOOL] * 513), "tools", "513 elements; at most 512"),
    (body(stop=["x"] * 17), "stop", "at most 16"),
    (body(include=["reasoning.encrypted_content"] * 65), "include", "at most 64"),
]
ITEMS = [
    (body(input=["hi"]), "input[0]", "expected an object"),
    (body(input=[None]), "input[0]", "found null"),
    (item(type="mesage"), "input[0].type", 'Did you mean "message"?'),
    (item(type=5), "input[0].type", "expected a string"),
    (item(content="hi"), "input[0].type", "required"),
    (item(role="robot", content="hi"), "input[0].role", "Allowed:"),
    (item(role="user"), "input[0].content", "required"),
    (item(role="user", content=None), "input[0].content", "found null"),
    (item(role="user", content="hi", nme="x"), "input[0].nme", "unknown field"),
    (
        user({"type": "input_text", "text": 5}),
        "input[0].content[0].text",
        "expected a string, found the integer 5",
    ),
    (user({"type": "input_text"}), "input[0].content[0].text", "required"),
    (user({"type": "text", "text": "x"}), "input[0].content[0].type", 'Did you mean "input_text"?'),
    (user({"type": "image_url", "image_url": {"url": "x"}}), "input[0].content[0].type", "not known here"),
    (user({"type": "input_image", "image_url": {"url": "x"}}), "input[0].content[0].image_url", "a string"),
    (user("hi"), "input[0].content[0]", "expected an object"),
    (item(role="assistant", content="x", tool_calls=[]), "input[0].tool_calls", "type function_call"),
    (item(type="function_call", call_id="c", name="f"), "input[0].arguments", "required"),
    (
        item(type="function_call", call_id="", name="f", arguments="{}"),
        "input[0].call_id",
        "must not be empty",
    ),
    (
        item(type="function_call", call_id="c", name="f", arguments={}),
        "input[0].arguments",
        "expected a string",
    ),
    (item(type="function_call_output", output="x"), "input[0].call_id", "required"),
    (item(type="function_call_output", call_id="c", output=5), "input[0].output", "a string or an array"),
    (item(type="item_reference"), "input[0].id", "required"),
    (item(type="reasoning", summary="thought"), "input[0].summary", "expected an array"),
]
TOOLS = [
    (tool(name="no spaces"), "tools[0].name", "characters that are not allowed"),
    (tool(name="line\n"), "tools[0].name", "characters that are not allowed"),
    (tool(name=""), "tools[0].name", "must not be empty"),
    (tool(name="x" * 129), "tools[0].name", "at most 128"),
    (body(tools=[TOOL, TOOL]), "tools[1].name", "tools[0] too"),
    (body(tools=[{"type": "functoin", "name": "f"}]), "tools[0].type", 'mean "function"'),
    (body(tools=[{"type": "function"}]), "tools[0].name", "required"),
    (body(tools=[{"type": "function", "function": {"name": "f"}}]), "tools[0].function", "Chat Completions"),
    (tool(descripton="x"), "tools[0].descripton", 'Did you mean "description"?'),
    (tool(parameters=[]), "tools[0].parameters", "expected an object"),
    (tool(parameters={"type": "array"}), "tools[0].parameters.type", "object"),
    (tool(parameters={"properties": []}), "tools[0].parameters.properties", "expected a schema"),
    (
        tool(parameters={"properties": {"a": {"type": "text"}}}),
        "tools[0].parameters.properties.a.type",
        "boolean, integer",
    ),
    (tool(parameters={"required": "a"}), "tools[0].parameters.required", "property names"),
    (tool(parameters={"anyOf": [{}, 5]}), "tools[0].parameters.anyOf[1]", "expected a schema"),
    (
        tool(parameters={"properties": {"a": {"$ref": "#/$defs/b"}}}),
        "tools[0].parameters.properties.a.$ref",
        "does not resolve",
    ),
    (
        tool(parameters={"properties": {"a": {"$ref": "https://example.test/s"}}}),
        "tools[0].parameters.properties.a.$ref",
        "within this schema",
    ),
    (tool(parameters=nested(40)), "tools[0].parameters", "nested deeper"),
    (tool(strict="yes"), "tools[0].strict", "true or false"),
]
CHOICES = [
    (body(tool_choice="autoo"), "tool_choice", 'Did you mean "auto"?'),
    (body(tool_choice=5), "tool_choice", "found the integer 5"),
    (body(tool_choice="required"), "tool_choice", "needs `tools`"),
    (body(tool_choice={"type": "function", "name": "gone"}), "tool_choice.name", "there: none"),
    (body(tools=[TOOL], tool_choice={"type": "function", "name": "lok"}), "tool_choice.name", "there: look"),
    (body(tools=[TOOL], tool_choice={"type": "function"}), "tool_choice.name", "required"),
    (body(tools=[TOOL], tool_choice={"name": "look"}), "tool_choice.type", "required"),
    (
        body(tools=[TOOL], tool_choice={"type": "allowed_tools", "mode": "auto", "tools": []}),
        "tool_choice.tools",
        '"none"',
    ),
    (
        body(tools=[TOOL], tool_choice={"type": "allowed_tools", "mode": "none", "tools": []}),
        "tool_choice.mode",
        "Allowed:",
    ),
    (
        body(
            tools=[TOOL],
            tool_choice={
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "look"}, {"type": "function", "name": "gone"}],
            },
        ),
        "tool_choice.tools[1].name",
        "not among `tools`",
    ),
    (
        body(
            tools=[TOOL],
            tool_choice={"type": "allowed_tools", "mode": "auto", "tools": [{"type": "functoin"}]},
        ),
        "tool_choice.tools[0].type",
        "expected one of function, custom",
    ),
]
OTHER = [
    (body(temprature=1), "temprature", 'Did you mean "temperature"?'),
    (body(xyzzy=1), "xyzzy", "leave it out"),
    (body(messages=[]), "messages", "`input`"),
    (body(max_tokens=100), "max_tokens", "`max_output_tokens`"),
    (body(response_format={"type": "json_object"}), "response_format", "`text.format`"),
    (body(include=["nothing.known"]), "include[0]", "is not known"),
    (body(include="reasoning.encrypted_content"), "include", "expected an array"),
    (body(truncation="middle"), "truncation", "Allowed:"),
    (body(service_tier="platinum"), "service_tier", "Allowed:"),
    (schema([]), "text.format.schema", "expected an object"),
    (schema({"type": "objekt"}), "text.format.schema.type", "object"),
    (schema(nested(40)), "text.format.schema", "nested deeper"),
    (body(text={"format": {"type": "json_schema", "schema": {}}}), "text.format.name", "required"),
    (
        body(text={"format": {"type": "json_schema", "name": "no spaces", "schema": {}}}),
        "text.format.name",
        "not allowed",
    ),
    (
        body(text={"format": {"type": "json_schema", "json_schema": {}}}),
        "text.format.json_schema",
        "Chat Completions",
    ),
    (body(client_metadata=nested(80)), "client_metadata", "nested deeper"),
]


@pytest.mark.parametrize(
    ("data", "param", "says"),
    [*NOT_JSON, *NEEDS, *WRONG_TYPES, *NUMBERS, *SIZES, *ITEMS, *TOOLS, *CHOICES, *OTHER],
)
def test_a_bad_request_names_its_fault(data: bytes, param: str | None, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(data)
    error = caught.value
    assert (error.status, error.param) == (400, param), error.message
    assert says in error.message
    assert error.code in {"invalid_value", "invalid_json"}
    assert len(error.message) < 3000


def test_all_faults_are_told_and_the_first_is_param() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(body(temperature="hot", input=[{"role": "user", "content": 5}], tools=[{}]))
    assert caught.value.param == "input[0].content"
    for path in ("`input[0].content`", "`temperature`", "`tools[0].name`"):
        assert path in caught.value.message


def test_of_very_many_faults_a_few_are_told() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(body(input=[5] * 9_000))
    assert caught.value.message.count("expected an object") == 5
    assert "And 20 more." in caught.value.message


def test_unsupported_is_said_before_faults_in_what_is_unsupported() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        ResponseRequest.parse(body(tools=[{"type": "web_search", "nonsense": 1}], temperature="hot"))
    assert caught.value.param == "tools[0].type"


@pytest.mark.parametrize("field", ["authorization", "headers"])
@pytest.mark.parametrize("value", ["canary-1", ["canary-1"], 417, {"X-Key": ["canary-1"]}])
def test_what_may_be_a_secret_is_not_repeated(field: str, value: Any) -> None:
    asked: dict[str, Any] = {"server_url": "https://example.com/mcp", field: value}
    if field == "authorization" and value == "canary-1":
        asked[field] = "canary-1 with spaces"
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(body(tools=[{"type": "mcp", "server_label": "s", **asked}]))
    assert str(caught.value.param).startswith(f"tools[0].{field}")
    assert "canary" not in caught.value.message
    assert "417" not in caught.value.message
