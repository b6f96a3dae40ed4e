"""What tools give out beside their answer: `__tools_attachment__={…}` in their output becomes an output attachment.

Source of the marker: Llama Stack's code interpreter and agents, where the object has `filepath` and `mimetype`. Tools
of MCP servers run elsewhere, so it may say `uri` (or `url`) or `content` in place of a path.
"""

import json
from typing import Any, Final

from antiphon.agents.shapes import Attachment
from antiphon.core.json_values import is_object

MARKER: Final = "__tools_attachment__="
MAX_ATTACHMENT: Final = 1024 * 1024
"""Characters of the object behind a marker; a larger one stays in the text."""
MAX_ATTACHMENTS: Final = 16
"""Of one output; further markers stay in the text."""
_MAX_TRIED: Final = 64
_MAX_MEDIA_TYPE: Final = 127
_SCHEMES: Final = ("http://", "https://", "data:", "file://")
_DECODER: Final = json.JSONDecoder()


def taken_out(output: str) -> tuple[str, list[Attachment]]:
    """The output without its attachments, and those, in order. A marker that has no such object behind it stays."""
    found: list[Attachment] = []
    kept: list[str] = []
    start = at = 0
    for _ in range(_MAX_TRIED):
        at = output.find(MARKER, at)
        if at < 0 or len(found) == MAX_ATTACHMENTS:
            break
        attachment, end = _behind(output, at + len(MARKER))
        if attachment is not None:
            found.append(attachment)
            kept.append(output[start:at])
            start = end
        at = end
    if not found:
        return output, []
    return _joined([*kept, output[start:]]), found


def _behind(output: str, start: int) -> tuple[Attachment | None, int]:
    """The attachment that is written there, and where what follows begins."""
    try:
        value, length = _DECODER.raw_decode(output[start : start + MAX_ATTACHMENT])
    except (ValueError, RecursionError):
        return None, start
    attachment = _attachment(value)
    return attachment, start + length if attachment is not None else start


def _attachment(value: Any) -> Attachment | None:
    if not is_object(value):
        return None
    kind = value.get("mimetype", value.get("mime_type"))
    if not isinstance(kind, str) or not 0 < len(kind) <= _MAX_MEDIA_TYPE:
        return None
    path, uri, text = value.get("filepath"), value.get("uri", value.get("url")), value.get("content")
    given = [one for one in (path, uri, text) if one is not None]
    if len(given) != 1 or not isinstance(given[0], str) or not given[0]:
        return None
    if isinstance(text, str):
        return Attachment(content=text, mime_type=kind)
    where = f"file://{path}" if isinstance(path, str) else str(uri)
    return Attachment(content={"uri": where}, mime_type=kind) if where.lower().startswith(_SCHEMES) else None


def _joined(pieces: list[str]) -> str:
    """What stood around the attachments; a line that held nothing else is gone."""
    text = pieces[0]
    for piece in pieces[1:]:
        whole_line = (not text or text.endswith("\n")) and (not piece or piece.startswith("\n"))
        text += piece[1:] if whole_line else piece
    return text.strip() if text.isspace() else text
