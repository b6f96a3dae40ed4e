"""The `config:` mapping of `inline::llama-cpp`, what a GGUF file says, and which engine comes out."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from antiphon.config.load import load
from antiphon.config.settings import redacted
from antiphon.providers.llama_cpp import gguf
from antiphon.providers.llama_cpp.provider import LlamaCpp, context_of, engine_spec, memory_bytes
from antiphon.providers.llama_cpp.settings import ModelConfig, parse_config, shown_bytes, size_bytes
from antiphon.providers.presets import ProviderConfigError
from antiphon.providers.upstream import UpstreamClient
from antiphon.system import SystemClock, SystemIds

MIB = 1024 * 1024


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def header(pairs: dict[str, Any], version: int = 3) -> bytes:
    """A GGUF head with these keys and no tensors. Lists are of 32-bit integers, or of text."""
    out = b"GGUF" + struct.pack("<IQQ", version, 0, len(pairs))
    for name, value in pairs.items():
        out += text(name)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + text(value)
        elif isinstance(value, int):
            out += struct.pack("<II", 4, value)
        elif isinstance(value[0], str):
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        else:
            out += struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
    return out


LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.tags": ["a", "b"],
    "llama.context_length": 32768,
    "llama.embedding_length": 4096,
    "llama.block_count": 32,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "tokenizer.ggml.model": "gpt2",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "Llama-3-8B-Q4_K_M.gguf"
    path.write_bytes(header(LLAMA))
    return path


def problem(mapping: dict[str, Any]) -> ProviderConfigError:
    with pytest.raises(ProviderConfigError) as caught:
        parse_config(mapping)
    return caught.value


# --- the mapping ------------------------------------------------------------------------------------------------
def test_models_are_a_list_a_mapping_or_plain_paths(model: Path) -> None:
    listed = parse_config(
        {"models": [{"name": "a", "path": str(model)}, str(model), "hf:Qwen/Qwen3-8B-GGUF:Q8_0"]}
    )
    assert [one.name for one in listed.models] == ["a", "Llama-3-8B-Q4_K_M", "Qwen3-8B"]
    assert [one.hf for one in listed.models] == [None, None, "Qwen/Qwen3-8B-GGUF:Q8_0"]
    named = parse_config(
        {"models": {"a": {"path": str(model), "slots": 4}, "b": str(model), "c": {"hf": "o/r"}}}
    )
    assert [one.name for one in named.models] == ["a", "b", "c"]
    assert named.models[0].slots == 4


def test_all_keys_are_read(model: Path) -> None:
    config = parse_config(
        {
            "models": [
                {
                    "path": str(model), "context": 4096, "gpu_layers": 20, "threads": 3, "slots": 2,
                    "embeddings": True, "pooling": "mean", "chat_template": "chatml", "cache_type": "q8_0",
                    "prompt_cache": "256MiB", "memory": "4G",
                }
            ],
            "memory_limit": "8GiB",
            "idle_unload_s": 300,
            "cache_dir": "/models",
            "wait_s": 5,
        }
    )  # fmt: skip
    assert config.memory_limit_bytes == 8 * 1024**3
    spec = engine_spec(config.models[0], model, gguf.read_info(model))
    assert (spec.context, spec.slots, spec.gpu_layers, spec.threads) == (4096, 2, 20, 3)
    assert (spec.pooling, spec.chat_template, spec.cache_type) == ("mean", "chatml", "q8_0")
    assert spec.prompt_cache_mib == 256
    assert memory_bytes(config.models[0], gguf.read_info(model)) == 4 * 1024**3


@pytest.mark.parametrize(
    ("mapping", "key", "expected"),
    [
        ({}, "models", "needs `models`"),
        ({"models": []}, "models", "needs `models`"),
        ({"modles": []}, "modles", 'did you mean "models"?'),
        ({"models": ["{m}"], "memory": "8G"}, "memory", 'did you mean "memory_limit"?'),
        ({"models": ["{m}"], "memory_limit": "8 parsecs"}, "memory_limit", "is no size"),
        ({"models": ["{m}"], "idle_unload_s": 0}, "idle_unload_s", "at idle_unload_s"),
        ({"models": ["{m}"], "hf_endpoint": "hub"}, "hf_endpoint", "must begin with http"),
        ({"models": ["{m}"], "timeouts": {"idle_s": 0}}, "timeouts", "above 0 seconds"),
        ({"models": ["{m}"], "capabilities": {"parrots": 1}}, "capabilities", "parrots"),
        ({"models": ["{m}", "{m}"]}, "models", 'two models have the name "Llama-3-8B-Q4_K_M"'),
        ({"models": [{"path": "{m}", "contxt": 1}]}, "models", 'unknown key "contxt" in `models[0]`; did you mean'),
        ({"models": [{"path": "{m}", "context": 1}]}, "models", "models[0].context"),
        ({"models": {"a": {"path": "{m}", "slots": "x"}}}, "models", "models.a.slots"),
        ({"models": [{"path": "{m}", "hf": "a/b"}]}, "models", "either `path` or `hf`"),
        ({"models": [{"name": "a"}]}, "models", "either `path` or `hf`"),
        ({"models": ["hf:nobody"]}, "models", "hf:OWNER/REPO[:QUANT"),
        ({"models": ["/nowhere/x.gguf"]}, "models", "No such file"),
        ({"models": [7]}, "models", "`models[0]` is a mapping"),
        ({"models": "x.gguf"}, "models", "`models` is a list"),
        ({"models": [{"path": "{m}", "mmproj": "/no/such.gguf"}]}, "models", "models[0].mmproj"),
        ({"models": [{"path": "{m}", "mmproj": "hf:a/b"}]}, "models", "name the file, as in hf:"),
        ({"models": [{"path": "{m}", "mmproj": "hf:a"}]}, "models", "models[0].mmproj"),
        ({"models": [{"path": "{m}", "chat_template": "no/such.jinja"}]}, "models", "models[0].chat_template"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(mapping: dict[str, Any], key: str, expected: str, model: Path) -> None:
    error = problem(json.loads(json.dumps(mapping).replace("{m}", str(model))))
    assert error.key == key
    assert expected in error.message


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_text("<html>not found</html>")
    assert "is not a GGUF file" in problem({"models": [str(path)]}).message


def test_a_template_is_read_from_its_file(tmp_path: Path, model: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{{ messages }}")
    config = parse_config({"models": [{"path": str(model), "chat_template": str(file)}]})
    assert config.models[0].chat_template == "{{ messages }}"


def test_a_model_that_cannot_fit_alone_is_refused_with_numbers(model: Path) -> None:
    pytest.importorskip("xllamacpp", reason="no xllamacpp wheel here: the provider is refused for that first")
    mapping = {"models": [{"path": str(model), "context": 32768}], "memory_limit": "2GiB"}
    with pytest.raises(
        ProviderConfigError, match=r"needs about 4\.\d GiB and `memory_limit` is 2\.0 GiB"
    ) as caught:
        make(mapping)
    assert caught.value.key == "memory_limit"


def test_without_the_engine_the_error_is_the_command_that_installs_it(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ProviderConfigError, match=r"pip install 'antiphon\[local\]'"):
        make({"models": [str(model)]})


def make(mapping: dict[str, Any]) -> LlamaCpp:
    clock = SystemClock()
    return LlamaCpp.from_config("local", "inline::llama-cpp", mapping, UpstreamClient(clock), SystemIds())


def test_the_token_of_the_hub_is_not_shown() -> None:
    assert redacted({"hf_token": "hf_secret"}) == {"hf_token": "***"}


# --- sizes ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("8GiB", 8 * 1024**3),
        ("8G", 8 * 1024**3),
        ("1.5 GB", 1536 * MIB),
        ("512 mib", 512 * MIB),
        ("77", 77),
        (5, 5),
    ],
)
def test_sizes_are_read(written: str | int, size: int) -> None:
    assert size_bytes(written) == size


def test_sizes_are_shown() -> None:
    assert [shown_bytes(size) for size in (12, 2048, 5 * MIB, 1536 * MIB)] == [
        "12 B",
        "2 KiB",
        "5 MiB",
        "1.5 GiB",
    ]


# --- GGUF -------------------------------------------------------------------------------------------------------
def test_memory_is_weights_and_cache(model: Path) -> None:
    """Llama 3 8B: 32 layers of 8 heads of 128, keys and values, 2 bytes each: 128 KiB for a token."""
    info = gguf.read_info(model)
    assert info.kv_values == 32 * 8 * (128 + 128)
    small = info.memory_bytes(context=1, slots=1)
    assert info.memory_bytes(context=8192, slots=2) - small == (2 * 8192 - 1) * 128 * 1024
    assert info.memory_bytes(context=8192, slots=2, cache_type="q8_0") < info.memory_bytes(
        context=8192, slots=2
    )
    assert small > gguf.PROCESS_BYTES


def test_heads_may_differ_by_layer(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    pairs = {**LLAMA, "llama.attention.head_count_kv": [8, 0, 4], "llama.attention.key_length": 64}
    del pairs["tokenizer.ggml.model"]
    path.write_bytes(header(pairs))
    assert gguf.read_info(path).kv_values == 12 * (64 + 128)


def test_the_context_is_bounded_unless_asked_for(model: Path) -> None:
    info = gguf.read_info(model)
    assert context_of(ModelConfig(path="x"), info) == 8192
    assert context_of(ModelConfig(path="x", context=32000), info) == 32000


@pytest.mark.parametrize("length", [3, 10, 40, 100])
def test_a_file_that_was_cut_is_refused(model: Path, length: int) -> None:
    model.write_bytes(model.read_bytes()[:length])
    with pytest.raises(gguf.NotGguf):
        gguf.read_info(model)


@pytest.mark.parametrize(
    "data",
    [
        header({}, version=9),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<I", 99),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("a") + struct.pack("<IIQ", 9, 9, 1),
    ],
)
def test_a_hostile_head_is_refused_before_memory_is_taken(model: Path, data: bytes) -> None:
    model.write_bytes(data + b"\0" * 64)
    with pytest.raises(gguf.NotGguf):
        gguf.read_info(model)


def test_a_split_model_counts_all_its_parts(tmp_path: Path) -> None:
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(header(LLAMA) + b"\0" * 1000)
    first = tmp_path / "m-00001-of-00002.gguf"
    assert gguf.read_info(first).file_bytes == 2 * first.stat().st_size
    assert gguf.base_name(first) == "m"
    assert parse_config({"models": [str(tmp_path / "m-00002-of-00002.gguf")]}).models[0].path == str(first)
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(gguf.NotGguf, match=r"missing m-00002-of-00002\.gguf"):
        gguf.read_info(first)


def test_embeddings_of_a_chat_model_are_pooled(model: Path) -> None:
    info = gguf.read_info(model)
    assert engine_spec(ModelConfig(path="x", embeddings=True), model, info).pooling == "mean"
    model.write_bytes(header({"general.architecture": "llama", "llama.pooling_type": 3}))
    assert engine_spec(ModelConfig(path="x", embeddings=True), model, gguf.read_info(model)).pooling is None


# --- what the environment says ----------------------------------------------------------------------------------
def test_the_environment_names_the_hub_and_the_file_wins_over_it(tmp_path: Path) -> None:
    (tmp_path / "antiphon.yaml").write_text(
        "providers: {inference: ["
        "{provider_id: a, provider_type: 'inline::llama-cpp', config: {hf_endpoint: 'https://mirror.example'}},"
        "{provider_id: b, provider_type: 'inline::scripted'}]}"
    )
    environ = {"HF_TOKEN": "hf_secret", "HF_ENDPOINT": "https://hub.example", "ANTIPHON_HOME": str(tmp_path)}
    settings = load(cwd=tmp_path, environ=environ)
    local, scripted = settings.providers.inference
    assert settings.config_of(local) == {
        "cache_dir": f"{tmp_path}/models",
        "hf_endpoint": "https://mirror.example",
        "hf_token": "hf_secret",
    }
    assert settings.config_of(scripted) == {}
    assert "hf_secret" not in repr(settings)
