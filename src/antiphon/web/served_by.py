"""`x-antiphon-served-by`: which model of which provider answers, beside the name that the client asked for."""

from urllib.parse import quote

HEADER = "x-antiphon-served-by"


def served_by_header(name: str) -> dict[str, str]:
    """The header, empty for an empty name. Names are upstreams' own: what no header may hold is percent-encoded."""
    if not name:
        return {}
    return {HEADER: name if name.isascii() and name.isprintable() else quote(name, safe="/:")}
