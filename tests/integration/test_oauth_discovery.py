"""Who authorises for a server: every place that it may be written, and every lie that may stand there."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from antiphon.fetching.addresses import Reach
from antiphon.fetching.exchanges import GuardedExchanges
from antiphon.fetching.urls import Egress
from antiphon.oauth.service import UserAuthorizations
from antiphon.ports.exchanges import Exchange, NotAnswered, NotAsked
from antiphon.ports.mcp import McpFailure, McpRefused, McpUnreachable
from tests.integration.oauth_world import (
    ALICE,
    World,
    asked_in,
    authorizations,
    authorize,
    case,
    connector_to,
    oauth_servers,
    token_of,
    world,
)
from tests.support.oauth_server import OAuthCase, OAuthServers

__all__ = ["authorizations", "case", "oauth_servers", "world"]


# --- where it is looked for ------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", ["metadata", "openid", "appended"])
async def test_metadata_of_the_authorisation_server_is_found_wherever_it_may_be(
    authorizations: UserAuthorizations, case: OAuthCase, place: str
) -> None:
    if place != "metadata":
        case.twist("metadata", status=404)
        case.twist(place)
    await authorize(authorizations, ALICE, connector_to(case))
    order = [one.endpoint for one in case.seen]
    looked = ["metadata", "openid", "appended"]
    assert order[: order.index("register")] == ["mcp", "resource", *looked[: looked.index(place) + 1]]


async def test_a_challenge_says_where_the_metadata_of_the_server_is(
    authorizations: UserAuthorizations, oauth_servers: OAuthServers, case: OAuthCase
) -> None:
    other = oauth_servers.case()
    other.twist("resource", document={"resource": case.mcp, "authorization_servers": [case.issuer]})
    where = f"{other.base}/.well-known/oauth-protected-resource/{other.name}/mcp"
    link = await authorizations.begin(ALICE, connector_to(case), f'Bearer resource_metadata="{where}"')
    assert link.url.startswith(case.issuer)
    assert not case.asked("resource")


async def test_a_server_is_asked_what_it_wants_before_a_user_is(
    authorizations: UserAuthorizations, oauth_servers: OAuthServers, case: OAuthCase
) -> None:
    """Without a challenge at hand: it may be the only place that says where the metadata is."""
    elsewhere = oauth_servers.case()
    elsewhere.twist("resource", document={"resource": case.mcp, "authorization_servers": [case.issuer]})
    where = f"{elsewhere.base}/.well-known/oauth-protected-resource/{elsewhere.name}/mcp"
    header = f'Bearer resource_metadata="{where}", scope="notes:read"'
    case.twist("mcp", status=401, headers={"www-authenticate": header})
    link = await authorizations.begin(ALICE, connector_to(case))
    assert asked_in(link)["scope"] == "notes:read"
    assert len(elsewhere.asked("resource")) == 1
    assert not case.asked("resource")
    (first, *_) = case.seen
    assert "authorization" not in first.headers


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 404}, {"status": 200, "body": b"x" * 1000}])
async def test_a_server_that_says_nothing_of_it_may_have_its_metadata_all_the_same(
    authorizations: UserAuthorizations, case: OAuthCase, how: dict[str, object]
) -> None:
    case.twist("mcp", **how)
    assert (await authorizations.begin(ALICE, connector_to(case))).url.startswith(case.issuer)


async def test_a_place_of_a_challenge_that_has_nothing_is_passed_over(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    where = f"{case.issuer}/nothing"
    await authorize(authorizations, ALICE, connector_to(case), f'Bearer resource_metadata="{where}"')
    assert [one.endpoint for one in case.seen[:2]] == ["nothing", "resource"]


@pytest.mark.parametrize(
    "how", [{"status": 404}, {"body": b"<!doctype html>"}, {"status": 302, "headers": {"location": "/x"}}]
)
async def test_what_is_no_metadata_is_passed_over(
    authorizations: UserAuthorizations, case: OAuthCase, how: dict[str, object]
) -> None:
    case.twist("resource", **how)
    named = connector_to(
        case, issuer=case.issuer
    )  # without it, the root of this host would have to authorise
    await authorize(authorizations, ALICE, named)
    assert asked_in(await authorizations.begin(ALICE, named))["resource"] == case.mcp
    with pytest.raises(McpFailure, match="was not found"):
        await authorizations.begin(ALICE, connector_to(case))


@pytest.mark.parametrize("endpoint", ["resource", "metadata"])
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_cannot_say_now_is_not_taken_at_its_silence(
    authorizations: UserAuthorizations, case: OAuthCase, endpoint: str, status: int
) -> None:
    case.twist(endpoint, status=status)
    with pytest.raises(McpUnreachable, match=str(status)):
        await authorizations.begin(ALICE, connector_to(case))


async def test_the_operators_issuer_wins_over_what_the_server_says(
    authorizations: UserAuthorizations, oauth_servers: OAuthServers, case: OAuthCase
) -> None:
    case.twist("resource", document={"authorization_servers": [oauth_servers.case().issuer]})
    await authorize(authorizations, ALICE, connector_to(case, issuer=case.issuer))


# --- what is written there -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["origin", "parent", "same"])
async def test_metadata_may_be_of_what_the_server_is_below_of(
    authorizations: UserAuthorizations, case: OAuthCase, name: str
) -> None:
    resource = {"origin": case.base, "parent": case.issuer, "same": case.mcp}[name]
    case.twist("resource", document={"resource": resource})
    assert asked_in(await authorizations.begin(ALICE, connector_to(case)))["resource"] == resource


@pytest.mark.parametrize(
    "resource",
    [
        "{mcp}/below",
        "{mcp}2",
        "https://evil.example/mcp",
        "{mcp}?x=y",
        "{mcp}#x",
        "javascript:alert(1)",
        "",
        "{base}:1",
    ],
)
async def test_metadata_of_another_resource_is_refused(
    authorizations: UserAuthorizations, case: OAuthCase, resource: str
) -> None:
    said = resource.format(mcp=case.mcp, base=case.base)
    case.twist("resource", document={"resource": said})
    with pytest.raises(McpRefused, match="resource"):
        await authorizations.begin(ALICE, connector_to(case))
    assert not case.asked("metadata")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"issuer": "{issuer}/"}, "another issuer"),
        ({"code_challenge_methods_supported": None}, "PKCE"),
        ({"code_challenge_methods_supported": ["plain"]}, "PKCE"),
        ({"code_challenge_methods_supported": []}, "PKCE"),
        ({"token_endpoint": "http://as.example/token"}, "https://"),
        ({"registration_endpoint": "http://as.example/register"}, "https://"),
        ({"authorization_endpoint": "http://as.example/authorize"}, "https://"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "https://"),
        ({"authorization_endpoint": "data:text/html,x"}, "https://"),
        ({"authorization_endpoint": "https://u:p@as.example/"}, "user name"),
        ({"authorization_endpoint": "https://as.example/\r\nx: y"}, "control character"),
        ({"authorization_endpoint": "https://as.example/#x"}, "fragment"),
        ({"token_endpoint": None}, "token_endpoint"),
        ({"token_endpoint": 5}, "token_endpoint"),
        ({"token_endpoint_auth_methods_supported": ["tls_client_auth"]}, "none of the ways"),
    ],
)
async def test_metadata_that_would_put_users_at_risk_is_refused(
    authorizations: UserAuthorizations, case: OAuthCase, document: dict[str, object], message: str
) -> None:
    changed = {
        key: one.format(issuer=case.issuer) if isinstance(one, str) else one for key, one in document.items()
    }
    case.twist("metadata", document=changed)
    with pytest.raises(McpFailure, match=message):
        await authorizations.begin(ALICE, connector_to(case))
    assert not case.asked("register")
    assert not case.asked("token")


@pytest.mark.parametrize("body", [b"<html>canary", b"[" * 50_000, b"\xff", b"{}", b" " * 300_000, b"null"])
@pytest.mark.parametrize("endpoint", ["resource", "metadata"])
async def test_answers_that_are_no_documents_break_nothing(
    authorizations: UserAuthorizations, case: OAuthCase, endpoint: str, body: bytes
) -> None:
    case.twist(endpoint, body=body)
    with pytest.raises(McpFailure) as failed:
        await authorizations.begin(ALICE, connector_to(case))
    assert "canary" not in failed.value.message
    assert not case.asked("register")


@pytest.mark.parametrize(
    "issuer", ["{issuer}?x=y", "{issuer}#x", "ftp://as.example", "as.example", " ", "https://as.example./"]
)
async def test_an_issuer_that_is_no_plain_address_is_refused(
    authorizations: UserAuthorizations, case: OAuthCase, issuer: str
) -> None:
    case.twist("resource", document={"authorization_servers": [issuer.format(issuer=case.issuer)]})
    with pytest.raises(McpRefused, match="issuer"):
        await authorizations.begin(ALICE, connector_to(case))


# --- where it may lead -----------------------------------------------------------------------------------------
class Inside:
    """A service of the network that stands behind us: whoever connects was led there."""

    def __init__(self) -> None:
        self.port = 0
        self.visits = 0

    async def visit(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


@pytest.fixture
async def inside() -> AsyncIterator[Inside]:
    made = Inside()
    server = await asyncio.start_server(made.visit, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


@pytest.fixture
async def outside(world: World) -> AsyncIterator[UserAuthorizations]:
    """Nothing private is allowed here; only what the operator wrote is trusted."""
    world.egress = Egress(timeout_s=5)
    made = world.authorizations()
    yield made
    await made.aclose()


LEADS_INSIDE = (
    "https://127.0.0.1:{port}",
    "http://127.0.0.1:{port}",
    "https://localhost:{port}",
    "https://intranet.example:{port}",  # a public name with a private address
    "http://intranet.example:{port}",
    "https://[::ffff:127.0.0.1]:{port}",
    "https://2130706433:{port}",
    "https://0x7f.1:{port}",
    "https://0177.0.0.1:{port}",
    "https://127.1:{port}",
    "https://127.0.0.1.:{port}",
    "https://as.example@127.0.0.1:{port}",
    "https://127.0.0.1:{port}\\@as.example",
    "https://169.254.169.254",
    "https://[fd00:ec2::254]",
    "https://10.0.0.1:8443",
    "http://as.example",
    "https://as.example:22",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}",
)


@pytest.mark.parametrize("url", LEADS_INSIDE)
@pytest.mark.parametrize("place", ["challenge", "issuer", "registration_endpoint", "token_endpoint"])
async def test_nothing_that_a_server_names_leads_inside(
    outside: UserAuthorizations, case: OAuthCase, inside: Inside, place: str, url: str
) -> None:
    led = url.format(port=inside.port) + "/there"
    challenge = ""
    match place:
        case "challenge":
            challenge = f'Bearer resource_metadata="{led}"'
        case "issuer":
            case.twist("resource", document={"authorization_servers": [led]})
        case _:
            case.twist("metadata", document={place: led})
    with pytest.raises(McpFailure) as refused:
        await authorize(outside, ALICE, connector_to(case, trusted=True), challenge)
    assert inside.visits == 0
    assert not [secret for secret in case.secrets if secret in refused.value.message]
    assert "127.0.0.1" in led or f"127.0.0.1:{inside.port}" not in refused.value.message
    assert await outside.headers(ALICE, connector_to(case, trusted=True)) is None


@pytest.mark.parametrize("place", ["resource", "metadata", "register", "token"])
async def test_no_redirect_is_followed(
    outside: UserAuthorizations, case: OAuthCase, inside: Inside, place: str
) -> None:
    case.twist(place, status=307, headers={"location": f"http://127.0.0.1:{inside.port}/"})
    with pytest.raises(McpFailure):
        await authorize(outside, ALICE, connector_to(case, trusted=True))
    assert inside.visits == 0


async def test_a_private_server_is_asked_where_the_operator_named_it(
    outside: UserAuthorizations, oauth_servers: OAuthServers, case: OAuthCase
) -> None:
    connector = connector_to(case, trusted=True)
    await authorize(outside, ALICE, connector)
    assert await token_of(outside, ALICE, connector) in case.access
    with pytest.raises(McpRefused, match="https://"):
        await outside.begin(ALICE, connector_to(case))
    elsewhere = connector_to(case, trusted=True, issuer=case.issuer.replace("127.0.0.1", "as.example"))
    named = {
        "issuer": elsewhere.oauth.issuer if elsewhere.oauth else "",
        "token_endpoint": f"{case.issuer}/token",
    }
    case.twist("metadata", document=named)
    case.sends_issuer = False
    await authorize(outside, ALICE, elsewhere)


async def test_a_list_of_hosts_holds_for_authorisation_servers_too(case: OAuthCase, world: World) -> None:
    world.egress = replace(world.egress, hosts=("127.0.0.1",))
    authorizations = world.authorizations()
    case.twist("resource", document={"authorization_servers": ["https://as.example"]})
    with pytest.raises(McpRefused, match="list"):
        await authorizations.begin(ALICE, connector_to(case))
    await authorizations.aclose()


async def public(host: str, port: int) -> Sequence[str]:
    return ["93.184.215.14"]


async def test_without_tls_only_networks_of_the_operator_are_asked() -> None:
    exchanges = GuardedExchanges(Egress(Reach.of(["127.0.0.0/8"])), lookup=public)
    for url in ("http://as.example/token", "http://93.184.215.14/token"):
        with pytest.raises(NotAsked, match="https://"):
            await exchanges.send(Exchange(url, "POST", body=b"secret"))
    await exchanges.aclose()


async def test_an_answer_that_breaks_off_is_none(inside: Inside) -> None:
    exchanges = GuardedExchanges(Egress(Reach.of(["127.0.0.0/8"])))
    with pytest.raises(NotAnswered):
        await exchanges.send(Exchange(f"http://127.0.0.1:{inside.port}/", "POST", body=b"code"))
    assert inside.visits == 1
    await exchanges.aclose()
