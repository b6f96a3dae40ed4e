"""What an upstream has no parameter for, as lines of the instructions."""

from collections.abc import Iterator

from antiphon.core.request import FormatJsonObject, FormatJsonSchema, ResponseRequest
from antiphon.core.wire import encode

VERBOSITY_LINES = {"low": "Keep your answers short.", "high": "Answer in detail."}


def lines_for(
    request: ResponseRequest, *, verbosity: bool, json_schema: bool, json_object: bool
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
        case _:
            pass
