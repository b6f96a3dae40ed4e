"""The list `tool_groups` of a configuration, in our own shape and in Llama Stack's."""

from pathlib import Path

import pytest

from antiphon.cli.check import check
from antiphon.config.load import ConfigError, Settings, load
from antiphon.integrations import check_connectors
from antiphon.tool_groups.setup import check_tool_groups, providers_of

CANARY = "canary-7d20"
GOOD = f"""\
version: 2
providers:
  tool_runtime:
  - {{provider_id: servers, provider_type: "remote::model-context-protocol", config: {{}}}}
  - {{provider_id: "${{env.OFF:+off}}", provider_type: "remote::brave-search"}}
connectors:
- {{connector_id: desk, url: "https://desk.example.com/mcp"}}
tool_groups:
- toolgroup_id: mcp::wiki
  provider_id: servers
  mcp_endpoint: {{uri: "https://wiki.example.com/mcp?token={CANARY}"}}
  args: {{language: en, api_key: {CANARY}}}
- {{toolgroup_id: mcp::desk, provider_id: model-context-protocol, args: {{limit: 5}}}}
- {{toolgroup_id: house, provider_id: rag-runtime, args: {{vector_db_ids: [plans]}}}}
- {{toolgroup_id: "mcp::off", provider_id: "${{env.OFF:+servers}}", mcp_endpoint: {{uri: "http://x"}}}}
"""


def read(folder: Path, text: str, **environ: str) -> Settings:
    (folder / "antiphon.yaml").write_text(text)
    settings = load("antiphon.yaml", cwd=folder, environ=environ)
    check_connectors(settings)
    check_tool_groups(settings)
    return settings


def test_groups_are_read_and_their_servers_are_connectors(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert [(one.toolgroup_id, one.provider_id, one.args) for one in settings.tool_groups] == [
        ("mcp::wiki", "servers", {"language": "en", "api_key": CANARY}),
        ("mcp::desk", "model-context-protocol", {"limit": 5}),
        ("house", "rag-runtime", {"vector_db_ids": ["plans"]}),
    ]
    assert [(one.connector_id, one.url) for one in settings.connectors] == [
        ("desk", "https://desk.example.com/mcp"),
        ("wiki", f"https://wiki.example.com/mcp?token={CANARY}"),
    ]
    assert list(providers_of(settings)) == ["servers", "model-context-protocol", "rag-runtime", "file-search"]


def test_check_explains_groups_and_shows_no_secret(
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
        "tools mcp::wiki by servers",
        "tools house by rag-runtime",
        "connector wiki at https://wiki.example.com/mcp",
        "11 taken tool_groups.mcp::wiki.mcp_endpoint.uri https://wiki.example.com/mcp?***",
        "12 taken tool_groups.mcp::wiki.args.api_key a secret",
        "15 off tool_groups.mcp::off switched off (OFF is not set)",
    ):
        assert line in lines, line
    assert '"mcp::desk"' in document


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{provider_id: servers}", '"toolgroup_id" is missing'),
        ("{toolgroup_id: x}", '"provider_id" is missing'),
        ("{toolgroup_id: house, provider_id: rag-runtime}", "tool group house: toolgroup_id is given twice"),
        ("{toolgroup_id: x, provider_id: serverz}", 'provider_id names no tool runtime: "serverz"; there: '),
        ("{toolgroup_id: x, provider_id: servers}", 'there is no connector "x"'),
        ("{toolgroup_id: x, provider_id: servers, mcp_endpoint: {uri: nowhere}}", "url has to begin"),
        ("{toolgroup_id: x, provider_id: servers, mcp_endpoint: {url: http://x}}", 'unknown key "url"'),
        ("{toolgroup_id: desk, provider_id: servers, mcp_endpoint: {uri: http://x}}", "leads elsewhere"),
        (
            "{toolgroup_id: x, provider_id: rag-runtime, mcp_endpoint: {uri: http://x}}",
            "mcp_endpoint belongs to",
        ),
        (
            "{toolgroup_id: builtin::websearch, provider_id: servers}",
            "is not served: the web is not searched",
        ),
        ("{toolgroup_id: builtin::mine, provider_id: servers}", "begins with builtin::"),
        ("{toolgroup_id: builtin::rag, provider_id: servers}", "has to be one that searches"),
        ("{toolgroup_id: x, provider_id: rag-runtime, args: {top_k: 5}}", "`args.top_k`: unknown field"),
        ("{toolgroup_id: x, provider_id: rag-runtime, args: [1]}", "args: expected a mapping"),
        ("{toolgroup_id: x, provider_id: servers, arg: {}}", 'did you mean "args"?'),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f"{GOOD}- {entry}\n")
    assert said in caught.value.message
    assert caught.value.line == 16
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (
            '{provider_id: search, provider_type: "remote::brave-search"}',
            '"remote::brave-search" is not served',
        ),
        ('{provider_id: a, provider_type: "inline::rag-runtime", config: {x: 1}}', "takes no `config`"),
        ('{provider_id: servers, provider_type: "inline::rag-runtime"}', '"servers" is given twice'),
    ],
)
def test_runtimes_that_cannot_be_had_are_refused_at_their_line(tmp_path: Path, entry: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD.replace("connectors:\n", f"  - {entry}\nconnectors:\n", 1))
    assert said in caught.value.message
    assert caught.value.line == 6


LLAMA = """\
version: 2
image_name: starter
providers:
  inference:
  - {provider_id: scripted, provider_type: "inline::scripted"}
  tool_runtime:
  - {provider_id: brave, provider_type: "remote::brave-search", config: {api_key: x}}
  - {provider_id: rag, provider_type: "inline::rag-runtime"}
  - {provider_id: mcp, provider_type: "remote::model-context-protocol", config: {}}
connectors:
- {connector_id: github, url: "https://github.example.com/mcp"}
tool_groups:
- {toolgroup_id: "builtin::websearch", provider_id: brave}
- {toolgroup_id: "builtin::code_interpreter", provider_id: nobody}
- {toolgroup_id: "builtin::rag", provider_id: rag}
- {toolgroup_id: "mcp::wiki tools", provider_id: mcp, mcp_endpoint: {uri: "https://wiki.example.com/sse"}, args: {a: 1}}
- {toolgroup_id: "mcp::github", provider_id: mcp, mcp_endpoint: {uri: "https://other.example.com"}, args: {b: 2}}
- {toolgroup_id: "mcp::empty", provider_id: mcp}
- {toolgroup_id: "custom::search", provider_id: brave}
"""


def test_a_llama_stack_file_keeps_its_groups_under_their_ids(tmp_path: Path) -> None:
    settings = read(tmp_path, LLAMA)
    assert [(one.toolgroup_id, one.provider_id, one.args) for one in settings.tool_groups] == [
        ("builtin::rag", "rag", {}),
        ("mcp::wiki tools", "mcp", {"a": 1}),
        ("mcp::github", "mcp", {"b": 2}),
    ]
    assert [one.connector_id for one in settings.connectors] == ["github", "wiki-tools"]
    assert [one.provider_id for one in settings.providers.tool_runtime] == ["rag", "mcp"]
    rows = {row.key: (row.line, row.outcome) for row in settings.mapping if row.key.startswith("tool_groups")}
    assert list(rows.values()) == [
        (13, "left out"),
        (14, "left out"),
        (15, "taken"),
        (16, "changed"),
        (17, "changed"),
        (18, "left out"),
        (19, "left out"),
    ]
    notes = "\n".join(settings.notes)
    assert "tool_groups (builtin::websearch): the web is not searched here" in notes
    assert (
        "tool_groups (custom::search): of server-side tools, file search and MCP servers are served" in notes
    )


def test_a_group_of_a_provider_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r'provider_id "nobody" is none of providers.tool_runtime'
    ) as caught:
        read(tmp_path, LLAMA.replace("provider_id: rag}", "provider_id: nobody}"))
    assert caught.value.line == 15
