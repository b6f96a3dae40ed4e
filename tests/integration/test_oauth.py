"""Users authorise servers, against a real authorisation server: the whole flow, tokens that follow each other, and
every way in which what comes back may be wrong.
"""

import asyncio
import hashlib
from dataclasses import replace

import pytest

from antiphon.oauth.callbacks import CallbackRefused, read_returned
from antiphon.oauth.clients import REGISTRATION_S, Front
from antiphon.oauth.service import FLOW_S, SKEW_S, UserAuthorizations
from antiphon.oauth.tokens import TokenDenied
from antiphon.ports.mcp import McpFailure, McpRefused, McpUnreachable
from tests.integration.oauth_world import (
    ALICE,
    BOB,
    EVE,
    World,
    asked_in,
    authorizations,
    authorize,
    back_from,
    case,
    connector_to,
    oauth_servers,
    token_of,
    visited,
    world,
)
from tests.support.oauth_server import OAuthCase, OAuthServers

__all__ = ["authorizations", "case", "oauth_servers", "world"]


async def test_a_user_authorises_and_the_token_is_theirs(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    connector = connector_to(case)
    assert await authorizations.headers(ALICE, connector) is None
    done = await authorize(authorizations, ALICE, connector)
    assert (done.connector_id, done.subject) == ("notes", "alice")
    token = await token_of(authorizations, ALICE, connector)
    assert token is not None
    assert case.subjects() == {token: "alice"}
    (asked,) = case.asked("authorize")
    assert asked["resource"] == case.mcp
    assert asked["code_challenge_method"] == "S256"
    assert asked["scope"] == "notes:read notes:write"
    (form,) = case.asked("token")
    assert form["resource"] == case.mcp
    assert len(form["code_verifier"]) >= 43
    assert not [
        one
        for one in case.seen
        if one.endpoint in {"resource", "metadata"} and "authorization" in one.headers
    ]


async def test_two_users_at_once_never_get_each_others_token(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    connector = connector_to(case)
    first = await authorizations.begin(ALICE, connector)
    second = await authorizations.begin(BOB, connector)
    back = await asyncio.gather(back_from(second, "bob"), back_from(first, "alice"))
    await asyncio.gather(*(authorizations.finish(one) for one in back))
    for owner in (ALICE, BOB):
        token = await token_of(authorizations, owner, connector)
        assert token is not None
        assert case.subjects()[token] == owner.subject
    assert len(case.clients) == 1
    assert await authorizations.headers(EVE, connector) is None


async def test_another_tenant_registers_for_itself_and_has_tokens_of_its_own(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    await authorize(authorizations, EVE, connector)
    assert len(case.clients) == 2
    mine, theirs = [await token_of(authorizations, owner, connector) for owner in (ALICE, EVE)]
    assert mine != theirs
    assert await authorizations.discard(EVE, connector)
    assert not await authorizations.discard(EVE, connector)
    assert await token_of(authorizations, ALICE, connector) == mine


async def test_many_users_interleaved(authorizations: UserAuthorizations, case: OAuthCase) -> None:
    connector = connector_to(case)
    owners = [replace(ALICE, subject=f"user{number}") for number in range(20)]
    await asyncio.gather(*(authorize(authorizations, owner, connector) for owner in owners))
    for owner in owners:
        assert case.subjects()[await token_of(authorizations, owner, connector) or ""] == owner.subject
    assert len(case.clients) == 1, "registered once, however many began at once"


async def test_a_connector_that_leads_elsewhere_has_no_tokens_of_where_it_led(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    moved = replace(connector, server=replace(connector.server, url=f"{case.mcp}/elsewhere"))
    assert await authorizations.headers(ALICE, moved) is None
    assert await authorizations.headers(ALICE, replace(connector, id="other")) is None


async def test_forgetting_a_connector_takes_everybodys_tokens_and_ends_what_was_begun(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    connector = connector_to(case)
    for owner in (ALICE, BOB, EVE):
        await authorize(authorizations, owner, connector)
    open_link = await authorizations.begin(ALICE, connector)
    assert await authorizations.forget("acme", connector) == 2
    assert await authorizations.headers(ALICE, connector) is None
    assert await authorizations.headers(EVE, connector) is not None
    with pytest.raises(CallbackRefused):
        await authorizations.finish(await back_from(open_link))


async def test_what_a_user_takes_back_is_taken_back_at_the_server_too(case: OAuthCase, world: World) -> None:
    authorizations, connector = world.authorizations(), connector_to(case)
    await authorize(authorizations, ALICE, connector)
    await authorize(authorizations, BOB, connector)
    assert await authorizations.discard(ALICE, connector)
    await authorizations.aclose()
    assert set(case.subjects().values()) == {"bob"}
    assert [one["token_type_hint"] for one in case.asked("revoke")] == ["refresh_token"]


@pytest.mark.parametrize(
    "how", [{"status": 500}, {"status": 400}, {"status": 302, "headers": {"location": "/x"}}]
)
async def test_a_server_that_does_not_take_back_changes_nothing_here(
    case: OAuthCase, world: World, how: dict[str, object]
) -> None:
    authorizations, connector = world.authorizations(), connector_to(case)
    await authorize(authorizations, ALICE, connector)
    case.twist("revoke", **how)
    assert await authorizations.discard(ALICE, connector)
    assert await authorizations.headers(ALICE, connector) is None
    await authorizations.aclose()
    assert len(case.asked("revoke")) == 1


async def test_a_server_without_a_place_for_it_is_told_nothing(case: OAuthCase, world: World) -> None:
    case.twist("metadata", document={"revocation_endpoint": None})
    authorizations, connector = world.authorizations(), connector_to(case)
    await authorize(authorizations, ALICE, connector)
    assert await authorizations.discard(ALICE, connector)
    await authorizations.aclose()
    assert not case.asked("revoke")


# --- scopes and clients ----------------------------------------------------------------------------------------
async def test_scopes_are_those_of_the_challenge_then_of_the_connector_then_of_the_metadata(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    plain, chosen = connector_to(case), connector_to(case, scopes=("notes:read",))
    assert asked_in(await authorizations.begin(ALICE, plain))["scope"] == "notes:read notes:write"
    assert asked_in(await authorizations.begin(ALICE, chosen))["scope"] == "notes:read"
    assert asked_in(await authorizations.begin(ALICE, chosen, 'Bearer scope="x y"'))["scope"] == "x y"
    case.twist("resource", document={"scopes_supported": None})
    assert "scope" not in asked_in(await authorizations.begin(ALICE, plain))


async def test_more_scopes_are_asked_for_with_those_that_were_given(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    connector = connector_to(case, scopes=("notes:read",))
    await authorize(authorizations, ALICE, connector)
    more = await authorizations.begin(
        ALICE, connector, 'Bearer error="insufficient_scope", scope="notes:write"'
    )
    assert asked_in(more)["scope"] == "notes:read notes:write"


async def test_access_without_the_user_is_asked_for_where_it_is_offered(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    case.twist("metadata", document={"scopes_supported": ["openid", "offline_access"]})
    asked = asked_in(await authorizations.begin(ALICE, connector_to(case)))
    assert asked["scope"] == "notes:read notes:write offline_access"
    assert asked["prompt"] == "consent"


@pytest.mark.parametrize("auth", ["client_secret_basic", "client_secret_post", "none"])
async def test_a_registration_shows_who_it_is_as_the_server_takes_it(
    authorizations: UserAuthorizations, case: OAuthCase, auth: str
) -> None:
    case.twist("metadata", document={"token_endpoint_auth_methods_supported": [auth]})
    await authorize(authorizations, ALICE, connector_to(case))
    (client,) = case.clients.values()
    assert client["token_endpoint_auth_method"] == auth
    assert client["redirect_uris"] == ["http://127.0.0.1:8321/v1/connectors/oauth/callback"]
    assert client["application_type"] == "native"
    assert client["grant_types"] == ["authorization_code", "refresh_token"]


@pytest.mark.parametrize("secret", ["", "a secret: with / odd % characters é"])
async def test_an_operators_client_is_used_as_it_is(
    authorizations: UserAuthorizations, case: OAuthCase, secret: str, world: World
) -> None:
    case.register("operators/own", secret, world.front.callback)
    connector = connector_to(case, client_id="operators/own", client_secret=secret)
    await authorize(authorizations, ALICE, connector)
    world.clock.at += 3600
    assert await token_of(authorizations, ALICE, connector)
    assert len(case.asked("token")) == 2
    assert not case.asked("register")


async def test_a_secret_of_the_operator_that_changed_is_used_for_the_next_token(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    case.register("own", "old", world.front.callback)
    await authorize(authorizations, ALICE, connector_to(case, client_id="own", client_secret="old"))
    case.register("own", "new", world.front.callback)
    world.clock.at += 3600
    assert await token_of(authorizations, ALICE, connector_to(case, client_id="own", client_secret="new"))


async def test_a_client_of_the_operator_is_never_shown_to_another_authorisation_server(
    authorizations: UserAuthorizations, oauth_servers: OAuthServers, case: OAuthCase, world: World
) -> None:
    evil = oauth_servers.case()
    case.register("own", "secret-of-the-operator", world.front.callback)
    connector = connector_to(case, client_id="own", client_secret="secret-of-the-operator")
    await authorize(authorizations, ALICE, connector)
    case.twist("resource", document={"authorization_servers": [evil.issuer]})
    with pytest.raises(McpRefused, match="names another authorisation server"):
        await authorizations.begin(ALICE, connector)
    stays = connector_to(case, client_id="own", client_secret="secret-of-the-operator", issuer=case.issuer)
    await authorize(authorizations, ALICE, stays)
    assert not evil.asked("token")


async def test_a_server_that_moves_to_another_authorisation_server_has_us_register_there(
    authorizations: UserAuthorizations, oauth_servers: OAuthServers, case: OAuthCase
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    other = oauth_servers.case()
    case.twist("resource", document={"authorization_servers": [other.issuer]})
    link = await authorizations.begin(ALICE, connector)
    assert link.url.startswith(f"{other.issuer}/authorize?")
    assert len(other.clients) == 1


async def test_a_server_that_registers_nobody_names_what_the_operator_has_to_do(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    case.twist("metadata", document={"registration_endpoint": None})
    with pytest.raises(McpFailure, match=r"http://127\.0\.0\.1:8321/v1/connectors/oauth/callback"):
        await authorizations.begin(ALICE, connector_to(case))


@pytest.mark.parametrize(
    "how",
    [
        {"status": 400, "body": b'{"error": "invalid_redirect_uri", "error_description": "canary"}'},
        {"status": 403, "body": b"<html>canary"},
        {"body": b'{"client_id": ""}'},
        {"body": b'{"client_id": "a", "token_endpoint_auth_method": "client_secret_basic"}'},
        {
            "body": b'{"client_id": "a", "client_secret": "canary", "token_endpoint_auth_method": "private_key_jwt"}'
        },
        {"body": b'{"client_id": 7}'},
        {"status": 302, "headers": {"location": "http://169.254.169.254/"}},
    ],
)
async def test_a_registration_of_no_use_is_found_out_at_once(
    authorizations: UserAuthorizations, case: OAuthCase, how: dict[str, object]
) -> None:
    case.twist("register", **how)
    with pytest.raises(McpFailure) as failed:
        await authorizations.begin(ALICE, connector_to(case))
    assert "canary" not in failed.value.message
    assert "registration" in failed.value.message
    del case.twists["register"]
    await authorize(authorizations, ALICE, connector_to(case))  # and nothing of it was kept


async def test_a_registration_whose_secret_has_ended_is_made_anew(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    case.twist("register", document={"client_secret_expires_at": world.clock.at + 100})
    await authorizations.begin(ALICE, connector_to(case))
    await authorizations.begin(ALICE, connector_to(case))
    assert len(case.clients) == 1
    world.clock.at += 100
    await authorizations.begin(ALICE, connector_to(case))
    assert len(case.clients) == 2


async def test_a_registration_is_not_used_for_ever(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    world.clock.at += REGISTRATION_S
    assert await token_of(authorizations, ALICE, connector)
    assert len(case.clients) == 1
    await authorize(authorizations, BOB, connector)
    assert len(case.clients) == 2
    world.clock.at += 3600
    assert await token_of(authorizations, ALICE, connector), "with the client that it was got with"


async def test_a_registration_that_the_server_has_forgotten_is_made_anew(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    case.clients.clear()
    world.clock.at += 3600
    assert await authorizations.headers(ALICE, connector) is None
    await authorize(authorizations, ALICE, connector)
    assert await token_of(authorizations, ALICE, connector)
    assert len(case.asked("register")) == 2


async def test_a_document_of_ours_is_the_client_where_the_server_reads_such(
    case: OAuthCase, world: World
) -> None:
    world.front = Front("https://agents.example.com", "agents.example.com")
    authorizations = world.authorizations()
    case.twist("metadata", document={"client_id_metadata_document_supported": True})
    metadata = world.front.metadata()
    case.clients[metadata["client_id"]] = metadata  # as the server would find it there
    await authorize(authorizations, ALICE, connector_to(case))
    assert not case.asked("register")
    (form,) = case.asked("token")
    assert form["client_id"] == "https://agents.example.com/v1/connectors/oauth/client.json"
    await authorizations.aclose()


# --- tokens that follow each other -----------------------------------------------------------------------------
async def test_a_token_is_refreshed_before_it_ends_and_its_successor_replaces_it(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    first = await token_of(authorizations, ALICE, connector)
    world.clock.at += 3600 - SKEW_S - 1
    assert await token_of(authorizations, ALICE, connector) == first
    for _ in range(3):
        world.clock.at += 3600
        token = await token_of(authorizations, ALICE, connector)
        assert token not in {None, first}
        assert await token_of(authorizations, ALICE, connector) == token
    forms = [form for form in case.asked("token") if form["grant_type"] == "refresh_token"]
    assert len(forms) == 3
    assert len({form["refresh_token"] for form in forms}) == 3
    assert all(form["resource"] == case.mcp for form in forms)


async def test_many_that_need_the_token_at_once_refresh_it_once(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    await authorize(authorizations, BOB, connector)
    world.clock.at += 3600
    found = await asyncio.gather(
        *(token_of(authorizations, owner, connector) for owner in (ALICE, BOB) for _ in range(25))
    )
    assert len(set(found[:25])) == 1
    assert len(set(found[25:])) == 1
    assert len([form for form in case.asked("token") if form["grant_type"] == "refresh_token"]) == 2


async def test_a_refresh_that_fails_fails_once_for_all_who_wait(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    world.clock.at += 3600
    case.twist("token", status=503)
    waiting = (authorizations.headers(ALICE, connector) for _ in range(20))
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, McpUnreachable) for one in failures)
    assert len(case.asked("token")) == 2


async def test_a_thousand_requests_of_two_users_through_ten_refreshes_never_cross(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    users = (ALICE, BOB)
    for owner in users:
        await authorize(authorizations, owner, connector)
    for _ in range(10):
        world.clock.at += 3600
        turns = [owner for _ in range(50) for owner in users]
        found = await asyncio.gather(*(token_of(authorizations, owner, connector) for owner in turns))
        whose = case.subjects()
        assert [whose[token or ""] for token in found] == [owner.subject for owner in turns]
    assert len(case.asked("token")) == 2 + 2 * 10


async def test_a_refresh_goes_on_when_whoever_waited_for_it_left(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    world.clock.at += 3600
    held = case.hold("token")
    leaving = asyncio.create_task(authorizations.headers(ALICE, connector))
    await asyncio.to_thread(case.wait_for, "token", 2)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    case.release(held)
    token = await token_of(authorizations, ALICE, connector)
    assert token in case.access
    assert len(case.asked("token")) == 2


async def test_another_process_that_was_faster_is_no_reason_to_ask_the_user(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    """Both begin to refresh; the second one's refresh token is spent when it arrives, and the new token is there."""
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    world.clock.at += 3600
    other = world.authorizations()
    held = case.hold("token")
    slow = asyncio.create_task(token_of(authorizations, ALICE, connector))
    await asyncio.to_thread(case.wait_for, "token", 2)
    del case.twists["token"]
    fresh = await token_of(other, ALICE, connector)
    case.spent.clear()  # this server does not end the family, and says invalid_grant all the same
    case.release(held)
    assert await slow == fresh
    assert await token_of(authorizations, ALICE, connector) == fresh
    await other.aclose()


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "unauthorized_client"])
async def test_a_refresh_token_that_holds_no_more_makes_the_user_be_asked(
    authorizations: UserAuthorizations, case: OAuthCase, world: World, error: str
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    world.clock.at += 3600
    case.twist("token", status=400, body=b'{"error": "%b"}' % error.encode())
    assert await authorizations.headers(ALICE, connector) is None
    assert await authorizations.headers(ALICE, connector) is None
    assert len(case.asked("token")) == 2
    del case.twists["token"]
    await authorize(authorizations, ALICE, connector)
    assert await token_of(authorizations, ALICE, connector)


@pytest.mark.parametrize(
    "how",
    [
        {"status": 503},
        {"status": 429},
        {"status": 500, "body": b'{"error": "invalid_grant"}'},
        {"status": 403, "body": b"<html>"},
        {"body": b"<html>"},
        {"body": b"{}"},
        {"status": 302, "headers": {"location": "http://127.0.0.1:1/"}},
        {"body": b'{"access_token": "a\\r\\nx: y", "token_type": "Bearer"}'},
        {"body": b'{"access_token": "a", "token_type": "mac"}'},
        {"body": b'{"access_token": "a", "token_type": "Bearer", "refresh_token": "\\u0000"}'},
        {"body": b'{"access_token": "", "token_type": "Bearer"}'},
        {"body": b" " * 300_000},
    ],
)
async def test_a_failure_that_may_pass_keeps_the_token(
    authorizations: UserAuthorizations, case: OAuthCase, world: World, how: dict[str, object]
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    first = await token_of(authorizations, ALICE, connector)
    case.twist("token", **how)
    world.clock.at += 3600 - 1
    assert await token_of(authorizations, ALICE, connector) == first, "it holds for a second yet"
    world.clock.at += 1
    with pytest.raises(McpFailure) as failed:
        await authorizations.headers(ALICE, connector)
    assert "token" in failed.value.message
    assert "invalid_grant" not in failed.value.message
    del case.twists["token"]
    assert await token_of(authorizations, ALICE, connector) not in {None, first}


async def test_a_token_without_a_successor_ends_when_it_says(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    case.refreshes = False
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    world.clock.at += 3599
    assert await token_of(authorizations, ALICE, connector)
    world.clock.at += 1
    assert await authorizations.headers(ALICE, connector) is None
    assert len(case.asked("token")) == 1


async def test_a_refresh_token_that_is_not_replaced_is_used_again(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    case.twist("token", document={"refresh_token": None})
    world.clock.at += 3600
    assert await token_of(authorizations, ALICE, connector)
    case.refresh |= {token: next(iter(case.access.values())) for token in case.spent}
    case.spent.clear()
    world.clock.at += 3600
    assert await token_of(authorizations, ALICE, connector)
    used = [form["refresh_token"] for form in case.asked("token") if form["grant_type"] == "refresh_token"]
    assert len(used) == 2
    assert len(set(used)) == 1


async def test_a_token_that_the_server_refuses_is_refreshed_and_a_newer_one_left_alone(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    case.expires_in = None
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    refused = await authorizations.headers(ALICE, connector)
    assert refused is not None
    renewed = await asyncio.gather(*(authorizations.renew(ALICE, connector, refused) for _ in range(5)))
    assert len({str(one) for one in renewed}) == 1
    assert renewed[0] not in (None, refused)
    assert len(case.asked("token")) == 2
    case.refresh.clear()
    assert await authorizations.renew(ALICE, connector, renewed[0] or {}) is None
    assert await authorizations.headers(ALICE, connector) is None
    assert await authorizations.renew(ALICE, connector, refused) is None


# --- what comes back -------------------------------------------------------------------------------------------
async def test_an_answer_is_taken_once(authorizations: UserAuthorizations, case: OAuthCase) -> None:
    connector = connector_to(case)
    returned = await back_from(await authorizations.begin(ALICE, connector))
    results = await asyncio.gather(
        *(authorizations.finish(returned) for _ in range(5)), return_exceptions=True
    )
    assert len([one for one in results if isinstance(one, CallbackRefused)]) == 4
    assert len(case.asked("token")) == 1


async def test_a_state_that_was_not_made_here_is_refused(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    connector = connector_to(case)
    link = await authorizations.begin(ALICE, connector)
    returned = await back_from(link)
    with pytest.raises(CallbackRefused, match="not valid any more"):
        await authorizations.finish(replace(returned, state="A" * 43))
    assert not case.asked("token")
    await authorizations.finish(returned)


async def test_a_flow_expires(authorizations: UserAuthorizations, case: OAuthCase, world: World) -> None:
    connector = connector_to(case)
    link = await authorizations.begin(ALICE, connector)
    assert link.expires_at == world.clock.at + FLOW_S
    returned = await back_from(link)
    world.clock.at += FLOW_S
    with pytest.raises(CallbackRefused, match="not valid any more"):
        await authorizations.finish(returned)
    assert not case.asked("token")


@pytest.mark.parametrize("iss", ["https://evil.example", "", None])
async def test_a_mixed_up_answer_is_not_used(
    authorizations: UserAuthorizations, case: OAuthCase, iss: str | None
) -> None:
    case.twist("authorize", document={"iss": iss})
    connector = connector_to(case)
    returned = await back_from(await authorizations.begin(ALICE, connector))
    with pytest.raises(CallbackRefused, match="not from the authorisation server that was asked"):
        await authorizations.finish(returned)
    assert not case.asked("token")
    assert await authorizations.headers(ALICE, connector) is None


async def test_a_code_of_another_server_never_reaches_the_one_that_was_asked(
    authorizations: UserAuthorizations, oauth_servers: OAuthServers, case: OAuthCase
) -> None:
    """The mix-up attack: the attacker's server sends the user on to an honest one, with the state of its own flow."""
    evil = oauth_servers.case()
    evil.sends_issuer = False
    honest_link = await authorizations.begin(ALICE, connector_to(case, id="honest"))
    evil_link = await authorizations.begin(ALICE, connector_to(evil, id="evil"))
    sent_on = replace(
        honest_link,
        url=honest_link.url.replace(asked_in(honest_link)["state"], asked_in(evil_link)["state"]),
    )
    with pytest.raises(CallbackRefused):
        await authorizations.finish(await back_from(sent_on))
    assert not evil.asked("token")


@pytest.mark.parametrize("error", ["access_denied", "server_error", "<script>alert(1)</script>"])
async def test_an_error_of_the_server_is_told_in_our_words(
    authorizations: UserAuthorizations, case: OAuthCase, error: str
) -> None:
    case.deny = error
    returned = await back_from(await authorizations.begin(ALICE, connector_to(case)))
    with pytest.raises(CallbackRefused, match="says no") as refused:
        await authorizations.finish(returned)
    assert "script" not in refused.value.message


async def test_a_code_that_the_server_takes_not_gives_no_token(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    connector = connector_to(case)
    returned = await back_from(await authorizations.begin(ALICE, connector))
    case.codes.clear()
    with pytest.raises(TokenDenied, match="invalid_grant") as denied:
        await authorizations.finish(returned)
    assert "canary" not in denied.value.message
    assert await authorizations.headers(ALICE, connector) is None


async def test_a_token_for_another_scope_is_kept_with_that(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    case.twist("token", document={"scope": "notes:read"})
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    more = await authorizations.begin(ALICE, connector, 'Bearer error="insufficient_scope", scope="z"')
    assert asked_in(more)["scope"] == "notes:read z"


async def test_the_state_is_kept_as_a_digest_and_everything_else_sealed(case: OAuthCase) -> None:
    from antiphon.testing import MemoryStore

    records = MemoryStore().mcp
    authorizations = World(records).authorizations()
    link = await authorizations.begin(ALICE, connector_to(case))
    state = asked_in(link)["state"]
    taken = await records.take_flow(hashlib.sha256(state.encode()).hexdigest(), 0)
    assert taken is not None
    owner, flow = taken
    assert owner == ALICE
    assert not [part for part in (state, case.issuer, "notes") if part in flow.sealed]
    await authorizations.aclose()


async def test_a_row_that_was_moved_to_another_user_opens_for_nobody(
    authorizations: UserAuthorizations, case: OAuthCase, world: World
) -> None:
    connector = connector_to(case)
    await authorize(authorizations, ALICE, connector)
    from antiphon.oauth.kept import token_key

    stored = await world.records.get_token(ALICE, token_key(connector))
    assert stored is not None
    await world.records.put_token(BOB, stored)
    await world.records.put_token(EVE, stored)
    assert await authorizations.headers(BOB, connector) is None
    assert await authorizations.headers(EVE, connector) is None


async def test_tokens_whose_key_is_gone_are_asked_for_anew(case: OAuthCase, world: World) -> None:
    authorizations, connector = world.authorizations(), connector_to(case)
    await authorize(authorizations, ALICE, connector)
    world.key = bytes(32)
    other = world.authorizations()
    assert await other.headers(ALICE, connector) is None
    await authorize(other, ALICE, connector)
    assert await token_of(other, ALICE, connector)
    for one in (authorizations, other):
        await one.aclose()


async def test_nothing_begins_where_nobody_could_come_back(case: OAuthCase, world: World) -> None:
    world.front = Front("", "")
    authorizations = world.authorizations()
    with pytest.raises(McpRefused, match="public_url"):
        await authorizations.begin(ALICE, connector_to(case))
    await authorizations.aclose()
    assert not case.seen


async def test_a_link_keeps_what_the_endpoint_has_of_its_own(
    authorizations: UserAuthorizations, case: OAuthCase
) -> None:
    endpoint = f"{case.issuer}/authorize?tenant=7"
    case.twist("metadata", document={"authorization_endpoint": endpoint})
    link = await authorizations.begin(ALICE, connector_to(case))
    assert link.url.startswith(f"{endpoint}&response_type=code&")
    assert read_returned(await visited(link)).code


async def test_a_server_that_hangs_is_given_up(case: OAuthCase, world: World) -> None:
    world.egress = replace(world.egress, timeout_s=0.2)
    authorizations = world.authorizations()
    held = case.hold("metadata")
    with pytest.raises(McpUnreachable, match="did not answer whole"):
        await authorizations.begin(ALICE, connector_to(case))
    case.release(held)
    await authorizations.aclose()
