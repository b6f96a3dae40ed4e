"""From a name to the addresses that are connected to: asked once, each answer checked, nothing else connected to."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from antiphon.fetching.urls import CLOSED, Egress, Refused

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a name, as text. Raises OSError where it has none."""

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""As `getaddrinfo` gives it: family, kind, protocol, canonical name, and the address, whose first part is the IP."""

_THREADS = 8


class SystemLookup:
    """What the system says, asked in threads of its own: names that answer slowly keep nobody else waiting."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="fetch-names")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _addresses, host, port)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class GuardedResolver(AbstractResolver):
    """The resolver of the fetcher's connector, which connects to what it returns without asking again."""

    def __init__(self, egress: Egress, lookup: Lookup) -> None:
        self._egress = egress
        self._lookup = lookup

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises Refused. A name without an address is refused as one with a private address is, so that nobody
        can ask which names there are in here.
        """
        try:
            addresses = await self._lookup(host, port)
        except (OSError, UnicodeError):
            raise Refused(CLOSED) from None
        self._egress.check(addresses, port)
        return [_answer(host, address, port) for address in addresses]

    async def close(self) -> None:
        return


def _answer(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return {"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": flags}


def guarded_socket(egress: Egress, info: AddressInfo) -> socket.socket:
    """The second wall: no socket is made for an address that may not be reached, however it came to be asked for."""
    family, kind, protocol, _, address = info
    if not egress.reach.covers(str(address[0])):
        raise PermissionError("this address may not be asked")
    return socket.socket(family, kind, protocol)
