"""Calls of tools of MCP servers: their results, failures and limits, and the questions that servers ask users."""

import asyncio
import base64
import json

import msgspec
import pytest

from antiphon.core.hosted_items import (
    McpAuthorizationRequest,
    McpElicitationRequest,
    McpHttpError,
    McpProtocolError,
    McpToolExecutionError,
)
from antiphon.core.mcp import ElicitationAnswer, Sampling, said
from antiphon.core.tools import McpTool
from antiphon.core.wire import JsonObject
from antiphon.mcp_tools.calls import Limits
from antiphon.mcp_tools.limits import FairLimit, NoPlace
from antiphon.mcp_tools.results import KEPT_FOR_S
from antiphon.mcp_tools.texts import scrubber
from antiphon.ports import Owner
from antiphon.ports.mcp import (
    BinaryContent,
    CallResult,
    Connector,
    Content,
    LinkContent,
    McpHttpFailure,
    McpProtocolFailure,
    McpRefused,
    McpServer,
    McpUnreachable,
    OAuthSettings,
    Question,
    TextContent,
)
from tests.unit.mcp_tools_world import (
    OWNER,
    URL,
    Call,
    Host,
    World,
    call_of,
    connected,
    fails_with,
    returns,
    server,
    texts,
    until,
)

BOB = Owner("acme", "bob")


@pytest.fixture
def world() -> World:
    return World()


# --- results -------------------------------------------------------------------------------------------------
async def test_a_call_is_made_as_the_model_made_it(world: World) -> None:
    item = await world.run("add", '{"a": 1, "b": [2]}', tool=server(authorization="of-ada"))
    (call,) = world.client.calls
    assert (call.tool, call.arguments, call.timeout_s, call.reply) == ("add", {"a": 1, "b": [2]}, 60.0, None)
    assert call.server.headers == (("authorization", "Bearer of-ada"),)
    assert not call.server.trusted
    assert (item.status, item.output, item.error) == ("completed", "hello from add", None)


@pytest.mark.parametrize(
    ("content", "structured", "read"),
    [
        ([TextContent("one"), TextContent("two")], None, "one\n\ntwo"),
        ([TextContent("a note", uri="memo://note")], None, "[resource memo://note]\na note"),
        ([TextContent("21 degrees")], {"degrees": 21}, "21 degrees"),
        ([], {"degrees": 21, "days": ["Mon"]}, '{"degrees":21,"days":["Mon"]}'),
        ([], None, ""),
        (
            [LinkContent("https://e.com/r.pdf", "report", "the report", "application/pdf")],
            None,
            "[resource link https://e.com/r.pdf: report; application/pdf; the report]",
        ),
        ([LinkContent("https://e.com/")], None, "[resource link https://e.com/]"),
        ([TextContent("a\r\nb\rc\td\x00\x1b[2J\x85\ud800")], None, "a\nb\nc\td\ufffd\ufffd[2J\ufffd\ufffd"),
        ([], {"a\x07": "\udfff"}, '{"a\ufffd":"\ufffd"}'),
    ],
)
async def test_what_a_model_reads_of_a_result(
    world: World, content: list[Content], structured: JsonObject | None, read: str
) -> None:
    world.client.on_call = returns(CallResult(content, structured))
    item = await world.run()
    assert item.output == read
    assert item.status == "completed"
    assert said(item) == (read or "(the tool returned nothing)")


async def test_what_is_no_text_is_kept_as_files_of_the_owner(world: World) -> None:
    content: list[Content] = [
        TextContent("see:"),
        BinaryContent("image", "image/png", b"PNG"),
        BinaryContent("resource", "application/zip", b"PK", uri="file:///tmp/../a%20b.zip?x=1"),
        BinaryContent("audio", "text/html; <script>", b"RIFF"),
        BinaryContent("image", "image/png", b""),
    ]
    world.client.on_call = returns(CallResult(content))
    item = await world.run("draw/it")
    kept = await world.kept()
    assert [(name, kind, data) for name, kind, data in kept] == [
        ("draw_it-1.png", "image/png", b"PNG"),
        ("a_20b.zip", "application/zip", b"PK"),
        ("draw_it-3.bin", "application/octet-stream", b"RIFF"),
    ]
    lines = str(item.output).split("\n\n")
    files = await world.files.list_page(
        OWNER, limit=9, newest_first=False, after=None, purpose="assistants_output"
    )
    assert lines == [
        "see:",
        f'[image: image/png, 3 bytes; file {files[0].id} ("draw_it-1.png")]',
        f'[resource file:///tmp/../a%20b.zip?x=1: application/zip, 2 bytes; file {files[1].id} ("a_20b.zip")]',
        f'[audio: application/octet-stream, 4 bytes; file {files[2].id} ("draw_it-3.bin")]',
        "[image: image/png, 0 bytes; empty]",
    ]
    assert {file.expires_at for file in files} == {world.clock.now() + KEPT_FOR_S}
    assert await world.kept(BOB) == []


async def test_a_run_that_is_not_stored_leaves_no_file(world: World) -> None:
    content: list[Content] = [BinaryContent("image", "image/png", b"PNG"), TextContent("x" * 100_001)]
    world.client.on_call = returns(CallResult(content))
    item = await world.run(host=Host(keeps=False))
    assert await world.kept() == []
    assert str(item.output).count("not kept, since this response is not stored") == 2


async def test_text_that_is_too_long_is_cut_and_kept_whole() -> None:
    world = World(limits=Limits(max_output_chars=300))
    text = "0123456789" * 100 + "é"
    world.client.on_call = returns(texts(text))
    item = await world.run("big")
    (kept,) = await world.kept()
    assert kept == ("big-1.txt", "text/plain", text.encode())
    output = str(item.output)
    assert output.startswith(text[:300] + "\n\n[cut here: 300 of 1001 characters; the whole: file file-")
    assert len(output) < 300 + 200
    world.client.on_call = returns(texts("x" * 300))
    assert (await world.run("big")).output == "x" * 300


async def test_a_result_of_many_files_keeps_some_of_them(world: World) -> None:
    world.client.on_call = returns(CallResult([BinaryContent("image", "image/png", b"PNG")] * 40))
    item = await world.run()
    assert len(await world.kept()) == 32
    assert str(item.output).count("not kept, since 32 files") == 8


async def test_structure_that_is_nested_without_end_is_no_result(world: World) -> None:
    deep: JsonObject = {}
    for _ in range(100_000):
        deep = {"a": deep}
    world.client.on_call = returns(CallResult([], deep))
    assert (await world.run()).output == "[structured content, nested too deep to be shown]"
    while deep:  # taken apart here, since a deep value is freed by a deep recursion
        deep = deep.pop("a", {})


# --- failures ------------------------------------------------------------------------------------------------
async def test_a_tool_that_fails_says_so_to_the_model(world: World) -> None:
    world.client.on_call = returns(CallResult([TextContent("the disk is full")], is_error=True))
    item = await world.run()
    assert (item.status, item.output) == ("failed", None)
    assert item.error == McpToolExecutionError(content=[{"type": "text", "text": "the disk is full"}])
    assert said(item) == "Error: the disk is full"
    world.client.on_call = returns(CallResult([], is_error=True))
    assert said(await world.run()) == "Error: the tool failed and did not say why"


@pytest.mark.parametrize(
    ("failure", "kind", "code", "said"),
    [
        (McpHttpFailure("it answered with 502", 502), McpHttpError, 502, "`tools`: it answered with 502"),
        (McpProtocolFailure("unknown tool", -32602), McpProtocolError, -32602, "`tools`: unknown tool"),
        (McpUnreachable("MCP server `tools` broke off."), McpProtocolError, -32000, "`tools` broke off."),
        (McpRefused("too large"), McpProtocolError, -32050, "`tools`: too large"),
        (
            RuntimeError("hunter2-hunter2"),
            McpProtocolError,
            -32603,
            "`tools` could not be asked: an internal error of this server.",
        ),
        (asyncio.CancelledError(), McpProtocolError, -32000, "`tools` broke off before it answered."),
    ],
)
async def test_what_goes_wrong_is_the_error_of_the_item(
    world: World,
    failure: BaseException,
    kind: type[McpHttpError | McpProtocolError],
    code: int,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    world.client.on_call = fails_with(failure)
    item = await world.run()
    assert (item.status, item.output) == ("failed", None)
    assert item.error == kind(code=code, message=f"MCP server {said}")
    assert "hunter2" not in caplog.text


async def test_arguments_that_are_no_object_are_not_sent(world: World) -> None:
    item = await world.run("add", "[1]")
    assert isinstance(item.error, McpProtocolError)
    assert item.error.code == -32602
    assert not world.client.calls


@pytest.mark.parametrize("tool", [server(url="http://10.0.0.1/"), connected("nobody")])
async def test_a_server_that_may_not_be_asked_fails_the_call(world: World, tool: McpTool) -> None:
    item = await world.run(tool=tool)
    assert isinstance(item.error, McpProtocolError)
    assert item.error.code == -32050
    assert not world.client.calls


async def test_a_cancelled_run_cancels_the_call(world: World) -> None:
    ended = asyncio.Event()

    async def hangs(_: Call) -> CallResult:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    world.client.on_call = hangs
    task = asyncio.create_task(world.run())
    await until(lambda: len(world.client.calls) == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert world.calls.servers.keys == world.calls.tenants.keys == 0


async def test_calls_of_other_tools_go_to_the_runtime_behind(world: World) -> None:
    call = call_of()
    other = msgspec.structs.replace(call.call, name="f")
    done = await world.tools.run(OWNER, type(call)(other), Host())
    assert 'no tool "f"' in done.output


# --- secrets -------------------------------------------------------------------------------------------------
TOKEN = "s3cret-token-of-ada"


async def test_a_server_that_echoes_credentials_shows_none(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    tool = server(
        url=f"{URL}?api_key=key-in-the-url",
        headers={"Authorization": f"Bearer {TOKEN}", "X-Key": "other-secret"},
    )

    async def echoes(call: Call) -> CallResult:
        await call.host.sample(Sampling([("user", f"sum up {TOKEN}")], 10, system_prompt=TOKEN))
        sent = " ".join(f"{name}: {value}" for name, value in call.server.headers) + call.server.url
        content: list[Content] = [
            TextContent(sent),
            TextContent("x", uri=f"memo://{TOKEN}"),
            LinkContent(f"https://e.com/{TOKEN}", TOKEN, sent),
            BinaryContent("image", "image/png", f"x {sent}".encode(), uri=f"https://e.com/{TOKEN}.png"),
        ]
        return CallResult(content, {sent: [sent]})

    world.client.on_call = echoes
    host = Host()
    shown = msgspec.json.encode(await world.run(tool=tool, host=host)).decode() + repr(host.asked)
    shown += repr(await world.files.list_page(OWNER, limit=9, newest_first=True, after=None, purpose=None))
    ((_, _, data),) = await world.kept()
    assert data.startswith(b"x authorization: *****")
    shown += data.decode()
    for error in (McpUnreachable(f"no {TOKEN}"), McpProtocolFailure(f"{TOKEN} other-secret", -1)):
        world.client.on_call = fails_with(error)
        shown += msgspec.json.encode(await world.run(tool=tool)).decode()
    world.client.on_call = returns(CallResult([TextContent(TOKEN)], is_error=True))
    shown += msgspec.json.encode(await world.run(tool=tool)).decode()
    world.client.on_call = returns(CallResult([], {"echo": [TOKEN]}))
    shown += msgspec.json.encode(await world.run(tool=tool)).decode()
    world.client.on_call = returns(
        Question(
            TOKEN, b"t", "form", {"type": "object", "properties": {TOKEN: {"type": "string", "title": TOKEN}}}
        )
    )
    shown += msgspec.json.encode(await world.run(tool=tool)).decode()
    for secret in (TOKEN, "other-secret", "key-in-the-url"):
        assert secret not in shown
        assert secret not in caplog.text
    assert shown.count("***") >= 10


@pytest.mark.parametrize(
    ("value", "text", "left"),
    [
        ("Bearer abcdefgh", "x abcdefgh y", "x *** y"),
        ("Bearer abcdefgh", "Bearer abcdefgh", "***"),
        ("abc", "abc", "abc"),
        ("a b/c+d=efgh", "a%20b%2Fc%2Bd%3Defgh", "***"),
        ("Basic " + base64.b64encode(b"ada:pass-word").decode(), "ada:pass-word or pass-word", "*** or ***"),
        ("Basic not!base64", "not!base64", "***"),
    ],
)
def test_secrets_are_found_in_the_forms_that_they_come_back_in(value: str, text: str, left: str) -> None:
    scrub = scrubber([value])
    assert scrub.text(text) == left
    assert value not in repr(scrub)


async def test_a_large_text_is_cleaned_as_a_small_one_is_and_others_have_their_turn() -> None:
    scrub = scrubber(["Bearer abcdefgh"])
    text = "x\x00\r\nabcdefgh\r" * 100_000
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    cleaned = await scrub.whole(text)
    beside.cancel()
    assert cleaned == scrub.text(text) == "x\ufffd\n***\n" * 100_000
    assert turns >= 2
    assert scrub.line("a \x07" + " b" * 10_000, 6) == "a \ufffd b …"


async def test_a_secret_in_structured_content_is_found_as_json_writes_it(world: World) -> None:
    world.client.on_call = returns(CallResult([], {"echo": 'quo"ted\\secret', 'quo"ted\\secret': 1}))
    item = await world.run(tool=server(headers={"X-Key": 'quo"ted\\secret'}))
    assert item.output == '{"echo":"***","***":1}'


# --- limits --------------------------------------------------------------------------------------------------
async def test_calls_over_the_limit_wait_and_all_are_made() -> None:
    world = World(limits=Limits(server_calls=3))
    running, most = 0, 0

    async def counts(_: Call) -> CallResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return texts("done")

    world.client.on_call = counts
    found = await asyncio.gather(*(world.run() for _ in range(50)))
    assert all(item.output == "done" for item in found)
    assert most == 3
    assert world.calls.servers.keys == world.calls.tenants.keys == 0


async def test_one_server_keeps_no_place_of_another() -> None:
    world = World(limits=Limits(server_calls=1))
    gate = asyncio.Event()

    async def waits(call: Call) -> CallResult:
        if call.server.url == URL:
            await gate.wait()
        return texts("done")

    world.client.on_call = waits
    hanging = asyncio.create_task(world.run())
    await until(lambda: len(world.client.calls) == 1)
    assert (await world.run(tool=server(url=URL + "/2"))).output == "done"
    gate.set()
    assert (await hanging).output == "done"


async def test_calls_that_wait_for_one_server_leave_places_of_their_tenant_for_others() -> None:
    world = World(limits=Limits(server_calls=2, tenant_calls=4))
    gate = asyncio.Event()

    async def waits(call: Call) -> CallResult:
        if call.server.url == URL:
            await gate.wait()
        return texts("done")

    world.client.on_call = waits
    hanging = [asyncio.create_task(world.run()) for _ in range(8)]
    await until(lambda: len(world.client.calls) == 2)
    assert (await world.run(tool=server(url=URL + "/2"))).output == "done"
    gate.set()
    assert [item.output for item in await asyncio.gather(*hanging)] == ["done"] * 8
    assert world.calls.shares.keys == world.calls.tenants.keys == 0


async def test_a_call_that_finds_no_place_in_time_says_so() -> None:
    world = World(limits=Limits(tenant_calls=1, call_timeout_s=0.001))

    async def hangs(_: Call) -> CallResult:
        await asyncio.Event().wait()
        raise AssertionError

    world.client.on_call = hangs
    hanging = asyncio.create_task(world.run())
    await until(lambda: len(world.client.calls) == 1)
    item = await world.run(owner=BOB)
    assert isinstance(item.error, McpProtocolError)
    assert "too many calls" in item.error.message
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert world.calls.tenants.keys == 0


async def test_a_place_goes_to_the_party_that_has_the_fewest() -> None:
    limit = FairLimit(2)
    order: list[str] = []
    leave: dict[str, asyncio.Event] = {}

    async def call(name: str) -> None:
        leave[name] = asyncio.Event()
        async with limit.place("server", name[0], 10):
            order.append(name)
            await leave[name].wait()

    tasks = {name: asyncio.create_task(call(name)) for name in ("a1", "a2", "a3", "a4", "b1", "b2")}
    await until(lambda: len(order) == 2)
    for name in ("a1", "a2", "b1", "a3", "b2", "a4"):
        leave[name].set()
        await tasks[name]
    assert order == ["a1", "a2", "b1", "a3", "b2", "a4"]
    assert limit.keys == 0


async def test_who_gives_up_waiting_takes_no_place_and_leaves_nothing() -> None:
    limit = FairLimit(1)
    async with limit.place("s", "a", 10):
        with pytest.raises(NoPlace):
            async with limit.place("s", "b", 0):
                raise AssertionError
        waiting = asyncio.create_task(enter(limit))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert limit.keys == 0
    lucky = asyncio.create_task(hold_and_cancel(limit))
    await lucky
    assert limit.keys == 0


async def enter(limit: FairLimit) -> None:
    async with limit.place("s", "b", 10):
        return


async def hold_and_cancel(limit: FairLimit) -> None:
    """The one who waits is cancelled in the moment in which the place is theirs."""
    async with limit.place("s", "a", 10):
        waiting = asyncio.create_task(enter(limit))
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()


# --- questions -----------------------------------------------------------------------------------------------
FORM: JsonObject = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


async def asked(world: World, question: Question) -> McpElicitationRequest:
    world.client.on_call = returns(question)
    done = await world.tools.run(OWNER, call_of("order", '{"item":"tea"}'), Host())
    assert done.item is not None
    assert done.item.status == "incomplete"
    (ask,) = done.asks
    assert isinstance(ask, McpElicitationRequest)
    return ask


async def test_a_question_is_shown_and_the_call_goes_on_with_the_answer(world: World) -> None:
    ask = await asked(world, Question("Who are\x07 you?", b"\x00state", "form", FORM))
    assert (ask.server_label, ask.name, ask.arguments) == ("tools", "order", '{"item":"tea"}')
    assert (ask.message, ask.mode, ask.requested_schema) == ("Who are\ufffd you?", "form", FORM)
    assert ask.expires_at == world.clock.now() + 600
    world.client.on_call = returns(texts("ordered"))
    answer = ElicitationAnswer(ask, "accept", {"name": "Ada"})
    item = await world.run("order", '{"item":"tea"}', tool=server(authorization="renewed"), answer=answer)
    assert item.output == "ordered"
    reply = world.client.calls[-1].reply
    assert reply is not None
    assert (reply.token, reply.action, reply.content) == (b"\x00state", "accept", {"name": "Ada"})


@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_refusal_is_told_to_the_server(world: World, action: str) -> None:
    ask = await asked(world, Question("Who?", b"state", "form", FORM))
    answer = ElicitationAnswer(ask, "decline" if action == "decline" else "cancel")
    await world.run("order", '{"item":"tea"}', answer=answer)
    reply = world.client.calls[-1].reply
    assert reply is not None
    assert (reply.action, reply.content) == (action, None)


async def test_a_page_to_visit_is_shown(world: World) -> None:
    ask = await asked(world, Question("Sign in", b"t", "url", None, "https://example.com/sign-in?case=1"))
    assert (ask.mode, ask.url) == ("url", "https://example.com/sign-in?case=1")
    world.client.on_call = returns(texts("signed in"))
    answer = ElicitationAnswer(ask, "accept")
    assert (await world.run("order", '{"item":"tea"}', answer=answer)).output == "signed in"


@pytest.mark.parametrize(
    "question",
    [
        Question("?", b"t", "form", {"type": "object", "properties": {"a": {"type": "object"}}}),
        Question("?", b"t", "form", {"type": "object", "properties": {}, "title": "x" * 70_000}),
        Question("?", b"t", "url", None, "javascript:alert(1)"),
        Question("?", b"t", "url", None, "https://user@example.com/"),
        Question("?", b"t", "url", None, "https://example.com/ a"),
        Question("?", b"t", "url", None, "https://[bad/"),
        Question("?", b"t", "url", None, f"https://example.com/?t={TOKEN}"),
        Question("?", b"x" * 2**20, "form", FORM),
    ],
)
async def test_a_question_that_cannot_be_put_to_a_user_ends_the_call(
    world: World, question: Question
) -> None:
    world.client.on_call = returns(question)
    item = await world.run(tool=server(authorization=TOKEN))
    assert item.status == "failed"
    assert isinstance(item.error, McpProtocolError)
    assert "not put to them" in item.error.message
    assert world.client.forgotten == [question.token]


async def test_an_answer_belongs_to_its_user_server_and_call(world: World) -> None:
    ask = await asked(world, Question("Who?", b"state", "form", FORM))
    answer = ElicitationAnswer(ask, "accept", {"name": "Ada"})
    made = len(world.client.calls)
    order = '{"item":"tea"}'
    broken = ElicitationAnswer(
        msgspec.structs.replace(ask, encrypted_content="broken"), "accept", {"name": "Ada"}
    )
    found = [
        await world.run("order", order, owner=BOB, answer=answer),
        await world.run("order", order, owner=Owner("other", "ada"), answer=answer),
        await world.run("order", order, tool=server(url=URL + "/2"), answer=answer),
        await world.run("erase", order, answer=answer),
        await world.run("order", '{"item":"gold"}', answer=answer),
        await world.run("order", order, answer=broken),
    ]
    for item in found:
        assert isinstance(item.error, McpProtocolError)
        assert item.error.code == -32602
        assert item.error.message.startswith("The call cannot go on: the question")
    assert len(world.client.calls) == made


async def test_content_that_does_not_fit_the_form_is_not_sent(world: World) -> None:
    ask = await asked(world, Question("Who?", b"state", "form", FORM))
    made = len(world.client.calls)
    item = await world.run("order", '{"item":"tea"}', answer=ElicitationAnswer(ask, "accept", {"name": 1}))
    assert isinstance(item.error, McpProtocolError)
    assert "content.name: expected a string" in item.error.message
    assert len(world.client.calls) == made


# --- authorisation -------------------------------------------------------------------------------------------
async def test_a_token_that_is_refused_in_a_call_is_asked_for_anew(world: World) -> None:
    desk = Connector("desk", McpServer(OWNER, "desk", URL), oauth=OAuthSettings())
    world.connectors.known["acme", "desk"] = desk
    world.authorizations.tokens["ada"] = "of-ada-1"
    world.client.on_call = fails_with(McpHttpFailure("answered with status 401", 401, "Bearer"))
    done = await world.tools.run(OWNER, call_of(tool=connected()), Host())
    assert done.item is not None
    assert done.item.status == "failed"
    (ask,) = done.asks
    assert isinstance(ask, McpAuthorizationRequest)
    assert ask.server_label == "tools"
    assert world.authorizations.begun == ["Bearer"]
    done = await world.tools.run(OWNER, call_of(tool=connected()), Host())
    assert len(world.client.calls) == 1  # without a token nothing is asked
    assert len(done.asks) == 1


async def test_a_token_that_is_refused_is_renewed_and_the_call_made_again(world: World) -> None:
    desk = Connector("desk", McpServer(OWNER, "desk", URL), oauth=OAuthSettings())
    world.connectors.known["acme", "desk"] = desk
    world.authorizations.tokens["ada"] = "of-ada-1"
    world.authorizations.renewals["ada"] = "of-ada-2"

    async def takes_the_second(call: Call) -> CallResult:
        if call.server.headers != (("authorization", "Bearer of-ada-2"),):
            raise McpHttpFailure("answered with status 401", 401, "Bearer")
        return texts(f"hello of-ada-2 {call.server.headers}")

    world.client.on_call = takes_the_second
    item = await world.run(tool=connected())
    assert item.status == "completed"
    assert "of-ada-2" not in str(item.output)
    assert len(world.client.calls) == 2
    assert not world.authorizations.begun


async def test_credentials_never_cross_between_users(world: World) -> None:
    """A thousand calls of two users at once, whose server tells with what it was asked."""

    async def tells(call: Call) -> CallResult:
        await asyncio.sleep(0)
        return texts(
            json.dumps([call.server.owner.subject, call.arguments["user"]]), str(call.server.headers)
        )

    world.client.on_call = tells
    users = [OWNER, BOB]

    async def one(at: int) -> None:
        user = users[at % 2]
        item = await world.run(
            "who",
            json.dumps({"user": user.subject}),
            tool=server(authorization=f"{user.subject[0]}" * 4),
            owner=user,
        )
        assert item.output == (
            f'["{user.subject}", "{user.subject}"]\n\n'
            f"(('authorization', 'Bearer {user.subject[0] * 4}'),)".replace(
                f"Bearer {user.subject[0] * 4}", "***"
            )
        )

    await asyncio.gather(*(one(at) for at in range(1000)))
    assert {(call.server.owner.subject, call.server.headers[0][1]) for call in world.client.calls} == {
        ("ada", "Bearer aaaa"),
        ("bob", "Bearer bbbb"),
    }
