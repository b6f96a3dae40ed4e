"""An S3 server as a process of its own: moto's."""

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

SECRET = "a-very-secret-key"
BUCKET = "antiphon"


@contextmanager
def s3_server() -> Generator[dict[str, Any], None, None]:
    """A configuration of `remote::s3` that works: the server runs, and the bucket is there."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            config = {
                "bucket_name": BUCKET,
                "region": "us-east-1",
                "endpoint_url": _address(process),
                "aws_access_key_id": "key",
                "aws_secret_access_key": SECRET,
            }
            s3_client(config).create_bucket(Bucket=BUCKET)
            yield config
        finally:
            process.kill()


def _address(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        if found is not None:
            return found[0]
    raise AssertionError("the S3 server did not begin to listen")


def s3_client(config: dict[str, Any]) -> Any:
    """A client of Amazon's, to look into the bucket with."""
    boto3: Any = import_module("boto3")  # it has no types
    return boto3.client(
        "s3",
        endpoint_url=config["endpoint_url"],
        region_name=config["region"],
        aws_access_key_id=config["aws_access_key_id"],
        aws_secret_access_key=config["aws_secret_access_key"],
    )


def keys_in(config: dict[str, Any]) -> list[str]:
    return [one["Key"] for one in s3_client(config).list_objects_v2(Bucket=BUCKET).get("Contents", ())]
