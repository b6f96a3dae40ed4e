"""The list `connectors` of a configuration, and what a Llama Stack file's MCP servers become."""

from pathlib import Path

import pytest

from antiphon.cli.check import check
from antiphon.config.load import ConfigError, Settings, load
from antiphon.integrations import check_connectors

CANARY = "canary-61b0"
GOOD = f"""\
version: 2
connectors:
- connector_id: tickets
  url: https://mcp.example.com/mcp?token={CANARY}
  server_label: The desk
  description: Tickets.
  headers: {{x-key: "${{env.TICKETS_KEY:={CANARY}}}"}}
- connector_id: files
  transport: stdio
  command: [file-server, --token, {CANARY}]
  env: {{TOKEN: {CANARY}}}
  cwd: /srv
  tenants: [acme, other]
- connector_id: ${{env.EXTRA_URL:+extra}}
  url: ${{env.EXTRA_URL:=}}
- connector_id: connector_gmail
  url: http://10.0.0.3/mcp
  oauth: {{client_id: us, client_secret: {CANARY}, scopes: [read], issuer: "https://login.example.com"}}
"""


def read(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "antiphon.yaml").write_text(text)
    settings = load("antiphon.yaml", cwd=folder, environ=environ)
    check_connectors(settings)
    return settings


def test_a_list_is_read_as_it_is_meant(tmp_path: Path) -> None:
    tickets, files, gmail = read(tmp_path, GOOD, TICKETS_KEY="from outside").connectors
    assert (tickets.connector_id, tickets.server_label, tickets.transport) == ("tickets", "The desk", "auto")
    assert tickets.headers == {"x-key": "from outside"}
    assert files.command == ("file-server", "--token", CANARY)
    assert (files.env, files.cwd, files.tenants) == ({"TOKEN": CANARY}, "/srv", ("acme", "other"))
    assert gmail.oauth is not None
    assert (gmail.oauth.scopes, gmail.oauth.issuer) == (("read",), "https://login.example.com")
    switched_on = read(tmp_path, GOOD, EXTRA_URL="https://x.example/mcp").connectors
    assert [one.connector_id for one in switched_on] == ["tickets", "files", "extra", "connector_gmail"]


def test_check_explains_each_line_and_shows_no_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "antiphon.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    assert check("antiphon.yaml") == 0
    text = capsys.readouterr().out
    assert check("antiphon.yaml", as_json=True) == 0
    document = capsys.readouterr().out
    assert CANARY not in text + document
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "connector tickets at https://mcp.example.com/mcp",
        "connector files = file-server, for acme, other",
        "connector connector_gmail at http://10.0.0.3/mcp, users authorise it",
        "4 taken connectors.tickets.url https://mcp.example.com/mcp?***",
        "7 taken connectors.tickets.headers.x-key a secret (TICKETS_KEY is not set)",
        "10 taken connectors.files.command.0 file-server",
        "10 taken connectors.files.command.2 a secret",
        "11 taken connectors.files.env.TOKEN a secret",
        "14 off connectors.extra switched off (EXTRA_URL is not set)",
        "18 taken connectors.connector_gmail.oauth.client_secret a secret",
    ):
        assert line in lines, line
    assert '"connector_id": "files"' in document


@pytest.mark.parametrize(
    ("entry", "line", "said"),
    [
        ("{url: https://x.com}", 4, '"connector_id" is missing'),
        ('{connector_id: "a b", url: https://x.com}', 4, "letters, digits, dots, dashes"),
        ("{connector_id: first, url: https://x.com}", 4, "connector first: connector_id is given twice"),
        ("{connector_id: a}", 4, "connector a: url is missing"),
        ("{connector_id: a, url: ftp://x.com}", 4, "url has to begin with https:// or http://"),
        ("{connector_id: a, url: 'https://u:p@x.com'}", 4, "url needs a host"),
        ("{connector_id: a, command: [x]}", 4, "transport has to be stdio"),
        ("{connector_id: a, transport: stdio}", 4, "command is missing"),
        ("{connector_id: a, transport: stdio, command: ['']}", 4, "command is missing"),
        ("{connector_id: a, transport: stdio, command: [x], url: https://x.com}", 4, "url belongs to"),
        (f"{{connector_id: a, transport: stdio, command: [x], authorization: {CANARY}}}", 4, "authorization"),
        ("{connector_id: a, url: https://x.com, cwd: /}", 4, "cwd belongs to"),
        ("{connector_id: a, url: https://x.com, server_label: '-'}", 4, "server_label expected letters"),
        (f"{{connector_id: a, url: https://x.com, headers: {{Host: {CANARY}}}}}", 4, "headers.Host"),
        (f"{{connector_id: a, url: https://x.com, authorization: '{CANARY} x'}}", 4, "the token alone"),
        (
            f"{{connector_id: a, url: https://x.com, authorization: {CANARY}, headers: {{authorization: x}}}}",
            4,
            "authorization is in `headers` too",
        ),
        (f"{{connector_id: a, url: https://x.com, authorization: {CANARY}, oauth: {{}}}}", 4, "oauth has"),
        (
            f"{{connector_id: a, url: https://x.com, oauth: {{client_secret: {CANARY}}}}}",
            4,
            "`client_secret` belongs to a `client_id`",
        ),
        ("{connector_id: a, url: https://x.com, oauth: {issuer: x}}", 4, "oauth.issuer has to begin"),
        ("{connector_id: a, url: https://x.com, connector_type: api}", 4, "connector_type"),
        ("{connector_id: a, url: https://x.com, urll: x}", 4, 'did you mean "url"?'),
        ("connector_id: a\n  transport: sse\n  url: https://x.com\n  env: {A: b}", 7, "env belongs to"),
        ("connector_id: a\n  url: nowhere", 5, "url has to begin"),
    ],
)
def test_what_is_wrong_is_said_with_its_line_and_no_secret(
    tmp_path: Path, entry: str, line: int, said: str
) -> None:
    text = f"version: 2\nconnectors:\n- {{connector_id: first, url: https://x.com}}\n- {entry}\n"
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert said in caught.value.message
    assert caught.value.line == line
    assert CANARY not in str(caught.value)


LLAMA = f"""\
version: 2
distro_name: starter
providers:
  inference:
  - {{provider_id: scripted, provider_type: "inline::scripted"}}
  tool_runtime:
  - {{provider_id: mcp, provider_type: "remote::model-context-protocol"}}
  - {{provider_id: search, provider_type: "remote::brave-search"}}
connectors:
- connector_type: mcp
  connector_id: github
  url: ${{env.GITHUB_URL:=https://mcp.example.com/mcp}}
  server_label: GitHub
- {{connector_id: "${{env.OTHER:+other}}", url: https://other.example.com}}
registered_resources:
  connectors: []
  tool_groups:
  - {{toolgroup_id: "mcp::my files/all", provider_id: mcp, mcp_endpoint: {{uri: "http://localhost:8000/sse?k={CANARY}"}}}}
  - {{toolgroup_id: "mcp::github", provider_id: mcp, mcp_endpoint: {{uri: "http://localhost:8001/sse"}}}}
  - toolgroup_id: notes
    provider_id: mcp
    mcp_endpoint: {{uri: "http://localhost:8002/mcp"}}
    args: {{timeout: 5}}
  - {{toolgroup_id: "mcp::off", provider_id: "${{env.OFF:+mcp}}", mcp_endpoint: {{uri: "http://localhost:8003"}}}}
  - {{toolgroup_id: "builtin::websearch", provider_id: search}}
"""


def test_a_llama_stack_file_has_its_mcp_servers_as_connectors(tmp_path: Path) -> None:
    settings = read(tmp_path, LLAMA)
    assert [(one.connector_id, one.url) for one in settings.connectors] == [
        ("github", "https://mcp.example.com/mcp"),
        ("my-files-all", f"http://localhost:8000/sse?k={CANARY}"),
        ("notes", "http://localhost:8002/mcp"),
    ]
    assert settings.connectors[0].server_label == "GitHub"
    rows = {row.key: (row.outcome, row.text) for row in settings.mapping}
    groups = "registered_resources.tool_groups"
    assert rows["providers.tool_runtime.mcp"][0] == "changed"
    assert rows["providers.tool_runtime.search"][0] == "left out"
    assert rows["connectors.github"] == (
        "taken",
        "MCP server at https://mcp.example.com/mcp (GITHUB_URL is not set)",
    )
    assert rows["connectors.other"] == ("off", "switched off (OTHER is not set)")
    assert rows["registered_resources.connectors"] == ("ignored", "empty")
    assert rows[f"{groups}.mcp::my files/all"] == (
        "changed",
        'connector "my-files-all", MCP server at http://localhost:8000/sse?***',
    )
    assert rows[f"{groups}.mcp::github"] == ("changed", 'connector "github", which is there already')
    assert rows[f"{groups}.notes"][0] == "changed"
    assert rows[f"{groups}.mcp::off"] == ("off", "switched off (OFF is not set)")
    assert rows[f"{groups}.builtin::websearch"][0] == "left out"
    assert CANARY not in str(rows) + str(settings.notes)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("connector_type: mcp", "connector_type: other", "connector_type"),
        ("connector_id: github", "connector_id: git/hub", "connector_id"),
        ("https://mcp.example.com/mcp", "nowhere", "url has to begin"),
        ("server_label: GitHub", "label: GitHub", 'unknown key "label"'),
        ("http://localhost:8002/mcp", "nowhere", "connector notes: url has to begin"),
    ],
)
def test_what_is_wrong_with_them_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, LLAMA.replace(old, new))
