"""Files and uploads through the official client and over plain HTTP, on a server process and an embedded one."""

import hashlib
import io
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import LIMIT_S, Raw, sync_client
from tests.integration.conftest import StartServer
from tests.integration.test_keys import KEYS

Json = dict[str, Any]
MB = 1024 * 1024
SMALL = "server: {limits: {max_file_bytes: 2000, max_upload_bytes: 5000}}"


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def small(small_folder: Path) -> Iterator[Program]:
    """A server that takes small files alone."""
    with start_antiphon(small_folder, state(small_folder, SMALL)) as program:
        program.wait_ready()
        yield program


def state(folder: Path, more: str = "") -> str:
    provider = "{provider_id: scripted, provider_type: 'inline::scripted'}"
    return f'version: 2\n{more}\nproviders: {{inference: [{provider}]}}\nstorage: {{url: "sqlite:///{folder}/antiphon.db"}}\n'


def blobs_in(folder: Path) -> list[Path]:
    return [one for one in (folder / "files").rglob("*") if one.is_file()]


# --- the official client -----------------------------------------------------------------------------------------
def test_a_file_is_uploaded_got_read_listed_and_deleted(client: openai.OpenAI) -> None:
    data = bytes(range(256)) * 1000
    made = client.files.create(
        file=("notes ☃.txt", data),
        purpose="user_data",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (made.filename, made.bytes, made.purpose) == ("notes ☃.txt", len(data), "user_data")
    assert made.expires_at == made.created_at + 3600
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).read() == data
    assert made in list(client.files.list(purpose="user_data"))
    assert client.files.delete(made.id).deleted
    for gone in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            gone(made.id)
        assert caught.value.param == "file_id"


def test_a_file_is_taken_in_every_form_that_the_client_sends(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "from a path.md"
    path.write_bytes(b"# one")
    with path.open("rb") as opened:
        forms: list[Any] = [path, opened, b"raw", io.BytesIO(b"a stream"), ("named.csv", b"a,b", "text/csv")]
        made = [client.files.create(file=one, purpose="assistants") for one in forms]
    names = ["from a path.md", "from a path.md", "upload", "upload", "named.csv"]
    assert [one.filename for one in made] == names
    data = [b"# one", b"# one", b"raw", b"a stream", b"a,b"]
    assert [client.files.content(one.id).read() for one in made] == data
    for one in made:
        client.files.delete(one.id)


def test_lists_are_paged_both_ways(client: openai.OpenAI) -> None:
    made = [client.files.create(file=(f"{at}.txt", b"x"), purpose="vision").id for at in range(5)]
    page = client.files.list(purpose="vision", limit=2, order="asc")
    assert page.has_more
    assert [one.id for one in page] == made
    first = client.files.list(purpose="vision", limit=2)
    assert [one.id for one in first.data] == made[:2:-1]
    assert [one.id for one in client.files.list(purpose="vision", after=made[2])] == made[1::-1]
    assert not client.files.list(purpose="vision").has_more
    for one in made:
        client.files.delete(one)
    assert list(client.files.list(purpose="vision")) == []


def test_files_for_batches_expire_after_thirty_days_unless_told_otherwise(client: openai.OpenAI) -> None:
    made = client.files.create(file=("b.jsonl", b"{}"), purpose="batch")
    assert made.expires_at == made.created_at + 30 * 86_400
    client.files.delete(made.id)


def test_a_file_comes_in_parts(client: openai.OpenAI) -> None:
    data = hashlib.sha512(b"seed").digest() * 5000
    done = client.uploads.upload_file_chunked(
        file=data,
        filename="large.bin",
        mime_type="application/octet-stream",
        purpose="assistants",
        bytes=len(data),
        part_size=70_000,
        md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
    )
    assert done.status == "completed"
    assert done.file is not None
    assert (done.file.filename, done.file.bytes, done.file.purpose) == ("large.bin", len(data), "assistants")
    assert client.files.content(done.file.id).read() == data
    client.files.delete(done.file.id)


async def test_parts_come_at_once_and_in_any_order(aclient: openai.AsyncOpenAI) -> None:
    import asyncio

    pieces = [bytes([65 + at]) * (1000 + at) for at in range(8)]
    upload = await aclient.uploads.create(
        filename="x.txt", purpose="assistants", bytes=sum(map(len, pieces)), mime_type="text/plain"
    )
    assert (upload.status, upload.file) == ("pending", None)
    assert upload.expires_at == upload.created_at + 3600
    adding = (aclient.uploads.parts.create(upload.id, data=piece) for piece in reversed(pieces))
    parts = list(reversed(await asyncio.gather(*adding)))
    done = await aclient.uploads.complete(upload.id, part_ids=[one.id for one in parts])
    assert done.file is not None
    assert (await aclient.files.content(done.file.id)).read() == b"".join(pieces)
    again = await aclient.uploads.complete(upload.id, part_ids=[one.id for one in parts])
    assert again == done
    with pytest.raises(openai.ConflictError):
        await aclient.uploads.cancel(upload.id)
    with pytest.raises(openai.ConflictError):
        await aclient.uploads.parts.create(upload.id, data=b"late")
    await aclient.files.delete(done.file.id)


def test_an_upload_that_was_cancelled_takes_nothing_more(client: openai.OpenAI) -> None:
    upload = client.uploads.create(filename="x", purpose="assistants", bytes=1, mime_type="text/plain")
    part = client.uploads.parts.create(upload.id, data=b"x")
    assert client.uploads.cancel(upload.id).status == "cancelled"
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.ConflictError):
        client.uploads.complete(upload.id, part_ids=[part.id])
    with pytest.raises(openai.ConflictError):
        client.uploads.parts.create(upload.id, data=b"x")


def test_the_old_prefix_of_llama_stack_leads_there_too(client: openai.OpenAI) -> None:
    old = client.with_options(base_url=str(client.base_url).replace("/v1/", "/v1/openai/v1/"))
    made = old.files.create(file=("x.txt", b"x"), purpose="assistants")
    assert client.files.retrieve(made.id) == made
    assert old.files.content(made.id).read() == b"x"
    old.files.delete(made.id)


# --- plain HTTP --------------------------------------------------------------------------------------------------
def form(*parts: tuple[str, bytes], boundary: str = "here") -> tuple[bytes, dict[str, str]]:
    """A form of parts: what stands behind `form-data; `, and the content."""
    body = b"".join(
        f"--{boundary}\r\ncontent-disposition: form-data; {head}\r\n\r\n".encode() + data + b"\r\n"
        for head, data in parts
    )
    return body + f"--{boundary}--\r\n".encode(), {
        "content-type": f"multipart/form-data; boundary={boundary}"
    }


FILE = ('name="file"; filename="a.txt"', b"hello")
PURPOSE = ('name="purpose"', b"user_data")


def create(raw: Raw, *parts: tuple[str, bytes]) -> Any:
    body, headers = form(*parts)
    return raw.send("POST", "/v1/files", body, headers)


def test_fields_come_in_any_order_and_expiry_in_either_form(raw: Raw) -> None:
    two = [('name="expires_after[anchor]"', b"created_at"), ('name="expires_after[seconds]"', b"7200")]
    as_json = [('name="expires_after"', b'{"anchor": "created_at", "seconds": 7200}')]
    for parts in ([FILE, PURPOSE, *two], [*reversed(two), FILE, PURPOSE], [*as_json, PURPOSE, FILE]):
        made = create(raw, *parts)
        assert made.status == 200, made.body
        assert made.json["expires_at"] == made.json["created_at"] + 7200
        raw.send("DELETE", f"/v1/files/{made.json['id']}")


def test_a_download_is_safe_whatever_was_uploaded(raw: Raw) -> None:
    head = 'name="file"; filename="x%22; y=\\"é.html"\r\ncontent-type: text/html'
    made = create(raw, (head, b"<script>alert(1)</script>"), PURPOSE).json
    assert made["filename"] == 'x"; y="é.html'
    answer = raw.get(f"/v1/files/{made['id']}/content")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    disposition = "attachment; filename=\"x_; y=__.html\"; filename*=UTF-8''x%22%3B%20y%3D%22%C3%A9.html"
    assert answer.headers["content-disposition"] == disposition
    raw.send("DELETE", f"/v1/files/{made['id']}")


def test_ranges(raw: Raw) -> None:
    made = create(raw, (FILE[0], b"0123456789"), PURPOSE).json
    path = f"/v1/files/{made['id']}/content"
    whole = raw.get(path)
    etag = whole.headers["etag"]
    expected = {
        "bytes=0-3": b"0123",
        "bytes=4-": b"456789",
        "bytes=-2": b"89",
        "bytes=8-100": b"89",
        "bytes=-100": b"0123456789",
    }
    for asked, body in expected.items():
        answer = raw.send("GET", path, headers={"range": asked})
        assert (answer.status, answer.body) == (206, body), asked
        start = b"0123456789".index(body)
        assert answer.headers["content-range"] == f"bytes {start}-{start + len(body) - 1}/10"
    for ignored in ("bytes=0-1,4-5", "lines=1-2"):
        answer = raw.send("GET", path, headers={"range": ignored})
        assert (answer.status, answer.body) == (200, b"0123456789"), ignored
    for behind in ("bytes=10-", "bytes=10-12", "bytes=-0", "bytes=9999999999999999999-"):
        answer = raw.send("GET", path, headers={"range": behind})
        assert (answer.status, answer.error["code"]) == (416, "range_not_satisfiable"), behind
        assert answer.headers["content-range"] == "bytes */10"
    for wrong in ("bytes=3-1", "bytes=a-b", "bytes=", "bytes=-", "bytes=1"):
        answer = raw.send("GET", path, headers={"range": wrong})
        assert (answer.status, answer.error["param"]) == (400, "range"), wrong
    assert raw.send("GET", path, headers={"range": "bytes=0-1", "if-range": etag}).status == 206
    assert raw.send("GET", path, headers={"range": "bytes=0-1", "if-range": '"other"'}).status == 200
    seen = raw.send("GET", path, headers={"if-none-match": f'"other", {etag}'})
    assert (seen.status, seen.body) == (304, b"")
    head = raw.send("HEAD", path)
    assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")
    raw.send("DELETE", path.removesuffix("/content"))


NAMED = 'name="file"; filename='
REFUSED: list[tuple[str, list[tuple[str, bytes]], str | None, str]] = [
    ("no file", [PURPOSE], "file", "no file"),
    ("nothing", [], "file", "no file"),
    ("two files", [FILE, PURPOSE, FILE], "file", "twice"),
    ("two purposes", [FILE, PURPOSE, PURPOSE], "purpose", "twice"),
    ("empty", [('name="file"; filename="a"', b""), PURPOSE], "file", "empty"),
    ("no purpose", [FILE], "purpose", "required"),
    ("unknown purpose", [FILE, ('name="purpose"', b"fun")], "purpose", "fun"),
    ("output purpose", [FILE, ('name="purpose"', b"batch_output")], "purpose", "made by the server"),
    ("unknown field", [FILE, PURPOSE, ('name="color"', b"red")], "color", "no field"),
    ("a text", [('name="file"', b"hello"), PURPOSE], "file", "filename"),
    ("a long field", [('name="purpose"', b"x" * 5000), FILE], "purpose", "more than"),
    ("no UTF-8", [('name="purpose"', b"\xff"), FILE], "purpose", "UTF-8"),
    (
        "no anchor",
        [FILE, PURPOSE, ('name="expires_after[seconds]"', b"3600")],
        "expires_after.anchor",
        "required",
    ),
    (
        "a word for seconds",
        [FILE, PURPOSE, ('name="expires_after[seconds]"', b"soon")],
        "expires_after.seconds",
        "JSON",
    ),
    (
        "too short a life",
        [FILE, PURPOSE, ('name="expires_after"', b'{"anchor":"created_at","seconds":3599}')],
        "expires_after.seconds",
        "3600",
    ),
    ("too many parts", [FILE, PURPOSE, *[(f'name="{at}"', b"") for at in range(20)]], None, ""),
    ("path", [(NAMED + '"../../etc/passwd"', b"x"), PURPOSE], "file", "no path"),
    ("path of Windows", [(NAMED + '"C:\\temp\\x"', b"x"), PURPOSE], "file", "no path"),
    ("dots", [(NAMED + '".."', b"x"), PURPOSE], "file", "no path"),
    ("no name", [(NAMED + '""', b"x"), PURPOSE], "file", "has a name"),
    ("a long name", [(NAMED + f'"{"x" * 256}"', b"x"), PURPOSE], "file", "255"),
    ("NUL", [(NAMED + '"a\x00.txt"', b"x"), PURPOSE], "file", "U+0000"),
    ("line break", [(NAMED + '"a%0D%0Ab"', b"x"), PURPOSE], "file", "U+000D"),
    ("turned around", [(NAMED + '"txt.\u202eexe"', b"x"), PURPOSE], "file", "U+202E"),
    ("extended path", [("name=\"file\"; filename*=UTF-8''..%2Fx", b"x"), PURPOSE], "file", "no path"),
    ("extended rubbish", [("name=\"file\"; filename*=UTF-8''%ff", b"x"), PURPOSE], "file", "utf-8"),
    ("nameless part", [('filename="x"', b"x"), PURPOSE], None, "no name"),
    ("two names", [('name="file"; name="purpose"; filename="x"', b"x"), PURPOSE], None, "twice"),
    (
        "base64",
        [('name="file"; filename="x"\r\ncontent-transfer-encoding: base64', b"eA=="), PURPOSE],
        "file",
        "base64",
    ),
]


@pytest.mark.parametrize(
    ("parts", "param", "says"), [one[1:] for one in REFUSED], ids=[one[0] for one in REFUSED]
)
def test_a_form_that_makes_no_sense_is_refused_by_its_field(
    small: Program,
    small_folder: Path,
    recorder: Recorder,
    parts: list[tuple[str, bytes]],
    param: str | None,
    says: str,
) -> None:
    with Raw(small.port, recorder) as raw:
        answer = create(raw, *parts)
        assert (answer.status, answer.error["type"]) == (400, "invalid_request_error"), answer.body
        assert says.lower() in answer.error["message"].lower()
        if param is not None:
            assert answer.error["param"] == param
        assert raw.get("/v1/files").json["data"] == []
    assert blobs_in(small_folder) == []


def test_bodies_that_are_no_forms_are_refused(small: Program, recorder: Recorder) -> None:
    whole, headers = form(FILE, PURPOSE)
    media = headers["content-type"]
    cases: list[tuple[bytes, Json, int]] = [
        (b"{}", {"content-type": "application/json"}, 415),
        (b"a=b", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (whole, {"content-type": media, "content-encoding": "gzip"}, 415),
        (whole, {"content-type": "multipart/mixed; boundary=here"}, 415),
        (whole, {"content-type": "multipart/form-data"}, 400),
        (whole, {"content-type": 'multipart/form-data; boundary=""'}, 400),
        (whole, {"content-type": f"multipart/form-data; boundary={'x' * 200}"}, 400),
        (whole, {"content-type": "multipart/form-data; boundary=there"}, 400),
        (b"", {"content-type": media}, 400),
        (b"--here", {"content-type": media}, 400),
        (b"rubbish", {"content-type": media}, 400),
        (whole[:-10], {"content-type": media}, 400),
        (b"--here\r\n" + b"a" * 9000 + b": b\r\n\r\nx\r\n--here--\r\n", {"content-type": media}, 400),
        (b"--here\r\n" + b"a: b\r\n" * 20 + b"\r\nx\r\n--here--\r\n", {"content-type": media}, 400),
    ]
    with Raw(small.port, recorder) as raw:
        for body, sent, status in cases:
            answer = raw.send("POST", "/v1/files", body, sent)
            assert answer.status == status, (body[:40], answer.body)
            assert answer.error["message"]
        assert raw.get("/v1/files").json["data"] == []


def test_what_is_too_large_is_413(small: Program, recorder: Recorder) -> None:
    with Raw(small.port, recorder) as raw:
        assert create(raw, (FILE[0], b"x" * 2000), PURPOSE).status == 200
        for size in (2001, 50_000):
            answer = create(raw, (FILE[0], b"x" * size), PURPOSE)
            assert (answer.status, answer.error["param"]) == (413, "file")
        (kept,) = raw.get("/v1/files").json["data"]
        assert raw.send("DELETE", f"/v1/files/{kept['id']}").status == 200
        upload = {"filename": "x", "purpose": "batch", "bytes": 5001, "mime_type": "text/plain"}
        answer = raw.post("/v1/uploads", upload)
        assert (answer.status, answer.error["param"]) == (413, "bytes")
        made = raw.post("/v1/uploads", {**upload, "bytes": 5000}).json
        body, headers = form(('name="data"; filename="upload"', b"x" * 2001))
        answer = raw.send("POST", f"/v1/uploads/{made['id']}/parts", body, headers)
        assert (answer.status, answer.error["param"]) == (413, "data")
        raw.post(f"/v1/uploads/{made['id']}/cancel", b"")


def test_a_body_that_announces_too_much_is_refused_before_it_comes(small: Program) -> None:
    with socket.create_connection(("127.0.0.1", small.port), timeout=LIMIT_S) as connection:
        media = "multipart/form-data; boundary=x"
        head = (
            f"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: {media}\r\ncontent-length: 99000000\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


UPLOAD = {"filename": "x.txt", "purpose": "assistants", "bytes": 4, "mime_type": "text/plain"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"filename": "a/b"}, "filename"),
        ({"filename": ""}, "filename"),
        ({"bytes": 0}, "bytes"),
        ({"bytes": "4"}, "bytes"),
        ({"purpose": "batch_output"}, "purpose"),
        ({"mime_type": None}, "mime_type"),
        ({"expires_after": {"anchor": "created_at", "seconds": 5}}, "expires_after.seconds"),
        ({"color": "red"}, "color"),
    ],
)
def test_an_upload_that_makes_no_sense_is_refused_by_its_field(raw: Raw, change: Json, param: str) -> None:
    answer = raw.post("/v1/uploads", {**UPLOAD, **change})
    assert (answer.status, answer.error["param"]) == (400, param), answer.body


def test_completing_is_refused_for_wrong_parts_and_may_be_tried_again(raw: Raw) -> None:
    path = f"/v1/uploads/{raw.post('/v1/uploads', UPLOAD).json['id']}"
    ids = list[str]()
    for piece in (b"ab", b"cd", b"x"):
        body, headers = form(('name="data"; filename="upload"', piece))
        ids.append(raw.send("POST", f"{path}/parts", body, headers).json["id"])
    cases: list[tuple[Json, str]] = [
        ({"part_ids": []}, "part_ids"),
        ({}, "part_ids"),
        ({"part_ids": ids[:1]}, "part_ids"),
        ({"part_ids": ids}, "part_ids"),
        ({"part_ids": [ids[0], ids[0]]}, "part_ids[1]"),
        ({"part_ids": [ids[0], "part_none"]}, "part_ids[1]"),
        ({"part_ids": ids[:2], "md5": "00" * 16}, "md5"),
        ({"part_ids": ids[:2], "md5": "no"}, "md5"),
        ({"part_ids": ids[:2], "more": 1}, "more"),
    ]
    for body_sent, param in cases:
        answer = raw.post(f"{path}/complete", body_sent)
        assert (answer.status, answer.error["param"]) == (400, param), answer.body
    for parts, param in (([], "data"), ([('name="file"', b"x")], "file"), ([('name="data"', b"")], "data")):
        body, headers = form(*parts)
        answer = raw.send("POST", f"{path}/parts", body, headers)
        assert (answer.status, answer.error["param"]) == (400, param), answer.body
    body, headers = form(('name="data"', b"x"), ('name="data"', b"y"))
    assert raw.send("POST", f"{path}/parts", body, headers).status == 400
    done = raw.post(f"{path}/complete", {"part_ids": [ids[1], ids[0]]})
    file_id = done.json["file"]["id"]
    assert raw.get(f"/v1/files/{file_id}/content").body == b"cdab"
    raw.send("DELETE", f"/v1/files/{file_id}")
    assert "file" not in raw.post(f"{path}/complete", {"part_ids": ids}).json


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "limit=x", "order=up", "purpose=fun", "after=file-none", "before=x"]
)
def test_a_list_that_makes_no_sense_is_refused_by_its_parameter(raw: Raw, query: str) -> None:
    answer = raw.get(f"/v1/files?{query}")
    assert (answer.status, answer.error["param"]) == (400, query.partition("=")[0])


def test_nobody_reaches_the_files_and_uploads_of_others(
    start_server: StartServer, recorder: Recorder
) -> None:
    server = start_server(KEYS)
    ann, bob, cyd = (
        sync_client(server.url, recorder, api_key=f"key-of-{name}") for name in ("ann", "bob", "cyd")
    )
    file = ann.files.create(file=("a.txt", b"secret"), purpose="user_data")
    upload = ann.uploads.create(filename="b", purpose="assistants", bytes=1, mime_type="text/plain")
    part = ann.uploads.parts.create(upload.id, data=b"x")
    for stranger in (bob, cyd):
        parts, uploads = stranger.uploads.parts, stranger.uploads
        attempts: list[Callable[[], object]] = [
            partial(stranger.files.retrieve, file.id),
            partial(stranger.files.content, file.id),
            partial(stranger.files.delete, file.id),
            partial(parts.create, upload.id, data=b"x"),
            partial(uploads.complete, upload.id, part_ids=[part.id]),
            partial(uploads.cancel, upload.id),
        ]
        for attempt in attempts:
            with pytest.raises(openai.NotFoundError):
                attempt()
        assert list(stranger.files.list()) == []
        with pytest.raises(openai.BadRequestError):
            stranger.files.list(after=file.id)
    own = bob.uploads.create(filename="b", purpose="assistants", bytes=1, mime_type="text/plain")
    with pytest.raises(openai.BadRequestError):
        bob.uploads.complete(own.id, part_ids=[part.id])
    assert ann.uploads.complete(upload.id, part_ids=[part.id]).file is not None
    for one in (ann, bob, cyd):
        one.close()


# --- what breaks off ---------------------------------------------------------------------------------------------
def begin_upload(port: int, announced: int) -> socket.socket:
    """A connection on which half a file was sent."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
    body, headers = form(PURPOSE, FILE)
    sent = body.removesuffix(b"\r\n--here--\r\n") + b"x" * announced
    head = f"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: {headers['content-type']}\r\n"
    head += f"content-length: {2 * announced}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def await_files(folder: Path, *, there: bool) -> None:
    """Until a file is being written, or none is."""
    for _ in range(3000):
        if bool(blobs_in(folder)) is there:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"files there: {blobs_in(folder)}")


def test_a_client_that_leaves_in_the_middle_leaves_no_file(tmp_path: Path, recorder: Recorder) -> None:
    with start_antiphon(tmp_path, state(tmp_path)) as server:
        server.wait_ready()
        connection = begin_upload(server.port, MB)
        await_files(tmp_path, there=True)
        connection.close()
        await_files(tmp_path, there=False)
        with Raw(server.port, recorder) as raw:
            assert raw.get("/v1/files").json["data"] == []


def test_a_server_that_is_killed_in_the_middle_has_nothing_left_after_the_next_start(
    tmp_path: Path, recorder: Recorder
) -> None:
    with start_antiphon(tmp_path, state(tmp_path)) as server:
        server.wait_ready()
        with sync_client(server.url, recorder) as client:
            kept = client.files.create(file=("kept.txt", b"kept"), purpose="user_data")
            with begin_upload(server.port, 3 * MB):
                for _ in range(3000):
                    if len(blobs_in(tmp_path)) == 2:
                        break
                    threading.Event().wait(0.01)
                server.kill()
    assert len(blobs_in(tmp_path)) == 2
    with start_antiphon(tmp_path, state(tmp_path)) as server:
        server.wait_ready()
        for _ in range(3000):
            if len(blobs_in(tmp_path)) == 1:
                break
            threading.Event().wait(0.01)
        assert len(blobs_in(tmp_path)) == 1
        with sync_client(server.url, recorder) as client:
            assert [one.id for one in client.files.list()] == [kept.id]
            assert client.files.content(kept.id).read() == b"kept"


def test_a_large_file_passes_through_little_memory(tmp_path: Path) -> None:
    """150 MB in and out: the server grows by less than a tenth of it."""
    import http.client

    size, piece = 150 * MB, b"x" * MB
    with start_antiphon(tmp_path, state(tmp_path)) as server:
        server.wait_ready()
        with Raw(server.port, Recorder()) as raw:
            assert create(raw, FILE, PURPOSE).status == 200
        before = server.rss_mb()
        body, headers = form(PURPOSE, FILE)
        start, end = body[: -len(b"\r\n--here--\r\n")], b"\r\n--here--\r\n"
        peak = before
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT_S)

        def content() -> Iterator[bytes]:
            nonlocal peak
            yield start
            for _ in range(size // MB):
                yield piece
                peak = max(peak, server.rss_mb())
            yield end

        length = str(len(start) + size + len(end))
        connection.request("POST", "/v1/files", content(), {**headers, "content-length": length})
        response = connection.getresponse()
        made = response.read().decode()
        assert response.status == 200, made
        file_id = made.partition('"id":"')[2].partition('"')[0]
        connection.request("GET", f"/v1/files/{file_id}/content")
        response = connection.getresponse()
        got = 0
        while taken := response.read(MB):
            got += len(taken)
            peak = max(peak, server.rss_mb())
        connection.close()
        assert got == size + len(b"hello")
        assert peak - before < 15


def test_bytes_that_somebody_removed_or_cut_are_an_error_and_not_an_empty_file(
    start_server: StartServer, tmp_path: Path, recorder: Recorder
) -> None:
    server = start_server()
    with Raw(server.port, recorder) as raw:
        path = f"/v1/files/{create(raw, FILE, PURPOSE).json['id']}"
        (blob,) = blobs_in(tmp_path)
        blob.write_bytes(b"")
        answer = raw.get(f"{path}/content")
        assert (answer.status, answer.error["code"]) == (503, "file_storage_unavailable")
        blob.unlink()
        answer = raw.get(f"{path}/content")
        assert (answer.status, answer.error["code"]) == (503, "file_storage_unavailable")
        assert str(tmp_path) not in answer.error["message"]
        assert raw.send("DELETE", path).status == 200
