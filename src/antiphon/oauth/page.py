"""The page that a user sees at the end: plain, without scripts, without anything from elsewhere."""

from base64 import b64encode
from hashlib import sha256
from html import escape

from antiphon.web.http import JsonReply

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } p { opacity: .85; }
"""
_STYLE_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}


def page(title: str, text: str, *, status: int = 200) -> JsonReply:
    """Title and text are written as text, whatever they hold."""
    body = (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        "<meta name=robots content=noindex>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style><h1>{escape(title)}</h1><p>{escape(text)}</p>"
    )
    encoded = body.encode("utf-8", "replace")
    return JsonReply(encoded, status=status, headers=_HEADERS, media=b"text/html; charset=utf-8")
