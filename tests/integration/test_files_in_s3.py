"""A server whose files are in a bucket, of a real S3 server process."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import sync_client
from tests.integration.test_files import MB, begin_upload
from tests.s3_server import BUCKET, SECRET, keys_in, s3_client, s3_server


@pytest.fixture(scope="module")
def bucket() -> Iterator[dict[str, Any]]:
    with s3_server() as config:
        yield config


def configuration(folder: Path, bucket: dict[str, Any]) -> str:
    files = [{"provider_id": "bucket", "provider_type": "remote::s3", "config": {**bucket, "prefix": "ours"}}]
    scripted = [{"provider_id": "scripted", "provider_type": "inline::scripted"}]
    document = {
        "version": 2,
        "providers": {"inference": scripted, "files": files},
        "storage": {"url": f"sqlite:///{folder}/antiphon.db"},
    }
    return json.dumps(document)  # which is YAML too


@pytest.fixture
def server(tmp_path: Path, bucket: dict[str, Any]) -> Iterator[Program]:
    with start_antiphon(tmp_path, configuration(tmp_path, bucket)) as program:
        program.wait_ready()
        yield program


def test_files_and_uploads_are_objects_and_nothing_is_left_over(
    server: Program, bucket: dict[str, Any], recorder: Recorder
) -> None:
    others = set(keys_in(bucket))
    data = bytes(range(256)) * 50_000  # more than one chunk
    with sync_client(server.url, recorder) as client:
        file = client.files.create(file=("large.bin", data), purpose="user_data")
        (key,) = set(keys_in(bucket)) - others
        assert key.startswith("ours/")
        assert client.files.content(file.id).read() == data
        some = client.files.content(file.id, extra_headers={"range": "bytes=9000000-9000009"})
        assert some.read() == data[9_000_000:9_000_010]
        upload = client.uploads.upload_file_chunked(
            file=data,
            filename="parts.bin",
            bytes=len(data),
            mime_type="application/octet-stream",
            purpose="assistants",
            part_size=4_000_000,
        )
        assert upload.file is not None
        assert len(set(keys_in(bucket)) - others) == 2
        assert client.files.content(upload.file.id).read() == data
        for one in (file.id, upload.file.id):
            client.files.delete(one)
    assert set(keys_in(bucket)) == others
    assert SECRET not in server.output


def test_a_client_that_leaves_in_the_middle_leaves_no_object(server: Program, bucket: dict[str, Any]) -> None:
    before = set(keys_in(bucket))
    open_uploads = s3_client(bucket).list_multipart_uploads
    with begin_upload(server.port, 20 * MB):
        assert eventually(lambda: "Uploads" in open_uploads(Bucket=BUCKET))
    assert eventually(lambda: "Uploads" not in open_uploads(Bucket=BUCKET))
    assert set(keys_in(bucket)) == before


def test_a_bucket_that_is_gone_is_503_and_nothing_is_listed(
    tmp_path: Path, bucket: dict[str, Any], recorder: Recorder
) -> None:
    wrong = {**bucket, "bucket_name": "nowhere"}
    with start_antiphon(tmp_path, configuration(tmp_path, wrong)) as server:
        server.wait_ready()
        with sync_client(server.url, recorder) as client:
            with pytest.raises(openai.InternalServerError) as caught:
                client.files.create(file=("x.txt", b"x"), purpose="user_data")
            assert (caught.value.status_code, caught.value.code) == (503, "file_storage_unavailable")
            assert list(client.files.list()) == []
        assert SECRET not in server.output


def eventually(holds: Any) -> bool:
    for _ in range(1000):
        if holds():
            return True
        threading.Event().wait(0.02)
    return False
