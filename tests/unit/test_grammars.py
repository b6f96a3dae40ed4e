"""Grammars of custom tools, and what their bounds stop."""

import pytest

from antiphon.core.tools import GrammarFormat
from antiphon.runs.grammars import MAX_INPUT_BYTES, fault, violation

SUM = 'start: NUMBER ("+" NUMBER)*\nNUMBER: /[0-9]+/'


def lark(definition: str) -> GrammarFormat:
    return GrammarFormat(syntax="lark", definition=definition)


def regex(definition: str) -> GrammarFormat:
    return GrammarFormat(syntax="regex", definition=definition)


@pytest.mark.parametrize(
    ("grammar", "text", "problem"),
    [
        (lark(SUM), "1+22+3", None),
        (lark(SUM), "1+", "it ends too early"),
        (lark(SUM), "", "it ends too early"),
        (lark(SUM), "1-2", 'it breaks off at character 1, before "-2"'),
        (lark('start: "é" "x"'), "éy", 'it breaks off at character 1, before "y"'),
        (regex("a+b"), "aab", None),
        (regex("a+b"), "xaab", 'it breaks off at character 0, before "xaab"'),
        (regex("a+b"), "aabb", 'it breaks off at character 3, before "b"'),
        (regex(r"\d{4}-\d{2}"), "2026-11", None),
        (regex("a*"), "", None),
        (lark(SUM), "1" * (MAX_INPUT_BYTES + 1), f"it is longer than {MAX_INPUT_BYTES} bytes"),
    ],
)
def test_what_matches_and_where_the_rest_leaves(
    grammar: GrammarFormat, text: str, problem: str | None
) -> None:
    assert fault(grammar) is None
    assert violation(grammar, text) == problem


@pytest.mark.parametrize(
    ("grammar", "says"),
    [
        (lark("start: nothing"), 'unknown name: "nothing"'),
        (lark("begin: /a/"), "start"),
        (lark("start: ("), "Expected"),
        (regex("(a"), "unclosed group"),
        (regex("(?=a)b"), "look"),
    ],
)
def test_what_is_no_grammar_says_why(grammar: GrammarFormat, says: str) -> None:
    problem = fault(grammar)
    assert problem is not None
    assert says in problem
    assert "\n" not in problem


def test_an_ambiguous_grammar_fails_instead_of_running_on() -> None:
    problem = violation(lark('start: s\ns: s s | "a" |'), "a" * 5000)
    assert problem is not None
    assert "max is" in problem
