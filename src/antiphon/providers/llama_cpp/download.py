"""`hf:` references to files on this disk: fetched with resume, verified, moved into place in one step."""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import aiohttp

from antiphon.core.errors import (
    ProviderError,
    ProviderModelUnknown,
    ProviderProtocolError,
    ProviderUnavailable,
)
from antiphon.providers.llama_cpp.hub import Hub, HubAnswer, Listing
from antiphon.providers.llama_cpp.hub_files import (
    DEFAULT_QUANT,
    HubFile,
    HubReference,
    NoSuchFile,
    choose,
    quant_of,
)
from antiphon.providers.llama_cpp.progress import Meter
from antiphon.providers.llama_cpp.settings import shown_bytes

CHUNK = 1024 * 1024
MAX_FRUITLESS = 5
"""Attempts in a row that brought not a byte, after which a download gives up. What it has is kept."""

_LOCK_POLL_S = 0.25
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d*/(\d+|\*)")


class _Broken(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True, slots=True)
class Downloader:
    """Files go to `folder`/OWNER/REPO/, under their names there."""

    hub: Hub
    folder: Path

    async def fetch(self, reference: HubReference, meter: Meter) -> Path:
        """The path of the model's (first) file. The hub is not asked when what is wanted is here already.

        Raises ProviderModelUnknown, ProviderAuthFailed, ProviderUnavailable, ProviderProtocolError.
        """
        place = self.folder / reference.owner / reference.repo
        here = local_choice(reference, place)
        if here is not None:
            return here
        try:
            listing = await self.hub.listing(reference)
        except ProviderUnavailable:
            fallback = local_choice(reference, place, any_quant=True)
            if fallback is None:
                raise
            return fallback
        files = self._choose(reference, listing)
        self._check_space(reference, place, files)
        for file in files:
            await self._fetch_one(reference, listing.commit, file, place / file.name, meter)
        return place / files[0].name

    def _choose(self, reference: HubReference, listing: Listing) -> list[HubFile]:
        try:
            files = choose(reference, listing.files)
        except NoSuchFile as error:
            raise ProviderModelUnknown(self.hub.provider, str(error)) from None
        for file in files:
            if ".." in Path(file.name).parts or Path(file.name).is_absolute():
                raise ProviderProtocolError(
                    self.hub.provider, f"{reference}: the hub names a file {file.name}."
                )
        return files

    def _check_space(self, reference: HubReference, place: Path, files: list[HubFile]) -> None:
        place.mkdir(parents=True, exist_ok=True)
        missing = [file for file in files if not (place / file.name).exists()]
        there = sum(part.stat().st_size for part in place.rglob("*.part"))
        needed = sum(file.size or 0 for file in missing) - there
        free = shutil.disk_usage(place).free
        if needed > free:
            raise ProviderUnavailable(
                self.hub.provider,
                f"{reference} needs {shown_bytes(needed)} more on the disk; {shown_bytes(free)} are free."
                " Free some, or set `cache_dir` to a larger disk.",
            )

    async def _fetch_one(
        self, reference: HubReference, commit: str, file: HubFile, target: Path, meter: Meter
    ) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        async with locked(target.with_name(target.name + ".lock")):
            part = await asyncio.to_thread(_Part.open, target, (file.sha256 or commit)[:16])
            if part is None:
                return
            try:
                sha256 = await self._transfer(reference, commit, file, part, meter)
                self._verify(reference, file, part, sha256)
                await asyncio.to_thread(part.move_to, target)
            finally:
                part.close()

    async def _transfer(
        self, reference: HubReference, commit: str, file: HubFile, part: "_Part", meter: Meter
    ) -> str | None:
        """Fill the part. Returns the checksum that the hub told on the way, or that of the listing."""
        fruitless, sha256 = 0, file.sha256
        while file.size is None or part.size < file.size:
            before = part.size
            try:
                async with self.hub.open(reference, commit, file.name, part.conditions()) as answer:
                    sha256 = sha256 or answer.linked_sha256
                    await self._take(answer, file, part, meter)
                break
            except (_Broken, ProviderUnavailable) as error:
                fruitless = 0 if part.size > before else fruitless + 1
                if fruitless >= MAX_FRUITLESS:
                    raise self._gave_up(reference, file, part, error) from None
            await self.hub.client.sleep(self.hub.client.jitter() * min(8.0, 0.5 * 2**fruitless))
        if file.size is not None and part.size < file.size:
            raise self._gave_up(reference, file, part, None)
        return sha256

    async def _take(self, answer: HubAnswer, file: HubFile, part: "_Part", meter: Meter) -> None:
        response = answer.response
        total = file.size if file.size is not None else answer.linked_size
        if response.status == 416:
            if part.size != total:
                part.restart()
                raise _Broken
            return
        found = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
        if response.status == 200 or found is None or int(found[1]) != part.size:
            part.restart()
            if response.status == 206:
                raise _Broken
        part.remember(response.headers.get("etag", ""))
        if total is None and response.status == 200 and response.content_length is not None:
            total = response.content_length
        meter(file.name, part.size, total)
        try:
            async for chunk in response.content.iter_chunked(CHUNK):
                await asyncio.to_thread(part.write, chunk)
                meter(file.name, part.size, total)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            raise _Broken from None
        if total is not None and part.size < total:
            raise _Broken

    def _gave_up(
        self, reference: HubReference, file: HubFile, part: "_Part", error: Exception | None
    ) -> ProviderError:
        why = f" ({error})" if isinstance(error, ProviderError) else ""
        return ProviderUnavailable(
            self.hub.provider,
            f"{reference}: the download of {file.name} keeps breaking off{why}; {shown_bytes(part.size)} are kept,"
            " and the next attempt goes on from there.",
            retry_after="30",
        )

    def _verify(self, reference: HubReference, file: HubFile, part: "_Part", sha256: str | None) -> None:
        """Raises ProviderProtocolError, and throws the bytes away, when they are not what the hub announced."""
        wrong = ""
        if file.size is not None and part.size != file.size:
            wrong = f"has {part.size} bytes where the hub announced {file.size}"
        elif sha256 is not None and part.sha256 != sha256:
            wrong = f"has sha256 {part.sha256} where the hub announced {sha256}"
        if wrong:
            part.discard()
            raise ProviderProtocolError(
                self.hub.provider,
                f"{reference}: what came for {file.name} {wrong}; it was deleted. Try again; if it happens twice,"
                " something between here and the hub changes files.",
            )


def local_choice(reference: HubReference, place: Path, *, any_quant: bool = False) -> Path | None:
    """The file that a reference means among those already here, if it is sure to be what the hub would say."""
    if not place.is_dir():
        return None
    files = [HubFile(str(path.relative_to(place)), path.stat().st_size) for path in place.rglob("*.gguf")]
    try:
        name = choose(reference, files)[0].name
    except NoSuchFile:
        return None
    selector = reference.selector or DEFAULT_QUANT
    exact = selector.lower().endswith(".gguf") or quant_of(name) == selector.upper()
    return place / name if exact or any_quant else None


class _Part:
    """A file that is not whole yet, with the digest of what it has. Its methods block on the disk."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self._etag_file = path.with_name(path.name + ".etag")
        self._digest = hashlib.sha256()
        self.size = 0
        while chunk := file.read(CHUNK):
            self._digest.update(chunk)
            self.size += len(chunk)

    @classmethod
    def open(cls, target: Path, key: str) -> "_Part | None":
        """The part of `target` at the state that `key` names; parts of other states are of no use any more.

        None when the whole file is there.
        """
        if target.exists():
            return None
        path = target.with_name(f"{target.name}.{key}.part")
        for stale in target.parent.glob(f"{target.name}.*.part*"):
            if not stale.name.startswith(path.name):
                stale.unlink()
        file = path.open("a+b")  # reads from where we say, writes at the end always
        file.seek(0)
        return cls(path, file)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def conditions(self) -> dict[str, str]:
        """The headers that ask for the rest, or for all of it when a change could not be noticed."""
        if not self.size:
            return {}
        with suppress(OSError):
            return {"range": f"bytes={self.size}-", "if-range": self._etag_file.read_text().strip()}
        self.restart()
        return {}

    def remember(self, etag: str) -> None:
        """Keep a strong validator: If-Range takes no weak one (RFC 9110 §13.1.5)."""
        if etag.startswith('"'):
            self._etag_file.write_text(etag)
        else:
            self._etag_file.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size = 0
        self._etag_file.unlink(missing_ok=True)

    def move_to(self, target: Path) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self.path.replace(target)
        self._etag_file.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._etag_file.unlink(missing_ok=True)

    def close(self) -> None:
        self._file.close()


@asynccontextmanager
async def locked(path: Path) -> AsyncGenerator[None]:
    """Hold `path` as a lock against other tasks and other processes. The system lets go when a holder dies."""
    import fcntl

    with path.open("wb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOCK_POLL_S)
        yield
