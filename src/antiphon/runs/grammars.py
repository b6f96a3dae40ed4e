"""The grammars of custom tools and of answers, by LLGuidance: the dialects of Lark and regex that OpenAI's API takes.

Bounds keep a caller's grammar from costing more than a request may: an ambiguous one fails instead of running on.
"""

from typing import Any

from antiphon.core.body import FormatGrammar
from antiphon.core.tools import GrammarFormat

Grammar = GrammarFormat | FormatGrammar
MAX_INPUT_BYTES = 256 * 1024
MAX_ITEMS_IN_ROW = 300
SHOWN_BYTES = 60


def fault(grammar: Grammar) -> str | None:
    """Why this is no grammar; None when it is one."""
    problem = _matcher(grammar).get_error()
    return _tidy(problem) if problem else None


def violation(grammar: Grammar, text: str) -> str | None:
    """Where the text leaves the grammar, in words for the model; None when all of it matches."""
    data = text.encode()
    if len(data) > MAX_INPUT_BYTES:
        return f"it is longer than {MAX_INPUT_BYTES} bytes"
    matcher = _matcher(grammar)
    accepted: int = matcher.try_consume_tokens(list(data))  # a byte is its own token
    if matcher.is_error():
        return _tidy(matcher.get_error())
    if accepted < len(data):
        return f"it breaks off at {_around(data, accepted)}"
    return None if matcher.is_accepting() else "it ends too early"


def _matcher(grammar: Grammar) -> Any:
    from llguidance import LLMatcher, LLParserLimits, LLTokenizer

    make = LLMatcher.grammar_from_lark if grammar.syntax == "lark" else LLMatcher.grammar_from_regex
    limits = LLParserLimits(max_items_in_row=MAX_ITEMS_IN_ROW, verbose_errors=False)
    return LLMatcher(LLTokenizer("byte"), make(grammar.definition), limits=limits, log_level=0)


def _around(data: bytes, at: int) -> str:
    rest = data[at : at + SHOWN_BYTES].decode(errors="replace")
    return f'character {len(data[:at].decode(errors="replace"))}, before "{rest}"'


def _tidy(problem: str) -> str:
    return " ".join(problem.split())[:300]
