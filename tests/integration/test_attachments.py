"""Files and images in requests, by the official clients over the installed program: by id, as data and by URL."""

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from aiohttp import web

from bench.program import Program, start_antiphon
from tests import documents
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, sync_client
from tests.integration.conftest import configuration
from tests.integration.sockets import RawSocket
from tests.integration.upstream import Upstream
from tests.threaded_server import ThreadedServer

Json = dict[str, Any]
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
PLAN = "The lighthouse is to be painted in May."


def pdf(text: str) -> bytes:
    """One page that says this."""
    return documents.pdf(
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources%b>>" % documents.FONT,
        documents.stream(f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode()),
    )


class Pages:
    """What the site was asked."""

    def __init__(self) -> None:
        self.requests: list[Json] = []


class Site(ThreadedServer[Pages]):
    """A web site with a picture and a document."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/{name}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self._note(lambda seen: seen.requests.append({"name": name}))
        if name == "photo":
            return web.Response(body=PNG, content_type="text/html")
        if name == "plan.pdf":
            packed = gzip.compress(pdf(PLAN))
            return web.Response(
                body=packed, headers={"content-encoding": "gzip"}, content_type="application/pdf"
            )
        raise web.HTTPNotFound

    def at(self, name: str) -> str:
        return f"{self.url.removesuffix('/v1')}/{name}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(Pages()) as running:
        yield running


@pytest.fixture(scope="module")
def program(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server whose operator lets callers name addresses of loopback."""
    folder = tmp_path_factory.mktemp("attachments")
    egress = 'server: {egress: {allow_private: ["127.0.0.0/8"]}}'
    reading = f"""\
  - provider_id: reader
    provider_type: remote::openai-compatible
    config: {{base_url: "{upstream.url}", wire: chat, capabilities: {{file_parts: true, image_urls: true}}}}
storage:"""
    config = configuration(upstream, folder, egress).replace("storage:", reading)
    with start_antiphon(folder, config) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def files(program: Program) -> Iterator[openai.OpenAI]:
    with sync_client(program.url, Recorder()) as client:
        yield client


@pytest.fixture
def plan(files: openai.OpenAI) -> str:
    return files.files.create(file=("plan.pdf", pdf(PLAN)), purpose="user_data").id


@pytest.fixture
def photo(files: openai.OpenAI) -> str:
    return files.files.create(file=("photo.png", PNG), purpose="vision").id


def user(*parts: Json) -> Any:
    return [{"role": "user", "content": list(parts)}]


def sent(upstream: Upstream) -> list[Json]:
    """The parts of the first message of the user that the model was sent."""
    first = next(one for one in upstream.last_request()["messages"] if one["role"] == "user")
    content = first["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def test_files_and_images_by_id_reach_the_model(
    files: openai.OpenAI, upstream: Upstream, plan: str, photo: str
) -> None:
    parts = [
        {"type": "input_file", "file_id": plan},
        {"type": "input_image", "file_id": photo, "detail": "low"},
        {"type": "input_text", "text": "What is this?"},
    ]
    response = files.responses.create(model="up/echo", input=user(*parts))
    document, image, text = sent(upstream)
    assert document["text"].startswith('<document name="plan.pdf">')
    assert PLAN in document["text"]
    assert image["image_url"] == {"url": data_url("image/png", PNG), "detail": "low"}
    assert text["text"] == "What is this?"
    assert PLAN in response.output_text
    (kept,) = files.responses.input_items.list(response.id).data
    content: Any = kept.to_dict()["content"]
    assert [one.get("file_id") for one in content] == [plan, photo, None]
    assert "file_data" not in content[0]


def test_a_server_that_takes_files_gets_them_whole(
    files: openai.OpenAI, upstream: Upstream, plan: str
) -> None:
    url = "https://example.com/never-fetched-here.png"
    parts = [
        {"type": "input_file", "file_id": plan},
        {"type": "input_image", "image_url": url, "detail": "auto"},
    ]
    files.responses.create(model="reader/echo", input=user(*parts))
    document, image = sent(upstream)
    assert document["file"] == {"filename": "plan.pdf", "file_data": data_url("application/pdf", pdf(PLAN))}
    assert image["image_url"]["url"] == url


def test_data_and_urls_are_read_and_fetched(files: openai.OpenAI, upstream: Upstream, site: Site) -> None:
    parts = [
        {
            "type": "input_file",
            "filename": "a.csv",
            "file_data": data_url("text/csv", b"city,lamp\nOslo,red\n"),
        },
        {"type": "input_file", "file_url": site.at("plan.pdf")},
        {"type": "input_image", "image_url": site.at("photo"), "detail": "auto"},
    ]
    files.responses.create(model="up/echo", input=user(*parts))
    table, document, image = sent(upstream)
    assert "Oslo" in table["text"]
    assert PLAN in document["text"]
    assert image["image_url"]["url"] == data_url("image/png", PNG)


def test_a_chain_a_conversation_and_a_socket_see_the_file_again(
    files: openai.OpenAI, program: Program, upstream: Upstream, plan: str
) -> None:
    first = files.responses.create(model="up/echo", input=user({"type": "input_file", "file_id": plan}))
    files.responses.create(model="up/echo", input="And when?", previous_response_id=first.id)
    assert PLAN in sent(upstream)[0]["text"]
    made = files.conversations.create(items=user({"type": "input_file", "file_id": plan}))
    files.responses.create(model="up/echo", input="And when?", conversation=made.id)
    assert PLAN in sent(upstream)[0]["text"]
    with RawSocket(program.port, Recorder()) as line:
        ended = line.turn("up/echo", user({"type": "input_file", "file_id": plan}), store=False)[-1]
        line.turn("up/echo", "And when?", store=False, previous_response_id=ended["response"]["id"])
        assert PLAN in sent(upstream)[0]["text"]
        refused = line.turn("up/echo", user({"type": "input_file", "file_id": "file-nowhere"}))[-1]
        assert (refused["status"], refused["error"]["param"]) == (404, "input[0].content[0].file_id")


def test_a_deleted_file_is_missed_where_it_was_and_refused_where_it_is_sent(
    files: openai.OpenAI, upstream: Upstream, plan: str
) -> None:
    asked = user({"type": "input_file", "file_id": plan})
    first = files.responses.create(model="up/echo", input=asked)
    files.files.delete(plan)
    files.responses.create(model="up/echo", input="And when?", previous_response_id=first.id)
    assert sent(upstream)[0]["text"] == f'[The file "{plan}" is not there any more.]'
    with pytest.raises(openai.NotFoundError) as refused:
        files.responses.create(model="up/echo", input=asked)
    assert refused.value.param == "input[0].content[0].file_id"


def test_tool_outputs_prompts_and_counts_take_files(
    files: openai.OpenAI, program: Program, upstream: Upstream, plan: str
) -> None:
    call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
    output = {
        "type": "function_call_output",
        "call_id": "c1",
        "output": [{"type": "input_file", "file_id": plan}],
    }
    files.responses.create(model="up/echo", input=[{"role": "user", "content": "go"}, call, output])  # type: ignore[list-item]  # plain JSON
    tool = next(one for one in upstream.last_request()["messages"] if one["role"] == "tool")
    assert PLAN in tool["content"]
    with Raw(program.port, Recorder()) as raw:
        prompt = raw.post("/v1/prompts", {"prompt": "Read {{ it }}.", "variables": ["it"]}).json
        variables = {"it": {"type": "input_file", "file_id": plan}}
        asked = {"model": "up/echo", "prompt": {"id": prompt["prompt_id"], "variables": variables}}
        assert raw.post("/v1/responses", asked).status == 200
        assert PLAN in sent(upstream)[1]["text"]
        counted = raw.post(
            "/v1/responses/input_tokens",
            {"model": "up/echo", "input": user({"type": "input_file", "file_id": plan})},
        )
        assert counted.json["input_tokens"] > len(PLAN) // 5
        compacted = raw.post(
            "/v1/responses/compact",
            {"model": "up/echo", "input": user({"type": "input_file", "file_id": plan})},
        )
        assert compacted.json["output"][0]["content"][0]["file_id"] == plan


@pytest.mark.parametrize(
    ("part", "status", "param", "says"),
    [
        ({"type": "input_file", "file_id": "file-nowhere"}, 404, "file_id", "there is no file"),
        ({"type": "input_image", "file_id": "file-nowhere"}, 404, "file_id", "there is no file"),
        ({"type": "input_file", "file_url": "http://10.0.0.1/a"}, 400, "file_url", "no public address"),
        ({"type": "input_file", "file_url": "file:///etc/passwd"}, 400, "file_url", "http"),
        ({"type": "input_file", "file_url": "{site}/lost"}, 400, "file_url", "status 404"),
        ({"type": "input_image", "image_url": "{site}/plan.pdf"}, 400, "image_url", "no image"),
        ({"type": "input_image", "image_url": "http://169.254.169.254/"}, 400, "image_url", "no public"),
        ({"type": "input_file", "file_data": "****"}, 400, "file_data", "base64"),
        ({"type": "input_file", "file_data": "ICAK"}, 400, "file_data", "no text"),
        ({"type": "input_file", "file_data": "UEsDBBQAAAAA"}, 400, "file_data", "cannot be read"),
    ],
)
def test_what_cannot_be_had_is_refused_and_nothing_is_stored(
    program: Program, upstream: Upstream, site: Site, part: Json, status: int, param: str, says: str
) -> None:
    before = len(upstream.seen.requests)
    part = json.loads(json.dumps(part).replace("{site}", site.at("").rstrip("/")))
    with Raw(program.port, Recorder()) as raw:
        for more in ({}, {"stream": True}):
            answer = raw.post("/v1/responses", {"model": "up/echo", "input": user(part), **more})
            assert answer.status == status, answer.body
            error = answer.json["error"]
            assert error["param"] == f"input[0].content[0].{param}"
            assert says in error["message"]
            assert "127.0.0" not in error["message"]
    assert len(upstream.seen.requests) == before


def test_store_false_leaves_no_byte(
    program: Program, tmp_path_factory: pytest.TempPathFactory, site: Site
) -> None:
    canary = b"canary-4711-of-a-secret"
    parts = [
        {"type": "input_file", "filename": "s.txt", "file_data": data_url("text/plain", canary)},
        {"type": "input_file", "file_url": site.at("plan.pdf")},
    ]
    with Raw(program.port, Recorder()) as raw:
        answer = raw.post("/v1/responses", {"model": "up/echo", "input": user(*parts), "store": False})
        assert canary in answer.body
    folder = next(tmp_path_factory.getbasetemp().glob("attachments*"))
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix != ".log":
            content = path.read_bytes()
            assert canary not in content, path
            assert PLAN.encode() not in content or path.parent.name != "files", path


def test_chat_completions_take_files_too(
    files: openai.OpenAI, upstream: Upstream, plan: str, site: Site
) -> None:
    parts: Any = [
        {"type": "text", "text": "Read:"},
        {"type": "file", "file": {"file_id": plan}},
        {"type": "image_url", "image_url": {"url": site.at("photo"), "detail": "high"}},
    ]
    files.chat.completions.create(model="up/echo", messages=[{"role": "user", "content": parts}], store=True)
    _, document, image = sent(upstream)
    assert PLAN in document["text"]
    assert image["image_url"] == {"url": data_url("image/png", PNG), "detail": "high"}
    files.chat.completions.create(model="reader/echo", messages=[{"role": "user", "content": parts}])
    _, document, image = sent(upstream)
    assert document["file"] == {"filename": "plan.pdf", "file_data": data_url("application/pdf", pdf(PLAN))}
    assert image["image_url"]["url"] == site.at("photo")
    lost: Any = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-nowhere"}}]}]
    with pytest.raises(openai.NotFoundError) as refused:
        files.chat.completions.create(model="up/echo", messages=lost)
    assert refused.value.param == "messages[0].content[0].file.file_id"


def test_the_messages_api_takes_files_and_urls(
    program: Program, upstream: Upstream, plan: str, site: Site
) -> None:
    blocks: Any = [
        {"type": "document", "source": {"type": "file", "file_id": plan}, "title": "The plan"},
        {"type": "document", "source": {"type": "url", "url": site.at("plan.pdf")}},
        {"type": "image", "source": {"type": "url", "url": site.at("photo")}},
    ]
    with anthropic.Anthropic(base_url=program.url.removesuffix("/v1"), api_key="x", max_retries=0) as client:
        client.messages.create(model="up/echo", max_tokens=99, messages=[{"role": "user", "content": blocks}])
        titled, fetched, image = sent(upstream)
        assert titled["text"].startswith('<document name="The plan">')
        assert PLAN in fetched["text"]
        assert image["image_url"]["url"] == data_url("image/png", PNG)
        blocks[0]["source"]["file_id"] = "file-nowhere"
        with pytest.raises(anthropic.NotFoundError) as refused:
            client.messages.create(
                model="up/echo", max_tokens=99, messages=[{"role": "user", "content": blocks}]
            )
        assert "messages.0.content.0" in str(refused.value)
