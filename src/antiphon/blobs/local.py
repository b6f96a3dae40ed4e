"""`LocalBlobs`: blobs as files below one folder.

A blob is written to a file of its own in `.writing` and moved to its place when it is whole and on the disk. While it
is written that file is locked: the system lets go of the lock when the process dies, and so `sweep` knows the files
that nobody writes any more, whoever they belonged to.

Places are found from one open folder to the next, and no link is followed on the way: a key cannot lead out.
"""

import asyncio
import contextlib
import fcntl
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from antiphon.blobs.keys import checked
from antiphon.core.errors import BlobsUnavailable
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.files import BlobMissing

T = TypeVar("T")

PIECE_BYTES = 256 * 1024
_WRITING = ".writing"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class LocalBlobs:
    """A `BlobStore` that several processes may share, on one machine."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when something is first written. Files are for their owner alone (0600)."""
        self._folder = folder

    @classmethod
    def from_config(cls, config: Mapping[str, Any], folder: Path | None) -> Self:
        """`storage_dir`, else `files` in the folder of the state. Raises AdapterConfigError."""
        for key in config:
            if key != "storage_dir":
                raise AdapterConfigError(key, f'"{key}" is not known here; known: storage_dir.')
        place = config.get("storage_dir") or str((folder or Path("~/.antiphon")) / "files")
        if not isinstance(place, str):
            raise AdapterConfigError("storage_dir", "storage_dir is the path of a folder.")
        return cls(Path(place).expanduser())

    async def put(self, key: str, content: AsyncIterable[bytes]) -> None:
        parts = checked(key).split("/")
        writing = await in_thread(_Writing, self._folder, undo=_Writing.close)
        try:
            async for piece in _gathered(content):
                await in_thread(writing.write, piece)
            await in_thread(writing.finish, parts)
        finally:
            await in_thread(writing.close)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        file = await in_thread(_open, self._folder, checked(key).split("/"), undo=os.close)
        try:
            at = start
            while end is None or at < end:
                size = PIECE_BYTES if end is None else min(PIECE_BYTES, end - at)
                piece = await in_thread(_read, file, size, at)
                if not piece:
                    break
                at += len(piece)
                yield piece
        finally:
            os.close(file)

    async def delete(self, key: str) -> None:
        await in_thread(_delete, self._folder, checked(key).split("/"))

    async def sweep(self) -> None:
        await in_thread(_sweep, self._folder)

    async def aclose(self) -> None:
        """There is nothing to let go of."""


async def in_thread(work: Callable[..., T], *args: Any, undo: Callable[[T], object] | None = None) -> T:
    """Work in a thread, to its end even when the caller is cancelled: only then may others touch what it works on.

    `undo` is given what was made for a caller that is gone.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({working})
        failed = working.cancelled() or working.exception() is not None
        if undo is not None and not failed:
            undo(working.result())
        raise


async def _gathered(content: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces that are worth a thread's work."""
    pieces: list[bytes] = []
    size = 0
    async for piece in content:
        pieces.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


@contextlib.contextmanager
def _explained() -> Generator[None, None, None]:
    """An error of the system as one of ours. It names no path: callers read it."""
    try:
        yield
    except OSError as error:
        raise BlobsUnavailable(
            f"the storage of files cannot be used now: {error.strerror or 'the system refused'}. Nothing was"
            " changed; check its disk and the rights of its folder."
        ) from error


# What follows runs in threads.


class _Writing:
    """A blob that is being written: its file is open and locked until `close`."""

    def __init__(self, folder: Path) -> None:
        self._root = folder
        with _explained(), _folder(folder, [_WRITING], make=True) as inside:
            self._name, self._file = _locked_file(inside)
        self._there = True

    def write(self, piece: bytes) -> None:
        with _explained():
            view = memoryview(piece)
            while view:
                view = view[os.write(self._file, view) :]

    def finish(self, parts: list[str]) -> None:
        """On the disk, under its own name, when it returns."""
        *folders, name = parts
        with (
            _explained(),
            _folder(self._root, [_WRITING]) as inside,
            _folder(self._root, folders, make=True) as place,
        ):
            os.fsync(self._file)
            os.rename(self._name, name, src_dir_fd=inside, dst_dir_fd=place)
            self._there = False
            os.fsync(place)

    def close(self) -> None:
        """Let go of the file, and remove it unless it was finished."""
        if self._there:
            with contextlib.suppress(OSError), _folder(self._root, [_WRITING]) as inside:
                os.unlink(self._name, dir_fd=inside)
        self._there = False
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _locked_file(folder: int) -> tuple[str, int]:
    """A new file and its lock. One that a sweep found before it was locked is gone, and another is made."""
    while True:
        name = os.urandom(16).hex()
        file = os.open(name, _CREATE, 0o600, dir_fd=folder)
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file).st_nlink:
            return name, file
        os.close(file)


@contextlib.contextmanager
def _folder(root: Path, names: list[str], *, make: bool = False) -> Generator[int, None, None]:
    """The folder open, found without following a link below `root`. What was made is on the disk."""
    if make:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            if make and _make(at, name):
                os.fsync(at)
            below = os.open(name, _FOLDER, dir_fd=at)
            os.close(at)
            at = below
        yield at
    finally:
        os.close(at)


def _make(at: int, name: str) -> bool:
    try:
        os.mkdir(name, 0o700, dir_fd=at)
    except FileExistsError:
        return False
    return True


def _open(root: Path, parts: list[str]) -> int:
    *folders, name = parts
    with _explained():
        try:
            with _folder(root, folders) as place:
                file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place)
        except FileNotFoundError:
            raise BlobMissing("/".join(parts)) from None
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
        raise BlobMissing("/".join(parts))


def _read(file: int, size: int, at: int) -> bytes:
    with _explained():
        return os.pread(file, size, at)


def _delete(root: Path, parts: list[str]) -> None:
    *folders, name = parts
    with _explained(), contextlib.suppress(FileNotFoundError), _folder(root, folders) as place:
        os.unlink(name, dir_fd=place)


def _sweep(root: Path) -> None:
    """Remove the files in `.writing` that nobody has locked."""
    with (
        _explained(),
        contextlib.suppress(FileNotFoundError),
        _folder(root, [_WRITING]) as inside,
        os.scandir(inside) as entries,
    ):
        for entry in entries:
            _remove_if_left(inside, entry.name)


def _remove_if_left(folder: int, name: str) -> None:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:  # finished meanwhile, or nothing of ours
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with contextlib.suppress(FileNotFoundError):  # finished meanwhile
            os.unlink(name, dir_fd=folder)
    except BlockingIOError:
        return
    finally:
        os.close(file)
