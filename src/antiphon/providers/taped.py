"""Upstream clients that record: one notes what passes while a model is called, one stops what would be sent."""

import ssl

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from antiphon.providers.upstream import Upstream, UpstreamClient, UpstreamReply
from antiphon.recording.tape import CURRENT, Tape


class TapedClient(UpstreamClient):
    """An `UpstreamClient`; what is sent outside of a recorded call passes unseen."""

    async def request(
        self,
        method: str,
        url: URL,
        body: bytes | None,
        headers: CIMultiDictProxy[str],
        limits: aiohttp.ClientTimeout,
        verify: ssl.SSLContext | bool,
    ) -> aiohttp.ClientResponse:
        tape = CURRENT.get()
        if tape is None:
            return await super().request(method, url, body, headers, limits, verify)
        tape.asked(method, url.path, body)
        response = await super().request(method, url, body, headers, limits, verify)
        tape.answered(response.status, response.headers)
        return response

    def reply(self, upstream: Upstream, response: aiohttp.ClientResponse) -> UpstreamReply:
        tape = CURRENT.get()
        if tape is None:
            return super().reply(upstream, response)
        return TapedReply(upstream, response, tape)


class TapedReply(UpstreamReply):
    __slots__ = ("_tape",)

    def __init__(self, upstream: Upstream, response: aiohttp.ClientResponse, tape: Tape) -> None:
        super().__init__(upstream, response)
        self._tape = tape

    async def read(self) -> bytes:
        data = await super().read()
        self._tape.took(data)
        return data

    async def next_chunk(self) -> bytes:
        data = await super().next_chunk()
        self._tape.took(data)
        return data


class Captured(Exception):
    """Raised instead of sending: what the request would have been."""

    def __init__(self, path: str, body: bytes | None) -> None:
        super().__init__(path)
        self.path = path
        self.body = body or b"null"


class CapturingClient(UpstreamClient):
    """Sends nothing, ever."""

    async def request(
        self,
        method: str,
        url: URL,
        body: bytes | None,
        headers: CIMultiDictProxy[str],
        limits: aiohttp.ClientTimeout,
        verify: ssl.SSLContext | bool,
    ) -> aiohttp.ClientResponse:
        raise Captured(url.path, body)
