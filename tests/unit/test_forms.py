"""Forms become the JSON that they stand for, each value typed by the field that it is for."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.chat.request import ChatRequest, parse_chat
from antiphon.core.errors import InvalidRequest, UnsupportedMediaType
from antiphon.core.items import FunctionCallOutput, Message
from antiphon.core.request import ResponseRequest
from antiphon.core.tools import FunctionTool
from antiphon.web.forms import MAX_DEPTH, MAX_FIELDS, to_json

TOOL_FORM = (
    "tools[0][type]=function&tools[0][name]=5&tools[0][strict]=true"
    "&tools[0][parameters][type]=object&tools[0][parameters][additionalProperties]=false"
    '&tools[0][parameters][required][0]=a&tools[0][parameters][properties][a][const]="5"'
    "&tools[0][parameters][properties][a][maxLength]=5"
)
FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "text stays text": ("model=demo&input=5", {"model": "demo", "input": "5"}),
    "text that looks like JSON stays text": ("input=[1,2]&user=null", {"input": "[1,2]", "user": "null"}),
    "empty text": ("instructions=", {"instructions": ""}),
    "plus and percent": ("input=a+b%26c%C3%A9", {"input": "a b&cé"}),
    "numbers": ("temperature=0.5&max_output_tokens=20", {"temperature": 0.5, "max_output_tokens": 20}),
    "booleans and null": (
        "stream=true&store=false&top_p=null",
        {"stream": True, "store": False, "top_p": None},
    ),
    "mapping of text": ("metadata[a]=1&metadata[0]=b", {"metadata": {"a": "1", "0": "b"}}),
    "items by number": (
        "input[0][role]=user&input[0][content]=hi&input[1][role]=assistant&input[1][content]=5",
        {"input": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "5"}]},
    ),
    "numbers in any order": (
        "input[1][role]=user&input[1][content]=b&input[0][role]=user&input[0][content]=a",
        {"input": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
    ),
    "parts": (
        "input[0][type]=message&input[0][role]=user&input[0][content][0][type]=input_text&input[0][content][0][text]=7",
        {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "7"}]}]},
    ),
    "an item by its type": (
        "input[0][type]=function_call_output&input[0][call_id]=1&input[0][output]=true",
        {"input": [{"type": "function_call_output", "call_id": "1", "output": "true"}]},
    ),
    "elements without number": ("include[]=a&include[]=b", {"include": ["a", "b"]}),
    "a schema of any shape": (
        TOOL_FORM,
        {
            "tools": [
                {
                    "type": "function",
                    "name": "5",
                    "strict": True,
                    "parameters": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["a"],
                        "properties": {"a": {"const": "5", "maxLength": 5}},
                    },
                }
            ]
        },
    ),
    "JSON where no text may be": (
        'tools=[{"type":"function","name":"f"}]&reasoning={"effort":"low"}',
        {"tools": [{"type": "function", "name": "f"}], "reasoning": {"effort": "low"}},
    ),
    "a word among structs": ("tool_choice=required", {"tool_choice": "required"}),
    "a struct among words": (
        "tool_choice[type]=function&tool_choice[name]=f",
        {"tool_choice": {"type": "function", "name": "f"}},
    ),
    "a format": (
        "text[format][type]=json_schema&text[format][name]=1&text[format][schema][type]=object",
        {"text": {"format": {"type": "json_schema", "name": "1", "schema": {"type": "object"}}}},
    ),
    "what is wrong stays as it is": (
        "temperature=hot&tools[0]=x&nobody=1",
        {"temperature": "hot", "tools": ["x"], "nobody": 1},
    ),
}


@pytest.mark.parametrize("case", FORMS)
def test_a_form_becomes_the_json_it_stands_for(case: str) -> None:
    form, expected = FORMS[case]
    assert json.loads(to_json(form.encode(), ResponseRequest)) == expected


def test_a_whole_request_comes_out_as_the_types_say() -> None:
    form = (
        "model=demo&input[0][role]=user&input[0][content]=hi&input[1][type]=function_call&input[1][call_id]=c"
        "&input[1][name]=f&input[1][arguments]={}&input[2][type]=function_call_output&input[2][call_id]=c"
        "&input[2][output]=12&tools[0][type]=function&tools[0][name]=f&temperature=1&metadata[n]=5"
    )
    request = ResponseRequest.parse(to_json(form.encode(), ResponseRequest))
    assert isinstance(request.input, list)
    assert isinstance(request.input[0], Message)
    assert isinstance(request.input[2], FunctionCallOutput)
    assert request.input[2].output == "12"
    assert request.tools is not None
    assert isinstance(request.tools[0], FunctionTool)
    assert request.temperature == 1
    assert request.metadata == {"n": "5"}


def test_a_chat_request_may_be_a_form() -> None:
    form = b"model=demo&messages[0][role]=user&messages[0][content]=5&n=2&logit_bias[50256]=-1&extra[x]=true"
    asked = json.loads(to_json(form, ChatRequest))
    assert asked["extra"] == {"x": True}
    request = parse_chat(json.dumps(asked).encode())
    assert request.messages[0].content == "5"
    assert request.logit_bias == {"50256": -1}
    assert request.n == 2


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ("model=a&model=b", "model"),
        ("metadata[a]=1&metadata[a]=2", "metadata.a"),
        ("input[0][role]=user&input[0][role]=user", "input[0].role"),
        ("metadata=x&metadata[a]=1", "metadata"),
        ("metadata[a]=1&metadata=x", "metadata"),
        ("include[]=a&include[0]=b", "include[0]"),
        ("include[0]=a&include[]=b", "include"),
        ("input[0][role]=user&input[2][role]=user", "input"),
        ("include[1]=a", "include"),
        ("tools[0][parameters][]=a&tools[0][parameters][b]=c", "tools[0].parameters.b"),
        ("input[0=x", "input[0"),
        ("input]=x", "input]"),
        ("input[[0]]=x", "input[[0]]"),
        ("[a]=x", "[a]"),
        ("input[0]role=x", "input[0]role"),
        ("input[][role]=user", "input[][role]"),
        ("input" + "[a]" * MAX_DEPTH + "=x", "input"),
        ("model", None),
        ("model=%ff", None),
        ("&".join(f"metadata[k{at}]=x" for at in range(MAX_FIELDS + 1)), None),
    ],
)
def test_a_form_that_cannot_be_read_is_refused_by_name(form: str, param: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_json(form.encode(), ResponseRequest)
    assert caught.value.param == param


def test_a_faulty_field_of_a_form_is_named_as_in_json() -> None:
    with pytest.raises(InvalidRequest) as caught:
        ResponseRequest.parse(to_json(b"model=m&input[0][role]=judge&input[0][content]=x", ResponseRequest))
    assert caught.value.param == "input[0].role"


@pytest.mark.parametrize("body", [b'{"model":"m","input":"a=b&c"}', b"\n { }"])
def test_json_that_says_it_is_a_form_is_told_what_to_say(body: bytes) -> None:
    with pytest.raises(UnsupportedMediaType, match="application/json"):
        to_json(body, ResponseRequest)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    metadata=st.dictionaries(TEXTS.filter(lambda key: key and not set(key) & set("[]")), TEXTS, max_size=5)
)
def test_any_text_in_a_form_comes_back(metadata: dict[str, str]) -> None:
    form = urlencode(
        {"model": "m", "input": "x", **{f"metadata[{key}]": one for key, one in metadata.items()}}
    )
    asked = json.loads(to_json(form.encode(), ResponseRequest))
    assert asked.get("metadata", {}) == metadata


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    try:
        made = to_json(body, ResponseRequest)
    except (InvalidRequest, UnsupportedMediaType):
        return
    assert isinstance(json.loads(made), dict)
