"""What an upstream has no parameter for, as lines of the instructions."""

from collections.abc import Iterator

from antiphon.core.request import FormatGrammar, FormatJsonObject, FormatJsonSchema, ResponseRequest
from antiphon.core.wire import encode

SYNTAXES = {"lark": "Lark grammar", "regex": "regular expression"}
VERBOSITY_LINES = {"low": "Keep your answers short.", "high": "Answer in detail."}


def again(request: ResponseRequest, problem: str) -> str:
    """What a model is told whose answer broke `text.format`."""
    wanted = request.text.format if request.text is not None else None
    if isinstance(wanted, FormatGrammar):
        return (
            f"Your answer does not match the required {SYNTAXES[wanted.syntax]}: {problem}. Answer again with nothing"
            " but text that matches it."
        )
    return f"Your answer does not match the required JSON schema: {problem}. Answer again with JSON only."


def lines_for(
    request: ResponseRequest, *, verbosity: bool, json_schema: bool, json_object: bool, grammar: bool = False
) -> Iterator[str]:
    """The flags say what goes over as a parameter and so needs no words."""
    text = request.text
    if text is None:
        return
    if not verbosity and isinstance(text.verbosity, str) and text.verbosity in VERBOSITY_LINES:
        yield VERBOSITY_LINES[text.verbosity]
    match text.format:
        case FormatJsonSchema(schema=schema) if not json_schema:
            yield (
                "Answer with one JSON value, valid under this JSON Schema, and with nothing else:\n"
                + encode(schema).decode()
            )
        case FormatJsonObject() if not json_object:
            yield "Answer with one JSON object and with nothing else."
        case FormatGrammar(syntax=syntax, definition=definition) if not grammar:
            yield (
                f"Answer with text that matches this {SYNTAXES[syntax]} from beginning to end, and with nothing"
                f" else, no quotes and no code fence:\n{definition}"
            )
        case _:
            pass
