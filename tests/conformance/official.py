"""The two official documents as validators: is this body, is this event, what the document says it is?

The documents are data beside the checkout (or where `ANTIPHON_SPEC` says) and are never copied in.
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

Json = dict[str, Any]
_REF = "#/components/schemas/"


def spec_folder() -> Path:
    """Where `openai.json` and `open-responses.json` are, whether or not they are there."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "spec"
    return Path(os.environ.get("ANTIPHON_SPEC", str(beside)))


MISSING = (
    "the official OpenAPI documents are not here: put openai.json and open-responses.json in ../shared/spec"
    " beside the checkout, or name their folder in ANTIPHON_SPEC"
)


def available() -> bool:
    return all((spec_folder() / name).is_file() for name in ("openai.json", "open-responses.json"))


class Document:
    """One OpenAPI document. Errors are sentences: where in the value, and what is wrong there."""

    def __init__(self, document: Json, events: list[Json]) -> None:
        self.schemas: Json = document["components"]["schemas"]
        self._components = {"schemas": {name: _plain(schema) for name, schema in self.schemas.items()}}
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}
        self.events: dict[str, str] = dict(self._event_names(events))

    def _event_names(self, members: list[Json]) -> Iterator[tuple[str, str]]:
        for member in members:
            name = member["$ref"].removeprefix(_REF)
            tag = self.schemas[name]["properties"]["type"]
            for value in tag.get("enum", [tag.get("const")]):
                yield value, name

    def errors(self, schema: str, value: object) -> list[str]:
        """What keeps `value` from being a `schema` (a name of the document), nothing when it is one."""
        validator = self._validators.get(schema)
        if validator is None:
            whole = {"$ref": _REF + schema, "components": self._components}
            validator = self._validators[schema] = jsonschema_rs.Draft202012Validator(whole)
        return [
            f"{schema} at {'/'.join(map(str, error.instance_path)) or 'its top'}: {error.message[:400]}"
            for error in validator.iter_errors(value)
        ]

    def event_errors(self, event: Json) -> list[str]:
        """The same for a stream event, against the member of the event union that its `type` names."""
        name = self.events.get(event.get("type", ""))
        return (
            [f"no event of the document has type {event.get('type')!r}"]
            if name is None
            else self.errors(name, event)
        )

    def item_types(self, union: str) -> set[str]:
        """The `type` of each member of a union of items."""
        members = [member["$ref"].removeprefix(_REF) for member in self.schemas[union]["oneOf"]]
        tags = [self.properties(name)["type"] for name in members]
        return {value for tag in tags for value in tag.get("enum", [tag.get("const")])}

    def properties(self, schema: str) -> dict[str, Json]:
        """The top-level properties of a schema, through `allOf` and `$ref`."""
        found: dict[str, Json] = {}
        queue: list[Json] = [{"$ref": _REF + schema}]
        while queue:
            node = queue.pop(0)
            if "$ref" in node:
                queue.append(self.schemas[node["$ref"].removeprefix(_REF)])
            queue += node.get("allOf", [])
            found |= node.get("properties", {})
        return found


def _plain(node: Any) -> Any:
    """A schema of an OpenAPI 3.1 document as plain JSON Schema.

    `nullable` is OpenAPI 3.0's, which the documents still use. `oneOf` becomes `anyOf`: members are told
    apart by their `type`, and some overlap as written (`EasyInputMessage`, `InputMessage`). `$recursiveRef`
    is of the 2019-09 draft.
    """
    if isinstance(node, list):
        return [_plain(item) for item in node]  # pyright: ignore[reportUnknownVariableType] JSON of any shape
    if not isinstance(node, dict):
        return node
    schema: Json = {key: _plain(value) for key, value in node.items() if key != "discriminator"}  # pyright: ignore[reportUnknownVariableType] JSON of any shape
    if schema.get("$recursiveRef") == "#":
        return {"$ref": _REF + "CompoundFilter"}
    schema.pop("$recursiveAnchor", None)
    if "oneOf" in schema and "anyOf" not in schema:
        schema["anyOf"] = schema.pop("oneOf")
    if schema.pop("nullable", False) is True:
        return {"anyOf": [schema, {"type": "null"}]}
    return schema


@cache
def openai() -> Document:
    document = json.loads((spec_folder() / "openai.json").read_bytes())
    return Document(document, document["components"]["schemas"]["ResponseStreamEvent"]["anyOf"])


@cache
def open_responses() -> Document:
    document = json.loads((spec_folder() / "open-responses.json").read_bytes())
    answer = document["paths"]["/responses"]["post"]["responses"]["200"]["content"]
    return Document(document, answer["text/event-stream"]["schema"]["oneOf"])
