"""`hf:` references: which file they mean, and how it comes here, over a hub on loopback."""

import asyncio
import io
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.core.errors import (
    ProviderAuthFailed,
    ProviderModelUnknown,
    ProviderProtocolError,
    ProviderUnavailable,
)
from antiphon.providers.llama_cpp import download
from antiphon.providers.llama_cpp.download import Downloader, locked
from antiphon.providers.llama_cpp.hub import Hub
from antiphon.providers.llama_cpp.hub_files import (
    BadReference,
    HubFile,
    HubReference,
    NoSuchFile,
    choose,
    quant_of,
)
from antiphon.providers.llama_cpp.progress import ProgressPrinter
from antiphon.providers.upstream import UpstreamClient
from antiphon.system import SystemClock
from tests.hub import FakeHub

CONTENT = b"GGUF" + random.Random(1).randbytes(300_000)
NAME = "Tiny-Q4_K_M.gguf"
REFERENCE = HubReference.parse("hf:acme/Tiny-GGUF")


async def no_sleep(_: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
async def client() -> AsyncIterator[UpstreamClient]:
    made = UpstreamClient(SystemClock(), sleep=no_sleep)
    yield made
    await made.aclose()


def quiet(name: str, done: int, total: int | None) -> None:
    """A meter that nobody reads."""


async def fetch(
    hub: FakeHub, client: UpstreamClient, folder: Path, reference: str = "hf:acme/Tiny-GGUF", token: str = ""
) -> Path:
    return await Downloader(Hub(client, hub.url, token), folder).fetch(
        HubReference.parse(reference), hub.took
    )


def left_behind(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


# --- references -------------------------------------------------------------------------------------------------
def test_references_are_read() -> None:
    assert HubReference.parse("hf:Qwen/Qwen3-8B-GGUF") == HubReference("Qwen", "Qwen3-8B-GGUF")
    assert HubReference.parse("a/b:Q8_0").selector == "Q8_0"
    assert str(HubReference.parse("hf:a/b:x/y.gguf")) == "hf:a/b:x/y.gguf"
    assert HubReference.parse("a/B-GGUF").name == "B"
    assert HubReference.parse("a/b:sub/x-00001-of-00002.gguf").name == "x"


@pytest.mark.parametrize(
    "text", ["", "hf:", "hf:a", "a/b/c", "hf:a/b:", "../b", "a/..", "hf:a/b:../../etc.gguf", "a b/c"]
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(BadReference):
        HubReference.parse(text)


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"),
        ("llama-3.2-1b-instruct.Q8_0.gguf", "Q8_0"),
        ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "Q4_K_M"),
        ("Q6_K/model-Q6_K-00001-of-00003.gguf", "Q6_K"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("model-IQ4_XS.gguf", "IQ4_XS"),
        ("model-UD-Q4_K_XL.gguf", "Q4_K_XL"),
        ("model-bf16.gguf", "BF16"),
        ("ggml-model-f16.gguf", "F16"),
        ("model.gguf", ""),
    ],
)
def test_the_quantisation_is_in_the_name(name: str, quant: str) -> None:
    assert quant_of(name) == quant


def names(*found: str) -> list[HubFile]:
    return [HubFile(name, 100 - at) for at, name in enumerate(found)]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", ["m-Q4_K_M.gguf"]),
        (":q8_0", ["m-Q8_0.gguf"]),
        (":m-Q2_K.gguf", ["m-Q2_K.gguf"]),
        (":mmproj-F16.gguf", ["mmproj-F16.gguf"]),
        (":F16", ["F16/m-F16-00001-of-00002.gguf", "F16/m-F16-00002-of-00002.gguf"]),
        (":m-F16-00002-of-00002.gguf", ["F16/m-F16-00001-of-00002.gguf", "F16/m-F16-00002-of-00002.gguf"]),
    ],
)
def test_the_file_is_chosen(selector: str, expected: list[str]) -> None:
    files = names(
        "mmproj-F16.gguf", "m-Q2_K.gguf", "m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-imatrix.gguf",
        "F16/m-F16-00002-of-00002.gguf", "F16/m-F16-00001-of-00002.gguf", "README.md",
    )  # fmt: skip
    assert [file.name for file in choose(HubReference.parse(f"a/b{selector}"), files)] == expected


def test_without_the_usual_quantisations_the_next_best_is_taken() -> None:
    assert choose(REFERENCE, names("m-Q8_0.gguf", "m-Q5_K_M.gguf", "m-Q2_K.gguf"))[0].name == "m-Q5_K_M.gguf"
    assert choose(REFERENCE, names("m-one.gguf", "m-two.gguf"))[0].name == "m-two.gguf"  # the smallest


@pytest.mark.parametrize(
    ("selector", "files", "expected"),
    [
        ("", ["model.safetensors"], "has no GGUF file"),
        (":Q4_K_X", ["m-Q4_K_M.gguf", "m-Q8_0.gguf"], "has no Q4_K_X; nearest: Q4_K_M"),
        (":m-Q4_K.gguf", ["m-Q4_K_M.gguf", "m-Q8_0.gguf"], "nearest: m-Q4_K_M.gguf"),
        ("", ["m-Q4_K_M-00001-of-00003.gguf", "m-Q4_K_M-00003-of-00003.gguf"], "lacks 1 of 3 parts: m-Q4_K_M-00002"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_named_with_the_nearest(selector: str, files: list[str], expected: str) -> None:
    with pytest.raises(NoSuchFile, match=expected):
        choose(HubReference.parse(f"a/b{selector}"), names(*files))


# --- downloads --------------------------------------------------------------------------------------------------
async def test_a_file_is_fetched_verified_and_then_found_without_the_hub(
    client: UpstreamClient, tmp_path: Path
) -> None:
    with FakeHub({NAME: CONTENT, "Tiny-Q8_0.gguf": b"other"}) as hub:
        path = await fetch(hub, client, tmp_path)
        assert path == tmp_path / "acme" / "Tiny-GGUF" / NAME
        assert path.read_bytes() == CONTENT
        assert left_behind(tmp_path) == {NAME}
        asked = len(hub.requests)
        assert await fetch(hub, client, tmp_path) == path
        assert await fetch(hub, client, tmp_path, "hf:acme/Tiny-GGUF:q4_k_m") == path
        assert len(hub.requests) == asked


async def test_all_parts_of_a_split_model_come(client: UpstreamClient, tmp_path: Path) -> None:
    parts = {f"big/m-Q4_K_M-0000{n}-of-00003.gguf": CONTENT[n * 1000 :] for n in (1, 2, 3)}
    with FakeHub(parts) as hub:
        path = await fetch(hub, client, tmp_path)
        assert path.name == "m-Q4_K_M-00001-of-00003.gguf"
        for name, content in parts.items():
            assert (tmp_path / "acme/Tiny-GGUF" / name).read_bytes() == content


async def test_a_cut_connection_is_taken_up_where_it_broke(client: UpstreamClient, tmp_path: Path) -> None:
    with FakeHub({NAME: CONTENT}, cuts=[100_000, 50_000]) as hub:
        path = await fetch(hub, client, tmp_path)
        assert path.read_bytes() == CONTENT
        ranges = [headers.get("range") for headers in hub.asked_for("/cdn/")]
        assert ranges == [None, "bytes=100000-", "bytes=150000-"]
        assert all("if-range" in headers for headers in hub.asked_for("/cdn/")[1:])


async def test_a_download_that_was_given_up_goes_on_in_the_next_attempt(
    client: UpstreamClient, tmp_path: Path
) -> None:
    with FakeHub({NAME: CONTENT}, cuts=[200_000, *[0] * download.MAX_FRUITLESS]) as hub:
        with pytest.raises(ProviderUnavailable, match=r"keeps breaking off.*195 KiB are kept"):
            await fetch(hub, client, tmp_path)
        assert not (tmp_path / "acme/Tiny-GGUF" / NAME).exists()
        hub.requests.clear()
        assert (await fetch(hub, client, tmp_path)).read_bytes() == CONTENT
        assert [headers.get("range") for headers in hub.asked_for("/cdn/")] == ["bytes=200000-"]
        assert left_behind(tmp_path) == {NAME}


async def test_a_file_that_changed_meanwhile_begins_anew(client: UpstreamClient, tmp_path: Path) -> None:
    with FakeHub({NAME: CONTENT}, cuts=[200_000, *[0] * download.MAX_FRUITLESS]) as hub:
        with pytest.raises(ProviderUnavailable):
            await fetch(hub, client, tmp_path)
        hub.files[NAME] = changed = CONTENT[::-1]
        assert (await fetch(hub, client, tmp_path)).read_bytes() == changed
        assert left_behind(tmp_path) == {NAME}


async def test_a_hub_without_ranges_sends_all_again(client: UpstreamClient, tmp_path: Path) -> None:
    with FakeHub({NAME: CONTENT}, cuts=[100_000], ranges=False) as hub:
        assert (await fetch(hub, client, tmp_path)).read_bytes() == CONTENT
        assert len(hub.asked_for("/cdn/")) == 2


@pytest.mark.parametrize("listed", [True, False])
async def test_a_wrong_checksum_is_noticed_and_nothing_is_kept(
    client: UpstreamClient, tmp_path: Path, listed: bool
) -> None:
    """Also when only the answer for the file tells it, and not the listing."""
    with (
        FakeHub({NAME: CONTENT}, lie=True, listed=listed) as hub,
        pytest.raises(ProviderProtocolError, match=r"sha256 .* where the hub announced"),
    ):
        await fetch(hub, client, tmp_path)
    assert left_behind(tmp_path) == set()


async def test_a_gated_model_says_what_to_do(client: UpstreamClient, tmp_path: Path) -> None:
    with FakeHub({NAME: CONTENT}, token="hf_right") as hub:
        with pytest.raises(ProviderAuthFailed, match=r"gated, private or does not exist.*set HF_TOKEN"):
            await fetch(hub, client, tmp_path)
        with pytest.raises(ProviderAuthFailed, match="the token in HF_TOKEN may not read it") as caught:
            await fetch(hub, client, tmp_path, token="hf_wrong")
        assert "hf_wrong" not in caught.value.message
        assert (await fetch(hub, client, tmp_path, token="hf_right")).exists()


async def test_the_token_is_not_sent_where_the_hub_redirects_to(
    client: UpstreamClient, tmp_path: Path
) -> None:
    with FakeHub({NAME: CONTENT}, token="hf_right") as hub:
        await fetch(hub, client, tmp_path, token="hf_right")
        assert all("authorization" in headers for headers in hub.asked_for("/resolve/"))
        assert not any("authorization" in headers for headers in hub.asked_for("/cdn/"))


async def test_unknown_repositories_and_files_are_refused(client: UpstreamClient, tmp_path: Path) -> None:
    with FakeHub({NAME: CONTENT}) as hub:
        with pytest.raises(ProviderModelUnknown, match="no such repository"):
            await fetch(hub, client, tmp_path, "hf:acme/None-GGUF")
        with pytest.raises(ProviderModelUnknown, match=f"nearest: {NAME}"):
            await fetch(hub, client, tmp_path, "hf:acme/Tiny-GGUF:Tiny-Q4.gguf")


async def test_a_busy_hub_is_asked_again(client: UpstreamClient, tmp_path: Path) -> None:
    with FakeHub({NAME: CONTENT}) as hub:
        (tmp_path / "acme/Tiny-GGUF").mkdir(parents=True)
        hub.failing = 1
        with pytest.raises(ProviderUnavailable, match="answered 503"):  # the listing is not worth a wait
            await fetch(hub, client, tmp_path)
        assert (await fetch(hub, client, tmp_path)).exists()


async def test_without_the_hub_what_is_here_is_used(client: UpstreamClient, tmp_path: Path) -> None:
    with FakeHub({"m-Q8_0.gguf": CONTENT}) as hub:
        path = await fetch(hub, client, tmp_path)
    assert await fetch_from("http://127.0.0.1:9", client, tmp_path) == path
    shutil.rmtree(path.parent)
    with pytest.raises(ProviderUnavailable, match="cannot be reached"):
        await fetch_from("http://127.0.0.1:9", client, tmp_path)


async def fetch_from(url: str, client: UpstreamClient, folder: Path) -> Path:
    return await Downloader(Hub(client, url), folder).fetch(REFERENCE, quiet)


async def test_a_full_disk_is_noticed_before_anything_is_fetched(
    client: UpstreamClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)

    def usage(_: Path) -> object:
        return full

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with FakeHub({NAME: CONTENT}) as hub:
        with pytest.raises(ProviderUnavailable, match="needs 293 KiB more on the disk; 1000 B are free"):
            await fetch(hub, client, tmp_path)
        assert not hub.asked_for("/cdn/")


async def test_two_who_want_the_same_file_fetch_it_once(client: UpstreamClient, tmp_path: Path) -> None:
    with FakeHub({NAME: CONTENT}) as hub:
        found = await asyncio.gather(*(fetch(hub, client, tmp_path) for _ in range(3)))
        assert len(set(found)) == 1
        assert len(hub.asked_for("/cdn/")) == 1


async def test_a_lock_is_held_against_others_until_it_is_left(tmp_path: Path) -> None:
    entered = asyncio.Event()

    async def second() -> None:
        async with locked(tmp_path / "x.lock"):
            entered.set()

    async with locked(tmp_path / "x.lock"):
        waiting = asyncio.create_task(second())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not entered.is_set()
    await waiting
    assert entered.is_set()


async def test_a_listing_that_names_files_outside_is_refused(client: UpstreamClient, tmp_path: Path) -> None:
    with (
        FakeHub({"../../evil-Q4_K_M.gguf": CONTENT}) as hub,
        pytest.raises(ProviderProtocolError, match="names a file"),
    ):
        await fetch(hub, client, tmp_path)


# --- progress ---------------------------------------------------------------------------------------------------
class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_bar() -> None:
    now = iter(float(second) for second in range(10))
    out = Terminal()
    printer = ProgressPrinter(out, lambda: next(now))
    for done in (0, 512 * 1024, 1024 * 1024):
        printer("m.gguf", done, 1024 * 1024)
    text = out.getvalue()
    assert "[############............]  50 % 512 KiB of 1 MiB  512 KiB/s" in text
    assert text.count("\n") == 1
    assert text.endswith("\n")


def test_elsewhere_each_tenth_is_a_line() -> None:
    out = io.StringIO()
    printer = ProgressPrinter(out)
    for done in range(0, 1001, 5):
        printer("m.gguf", done, 1000)
    lines = out.getvalue().splitlines()
    assert len(lines) == 11
    assert (lines[0], lines[5], lines[-1]) == (
        "m.gguf: 0 % of 1000 B",
        "m.gguf: 50 % of 1000 B",
        "m.gguf: 100 % of 1000 B",
    )
