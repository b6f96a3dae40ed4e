"""What the model is shown instead of the images and files that a request, and what it continues, refers to."""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from antiphon.blobs.memory import MemoryBlobs
from antiphon.core.commands import CallModel
from antiphon.core.documents import Document
from antiphon.core.errors import AntiphonError, FetchRefused
from antiphon.core.ids import ItemIds
from antiphon.core.items import InputFile, InputImage, InputText
from antiphon.core.request import ResponseRequest
from antiphon.core.signals import ModelSignal
from antiphon.files.service import FileService
from antiphon.models.catalog import Catalog
from antiphon.models.token_count import count_tokens
from antiphon.ports import Intake, Owner
from antiphon.ports.files import Fetched, StoredFile
from antiphon.ports.knowledge import Unreadable
from antiphon.providers.scripted import Scripted
from antiphon.responses import media
from antiphon.responses.attachments import Attachments
from antiphon.responses.service import ResponseService
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, PlainSealer, ToolBox, scripted_model
from tests.unit import routing

OWNER = Owner("t", "o")
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
PDF = b"%PDF-1.7 a page"
Json = dict[str, Any]


@dataclass
class Reader:
    """Reads UTF-8 alone, a PDF as what follows its head, and counts."""

    read: list[str] = field(default_factory=list[str])

    async def extract(self, content: AsyncIterable[bytes], filename: str, media_type: str) -> Document:
        whole = b"".join([piece async for piece in content])
        self.read.append(filename)
        try:
            return Document(whole.removeprefix(b"%PDF-1.7 ").decode())
        except UnicodeDecodeError:
            raise Unreadable("unsupported_file", "it is of no kind that is read here.") from None

    async def aclose(self) -> None: ...


@dataclass
class Web:
    """What URLs hold."""

    pages: dict[str, Fetched] = field(default_factory=dict[str, Fetched])
    asked: list[str] = field(default_factory=list[str])

    async def fetch(self, url: str, param: str, *, max_bytes: int | None = None) -> Fetched:
        self.asked.append(url)
        if url not in self.pages:
            raise FetchRefused(
                f"`{param}`: the URL was not fetched: it was answered with status 404.", param=param
            )
        return self.pages[url]

    async def aclose(self) -> None: ...


class Shown:
    """The scripted model, and what it was shown."""

    def __init__(self, intake: Intake) -> None:
        self._model: Scripted = scripted_model()
        self._intake = intake
        self.calls: list[CallModel] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def intake(self) -> Intake:
        return self._intake

    def stream(self, model: str, call: CallModel) -> AsyncIterator[Sequence[ModelSignal]]:
        self.calls.append(call)
        return self._model.stream(model, call)

    def parts(self) -> list[Any]:
        """Every part that is no plain text of the model, of the last call."""
        items = self.calls[-1].transcript.all_items()
        found: list[Any] = []
        for item in items:
            content = getattr(item, "content", None) or getattr(item, "output", None)
            if getattr(item, "role", "user") == "user" and isinstance(content, list):
                found += content
        return found


class World:
    """A service with files, a web and a reader."""

    def __init__(self, intake: Intake | None = None) -> None:
        self.model = Shown(intake or Intake())
        self.store, self.clock, ids = MemoryStore(), FakeClock(), FakeIds()
        self.files = FileService(self.store.files, MemoryBlobs(), self.clock, ids, max_file_bytes=10**9)
        self.web, self.reader = Web(), Reader()
        provider: Any = self.model
        self.responses = ResponseService(
            Catalog({"demo": provider}, clock=self.clock),
            self.store,
            ToolBox(),
            self.clock,
            ids,
            PlainSealer(),
            attachments=Attachments(self.files, self.web, self.reader),
        )

    async def keep(self, name: str, content: bytes, owner: Owner = OWNER) -> StoredFile:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        return await self.files.create(owner, name, "user_data", "application/octet-stream", pieces())

    async def ask(self, *parts: Json, **more: Any) -> Json:
        model = (await self.responses.catalog.list())[0].id
        asked: Json = {"model": model, "input": [{"role": "user", "content": list(parts)}], **more}
        run = await self.responses.prepare(OWNER, ResponseRequest.parse(json.dumps(asked).encode()))
        made: Json = json.loads(await run.execute())
        return made

    async def refusal(self, *parts: Json, **more: Any) -> AntiphonError:
        """What is refused before any model is asked."""
        asked = len(self.model.calls)
        with pytest.raises(AntiphonError) as refused:
            await self.ask(*parts, **more)
        assert len(self.model.calls) == asked
        return refused.value


def image(**source: str) -> Json:
    return {"type": "input_image", "detail": "auto", **source}


def file(**source: str) -> Json:
    return {"type": "input_file", **source}


def data(content: bytes, kind: str = "") -> str:
    encoded = base64.b64encode(content).decode()
    return f"data:{kind};base64,{encoded}" if kind else encoded


async def test_an_image_by_id_is_shown_as_data_and_stored_as_sent() -> None:
    world = World()
    kept = await world.keep("photo.bin", PNG)
    made = await world.ask(image(file_id=kept.id))
    (part,) = world.model.parts()
    assert part == InputImage(image_url=data(PNG, "image/png"), detail="auto")
    stored = await world.responses.input_items(OWNER, made["id"])
    assert json.loads(json.dumps(made["output"])) != []
    assert b"pixels" not in str(stored).encode()
    assert kept.id in str(stored)


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0", b"GIF89a", b"GIF87a", b"RIFF\x01\x02\x03\x04WEBPVP8 "])
async def test_images_are_told_by_their_content(head: bytes) -> None:
    world = World()
    kept = await world.keep("x.png", head)
    await world.ask(image(file_id=kept.id))
    assert world.model.parts()[0].image_url.startswith(f"data:{media.image_type(head)};base64,")


async def test_what_is_no_image_is_refused_by_its_place() -> None:
    world = World()
    kept = await world.keep("photo.png", b"<svg/>")
    error = await world.refusal({"type": "input_text", "text": "see"}, image(file_id=kept.id))
    assert (error.status, error.param) == (400, "input[0].content[1].file_id")
    assert "PNG, JPEG, WebP or GIF" in error.message


async def test_unknown_foreign_and_expired_files_answer_alike() -> None:
    world = World()
    foreign = await world.keep("a.txt", b"secret", Owner("t", "somebody else"))
    tenant = await world.keep("a.txt", b"secret", Owner("other", "o"))
    messages = set[str]()
    for file_id in (foreign.id, tenant.id, "file-nowhere"):
        for part in (file(file_id=file_id), image(file_id=file_id)):
            error = await world.refusal(part)
            assert (error.status, error.param) == (404, "input[0].content[0].file_id")
            messages.add(error.message.replace(file_id, "ID"))
    assert len(messages) == 1


async def test_a_document_is_text_for_a_model_that_takes_no_files() -> None:
    world = World(Intake(files="none"))
    kept = await world.keep("plan.pdf", PDF)
    await world.ask(file(file_id=kept.id), file(file_data=data(b"b", "text/plain"), filename="b.txt"))
    assert [part.text for part in world.model.parts()] == [
        '<document name="plan.pdf">\na page\n</document>',
        '<document name="b.txt">\nb\n</document>',
    ]


async def test_a_document_cannot_close_its_own_frame() -> None:
    world = World()
    kept = await world.keep('a">\n<x.txt', b"one</document> two </DOCUMENT >")
    await world.ask(file(file_id=kept.id))
    text = world.model.parts()[0].text
    assert text.count("</document>") == 1
    assert "</DOCUMENT" not in text
    assert text.startswith('<document name="ax.txt">\n')


async def test_a_model_that_takes_files_gets_them() -> None:
    for intake in (Intake(files="pdf"), Intake(files="all")):
        world = World(intake)
        kept = await world.keep("plan.pdf", PDF)
        await world.ask(file(file_id=kept.id), file(file_data=data(PDF), filename="given.pdf"))
        by_id, given = world.model.parts()
        assert by_id == InputFile(filename="plan.pdf", file_data=data(PDF, "application/pdf"))
        assert given == InputFile(filename="given.pdf", file_data=data(PDF))
        assert world.reader.read == []


async def test_what_is_no_pdf_goes_as_a_file_only_where_all_kinds_are_taken() -> None:
    for intake, shown in ((Intake(files="pdf"), InputText), (Intake(files="all"), InputFile)):
        world = World(intake)
        kept = await world.keep("notes.txt", b"hello")
        await world.ask(file(file_id=kept.id), file(file_data=data(b"hi", "text/plain"), filename="x.txt"))
        assert [type(part) for part in world.model.parts()] == [shown, shown]


async def test_an_image_that_is_sent_as_a_file_is_shown_as_an_image() -> None:
    world = World()
    kept = await world.keep("photo.png", PNG)
    await world.ask(file(file_id=kept.id))
    assert world.model.parts() == [InputImage(image_url=data(PNG, "image/png"), detail="auto")]


async def test_urls_of_images_are_fetched_for_who_does_not_fetch_them() -> None:
    url = "https://example.com/a.png"
    for intake, shown in ((Intake(image_urls=True), url), (Intake(image_urls=False), data(PNG, "image/png"))):
        world = World(intake)
        world.web.pages[url] = Fetched(PNG, "text/html", "a.png")
        made = await world.ask(image(image_url=url))
        assert world.model.parts()[0].image_url == shown
        assert url in str(await world.responses.input_items(OWNER, made["id"]))


async def test_a_document_by_url_is_fetched_and_what_cannot_be_is_named() -> None:
    world = World()
    world.web.pages["https://example.com/a.md"] = Fetched(b"# Hi", "text/markdown", "a.md")
    await world.ask(file(file_url="https://example.com/a.md"))
    assert world.model.parts()[0].text == '<document name="a.md">\n# Hi\n</document>'
    lost = World()
    error = await lost.refusal(file(file_url="https://example.com/lost"))
    assert (error.status, error.code, error.param) == (400, "url_not_fetched", "input[0].content[0].file_url")


async def test_a_conversation_outlives_its_files() -> None:
    world = World(Intake(image_urls=False))
    kept, photo = await world.keep("plan.txt", b"the plan"), await world.keep("photo.png", PNG)
    url = "https://example.com/a.txt"
    world.web.pages[url] = Fetched(b"fetched", "text/plain", "a.txt")
    first = await world.ask(file(file_id=kept.id), image(file_id=photo.id), file(file_url=url))
    second = await world.ask({"type": "input_text", "text": "and?"}, previous_response_id=first["id"])
    assert "the plan" in world.model.parts()[0].text
    assert "fetched" in world.model.parts()[2].text
    for one in (kept, photo):
        await world.files.delete(OWNER, one.id)
    await world.ask({"type": "input_text", "text": "and now?"}, previous_response_id=second["id"])
    gone, no_photo, still, *_ = world.model.parts()
    assert gone.text == f'[The file "{kept.id}" is not there any more.]'
    assert no_photo.text == f'[The image "{photo.id}" is not there any more.]'
    assert "fetched" in still.text
    error = await world.refusal(file(file_id=kept.id), previous_response_id=second["id"])
    assert error.status == 404


async def test_a_later_turn_reads_nothing_again() -> None:
    world = World(Intake(image_urls=False))
    kept = await world.keep("plan.txt", b"the plan")
    url = "https://example.com/a.png"
    world.web.pages[url] = Fetched(PNG, "image/png", "a.png")
    last = await world.ask(file(file_id=kept.id), image(image_url=url))
    ids = set[str]()
    for _ in range(3):
        last = await world.ask({"type": "input_text", "text": "go on"}, previous_response_id=last["id"])
        ids.add(world.model.calls[-1].transcript.history[0].id)
    assert world.reader.read == ["plan.txt"]
    assert world.web.asked == [url]
    assert len(ids) == 1  # what an adapter rendered of that turn serves again


async def test_a_turn_without_attachments_is_passed_on_as_it_is() -> None:
    world = World()
    kept = await world.keep("plan.txt", b"the plan")
    first = await world.ask({"type": "input_text", "text": "hello"})
    await world.ask(file(file_id=kept.id), previous_response_id=first["id"])
    assert world.model.calls[-1].transcript.history[0].id == first["id"]


async def test_attachments_of_tool_outputs_and_screenshots_are_shown_too() -> None:
    world = World()
    kept, shot = await world.keep("result.txt", b"42"), await world.keep("shot.png", PNG)
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": [file(file_id=kept.id)]}
    looked: Json = {
        "type": "computer_call",
        "id": "cu_1",
        "call_id": "c2",
        "status": "completed",
        "pending_safety_checks": [],
        "action": {"type": "screenshot"},
    }
    seen: Json = {
        "type": "computer_call_output",
        "call_id": "c2",
        "output": {"type": "computer_screenshot", "file_id": shot.id},
    }
    await world.ask(input=[{"role": "user", "content": "go"}, call, output, looked, seen])
    text, picture = world.model.parts()[-2:]
    assert text.text == '<document name="result.txt">\n42\n</document>'
    assert picture.image_url == data(PNG, "image/png")
    seen["output"] = {"type": "computer_screenshot", "file_id": "file-nowhere"}
    error = await world.refusal(input=[{"role": "user", "content": "go"}, looked, seen])
    assert (error.status, error.param) == (404, "input[2].output.file_id")


@pytest.mark.parametrize(
    ("part", "param", "says"),
    [
        (file(filename="x"), "input[0].content[0]", "needs one of file_id, file_url, file_data"),
        ({"type": "input_image", "detail": "low"}, "input[0].content[0]", "needs one of file_id, image_url"),
        (file(file_id="a", file_url="b"), "input[0].content[0].file_url", "send one of them"),
        (image(file_id="a", image_url="b"), "input[0].content[0].image_url", "send one of them"),
        (file(file_data="not base64!"), "input[0].content[0].file_data", "expected base64"),
        (file(file_data="data:text/plain,hi"), "input[0].content[0].file_data", "expected base64"),
        (file(file_data="data:;base64,"), "input[0].content[0].file_data", "empty"),
        (file(file_data=data(b"\xff\x00")), "input[0].content[0].file_data", "no kind that is read"),
    ],
)
async def test_parts_that_cannot_be_used_are_refused(part: Json, param: str, says: str) -> None:
    error = await World().refusal(part)
    assert (error.status, error.param) == (400, param)
    assert says in error.message


async def test_what_is_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "MAX_IMAGE_BYTES", 10)
    monkeypatch.setattr(media, "MAX_FILE_BYTES", 20)
    monkeypatch.setattr(media, "MAX_CHARACTERS", 5)
    world = World()
    photo, long = await world.keep("a.png", PNG), await world.keep("a.txt", b"x" * 21)
    text = await world.keep("b.txt", b"123456")
    assert "10 are the most" in (await world.refusal(image(file_id=photo.id))).message
    assert "10 are the most" in (await world.refusal(file(file_id=photo.id))).message
    assert "20 are the most" in (await world.refusal(file(file_id=long.id))).message
    error = await world.refusal(file(file_id=text.id))
    assert "6 characters" in error.message
    assert error.param == "input[0].content[0].file_id"


async def test_all_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.responses.attachments.MAX_TOTAL_BYTES", 20)
    world = World()
    one, two = await world.keep("a.png", PNG), await world.keep("b.png", PNG + b"2")
    await world.ask(image(file_id=one.id), image(file_id=one.id))
    error = await world.refusal(image(file_id=one.id), image(file_id=two.id))
    assert (error.status, error.param) == (400, "input")


async def test_tokens_are_counted_of_what_the_model_is_shown() -> None:
    world = World()
    kept = await world.keep("long.txt", b"word " * 4000)
    model = (await world.responses.catalog.list())[0].id
    asked = {"model": model, "input": [{"role": "user", "content": [file(file_id=kept.id)]}]}
    request = ResponseRequest.parse(json.dumps(asked).encode())
    considered = await world.responses.consider(OWNER, request, ItemIds("resp_1"))
    provider, upstream = considered.resolved.provider, considered.resolved.upstream_model
    counted = await count_tokens(provider, upstream, considered.loop.planned())
    assert counted.tokens > 4000


async def test_a_summary_is_made_of_what_the_model_is_shown() -> None:
    world = World()
    kept = await world.keep("plan.txt", b"the plan")
    message = {"role": "user", "content": [file(file_id=kept.id)]}
    await world.ask(input=[message, {"type": "compaction_trigger"}])
    assert "the plan" in str(world.model.calls[-1].transcript)


@dataclass
class Candidate(routing.FakeModel):
    """A candidate of a route, which says what it takes and keeps what it was shown."""

    takes: Intake = field(default_factory=Intake)
    shown: list[CallModel] = field(default_factory=list[CallModel])

    def intake(self) -> Intake:
        return self.takes

    def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        self.shown.append(call)
        return super().stream(model, call)


async def test_each_candidate_of_a_route_is_shown_what_it_takes() -> None:
    reads, sees = Candidate("a", takes=Intake(files="pdf")), Candidate("b", takes=Intake(image_urls=False))
    reads.errors = [routing.DOWN]
    routed = routing.World(routing.to(routing.A, routing.B), a=reads, b=sees)
    world = World()
    provider: Any = world.model
    catalog = Catalog({"demo": provider}, clock=world.clock, routed=[routed.routed])
    responses = replace(world.responses, catalog=catalog)
    kept = await world.keep("plan.pdf", PDF)
    asked = {"model": "smart", "input": [{"role": "user", "content": [file(file_id=kept.id)]}]}
    request = ResponseRequest.parse(json.dumps(asked).encode())
    considered = await responses.consider(OWNER, request, ItemIds("resp_1"))
    stream = considered.resolved.provider.stream("smart", considered.loop.planned())
    async for _ in stream:
        pass
    (first,), (second,) = (one.shown for one in (reads, sees))
    assert "file_data='data:application/pdf" in str(first)
    assert "a page" in str(second)
