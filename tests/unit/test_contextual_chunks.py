"""The sentence that a model writes about the place of a chunk."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
import pytest

from antiphon.core.chunk_tokens import count_tokens
from antiphon.core.chunking import chunks
from antiphon.core.chunking_strategy import ChunkSizes, ContextualSettings
from antiphon.core.commands import CallModel
from antiphon.core.documents import Document, TextChunk
from antiphon.core.signals import ModelSignal
from antiphon.ports.knowledge import Unreadable
from antiphon.providers.script import parse_script
from antiphon.providers.scripted import Scripted
from antiphon.testing import scripted_model
from antiphon.vector_stores.contextual import MAX_DOCUMENT_TOKENS, in_context

SCRIPT = parse_script({"models": [{"name": "demo", "rules": [{"reply": [{"echo": True}]}]}]})
PROMPT = "{{WHOLE_DOCUMENT}} ## {{CHUNK_CONTENT}}"
ECHO: dict[str, object] = {"reply": [{"echo": True}]}


def settings(**fields: Any) -> ContextualSettings:
    return msgspec.convert(fields, ContextualSettings)


def cut(text: str) -> tuple[Document, list[TextChunk]]:
    document = Document(text)
    return document, list(chunks(document, ChunkSizes(16, 0)))


class Counting(Scripted):
    """Knows how many questions were open at once, and in which order they came."""

    waiting = 0
    most = 0
    asked = 0

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        self.waiting, self.asked = self.waiting + 1, self.asked + 1
        self.most = max(self.most, self.waiting)
        try:
            for _ in range(self.asked % 5):  # later questions are answered before earlier ones
                await asyncio.sleep(0)
            async for batch in super().stream(model, call):
                yield batch
        finally:
            self.waiting -= 1


async def test_each_chunk_gets_the_answer_about_itself() -> None:
    document, made = cut("Whales sing. " * 40)
    provider = scripted_model(ECHO)
    written = await in_context(document, made, settings(context_prompt=PROMPT), provider, "demo")
    assert [one.text for one in written] == [one.text for one in made]
    assert all(one.context.endswith(f"## {one.text}") for one in written)
    assert len({(one.start, one.end) for one in written}) == len(made) > 5


async def test_a_placeholder_inside_of_a_document_stays_as_it_is() -> None:
    document, made = cut("a {{CHUNK_CONTENT}} b {{WHOLE_DOCUMENT}} c")
    written = await in_context(document, made, settings(context_prompt=PROMPT), scripted_model(ECHO), "demo")
    assert written[0].context == f"{document.text} ## {made[0].text}"


@pytest.mark.parametrize("concurrency", [1, 3])
async def test_no_more_questions_are_open_than_asked_for(concurrency: int) -> None:
    document, made = cut("Whales sing. " * 60)
    provider = Counting(config=SCRIPT)
    asked = settings(context_prompt=PROMPT, max_concurrency=concurrency)
    written = await in_context(document, made, asked, provider, "demo")
    assert provider.most == concurrency
    assert provider.waiting == 0
    assert provider.asked == len(made)
    assert all(one.context.endswith(one.text) for one in written)


async def test_a_model_that_fails_once_fails_the_file_and_says_for_which_chunk() -> None:
    document, made = cut("one two three. " * 20 + "Poison is here. " + "four five. " * 20)
    rule = {"when": {"matches": "## .*Poison"}, "reply": [{"fail": {"status": 500, "message": "broken"}}]}
    provider = scripted_model(rule, ECHO)
    with pytest.raises(Unreadable) as caught:
        await in_context(document, made, settings(context_prompt=PROMPT), provider, "demo")
    assert caught.value.code == "server_error"
    (poisoned,) = (one.start for one in made if "Poison" in one.text)
    assert f"the chunk at character {poisoned:,}" in caught.value.message
    assert '"demo"' in caught.value.message
    assert "broken" in caught.value.message


async def test_a_model_that_says_nothing_fails_the_file() -> None:
    document, made = cut("one two three.")
    with pytest.raises(Unreadable, match="chunk at character 0") as caught:
        await in_context(document, made, settings(), scripted_model({"reply": [{"text": " "}]}), "demo")
    assert caught.value.code == "server_error"


async def test_a_model_that_does_not_answer_in_time_fails_the_file() -> None:
    document, made = cut("one two three.")

    async def for_ever(seconds: float) -> None:
        await asyncio.Event().wait()

    provider = scripted_model({"delay_ms": 1, "reply": [{"echo": True}]}, sleep=for_ever)
    at_once = ContextualSettings(timeout_seconds=0)  # less than a request may ask for
    with pytest.raises(Unreadable, match="within 0 s"):
        await in_context(document, made, at_once, provider, "demo")


async def test_of_a_long_document_the_model_sees_the_part_around_the_chunk() -> None:
    document = Document(" ".join(f"w{number}" for number in range(30_000)))
    made = list(chunks(document, ChunkSizes(4096, 0)))
    seen: list[str] = []

    class Listening(Scripted):
        async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
            seen.append(str(call.transcript.items[0]))
            async for batch in super().stream(model, call):
                yield batch

    provider = Listening(config=SCRIPT)
    asked = settings(context_prompt="{{WHOLE_DOCUMENT}}\n####\n{{CHUNK_CONTENT}}", max_concurrency=1)
    written = await in_context(document, made, asked, provider, "demo")
    assert {len(one.context) for one in written} == {1_000}
    parts = [one.partition("\\n####")[0] for one in seen]
    for one, part in zip(made, parts, strict=True):
        assert one.text in part
        assert count_tokens(part) < MAX_DOCUMENT_TOKENS * 1.1
    assert len(set(parts)) < len(parts)  # neighbours share theirs


async def test_a_document_without_chunks_asks_nobody() -> None:
    assert await in_context(Document(" "), [], settings(), scripted_model(), "demo") == []
