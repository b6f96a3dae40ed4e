"""The installed program: users authorise connectors, calls go out as them, and no secret is seen anywhere."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.program import Program, start_antiphon
from tests.integration.oauth_world import case, oauth_servers
from tests.integration.obedient import calls, script
from tests.integration.upstream import Upstream
from tests.support.oauth_server import OAuthCase

__all__ = ["case", "oauth_servers"]

Json = dict[str, Any]
CALLBACK = "/v1/connectors/oauth/callback"
USERS = {"sk-alice": ("acme", "alice"), "sk-bob": ("acme", "bob"), "sk-eve": ("other", "alice")}
WHOAMI = script(calls("whoami"), "{outputs}")


def configuration(upstream: Upstream, folder: Path) -> str:
    keys = "".join(
        f"    - {{name: {tenant}-{owner}, tenant: {tenant}, owner: {owner},"
        f' hash: "sha256:{hashlib.sha256(key.encode()).hexdigest()}"}}\n'
        for key, (tenant, owner) in USERS.items()
    )
    return f"""\
version: 2
server:
  egress: {{allow_private: ["127.0.0.0/8"]}}
  auth:
    keys:
{keys}
mcp: {{servers: any}}
providers:
  inference:
  - provider_id: up
    provider_type: remote::openai-compatible
    config: {{base_url: "{upstream.url}", api_key: sk-upstream-secret, wire: chat}}
storage: {{url: "sqlite:///{folder}/antiphon.db"}}
"""


@dataclass(slots=True)
class Served:
    """The running program, and whatever it has answered so far."""

    program: Program
    folder: Path
    session: aiohttp.ClientSession
    answers: bytearray

    async def ask(self, method: str, path: str, key: str = "", body: Json | None = None) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = self.program.url + path
        sent = {} if body is None and method == "POST" else body
        async with self.session.request(method, url, json=sent, headers=headers) as answer:
            self.answers += await answer.read()
            return answer.status, await answer.json()

    async def page(self, query: str, method: str = "GET") -> tuple[int, str, Mapping[str, str]]:
        async with self.session.request(method, f"{self.program.url}{CALLBACK}{query}") as answer:
            text = await answer.text()
            self.answers += text.encode()
            return answer.status, text, answer.headers

    async def connect(self, case: OAuthCase, key: str = "sk-alice") -> None:
        body: Json = {"connector_id": case.name, "url": case.mcp, "oauth": {}}
        assert (await self.ask("POST", "/v1/connectors", key, body))[0] == 200

    async def respond(self, case: OAuthCase, key: str, **more: Any) -> Json:
        tool = {
            "type": "mcp",
            "server_label": "vault",
            "connector_id": case.name,
            "require_approval": "never",
        }
        body = {"model": "obedient", "input": WHOAMI, "tools": [tool], **more}
        status, answer = await self.ask("POST", "/v1/responses", key, body)
        assert status == 200, answer
        return dict(answer)

    async def visit(self, url: str, user: str) -> tuple[int, str]:
        """As a browser: through the authorisation server and back to us."""
        async with (
            aiohttp.ClientSession(
                cookies={"user": user}, cookie_jar=aiohttp.CookieJar(unsafe=True)
            ) as browser,
            browser.get(url) as answer,
        ):
            text = await answer.text()
            self.answers += text.encode()
            return answer.status, text


@pytest.fixture(scope="module")
def program(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, Path]]:
    folder = tmp_path_factory.mktemp("oauth")
    with start_antiphon(folder, configuration(upstream, folder)) as running:
        running.wait_ready()
        yield running, folder


@pytest.fixture
async def served(program: tuple[Program, Path]) -> AsyncIterator[Served]:
    async with aiohttp.ClientSession() as session:
        yield Served(*program, session, bytearray())


def asks(response: Json) -> list[Json]:
    return [item for item in response["output"] if item["type"] == "antiphon:mcp_authorization_request"]


def said(response: Json) -> str:
    (message,) = [item for item in response["output"] if item["type"] == "message"]
    return str(message["content"][0]["text"])


async def test_a_response_asks_the_user_and_the_next_one_goes_out_as_them(
    served: Served, case: OAuthCase
) -> None:
    await served.connect(case)
    for key, (_, user) in list(USERS.items())[:2]:
        response = await served.respond(case, key)
        (ask,) = asks(response)
        assert (ask["server_label"], ask["connector_id"]) == ("vault", case.name)
        assert ask["url"].startswith(f"{case.issuer}/authorize?")
        status, page = await served.visit(ask["url"], user)
        assert (status, "You can close this window." in page) == (200, True), page
        assert f"“{user}”" in page
    for key, (_, user) in list(USERS.items())[:2]:
        response = await served.respond(case, key)
        assert response["status"] == "completed"
        assert said(response) == f"you are {user}"
        assert not asks(response)
    status, answer = await served.ask("GET", f"/v1/connectors/{case.name}", "sk-eve")
    assert status == 404, answer


async def test_tokens_of_two_users_never_cross_in_interleaved_runs(served: Served, case: OAuthCase) -> None:
    await served.connect(case)
    users = {key: user for key, (_, user) in list(USERS.items())[:2]}
    for key, user in users.items():
        _, link = await served.ask("POST", f"/v1/connectors/{case.name}/authorize", key)
        assert (await served.visit(link["url"], user))[0] == 200
    turns = [key for _ in range(10) for key in users]
    answers = await asyncio.gather(*(served.respond(case, key) for key in turns))
    assert [said(one) for one in answers] == [f"you are {users[key]}" for key in turns]


async def test_a_token_that_was_taken_back_is_renewed_and_one_that_cannot_be_is_asked_for(
    served: Served, case: OAuthCase
) -> None:
    await served.connect(case)
    _, link = await served.ask("POST", f"/v1/connectors/{case.name}/authorize", "sk-alice")
    await served.visit(link["url"], "alice")
    case.access.clear()
    assert said(await served.respond(case, "sk-alice")) == "you are alice"
    case.access.clear()
    case.refresh.clear()
    (ask,) = asks(await served.respond(case, "sk-alice"))
    await served.visit(ask["url"], "alice")
    assert said(await served.respond(case, "sk-alice")) == "you are alice"


async def test_a_user_forgets_and_the_tenant_deletes(served: Served, case: OAuthCase) -> None:
    await served.connect(case)
    path = f"/v1/connectors/{case.name}"
    for key, user in (("sk-alice", "alice"), ("sk-bob", "bob")):
        _, link = await served.ask("POST", f"{path}/authorize", key)
        await served.visit(link["url"], user)
    assert (await served.ask("DELETE", f"{path}/authorization", "sk-alice"))[0] == 200
    assert (await served.ask("DELETE", f"{path}/authorization", "sk-alice"))[0] == 404
    assert asks(await served.respond(case, "sk-alice"))
    assert said(await served.respond(case, "sk-bob")) == "you are bob"
    _, open_link = await served.ask("POST", f"{path}/authorize", "sk-alice")
    assert (await served.ask("DELETE", path, "sk-alice"))[0] == 200
    assert (await served.visit(open_link["url"], "alice"))[0] == 400
    await served.connect(case)
    assert asks(await served.respond(case, "sk-bob")), "the same id again is another connector"


EVIL = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?state=" + "a" * 43 + "&code=x",
        f"?state={EVIL}&code={EVIL}",
        f"?error={EVIL}&error_description={EVIL}&state=" + "a" * 43,
        "?state=" + "a" * 43 + "&state=" + "b" * 43,
        "?state=%00%ff&code=%ff",
        "?code=" + "x" * 9000 + "&state=" + "a" * 43,
        "?" + "&".join(f"p{number}=x" for number in range(500)),
        "?state=a%0d%0aset-cookie:%20x=y",
    ],
)
async def test_a_callback_that_is_not_ours_gets_a_page_that_repeats_nothing(
    served: Served, query: str
) -> None:
    status, page, headers = await served.page(query)
    assert status == 400
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "script" not in page
    assert "alert" not in page
    assert "set-cookie" not in headers


async def test_looking_at_a_link_does_not_use_it_up(served: Served, case: OAuthCase) -> None:
    await served.connect(case)
    _, link = await served.ask("POST", f"/v1/connectors/{case.name}/authorize", "sk-alice")
    async with served.session.get(link["url"], allow_redirects=False, cookies={"user": "alice"}) as answer:
        back = answer.headers["location"]
    query = "?" + back.partition("?")[2]
    for method in ("HEAD", "POST", "PUT", "DELETE"):
        assert (await served.page(query, method))[0] in {404, 405}
    assert (await served.page(query))[0] == 200
    status, page, _ = await served.page(query)
    assert (status, "not valid any more" in page) == (400, True)


@pytest.mark.parametrize(
    ("twist", "status", "words"),
    [
        ({"status": 503}, 502, "status 503"),
        ({"body": b"<html>canary"}, 502, "not a JSON document"),
        ({"status": 400, "body": b'{"error": "invalid_grant"}'}, 502, "invalid_grant"),
        ({"status": 400, "body": b'{"error": "<script>canary"}'}, 502, "status 400"),
    ],
)
async def test_what_goes_wrong_at_the_end_is_told_on_the_page(
    served: Served, case: OAuthCase, twist: Json, status: int, words: str
) -> None:
    await served.connect(case)
    _, link = await served.ask("POST", f"/v1/connectors/{case.name}/authorize", "sk-alice")
    case.twist("token", **twist)
    got, page = await served.visit(link["url"], "alice")
    assert (got, words in page, "canary" in page) == (status, True, False), page


async def test_a_user_who_says_no_is_told_so(served: Served, case: OAuthCase) -> None:
    await served.connect(case)
    case.deny = "access_denied"
    _, link = await served.ask("POST", f"/v1/connectors/{case.name}/authorize", "sk-alice")
    status, page = await served.visit(link["url"], "alice")
    assert (status, "access was not given" in page, "script" in page) == (400, True, False)


async def test_a_server_whose_authorisation_cannot_be_had_says_why(served: Served, case: OAuthCase) -> None:
    await served.connect(case)
    case.twist("metadata", document={"code_challenge_methods_supported": None})
    status, answer = await served.ask("POST", f"/v1/connectors/{case.name}/authorize", "sk-alice")
    assert (status, "PKCE" in answer["error"]["message"]) == (502, True), answer
    response = await served.respond(case, "sk-alice")
    assert not asks(response)
    (listed,) = [item for item in response["output"] if item["type"] == "mcp_list_tools"]
    assert "PKCE" in listed["error"]


async def test_there_is_no_document_without_an_https_address(served: Served) -> None:
    status, answer = await served.ask("GET", "/v1/connectors/oauth/client.json")
    assert (status, "public_url" in answer["error"]["message"]) == (404, True)


async def test_no_secret_is_seen_in_the_database_the_logs_or_any_answer(
    served: Served, case: OAuthCase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await served.connect(case)
    case.expires_in = 1
    for key, user in (("sk-alice", "alice"), ("sk-bob", "bob")):
        (ask,) = asks(await served.respond(case, key))
        await served.visit(ask["url"], user)
        response = await served.respond(case, key, stream=False, store=True)
        assert said(response) == f"you are {user}"
        await served.ask("GET", f"/v1/responses/{response['id']}", key)
        await served.ask("GET", f"/v1/connectors/{case.name}", key)
        await served.ask("GET", f"/v1/connectors/{case.name}/tools", key)
    case.twist("token", body=b'{"access_token": "a b"}')
    await served.ask("POST", f"/v1/connectors/{case.name}/authorize", "sk-bob")
    assert len(case.secrets) > 8
    stored = b"".join(path.read_bytes() for path in served.folder.rglob("*") if path.is_file())
    assert case.name.encode() in stored
    places = {
        "files": stored,
        "log": served.program.output.encode(),
        "answers": bytes(served.answers),
        "our own log": caplog.text.encode(),
    }
    found = [
        (place, secret)
        for place, text in places.items()
        for secret in case.secrets
        if secret.encode() in text
    ]
    assert not found
