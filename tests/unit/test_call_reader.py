"""Calls among text, in the three forms."""

import json
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from antiphon.core.call_formats import CallFormat, WrittenCall, calls_in, written
from antiphon.core.call_reader import CallReader, Piece
from antiphon.core.loose_literals import Malformed

NAMES = ("f", "g", "get-weather", "ns.tool_2")
FORMS: tuple[CallFormat, ...] = get_args(CallFormat)
F = ("f", "{}")
G = ("g", "{}")


def read(form: CallFormat, text: str, cuts: list[int] | None = None) -> list[str | tuple[str, str]]:
    """The whole of what is read, texts that follow each other joined."""
    reader = CallReader(form, NAMES)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts or [])})
    pieces: list[Piece] = []
    for start, end in pairwise(places):
        pieces += reader.feed(text[start:end])
    pieces += reader.finish()
    made: list[str | tuple[str, str]] = []
    for piece in pieces:
        last = made[-1] if made else None
        if isinstance(piece, str) and isinstance(last, str):
            made[-1] = last + piece
        else:
            made.append(piece if isinstance(piece, str) else (piece.name, piece.arguments))
    return made


JSON_CASES: list[tuple[str, list[str | tuple[str, str]]]] = [
    ('{"type": "function", "name": "f", "parameters": {"a": 1}}', [("f", '{"a":1}')]),
    ('{"name": "f", "arguments": {"a": [1, {"b": "}"}]}}', [("f", '{"a":[1,{"b":"}"}]}')]),
    ('{"name": "f", "parameters": "{\\"a\\": 2}"}', [("f", '{"a":2}')]),
    ('{"type": "function", "function": {"name": "f", "arguments": "{}"}}', [F]),
    ('{"type": "function", "name": "f"}', [F]),
    ('{"name": "f", "parameters": null}', [F]),
    (
        "{'name': 'f', 'parameters': {'a': True, 'b': None, 'c': 'it\\'s'}}",
        [("f", '{"a":true,"b":null,"c":"it\'s"}')],
    ),
    ('[{"name":"f","parameters":{}}, {"name":"g","parameters":{}}]', [F, G]),
    ('{"name":"f","parameters":{}}; {"name":"g","parameters":{}}', [F, G]),
    ('{"name":"f","parameters":{}}\n{"name":"g","parameters":{}}\n', [F, G]),
    ('Sure!\n\n{"name":"f","parameters":{}}\n\nDone. ', ["Sure!", F, "Done. "]),
    ('Here:\n```json\n{"name":"f","parameters":{}}\n```\nok', ["Here:", F, "ok"]),
    ('```\n{"name":"f","parameters":{}}\n{"name":"g","parameters":{}}\n```', [F, G]),
    ('```json\n{"name":"f","parameters":{}}\n```Then', [F, "Then"]),
    ('<|python_tag|>{"name":"f","parameters":{}}<|eom_id|>', [F]),
    (
        '<tool_call>\n{"name":"f","arguments":{}}\n</tool_call>\n<tool_call>{"name":"g","arguments":{}}</tool_call>',
        [F, G],
    ),
    ('{"name":"f","parameters":{}}, and so on', [F, ", and so on"]),
    ('{{"name":"f","parameters":{}}', ["{", F]),
    ('{"a" oops {"name":"f","parameters":{}}', ['{"a" oops', F]),
    ('{"name":"f","parameters":{"q":"line\nbreak"}}', [("f", '{"q":"line\\nbreak"}')]),
    ('{"name":"f","parameters":{"q":"\\ud83d\\ude00é"}}', [("f", '{"q":"😀é"}')]),
]
TAG_CASES: list[tuple[str, list[str | tuple[str, str]]]] = [
    ('<function=f>{"a": 1}</function>', [("f", '{"a":1}')]),
    ("Well. <function=f>{}</function>\n<function=g>{}</function>!", ["Well.", F, G, "!"]),
    ('<function=f>{"a": "</function>"}</function>', [("f", '{"a":"</function>"}')]),
    ("<function=f></function>", [F]),
    ("<function=f> </function><|eot_id|>", [F]),
    ('<function=get-weather>{"a": 1} and', [("get-weather", '{"a":1}'), "and"]),
]
LIST_CASES: list[tuple[str, list[str | tuple[str, str]]]] = [
    ('[f(a=1, b="x"), g()]', [("f", '{"a":1,"b":"x"}'), G]),
    ("[f()]", [F]),
    ("see [f (a=1)] there", ["see", ("f", '{"a":1}'), "there"]),
    ("[f(a=-1.5e3, b=None, c=true, d=False)]", [("f", '{"a":-1.5e3,"b":null,"c":true,"d":false}')]),
    ("[f(a=[1, (2, 3)], b={'x': [']', ')']})]", [("f", '{"a":[1,[2,3]],"b":{"x":["]",")"]}}')]),
    ("[f(a='it\\'s \\x41\\n')]", [("f", '{"a":"it\'s A\\n"}')]),
    ('[f(**{"not-a-name": 1}, a=2,)]', [("f", '{"not-a-name":1,"a":2}')]),
    ("[get-weather(), ns.tool_2(a=1)]", [("get-weather", "{}"), ("ns.tool_2", '{"a":1}')]),
    ("```python\n[f()]\n```", [F]),
    ("[f(a=1]) [g()]", ["[f(a=1])", G]),
    ("[f(größe=1)]", [("f", '{"größe":1}')]),
]
CASES = [
    *[("json", text, made) for text, made in JSON_CASES],
    *[("function_tag", text, made) for text, made in TAG_CASES],
    *[("python_list", text, made) for text, made in LIST_CASES],
]


@pytest.mark.parametrize(("form", "text", "made"), CASES)
def test_what_is_a_call_and_what_is_text(
    form: CallFormat, text: str, made: list[str | tuple[str, str]]
) -> None:
    assert read(form, text) == made
    assert read(form, text, list(range(len(text)))) == made


TEXTS: list[tuple[CallFormat, str]] = [
    ("json", '{"name": "unknown", "parameters": {}}'),
    ("json", '{"name": "f", "parameters": {'),
    ("json", '{"name": "f"}'),
    ("json", '{"name": "f", "parameters": [1]}'),
    ("json", '{"name": "f", "name": "g", "parameters": {}}'),
    ("json", '{"name": "f", "parameters": {}, "description": "a definition"}'),
    ("json", '{"name": "f", "parameters": {"a": 1e999}}'),
    ("json", '{"name": "f", "parameters": {"a": "\\ud800"}}'),
    ("json", '{"name": "f", "parameters": {"a": os.system("x")}}'),
    ("json", '{"result": {"name":"f","parameters":{}}, "n": [1]} ok'),
    ("json", '{"name": "f", "parameters": ' + '{"a":' * 200 + "1" + "}" * 201),
    ("json", '[{"name": "f", "parameters": {}}, {"name": "unknown", "parameters": {}}]'),
    ("json", "a {b} [c](d) `e` ```\nf\n``` <g> {} [] \n "),
    ("json", "<function=f>{}</function> [f()]"),
    ("function_tag", "<function=unknown>{}</function>"),
    ("function_tag", "<function=f>"),
    ("function_tag", '<function=f>{"a": 1'),
    ("function_tag", "<function=f>{a}</function>"),
    ("function_tag", "<function=f>text</function>"),
    ("function_tag", "<function=f>{} </function"[:12]),
    ("function_tag", '{"name":"f","parameters":{}} [f()] a < b </function> ```json'),
    ("python_list", "[unknown(a=1)]"),
    ("python_list", "[f]"),
    ("python_list", "f(a=1)"),
    ("python_list", "[f('positional')]"),
    ("python_list", "[f(a=1, a=2)]"),
    ("python_list", "[f(a=g(1))]"),
    ("python_list", "[f(a=__import__('os').system('x'))]"),
    ("python_list", "[f(a=1 + 2)]"),
    ("python_list", "[f(a=f'{1}')]"),
    ("python_list", "[f(a={1: 2})]"),
    ("python_list", "[f(the city of Paris is nice)]"),
    ("python_list", "[link](http://example.com) [1, 2] [x for x in y]"),
]


@pytest.mark.parametrize(("form", "text"), TEXTS)
def test_what_cannot_be_read_is_text_as_it_was_written(form: CallFormat, text: str) -> None:
    assert "".join(str(piece) for piece in read(form, text)) == text
    assert read(form, text, list(range(len(text)))) == [text]


@pytest.mark.parametrize("form", FORMS)
def test_tokens_that_end_a_message_are_left_out_at_its_end_only(form: CallFormat) -> None:
    assert read(form, "Bye.<|eot_id|>") == ["Bye."]
    assert read(form, "a <|eot_id|> b") == ["a <|eot_id|> b"]


@pytest.mark.parametrize("form", FORMS)
def test_text_is_passed_on_at_once(form: CallFormat) -> None:
    reader = CallReader(form, NAMES)
    assert reader.feed("Hello") == ["Hello"]
    assert reader.feed(" there, ") == [" there,"]
    assert reader.feed("you") == [" you"]
    assert reader.feed("<b>") == ["<b>"]


def test_data_that_look_like_a_call_at_first_are_passed_on_as_soon_as_they_do_not() -> None:
    reader = CallReader("json", NAMES)
    assert reader.feed('{"na') == []
    assert reader.feed('tion": "FR"') == ['{"nation": "FR"']
    assert reader.feed(', "n": 1}') == [', "n": 1}']


# --- properties -----------------------------------------------------------------------------------------------
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ARGUMENTS = st.dictionaries(st.text(), VALUES, max_size=4)
CUTS = st.lists(st.integers(0, 5000), max_size=20)


@given(
    st.sampled_from(FORMS),
    st.lists(st.tuples(st.sampled_from(NAMES), ARGUMENTS), min_size=1, max_size=3),
    CUTS,
)
def test_what_is_written_is_read_back(
    form: CallFormat, calls: list[tuple[str, dict[str, object]]], cuts: list[int]
) -> None:
    text = written(form, [WrittenCall(name, json.dumps(arguments)) for name, arguments in calls])
    made = read(form, f"So.\n{text}\n", cuts)
    assert made[0] == "So."
    assert [(one[0], json.loads(one[1])) for one in made[1:]] == calls


SNIPPETS = st.sampled_from(
    [
        '{"name": "f", "parameters": {"a": "x"}}',
        '{"type": "function", "name": "g", "parameters": {}}',
        '<function=f>{"a": 1}</function>',
        "<function=f></function>",
        "[f(a=1), g()]",
        '{"name": "f", "parameters": {',
        '{"other": [1, {"name": "f"}]}',
        "[f(a=",
        "<function=f>{",
        "```json\n",
        "```",
        "<|python_tag|>",
        "<|eom_id|>",
        "<tool_call>",
        "</tool_call>",
        "{",
        "[",
        "}",
        "]",
        '"',
        "'",
        "\\",
        "`",
        "<",
        " ",
        "\n",
        ", ",
        ";",
        "word",
        "é😀",
    ]
)
TANGLES = st.lists(SNIPPETS | st.text(max_size=4), max_size=14).map("".join)


@given(st.sampled_from(FORMS), TANGLES, CUTS)
def test_the_same_text_is_read_alike_in_whatever_pieces(form: CallFormat, text: str, cuts: list[int]) -> None:
    whole = read(form, text)
    event(f"{sum(isinstance(one, tuple) for one in whole)} calls")
    assert read(form, text, cuts) == whole
    assert read(form, text, list(range(len(text)))) == whole


@given(st.sampled_from(FORMS), TANGLES)
def test_text_without_calls_comes_out_as_it_was(form: CallFormat, text: str) -> None:
    made = read(form, text)
    if any(isinstance(one, tuple) for one in made):
        return
    out = "".join(str(one) for one in made)
    end = "<|eom_id|>"
    assert out.replace(end, "") == text.replace(end, "")
    assert out == text or end in text


@given(st.sampled_from(FORMS), st.text(max_size=30))
def test_nothing_but_a_call_is_read_as_one(form: CallFormat, text: str) -> None:
    try:
        calls = calls_in(form, text)
    except Malformed:
        return
    for call in calls:
        assert isinstance(json.loads(call.arguments), dict)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "part",
    [
        "{",
        "[",
        "`",
        "<",
        '{"name": ',
        "[f(",
        "[f(a=",
        "<function=f>",
        '<function=f>{"a":',
        "{ ",
        '"',
        "<|python_tag|>",
        " ",
    ],
)
def test_what_is_held_back_is_looked_at_once(form: CallFormat, part: str) -> None:
    """The work is counted in calls of the scanner and the reader, since time is not to be relied on."""
    import sys

    def work(count: int) -> int:
        reader = CallReader(form, NAMES)
        made = 0

        def count_lines(frame: object, what: str, _: object) -> object:
            nonlocal made
            made += what in ("call", "c_call")
            return None

        before = sys.getprofile()
        sys.setprofile(count_lines)
        try:
            reader.feed(part * count)
            reader.finish()
        finally:
            sys.setprofile(before)
        return made

    assert work(400) <= 2 * work(200) + 100
