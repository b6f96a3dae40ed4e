"""What a reasoning item hides travels sealed: by default, back without a store, and to nobody else."""

from pathlib import Path
from typing import Any, Final

import openai
import pytest

from antiphon.sealing.keys import FILE
from tests.conformance.recorder import Recorder
from tests.integration.clients import Raw, sync_client
from tests.integration.conftest import StartServer
from tests.integration.test_keys import KEYS
from tests.integration.upstream import Upstream

ENCRYPTED: Final = "reasoning.encrypted_content"


def thought_of(response: Any) -> Any:
    [item] = [item for item in response.output if item.type == "reasoning"]
    return item


@pytest.mark.parametrize("store", [True, False])
def test_it_comes_by_default(client: openai.OpenAI, store: bool) -> None:
    thought = thought_of(client.responses.create(model="thinker", input="hi", store=store))
    assert thought.encrypted_content
    assert "think" not in thought.encrypted_content
    assert thought.content[0].text == "Let me think."


def test_a_stream_has_it_when_the_item_is_done_and_not_before(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="thinker", input="hi", stream=True))
    [added] = [
        event.item
        for event in events
        if event.type == "response.output_item.added" and event.item.type == "reasoning"
    ]
    [done] = [
        event.item
        for event in events
        if event.type == "response.output_item.done" and event.item.type == "reasoning"
    ]
    assert added.encrypted_content is None
    assert done.encrypted_content
    assert thought_of(events[-1].response) == done  # type: ignore[union-attr]  # the last one has it


def test_the_thought_comes_back_from_the_blob_alone(client: openai.OpenAI, upstream: Upstream) -> None:
    first = client.responses.create(model="mindful/muser", input="hi", store=False)
    bare: dict[str, Any] = {
        "type": "reasoning",
        "summary": [],
        "encrypted_content": thought_of(first).encrypted_content,
    }
    said = {"role": "assistant", "content": first.output_text}
    again: Any = [{"role": "user", "content": "hi"}, bare, said, {"role": "user", "content": "and?"}]
    client.responses.create(model="mindful/muser", store=False, input=again)
    assert upstream.last_request()["messages"][1]["reasoning_content"] == "Let me think."
    client.responses.create(
        model="mindful/muser", store=False, input=again, reasoning={"context": "current_turn"}
    )
    assert "reasoning_content" not in upstream.last_request()["messages"][1]


def test_a_stored_response_shows_it_only_where_it_is_included(client: openai.OpenAI) -> None:
    made = client.responses.create(model="thinker", input="hi")
    assert thought_of(client.responses.retrieve(made.id)).encrypted_content is None
    assert thought_of(client.responses.retrieve(made.id, include=[ENCRYPTED])).encrypted_content
    child = client.responses.create(model="echo", input="go on", previous_response_id=made.id)
    for include, has in (([], False), ([ENCRYPTED], True)):
        items = client.responses.input_items.list(child.id, include=include)  # type: ignore[arg-type]  # of one kind
        [thought] = [item for item in items if item.type == "reasoning"]
        assert bool(thought.encrypted_content) is has


def test_a_changed_blob_is_refused_by_name(client: openai.OpenAI) -> None:
    blob: str = thought_of(client.responses.create(model="thinker", input="hi")).encrypted_content
    for wrong in (
        blob[:-4],
        blob[:40] + ("A" if blob[40] != "A" else "B") + blob[41:],
        "gAAAAABo",
        f"up:{blob}",
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(
                model="thinker",
                input=[
                    {"role": "user", "content": "hi"},
                    {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": wrong},
                ],
            )
        assert caught.value.param == "input[1].encrypted_content"
        assert caught.value.code == "invalid_encrypted_content"


def test_it_is_bound_to_its_tenant_and_survives_a_restart(
    start_server: StartServer, recorder: Recorder, tmp_path: Path
) -> None:
    first = start_server(KEYS)
    with sync_client(first.url, recorder, api_key="key-of-ann") as ann:
        blob = thought_of(ann.responses.create(model="thinker", input="hi", store=False)).encrypted_content
    first.kill()
    second = start_server(KEYS)
    body: dict[str, Any] = {
        "model": "thinker",
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "reasoning", "summary": [], "encrypted_content": blob},
            {"role": "user", "content": "and?"},
        ],
    }
    for who, status in (("ann", 200), ("bob", 200), ("cyd", 400)):
        with Raw(second.port, recorder, {"authorization": f"Bearer key-of-{who}"}) as raw:
            answer = raw.post("/v1/responses", body)
            assert answer.status == status, who
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_nothing_inside_leaks_through_a_plain_read(raw: Raw) -> None:
    made = raw.post("/v1/responses", {"model": "thinker", "input": "hi"}).json
    for path in (f"/v1/responses/{made['id']}", "/v1/responses"):
        assert b"encrypted_content" not in raw.get(path).body
