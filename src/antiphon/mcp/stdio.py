"""An MCP server as a process of ours, asked over its standard streams: a transport of the SDK's kind.

Instead of the SDK's own: the process gets PATH, HOME and what its configuration names, nothing else of the
environment; a line is bounded; and what it writes to its standard error goes to the log, not to ours.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Final

import anyio
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from antiphon.mcp.failures import without_secrets
from antiphon.mcp.limits import MAX_SAID
from antiphon.mcp.wording import line
from antiphon.ports.mcp import McpServer

Received = SessionMessage | Exception
_log: Final = logging.getLogger("antiphon.mcp")
_LAST_MESSAGES_S: Final = 0.5
_TO_END_S: Final = 2.0
_LOOK_S: Final = 0.01
_ERROR_LINE: Final = 64 * 1024


@contextlib.asynccontextmanager
async def stdio_streams(
    server: McpServer, max_bytes: int
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[Received], MemoryObjectSendStream[SessionMessage]]]:
    """Start a server, and end it and all that it started. Raises OSError where it cannot be started."""
    process = await _start(server, max_bytes)
    stdin, stdout, stderr = process.stdin, process.stdout, process.stderr
    if stdin is None or stdout is None or stderr is None:
        raise OSError("it has no pipes")
    to_session, inbound = anyio.create_memory_object_stream[Received](0)
    outbound, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    written = asyncio.Event()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, stdout, to_session)
            tasks.start_soon(_write, stdin, from_session, to_session, written)
            tasks.start_soon(_log_errors, stderr, server)
            try:
                yield inbound, outbound
            finally:
                with anyio.CancelScope(shield=True):
                    inbound.close()
                    outbound.close()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LAST_MESSAGES_S):
                            await written.wait()
                    stdin.close()
                    await _end(process)
                tasks.cancel_scope.cancel()
    finally:
        for stream in (to_session, inbound, outbound, from_session):
            stream.close()
        _kill(process)


async def _start(server: McpServer, max_bytes: int) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *server.command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={**_base(), **dict(server.environment)},
        cwd=server.folder or None,
        start_new_session=True,
        limit=max_bytes,
    )


def _base() -> Mapping[str, str]:
    return {"PATH": os.pathsep.join(os.get_exec_path()), "HOME": str(Path.home())}


async def _read(stdout: asyncio.StreamReader, to_session: MemoryObjectSendStream[Received]) -> None:
    """Lines to messages, until the process ends or writes a line that is too long."""
    async with to_session:
        with contextlib.suppress(
            OSError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
        ):
            while True:
                text = await stdout.readuntil(b"\n")
                if text.strip():
                    await to_session.send(_message(text))


def _message(text: bytes) -> Received:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(text, by_name=False))
    except ValueError:
        return ValueError("a line that is not JSON-RPC")


async def _write(
    stdin: asyncio.StreamWriter,
    from_session: MemoryObjectReceiveStream[SessionMessage],
    to_session: MemoryObjectSendStream[Received],
    written: asyncio.Event,
) -> None:
    try:
        async with from_session:
            async for sent in from_session:
                text = sent.message.model_dump_json(by_alias=True, exclude_unset=True)
                stdin.write(text.encode() + b"\n")
                await stdin.drain()
    except OSError:
        to_session.close()  # so that whoever waits for an answer hears of the end
    finally:
        written.set()


async def _log_errors(stderr: asyncio.StreamReader, server: McpServer) -> None:
    while piece := await stderr.read(_ERROR_LINE):
        if _log.isEnabledFor(logging.DEBUG):
            said = without_secrets(piece.decode("utf-8", "replace"), server)
            _log.debug("%s: standard error: %s", server.label, line(said, MAX_SAID))


async def _end(process: asyncio.subprocess.Process) -> None:
    """As MCP has it: behind the end of its input it is waited for, then asked to end, then ended."""
    if await _is_gone(process):
        return
    _signal(process, signal.SIGTERM)
    if await _is_gone(process):
        return
    _signal(process, signal.SIGKILL)
    await _is_gone(process)


async def _is_gone(process: asyncio.subprocess.Process) -> bool:
    """Whether it has ended in time; `wait` would wait for whoever holds its streams, too."""
    until = asyncio.get_running_loop().time() + _TO_END_S
    while process.returncode is None:
        if asyncio.get_running_loop().time() > until:
            return False
        await asyncio.sleep(_LOOK_S)
    return True


def _kill(process: asyncio.subprocess.Process) -> None:
    """End what is left of its group, and let go of its streams, which others may still hold open."""
    _signal(process, signal.SIGKILL)
    transport = getattr(process, "_transport", None)
    if isinstance(transport, asyncio.SubprocessTransport):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            transport.close()


def _signal(process: asyncio.subprocess.Process, number: int) -> None:
    """To the group: a server may have started others, or be started by a shell."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
