"""What runs in the child: `python -m antiphon.providers.llama_cpp.engine`.

The first line on stdin is an `EngineSpec` as JSON. The one line on stdout is `{"address": "http://127.0.0.1:PORT"}`,
written when the port is bound. What llama.cpp says goes to stderr. The process ends when stdin does, which the system
closes when the parent dies, however it dies.
"""

import importlib
import os
import signal
import sys
import threading
from typing import Any

import msgspec

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
POOLINGS = ("none", "mean", "cls", "last", "rank")


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """How to load one model. `context` is in tokens, of each slot."""

    name: str
    path: str
    api_key: str
    context: int
    slots: int = 1
    gpu_layers: int | None = None
    threads: int | None = None
    embeddings: bool = False
    reranking: bool = False
    pooling: str | None = None
    chat_template: str | None = None
    mmproj: str | None = None
    cache_type: str = "f16"
    prompt_cache_mib: int = 0


class Ready(msgspec.Struct, frozen=True):
    address: str


def main() -> None:
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=EngineSpec)
    answer = _take_stdout()
    _die_with_parent()
    # Ctrl-C goes to the whole group, and a service manager's SIGTERM too: the parent decides when we end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    server = _serve(spec)
    with os.fdopen(answer, "wb") as out:
        out.write(msgspec.json.encode(Ready(server.listening_address)) + b"\n")
    threading.Event().wait()


def _take_stdout() -> int:
    """A descriptor of our own for the answer; whatever else is printed goes to stderr."""
    answer = os.dup(1)
    os.dup2(2, 1)
    return answer


def _die_with_parent() -> None:
    """Linux ends us with the parent even while a load holds the interpreter; elsewhere stdin alone does it."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _end_with_stdin() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def _serve(spec: EngineSpec) -> Any:
    """The running server. Exits with 1, after a line on stderr, when the model cannot be loaded."""
    xllamacpp: Any = importlib.import_module("xllamacpp")  # it has no types
    try:
        return xllamacpp.Server(_params(xllamacpp, spec))
    except Exception as error:  # noqa: BLE001 the last word of a process, whatever the engine raised
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)


def _params(xllamacpp: Any, spec: EngineSpec) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = spec.path
    params.model_alias = {spec.name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [spec.api_key]
    params.ui = False
    params.endpoint_slots = False
    params.use_jinja = True
    params.n_parallel = spec.slots
    params.n_ctx = spec.context * spec.slots
    params.kv_unified = False  # each slot has its own part: one long request cannot take another's context
    params.cache_ram_mib = spec.prompt_cache_mib
    params.cache_idle_slots = spec.prompt_cache_mib > 0
    params.fit_params = spec.gpu_layers is None
    if spec.gpu_layers is not None:
        params.n_gpu_layers = spec.gpu_layers
    if spec.threads is not None:
        params.cpuparams.n_threads = spec.threads
        params.cpuparams_batch.n_threads = spec.threads
    if spec.chat_template is not None:
        params.chat_template = spec.chat_template
    if spec.mmproj is not None:
        params.mmproj.path = spec.mmproj
    kind = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{spec.cache_type.upper()}")
    params.cache_type_k = params.cache_type_v = kind
    _embedding(xllamacpp, params, spec)
    return params


def _embedding(xllamacpp: Any, params: Any, spec: EngineSpec) -> None:
    if not (spec.embeddings or spec.reranking):
        return
    params.embedding = True
    # An input is embedded in one batch: the batch has to hold the longest one.
    params.n_batch = params.n_ubatch = max(512, spec.context)
    pooling = "rank" if spec.reranking else spec.pooling
    if pooling is not None:
        params.pooling_type = getattr(xllamacpp.llama_pooling_type, f"LLAMA_POOLING_TYPE_{pooling.upper()}")


if __name__ == "__main__":
    main()
