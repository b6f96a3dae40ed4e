"""`server.parameters: lenient`: what the upstream cannot honour is left out, and the answer says so."""

from typing import Literal

import pytest

from antiphon.app import build
from antiphon.config.settings import (
    ProviderSections,
    ProviderSettings,
    ServerSettings,
    Settings,
    StorageSettings,
)
from antiphon.core.request import ResponseRequest
from antiphon.providers.openai_chat import OpenAIChat
from antiphon.providers.scripted import Scripted
from antiphon.providers.upstream import UpstreamClient
from antiphon.testing import FakeClock, FakeIds
from antiphon.testing.simulation import exchange

CONFIG = {"base_url": "http://127.0.0.1:9/v1", "api_key": "sk-unit"}
BODY = b'{"model": "m", "input": "hi", "top_k": 5}'


def openai(*, lenient: bool) -> OpenAIChat:
    client = UpstreamClient(FakeClock())
    return OpenAIChat.from_config("up", "remote::openai", CONFIG, client, FakeIds(), lenient=lenient)


def test_a_lenient_provider_names_what_it_leaves_out_and_a_strict_one_refuses_instead() -> None:
    request = ResponseRequest.parse(BODY)
    assert list(openai(lenient=True).dropped(request)) == ["top_k"]
    assert list(openai(lenient=False).dropped(request)) == []
    assert [found.param for found in openai(lenient=False).unsupported(request)] == ["top_k"]


UNKNOWN = {"model": "demo/demo", "input": "hi", "verbosity_level": 3, "x\r\nset-cookie: a": 1}


def lenient(folder: object, parameters: Literal["strict", "lenient"] = "lenient") -> Settings:
    return Settings(
        server=ServerSettings(parameters=parameters),
        providers=ProviderSections(
            inference=(ProviderSettings(provider_id="demo", provider_type="inline::scripted"),)
        ),
        storage=StorageSettings(url=f"sqlite:///{folder}/antiphon.db"),
    )


async def test_fields_that_nobody_knows_are_left_out_by_name_and_strictly_refused(tmp_path: object) -> None:
    answer = await exchange(build(lenient(tmp_path)), "POST", "/v1/responses", UNKNOWN)
    assert answer.status == 200
    assert answer.headers["warning"] == '299 antiphon "left out, not known here: verbosity_level, (another)"'
    strict = await exchange(build(lenient(tmp_path, "strict")), "POST", "/v1/responses", UNKNOWN)
    assert (strict.status, strict.json["error"]["param"]) == (400, "verbosity_level")


async def test_a_lenient_server_refuses_what_it_knows_and_does_not_do(tmp_path: object) -> None:
    app = build(lenient(tmp_path))
    for wrong, param in ({"background": True}, "background"), ({"temperature": "hot"}, "temperature"):
        answer = await exchange(app, "POST", "/v1/responses", {**UNKNOWN, **wrong})
        assert (answer.status, answer.json["error"]["param"]) == (400, param)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_carries_a_warning_header(
    stream: bool, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = build(lenient(tmp_path))
    body = {"model": "demo/demo", "input": "hi", "stream": stream}
    assert "warning" not in (await exchange(app, "POST", "/v1/responses", body)).headers

    def dropped(_self: Scripted, _request: ResponseRequest) -> list[str]:
        return ["top_k", "min_p"]

    monkeypatch.setattr(Scripted, "dropped", dropped)
    answer = await exchange(app, "POST", "/v1/responses", body)
    assert answer.status == 200
    assert "top_k, min_p" in answer.headers["warning"]
