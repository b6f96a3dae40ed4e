"""Where users come back to: what the operator says, else where the server listens."""

from typing import Any

import pytest

from antiphon.config.load import load_mapping
from antiphon.config.settings import ConfigError
from antiphon.integrations import make_front

CALLBACK = "/v1/connectors/oauth/callback"


@pytest.mark.parametrize(
    ("settings", "callback"),
    [
        ({}, "http://127.0.0.1:8321"),
        ({"server": {"port": 9000}}, "http://127.0.0.1:9000"),
        ({"server": {"host": "::1"}}, "http://[::1]:8321"),
        ({"server": {"tls_certfile": "c.pem", "tls_keyfile": "k.pem"}}, "https://127.0.0.1:8321"),
        ({"mcp": {"public_url": "https://agents.example.com/"}}, "https://agents.example.com"),
        ({"mcp": {"public_url": "https://example.com/agents"}}, "https://example.com/agents"),
    ],
)
def test_users_come_back_to_where_browsers_reach_the_server(settings: dict[str, Any], callback: str) -> None:
    front = make_front(load_mapping(settings, environ={}))
    assert front.callback == callback + CALLBACK


def test_a_server_on_every_address_is_reached_by_name() -> None:
    key = {"name": "a", "hash": "sha256:" + "0" * 64}
    settings = load_mapping({"server": {"host": "0.0.0.0", "auth": {"keys": [key]}}}, environ={})
    assert make_front(settings).url == "http://localhost:8321"
    assert make_front(settings).application_type == "native"


def test_a_server_that_listens_nowhere_has_no_address() -> None:
    assert make_front(load_mapping({"server": {"port": 0}}, environ={})).url == ""


@pytest.mark.parametrize(
    "url",
    [
        "agents.example.com",
        "ftp://x.example",
        "https://u:p@x.example",
        "https://x.example?a=b",
        "https://x.example/#a",
    ],
)
def test_an_address_that_is_none_is_refused_at_start(url: str) -> None:
    with pytest.raises(ConfigError, match=r"mcp\.public_url"):
        make_front(load_mapping({"mcp": {"public_url": url}}, environ={}))
