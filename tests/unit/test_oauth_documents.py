"""What servers say of who authorises for them: challenges, places of metadata, tokens. Any of it may be hostile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.fetching.exchanges import GuardedExchanges
from antiphon.fetching.urls import Egress
from antiphon.oauth.callbacks import CallbackRefused, Returned, check_returned, read_returned
from antiphon.oauth.challenges import MAX_LENGTH, Challenge, read_challenge, scopes_of, usable_scopes
from antiphon.oauth.clients import Front, configured, shown
from antiphon.oauth.discovery import canonical, resource_urls, same_issuer, server_urls
from antiphon.oauth.documents import (
    Denied,
    Granted,
    Registered,
    ServerMetadata,
    Unreadable,
    decoded,
    error_code,
)
from antiphon.oauth.kept import Client, Flow, Pin, Token
from antiphon.oauth.page import page
from antiphon.oauth.tokens import lifetime
from antiphon.ports.exchanges import Answer, NotAsked, WebAddress
from antiphon.ports.mcp import McpFailure

METADATA = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"


def address(url: str) -> WebAddress:
    return GuardedExchanges(Egress()).read(url)


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (f'Bearer resource_metadata="{METADATA}"', Challenge(METADATA)),
        (f'bearer  RESOURCE_METADATA = "{METADATA}"', Challenge(METADATA)),
        (
            f'Bearer realm="a, b", resource_metadata="{METADATA}", scope="a b"',
            Challenge(METADATA, ("a", "b")),
        ),
        (f"Bearer resource_metadata={METADATA}", Challenge(METADATA)),
        (
            'Bearer error="insufficient_scope", scope="files:write"',
            Challenge("", ("files:write",), "insufficient_scope"),
        ),
        ('Basic realm="x", Bearer scope="a"', Challenge("", ("a",))),
        ('Bearer scope="a", Basic scope="b"', Challenge("", ("a",))),
        ('Negotiate YWJj==, Bearer scope="a"', Challenge("", ("a",))),
        ('Basic resource_metadata="https://evil.example/"', Challenge()),
        ('Bearer scope="first", scope="second"', Challenge("", ("first",))),
        (r'Bearer error="a \"b\" c", scope="d"', Challenge("", ("d",), 'a "b" c')),
        ("Bearer", Challenge()),
        ("", Challenge()),
        ('Bearer scope="never closed', Challenge()),
        ('Bearer scope="a  a b"', Challenge("", ("a", "b"))),
        ('Bearer scope="a\\"b"', Challenge()),
        ('Bearer scope="é"', Challenge()),
        ("Bearer scope=", Challenge()),
        (", , ,,Bearer ,, scope=a,,", Challenge("", ("a",))),
        ("Bearer " + "x" * 100_000, Challenge()),
    ],
)
def test_a_challenge_is_read_as_the_standard_writes_it(header: str, challenge: Challenge) -> None:
    assert read_challenge(header) == challenge


@given(st.text(alphabet='Bearscop=", \\\t\x00é', max_size=200))
def test_no_header_breaks_the_reader(header: str) -> None:
    found = read_challenge(header)
    assert all(" " not in scope for scope in found.scopes)


@pytest.mark.parametrize("piece", ['a="', "a=", ",", " ", "=", "\\", '"', 'a="b\\', "a "])
def test_a_long_hostile_header_is_read_up_to_a_limit(piece: str) -> None:
    found = read_challenge(piece * 50_000 + 'Bearer scope="late"')
    assert not found.scopes
    assert MAX_LENGTH < 50_000


def test_scopes_that_break_the_rules_are_none() -> None:
    assert scopes_of("a b a") == ["a", "b"]
    assert usable_scopes(["a b"]) == []
    assert usable_scopes(["x" * 257]) == []
    assert usable_scopes([str(number) for number in range(65)]) == []


@pytest.mark.parametrize(
    ("server", "urls"),
    [
        ("https://a.example/mcp", ["https://a.example/.well-known/oauth-protected-resource/mcp"]),
        ("https://a.example/x/mcp?k=v", ["https://a.example/.well-known/oauth-protected-resource/x/mcp"]),
        ("https://A.example:443/", []),
    ],
)
def test_resource_metadata_is_looked_for_at_the_path_and_then_at_the_root(
    server: str, urls: list[str]
) -> None:
    root = "https://a.example/.well-known/oauth-protected-resource"
    assert resource_urls(address(server), Challenge()) == [*urls, root]
    assert resource_urls(address(server), Challenge(METADATA)) == [METADATA, *urls, root]


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        (
            "https://as.example",
            [
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ],
        ),
        (
            "https://as.example:8443/realms/one/",
            [
                "https://as.example:8443/.well-known/oauth-authorization-server/realms/one",
                "https://as.example:8443/.well-known/openid-configuration/realms/one",
                "https://as.example:8443/realms/one/.well-known/openid-configuration",
            ],
        ),
    ],
)
def test_server_metadata_is_looked_for_where_the_specification_says(issuer: str, urls: list[str]) -> None:
    assert server_urls(address(issuer)) == urls


def test_an_issuer_is_compared_as_text_but_for_the_slash_of_a_root() -> None:
    root, deep = address("https://as.example"), address("https://as.example/a")
    assert same_issuer("https://as.example/", "https://as.example", root)
    assert same_issuer("https://as.example/a", "https://as.example/a", deep)
    assert not same_issuer("https://as.example/a/", "https://as.example/a", deep)
    assert not same_issuer("https://AS.example/a", "https://as.example/a", deep)
    assert not same_issuer("https://as.example.evil.example", "https://as.example", root)


def test_a_server_is_named_without_a_slash_that_means_nothing() -> None:
    assert canonical(address("HTTPS://A.example/")) == "https://a.example"
    assert canonical(address("https://a.example/mcp/?key=secret#top")) == "https://a.example/mcp/"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "https://user@as.example/",
        "https://as.example\\@evil.example/",
        "//as.example",
        "",
    ],
)
def test_what_is_no_plain_address_is_not_read(url: str) -> None:
    with pytest.raises(NotAsked):
        address(url)


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html>canary",
        b"",
        b"[]",
        b'"canary"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"issuer": 7, "x": "canary"}',
        b"{",
    ],
)
def test_what_is_no_metadata_is_refused_without_repeating_it(body: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        decoded(Answer(200, body), ServerMetadata, "the metadata")
    assert refused.value.message.startswith("the metadata cannot be used: ")
    assert "canary" not in refused.value.message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"error": "invalid_grant", "x": 1}', "invalid_grant"),
        (b"nope", ""),
        (b'{"error": 5}', ""),
        (b"[" * 99_999, ""),
    ],
)
def test_the_code_of_an_error_is_read_where_there_is_one(body: bytes, code: str) -> None:
    assert error_code(Answer(400, body)) == code


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (3600, 3600), ("3600", 3600), (59.9, 59), (None, None), (0, None), (-5, None), ("soon", None), ("nan", None),
        ("inf", None), (10**30, 10 * 366 * 86_400), ("1e3", 1000),
    ],
)  # fmt: skip
def test_how_long_a_token_lasts(said: float | str | None, seconds: int | None) -> None:
    assert lifetime(said) == seconds


FLOW = Flow(
    subject="alice",
    server="digest",
    connector_id="notes",
    label="Notes",
    issuer="https://as.example",
    says_issuer=True,
    endpoint="https://as.example/token",
    redirect_uri="https://here.example/callback",
    resource="https://mcp.example.com/mcp",
    client=Client(id="me", secret="canary"),
    client_key="",
    verifier="canary",
)
STATE = "s" * 43


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"state": ["short"]},
        {"state": [STATE, STATE]},
        {"state": [STATE], "code": ["a", "b"]},
        {"state": [STATE], "code": ["x" * 8193]},
        {"state": [STATE[:-1] + "\udcff"]},
        {"state": [""], "code": ["x"]},
        {"code": ["x"]},
    ],
)
def test_a_callback_that_cannot_be_ours_is_refused_before_anything_is_looked_up(
    query: dict[str, list[str]],
) -> None:
    with pytest.raises(CallbackRefused):
        read_returned(query)


def test_parameters_that_are_not_known_are_passed_over() -> None:
    query = {"state": [STATE], "code": ["c"], "session_state": ["a", "b"], "scope": ["x"]}
    assert read_returned(query) == Returned(STATE, "c")


@pytest.mark.parametrize(
    ("returned", "says_issuer", "code"),
    [
        (Returned(STATE, "c", FLOW.issuer), True, "c"),
        (Returned(STATE, "c", FLOW.issuer), False, "c"),
        (Returned(STATE, "c"), False, "c"),
        (Returned(STATE, "c"), True, None),
        (Returned(STATE, "c", "https://as.example/"), False, None),
        (Returned(STATE, "c", "https://evil.example"), True, None),
        (Returned(STATE, "c\n", FLOW.issuer), True, None),
        (Returned(STATE, None, FLOW.issuer), True, None),
        (Returned(STATE, "c", FLOW.issuer, "access_denied"), True, None),
    ],
)
def test_the_answer_has_to_be_from_whom_was_asked(
    returned: Returned, says_issuer: bool, code: str | None
) -> None:
    from msgspec.structs import replace

    flow = replace(FLOW, says_issuer=says_issuer)
    if code is not None:
        assert check_returned(returned, flow) == code
        return
    with pytest.raises(CallbackRefused):
        check_returned(returned, flow)


def test_an_error_of_somebody_else_is_not_even_shown() -> None:
    with pytest.raises(CallbackRefused) as refused:
        check_returned(Returned(STATE, None, "https://evil.example", "access_denied"), FLOW)
    assert refused.value.code == ""
    assert "says no" not in refused.value.message


def test_nothing_on_the_page_is_more_than_text() -> None:
    made = page("<b>Done", 'a <script>alert(1)</script> & "more" \ud800')
    assert b"<script" not in made.body
    assert b"&lt;script&gt;" in made.body
    assert made.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in made.headers["content-security-policy"]
    assert "script-src" not in made.headers["content-security-policy"]


def test_secrets_are_in_no_repr() -> None:
    token = Token(
        subject="a",
        server="b",
        issuer="c",
        endpoint="d",
        resource="e",
        client=FLOW.client,
        access="canary",
        refresh="canary",
    )
    shown_all = [
        FLOW, token, FLOW.client, Pin(issuer="canary"), Granted("canary", "Bearer"), Registered("canary"),
        Returned("canary", "canary"), Answer(200, b"canary"),
    ]  # fmt: skip
    assert not [one for one in shown_all if "canary" in repr(one)]
    assert repr(Denied("x")).startswith("Denied")


def test_a_client_shows_who_it_is_in_the_way_that_the_server_takes() -> None:
    def server(*ways: str) -> ServerMetadata:
        offered = list(ways) if ways else None
        return ServerMetadata("i", "a", "t", token_endpoint_auth_methods_supported=offered)

    assert configured("me", "s", server()).auth == "client_secret_basic"
    assert configured("me", "s", server("none", "client_secret_post")).auth == "client_secret_post"
    assert configured("me", "", server("client_secret_basic")).auth == "none"
    with pytest.raises(McpFailure):
        configured("me", "s", server("private_key_jwt", "tls_client_auth"))
    form, headers = shown(Client(id="a:b", secret="s/é", auth="client_secret_basic"), {"x": "y"})
    assert form == {"x": "y", "client_id": "a:b"}
    assert headers == {"authorization": "Basic YSUzQWI6cyUyRiVDMyVBOQ=="}
    assert shown(Client(id="me", secret="s", auth="client_secret_post"), {}) == (
        {"client_id": "me", "client_secret": "s"},
        {},
    )
    assert shown(Client(id="me"), {}) == ({"client_id": "me"}, {})


def test_a_document_says_who_this_server_is_where_it_has_an_https_address() -> None:
    front = Front("https://agents.example.com", "agents.example.com")
    metadata = front.metadata()
    assert metadata["client_id"] == "https://agents.example.com/v1/connectors/oauth/client.json"
    assert metadata["redirect_uris"] == ["https://agents.example.com/v1/connectors/oauth/callback"]
    assert (metadata["token_endpoint_auth_method"], metadata["application_type"]) == ("none", "web")
    assert Front("http://127.0.0.1:8321", "127.0.0.1").document == ""
    assert Front("https://127.0.0.1:8321", "127.0.0.1").document == ""
    assert Front("http://127.0.0.1:8321", "127.0.0.1").application_type == "native"
