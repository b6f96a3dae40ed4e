"""The tools of the real MCP server of the tests, as a server's author writes them."""

import asyncio
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final

import mcp_types as types
from mcp import MCPError
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Audio, Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve, Sample
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field
from starlette.requests import Request

from tests.support.mcp_wire import Case

READ_ONLY = types.ToolAnnotations(read_only_hint=True)
DESTRUCTIVE = types.ToolAnnotations(destructive_hint=True, read_only_hint=False)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c02"
    "0000000b4944415478da6364f80f00010501012718e3660000000049454e44ae426082"
)
"""A PNG of one pixel."""
BEEP = (
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00"
    b"\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"
)
"""A WAV of no length."""


def case_of(ctx: Context) -> Case:
    request = ctx.request_context.request
    assert isinstance(request, Request)
    case = request.scope["mcp_case"]
    assert isinstance(case, Case)
    return case


def digest(value: str) -> str:
    """How a credential shows in a result: never itself."""
    return hashlib.sha256(value.encode()).hexdigest()[:16]


# --- plain ones ----------------------------------------------------------------------------------------------
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def echo(text: str) -> str:
    """Say it again."""
    return text


def hello() -> str:
    """Say hello: there is nothing to tell it."""
    return "hello"


def total(numbers: list[float]) -> float:
    """Sum up a list of numbers."""
    return sum(numbers)


class Place(BaseModel):
    city: str
    country: str = "Norway"


def describe(place: Place, tags: list[str] | None = None) -> str:
    """Describe a place."""
    return f"{place.city} in {place.country} {tags or []}"


def erase(path: str) -> str:
    """Erase a file for good."""
    return f"erased {path}"


def read_note(name: str) -> str:
    """Read a note."""
    return f"the note {name}"


def whoami(ctx: Context) -> dict[str, str]:
    """Say by digests with which credentials this call came."""
    headers = ctx.headers or {}
    return {name: digest(headers.get(name, "")) for name in ("authorization", "x-token")}


def counter(ctx: Context) -> int:
    """Say how often this has been called."""
    calls = case_of(ctx).seen.calls
    calls["counter"] += 1
    return calls["counter"]


# --- time ----------------------------------------------------------------------------------------------------
async def slow(ms: int) -> str:
    """Take a while."""
    await asyncio.sleep(ms / 1000)
    return f"after {ms} ms"


async def hold(ctx: Context) -> str:
    """Return when the test lets go."""
    case = case_of(ctx)

    def more(by: int) -> None:
        case.note(lambda seen: setattr(seen, "holding", seen.holding + by))

    more(1)
    try:
        await case.gate.wait()
    except asyncio.CancelledError:
        case.note(lambda seen: setattr(seen, "cancelled", seen.cancelled + 1))
        raise
    finally:
        more(-1)
    return "released"


async def meet(people: int, ctx: Context) -> str:
    """Return when so many calls are in at once: what runs one after the other never does."""
    case = case_of(ctx)
    case.note(lambda seen: setattr(seen, "meeting", seen.meeting + 1))
    if case.seen.meeting >= people:
        case.met.set()
    await case.met.wait()
    return f"met {people}"


async def progress(steps: int, ctx: Context) -> str:
    """Report progress."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps, f"step {step + 1}")
    return "done"


async def chat_away(lines: int, ctx: Context) -> str:
    """Send log messages."""
    for line in range(lines):
        message = types.LoggingMessageNotificationParams(level="info", data=f"line {line} \x1b[31m")
        await ctx.session.send_notification(
            types.LoggingMessageNotification(params=message), related_request_id=ctx.request_id
        )
    return "said"


# --- failures ------------------------------------------------------------------------------------------------
def fails(why: str = "the disk is full") -> str:
    """Fail as tools do: with a result that says so."""
    raise ToolError(why)


def breaks(code: int = -32050) -> str:
    """Fail as the protocol does."""
    raise MCPError(code=code, message="the server is out of order")


def crashes() -> str:
    """Have a bug."""
    raise RuntimeError("a bug")


# --- results -------------------------------------------------------------------------------------------------
def picture() -> Image:
    """Draw a picture."""
    return Image(data=PIXEL, format="png")


def sound() -> Audio:
    """Make a sound."""
    return Audio(data=BEEP, format="wav")


def document() -> types.CallToolResult:
    """Give a text, an embedded text, an embedded binary and a link."""
    note = types.TextResourceContents(uri="memo://note", mime_type="text/plain", text="a note inside")
    blob = types.BlobResourceContents(uri="memo://blob", mime_type="application/zip", blob="UEsFBg==")
    link = types.ResourceLink(
        type="resource_link", uri="https://example.com/report.pdf", name="report", description="the report"
    )
    return types.CallToolResult(
        content=[
            types.TextContent(type="text", text="see below"),
            types.EmbeddedResource(type="resource", resource=note),
            types.EmbeddedResource(type="resource", resource=blob),
            link,
        ]
    )


class Forecast(BaseModel):
    city: str
    degrees: Annotated[float, Field(description="Celsius")]
    days: list[str]


def forecast(city: str) -> Forecast:
    """Give a result with a structure."""
    return Forecast(city=city, degrees=21.5, days=["Mon", "Tue"])


def nothing() -> types.CallToolResult:
    """Return no content at all."""
    return types.CallToolResult(content=[])


def big(chars: int) -> str:
    """Return much text."""
    return ("0123456789abcdef" * (chars // 16 + 1))[:chars]


# --- what asks back ------------------------------------------------------------------------------------------
class Name(BaseModel):
    name: Annotated[str, Field(description="What shall I call you?", min_length=1, max_length=40)]


class Confirmation(BaseModel):
    sure: bool


async def the_name(ctx: Context) -> Elicit[Name]:
    case_of(ctx).note(lambda seen: seen.calls.update(["asked name"]))
    return Elicit("Who are you?", Name)


def said_of(answer: ElicitationResult[Name]) -> str:
    return f"accept {answer.data.name}" if isinstance(answer, AcceptedElicitation) else answer.action


def ask_name(name: Annotated[ElicitationResult[Name], Resolve(the_name)], ctx: Context) -> str:
    """Ask the user for a name."""
    case_of(ctx).note(lambda seen: seen.calls.update(["ask_name done"]))
    return f"user said: {said_of(name)}"


async def the_certainty(name: Annotated[Name, Resolve(the_name)]) -> Elicit[Confirmation]:
    return Elicit(f"Are you sure, {name.name}?", Confirmation)


def ask_twice(
    item: str,
    name: Annotated[Name, Resolve(the_name)],
    certainty: Annotated[ElicitationResult[Confirmation], Resolve(the_certainty)],
) -> str:
    """Ask the user two questions, the second with the answer of the first."""
    sure = certainty.data.sure if isinstance(certainty, AcceptedElicitation) else certainty.action
    return f"{name.name} orders {item}: {sure}"


URL_MESSAGE = "Please sign in"


async def ask_url(ctx: Context) -> str | types.InputRequiredResult:
    """Send the user to a page."""
    url = "https://example.com/sign-in?case=" + case_of(ctx).name
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        answer = await ctx.elicit_url(URL_MESSAGE, url, "elicitation-1")
        return f"user said: {answer.action}"
    given = (ctx.input_responses or {}).get("sign-in")
    if given is None:
        params = types.ElicitRequestURLParams(
            message=URL_MESSAGE, url=url, elicitation_id="elicitation-1", mode="url"
        )
        request = types.ElicitRequest(params=params)
        return types.InputRequiredResult(input_requests={"sign-in": request}, request_state="at the page")
    assert isinstance(given, types.ElicitResult)
    return f"user said: {given.action}"


async def the_summary(text: str) -> Sample:
    content = types.TextContent(type="text", text=f"Sum up: {text}")
    message = types.SamplingMessage(role="user", content=content)
    return Sample([message], max_tokens=64, system_prompt="Be brief.")


def summarize(text: str, summary: Annotated[types.CreateMessageResult, Resolve(the_summary)]) -> str:
    """Have the client's model sum up a text."""
    content: Any = summary.content
    return f"summary: {content.text}"


async def change_tools(description: str, ctx: Context) -> str:
    """Change what `add` is said to do, and tell everybody that the tools have changed."""
    case_of(ctx).redefine("add", description=description)
    await ctx.notify_tools_changed()
    if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        await ctx.session.send_tool_list_changed()
    return "changed"


_Tools = tuple[Callable[..., object], ...]
READERS: Final[_Tools] = (
    add,
    echo,
    hello,
    total,
    describe,
    read_note,
    whoami,
    counter,
    slow,
    progress,
    chat_away,
    forecast,
)
OTHERS: Final[_Tools] = (
    hold,
    meet,
    fails,
    breaks,
    crashes,
    picture,
    sound,
    document,
    nothing,
    big,
    ask_name,
    ask_twice,
    ask_url,
    summarize,
    change_tools,
)


def add_tools(server: MCPServer[Any]) -> None:
    for tool in READERS:
        server.add_tool(tool, annotations=READ_ONLY)
    for tool in OTHERS:
        server.add_tool(tool)
    server.add_tool(erase, annotations=DESTRUCTIVE)
