"""`response_format` of type `grammar`: the `bnf` of an agent as a format of Responses.

What `bnf` holds was never said: servers passed it on to whoever served the model. Taken here are a whole grammar as
text, in Lark or in BNF, and rules by name.
"""

import re
from typing import Any

from antiphon.core import bnf
from antiphon.core.body import FormatGrammar
from antiphon.core.errors import InvalidRequest
from antiphon.core.json_values import is_array, json_name
from antiphon.core.wire import JsonObject, encode
from antiphon.runs import grammars

MAX_TEXT = 64 * 1024
READ_AT_ONCE = 8 * 1024
"""Characters of a grammar that is read to its end here; of a larger one faults are found when it is first used."""
_TEXT_KEYS = ("grammar", "definition", "content", "bnf", "value")
_SYNTAX_KEYS = ("syntax", "type")
_SYNTAXES = ("lark", "regex", "bnf", "gbnf", "ebnf")
_STARTS = ("root", "start")
_LARK_RULE = re.compile(r"^[ \t]*[?!]?start\b[^\n]*?:(?!:=)", re.MULTILINE)


def grammar_of(given: JsonObject, path: str) -> FormatGrammar:
    """`given` is the object `bnf`, and `path` where it stands.

    `{"grammar": text}` (or `definition`, `content`, `bnf`, `value`), perhaps with `syntax`: `lark`, `regex`, `bnf`,
    `gbnf`, `ebnf`; or a mapping from rule names to what stands behind `::=`, a text or a list of them. It begins
    with `root`, else `start`, else the first rule.

    Raises InvalidRequest, with the place in `param`.
    """
    if not given:
        raise InvalidRequest(f'`{path}`: empty; send {{"grammar": "root ::= …"}}.', param=path)
    key = _text_key(given)
    made = _of_rules(given, path) if key is None else _of_text(given, key, path)
    if len(made.definition) <= READ_AT_ONCE and (problem := grammars.fault(made)) is not None:
        raise _fault(problem, path if key is None else f"{path}.{key}")
    return made


def _text_key(given: JsonObject) -> str | None:
    """The key of a whole grammar; None where `given` holds rules."""
    keys = [key for key in given if key not in _SYNTAX_KEYS]
    if len(keys) != 1:
        return None
    key, text = keys[0], given[keys[0]]
    if not isinstance(text, str):
        return None
    whole = "::=" in text or _LARK_RULE.search(text) is not None
    return key if whole or key in _TEXT_KEYS else None


def _of_text(given: JsonObject, key: str, path: str) -> FormatGrammar:
    here = f"{path}.{key}"
    text: str = given[key]
    if len(text) > MAX_TEXT:
        raise _too_long(here)
    match _syntax(given, key, path):
        case "lark":
            return FormatGrammar(syntax="lark", definition=text)
        case "regex":
            return FormatGrammar(syntax="regex", definition=text)
        case _:
            return _translated(text, here)


def _syntax(given: JsonObject, key: str, path: str) -> str:
    """As it is said, else as the text looks. Raises InvalidRequest."""
    for name in _SYNTAX_KEYS:
        said = given.get(name)
        if said is None or (name == "type" and said == "grammar"):
            continue
        if said not in _SYNTAXES:
            raise InvalidRequest(
                f"`{path}.{name}`: expected one of {', '.join(_SYNTAXES)}, not {json_name(said)}.",
                param=f"{path}.{name}",
            )
        return str(said)
    text: str = given[key]
    if "::=" in text:
        return "bnf"
    if _LARK_RULE.search(text):
        return "lark"
    why = "it has no rules; write BNF (`root ::= …`) or Lark (`start: …`), or say its `syntax`"
    raise _fault(why, f"{path}.{key}")


def _translated(text: str, path: str) -> FormatGrammar:
    try:
        return _as_lark(bnf.parse_rules(text))
    except bnf.BadGrammar as error:
        raise _fault(str(error), path) from None


def _of_rules(given: JsonObject, path: str) -> FormatGrammar:
    if len(encode(given)) > MAX_TEXT:
        raise _too_long(path)
    rules: bnf.Rules = {}
    for name, production in given.items():
        here = f"{path}.{name}"
        plain = name.strip().removeprefix("<").removesuffix(">")
        if not bnf.is_name(plain):
            raise InvalidRequest(
                f"`{path}`: {json_name(name)} is no name of a rule; send a grammar as `grammar`, or rules by name.",
                param=path,
            )
        if plain in rules:
            raise _fault(f'the rule "{plain}" is there twice', here)
        rules[plain] = _production(production, here)
    try:
        return _as_lark(rules)
    except bnf.BadGrammar as error:
        raise _fault(str(error), path) from None


def _production(given: Any, path: str) -> bnf.Node:
    alternatives = given if is_array(given) else [given]
    if not alternatives:
        raise _fault("a rule without alternatives", path)
    made: list[bnf.Node] = []
    for at, text in enumerate(alternatives):
        here = f"{path}[{at}]" if is_array(given) else path
        if not isinstance(text, str):
            raise InvalidRequest(
                f"`{here}`: expected what stands behind `::=`, as text, not {json_name(text)}.", param=here
            )
        try:
            made.append(bnf.parse_production(text))
        except bnf.BadGrammar as error:
            raise _fault(str(error), here) from None
    return made[0] if len(made) == 1 else bnf.Choice(tuple(made))


def _as_lark(rules: bnf.Rules) -> FormatGrammar:
    """Raises BadGrammar."""
    start = next((name for name in _STARTS if name in rules), next(iter(rules)))
    return FormatGrammar(syntax="lark", definition=bnf.as_lark(rules, start))


def _fault(problem: str, path: str) -> InvalidRequest:
    return InvalidRequest(f"`{path}`: no valid grammar: {problem}.", param=path)


def _too_long(path: str) -> InvalidRequest:
    return InvalidRequest(f"`{path}`: longer than {MAX_TEXT} characters; shorten the grammar.", param=path)
