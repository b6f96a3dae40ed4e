"""`MemoryBlobs`: blobs in a dictionary, for tests, simulation and servers that keep nothing."""

from collections.abc import AsyncGenerator, AsyncIterable

from antiphon.blobs.keys import checked
from antiphon.ports.files import BlobMissing

PIECE_BYTES = 256 * 1024


class MemoryBlobs:
    """A `BlobStore` that forgets when the process ends, and keeps every other promise."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, key: str, content: AsyncIterable[bytes]) -> None:
        checked(key)
        self._blobs[key] = b"".join([piece async for piece in content])

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        blob = self._blobs.get(checked(key))
        if blob is None:
            raise BlobMissing(key)
        wanted = memoryview(blob)[start:end]
        for at in range(0, len(wanted), PIECE_BYTES):
            yield bytes(wanted[at : at + PIECE_BYTES])

    async def delete(self, key: str) -> None:
        self._blobs.pop(checked(key), None)

    async def sweep(self) -> None:
        """Nothing is left over here: what was not put whole was not put."""

    async def aclose(self) -> None:
        """There is nothing to let go of."""

    @property
    def keys(self) -> frozenset[str]:
        """Of every blob there is: for assertions."""
        return frozenset(self._blobs)
