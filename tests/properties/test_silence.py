"""A stream that is silent for long, under virtual time: when it commits to 200, and that it is kept alive."""

import random
from typing import Any

import pytest

from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.models.catalog import Catalog
from antiphon.providers.upstream import UpstreamClient
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, scripted_model
from antiphon.testing.simulation import Answer, exchange, simulate


def ask(*reply: dict[str, Any], stream: bool = True) -> Answer:
    """One request to a server whose model replies so; hours pass in no time."""

    async def main(_drawn: random.Random) -> Answer:
        clock, ids = FakeClock(), FakeIds()
        model = scripted_model({"reply": list(reply)})
        catalog = Catalog({model.provider_id: model}, clock=clock)
        services = services_for(Settings(), catalog, MemoryStore(), UpstreamClient(clock), clock, ids)
        name = (await catalog.list())[0].id
        body = {"model": name, "input": "hi", "stream": stream}
        return await exchange(serve(services, ids), "POST", "/v1/responses", body)

    return simulate(1, main)


REFUSED = {"fail": {"status": 429, "retry_after": "7"}}


def test_an_error_within_ten_seconds_is_a_real_status() -> None:
    answer = ask({"wait_ms": 9_000}, REFUSED)
    assert answer.status == 429
    assert answer.headers["retry-after"] == "7"


def test_after_ten_silent_seconds_the_stream_begins_and_an_error_is_an_event() -> None:
    answer = ask({"wait_ms": 25_000}, REFUSED)
    assert answer.status == 200
    kinds = [event["type"] for event in answer.events]
    assert kinds == ["response.created", "response.in_progress", "error", "response.failed"]
    assert answer.events[-1]["response"]["error"]["code"] == "rate_limit_exceeded"
    assert answer.body.count(b": keep-alive\n\n") == 1


@pytest.mark.parametrize(("pause_s", "comments"), [(1, 0), (45, 3)])
def test_silence_in_the_middle_is_filled_with_comments_between_events(pause_s: int, comments: int) -> None:
    """One comment for each ten seconds in which nothing was sent."""
    said = {"text": "one two three"}
    answer = ask(said, {"wait_ms": pause_s * 1000}, said)
    assert answer.events[-1]["type"] == "response.completed"
    assert answer.body.count(b": keep-alive\n\n") == comments
