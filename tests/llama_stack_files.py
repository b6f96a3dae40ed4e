"""The Llama Stack files of `tests/fixtures/llama_stack`, and the surroundings in which each can serve."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent / "fixtures" / "llama_stack"


@dataclass(frozen=True, slots=True)
class StackFile:
    version: str
    kind: str

    @property
    def path(self) -> Path:
        return ROOT / self.version / f"{self.kind}.yaml"

    @property
    def name(self) -> str:
        return f"{self.version}-{self.kind}"

    def environ(self, base_url: str, state: str) -> Mapping[str, str]:
        """Variables with which the file reaches a model server at `base_url`, which ends in `/v1`."""
        root = base_url.removesuffix("/v1")
        ollama = root if self.version in {"0.2", "0.3"} else base_url
        where = {
            "ollama": {"OLLAMA_URL": ollama},
            "openai": {"OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": "sk-upstream-secret"},
            "remote-vllm": {"VLLM_URL": base_url, "INFERENCE_MODEL": "echo"},
            "starter": {"VLLM_URL": base_url, "OLLAMA_URL": ollama},
        }[self.kind]
        return {"SQLITE_STORE_DIR": state, **where}

    @property
    def model(self) -> str:
        """A model that is served with that."""
        return {"ollama": "ollama/echo", "openai": "openai/echo", "remote-vllm": "echo"}.get(
            self.kind, "vllm/echo"
        )

    @property
    def providers(self) -> Mapping[str, str]:
        """The providers that are left with that, and their types."""
        return {
            "ollama": {"ollama": "remote::ollama"},
            "openai": {"openai": "remote::openai"},
            "remote-vllm": {"vllm-inference": "remote::vllm"},
            "starter": {"ollama": "remote::ollama", "vllm": "remote::vllm"},
        }[self.kind]


FILES = tuple(StackFile(path.parent.name, path.stem) for path in sorted(ROOT.glob("*/*.yaml")))
