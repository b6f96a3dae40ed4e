"""Compaction over HTTP, in one process: the route, the threshold, the trigger, and what the model sees afterwards."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from antiphon.app import serve, services_for
from antiphon.config.settings import Settings
from antiphon.core.commands import CallModel
from antiphon.core.compacting import REQUEST
from antiphon.core.compaction import PREAMBLE
from antiphon.core.signals import ModelSignal
from antiphon.models.catalog import Catalog
from antiphon.ports import ModelProvider, Sealer, UpstreamCompaction
from antiphon.providers.scripted import Scripted
from antiphon.providers.upstream import UpstreamClient
from antiphon.sealing.aead import AeadSealer
from antiphon.storage.memory import MemoryStore
from antiphon.testing import FakeClock, FakeIds, scripted_model
from antiphon.testing.simulation import Answer, exchange

Json = dict[str, Any]
KEYS = [bytes(32)]
LONG = "remember the lighthouse " * 600
FULL: list[Json] = [{"type": "compaction", "compact_threshold": 1000}]
SUMMARY: Json = {"when": {"summary": True}, "reply": [{"text": "SUMMARY of {{input}}"}]}
CALL: list[Json] = [
    {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Rome"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "warm"},
]


class Listener(Scripted):
    """Notes the calls that it gets."""

    heard: list[CallModel]

    async def stream(self, model: str, call: CallModel) -> AsyncGenerator[Sequence[ModelSignal], None]:
        self.heard.append(call)
        async for batch in super().stream(model, call):
            yield batch


@dataclass
class Served:
    """A server in this process over one scripted model."""

    rules: tuple[Json, ...] = (SUMMARY,)
    sealer: Sealer | None = None
    store: MemoryStore = field(default_factory=MemoryStore)
    wrap: type["Blobs"] | None = None

    def __post_init__(self) -> None:
        model = scripted_model(*self.rules)
        model.__class__ = Listener
        assert isinstance(model, Listener)
        model.heard = []
        self.model = model
        provider = cast("ModelProvider", model if self.wrap is None else self.wrap(model))
        clock = FakeClock()
        self.sealer = self.sealer or AeadSealer(lambda: KEYS, clock, max_age_days=30)
        services = services_for(
            Settings(),
            Catalog({"demo": provider}, clock=clock),
            self.store,
            UpstreamClient(clock),
            clock,
            FakeIds(),
            sealer=self.sealer,
        )
        self.app = serve(services, FakeIds())

    async def call(self, path: str, **fields: Any) -> Answer:
        return await exchange(self.app, "POST", f"/v1/responses{path}", {"model": "demo", **fields})

    async def ok(self, path: str = "", **fields: Any) -> Json:
        answer = await self.call(path, **fields)
        assert answer.status == 200, answer.body
        found: Json = answer.json
        return found

    async def error(self, path: str = "", **fields: Any) -> tuple[int, str, str | None]:
        answer = await self.call(path, **fields)
        error = answer.json["error"]
        return answer.status, error["code"], error["param"]

    def last_texts(self) -> list[str]:
        """What the model saw in its last call, each item as its text."""
        return [_text(item) for item in self.model.heard[-1].transcript.all_items()]

    def summarised(self) -> int:
        return sum(call.summarises for call in self.model.heard)


def _text(item: Any) -> str:
    content = getattr(item, "content", None)
    if isinstance(content, list):
        return "".join(getattr(part, "text", "?") for part in content)  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType] parts of several kinds
    return str(getattr(item, "output", getattr(item, "arguments", "")))


def types(response: Json) -> list[str]:
    return [item["type"] for item in response["output"]]


# --- the route --------------------------------------------------------------------------------------------------
async def test_the_route_gives_the_users_words_and_one_compaction() -> None:
    served = Served()
    made = await served.ok(
        "/compact",
        input=[
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": "the key is 7"},
            {"role": "assistant", "content": "noted"},
            *CALL,
            {"role": "user", "content": [{"type": "input_text", "text": "and 8"}]},
        ],
        instructions="Speak like a pirate.",
    )
    assert made["object"] == "response.compaction"
    assert types(made) == ["message", "message", "compaction"]
    assert [item["content"][0]["text"] for item in made["output"][:2]] == ["the key is 7", "and 8"]
    assert all(item["id"].startswith("msg_") and item["status"] == "completed" for item in made["output"][:2])
    assert made["output"][-1]["id"].startswith("cmp_")
    assert set(made["usage"]) >= {"input_tokens", "output_tokens", "total_tokens"}
    call = served.model.heard[-1]
    assert call.request.tools is None
    assert "Speak like a pirate." in (call.transcript.instructions or "")
    said = served.last_texts()
    assert said[-1] == REQUEST
    assert any("[call of the tool weather with:" in text for text in said)
    assert any("[result of the tool weather: warm]" in text for text in said)
    assert "SUMMARY" not in str(made)  # it is sealed


async def test_a_compaction_stands_in_line_and_can_be_compacted_again() -> None:
    served = Served()
    first = await served.ok("/compact", input="the key is 7")
    second = await served.ok("/compact", input=[*first["output"], {"role": "user", "content": "more"}])
    assert served.last_texts()[0] == "the key is 7"
    assert served.last_texts()[1].startswith(PREAMBLE)
    assert types(second) == ["message", "message", "compaction"]
    await served.ok(input=[*second["output"], {"role": "user", "content": "go on"}])
    said = served.last_texts()
    assert [said[0], said[1], said[3]] == ["the key is 7", "more", "go on"]
    assert said[2] == f"{PREAMBLE}SUMMARY of {REQUEST}\n</summary>"


async def test_a_chain_is_compacted_whole_and_a_compaction_is_no_response() -> None:
    served = Served()
    parent = await served.ok(input="the key is 7")
    made = await served.ok("/compact", previous_response_id=parent["id"], input="and 8")
    assert [item["content"][0]["text"] for item in made["output"][:-1]] == ["the key is 7", "and 8"]
    assert await served.error(input="x", previous_response_id=made["id"]) == (
        400,
        "previous_response_not_found",
        "previous_response_id",
    )
    assert await served.error("/compact", previous_response_id="resp_none") == (
        400,
        "previous_response_not_found",
        "previous_response_id",
    )


async def test_what_codex_sends_is_taken() -> None:
    """`CompactionInput` of codex-rs: the request it would have made, without what it does not need."""
    made = await Served().ok(
        "/compact",
        input=[{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}, *CALL],
        instructions="You are Codex.",
        tools=[{"type": "function", "name": "shell", "strict": False, "parameters": {"type": "object"}}],
        parallel_tool_calls=True,
        reasoning={"effort": "low", "summary": "auto"},
        text={"verbosity": "low"},
        prompt_cache_key="thread",
        service_tier="priority",
    )
    assert types(made) == ["message", "compaction"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": "x", "model": None}, "model"),
        ({"input": "x", "model": ""}, "model"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": "x", "store": True}, "store"),
        ({"input": "x", "prompt_cache_key": "k" * 65}, "prompt_cache_key"),
        ({"input": "x", "service_tier": "gold"}, "service_tier"),
        ({"input": [{"type": "compaction", "encrypted_content": "?"}]}, "input[0].encrypted_content"),
        ({"input": [{"type": "compaction"}]}, "input[0].encrypted_content"),
        ({"input": [{"role": "user", "content": "x"}, {"type": "compaction_trigger"}]}, "input[1]"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, "input[0].call_id"),
        ({"input": "x", "previous_response_id": 7}, "previous_response_id"),
    ],
)
async def test_a_bad_request_is_refused_by_name(fields: Json, param: str) -> None:
    status, _, named = await Served().error("/compact", **fields)
    assert (status, named) == (400, param)


# --- the threshold ----------------------------------------------------------------------------------------------
async def test_a_full_context_is_compacted_before_the_model_is_asked() -> None:
    served = Served()
    parent = await served.ok(input=LONG)
    made = await served.ok(input="what was it?", previous_response_id=parent["id"], context_management=FULL)
    assert types(made) == ["compaction", "message"]
    said = served.last_texts()
    assert len(said) == 2
    assert said[0].startswith(PREAMBLE)
    assert said[1] == "what was it?"
    assert made["usage"]["input_tokens"] > 1000  # the summary is paid for as well
    child = await served.ok(input="and now?", previous_response_id=made["id"])
    said = served.last_texts()
    assert [said[1], said[3]] == ["what was it?", "and now?"]
    assert said[0].startswith(PREAMBLE)
    assert LONG not in said
    assert types(child) == ["message"]


async def test_a_context_with_room_is_left_alone() -> None:
    served = Served()
    made = await served.ok(input="hello", context_management=FULL)
    assert types(made) == ["message"]
    made = await served.ok(input=LONG, context_management=[{"type": "compaction", "compact_threshold": None}])
    assert types(made) == ["message"]  # the default is far
    assert served.summarised() == 0


async def test_one_long_message_is_not_compacted_for_it_is_what_is_asked() -> None:
    served = Served()
    made = await served.ok(input=LONG, context_management=FULL)
    assert types(made) == ["message"]
    assert served.summarised() == 0


async def test_a_call_waits_at_the_border_with_its_output() -> None:
    served = Served()
    made = await served.ok(
        input=[{"role": "user", "content": LONG}, {"role": "user", "content": "How is Rome?"}, *CALL],
        context_management=FULL,
    )
    assert types(made) == ["compaction", "message"]
    assert served.last_texts()[1:] == ["How is Rome?", '{"city":"Rome"}', "warm"]


async def test_without_a_store_the_client_carries_the_compaction() -> None:
    served = Served()
    dialogue: list[Json] = [
        {"role": "user", "content": LONG},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "what was it?"},
    ]
    made = await served.ok(input=dialogue, context_management=FULL, store=False)
    await served.ok(input=[*dialogue, *made["output"], {"role": "user", "content": "go on"}], store=False)
    said = served.last_texts()
    assert said[0].startswith(PREAMBLE)
    assert [said[1], said[3]] == ["what was it?", "go on"]
    assert len(said) == 4  # what came before the compaction is not shown


async def test_the_events_of_a_compaction_are_in_order() -> None:
    served = Served()
    parent = await served.ok(input=LONG)
    answer = await served.call(
        "", input="what was it?", previous_response_id=parent["id"], context_management=FULL, stream=True
    )
    events = answer.events
    kinds = [one["type"] for one in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.output_item.done",
    ]
    added, done = events[2], events[3]
    assert (added["item"]["type"], added["item"]["encrypted_content"]) == ("compaction", "")
    assert added["output_index"] == done["output_index"] == 0
    assert done["item"] == events[-1]["response"]["output"][0]
    assert events[4]["output_index"] == 1
    assert [one["sequence_number"] for one in events] == list(range(len(events)))


async def test_summaries_are_no_part_of_max_output_tokens() -> None:
    wordy: Json = {"when": {"summary": True}, "reply": [{"text": "word " * 50}]}
    served = Served((wordy, {"reply": [{"text": "one two three"}]}))
    parent = await served.ok(input=LONG)
    made = await served.ok(
        input="x", previous_response_id=parent["id"], context_management=FULL, max_output_tokens=16
    )
    assert made["status"] == "completed"
    assert made["usage"]["output_tokens"] == 53


@pytest.mark.parametrize(
    "reply",
    [
        [{"refusal": "I will not."}],
        [{"text": " "}],
        [{"fail": {"status": 500, "message": "oh no"}}],
        [{"fail": {"status": 400, "message": "no"}}],
        [{"calls": [{"name": "f"}]}],
    ],
)
async def test_a_response_goes_on_when_its_compaction_fails(reply: list[Json]) -> None:
    """The context may still fit, and where it does not the model's server says so, as without a threshold."""
    served = Served(({"when": {"summary": True}, "reply": reply},))
    parent = await served.ok(input=LONG)
    made = await served.ok(input="what was it?", previous_response_id=parent["id"], context_management=FULL)
    assert types(made) == ["message"]
    assert LONG in served.last_texts()
    assert served.summarised() == 1  # it is not tried again and again


async def test_a_cut_summary_is_none() -> None:
    served = Served(({"when": {"summary": True}, "reply": [{"text": "half"}], "finish": "length"},))
    assert await served.error("/compact", input="x") == (502, "compaction_failed", None)


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "provider_unavailable"), (400, "provider_rejected"), (429, "rate_limit_exceeded")],
)
async def test_the_route_says_what_the_model_failed_with(status: int, code: str) -> None:
    served = Served(({"when": {"summary": True}, "reply": [{"fail": {"status": status, "message": "no"}}]},))
    answer = await served.call("/compact", input="x")
    assert answer.json["error"]["code"] == code


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"context_management": [{"type": "summary"}]}, "context_management[0].type"),
        (
            {"context_management": [{"type": "compaction", "compact_threshold": 999}]},
            "context_management[0].compact_threshold",
        ),
        ({"context_management": [{"compact_threshold": 2000}]}, "context_management[0].type"),
        ({"context_management": {"type": "compaction"}}, "context_management"),
        ({"input": [{"type": "compaction_trigger"}, {"role": "user", "content": "x"}]}, "input[0]"),
        ({"input": [{"type": "compaction_trigger"}]}, "input"),
    ],
)
async def test_a_bad_threshold_or_trigger_is_refused_by_name(fields: Json, param: str) -> None:
    status, _, named = await Served().error(**{"input": "x", **fields})
    assert (status, named) == (400, param)


# --- the trigger ------------------------------------------------------------------------------------------------
async def test_a_trigger_answers_with_a_compaction_alone() -> None:
    served = Served()
    items: list[Json] = [{"role": "user", "content": "the key is 7"}, *CALL]
    made = await served.ok(input=[*items, {"type": "compaction_trigger"}], store=False)
    assert types(made) == ["compaction"]
    assert made["status"] == "completed"
    assert len(served.model.heard) == 1
    # Codex keeps messages of its own choice in front of it: they are shown.
    await served.ok(input=[items[0], *made["output"], {"role": "user", "content": "go on"}], store=False)
    said = served.last_texts()
    assert [said[0], said[2]] == ["the key is 7", "go on"]
    assert said[1].startswith(PREAMBLE)


@pytest.mark.parametrize("chained", [True, False])
async def test_a_child_of_a_triggered_response_sees_the_compaction_alone(chained: bool) -> None:
    served = Served()
    if chained:
        parent = await served.ok(input=LONG)
        made = await served.ok(input=[{"type": "compaction_trigger"}], previous_response_id=parent["id"])
    else:
        made = await served.ok(input=[{"role": "user", "content": LONG}, {"type": "compaction_trigger"}])
    await served.ok(input="go on", previous_response_id=made["id"])
    said = served.last_texts()
    assert len(said) == 2
    assert said[0].startswith(PREAMBLE)


async def test_a_trigger_that_fails_is_an_error() -> None:
    served = Served(({"when": {"summary": True}, "reply": [{"fail": {"status": 500, "message": "oh no"}}]},))
    status, code, _ = await served.error(
        input=[{"role": "user", "content": "x"}, {"type": "compaction_trigger"}]
    )
    assert (status, code) == (503, "provider_unavailable")


# --- what is stored and what is shown ---------------------------------------------------------------------------
async def test_what_is_stored_never_leaves_as_it_is() -> None:
    served = Served()
    parent = await served.ok(input=LONG)
    made = await served.ok(input="x", previous_response_id=parent["id"], context_management=FULL)
    child = await served.ok(input=[{"role": "user", "content": "y"}], previous_response_id=made["id"])
    again = await exchange(served.app, "GET", f"/v1/responses/{made['id']}")
    listed = await exchange(served.app, "GET", "/v1/responses")
    items = await exchange(served.app, "GET", f"/v1/responses/{child['id']}/input_items?limit=100")
    for answer in (again, listed, items):
        assert answer.status == 200
        assert b"compaction" in answer.body
        assert b"SUMMARY" not in answer.body
        assert b"summary" not in answer.body.replace(b'"summary":null', b"")
    [blob] = [one["encrypted_content"] for one in items.json["data"] if one["type"] == "compaction"]
    await served.ok(
        input=[{"type": "compaction", "encrypted_content": blob}, {"role": "user", "content": "z"}]
    )
    assert served.last_texts()[0].startswith(PREAMBLE)
    reference = {"type": "item_reference", "id": made["output"][0]["id"]}
    await served.ok(input=[reference, {"role": "user", "content": "z"}])
    assert served.last_texts()[0].startswith(PREAMBLE)


async def test_a_compaction_of_another_tenant_or_one_that_was_changed_is_refused() -> None:
    clock = FakeClock()
    sealer = AeadSealer(lambda: KEYS, clock, max_age_days=1)
    served = Served(sealer=sealer)
    made = await served.ok("/compact", input="the key is 7")
    blob: str = made["output"][-1]["encrypted_content"]
    refused = (400, "invalid_encrypted_content", "input[0].encrypted_content")
    foreign = sealer.seal("another", "compaction", b"{}")
    of_reasoning = sealer.seal("default", "reasoning", b"{}")
    no_payload = sealer.seal("default", "compaction", b"[1]")
    changed = blob[:-6] + ("A" if blob[-6] != "A" else "B") + blob[-5:]
    for wrong in (foreign, of_reasoning, no_payload, changed, blob[:-8], "", "gAAAA"):
        item = {"type": "compaction", "encrypted_content": wrong}
        assert await served.error(input=[item, {"role": "user", "content": "x"}]) == refused, wrong
    clock.at += 3 * 86_400
    item = {"type": "compaction", "encrypted_content": blob}
    assert await served.error(input=[item, {"role": "user", "content": "x"}]) == refused


async def test_a_conversation_goes_on_from_its_compaction() -> None:
    served = Served()
    made = await exchange(served.app, "POST", "/v1/conversations", {})
    conversation: str = made.json["id"]
    await served.ok(input=LONG, conversation=conversation)
    await served.ok(input="what was it?", conversation=conversation, context_management=FULL)
    await served.ok(input="go on", conversation=conversation)
    said = served.last_texts()
    assert said[0].startswith(PREAMBLE)
    assert LONG not in said
    await served.ok(input=[{"type": "compaction_trigger"}], conversation=conversation)
    await served.ok(input="and on", conversation=conversation)
    assert len(served.last_texts()) == 2
    items = await exchange(served.app, "GET", f"/v1/conversations/{conversation}/items?limit=100")
    assert b"SUMMARY" not in items.body


async def test_an_item_that_is_deleted_is_left_out_of_the_compaction_too() -> None:
    served = Served()
    made = await exchange(served.app, "POST", "/v1/conversations", {})
    conversation: str = made.json["id"]
    await served.ok(input=LONG, conversation=conversation)
    await served.ok(input="the password is otter", conversation=conversation, context_management=FULL)
    await served.ok(input="go on", conversation=conversation)
    assert "the password is otter" in served.last_texts()
    items = f"/v1/conversations/{conversation}/items"
    listed = (await exchange(served.app, "GET", f"{items}?limit=100")).json["data"]
    told = next(item["id"] for item in listed if _has_text(item, "the password is otter"))
    assert (await exchange(served.app, "DELETE", f"{items}/{told}")).status == 200
    await served.ok(input="go on", conversation=conversation)
    said = served.last_texts()
    assert said[0].startswith(PREAMBLE)
    assert "the password is otter" not in said


def _has_text(item: Json, text: str) -> bool:
    return bool(item["type"] == "message" and item["content"][0]["text"] == text)


# --- an upstream's own ------------------------------------------------------------------------------------------
class Blobs:
    """A provider that compacts itself, over a scripted model."""

    def __init__(self, model: Listener) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def compact(self, model: str, call: CallModel) -> UpstreamCompaction | None:
        del model, call
        return UpstreamCompaction("elsewhere:blob")


async def test_an_upstreams_own_compaction_is_for_that_upstream_alone() -> None:
    served = Served(wrap=Blobs)
    made = await served.ok("/compact", input="the key is 7")
    assert types(made) == ["message", "compaction"]
    status, code, param = await served.error(input=[*made["output"], {"role": "user", "content": "go on"}])
    assert (status, code, param) == (400, "unsupported_parameter", "input")


# --- counting ---------------------------------------------------------------------------------------------------
async def test_a_count_sees_what_the_model_would() -> None:
    served = Served()
    parent = await served.ok(input=LONG)
    made = await served.ok(input="what was it?", previous_response_id=parent["id"], context_management=FULL)
    answer = await served.call("/input_tokens", input="go on", previous_response_id=made["id"])
    child = await served.ok(input="go on", previous_response_id=made["id"])
    assert answer.headers["x-antiphon-token-count"] == "exact"
    assert answer.json == {"object": "response.input_tokens", "input_tokens": child["usage"]["input_tokens"]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"input": 7}, "input"),
        ({"input": [{"type": "nonsense"}]}, "input[0].type"),
        ({"personality": "friendly"}, "personality"),
        ({"temperature": 1}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tool_choice": {"type": "function", "name": "f"}}, "tool_choice.name"),
        ({"previous_response_id": "resp_1", "conversation": "conv_1"}, "previous_response_id"),
        ({"previous_response_id": "resp_none"}, "previous_response_id"),
        ({"truncation": "never"}, "truncation"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
    ],
)
async def test_a_bad_count_is_refused_by_name(fields: Json, param: str) -> None:
    status, _, named = await Served().error("/input_tokens", **{"input": "x", **fields})
    assert (status, named) == (400, param)


async def test_a_count_needs_no_input() -> None:
    answer = await Served().call("/input_tokens", instructions="one two three")
    assert answer.json["input_tokens"] == 3
