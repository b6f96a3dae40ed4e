"""How calls are written in words, for models without native tool calls: three forms, those of Llama 3.

`json`: `{"type": "function", "name": "f", "parameters": {"a": 1}}`, one call a line. `function_tag`:
`<function=f>{"a": 1}</function>`. `python_list`: `[f(a=1), g()]`.
"""

import keyword
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from antiphon.core.json_values import is_array, is_object
from antiphon.core.loose_literals import Literals, Malformed, Members, as_object
from antiphon.core.wire import decode_json, encode

CallFormat = Literal["json", "function_tag", "python_list"]


class WrittenCall(NamedTuple):
    """A call of a function. `arguments` is JSON."""

    name: str
    arguments: str


# --- writing --------------------------------------------------------------------------------------------------
def written(form: CallFormat, calls: Sequence[WrittenCall]) -> str:
    """The calls of one step. Arguments that are no JSON object go in as they are, for the model to see."""
    match form:
        case "json":
            return "\n".join(_as_json(call) for call in calls)
        case "function_tag":
            return "\n".join(f"<function={call.name}>{call.arguments or '{}'}</function>" for call in calls)
        case "python_list":
            return f"[{', '.join(_as_python(call) for call in calls)}]"


def _as_json(call: WrittenCall) -> str:
    name = encode(call.name).decode()
    given = call.arguments if object_in(call.arguments) is not None else encode(call.arguments).decode()
    return f'{{"type": "function", "name": {name}, "parameters": {given}}}'


def _as_python(call: WrittenCall) -> str:
    given = object_in(call.arguments)
    if given is None:
        return f"{call.name}({encode(call.arguments).decode()})"
    named = {key: value for key, value in given.items() if _can_be_named(key)}
    rest = {key: value for key, value in given.items() if key not in named}
    pieces = [f"{key}={_python(value)}" for key, value in named.items()]
    if rest:
        pieces.append(f"**{_python(rest)}")
    return f"{call.name}({', '.join(pieces)})"


def _can_be_named(key: str) -> bool:
    return key.isascii() and key.isidentifier() and not keyword.iskeyword(key)


def _python(value: Any) -> str:
    match value:
        case None | bool():
            return str(value)
        case dict():
            pairs = [f"{encode(key).decode()}: {_python(one)}" for key, one in _items(value)]
            return "{" + ", ".join(pairs) + "}"
        case list():
            return f"[{', '.join(_python(one) for one in _elements(value))}]"
        case _:
            return encode(value).decode()


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    if is_object(value):
        yield from value.items()


def _elements(value: Any) -> Iterator[Any]:
    if is_array(value):
        yield from value


def object_in(text: str) -> dict[str, Any] | None:
    """The JSON object that the text is; None where it is none. Nothing at all means no arguments."""
    try:
        value: Any = decode_json(text) if text.strip() else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return None
    return value if is_object(value) else None


# --- reading --------------------------------------------------------------------------------------------------
_OF_A_CALL = frozenset({"type", "name", "parameters", "arguments", "id", "call_id", "function"})
FIRST_KEYS = _OF_A_CALL
"""With one of these an object begins that may be a call."""


def calls_in(form: CallFormat, text: str) -> list[WrittenCall]:
    """The calls that a text is, from its first bracket to its last. Of `function_tag` that is `name>{…}`.

    Raises Malformed, also for a call whose arguments are no JSON object.
    """
    match form:
        case "json":
            calls = _json_calls(text)
        case "function_tag":
            name, _, rest = text.partition(">")
            calls = [WrittenCall(name, _arguments(rest.strip() or "{}"))]
        case "python_list":
            calls = _python_calls(text)
    for call in calls:
        if object_in(call.arguments) is None:
            raise Malformed
    return calls


def _json_calls(text: str) -> list[WrittenCall]:
    reader = Literals(text)
    if reader.next() == "{":
        calls = [_json_call(reader.members())]
    else:
        reader.expect("[")
        calls = [_json_call(reader.members())]
        while reader.follows(",") and reader.next() != "]":
            calls.append(_json_call(reader.members()))
        reader.expect("]")
    reader.end()
    return calls


def _json_call(members: Members) -> WrittenCall:
    """Also in the forms of OpenAI's chat API, where models have seen those."""
    given = dict(members)
    if len(given) < len(members) or not _OF_A_CALL.issuperset(given):
        raise Malformed
    if "function" in given and "name" not in given:
        return _json_call(Literals(given["function"]).members())
    arguments = [given[key] for key in ("parameters", "arguments") if key in given]
    if "name" not in given or len(arguments) > 1 or not (arguments or "type" in given):
        raise Malformed
    return WrittenCall(Literals(given["name"]).string(), _arguments(*arguments))


def _arguments(given: str = "{}") -> str:
    """An object, or a text that is the JSON of one."""
    reader = Literals(given)
    if reader.next() in ('"', "'"):
        inner = Literals(reader.string())
        reader.end()
        reader = inner
    elif given == "null":
        return "{}"
    made = as_object(reader.members())
    reader.end()
    return made


def _python_calls(text: str) -> list[WrittenCall]:
    reader = Literals(text)
    reader.expect("[")
    calls = [_python_call(reader)]
    while reader.follows(",") and reader.next() != "]":
        calls.append(_python_call(reader))
    reader.expect("]")
    reader.end()
    return calls


def _python_call(reader: Literals) -> WrittenCall:
    name = reader.word()
    reader.expect("(")
    given: Members = []
    while reader.next() != ")":
        if reader.follows("**"):
            given += reader.members()
        else:
            argument = reader.word()
            reader.expect("=")
            given.append((argument, reader.value()))
        if not reader.follows(","):
            break
    reader.expect(")")
    if len(dict(given)) < len(given):
        raise Malformed
    return WrittenCall(name, as_object(given))
