"""Names of files as callers give them. They are kept and shown, and no path is ever made of one."""

import unicodedata

from antiphon.core.errors import InvalidRequest

MAX_LENGTH = 255
_JOINERS = frozenset("\u200c\u200d")  # parts of words in some scripts, and of emoji
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that break lines, change the direction of text, or cannot be seen."""


def checked_name(name: str, param: str) -> str:
    """The name. Raises InvalidRequest, with `param`, for a path, and for what would not be seen as what it is."""
    if not name.strip():
        raise InvalidRequest("a file has a name; send one.", param=param)
    if len(name) > MAX_LENGTH:
        raise InvalidRequest(f"the name of a file has up to {MAX_LENGTH} characters.", param=param)
    if "/" in name or "\\" in name or name in (".", ".."):
        raise InvalidRequest("the name of a file is no path; send its last part alone.", param=param)
    for character in name:
        if unicodedata.category(character) in _UNSEEN and character not in _JOINERS:
            raise InvalidRequest(
                f"the name of a file cannot have the character U+{ord(character):04X}, which nobody would see.",
                param=param,
            )
    return name


def disposition(name: str) -> str:
    """`Content-Disposition` of a download (RFC 6266): the name in ASCII for old clients, and as it is."""
    from urllib.parse import quote

    plain = "".join(one if " " <= one <= "~" and one not in '"\\%' else "_" for one in name)
    whole = quote(name, safe="!#$&+-.^_`|~", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"
