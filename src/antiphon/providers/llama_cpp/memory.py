"""How much memory this machine, or the container around us, has."""

import os
from contextlib import suppress
from pathlib import Path

SHARE = 0.8
"""What engines may take unless `memory_limit` says otherwise; the rest is for everything else that runs here."""

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def default_limit() -> int:
    """Bytes: a share of the memory there is, or of what the control group allows."""
    amounts = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _CGROUP_LIMITS:
        with suppress(OSError, ValueError):
            amounts.append(int(path.read_text()))
    return int(min(amounts) * SHARE)
