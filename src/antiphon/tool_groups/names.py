"""What groups and their tools are called where: `group/tool`, and labels of servers."""

import re
from collections.abc import Collection, Iterator

from antiphon.config.group_settings import MCP_PREFIX

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_LABEL = 100


def splits(name: str) -> Iterator[tuple[str, str]]:
    """The groups and tools that a name may mean, `(group, "")` for all of it first: either may have a slash in it."""
    yield name, ""
    at = len(name)
    while (at := name.rfind("/", 0, at)) > 0:
        if name[at + 1 :]:
            yield name[:at], name[at + 1 :]


def label_of(group_id: str) -> str:
    """What the server of a group is called, to models and in a response's items."""
    return _UNFIT.sub("-", group_id.removeprefix(MCP_PREFIX)).strip("-._")[:_MAX_LABEL] or "group"


def distinct_label(group_id: str, taken: Collection[str]) -> str:
    label = whole = label_of(group_id)
    number = 1
    while label in taken:
        number += 1
        label = f"{whole}-{number}"
    return label
