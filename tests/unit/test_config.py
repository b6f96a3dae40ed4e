"""The settings: what is read, what wins, and where an error points."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from antiphon.config.load import ConfigError, Flags, Settings, hash_key, load

Load = Callable[..., Settings]

BASE = """\
version: 2
server:
  port: 9000
  limits: {max_body_bytes: 2048}
providers:
  inference:
  - provider_id: local
    provider_type: remote::vllm
    config: {base_url: "http://127.0.0.1:8000/v1", api_key: top-secret}
models:
- {model_id: small, provider_id: local, provider_model_id: llama-1b}
"""


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    """Loads a text as `antiphon.yaml` of an empty folder, in an empty environment unless one is given."""

    def read(text: str, environ: Mapping[str, str] | None = None, flags: Flags | None = None) -> Settings:
        (tmp_path / "antiphon.yaml").write_text(text)
        return load(cwd=tmp_path, environ=environ or {}, flags=flags)

    return read


def message(load_text: Load, text: str, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(text, environ)
    return str(caught.value)


def test_without_a_file_the_defaults_serve_this_machine_only(tmp_path: Path) -> None:
    settings = load(cwd=tmp_path, environ={"ANTIPHON_HOME": str(tmp_path / "state")})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8321)
    assert settings.storage.url == f"sqlite:///{tmp_path}/state/antiphon.db"
    assert settings.source is None
    assert not (tmp_path / "state").exists()


def test_a_file_is_read_whole(load_text: Load) -> None:
    settings = load_text(BASE)
    (provider,) = settings.providers.inference
    assert provider.config == {"base_url": "http://127.0.0.1:8000/v1", "api_key": "top-secret"}
    assert settings.models[0].upstream_name == "llama-1b"
    assert settings.server.limits.max_body_bytes == 2048
    assert settings.source == "antiphon.yaml"


def test_flags_win_over_environment_and_environment_over_file(load_text: Load) -> None:
    environ = {"ANTIPHON_PORT": "9001", "ANTIPHON_HOST": "::1"}
    assert load_text(BASE, environ).server.port == 9001
    settings = load_text(BASE, environ, Flags(port=0))
    assert (settings.server.host, settings.server.port) == ("::1", 0)


def test_a_flag_lets_urls_lead_to_private_networks(load_text: Load) -> None:
    flags = Flags(allow_private=["localhost", "10.1.2.3/8"])
    assert load_text(BASE, {}, flags).server.egress.allow_private == ("127.0.0.0/8", "::1/128", "10.0.0.0/8")
    with pytest.raises(ConfigError, match='--allow-private: "here" is no network'):
        load_text(BASE, {}, Flags(allow_private=["here"]))


def test_two_loads_share_nothing(tmp_path: Path) -> None:
    first = load(cwd=tmp_path, environ={"ANTIPHON_PORT": "1"})
    second = load(cwd=tmp_path, environ={"ANTIPHON_PORT": "2"})
    assert (first.server.port, second.server.port) == (1, 2)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("port:", "prot:", 'antiphon.yaml:3: unknown key "prot" in server; did you mean "port"?'),
        ("max_body_bytes: 2048", "max_body_bytes: big", "antiphon.yaml:4: server.limits.max_body_bytes: expected"),
        ("port: 9000", "port: 70000", "antiphon.yaml:3: server.port: expected"),
        ("max_body_bytes", "max_bodybytes", 'antiphon.yaml:4: unknown key "max_bodybytes" in server.limits; did'),
        ("provider_type:", "provider_typ:", "antiphon.yaml:8: unknown key"),
        ("    provider_type: remote::vllm\n", "", 'antiphon.yaml:7: providers.inference: "provider_type" is miss'),
        ("provider_id: local,", "provider_id: locl,", "antiphon.yaml:11: models: no inference provider"),
        ("version: 2", "version: 7", "antiphon.yaml:1: version: 7 is not known"),
        ("version: 2", "version: 2\nversion: 2", 'antiphon.yaml:2: "version" is given twice, first on line 1'),
        ("port: 9000", "port: [", "antiphon.yaml:5: not valid YAML"),
        ("port: 9000", "port: !!python/name:os.system", "antiphon.yaml:3: the tag"),
        ("version: 2", "vector_io: [{provider_id: f}]", 'antiphon.yaml:1: "vector_io" belongs under `providers`'),
        (
            "inference:",
            "safety: [{provider_id: f}]\n  inference:",
            'antiphon.yaml:6: providers.safety: "provider_type" is',
        ),
        ("version: 2", "shields: [{shield_id: s, provider_id: x}]", 'antiphon.yaml:1: shields: no safety provider "x"'),
        (
            "version: 2",
            "version: 2\nvector_stores: {default_embedding_model: {provider_id: gone, model_id: m}}",
            'antiphon.yaml:2: vector_stores.default_embedding_model: no inference provider "gone"',
        ),
        (
            "port: 9000",
            'egress: {allow_hosts: ["http://x"]}',
            "antiphon.yaml:3: server.egress.allow_hosts[0]: expected a host: example.com",
        ),
        ("port: 9000", "host: 0.0.0.0", "no API key is configured"),
        ("port: 9000", "auth: {keys: [{name: a, key: sk-x}]}", "antiphon.yaml:3: server.auth.keys: a key is given"),
        ("port: 9000", "auth: {keys: [sk-x]}", "antiphon.yaml:3: server.auth.keys: a key is given as its hash"),
        ("port: 9000", "auth: {keys: [{name: a, hash: 12}]}", "antiphon.yaml:3: server.auth.keys[0].hash: expected"),
        ("port: 9000", "egress: {allow_private: [home]}", 'antiphon.yaml:3: server.egress.allow_private: "home"'),
        ("port: 9000", "tls_certfile: a.pem", "tls_certfile and tls_keyfile go together"),
        ("port: 9000", "port: ${env.NOWHERE}", "antiphon.yaml:3: the environment variable NOWHERE is not set"),
        (BASE, "- a\n- b\n", "antiphon.yaml:1: expected a mapping, got a list"),
    ],
)  # fmt: skip
def test_an_error_points_at_its_line_and_says_what_to_do(
    load_text: Load, old: str, new: str, expected: str
) -> None:
    assert old in BASE
    assert expected in message(load_text, BASE.replace(old, new, 1))


def test_aliases_of_aliases_are_bounded(load_text: Load) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "more than 100000 values" in message(load_text, "\n".join(lines))


@pytest.mark.parametrize(
    ("written", "environ", "port"),
    [
        ("${env.P:=9100}", {}, 9100),
        ("${env.P:=9100}", {"P": "9200"}, 9200),
        ("${env.P:=9100}", {"P": ""}, 9100),
        ("${env.P:9100}", {}, 9100),
        ("${env.P:+9300}", {"P": "yes"}, 9300),
        ("${env.P:+9300}", {}, 8321),
        ("9${env.P}1", {"P": "30"}, 9301),
    ],
)
def test_variables_are_put_in(load_text: Load, written: str, environ: dict[str, str], port: int) -> None:
    assert load_text(f"server:\n  port: {written}", environ).server.port == port


def test_quoted_values_and_secrets_stay_text(load_text: Load) -> None:
    text = BASE.replace(
        "api_key: top-secret", 'api_key: "${env.K}", organization: "${env.N}", max_retries: "5"'
    )
    (provider,) = load_text(text, {"K": "12345", "N": "678"}).providers.inference
    assert provider.config["api_key"] == "12345"
    assert provider.config["organization"] == "678"
    unquoted = BASE.replace("{base_url", "\n      base_url").replace(
        ", api_key: top-secret}", "\n      api_key: ${env.K}"
    )
    (provider,) = load_text(unquoted, {"K": "12345"}).providers.inference
    assert provider.config["api_key"] == "12345"


def test_an_entry_without_provider_id_is_switched_off_and_its_variables_are_not_wanted(
    load_text: Load,
) -> None:
    text = BASE.replace("provider_id: local\n", "provider_id: ${env.VLLM_URL:+local}\n").replace(
        '"http://127.0.0.1:8000/v1"', '"${env.VLLM_URL}"'
    )
    text = text[: text.index("models:")]
    assert load_text(text).providers.inference == ()
    assert len(load_text(text, {"VLLM_URL": "http://127.0.0.1:1/v1"}).providers.inference) == 1


def test_dotenv_beside_the_file_is_read_and_the_real_environment_wins(
    load_text: Load, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("# ports\nexport P='9400'\nQ=9500 # comment\n\n")
    assert load_text("server:\n  port: ${env.P}").server.port == 9400
    assert load_text("server:\n  port: ${env.Q}").server.port == 9500
    assert load_text("server:\n  port: ${env.P}", {"P": "9600"}).server.port == 9600


def test_a_bad_dotenv_line_is_named(load_text: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nwhat is this\n")
    assert message(load_text, "version: 2") == ".env:2: expected NAME=value"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such configuration file"):
        load("nowhere.yaml", cwd=tmp_path, environ={})


def test_a_public_address_is_served_with_keys(load_text: Load) -> None:
    entry = f'{{name: ci, tenant: acme, hash: "{hash_key("sk-antiphon-test")}"}}'
    settings = load_text(f"server:\n  host: 0.0.0.0\n  auth: {{keys: [{entry}]}}\n")
    (key,) = settings.server.auth.keys
    assert (key.tenant, key.subject) == ("acme", "ci")


def test_keys_of_the_environment_are_hashed_when_read(load_text: Load) -> None:
    secret = "sk-antiphon-0123456789"
    settings = load_text(
        "version: 2", {"ANTIPHON_API_KEYS": f"ci={secret}, {secret}x", "ANTIPHON_HOST": "0.0.0.0"}
    )
    assert [key.name for key in settings.server.auth.keys] == ["ci", "key-2"]
    assert settings.server.auth.keys[0].hash == hash_key(secret)
    assert secret not in repr(settings)
    assert "shorter than 16" in message(load_text, "version: 2", {"ANTIPHON_API_KEYS": "short"})


def test_no_secret_is_shown(load_text: Load) -> None:
    shown = repr(load_text(BASE, {"OPENAI_API_KEY": "sk-very-secret"}))
    assert "top-secret" not in shown
    assert "sk-very-secret" not in shown


def test_a_provider_error_points_at_its_key(load_text: Load) -> None:
    error = load_text(BASE).provider_error("local", "api_key", "is wrong")
    assert str(error) == "antiphon.yaml:9: provider local: is wrong"
