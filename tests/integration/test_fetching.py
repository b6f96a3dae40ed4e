"""The fetcher against real servers on loopback, which the operator has allowed here."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from antiphon.core.errors import FetchRefused
from antiphon.fetching.addresses import Reach
from antiphon.fetching.fetcher import GuardedFetcher
from antiphon.fetching.urls import Egress
from tests.integration.test_looking import certificate

LOOPBACK = Reach.of(["127.0.0.0/8"])


def port_of(server: TestServer) -> int:
    return server.make_url("/").port or 0


class Site:
    """A web server, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.stopped = asyncio.Event()
        app = web.Application()
        app.router.add_get("/{what}", self.answer)
        self.server = TestServer(app, host="127.0.0.1")

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{port_of(self.server)}{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        query = request.query
        match request.match_info["what"]:
            case "redirect":
                return web.Response(status=int(query.get("status", "302")), headers={"location": query["to"]})
            case "loop":
                return web.Response(status=307, headers={"location": "/loop"})
            case "lost":
                return web.Response(status=302)
            case "status":
                return web.Response(status=int(query["is"]), text="canary: internal details")
            case "cookie":
                return web.Response(headers={"set-cookie": "a=b; Path=/"})
            case "silent":
                return await self._silent(request)
            case "endless":
                return await self._endless(request)
            case "short":
                return await self._short(request)
            case "packed":
                plain = b"x" * int(query["size"])
                packed = zlib.compress(plain) if query["by"] == "deflate" else gzip.compress(plain)
                packed = packed[: len(packed) - int(query.get("cut", "0"))]
                return web.Response(body=packed, headers={"content-encoding": query["by"]})
            case _:
                headers = {k: v for k, v in query.items() if k.startswith("content-")}
                return web.Response(body=b"\x00hello\xff", headers=headers)

    async def _silent(self, request: web.Request) -> web.StreamResponse:
        await self.stopped.wait()
        return web.Response()

    async def _endless(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 4096)
        finally:
            self.stopped.set()

    async def _short(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "100"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.close()
        return response


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    async with made.server:
        yield made
        made.stopped.set()


@pytest.fixture
async def fetcher() -> AsyncIterator[GuardedFetcher]:
    made = GuardedFetcher(Egress(LOOPBACK, max_bytes=10_000, timeout_s=20))
    yield made
    await made.aclose()


async def refusal(fetcher: GuardedFetcher, url: str) -> str:
    """The message of the refusal, which names the field and nothing that must stay inside."""
    with pytest.raises(FetchRefused) as refused:
        await fetcher.fetch(url, "input[0]")
    assert refused.value.param == "input[0]"
    assert refused.value.status == 400
    message = refused.value.message
    assert message.startswith("`input[0]`: the URL was not fetched: it ")
    assert "127.0.0" not in message
    assert "canary" not in message
    return message


async def test_a_url_is_fetched_with_its_type_and_its_name(site: Site, fetcher: GuardedFetcher) -> None:
    found = await fetcher.fetch(site.url("/a%20b.pdf?content-type=Application/PDF;%20version%3D1"), "url")
    assert (found.content, found.media_type, found.filename) == (
        b"\x00hello\xff",
        "application/pdf",
        "a b.pdf",
    )
    (asked,) = site.asked
    assert asked.headers["accept-encoding"] == "identity"
    assert not {"cookie", "authorization", "referer", "proxy-authorization"} & {
        k.lower() for k in asked.headers
    }


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('attachment; filename="r%C3%A9port.pdf"', "r%C3%A9port.pdf"),
        ("attachment; filename*=UTF-8''na%C3%AFve%20plan.txt", "naïve plan.txt"),
        ("attachment; filename=x.txt; filename*=UTF-8''y.txt", "y.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="C:\\\\\\\\dir\\\\\\\\x.doc"', "x.doc"),
        ("attachment; filename*=UTF-8''a%00%0d%0ab", "ab"),
        ('attachment; filename=".."', ""),
        ("inline", "doc"),
        (";;;", "doc"),
    ],
)
async def test_the_name_that_a_server_gives_is_only_a_name(
    site: Site, fetcher: GuardedFetcher, said: str, name: str
) -> None:
    from urllib.parse import quote

    found = await fetcher.fetch(site.url(f"/doc?content-disposition={quote(said, safe='')}"), "url")
    assert found.filename == name


async def test_a_type_that_is_none_is_left_empty(site: Site, fetcher: GuardedFetcher) -> None:
    assert (await fetcher.fetch(site.url("/x?content-type=nothing"), "url")).media_type == ""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(site: Site, fetcher: GuardedFetcher, status: int) -> None:
    found = await fetcher.fetch(site.url(f"/redirect?status={status}&to=/there.txt"), "url")
    assert found.filename == "there.txt"
    assert [one.path for one in site.asked] == ["/redirect", "/there.txt"]


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://0x7f000001/",
        "//10.0.0.1/",
        "file:///etc/passwd",
        "http://user:pass@127.0.0.1/",
        "http:\\\\127.0.0.1",
        "http://[::1",
    ],
)
async def test_where_a_redirect_leads_is_checked_too(site: Site, fetcher: GuardedFetcher, to: str) -> None:
    from urllib.parse import quote

    message = await refusal(fetcher, site.url(f"/redirect?to={quote(to, safe='')}"))
    assert "redirects to" in message
    assert "169.254" not in message
    assert len(site.asked) == 1


async def test_a_redirect_goes_five_hops_and_no_further(site: Site, fetcher: GuardedFetcher) -> None:
    assert "more than 5 times" in await refusal(fetcher, site.url("/loop"))
    assert len(site.asked) == 6
    assert "without saying where" in await refusal(fetcher, site.url("/lost"))


async def test_a_refusal_says_the_status_and_not_the_body(site: Site, fetcher: GuardedFetcher) -> None:
    assert "status 404" in await refusal(fetcher, site.url("/status?is=404"))
    assert "status 500" in await refusal(fetcher, site.url("/status?is=500"))
    assert "status 304" in await refusal(fetcher, site.url("/status?is=304"))


async def test_cookies_are_not_kept(site: Site, fetcher: GuardedFetcher) -> None:
    await fetcher.fetch(site.url("/cookie"), "url")
    await fetcher.fetch(site.url("/x"), "url")
    assert "cookie" not in site.asked[-1].headers


async def test_no_connection_serves_two_fetches(site: Site, fetcher: GuardedFetcher) -> None:
    for _ in range(2):
        await fetcher.fetch(site.url("/x"), "url")
    peers = {one.transport.get_extra_info("peername") if one.transport else id(one) for one in site.asked}
    assert len(peers) == 2


async def test_what_is_too_large_is_given_up_as_it_comes(site: Site, fetcher: GuardedFetcher) -> None:
    assert "more than 10000 bytes" in await refusal(fetcher, site.url("/endless"))
    await asyncio.wait_for(site.stopped.wait(), 20)  # the server has noticed that nobody reads on
    with pytest.raises(FetchRefused, match="more than 3 bytes"):
        await fetcher.fetch(site.url("/x"), "url", max_bytes=3)


async def test_what_comes_packed_is_measured_unpacked(site: Site, fetcher: GuardedFetcher) -> None:
    for coding in ("gzip", "deflate"):
        assert (
            await fetcher.fetch(site.url(f"/packed?by={coding}&size=10000"), "u")
        ).content == b"x" * 10_000
        assert "more than 10000 bytes" in await refusal(fetcher, site.url(f"/packed?by={coding}&size=10001"))
        assert "more than 10000 bytes" in await refusal(
            fetcher, site.url(f"/packed?by={coding}&size=5000000")
        )
    assert "too early" in await refusal(fetcher, site.url("/packed?by=gzip&size=100&cut=9"))
    assert "not known here" in await refusal(fetcher, site.url("/packed?by=br&size=100"))
    assert "not known here" in await refusal(fetcher, site.url("/packed?by=gzip,gzip&size=100"))


async def test_an_answer_that_breaks_off_is_no_answer(site: Site, fetcher: GuardedFetcher) -> None:
    assert "broke off" in await refusal(fetcher, site.url("/short"))


async def test_a_silent_server_is_given_up(site: Site) -> None:
    fetcher = GuardedFetcher(Egress(LOOPBACK, timeout_s=0.2))
    assert "within 0.2 s" in await refusal(fetcher, site.url("/silent"))
    await fetcher.aclose()


async def test_loopback_is_refused_unless_it_is_named(site: Site) -> None:
    fetcher = GuardedFetcher(Egress())
    for host in ("127.0.0.1", "localhost"):
        message = await refusal(fetcher, site.url("/x", host))
        assert "no public address" in message
    assert site.asked == []
    await fetcher.aclose()


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


async def test_a_name_is_resolved_once_and_connected_to_at_that_address(site: Site) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])  # the second answer is what a rebinding name would give
    fetcher = GuardedFetcher(Egress(LOOPBACK), lookup=names)
    await fetcher.fetch(site.url("/x", "rebind.example"), "url")
    assert names.asked == ["rebind.example"]
    assert site.asked[0].headers["host"] == f"rebind.example:{port_of(site.server)}"
    assert "no public address" in await refusal(fetcher, site.url("/x", "rebind.example"))
    assert len(site.asked) == 1
    await fetcher.aclose()


async def test_names_with_one_bad_address_or_none_are_refused_alike(site: Site) -> None:
    egress = Egress(LOOPBACK)
    messages = set[str]()
    for answer in (["127.0.0.1", "10.0.0.1"], ["127.0.0.1", "::1"], ["169.254.169.254"], []):
        fetcher = GuardedFetcher(egress, lookup=Names(answer) if answer else Names())
        messages.add(await refusal(fetcher, site.url("/x", "mixed.example")))
        await fetcher.aclose()
    assert len(messages) == 1
    assert site.asked == []


async def test_the_name_in_a_redirect_is_resolved_and_checked_as_well(site: Site) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    fetcher = GuardedFetcher(Egress(LOOPBACK), lookup=names)
    message = await refusal(
        fetcher, site.url(f"/redirect?to=http://two.example:{port_of(site.server)}/", "one.example")
    )
    assert "no public address" in message
    assert names.asked == ["one.example", "two.example"]
    await fetcher.aclose()


async def test_the_proxy_of_the_environment_is_not_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fetcher = GuardedFetcher(Egress(LOOPBACK))
    assert (await fetcher.fetch(site.url("/x"), "url")).filename == "x"
    await fetcher.aclose()


async def test_a_server_whose_certificate_nobody_knows_is_refused(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "fetched.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", answer)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(ssl=context)
    fetcher = GuardedFetcher(Egress(LOOPBACK), lookup=Names(["127.0.0.1"]))
    assert "TLS handshake" in await refusal(fetcher, f"https://fetched.example:{port_of(server)}/")
    assert asked == []
    await fetcher.aclose()
    await server.close()


async def test_nobody_listening_is_said_without_an_address(fetcher: GuardedFetcher) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert "could not be connected to" in await refusal(fetcher, f"http://127.0.0.1:{port}/")


async def test_what_is_no_http_is_said_without_what_it_was(fetcher: GuardedFetcher) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 canary ESMTP ready\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert "not HTTP" in await refusal(fetcher, f"http://127.0.0.1:{port}/")
