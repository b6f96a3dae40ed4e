"""The bodies of the `/v1/prompts` routes, and a version as it is stored.

The shapes are Llama Stack's (0.4 to 0.7); `model` is an extension.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.core.errors import InvalidRequest
from antiphon.core.templates import placeholders
from antiphon.core.wire import UNSET, UnsetType, Wire

MAX_TEMPLATE = 256 * 1024
MAX_VARIABLES = 256

Template = Annotated[str, Meta(min_length=1, max_length=MAX_TEMPLATE)]
Names = Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=MAX_VARIABLES)]
ModelName = Annotated[str, Meta(min_length=1, max_length=1024)]
Version = Annotated[int, Meta(ge=1, le=2**31 - 2)]


class CreatePrompt(Wire):
    """`variables` are the names of the placeholders in `prompt`, each once."""

    prompt: Template
    variables: Names | UnsetType | None = UNSET
    model: ModelName | UnsetType | None = UNSET


class UpdatePrompt(Wire):
    """`version` is the latest one, which the new one follows. Without `model` that of the latest version stays."""

    prompt: Template
    version: Version
    variables: Names | UnsetType | None = UNSET
    model: ModelName | UnsetType | None = UNSET
    set_as_default: bool | UnsetType | None = UNSET


class SetDefaultVersion(Wire):
    version: Version


class PromptContent(Wire):
    """What is stored of a version."""

    prompt: str
    variables: list[str]
    model: str | UnsetType = UNSET


class PromptObject(Wire):
    """A version of a prompt. `prompt_id` is `pmpt_` and 48 hexadecimal digits."""

    prompt_id: str
    version: int
    prompt: str
    variables: list[str]
    is_default: bool
    model: str | UnsetType = UNSET


class PromptList(Wire):
    data: list[PromptObject]


read_content = msgspec.json.Decoder(PromptContent).decode


def content_of(body: CreatePrompt | UpdatePrompt, model: str | UnsetType = UNSET) -> PromptContent:
    """The checked content of a new version; `model` is the one it has when the body says nothing of it.

    Raises InvalidRequest unless the declared variables are exactly the placeholders of the template.
    """
    declared = list(body.variables or ())
    occurring = placeholders(body.prompt)
    for at, name in enumerate(declared):
        if name in declared[:at]:
            raise _wrong(at, f'"{name}" is declared twice; declare it once')
        if name not in occurring:
            raise _wrong(
                at,
                f'"{name}" does not occur in `prompt`; put {{{{ {name} }}}} there, or do not declare it (names are of'
                ' letters, digits and "_")',
            )
    for name in occurring:
        if name not in declared:
            raise InvalidRequest(
                f'`variables`: "{name[:64]}" occurs in `prompt` and is not declared; add it.',
                param="variables",
            )
    if body.model is not UNSET:
        model = body.model if body.model is not None else UNSET
    return PromptContent(prompt=body.prompt, variables=declared, model=model)


def _wrong(at: int, what: str) -> InvalidRequest:
    return InvalidRequest(f"`variables[{at}]`: {what}.", param=f"variables[{at}]")
