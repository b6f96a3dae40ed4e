"""Content as Llama Stack's clients send it, as a text."""

from typing import Any

from antiphon.core.errors import InvalidRequest, UnsupportedParameter
from antiphon.core.json_values import is_array, is_object


def text_of(content: Any, param: str) -> str:
    """The text of a string, of a part, or of several, joined by spaces. Raises InvalidRequest, and
    UnsupportedParameter for images, which no index here can search.
    """
    if isinstance(content, str):
        return content
    if is_array(content):
        return " ".join(_part(one, f"{param}[{at}]") for at, one in enumerate(content))
    return _part(content, param)


def _part(part: Any, param: str) -> str:
    if isinstance(part, str):
        return part
    if is_object(part) and ("image" in part or part.get("type") == "image"):
        raise UnsupportedParameter(
            f"`{param}`: images are not searched here. Send the text that describes it.", param=param
        )
    kind = part.get("type", "text") if is_object(part) else None
    text = part.get("text") if is_object(part) else None
    if kind != "text" or not isinstance(text, str):
        raise InvalidRequest(f'`{param}`: expected a text, or {{"type": "text", "text": …}}.', param=param)
    return text
