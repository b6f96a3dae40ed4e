"""The `warning` header that names what a lenient server left out (warn-code 299 of RFC 7234, section 5.5)."""

import re
from collections.abc import Iterator, Sequence

MAX_NAMED = 20
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)


def left_out_header(unknown: Sequence[str], dropped: Sequence[str] = ()) -> dict[str, str]:
    """`unknown` are fields that nobody knows, `dropped` those that the model's server cannot honour."""
    warnings = [
        *_warning("not known here", unknown),
        *_warning("the model server cannot honour it", dropped),
    ]
    return {"warning": ", ".join(warnings)} if warnings else {}


def _warning(why: str, names: Sequence[str]) -> Iterator[str]:
    """Names come from outside: what could not stand in a header is not quoted, nor are very many."""
    if names:
        shown = [name if _NAME.fullmatch(name) else "(another)" for name in names[:MAX_NAMED]]
        yield f'299 antiphon "left out, {why}: {", ".join(shown)}"'
