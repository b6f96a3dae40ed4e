"""Files and images in chat messages: `file_id` and URLs become what the model's server takes.

Requests without such parts are not touched. What is stored of a request keeps what was sent.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from antiphon.chat.request import ChatMessage
from antiphon.core.attachments import Attachment, Reference, check_one_source, is_remote, reference_of
from antiphon.core.errors import InvalidRequest
from antiphon.core.items import InputFile, InputImage, InputText, MessagePart
from antiphon.core.json_values import is_object
from antiphon.core.wire import JsonObject, encode
from antiphon.ports import Intake, Owner
from antiphon.responses.attachments import Attachments

Place = tuple[int, int]
"""Of a message, and of a part in it."""


def has_parts(messages: Sequence[ChatMessage]) -> bool:
    """Whether any message is more than a text."""
    return any(type(message.content) is list for message in messages)


async def shown_body(
    attachments: Attachments, owner: Owner, messages: Sequence[ChatMessage], body: bytes, intake: Intake
) -> bytes:
    """The body with the attachments of its messages as this intake wants them; itself where nothing changes.

    Raises NotFound, FetchRefused and InvalidRequest, with the place in `param`.
    """
    parts: dict[Place, Attachment] = {}
    paths: dict[Reference, str] = {}
    for place, part, path in _attachments(messages):
        reference = reference_of(part)
        if reference is not None:
            parts[place] = part
            paths.setdefault(reference, path)
    if not parts:
        return body
    given = await attachments.named(owner, paths)
    by_chat = Intake(
        intake.image_urls, "none" if intake.files == "none" else "pdf"
    )  # this wire knows no other files
    made = await given.parts(list(parts.values()), by_chat)
    new = {place: one for (place, part), one in zip(parts.items(), made, strict=True) if one is not part}
    return _with_parts(body, new) if new else body


def _attachments(messages: Sequence[ChatMessage]) -> Iterator[tuple[Place, Attachment, str]]:
    for at, message in enumerate(messages):
        if isinstance(message.content, str) or message.content is None:
            continue
        for where, part in enumerate(message.content):
            path = f"messages[{at}].content[{where}]"
            if part.get("type") == "file":
                yield (at, where), *_file(part.get("file"), f"{path}.file")
            elif part.get("type") == "image_url":
                url: Any = part.get("image_url")
                url = url.get("url") if is_object(url) else url
                if isinstance(url, str) and url:  # else the upstream's to refuse
                    yield (at, where), InputImage(image_url=url), f"{path}.image_url.url"


def _file(value: Any, path: str) -> tuple[InputFile, str]:
    try:
        file = msgspec.convert(value, _ChatFile)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"`{path}`: {error}.", param=path) from None
    data, url = file.file_data, None
    if data is not None and is_remote(data):  # as OpenRouter takes it
        data, url = None, data
    part = InputFile(file_id=file.file_id, file_data=data, file_url=url, filename=file.filename)
    check_one_source(part, path)
    return part, f"{path}.{'file_id' if file.file_id else 'file_data'}"


class _ChatFile(msgspec.Struct):
    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


def _with_parts(body: bytes, new: dict[Place, MessagePart]) -> bytes:
    fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    messages = msgspec.json.decode(fields["messages"], type=list[JsonObject])
    for (at, where), part in new.items():
        content = messages[at]["content"]
        content[where] = _shape(part, content[where])
    return encode({**fields, "messages": messages})


def _shape(part: MessagePart, before: JsonObject) -> JsonObject:
    rest = {
        name: value for name, value in before.items() if name not in {"type", "file", "image_url", "text"}
    }
    match part:
        case InputImage(image_url=url):
            was = before.get("image_url")
            image = {**was, "url": url} if is_object(was) else {"url": url}
            return {"type": "image_url", "image_url": image, **rest}
        case InputFile(filename=name, file_data=data):
            return {"type": "file", "file": {"filename": name, "file_data": data}, **rest}
        case InputText(text=text):
            return {"type": "text", "text": text, **rest}
        case _:
            raise TypeError(f"a {type(part).__name__} is shown for no attachment")
