"""Llama Stack's `InterleavedContent` as the parts of items, and as a text."""

from collections.abc import Iterator

from antiphon.agents.shapes import Content, ImageItem, TextItem
from antiphon.core.attachments import is_remote
from antiphon.core.errors import InvalidRequest
from antiphon.core.items import InputImage, InputText, ToolOutputPart
from antiphon.responses import media

MAX_URL = 8_192
"""Characters of a URL that leads somewhere."""


def parts_of(content: Content, path: str) -> list[InputText | InputImage]:
    """One part for each item, in order; none for an empty list.

    Raises InvalidRequest for an image that is not said once, cannot be read, or is none: `param` is its field, below
    `path`.
    """
    return [
        InputText(text=one) if isinstance(one, str) else _part(one, where)
        for one, where in _items(content, path)
    ]


def text_of(content: Content) -> str:
    """Its texts, each on lines of its own. Images are left out."""
    texts = [one if isinstance(one, str) else _text(one) for one, _ in _items(content, "")]
    return "\n".join(one for one in texts if one)


def output_of(content: Content, path: str) -> str | list[ToolOutputPart]:
    """What a tool answered: a text, or parts where there are images. Raises as `parts_of` does."""
    items = [one for one, _ in _items(content, path)]
    if not any(isinstance(one, ImageItem) for one in items):
        return text_of(content)
    return list[ToolOutputPart](parts_of(content, path))


def has_images(content: Content) -> bool:
    return any(isinstance(one, ImageItem) for one, _ in _items(content, ""))


def image_part(content: bytes, param: str) -> InputImage:
    """An image as models take it, its type told from its bytes. Raises InvalidRequest, with this `param`."""
    kind = media.image_type(content)
    if kind is None:
        raise InvalidRequest(
            f"`{param}`: this is no image that models take; send a PNG, JPEG, WebP or GIF.", param=param
        )
    if len(content) > media.MAX_IMAGE_BYTES:
        raise InvalidRequest(
            f"`{param}`: the image has {len(content)} bytes, and {media.MAX_IMAGE_BYTES} are the most that is put"
            " into a request.",
            param=param,
        )
    return InputImage(image_url=media.data_url(kind, content), detail="auto")


def _items(content: Content, path: str) -> Iterator[tuple[str | TextItem | ImageItem, str]]:
    if isinstance(content, list):
        yield from ((one, f"{path}[{at}]") for at, one in enumerate(content))
    else:
        yield content, path


def _text(item: TextItem | ImageItem) -> str:
    return item.text if isinstance(item, TextItem) else ""


def _part(item: TextItem | ImageItem, path: str) -> InputText | InputImage:
    if isinstance(item, TextItem):
        return InputText(text=item.text)
    url, data = item.image.url or None, item.image.data or None
    if (url is None) == (data is None):
        told = "needs `url` or `data`" if url is None else "says twice what it is; send `url` or `data`"
        raise InvalidRequest(f"`{path}.image`: an image {told}.", param=f"{path}.image")
    if data is not None:
        param = f"{path}.image.data"
        return image_part(media.from_data(data, "", param).content, param)
    return _at(url.uri if url is not None else "", f"{path}.image.url.uri")


def _at(uri: str, param: str) -> InputImage:
    if uri[:5].lower() == "data:":
        return image_part(media.from_data(uri, "", param).content, param)
    if not is_remote(uri) or len(uri) > MAX_URL:
        raise InvalidRequest(
            f"`{param}`: expected the URL of an image (http, https, or data: in base64), at most {MAX_URL} characters"
            " unless it is a data: URL.",
            param=param,
        )
    return InputImage(image_url=uri, detail="auto")
