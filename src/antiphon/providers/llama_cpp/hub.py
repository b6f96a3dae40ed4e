"""The hub's API (https://huggingface.co/docs/hub/api): what a repository holds, and the answers that refuse."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec
from yarl import URL

from antiphon.core.errors import (
    ProviderAuthFailed,
    ProviderError,
    ProviderModelUnknown,
    ProviderProtocolError,
    ProviderUnavailable,
)
from antiphon.providers.llama_cpp.hub_files import HubFile, HubReference
from antiphon.providers.upstream import UpstreamClient

_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_MAX_LISTING = 16 * 1024 * 1024


class _Lfs(msgspec.Struct):
    sha256: str | None = None
    size: int | None = None


class _Sibling(msgspec.Struct):
    rfilename: str
    size: int | None = None
    lfs: _Lfs | None = None


class _Repository(msgspec.Struct):
    siblings: list[_Sibling] | None = None
    sha: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository at one commit."""

    commit: str
    files: tuple[HubFile, ...]


@dataclass(frozen=True, slots=True)
class HubAnswer:
    """A 200, 206 or 416 to a request for a file. `headers` are of the last answer, `linked` of the first one."""

    response: aiohttp.ClientResponse
    linked_sha256: str | None
    linked_size: int | None


@dataclass(frozen=True, slots=True)
class Hub:
    """Errors are raised in the name of `provider`, the provider that a model is fetched for."""

    client: UpstreamClient
    endpoint: str
    token: str = field(repr=False, default="")
    provider: str = "local"

    async def listing(self, reference: HubReference) -> Listing:
        """Raises ProviderModelUnknown, ProviderAuthFailed, ProviderUnavailable or ProviderProtocolError."""
        url = self._url("api", "models", reference.owner, reference.repo).with_query(blobs="true")
        async with self._follow(url, {}, str(reference)) as response:
            if response.status != 200:
                raise self.refused(response.status, str(reference))
            body = await self._read(response, str(reference))
        try:
            found = msgspec.json.decode(body, type=_Repository)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ProviderProtocolError(
                self.provider, f"{reference}: the hub answered with no listing of the repository."
            ) from None
        return Listing(found.sha or "main", tuple(map(_file, found.siblings or ())))

    @asynccontextmanager
    async def open(
        self, reference: HubReference, commit: str, name: str, headers: Mapping[str, str]
    ) -> AsyncGenerator[HubAnswer]:
        """Ask for a file; `headers` may hold Range and If-Range. Raises as `listing` does."""
        url = self._url(reference.owner, reference.repo, "resolve", commit, *name.split("/"))
        linked: dict[str, str] = {}
        async with self._follow(url, headers, str(reference), linked) as response:
            if response.status not in {200, 206, 416}:
                raise self.refused(response.status, f"{reference} ({name})")
            etag = linked.get("x-linked-etag", "").strip('"')
            size = linked.get("x-linked-size", "")
            yield HubAnswer(
                response,
                etag if len(etag) == 64 else None,
                int(size) if size.isdecimal() else None,
            )

    def refused(self, status: int, what: str) -> ProviderError:
        """What an answer other than the file means, and what to do."""
        match status:
            case 401 | 403:
                set_it = (
                    "the token in HF_TOKEN may not read it"
                    if self.token
                    else "set HF_TOKEN to a token that may read it"
                )
                return ProviderAuthFailed(
                    self.provider,
                    f"{what}: the hub answered {status}: the repository is gated, private or does not exist;"
                    f" accept its terms on its page, and {set_it}.",
                )
            case 404:
                return ProviderModelUnknown(
                    self.provider, f"{what}: the hub knows no such repository or file (404)."
                )
            case _:
                return ProviderUnavailable(
                    self.provider, f"{what}: the hub answered {status}; try again later.", retry_after="30"
                )

    def lost(self, what: str) -> ProviderUnavailable:
        return ProviderUnavailable(
            self.provider, f"{what}: the hub cannot be reached; is this machine online?", retry_after="30"
        )

    def _url(self, *parts: str) -> URL:
        return URL(self.endpoint.rstrip("/")).joinpath(*parts)

    @asynccontextmanager
    async def _follow(
        self, url: URL, headers: Mapping[str, str], what: str, linked: dict[str, str] | None = None
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """The answer after redirects. The token goes to the hub itself alone, never to where it sends us."""
        origin = url.origin()
        fixed = {"accept-encoding": "identity", "user-agent": "antiphon", **headers}
        for _ in range(_MAX_REDIRECTS):
            own = {"authorization": f"Bearer {self.token}"} if self.token and url.origin() == origin else {}
            response = await self._get(url, {**fixed, **own}, what)
            if linked is not None:
                for name in ("x-linked-etag", "x-linked-size"):
                    if name in response.headers:
                        linked.setdefault(name, response.headers[name])
            location = response.headers.get("location")
            if response.status not in _REDIRECTS or not location:
                try:
                    yield response
                finally:
                    response.close()
                return
            response.release()
            url = url.join(URL(location))
            if url.scheme not in {"http", "https"} or (origin.scheme == "https" and url.scheme == "http"):
                raise ProviderProtocolError(
                    self.provider, f"{what}: the hub redirected to an unsafe address."
                )
        raise ProviderProtocolError(self.provider, f"{what}: the hub redirected {_MAX_REDIRECTS} times.")

    async def _get(self, url: URL, headers: Mapping[str, str], what: str) -> aiohttp.ClientResponse:
        try:
            return await self.client.session.get(
                url, headers=headers, timeout=_TIMEOUT, allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise self.lost(what) from None

    async def _read(self, response: aiohttp.ClientResponse, what: str) -> bytes:
        try:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_LISTING:
                    raise ProviderProtocolError(self.provider, f"{what}: the hub's listing is too long.")
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise self.lost(what) from None
        return bytes(body)


def _file(sibling: _Sibling) -> HubFile:
    lfs = sibling.lfs or _Lfs()
    return HubFile(sibling.rfilename, lfs.size if lfs.size is not None else sibling.size, lfs.sha256)
