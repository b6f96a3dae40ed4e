"""`modern.py BASE_URL responses|openai`: AG2 1.x runs agents, channels between them, and tools.

It prints what it saw as one line of JSON.
"""

import asyncio
import importlib
import json
import sys
from typing import Any

# Typed as Any: AG2 is not in the environment in which types are checked.
ag2: Any = importlib.import_module("ag2")
configs: Any = importlib.import_module("ag2.config")
events: Any = importlib.import_module("ag2.events")
knowledge: Any = importlib.import_module("ag2.knowledge")
network: Any = importlib.import_module("ag2.network")
pydantic: Any = importlib.import_module("pydantic")

QUESTION = "What is the weather, and what time is it?"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)
LIMIT_S = 30


async def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


async def get_time(city: str) -> str:
    """The time in a city."""
    return f"noon in {city}"


class Flows:
    def __init__(self, base_url: str, wire: str) -> None:
        self._base_url = base_url
        self._make = {"responses": configs.OpenAIResponsesConfig, "openai": configs.OpenAIConfig}[wire]

    def _agent(self, name: str, model: str, **more: Any) -> Any:
        config = self._make(
            model=model,
            base_url=self._base_url,
            api_key="none",
            max_retries=0,
            **{name: more.pop(name) for name in ("streaming", "store") if name in more},
        )
        return ag2.Agent(name, prompt=f"You are {name}.", config=config, **more)

    async def tools(self, **settings: Any) -> dict[str, Any]:
        """A question that needs two tools, and a second one in the same conversation."""
        tools = [ag2.tool(get_weather), ag2.tool(get_time)]
        first = await self._agent("clerk", "clerk", tools=tools, **settings).ask(QUESTION)
        again = await first.ask(QUESTION)
        kinds = [type(event).__name__ for event in await first.history.get_events()]
        usage = await first.usage()
        return {
            "first": first.body,
            "again": again.body,
            "called": kinds.count("ToolCallEvent"),
            "tokens": usage.total.total_tokens > 0,
        }

    async def run(self) -> dict[str, Any]:
        """`run()`: the turn is watched while it goes on."""
        chunks: list[str] = []

        def on_chunk(event: Any) -> None:
            chunks.append(event.content)

        clerk = self._agent(
            "clerk", "clerk", streaming=True, tools=[ag2.tool(get_weather), ag2.tool(get_time)]
        )
        async with clerk.run(QUESTION) as run:
            run.stream.where(events.ModelMessageChunk).subscribe(on_chunk)
            reply = await run.result()
        return {"chunks": len(chunks), "spelled": "".join(chunks), "said": reply.body}

    async def form(self) -> dict[str, Any]:
        weather = pydantic.create_model("Weather", city=(str, ...), degrees=(int, ...))
        reply = await self._agent("form", "demo", response_schema=weather).ask("Oslo?")
        return {"type": type(await reply.content()).__name__}

    async def image(self) -> str | None:
        look = ag2.ImageInput(data=PIXEL, media_type="image/png")
        reply = await self._agent("viewer", "critic").ask("Look.", look)
        body: str | None = reply.body
        return body

    async def delegation(self) -> str | None:
        """One agent is a tool of another."""
        expert = self._agent("expert", "critic")
        desk = self._agent("desk", "desk", tools=[expert.as_tool(description="Knows.", name="ask_expert")])
        reply = await desk.ask("A poem.")
        body: str | None = reply.body
        return body

    async def talk(self, kind: str, models: dict[str, str], count: int) -> list[list[str]]:
        """The first of the agents opens a channel of that kind and begins; who said what, `count` texts."""
        hub = await network.Hub.open(knowledge.MemoryKnowledgeStore(), ttl_sweep_interval=0)
        members = [await hub.register(self._agent(name, model)) for name, model in models.items()]
        channel = await members[0].open(type=kind, target=list(models)[1:])
        said = reached(hub, count)
        await channel.send("A poem.", audience=[member.agent_id for member in members[1:]])
        await asyncio.wait_for(said.wait(), LIMIT_S)
        await channel.close()
        names = {member.agent_id: name for member, name in zip(members, models, strict=True)}
        texts = [one for one in await hub.read_wal(channel.channel_id) if one.event_type == network.EV_TEXT]
        await hub.close()
        return [[names[one.sender_id], one.event_data["text"]] for one in texts[:count]]


def reached(hub: Any, count: int) -> asyncio.Event:
    """An event that is set when so many texts were posted."""
    done = asyncio.Event()
    posted = 0

    async def on_envelope_posted(envelope: Any, metadata: Any) -> None:
        nonlocal posted
        posted += envelope.event_type == network.EV_TEXT
        if posted >= count:
            done.set()

    listener = network.BaseHubListener()
    listener.on_envelope_posted = on_envelope_posted
    hub.register_listener(listener)
    return done


async def main() -> None:
    base_url, wire = sys.argv[1:]
    flows = Flows(base_url, wire)
    seen = {
        "version": ag2.__version__,
        "whole": await flows.tools(),
        "streamed": await flows.tools(streaming=True),
        "not_stored": await flows.tools(streaming=True, store=False),
        "run": await flows.run(),
        "form": await flows.form(),
        "image": await flows.image(),
        "delegation": await flows.delegation(),
        "two_agents": await flows.talk("conversation", {"writer": "writer", "critic": "critic"}, 4),
        "group": await flows.talk(
            "discussion", {"writer": "writer", "critic": "critic", "other critic": "critic"}, 5
        ),
    }
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
