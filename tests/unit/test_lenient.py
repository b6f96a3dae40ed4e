"""`server.parameters: lenient`: what the upstream cannot honour is left out, and the answer says so."""

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


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_carries_a_warning_header(
    stream: bool, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        server=ServerSettings(parameters="lenient"),
        providers=ProviderSections(
            inference=(ProviderSettings(provider_id="demo", provider_type="inline::scripted"),)
        ),
        storage=StorageSettings(url=f"sqlite:///{tmp_path}/antiphon.db"),
    )
    app = build(settings)
    body = {"model": "demo/demo", "input": "hi", "stream": stream}
    assert "warning" not in (await exchange(app, "POST", "/v1/responses", body)).headers

    def dropped(_self: Scripted, _request: ResponseRequest) -> list[str]:
        return ["top_k", "min_p"]

    monkeypatch.setattr(Scripted, "dropped", dropped)
    answer = await exchange(app, "POST", "/v1/responses", body)
    assert answer.status == 200
    assert "top_k, min_p" in answer.headers["warning"]
