"""The older HTTP with SSE: one stream from the server, and a POST for each message to it.

A transport of the SDK's kind, instead of its own, which takes no message over 1 MiB and leaves calls waiting whose
POST was refused.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final
from urllib.parse import urljoin

import anyio
import httpx2
import mcp_types as types
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.shared.message import SessionMessage

from antiphon.mcp.exchange import current
from antiphon.mcp.failures import about
from antiphon.ports.mcp import McpRefused

Received = SessionMessage | Exception
_ACCEPTS: Final = {"accept": "text/event-stream", "cache-control": "no-store"}


class NoEndpoint(Exception):
    """The stream does not say where messages are to be sent."""


@contextlib.asynccontextmanager
async def sse_streams(
    client: httpx2.AsyncClient, url: str, label: str, max_bytes: int
) -> AsyncGenerator[tuple[MemoryObjectReceiveStream[Received], MemoryObjectSendStream[SessionMessage]]]:
    """Raises httpx2.HTTPError for an HTTP error, NoEndpoint."""
    to_session, inbound = anyio.create_memory_object_stream[Received](0)
    outbound, from_session = anyio.create_memory_object_stream[SessionMessage](0)
    with to_session, inbound, outbound, from_session:
        async with client.stream("GET", url, headers=_ACCEPTS, follow_redirects=True) as response:
            response.raise_for_status()
            events = aiter(httpx2.EventSource(response, max_event_size=max_bytes))
            endpoint = await _endpoint(events, url)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_read, events, to_session, label)
                tasks.start_soon(_write, client, endpoint, from_session)
                yield inbound, outbound
                tasks.cancel_scope.cancel()


async def _endpoint(events: AsyncIterator[httpx2.ServerSentEvent], url: str) -> str:
    """Where messages go, which the first event says. The transport checks it as any other URL; here it has to be of the
    server's own origin, since it gets the server's credentials.
    """
    with contextlib.suppress(httpx2.SSEError, ValueError):
        async for event in events:
            if event.event == "endpoint":
                there, here = httpx2.URL(urljoin(url, event.data)), httpx2.URL(url)
                if (there.scheme, there.host, there.port) == (here.scheme, here.host, here.port):
                    return str(there)
                break
    raise NoEndpoint


async def _read(
    events: AsyncIterator[httpx2.ServerSentEvent], to_session: MemoryObjectSendStream[Received], label: str
) -> None:
    """Events to messages, until the stream ends."""
    with to_session:
        try:
            async for event in events:
                if event.event == "message" and event.data:
                    await to_session.send(_message(event.data))
        except httpx2.SSEError:
            current().fail(McpRefused(about(label, "sent a message that is larger than is allowed here")))
        except (httpx2.HTTPError, anyio.BrokenResourceError):
            return


def _message(text: str) -> Received:
    try:
        return SessionMessage(types.jsonrpc_message_adapter.validate_json(text, by_name=False))
    except ValueError:
        return ValueError("an event that is not JSON-RPC")


async def _write(
    client: httpx2.AsyncClient, endpoint: str, from_session: MemoryObjectReceiveStream[SessionMessage]
) -> None:
    """One after the other, in their order. What comes of a POST that fails is the transport's to tell."""
    async for sent in from_session:
        content = sent.message.model_dump(by_alias=True, mode="json", exclude_unset=True)
        async with client.stream("POST", endpoint, json=content, follow_redirects=True):
            pass
