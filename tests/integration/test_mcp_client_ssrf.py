"""Where the MCP client goes, and where it does not: URLs, redirects, names and endpoints that lead inside."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from antiphon.fetching.addresses import Reach
from antiphon.fetching.urls import Egress
from antiphon.mcp.client import SdkMcpClient
from antiphon.mcp.limits import McpLimits
from antiphon.ports.mcp import McpFailure, McpProtocolFailure, McpRefused, McpServer, Transport
from tests.integration.mcp_client_world import ANN, LOOPBACK, make_client

LIMITS = McpLimits(connect_timeout_s=5, max_message_bytes=100_000)


class Site:
    """A small MCP server that also does what a server inside would not want to be asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.endpoint = "/messages"
        self.leads_to = "/mcp"
        self.status = 307
        self._done = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{what}", self.answer)
        self.server = TestServer(app, host="127.0.0.1")

    @property
    def port(self) -> int:
        return self.server.make_url("/").port or 0

    def url(self, path: str = "/mcp", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def end(self) -> None:
        self._done.set()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        what = request.match_info["what"]
        self.asked.append((request.method, what))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if what == "redirect":
            return web.Response(status=self.status, headers={"location": self.leads_to})
        if what == "events":
            return await self._events(request)
        if request.method != "POST":
            return web.Response(status=405)
        message = json.loads(await request.read())
        if "id" not in message:
            return web.Response(status=202)
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": self._result(message)}).encode()
        headers = {"content-type": "application/json", "set-cookie": "tracking=1; Path=/"}
        if what in {"packed", "bomb"}:
            padding = b" " * (10_000_000 if what == "bomb" else 10)
            body, headers = gzip.compress(body + padding), headers | {"content-encoding": "gzip"}
        return web.Response(body=body, headers=headers)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            return web.Response(status=405)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"event: endpoint\ndata: {self.endpoint}\n\n".encode())
        await self._done.wait()
        return response

    def _result(self, message: dict[str, Any]) -> dict[str, Any]:
        if message["method"] == "tools/list":
            return {"tools": []}
        about = {"name": "site", "version": "1"}
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": about}


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    await made.server.start_server()
    yield made
    made.end()
    await made.server.close()


@pytest.fixture
async def client() -> AsyncIterator[SdkMcpClient]:
    made = make_client(LIMITS)
    yield made
    await made.aclose()


async def refusal(client: SdkMcpClient, url: str, transport: Transport = "auto") -> str:
    """Why a server is not asked: its message, which says nothing of what is inside."""
    with pytest.raises(McpFailure) as failure:
        await client.list_tools(McpServer(ANN, "site", url, transport), timeout_s=20)
    assert isinstance(failure.value, McpRefused), failure.value
    message = failure.value.message
    assert not any(inside in message for inside in ("127.0.0.1", "10.0.0.1", "169.254", "::1"))
    return message


CORPUS = (
    "http://127.0.0.1:PORT/mcp",
    "http://localhost:PORT/mcp",
    "http://[::1]:PORT/mcp",
    "http://[::ffff:127.0.0.1]:PORT/mcp",
    "http://[::ffff:7f00:1]:PORT/mcp",
    "http://0.0.0.0:PORT/mcp",
    "http://2130706433:PORT/mcp",
    "http://0x7f000001:PORT/mcp",
    "http://0x7f.1:PORT/mcp",
    "http://0177.0.0.1:PORT/mcp",
    "http://127.1:PORT/mcp",
    "http://127.0.0.1.:PORT/mcp",
    "http://①②⑦.⓪.⓪.①:PORT/mcp",
    "http://127。0。0。1:PORT/mcp",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/",
    "http://[64:ff9b::7f00:1]:PORT/mcp",
    "http://user:pass@127.0.0.1:PORT/mcp",
    "http://example.com@127.0.0.1:PORT/mcp",
    "http://127.0.0.1:PORT\\@example.com/",
    "http://127.0.0.1%00.example.com/",
    "http:///127.0.0.1/mcp",
    "http://127.0.0.1\t:PORT/mcp",
    "file:///etc/passwd",
    "ftp://127.0.0.1/",
    "gopher://127.0.0.1:PORT/_x",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    "//127.0.0.1:PORT/mcp",
    "",
    "mcp",
)


@pytest.mark.parametrize("transport", ["auto", "streamable_http", "sse"])
async def test_no_spelling_of_an_address_leads_inside(site: Site, transport: Transport) -> None:
    client = SdkMcpClient(Egress(), LIMITS)
    for url in CORPUS:
        message = await refusal(client, url.replace("PORT", str(site.port)), transport)
        assert "was not asked: its address" in message, url
    await client.aclose()
    assert site.asked == []


async def test_what_the_operator_names_may_be_inside(site: Site) -> None:
    client = SdkMcpClient(Egress(), LIMITS)
    own = McpServer(ANN, "site", site.url(), trusted=True)
    assert (await client.ping(own, timeout_s=20))["name"] == "site"
    assert "no public address" in await refusal(client, site.url())
    await client.aclose()


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:PORT/mcp",
        "http://0x7f000001:PORT/mcp",
        "//10.0.0.1/",
        "http://localhost:PORT/mcp",
        "https://127.0.0.1:PORT/mcp",
        "http://127.0.0.1:1/mcp",
        "file:///etc/passwd",
        "http://user:pass@127.0.0.1:PORT/mcp",
        "http:\\\\127.0.0.1:PORT",
        "http://[::1",
    ],
)
async def test_no_redirect_leads_anywhere_else(site: Site, client: SdkMcpClient, to: str) -> None:
    site.leads_to = to.replace("PORT", str(site.port))
    for transport in ("streamable_http", "sse"):
        assert "redirects" in await refusal(client, site.url("/redirect"), transport)
    assert {what for _, what in site.asked} == {"redirect"}


async def test_a_redirect_within_the_origin_is_followed_with_its_message(
    site: Site, client: SdkMcpClient
) -> None:
    found = await client.ping(McpServer(ANN, "site", site.url("/redirect")), timeout_s=20)
    assert found["name"] == "site"
    site.status = 302
    assert "drops the message" in await refusal(client, site.url("/redirect?other"), "streamable_http")


class Names:
    """A resolver that answers from a list, the next one each time, and counts."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if not self.answers:
            raise OSError("no such name")
        return self.answers.pop(0)


async def test_a_name_that_is_bound_anew_leads_nowhere_else(site: Site) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"], ["10.0.0.1"])
    client = SdkMcpClient(LOOPBACK, LIMITS, lookup=names)
    of = McpServer(ANN, "site", site.url(host="rebind.example"))
    await client.list_tools(of, timeout_s=20)
    assert names.asked[0] == "rebind.example"
    assert site.headers[0]["host"] == f"rebind.example:{site.port}"
    await client.list_tools(
        of, timeout_s=20
    )  # by the connection that was made to the address that was checked
    await client.aclose()
    fresh = SdkMcpClient(LOOPBACK, LIMITS, lookup=Names(["10.0.0.1"]))
    assert "no public address" in await refusal(fresh, site.url(host="rebind.example"))
    await fresh.aclose()


async def test_names_with_one_bad_address_or_none_are_refused_alike(site: Site) -> None:
    messages = set[str]()
    for answer in (["127.0.0.1", "10.0.0.1"], ["127.0.0.1", "::1"], ["169.254.169.254"], None):
        client = SdkMcpClient(LOOPBACK, LIMITS, lookup=Names(answer) if answer else Names())
        messages.add(await refusal(client, site.url(host="mixed.example")))
        await client.aclose()
    assert len(messages) == 1
    assert site.asked == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://169.254.169.254/latest",
        "http://localhost:PORT/messages",
        "https://127.0.0.1:PORT/messages",
        "//10.0.0.1/messages",
        "http://127.0.0.1:1/messages",
        "file:///etc/passwd",
        "http://127.0.0.1:PORT@10.0.0.1/",
        "http://[::1",
    ],
)
async def test_messages_go_to_no_other_origin_than_their_stream(
    site: Site, client: SdkMcpClient, endpoint: str
) -> None:
    site.endpoint = endpoint.replace("PORT", str(site.port))
    of = McpServer(ANN, "site", site.url("/events"), "sse", headers=(("authorization", "Bearer secret"),))
    with pytest.raises((McpProtocolFailure, McpRefused)) as failure:
        await client.list_tools(of, timeout_s=20)
    assert "10.0.0.1" not in failure.value.message
    assert site.asked == [("GET", "events")]


async def test_an_answer_is_measured_unpacked(site: Site, client: SdkMcpClient) -> None:
    assert (await client.ping(McpServer(ANN, "site", site.url("/packed")), timeout_s=20))["name"] == "site"
    assert "more than 100000 bytes" in await refusal(client, site.url("/bomb"))


async def test_nothing_of_ours_goes_along(
    site: Site, client: SdkMcpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    await client.list_tools(McpServer(ANN, "site", site.url()), timeout_s=20)
    await client.list_tools(McpServer(ANN, "site", site.url(), headers=(("x-a", "b"),)), timeout_s=20)
    for headers in site.headers:
        assert not {"cookie", "authorization", "x-forwarded-for", "referer"} & headers.keys()
        assert headers["accept-encoding"] == "identity"
        assert "python" not in headers["user-agent"]


async def test_only_hosts_that_the_operator_lists_are_asked(site: Site) -> None:
    client = SdkMcpClient(Egress(Reach.of(["127.0.0.0/8"]), ("*.example.com",)), LIMITS)
    assert "list of those it may" in await refusal(client, site.url())
    await client.aclose()
