"""What both stores keep to about questions that may be answered once."""

from collections.abc import Sequence

KEPT_S = 86_400
"""How long a grant or a flow stays after it has expired, so that it can still be told from an unknown one."""


def first_unusable(ids: Sequence[str], usable: set[str]) -> str | None:
    """The first id that is not usable, or not once those before it have been used; None when all are."""
    left = set(usable)
    for id in ids:
        if id not in left:
            return id
        left.discard(id)
    return None
