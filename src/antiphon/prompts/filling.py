"""A prompt in a request: its template filled with the variables, ready to stand before the conversation.

Texts go into the template. Images and files become one user message in front of the conversation; a marker stands in
the template where each was asked for. Nothing of it is stored with the response or seen by those that continue it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from antiphon.core.body import Prompt
from antiphon.core.errors import InvalidRequest, NotFound
from antiphon.core.items import MAX_TEXT, InputFile, InputImage, InputText, Message
from antiphon.core.prompt_turn import prompt_turn
from antiphon.core.request import ResponseRequest
from antiphon.core.templates import fill, filled_size
from antiphon.core.transcript import PastTurn, Transcript
from antiphon.ports import Owner, PromptStore, StoredPrompt
from antiphon.prompts.shapes import PromptContent, read_content

Value = str | InputText | InputImage | InputFile
_VERSION = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FilledPrompt:
    """`text` is the filled template; `media` the turn with images and files, where there are any."""

    stored: StoredPrompt
    text: str
    media: tuple[PastTurn, ...]

    def before(self, transcript: Transcript) -> Transcript:
        """The transcript with the prompt in front of it."""
        parts = [part for part in (self.text, transcript.instructions) if part]
        history = (*self.media, *transcript.history)
        return replace(transcript, instructions="\n\n".join(parts) or None, history=history)

    def shown_instructions(self, instructions: str | None) -> list[Message]:
        """`instructions` of the response object: a list of items where a prompt was filled."""
        texts = [part for part in (self.text, instructions) if part]
        return [Message(role="system", content=[InputText(text=text)]) for text in texts]


async def filled(
    prompts: PromptStore, owner: Owner, request: ResponseRequest
) -> tuple[ResponseRequest, FilledPrompt | None]:
    """The request with the model and the version that its prompt decides, and the filled prompt.

    Raises NotFound for an unknown prompt or version, InvalidRequest for variables that are not the template's, and
    when neither the request nor the prompt names a model.
    """
    asked = request.prompt
    if asked is None:
        return request, None
    stored = await _stored(prompts, owner, asked)
    content = read_content(stored.body)
    values = asked.variables or {}
    _check_names(content.variables, values)
    model = request.model or content.model
    if not model:
        raise InvalidRequest(
            f'`model`: missing, and version {stored.version} of prompt "{stored.id}" has none either; name one of'
            " GET /v1/models.",
            param="model",
        )
    named = msgspec.structs.replace(asked, version=str(stored.version))
    return (
        msgspec.structs.replace(request, model=model, prompt=named),
        FilledPrompt(stored, _text(content, values), _media(content.variables, values)),
    )


async def _stored(prompts: PromptStore, owner: Owner, asked: Prompt) -> StoredPrompt:
    version = asked.version
    number: int | None = None
    if isinstance(version, str):
        number = int(version) if _VERSION.fullmatch(version) else 0  # no version has the number 0
    stored = await prompts.get_prompt(owner, asked.id, number)
    if stored is not None:
        return stored
    if number is not None and await prompts.get_prompt(owner, asked.id) is not None:
        raise NotFound(
            f'prompt "{asked.id}" has no version "{str(version)[:50]}"; GET /v1/prompts/{{prompt_id}}/versions lists'
            " those it has.",
            param="prompt.version",
        )
    raise NotFound(
        f'there is no prompt "{asked.id[:200]}"; it may have been deleted. GET /v1/prompts lists those there are.',
        param="prompt.id",
    )


def _check_names(declared: Sequence[str], values: Mapping[str, Value]) -> None:
    for name in values:
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise _wrong(name, f"this version of the prompt has no such variable; it has: {known}")
    for name in declared:
        if name not in values:
            raise _wrong(
                name, "required by the prompt, and missing; send a text, an input_image or an input_file"
            )


def _text(content: PromptContent, values: Mapping[str, Value]) -> str:
    texts = {name: _inserted(name, value) for name, value in values.items()}
    size = filled_size(content.prompt, {name: len(text) for name, text in texts.items()})
    if size > MAX_TEXT:
        raise InvalidRequest(
            f"`prompt.variables`: the filled prompt has {size} characters; at most {MAX_TEXT} are allowed.",
            param="prompt.variables",
        )
    return fill(content.prompt, texts)


def _inserted(name: str, value: Value) -> str:
    """What stands in the text in place of the placeholder."""
    match value:
        case str():
            return value
        case InputText(text=text, prompt_cache_breakpoint=breakpoint_):
            if breakpoint_:
                raise _wrong(
                    f"{name}.prompt_cache_breakpoint",
                    "a text in the middle of a prompt cannot end a cached prefix",
                )
            return text
        case InputImage():
            return f"[image: {name}]"
        case InputFile():
            return f"[file: {name}]"


def _media(declared: Sequence[str], values: Mapping[str, Value]) -> tuple[PastTurn, ...]:
    """The turn that shows what is no text, each behind its marker."""
    parts: list[InputText | InputImage | InputFile] = []
    for name in declared:
        value = values[name]
        if isinstance(value, InputImage | InputFile):
            parts += [InputText(text=_inserted(name, value)), value]
    return (prompt_turn(parts),) if parts else ()


def _wrong(name: str, what: str) -> InvalidRequest:
    param = f"prompt.variables.{name[:100]}"
    return InvalidRequest(f"`{param}`: {what}.", param=param)
