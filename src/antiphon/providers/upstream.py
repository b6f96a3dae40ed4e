"""The way out: one pooled HTTP client per process, and per provider an `Upstream` that speaks through it.

Timeouts, retries and the mapping of failures to the error tree are here, so that a wire reads and writes
bodies and nothing else.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from antiphon.core.errors import (
    ProviderError,
    ProviderProtocolError,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from antiphon.ports import Clock
from antiphon.providers.refusals import RETRIED, Redaction, refusal
from antiphon.providers.retry_after import retry_after_s

MAX_ERROR_BODY = 64 * 1024
BACKOFF_BASE_S = 0.5
BACKOFF_CAP_S = 8.0
DRAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `first_byte_s` runs from the request to the head of the answer, `idle_s` between two reads."""

    connect_s: float = 10.0
    first_byte_s: float = 600.0
    idle_s: float = 300.0


class UpstreamClient:
    """The process's connection pool. It opens inside the running loop, on first use."""

    def __init__(
        self,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
        keepalive_s: float = 60.0,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self.jitter = jitter
        self._keepalive_s = keepalive_s
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=self._keepalive_s, ttl_dns_cache=60
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None),
                requote_redirect_url=False,
            )
        return self._session

    async def request(
        self,
        method: str,
        url: URL,
        body: bytes | None,
        headers: CIMultiDictProxy[str],
        limits: aiohttp.ClientTimeout,
        verify: ssl.SSLContext | bool,
    ) -> aiohttp.ClientResponse:
        """Send one request, once, and wait for the head of its answer. A client that records goes in between."""
        return await self.session.request(
            method, url, data=body, headers=headers, timeout=limits, ssl=verify, allow_redirects=False
        )

    def reply(self, upstream: "Upstream", response: aiohttp.ClientResponse) -> "UpstreamReply":
        """The 2xx answer that `response` begins."""
        return UpstreamReply(upstream, response)

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


@dataclass(slots=True)
class Upstream:
    """One provider's server, as seen from here. `headers` carry the credentials and are built once."""

    provider: str
    client: UpstreamClient
    headers: Mapping[str, str]
    timeouts: Timeouts = Timeouts()
    max_retries: int = 2
    max_wait_s: float = 30.0
    verify: ssl.SSLContext | bool = True
    redaction: Redaction = field(default_factory=Redaction)
    _headers: CIMultiDictProxy[str] = field(init=False)
    _timeout: aiohttp.ClientTimeout = field(init=False)

    def __post_init__(self) -> None:
        fixed = {"accept-encoding": "identity", "content-type": "application/json", "user-agent": "antiphon"}
        self._headers = CIMultiDictProxy(CIMultiDict({**fixed, **self.headers}))
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.timeouts.connect_s, sock_read=self.timeouts.first_byte_s
        )

    async def send(
        self, method: str, url: URL, body: bytes | None = None, *, max_retries: int | None = None
    ) -> "UpstreamReply":
        """The upstream's 2xx answer, its body still to be read.

        Retries connection failures and the statuses in `RETRIED`, unless they refuse the request itself, waiting a
        random part of a growing time, or what `Retry-After` asks. An upstream that asks for more than `max_wait_s`
        is not waited for: its refusal goes to the caller, who gets the same `Retry-After`. Raises ProviderError.
        """
        retries = self.max_retries if max_retries is None else max_retries
        attempt = 0
        while True:
            try:
                response = await self._once(method, url, body)
            except ProviderUnavailable:
                if attempt >= retries:
                    raise
                wait = self._backoff(attempt)
            else:
                if 200 <= response.status < 300:
                    return self.client.reply(self, response)
                asked = retry_after_s(response.headers, self.client.clock.now)
                error = await self._refused(response, asked)
                wait = self._backoff(attempt) if asked is None else asked
                hopeless = response.status not in RETRIED or isinstance(error, ProviderRejected)
                if hopeless or attempt >= retries or wait > self.max_wait_s:
                    raise error
            attempt += 1
            await self.client.sleep(wait)

    async def question(self, method: str, url: URL, body: bytes) -> tuple[int, bytes]:
        """The status of one try, whatever it is, and the first 64 KB of its body. Raises ProviderError."""
        response = await self._once(method, url, body)
        return response.status, await self._beginning(response)

    async def _once(self, method: str, url: URL, body: bytes | None) -> aiohttp.ClientResponse:
        try:
            return await self.client.request(method, url, body, self._headers, self._timeout, self.verify)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self.failure(error) from None

    async def _refused(self, response: aiohttp.ClientResponse, asked: float | None) -> ProviderError:
        """The error that a non-2xx answer stands for; the connection is free again afterwards."""
        body = await self._beginning(response)
        return refusal(self.provider, response.status, body, self.redaction, retry_after=asked)

    @staticmethod
    async def _beginning(response: aiohttp.ClientResponse) -> bytes:
        """The beginning of a body, after which the connection is free; empty where it broke off."""
        try:
            body = await response.content.read(MAX_ERROR_BODY)
        except (aiohttp.ClientError, TimeoutError, OSError):
            body = b""
        if response.content.at_eof():
            response.release()
        else:
            response.close()
        return body

    def _backoff(self, attempt: int) -> float:
        """Full jitter: anywhere between nothing and a ceiling that doubles."""
        ceiling: float = min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2**attempt)
        return self.client.jitter() * ceiling

    def failure(self, error: Exception) -> ProviderError:
        """A failure of the transport, in our words: what aiohttp says may hold the host's name."""
        name = f'provider "{self.provider}"'
        match error:
            case aiohttp.ConnectionTimeoutError():
                return ProviderUnavailable(
                    self.provider, f"{name} did not accept a connection within {self.timeouts.connect_s:g} s."
                )
            case TimeoutError():
                return ProviderTimeout(
                    self.provider,
                    f"{name} fell silent: no first byte within {self.timeouts.first_byte_s:g} s,"
                    f" or nothing more within {self.timeouts.idle_s:g} s.",
                )
            case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
                return ProviderProtocolError(self.provider, f"{name} failed the TLS handshake.")
            case aiohttp.ClientPayloadError():
                return ProviderProtocolError(self.provider, f"{name} broke off in the middle of its answer.")
            case aiohttp.ClientResponseError():
                return ProviderProtocolError(
                    self.provider, f"{name} answered with something that is not HTTP."
                )
            case aiohttp.ClientConnectorError():
                return ProviderUnavailable(self.provider, f"{name} cannot be reached; is it running?")
            case _:
                return ProviderUnavailable(self.provider, f"the connection to {name} was lost.")


class UpstreamReply:
    """A 2xx answer. Leaving the `async with` (or `aclose`) frees the connection: it goes back to the pool
    when the body was read to its end, else it is closed, which is how an upstream learns that nobody listens
    any more.
    """

    __slots__ = ("_response", "_upstream")

    def __init__(self, upstream: Upstream, response: aiohttp.ClientResponse) -> None:
        self._upstream = upstream
        self._response = response
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            connection.protocol.read_timeout = upstream.timeouts.idle_s
            connection.protocol.start_timeout()

    @property
    def is_json(self) -> bool:
        return self._response.headers.get("content-type", "").startswith("application/json")

    async def read(self) -> bytes:
        """The whole body. Raises ProviderError when it does not come whole."""
        try:
            return await self._response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._lost(error) from None

    async def next_chunk(self) -> bytes:
        """What the next network read brings; empty at the end. Raises ProviderError when it breaks off."""
        try:
            return await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._lost(error) from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, one item per network read. Raises ProviderError when it breaks off."""
        while data := await self.next_chunk():
            yield data

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks()

    async def drain(self) -> None:
        """Wait a moment for the body's end, whose last bytes come just behind the last event as a rule: a
        connection that was read to its end can serve again.
        """
        if self._response.content.at_eof():
            return
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while await self.next_chunk():
                    pass

    def close(self) -> None:
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lost(self, error: Exception) -> ProviderError:
        """After the head, a connection that goes away is a broken answer, not an unavailable provider."""
        failure = self._upstream.failure(error)
        if isinstance(failure, ProviderTimeout):
            return failure
        provider = self._upstream.provider
        return ProviderProtocolError(
            provider, f'provider "{provider}" broke off in the middle of its answer.'
        )
