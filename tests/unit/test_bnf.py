"""BNF, read and written as Lark, held against LLGuidance; and the `bnf` of agents."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from antiphon.agents.grammar import grammar_of
from antiphon.core import bnf
from antiphon.core.bnf import Chars, Choice, Literal, Node, Repeat, Rules, Sequence
from antiphon.core.body import FormatGrammar
from antiphon.core.errors import InvalidRequest
from antiphon.runs.grammars import fault, violation

ARITHMETIC = """
# as llama.cpp has it
root  ::= (expr "=" ws term "\\n")+
expr  ::= term ([-+*/] term)*
term  ::= ident | num | "(" ws expr ")" ws
ident ::= [a-z] [a-z0-9_]* ws
num   ::= [0-9]+ ws
ws    ::= [ \\t\\n]*
"""
POSTAL = """
<postal address> ::= <name-part> "," <zip>
<name-part> ::= <letters>
  | <letters> " " <name-part>   # leading bars go on
<letters> ::= [A-Z] [a-z]*
<zip> ::= [0-9]{5} ("-" [0-9]{4})?
"""
CHESS = 'root ::= "1. " move " " move "\\n"\nmove ::= (piece [a-h] | [a-h]) [1-8] [+#]?\npiece ::= [NBKQR]'


@pytest.mark.parametrize(
    ("text", "start", "good", "bad"),
    [
        (ARITHMETIC, "root", ["x=3\n", "(a +12 )*b = c1\n"], ["x=\n", "=3\n", "X=3\n"]),
        (POSTAL, "postal address", ["Ada,12345", "Ada Lovelace,12345-6789"], ["ada,12345", "Ada,1234"]),
        (CHESS, "root", ["1. e4 e5\n", "1. Nf3 d5+\n"], ["1. e9 e5\n", "e4 e5\n"]),
        ('root ::= ("ab" "c") | ([a-z] "bd")', "root", ["abc", "abd", "xbd"], ["ab", "abx"]),
        ("root ::= a b\na ::= [a-z]+\nb ::= [a-z]", "root", ["ab", "abc"], ["a", ""]),
        ("root ::= 'it''s' | \"say \\\"hi\\\"\"", "root", ["its", 'say "hi"'], ["it"]),
        ('root ::= | "x" root', "root", ["", "xxx"], ["y"]),
        ('root ::= [^"\\\\\\x7F\\x00-\\x1F] . [-a] [a-]', "root", ["é\n--", "axaa"], ['"x-a', "\nxaa"]),
        ('root ::= "\\u00e9" "\\U0001F600" "/"', "root", ["é😀/"], ["e"]),
        ('root ::= "a"{2} "b"{1,} "c"{,2} "d"{0,1}', "root", ["aab", "aabbccd"], ["ab", "aabccc"]),
        ('start ::= "s"\nroot ::= start "r"', "root", ["sr"], ["s"]),
        ('root ::= a-b a_b\na-b ::= "x"\na_b ::= "y"', "root", ["xy"], ["xx"]),
    ],
)
def test_a_grammar_means_the_same_in_lark(text: str, start: str, good: list[str], bad: list[str]) -> None:
    grammar = FormatGrammar(syntax="lark", definition=bnf.as_lark(bnf.parse_rules(text), start))
    assert fault(grammar) is None
    assert [violation(grammar, one) for one in good] == [None] * len(good)
    assert None not in [violation(grammar, one) for one in bad]


def test_literals_stay_whole_where_nothing_else_begins_like_them() -> None:
    whole = bnf.as_lark(bnf.parse_rules('root ::= "yes" | "no" | "number " [0-9]'), "root")
    assert whole == 'start: "yes" | "n" "o" | "n" "u" "m" "b" "e" "r" " " /[0-9]/'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no rules"),
        ("root", "expected a rule"),
        ('root ::= "a', "not closed"),
        ("root ::= [a", "not closed"),
        ("root ::= [z-a]", "no range"),
        ("root ::= []", "matches nothing"),
        ('root ::= ("a"', 'expected ")"'),
        ('root ::= "a")', "does not belong"),
        ('root ::= "a"{x}', "expected {n}"),
        ('root ::= "a"{3,1}', "no number of times"),
        ('root ::= "a"{2000}', "more than 1000"),
        ('root ::= "a"' + "*" * 100, "repetitions"),
        ("root ::= " + "(" * 100, "nested deeper"),
        ('root ::= "\\q"', "\\q is not known"),
        ("root ::= [\\d]", "\\d is not known"),
        ('root ::= "\\uD800"', "is no character"),
        ('root ::= "\\x1"', "2 hexadecimal digits"),
        ("root ::= %d", '"%" is nothing'),
        ('root ::= "a"\nroot ::= "b"', 'line 2: the rule "root" is there twice'),
        ("root ::= nobody", 'no rule "nobody"'),
        ("other ::= <think>", 'there is no rule "root"'),
    ],
)
def test_what_cannot_be_translated_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(bnf.BadGrammar, match=re.escape(says)):
        bnf.as_lark(bnf.parse_rules(text), "root")


# --- against a matcher that tries everything ------------------------------------------------------------------
def ends(node: Node, rules: Rules, text: str, at: int, fuel: int = 6) -> Iterator[int]:
    """Every place up to which `node` can match from `at`, by trying all there is."""
    match node:
        case Literal(text=literal):
            if text.startswith(literal, at):
                yield at + len(literal)
        case Chars():
            if at < len(text) and node.has(text[at]):
                yield at + 1
        case bnf.Rule(name=name):
            if fuel:
                yield from ends(rules[name], rules, text, at, fuel - 1)
        case Sequence(parts=parts):
            places = {at}
            for part in parts:
                places = {end for place in places for end in ends(part, rules, text, place, fuel)}
            yield from places
        case Choice(options=options):
            for option in options:
                yield from ends(option, rules, text, at, fuel)
        case Repeat(part=part, least=least, most=most):
            places, seen = {at}, {at} if not least else set[int]()
            for count in range(1, (len(text) + 1 + least if most is None else most) + 1):
                places = {end for place in places for end in ends(part, rules, text, place, fuel)}
                seen |= places if count >= least else set()
            yield from seen


LEAVES = st.sampled_from(
    ['"a"', '"ab"', '"abc"', '"b"', '"ba"', '"é"', "[ab]", "[^a]", "[a-c]", ".", "x", "y"]
)
NODES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(" ".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({' | '.join(parts)})")
        | st.tuples(inner, st.sampled_from(["*", "+", "?", "{1,2}", "{2}"])).map(
            lambda two: f"({two[0]}){two[1]}"
        )
    ),
    max_leaves=5,
)


@given(
    NODES,
    st.sampled_from(['"a"', '"ab" | "b"', "[ab] [ab]?"]),
    st.lists(st.text("abcé", max_size=4), max_size=6),
)
@settings(max_examples=60)
def test_what_lark_takes_is_what_the_bnf_says(root: str, leaf: str, texts: list[str]) -> None:
    rules = bnf.parse_rules(f'root ::= {root}\nx ::= {leaf}\ny ::= "b" x')
    grammar = FormatGrammar(syntax="lark", definition=bnf.as_lark(rules, "root"))
    assert fault(grammar) is None
    for text in texts:
        takes = len(text) in set(ends(rules["root"], rules, text, 0))
        event(f"takes {takes}")
        assert (violation(grammar, text) is None) == takes, (grammar.definition, text)


# --- agents ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "given_",
    [
        {"grammar": 'root ::= "yes" | "no"'},
        {"definition": 'root ::= "yes" | "no"', "syntax": "gbnf"},
        {"type": "grammar", "content": 'start: "yes" | "no"'},
        {"type": "regex", "value": "yes|no"},
        {"root": 'root ::= "yes" | other\nother ::= "no"'},
        {"root": '"yes" | other', "other": '"no"'},
        {"root": ['"yes"', "<other>"], "<other>": ['"no"']},
        {"answer": "'yes' | 'no'"},
        {"other": '"no"', "start": '"yes" | other'},
    ],
)
def test_the_grammar_of_an_agent_may_be_given_in_several_ways(given_: dict[str, Any]) -> None:
    grammar = grammar_of(given_, "response_format.bnf")
    assert [violation(grammar, text) for text in ("yes", "no")] == [None, None]
    assert violation(grammar, "maybe") is not None


@pytest.mark.parametrize(
    ("given_", "param", "says"),
    [
        ({}, "bnf", "empty"),
        ({"grammar": 5}, "bnf.grammar", "the integer 5"),
        ({"grammar": "hello"}, "bnf.grammar", "no rules"),
        ({"grammar": "root ::= (", "syntax": "gbnf"}, "bnf.grammar", 'expected ")"'),
        ({"grammar": "start: nothing"}, "bnf.grammar", "unknown name"),
        ({"grammar": "(a", "syntax": "regex"}, "bnf.grammar", "unclosed group"),
        ({"grammar": "x", "syntax": "abnf"}, "bnf.syntax", "one of lark, regex"),
        ({"root": []}, "bnf.root", "without alternatives"),
        ({"root": ['"a"', 5]}, "bnf.root[1]", "the integer 5"),
        ({"root": '"a" ('}, "bnf.root", 'expected ")"'),
        ({"root": '"a" nobody'}, "bnf", 'no rule "nobody"'),
        ({"root": '"a"', "<root>": '"b"'}, "bnf.<root>", "twice"),
        ({"1": '"a"', "2": '"b"'}, "bnf", "no name of a rule"),
        ({"root": '"a"', "other": {"nested": 1}}, "bnf.other", "an object"),
        ({"grammar": "root ::= " + '"a" ' * 20_000}, "bnf.grammar", "longer than"),
        ({"root": '"a" ' * 20_000, "b": '"b"'}, "bnf", "longer than"),
    ],
)
def test_a_grammar_that_is_none_is_refused_with_its_place(
    given_: dict[str, Any], param: str, says: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(says)) as caught:
        grammar_of(given_, "bnf")
    assert caught.value.param == param
