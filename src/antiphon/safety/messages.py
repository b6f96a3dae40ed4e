"""The messages of `POST /v1/safety/run-shield` as shields see them."""

from collections.abc import Iterator, Sequence

from antiphon.core.errors import InvalidRequest
from antiphon.core.shields import Role, ShieldMessage, Touchpoint
from antiphon.core.wire import encode
from antiphon.responses import media
from antiphon.safety.shapes import (
    AnyMessage,
    AssistantMessage,
    Content,
    FilePart,
    ImagePart,
    ImageUrlPart,
    ShieldToolCall,
    TextPart,
    ToolMessage,
    UserMessage,
)

_REMOTE = ("http://", "https://")


def shield_messages(messages: Sequence[AnyMessage]) -> tuple[ShieldMessage, ...]:
    """One for each. Raises InvalidRequest, naming the part that cannot be checked."""
    return tuple(_message(one, f"messages[{at}]") for at, one in enumerate(messages))


def touchpoint_of(messages: Sequence[ShieldMessage]) -> Touchpoint:
    """What a shield is asked about is the last message: what a model said, or what it is to read."""
    return "assistant-output" if messages[-1].role == "assistant" else "user-input"


def _message(message: AnyMessage, path: str) -> ShieldMessage:
    texts: list[str] = []
    images: list[str] = []
    contents = [(message.content or "", f"{path}.content")]
    if isinstance(message, UserMessage) and message.context:
        contents.append((message.context, f"{path}.context"))
    for content, where in contents:
        _read(content, where, texts, images)
    if isinstance(message, AssistantMessage):
        texts += [message.refusal] if message.refusal else []
        texts += [text for call in message.tool_calls or () for text in _said(call)]
    return ShieldMessage(_role(message), "\n".join(filter(None, texts)), tuple(images))


def _role(message: AnyMessage) -> Role:
    if isinstance(message, UserMessage):
        return "user"
    if isinstance(message, ToolMessage):
        return "tool"
    return "assistant" if isinstance(message, AssistantMessage) else "system"


def _read(content: Content, path: str, texts: list[str], images: list[str]) -> None:
    if isinstance(content, str):
        texts.append(content)
        return
    parts = content if isinstance(content, list) else [content]
    for at, part in enumerate(parts):
        where = f"{path}[{at}]" if isinstance(content, list) else path
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, FilePart):
            raise InvalidRequest(
                f"`{where}`: shields do not open files; send the text of the file.", param=where
            )
        else:
            images.append(_image(part, where))


def _image(part: ImagePart | ImageUrlPart, path: str) -> str:
    if isinstance(part, ImageUrlPart):
        return _address(part.image_url.url, f"{path}.image_url.url")
    url, data = part.image.url or None, part.image.data or None
    if (url is None) == (data is None):
        told = "needs `url` or `data`" if url is None else "says twice what it is; send `url` or `data`"
        raise InvalidRequest(f"`{path}.image`: an image {told}.", param=f"{path}.image")
    if url is not None:
        return _address(url.uri, f"{path}.image.url.uri")
    return _embedded(data or "", f"{path}.image.data")


def _address(url: str, param: str) -> str:
    if url[:5].lower() == "data:":
        return _embedded(url, param)
    if url.lower().startswith(_REMOTE):
        return url
    raise InvalidRequest(f"`{param}`: expected an http, https or data: URL of an image.", param=param)


def _embedded(data: str, param: str) -> str:
    content = media.from_data(data, "", param).content
    kind = media.image_type(content)
    if kind is None:
        raise InvalidRequest(
            f"`{param}`: this is no image that models take; send a PNG, JPEG, WebP or GIF.", param=param
        )
    return media.data_url(kind, content)


def _said(call: ShieldToolCall) -> Iterator[str]:
    """What of a call a model wrote: names and arguments."""
    for name in (call.tool_name, call.function.name if call.function else None):
        if name:
            yield name
    for arguments in (
        call.arguments,
        call.arguments_json,
        call.function.arguments if call.function else None,
    ):
        if isinstance(arguments, dict):
            yield encode(arguments).decode()
        elif arguments:
            yield arguments
