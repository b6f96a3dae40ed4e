"""A message as text: who wrote to whom, when and about what, the body, and the names of what is attached."""

from collections.abc import Callable
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Final, TypeVar, cast

from antiphon.extraction.building import TextBuilder, invalid, one_line
from antiphon.extraction.decoding import decode
from antiphon.extraction.html_text import read_html

_HEADERS: Final = ("From", "To", "Cc", "Date", "Subject")
T = TypeVar("T")
MAX_PARTS: Final = 1_000
MAX_HEADER: Final = 4_000


def read_email(content: bytes, builder: TextBuilder) -> None:
    """Attachments are named, not read: they are files of their own."""
    message = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(content)
    for name in _HEADERS:
        value = _header(message, name)
        if value:
            builder.line(f"{name}: {value}")
    builder.title = _header(message, "Subject")
    builder.end_paragraph()
    bodies, attached = _parts(message)
    for part in bodies:
        _read_body(part, builder)
        builder.end_paragraph()
    for one in attached:
        builder.line(f"[attached: {one}]")


def _header(message: EmailMessage, name: str) -> str:
    """Decoded, on one line; as it stands where its form is broken."""

    def as_it_stands() -> str:
        return next((str(raw) for key, raw in message.raw_items() if key.lower() == name.lower()), "")

    return one_line(_told(lambda: str(message[name] or ""), as_it_stands())[:MAX_HEADER])


def _told(ask: Callable[[], T], otherwise: T) -> T:
    """What the standard library makes of a header: it raises all kinds of errors over broken ones."""
    try:
        return ask()
    except (ValueError, IndexError, AttributeError, TypeError, LookupError):
        return otherwise


def _parts(message: EmailMessage) -> tuple[list[EmailMessage], list[str]]:
    """The texts to read, of alternatives the plain one, and what else there is by name."""
    bodies, attached = list[EmailMessage](), list[str]()
    waiting, seen = [message], 0
    while waiting:
        part = waiting.pop()
        seen += 1
        if seen > MAX_PARTS:
            raise invalid(f"it has more than {MAX_PARTS:,} parts.")
        kind = _told(part.get_content_type, "text/plain")
        if kind == "multipart/alternative":
            waiting.append(_best(part))
        elif kind.startswith("multipart/"):
            waiting.extend(reversed(_inside(part)))
        elif kind in {"text/plain", "text/html"} and not _is_attachment(part):
            bodies.append(part)
        else:
            attached.append(one_line(_name(part) or kind))
    return bodies, attached


def _inside(part: EmailMessage) -> list[EmailMessage]:
    payload = cast("object", part.get_payload())
    inside = cast("list[object]", payload) if isinstance(payload, list) else []
    return [one for one in inside if isinstance(one, EmailMessage)]


def _best(part: EmailMessage) -> EmailMessage:
    inside = _inside(part)
    plain = [one for one in inside if one.get_content_type() == "text/plain"]
    return (plain or inside[-1:] or [EmailMessage()])[0]


def _is_attachment(part: EmailMessage) -> bool:
    disposition = _told(lambda: str(part.get("Content-Disposition", "")), "")
    return disposition.lower().lstrip().startswith("attachment")


def _name(part: EmailMessage) -> str:
    return _told(lambda: part.get_filename() or "", "")


def _read_body(part: EmailMessage, builder: TextBuilder) -> None:
    payload = _told(lambda: part.get_payload(decode=True), None)
    if not isinstance(payload, bytes) or not payload:
        return
    text = decode(payload, _told(lambda: part.get_content_charset() or "", ""))
    if _told(part.get_content_type, "") == "text/html":
        read_html(text, builder)
    else:
        builder.add(text)
