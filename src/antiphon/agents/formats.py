"""`response_format` of an agent: its rules, and what it is for the engine."""

import re
from typing import Any, Final

from antiphon.agents import schemas
from antiphon.agents.grammar import grammar_of
from antiphon.agents.shapes import GrammarFormat, JsonSchemaFormat
from antiphon.core.body import FormatGrammar, FormatJsonSchema
from antiphon.core.json_schemas import is_closed
from antiphon.core.json_values import is_object
from antiphon.core.wire import JsonObject

_NO_NAME: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_OF_SCHEMAS: Final = frozenset({"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"})


def check_format(given: JsonSchemaFormat | GrammarFormat, path: str) -> None:
    """Raises InvalidRequest, naming the place below `path`."""
    if isinstance(given, JsonSchemaFormat):
        below, schema = _schema(given.json_schema)
        schemas.check(schema, f"{path}.json_schema{below}")
    else:
        schemas.check_depth(given.bnf, f"{path}.bnf")
        schemas.check_size(given.bnf, f"{path}.bnf", schemas.MAX_SCHEMA_BYTES)
        grammar_of(given.bnf, f"{path}.bnf")


def text_format(given: JsonSchemaFormat | GrammarFormat, path: str) -> FormatJsonSchema | FormatGrammar:
    """What a checked format is for the engine. Where the model's API can promise to keep to the schema, it is asked to;
    otherwise the schema only guides it, or binds it, as its server does.
    """
    if isinstance(given, GrammarFormat):
        return grammar_of(given.bnf, f"{path}.bnf")
    below, schema = _schema(given.json_schema)
    holder = given.json_schema if below else schema
    strict: Any = given.json_schema.get("strict") if below else None
    if not isinstance(strict, bool):
        strict = True if is_closed(schema) else None
    return FormatJsonSchema(
        name=_name(holder.get("name" if below else "title")), schema=schema, strict=strict
    )


def _schema(given: JsonObject) -> tuple[str, JsonObject]:
    """The schema, and where it is below `json_schema`: OpenAI's clients wrap it in an object with its name."""
    inner = given.get("schema")
    if is_object(inner) and not _OF_SCHEMAS & given.keys():
        return ".schema", inner
    return "", given


def _name(given: object) -> str:
    """A name that model APIs take."""
    return (_NO_NAME.sub("_", given)[:64] if isinstance(given, str) else "") or "answer"
