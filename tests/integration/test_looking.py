"""`antiphon models`, `providers`, `doctor` and `completion`, as processes, against upstreams of every kind."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.chat_tools import load_tools
from antiphon.cli.completion import INSTALL, SHELLS
from antiphon.cli.doctor_machine import clock, port, tls
from antiphon.client import Answer, Client
from antiphon.config.settings import ServerSettings, Settings
from antiphon.conformance.cases import CASES
from antiphon.system import SystemClock
from bench.program import Program, antiphon_command, environment, start_antiphon
from tests.conformance.faults import FAULTS
from tests.conformance.wrong_server import Ask, Asked, WrongServer, json_answer
from tests.integration.canned import CannedServer, says
from tests.integration.upstream import MODELS, Upstream

Done = subprocess.CompletedProcess[str]
SECRET = "sk-upstream-secret"


def run(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Done:
    """A command in a folder without anything of the caller's environment, and without looking for model servers."""
    return subprocess.run(
        [*antiphon_command(), *arguments],
        cwd=folder,
        env=environment(folder, {"ANTIPHON_DISCOVERY": "off", **(env or {})}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document(done: Done) -> Any:
    """The one JSON document on stdout."""
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def canned() -> Iterator[CannedServer]:
    with CannedServer(says("hello")) as server:
        yield server


def configured(folder: Path, upstream: Upstream, more: str = "", top: str = "") -> None:
    """Two providers with the same models, one that is not there, and a name of the operator's."""
    config = f'{{base_url: "{upstream.url}?key=q", api_key: {SECRET}, wire: chat}}'
    (folder / "antiphon.yaml").write_text(
        f"""\
{top}
providers:
  inference:
  - {{provider_id: one, provider_type: "remote::openai-compatible", config: {config}}}
  - provider_id: two
    provider_type: remote::vllm
    config: {{base_url: "{upstream.url}", allowed_models: [echo], capabilities: {{json_schema: false}}}}
  - {{provider_id: gone, provider_type: "remote::vllm", config: {{base_url: "http://u:{SECRET}@127.0.0.1:1/v1"}}}}
  - {{provider_id: local, provider_type: "inline::scripted"}}
models:
- {{model_id: small, provider_id: one, provider_model_id: thinker}}
{more}
"""
    )


# --- models ---------------------------------------------------------------------------------------------------


def test_models_shows_names_providers_and_what_is_ambiguous(tmp_path: Path, upstream: Upstream) -> None:
    configured(tmp_path, upstream)
    done = run(tmp_path, "models")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["MODEL", "PROVIDER", "UPSTREAM", "NAME", "ALSO", "AS"]
    assert ["small", "one", "thinker"] in rows
    assert ["one/echo", "one", "echo", "ambiguous"] in rows
    assert ["two/echo", "two", "echo", "ambiguous"] in rows
    assert ["one/caller", "one", "caller", "caller"] in rows
    assert ["local/demo", "local", "demo", "demo"] in rows
    assert "ambiguous  echo: say which, one/echo or two/echo" in done.stdout
    assert 'failed     gone: provider "gone" cannot be reached' in done.stdout
    assert SECRET not in done.stdout


def test_models_as_json(tmp_path: Path, upstream: Upstream) -> None:
    configured(tmp_path, upstream)
    report = document(run(tmp_path, "models", "--json"))
    by_id = {model["id"]: model for model in report["models"]}
    assert {f"one/{name}" for name in MODELS} <= set(by_id)
    assert by_id["small"]["upstream_model"] == "thinker"
    assert by_id["one/caller"]["short"] == "caller"
    assert by_id["one/echo"]["short"] is None
    assert report["ambiguous"] == [{"name": "echo", "models": ["one/echo", "two/echo"]}]
    (failure,) = report["failures"]
    assert (failure["provider"], failure["error"]) == ("gone", "ProviderUnavailable")


def test_a_routed_model_shows_what_it_chooses_from(tmp_path: Path, upstream: Upstream) -> None:
    route = "{candidates: [{model: two/echo}, {model: local/demo}]}"
    configured(tmp_path, upstream, f"- {{model_id: any, route: {route}}}")
    report = document(run(tmp_path, "models", "--json"))
    (routed,) = [model for model in report["models"] if model["id"] == "any"]
    assert routed["candidates"] == ["two/echo", "local/demo"]
    assert "two/echo or local/demo" in run(tmp_path, "models").stdout


def test_models_without_a_configuration_are_what_serve_would_find(
    tmp_path: Path, canned: CannedServer
) -> None:
    done = run(tmp_path, "models")
    assert "demo/demo" in done.stdout
    assert "demo is a scripted model" in done.stdout
    found = document(run(tmp_path, "models", "--json", env={"VLLM_URL": canned.url}))
    assert [model["id"] for model in found["models"]] == ["vllm/canned"]
    assert not (tmp_path / "state").exists()


# --- providers ------------------------------------------------------------------------------------------------


def test_providers_shows_what_each_can_do(tmp_path: Path, upstream: Upstream) -> None:
    configured(tmp_path, upstream)
    report = document(run(tmp_path, "providers", "--json"))["providers"]
    one, two, gone, local = report
    assert one["address"] == upstream.url
    assert (one["type"], one["wire"], one["reachable"]) == ("remote::openai-compatible", "chat", True)
    assert one["models"] == len(MODELS) + 1  # the operator's name too
    assert one["capabilities"]["parallel_tool_calls"] is True
    assert "json_schema" in one["capabilities"]["checked_here"]
    assert two["capabilities"]["json_schema"] is False  # the operator's correction of the preset
    assert two["capabilities"]["reasoning_field"] == "reasoning_content"
    assert (gone["reachable"], gone["address"]) == (False, "http://127.0.0.1:1/v1")
    assert gone["failure"]["error"] == "ProviderUnavailable"
    assert local["address"] == "in this process"
    done = run(tmp_path, "providers")
    assert done.returncode == 0
    assert f"two (remote::vllm)\n  address  {upstream.url}\n" in done.stdout
    assert "state    not reachable: provider" in done.stdout
    assert "parallel tool calls" in done.stdout
    assert SECRET not in done.stdout + json.dumps(report)
    assert "key=q" not in done.stdout


def test_a_configuration_that_cannot_be_read_says_where(tmp_path: Path) -> None:
    (tmp_path / "antiphon.yaml").write_text("providers: {inference: [{provider_idd: x}]}\n")
    for command in ("models", "providers", "chat"):
        done = run(tmp_path, command)
        assert done.returncode == 1
        assert "antiphon.yaml:1" in done.stderr
        assert done.stdout == ""


# --- doctor ---------------------------------------------------------------------------------------------------


def checks(done: Done) -> dict[str, list[tuple[str, str]]]:
    found: dict[str, list[tuple[str, str]]] = {}
    for check in document(done)["checks"]:
        assert (check["status"] == "ok") == (check["advice"] == ""), "what is wrong comes with advice"
        found.setdefault(check["name"], []).append((check["status"], check["detail"]))
    return found


def test_doctor_finds_nothing_wrong_where_nothing_is(tmp_path: Path, canned: CannedServer) -> None:
    env = {"VLLM_URL": canned.url, "ANTIPHON_PORT": "0"}
    done = run(tmp_path, "doctor", "--json", env=env)
    assert done.returncode == 0
    assert document(done)["ok"] is True
    found = checks(done)
    assert {status for lines in found.values() for status, _ in lines} == {"ok"}
    assert "3." in found["python"][0][1]
    assert "msgspec" in found["libraries"][0][1]
    assert found["database"][0][1].startswith(str(tmp_path / "state" / "antiphon.db"))
    assert found["provider vllm"] == [("ok", f"{canned.url}/v1 answers and lists 1 model")]
    assert found["clock"] == [("ok", f"agrees with {canned.url}/v1")]
    assert not (tmp_path / "state").exists()
    plain = run(tmp_path, "doctor", env=env)
    assert plain.returncode == 0
    assert plain.stdout.splitlines()[-1].endswith("ok, 0 warn, 0 fail")


def test_doctor_names_each_thing_that_is_wrong(
    tmp_path: Path, upstream: Upstream, canned: CannedServer
) -> None:
    taken = canned.url.rpartition(":")[2]
    configured(tmp_path, upstream, "- {model_id: ghost, provider_id: two}", f"server: {{port: {taken}}}")
    (tmp_path / "state").write_text("a file where the folder should be")
    done = run(tmp_path, "doctor", "--json")
    assert done.returncode == 1
    assert document(done)["ok"] is False
    found = checks(done)
    assert [status for status, _ in found["state"]] == ["fail"]
    assert found["port"][0][0] == "fail"
    assert f"127.0.0.1:{taken}" in found["port"][0][1]
    assert found["provider gone"] == [("fail", 'provider "gone" cannot be reached; is it running?')]
    assert ("warn", '"echo" is served by several providers') in found["models"]
    assert ("warn", '"ghost" means two/ghost, which is not listed') in found["models"]
    plain = run(tmp_path, "doctor")
    assert "      -> start it, or correct its base_url" in plain.stdout
    assert SECRET not in plain.stdout + done.stdout


def test_doctor_says_that_a_key_is_not_accepted(tmp_path: Path, server: Program) -> None:
    """One of our own servers with keys, as the upstream of another."""
    (tmp_path / "upstream").mkdir()
    key = {"ANTIPHON_API_KEYS": "sk-antiphon-right-0123456789"}
    with start_antiphon(tmp_path / "upstream", "version: 2\n", env=key) as locked:
        locked.wait_ready()
        for given, status in (("wrong", "fail"), ("sk-antiphon-right-0123456789", "ok")):
            env = {"VLLM_URL": locked.url, "VLLM_API_KEY": given, "ANTIPHON_PORT": str(server.port)}
            done = run(tmp_path, "doctor", "--json", env=env)
            found = checks(done)
            assert found["provider vllm"][0][0] == status, found
            assert found["port"][0] == ("ok", f"{server.url} is served by Antiphon 0.1.0 already")


def test_doctor_tries_the_address_of_a_provider_that_cannot_list(
    tmp_path: Path, canned: CannedServer
) -> None:
    def write(url: str, models: str) -> None:
        config = f'{{base_url: "{url}", api_key: {SECRET}, allowed_models: {models}}}'
        provider = f'{{provider_id: az, provider_type: "remote::azure", config: {config}}}'
        (tmp_path / "antiphon.yaml").write_text(
            f"server: {{port: 0}}\nproviders: {{inference: [{provider}]}}\n"
        )

    write(canned.url, "[gpt]")
    found = checks(run(tmp_path, "doctor", "--json"))
    said = f"{canned.url} answers; it cannot list its models, so its key was not tried"
    assert found["provider az"] == [("ok", said)]
    assert "it cannot list its models, 1 are configured" in run(tmp_path, "providers").stdout
    write(canned.url, "[]")
    assert checks(run(tmp_path, "doctor", "--json"))["provider az"][0][0] == "warn"
    write("http://127.0.0.1:1", "[gpt]")
    done = run(tmp_path, "doctor", "--json")
    assert done.returncode == 1
    assert checks(done)["provider az"][0][0] == "fail"


def test_doctor_says_that_a_running_server_is_not_ready() -> None:
    def not_ready(asked: Asked, ask: Ask) -> Answer:
        if asked.path == "/readyz":
            return json_answer(503, {"error": {"message": "not ready: the disk is full"}})
        return json_answer(200, {"status": "ok", "version": "0.1.0"})

    with WrongServer(Client("http://127.0.0.1:1"), not_ready) as running:
        number = int(running.url.rpartition(":")[2])
        (finding,) = port(Settings(server=ServerSettings(port=number)))
    assert finding.status == "fail"
    assert "is not ready: not ready: the disk is full" in finding.detail


def test_doctor_looks_at_the_keys_that_seal(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    file = tmp_path / "state" / "sealing.keys"
    file.write_text("no key\n")
    done = run(tmp_path, "doctor", "--json", env={"ANTIPHON_PORT": "0"})
    assert done.returncode == 1
    assert checks(done)["sealing"] == [("fail", f"{file} cannot be used: line 1 must be base64 of 32 bytes.")]
    served = run(tmp_path, "serve", "--port", "0")
    assert served.returncode == 1
    assert str(file) in served.stderr
    assert "Traceback" not in served.stderr


def test_doctor_reads_the_schema_of_the_database(tmp_path: Path) -> None:
    assert run(tmp_path, "migrate").returncode == 0
    file = tmp_path / "state" / "antiphon.db"
    done = run(tmp_path, "doctor", "--json", env={"ANTIPHON_PORT": "0"})
    assert checks(done)["database"][0][0] == "ok"
    for revision, expected in (("0000", "warn"), ("9999", "fail")):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        found = checks(run(tmp_path, "doctor", "--json", env={"ANTIPHON_PORT": "0"}))
        assert found["database"][0][0] == expected
        assert revision in found["database"][0][1]
    file.write_text("this is no database, whatever its name says")
    found = checks(run(tmp_path, "doctor", "--json", env={"ANTIPHON_PORT": "0"}))
    assert found["database"][0][0] == "fail"


def test_doctor_says_what_is_wrong_with_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "antiphon.yaml").write_text("servr: {}\n")
    done = run(tmp_path, "doctor", "--json")
    assert done.returncode == 1
    ((status, detail),) = checks(done)["configuration"]
    assert status == "fail"
    assert "antiphon.yaml:1" in detail
    (tmp_path / "antiphon.yaml").write_text(
        "server: {tls_certfile: nowhere.pem, tls_keyfile: nowhere.pem, port: 0}\n"
        "storage: {url: 'mysql://x'}\n"
        "providers: {inference: [{provider_id: x, provider_type: 'remote::nobody'}]}\n"
    )
    found = checks(run(tmp_path, "doctor", "--json"))
    assert [found[name][0][0] for name in ("certificate", "state", "providers")] == ["fail"] * 3


def test_doctor_reads_the_clock_of_a_model_server() -> None:
    with CannedServer(says("x")) as server:
        (finding,) = clock(["in this process", server.url], SystemClock().now)
        assert finding.status == "ok"
        (finding,) = clock([server.url], lambda: 1_000_000_000)
        assert finding.status == "warn"
        assert "s behind the one of" in finding.detail


# --- doctor --client ------------------------------------------------------------------------------------------


def test_our_own_server_passes_every_check(tmp_path: Path, server: Program) -> None:
    done = run(tmp_path, "doctor", "--client", server.url, "--model", "scripted/demo", "--json")
    report = document(done)
    assert [case for case in report["cases"] if case["status"] != "pass"] == []
    assert done.returncode == 0
    assert report["ok"] is True
    assert len(report["cases"]) == len(CASES)
    plain = run(tmp_path, "doctor", "--client", f"{server.url}/v1", "--model", "scripted/demo")
    assert plain.stdout.splitlines()[-1] == f"{len(CASES)} pass, 0 fail, 0 not supported"


def test_a_wrong_server_fails_by_name_and_in_words(tmp_path: Path, server: Program) -> None:
    case, words, fault = next(one for one in FAULTS if one[0] == "responses.basic")
    with WrongServer(Client(server.url), fault) as wrong:
        done = run(tmp_path, "doctor", "--client", wrong.url, "--model", "scripted/demo", "--json")
        assert done.returncode == 1
        found = {one["name"]: one for one in document(done)["cases"]}
        assert found[case]["status"] == "fail"
        assert words in found[case]["detail"]
        plain = run(tmp_path, "doctor", "--client", wrong.url, "--model", "scripted/demo")
        assert plain.returncode == 1
        row = next(line for line in plain.stdout.splitlines() if line.startswith("fail"))
        assert row.split()[:2] == ["fail", "responses.basic"]


def test_a_reader_that_leaves_ends_a_command_quietly(tmp_path: Path, server: Program) -> None:
    """`antiphon doctor --client URL | head -1`"""
    command = [*antiphon_command(), "doctor", "--client", server.url, "--model", "scripted/demo"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_a_server_that_cannot_be_asked_is_one_sentence(tmp_path: Path) -> None:
    done = run(tmp_path, "doctor", "--client", "http://127.0.0.1:1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be reached" in done.stderr
    assert "is no URL" in run(tmp_path, "doctor", "--client", "here").stderr


def test_a_key_reaches_the_server_that_is_checked(tmp_path: Path) -> None:
    key = "sk-antiphon-right-0123456789"
    (tmp_path / "upstream").mkdir()
    with start_antiphon(tmp_path / "upstream", "version: 2\n", env={"ANTIPHON_API_KEYS": key}) as locked:
        locked.wait_ready()
        client = ("doctor", "--client", locked.url)
        assert "pass it with --key" in run(tmp_path, *client).stderr
        assert run(tmp_path, *client, "--key", key).returncode == 0
        assert run(tmp_path, *client, env={"ANTIPHON_API_KEY": key}).returncode == 0


# --- completion -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_there_is_a_script_for_each_shell(tmp_path: Path, shell: str) -> None:
    done = run(tmp_path, "completion", shell)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("antiphon", "doctor", "providers", "client"))
    assert shell in INSTALL


def test_the_shells_are_those_of_shtab() -> None:
    import shtab

    assert set(SHELLS) == set(shtab.SUPPORTED_SHELLS)


def test_bash_completes_commands_flags_and_files(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("version: 2\n")
    script = run(tmp_path, "completion", "bash").stdout

    def completed(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in words)
        ask = (
            f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}\n"
            "_shtab_antiphon 2>/dev/null\nprintf '%s\\n' \"${COMPREPLY[@]}\""
        )
        command = ["bash", "--norc", "-c", f"{script}\n{ask}"]
        env = {"PATH": os.environ["PATH"]}
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True, env=env
        )
        return done.stdout.split()

    assert completed("antiphon", "do") == ["doctor"]
    assert completed("antiphon", "doctor", "--cl") == ["--client"]
    assert completed("antiphon", "completion", "z") == ["zsh"]
    assert completed("antiphon", "models", "--config", "mi") == ["mine.yaml"]


@pytest.mark.parametrize(
    "module", ["antiphon.cli.commands", "antiphon.cli.chat", "antiphon.cli.doctor_client"]
)
def test_what_talks_to_a_server_loads_no_server_and_no_shtab(module: str) -> None:
    heavy = "{'shtab', 'aiohttp', 'uvicorn', 'starlette', 'apsw', 'asyncio', 'yaml'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_the_commands_of_the_how_to_run(tmp_path: Path, server: Program) -> None:
    page = (Path(__file__).parents[2] / "docs" / "howto" / "first-hour.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 6
    path = f"{Path(antiphon_command()[0]).parent}:{os.environ['PATH']}"
    env = environment(tmp_path, {"ANTIPHON_DISCOVERY": "off", "ANTIPHON_PORT": "0", "PATH": path})
    for block in blocks:
        text = block.replace("http://gpu-1:8000 --model my-model", f"{server.url} --model scripted/demo")
        done = subprocess.run(
            ["bash", "--norc", "-c", text],
            cwd=tmp_path,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
    tools = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (tmp_path / "tools.json").write_text(tools[0])
    assert [tool["name"] for tool in load_tools(tmp_path / "tools.json")] == ["get_weather"]


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """A self-signed certificate and its key, as files."""
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / f"{name}.pem").write_bytes(made.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(key.private_bytes(pem, form, plain))
    return str(folder / f"{name}.pem"), str(folder / f"{name}.key")


def test_a_certificate_must_fit_its_key(tmp_path: Path) -> None:
    mine, other = certificate(tmp_path, "mine"), certificate(tmp_path, "other")

    def found(cert: str, key: str) -> list[str]:
        return [
            one.status for one in tls(Settings(server=ServerSettings(tls_certfile=cert, tls_keyfile=key)))
        ]

    assert list(tls(Settings())) == []
    assert found(*mine) == ["ok"]
    assert found(mine[0], other[1]) == ["fail"]
    assert found(str(tmp_path / "nowhere.pem"), mine[1]) == ["fail"]


def test_the_port_of_somebody_else_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        (finding,) = port(Settings(server=ServerSettings(port=number)))
        assert finding.status == "fail"
        (finding,) = port(Settings(server=ServerSettings(host="127.0.0.2", port=number)))
        assert (finding.status, finding.detail) == ("ok", f"127.0.0.2:{number} is free")
