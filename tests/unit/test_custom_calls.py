"""Custom tools as functions, and the way back."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.custom_calls import InputReader, arguments_of, as_function
from antiphon.core.tools import CustomTool, GrammarFormat


def read(arguments: str, cuts: list[int]) -> tuple[str, str]:
    """What was shown on the way, and the whole."""
    reader = InputReader()
    places = sorted({0, len(arguments), *(cut % (len(arguments) + 1) for cut in cuts)})
    shown = "".join(reader.feed(arguments[start:end]) for start, end in pairwise(places))
    whole, rest = reader.finish()
    assert shown + rest == whole
    return shown, whole


@given(st.text(max_size=60), st.lists(st.integers(0, 500), max_size=12), st.booleans(), st.booleans())
def test_an_input_is_read_back_whatever_the_cuts(
    text: str, cuts: list[int], ascii_only: bool, spaced: bool
) -> None:
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    if spaced:
        arguments = f' {{\n "input" :{arguments.removeprefix("{").partition(":")[2]}'
    shown, whole = read(arguments, cuts)
    assert whole == text
    assert shown == text, "nothing waits for the end"


def test_it_is_shown_while_it_comes() -> None:
    reader = InputReader()
    assert [reader.feed(piece) for piece in ('{"inp', 'ut": "ab', "\\", "n\\u00", "e9c", '"}')] == [
        "",
        "ab",
        "",
        "\n",
        "éc",
        "",
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("*** Begin Patch\n+x\n", "*** Begin Patch\n+x\n"),
        ('{"patch": "x"}', "x"),
        ('"just a string"', "just a string"),
        ('{"a": "x", "b": "y"}', '{"a": "x", "b": "y"}'),
        ('{"input": 5}', '{"input": 5}'),
        ('{"input": "cut of', '{"input": "cut of'),
        ("", ""),
        ('{"input": "a", "note": "b"}', "a"),
        ('{"input": "bad \\q escape"}', '{"input": "bad \\q escape"}'),
        ("[1]", "[1]"),
    ],
)
def test_other_ways_in_which_models_write_it(arguments: str, text: str) -> None:
    reader = InputReader()
    reader.feed(arguments)
    whole, _ = reader.finish()
    if arguments.startswith('{"input": "') and not arguments.endswith('"}'):
        assert whole == "cut of"  # what was shown stands
    elif "bad" in arguments:
        assert whole == "bad "
    else:
        assert whole == text


def test_a_replayed_input_is_the_arguments_that_would_be_read() -> None:
    text = 'a "quoted"\n\\ é'
    assert read(arguments_of(text), [3, 9])[1] == text


def test_the_function_tells_the_grammar_and_binds_a_regex_where_that_helps() -> None:
    tool = CustomTool(
        name="pick", description="Picks.", format=GrammarFormat(syntax="regex", definition="[a-c]+")
    )
    bound = as_function(tool, patterns=True)
    assert bound["parameters"]["properties"]["input"]["pattern"] == "^(?:[a-c]+)$"
    assert bound["description"].startswith("Picks.\n\n")
    assert "[a-c]+" in bound["description"]
    assert "pattern" not in as_function(tool, patterns=False)["parameters"]["properties"]["input"]
    plain = as_function(CustomTool(name="say"), patterns=True)
    assert plain["description"] == ""
    assert plain["parameters"]["required"] == ["input"]
