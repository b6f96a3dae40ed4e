"""The child: loads models when they are first asked for, and embeds texts, one job after the other.

Frames come in on stdin and go out on what was stdout; whatever the libraries print goes to stderr. It ends with its
stdin, so never outlives the server.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, BinaryIO

import msgspec

from antiphon.providers.sentence_transformers.jobs import LENGTH_BYTES, Answer, Done, Failed, Job, Load, frame

_JOBS = msgspec.msgpack.Decoder(Job)


def main() -> None:
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        loaded: dict[str, Any] = {}
        while (job := _next(sys.stdin.buffer)) is not None:
            answers.write(frame(_done(job, loaded)))
            answers.flush()


def _next(jobs: BinaryIO) -> Job | None:
    """None at the end."""
    length = jobs.read(LENGTH_BYTES)
    data = jobs.read(int.from_bytes(length))
    if len(length) < LENGTH_BYTES or len(data) < int.from_bytes(length):
        return None
    return _JOBS.decode(data)


def _done(job: Job, loaded: dict[str, Any]) -> Answer:
    try:
        if job.load.name not in loaded:
            loaded[job.load.name] = _loaded(job.load)
    except Exception as error:  # noqa: BLE001  whatever the library raises is said, and the next job may do
        return Failed(number=job.number, kind="not_loaded", message=f"could not be loaded: {_said(error)}")
    try:
        return _embedded(job, loaded[job.load.name])
    except Exception as error:  # noqa: BLE001  as above
        return Failed(number=job.number, kind="failed", message=f"failed: {_said(error)}")


def _loaded(load: Load) -> Any:
    library: Any = import_module("sentence_transformers")
    given = {
        "revision": load.revision,
        "device": load.device,
        "cache_folder": load.cache_dir,
        "local_files_only": load.offline,
        "trust_remote_code": load.trust_remote_code,
    }
    return library.SentenceTransformer(load.source, **given)


def _embedded(job: Job, model: Any) -> Answer:
    lengths = _lengths(model, job.texts)
    limit = getattr(model, "max_seq_length", None)
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    if limit and lengths[longest] > limit:
        message = f"takes {int(limit)} tokens, and input {longest} has {lengths[longest]}"
        return Failed(number=job.number, kind="too_long", message=message)
    made = model.encode(
        job.texts, batch_size=job.load.batch, convert_to_numpy=True, show_progress_bar=False
    ).astype("<f4")
    return Done(number=job.number, size=made.shape[1], tokens=sum(lengths), vectors=made.tobytes())


def _lengths(model: Any, texts: list[str]) -> list[int]:
    """In tokens, before anything is cut off: the library cuts without a word."""
    tokenizer = model.tokenizer
    if hasattr(tokenizer, "encode_batch"):  # of models that are a table of vectors
        return [len(one.ids) for one in tokenizer.encode_batch(texts)]
    encoded: Mapping[str, list[list[int]]] = tokenizer(texts, truncation=False, padding=False, verbose=False)
    return [len(one) for one in encoded["input_ids"]]


def _said(error: Exception) -> str:
    """On one line, and not too much of it."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}"


if __name__ == "__main__":
    main()
