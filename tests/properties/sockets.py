"""A server whose models are scripts, its store in memory and its time virtual, for tests over WebSocket."""

import random
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

import msgspec

from antiphon.app import serve, services_for
from antiphon.config.settings import LimitSettings, ServerSettings, Settings, WebSocketSettings
from antiphon.models.catalog import Catalog
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, scripted_model
from antiphon.testing.simulated_socket import SimulatedSocket, SocketOver
from antiphon.testing.simulation import simulate
from antiphon.web.edge import Edge

T = TypeVar("T")
Json = dict[str, Any]
MODEL = "scripted/demo"
ENDS = frozenset({"error", "response.completed", "response.incomplete", "response.failed"})
RULES: tuple[Json, ...] = (
    {"when": {"text": "slowly"}, "reply": [{"text": "one two three four", "delay_ms": 60_000}]},
    {"when": {"text": "flood"}, "reply": [{"text": "word " * 2000}]},
    {"when": {"text": "break"}, "reply": [{"text": "so far"}, {"fail": {"kind": "drop"}}]},
    {"when": {"text": "refuse"}, "reply": [{"fail": {"status": 429, "retry_after": "7"}}]},
    {
        "when": {"text": "call", "tool_outputs": False},
        "reply": [{"calls": [{"name": "look", "arguments": {}}]}],
    },
    {"reply": [{"echo": True}]},
)
LOOK: Json = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def settings(
    *, max_body: int = 1 << 20, streams: int = 100, parameters: str = "strict", **websocket: Any
) -> Settings:
    limits = LimitSettings(max_body_bytes=max_body, max_open_streams=streams)
    server = ServerSettings(limits=limits, websocket=WebSocketSettings(**websocket))
    server = msgspec.structs.replace(server, parameters=parameters)
    return Settings(server=server)


def app_of(given: Settings, store: MemoryStore | None = None) -> Edge:
    clock, ids = FakeClock(), FakeIds()
    model = scripted_model(*RULES)
    catalog = Catalog({model.provider_id: model}, clock=clock)
    services = services_for(given, catalog, store or MemoryStore(), UpstreamClient(clock), clock, ids)
    return serve(services, ids)


def over_socket(
    main: Callable[[SimulatedSocket], Coroutine[Any, Any, T]],
    given: Settings | None = None,
    *,
    seed: int = 1,
    store: MemoryStore | None = None,
    room: int = 1_000_000,
) -> T:
    """What `main` makes of one connection; hours pass in no time."""

    async def run(_drawn: random.Random) -> T:
        async with SimulatedSocket(app_of(given or settings(), store), room=room) as socket:
            return await main(socket)

    return simulate(seed, run)


def create(text: str | None = "hi", **more: Any) -> Json:
    asked = {} if text is None else {"input": text}
    return {"type": "response.create", "model": MODEL, **asked, **more}


async def turn(socket: SimulatedSocket, frame: Mapping[str, object] | str | bytes) -> list[Json]:
    """Send a frame, and the frames up to the end of what it asked for. One lane at a time."""
    await socket.send(frame)
    return await until_end(socket)


async def until_end(socket: SimulatedSocket) -> list[Json]:
    """Up to a terminal event, or the error frame that came instead of a response."""
    frames: list[Json] = []
    while not frames or not ends(frames[-1]):
        frames.append(await socket.receive())
    return frames


def ends(frame: Json) -> bool:
    """An error inside of a response is numbered, and the terminal event follows it."""
    return frame["type"] in ENDS and not (frame["type"] == "error" and "sequence_number" in frame)


async def until_closed(socket: SimulatedSocket) -> tuple[list[Json], int]:
    """What comes before the server closes, and its code."""
    frames: list[Json] = []
    try:
        while True:
            frames.append(await socket.receive())
    except SocketOver as over:
        return frames, over.code


def kinds(frames: list[Json]) -> list[str]:
    return [frame["type"] for frame in frames]


def response_of(frames: list[Json]) -> Json:
    found: Json = frames[-1]["response"]
    return found


def text_of(frames: list[Json]) -> str:
    return "".join(frame["delta"] for frame in frames if frame["type"] == "response.output_text.delta")
