"""What a child may not do any more, once it has loaded all that it needs.

Everywhere: limits of memory, time, files and processes. On Linux it dies with the server, and on x86-64 and ARM64 a
seccomp filter takes away what a reader has no use for: opening files, sockets, other programs and processes. The
filter answers EPERM, so that a library that tries goes on without.
"""

import contextlib
import ctypes
import platform
import resource
import signal
import struct
import sys
from typing import Final

from antiphon.extraction.limits import ExtractionLimits

# <linux/prctl.h>, <linux/seccomp.h>, <linux/filter.h>, <linux/audit.h>
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER: Final = 2
ALLOW, EPERM = 0x7FFF0000, 0x00050001
LOAD_NUMBER, LOAD_ARCHITECTURE = (0x20, 0, 0, 0), (0x20, 0, 0, 4)
IF_EQUAL, IF_AT_LEAST, RETURN = 0x15, 0x35, 0x06
X32_BIT: Final = 0x40000000

# Numbers of <asm/unistd_64.h> and <asm-generic/unistd.h>.
_DENIED_X86_64: Final = {
    "open": 2, "socket": 41, "connect": 42, "accept": 43, "sendto": 44, "sendmsg": 46, "bind": 49, "listen": 50,
    "socketpair": 53, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "truncate": 76, "rename": 82,
    "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88, "chmod": 90, "chown": 92,
    "ptrace": 101, "prctl": 157, "mount": 165, "openat": 257, "mkdirat": 258, "unlinkat": 263, "renameat": 264,
    "linkat": 265, "symlinkat": 266, "unshare": 272, "accept4": 288, "process_vm_readv": 310,
    "process_vm_writev": 311, "renameat2": 316, "memfd_create": 319, "bpf": 321, "execveat": 322,
}  # fmt: skip
_DENIED_ARM64: Final = {
    "mkdirat": 34, "unlinkat": 35, "symlinkat": 36, "linkat": 37, "renameat": 38, "mount": 40, "truncate": 45,
    "openat": 56, "unshare": 97, "ptrace": 117, "kill": 129, "prctl": 167, "socket": 198, "socketpair": 199,
    "bind": 200, "listen": 201, "accept": 202, "connect": 203, "sendto": 206, "sendmsg": 211, "clone": 220,
    "execve": 221, "accept4": 242, "process_vm_readv": 270, "process_vm_writev": 271,
    "renameat2": 276, "memfd_create": 279, "bpf": 280, "execveat": 281,
}  # fmt: skip
_DENIED_BOTH: Final = (425, 426, 427, 434, 435, 437, 438, 440)
"""io_uring, pidfd_open, clone3, openat2, pidfd_getfd, process_madvise."""
_ARCHITECTURES: Final = {
    "x86_64": (0xC000003E, _DENIED_X86_64),
    "aarch64": (0xC00000B7, _DENIED_ARM64),
}


def confine(limits: ExtractionLimits) -> bool:
    """Give up what a reader does not need, for good. Whether the filter is in force."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NOFILE, 16)
    if hasattr(resource, "RLIMIT_NPROC"):
        _limit(resource.RLIMIT_NPROC, 0)
    if sys.platform.startswith("linux"):
        _limit(resource.RLIMIT_AS, limits.memory_bytes)
        return _filter()
    return False


def allow_cpu(seconds: int) -> None:
    """So much more processor time, for the next file. The system ends the process at the limit."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + 1 + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (until, hard))


def die_with_parent() -> None:
    """Linux ends us with the thread that started us; elsewhere the end of our input does, between two files."""
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (most, most))


def _filter() -> bool:
    known = _ARCHITECTURES.get(platform.machine())
    if known is None or sys.maxsize < 2**32:
        return False
    architecture, denied = known
    code = filter_program(architecture, sorted({*denied.values(), *_DENIED_BOTH}))
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *one) for one in code))
    header = struct.pack("@HxxxxxxP", len(code), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    done: int = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0)
    return done == 0


def filter_program(architecture: int, denied: list[int]) -> list[tuple[int, int, int, int]]:
    """Instructions of the classic packet filter: EPERM for these calls, and for all of another architecture."""
    count = len(denied)
    code = [LOAD_ARCHITECTURE, (IF_EQUAL, 1, 0, architecture), (RETURN, 0, 0, EPERM), LOAD_NUMBER]
    code.append((IF_AT_LEAST, count + 1, 0, X32_BIT))
    code.extend((IF_EQUAL, count - at, 0, number) for at, number in enumerate(denied))
    return [*code, (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, EPERM)]
