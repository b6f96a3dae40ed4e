"""`QdrantCalls`: one Qdrant, a server or a folder of this process, and what its failures are called here.

The client's local mode is Python that works while it is asked: it has a thread of its own, so that nobody else waits.
"""

import asyncio
import fcntl
import functools
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from antiphon.core.errors import IndexUnavailable

AT_ONCE: Final = 32
MAX_ATTEMPTS: Final = 3
PAUSE_S: Final = 0.2
MEMORY: Final = ":memory:"
_TIMEOUTS: Final = frozenset({"ReadTimeout", "WriteTimeout", "PoolTimeout", "TimeoutError"})


class NotThere(Exception):
    """Qdrant has no such collection."""


class AlreadyThere(Exception):
    """Qdrant has such a collection."""


class QdrantCalls:
    """Opens on first use, and again when that failed. Messages hold no address and no key."""

    def __init__(
        self, provider_id: str, *, local: bool, address: Mapping[str, Any], timeout_s: float
    ) -> None:
        """`address` are arguments of the client."""
        self._name = f'vector index "{provider_id}"'
        self.local = local
        self._address = address
        self._timeout_s = timeout_s
        self._thread = ThreadPoolExecutor(1, "antiphon-qdrant") if local else None
        self._client: QdrantClient | None = None
        self._server: AsyncQdrantClient | None = None
        self._places = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    def __repr__(self) -> str:
        return f"QdrantCalls({self._name})"

    async def ask(self, method: str, collection: str, **arguments: Any) -> Any:
        """What a method of the client gives for a collection. A server is asked again when it failed: all that is asked
        here may be asked twice.

        Raises IndexUnavailable, NotThere and AlreadyThere.
        """
        if self._closed:
            raise self.unavailable("is closed.")
        if self._thread is not None:
            return await self._in_thread(functools.partial(self._locally, method, collection, arguments))
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._places:
                    return await getattr(self._opened(), method)(collection, **arguments)
            except UnexpectedResponse as error:
                status = error.status_code or 500
                if status < 500 or attempt >= MAX_ATTEMPTS:
                    raise self._refused(status) from error
            except (ApiException, OSError) as error:
                if self._closed:
                    raise self.unavailable("is closed.") from error
                if _named(error) in _TIMEOUTS:
                    raise self.unavailable("did not answer in time.") from error
                if _named(error) == "ValidationError":
                    raise self.unavailable("answered what is not understood; is it a Qdrant?") from error
                if attempt >= MAX_ATTEMPTS:
                    raise self.unavailable(
                        "cannot be reached: there is no connection to its Qdrant. See that it runs, and that its"
                        " configuration names the right place."
                    ) from error
            await asyncio.sleep(PAUSE_S * attempt)

    def _opened(self) -> AsyncQdrantClient:
        if self._server is None:
            with warnings.catch_warnings():  # of a key that is sent without TLS; the operator chose so
                warnings.filterwarnings("ignore", "Api key is used with an insecure connection", UserWarning)
                self._server = AsyncQdrantClient(
                    **self._address, timeout=max(1, round(self._timeout_s)), check_compatibility=False
                )
        return self._server

    def _refused(self, status: int) -> Exception:
        if status == 404:
            return NotThere()
        if status == 409:
            return AlreadyThere()
        if status in (401, 403):
            return self.unavailable("was refused by Qdrant: check api_key in its configuration.")
        return self.unavailable(f"failed: Qdrant answered HTTP {status}.")

    # --- local mode ------------------------------------------------------------------------------------------
    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        thread = self._thread
        if thread is None:
            raise self.unavailable("is closed.")
        return await asyncio.get_running_loop().run_in_executor(thread, work)

    def _locally(self, method: str, collection: str, arguments: Mapping[str, Any]) -> Any:
        if self._closed:
            raise self.unavailable("is closed.")
        try:
            if self._client is None:
                self._look_at_lock()
                self._client = QdrantClient(**self._address)
            there = self._client.collection_exists(collection)
            if method == "create_collection":
                if there:
                    raise AlreadyThere
            elif not there:
                raise NotThere
            return getattr(self._client, method)(collection, **arguments)
        except RuntimeError as error:
            raise self.unavailable(
                "cannot be opened: another process has its folder. One process at a time may use it; run Qdrant as a"
                " server for more."
            ) from error
        except OSError as error:
            raise self.unavailable(f"cannot read or write its folder: {error.strerror}.") from error

    def _look_at_lock(self) -> None:
        """Raises RuntimeError, as the client does for a folder that is in use: it would leave a file open."""
        lock = Path(self._address.get("path", MEMORY)) / ".lock"
        if not lock.exists():
            return
        with lock.open("rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RuntimeError(str(lock)) from error

    def unavailable(self, what: str) -> IndexUnavailable:
        return IndexUnavailable(f"{self._name} {what}")

    async def aclose(self) -> None:
        """What runs in the thread is let end."""
        if self._closed:
            return
        self._closed = True
        thread, self._thread = self._thread, None
        server, self._server = self._server, None
        if server is not None:
            await server.close()
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._close)
            thread.shutdown(wait=False)

    def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _named(error: Exception) -> str:
    """What the client's own HTTP client, or its reading of the answer, said: the name of the class."""
    source = error.source if isinstance(error, ResponseHandlingException) else error
    return type(source).__name__
