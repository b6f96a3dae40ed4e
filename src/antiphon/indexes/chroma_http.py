"""`ChromaServer`: the HTTP API (v2) of a Chroma server, one session for the life of the index."""

import asyncio
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from antiphon.core.errors import IndexUnavailable
from antiphon.core.json_values import is_object

CONNECT_S: Final = 10.0
AT_ONCE: Final = 8
"""Requests at once. One Chroma server does its work on one SQLite; more would only wait there."""
MAX_ATTEMPTS: Final = 3
PAUSE_S: Final = 0.2


class NotThere(Exception):
    """Chroma has no such collection, database or tenant."""


class ChromaServer:
    """Requests are repeated when the connection breaks or the server fails: all that is asked here may be asked twice.
    Messages hold no address and no token.
    """

    def __init__(
        self, provider_id: str, url: URL, tenant: str, database: str, token: str, timeout_s: float
    ) -> None:
        self._name = f'vector index "{provider_id}"'
        self._root = url / "api" / "v2"
        self._tenant = tenant
        self._database = database
        # The first is what Chroma calls its own, the second what proxies and older servers look at.
        self._headers = {"x-chroma-token": token, "authorization": f"Bearer {token}"} if token else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=CONNECT_S)
        self._session: aiohttp.ClientSession | None = None
        self._places = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    def __repr__(self) -> str:
        return f"ChromaServer({self._name})"

    async def ask(self, method: str, *path: str, body: object = None) -> Any:
        """The JSON that answers `method` at `path` below the database. Raises IndexUnavailable and NotThere."""
        return await self._ask(method, self._place(*path), body)

    def _place(self, *path: str) -> URL:
        place = self._root / "tenants" / self._tenant / "databases" / self._database
        for part in path:
            place /= part
        return place

    async def make_database(self) -> None:
        """The tenant and the database, where they are not there."""
        for place, name in (
            (self._root / "tenants", self._tenant),
            (self._root / "tenants" / self._tenant / "databases", self._database),
        ):
            try:
                await self._ask("GET", place / name, None)
            except NotThere:
                await self._ask("POST", place, {"name": name})

    async def _ask(self, method: str, place: URL, body: object) -> Any:
        data = None if body is None else msgspec.json.encode(body)
        attempt = 0
        while True:
            attempt += 1
            try:
                status, answer = await self._once(method, place, data)
            except TimeoutError as error:
                raise self.unavailable("did not answer in time.") from error
            except (aiohttp.ClientError, OSError) as error:
                if attempt >= MAX_ATTEMPTS or self._closed:
                    raise self.unavailable(
                        "cannot be reached: there is no connection to its Chroma server. See that it runs, and that"
                        " url in its configuration is right."
                    ) from error
            else:
                if status < 300:
                    return self._decoded(answer)
                if status < 500 or attempt >= MAX_ATTEMPTS:
                    raise self._refused(status, answer)
            await asyncio.sleep(PAUSE_S * attempt)

    async def _once(self, method: str, place: URL, data: bytes | None) -> tuple[int, bytes]:
        async with self._places:
            if self._closed:
                raise self.unavailable("is closed.")
            if self._session is None:
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"content-type": "application/json", "user-agent": "antiphon", **self._headers},
                )
            async with self._session.request(
                method, place, data=data, timeout=self._timeout, allow_redirects=False
            ) as response:
                return response.status, await response.read()

    def _decoded(self, answer: bytes) -> Any:
        try:
            return msgspec.json.decode(answer) if answer else None
        except msgspec.DecodeError as error:
            raise self.unavailable(
                "answered what is no JSON; see that url in its configuration is right."
            ) from error

    def _refused(self, status: int, answer: bytes) -> Exception:
        if status == 404 and _names_an_error(answer):
            return NotThere()
        if status in (401, 403):
            return self.unavailable(
                "was refused by Chroma: check api_token, tenant and database in its configuration."
            )
        if status in (404, 405, 410):
            return self.unavailable(
                f"found no API of version 2 (HTTP {status}); check url in its configuration, and that Chroma is 1.5 or"
                " newer."
            )
        if status in (400, 422, 501):
            return self.unavailable(
                f"was not understood by Chroma (HTTP {status}); it needs Chroma 1.5 or newer."
            )
        return self.unavailable(f"failed: Chroma answered HTTP {status}.")

    def unavailable(self, what: str) -> IndexUnavailable:
        return IndexUnavailable(f"{self._name} {what}")

    async def aclose(self) -> None:
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _names_an_error(answer: bytes) -> bool:
    """Whether it is Chroma that says what is missing, not a server that knows no such path."""
    try:
        said: Any = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return False
    return is_object(said) and "error" in said
