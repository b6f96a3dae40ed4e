"""`antiphon replay`: recorded runs made again, and the first difference that is found."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.commands import run as run_command
from antiphon.testing.simulation import exchange
from antiphon.web.edge import Edge
from tests.integration.recording import (
    TOOL,
    Json,
    chat,
    final,
    leave_at,
    recorded,
    recording_config,
    respond,
    serving,
)
from tests.integration.test_record import RESPONSES
from tests.integration.upstream import Upstream

Replay = Callable[..., Json]


@pytest.fixture
def replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Replay:
    """The result of the only run that `antiphon replay` was asked for. The exit code has been checked."""

    def run(*arguments: str) -> Json:
        (result,) = run_all(tmp_path, capsys, *arguments)
        return result

    return run


def run_all(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[Json]:
    code = run_command(["replay", *arguments, "--json", "--config", str(folder / "antiphon.yaml")])
    results: list[Json] = json.loads(capsys.readouterr().out)
    assert code == (0 if all(one["same"] for one in results) else 1)
    return results


def record(upstream: Upstream, folder: Path, *bodies: Json, api: Any = respond) -> list[str]:
    """The ids of the runs that these requests made."""

    async def ask() -> None:
        async with serving(folder, recording_config(upstream.url, folder)) as app:
            for body in bodies:
                await api(app, body)

    known = recorded(folder).run_ids() if (folder / "recordings").exists() else []
    asyncio.run(ask())
    return [name for name in recorded(folder).run_ids() if name not in known]


def edit(folder: Path, old: str, new: str, line: int | None = None) -> None:
    """Change the recording: then today's server differs from the one that made it."""
    (path,) = (folder / "recordings").iterdir()
    lines = path.read_text().splitlines(keepends=True)
    at = range(len(lines)) if line is None else [line]
    assert any(old in lines[number] for number in at)
    for number in at:
        lines[number] = lines[number].replace(old, new)
    path.write_text("".join(lines))


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("name", RESPONSES)
def test_an_unchanged_server_makes_the_same_run(
    name: str, stream: bool, upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    (run,) = record(upstream, tmp_path, {**RESPONSES[name], "stream": stream})
    seen = len(upstream.seen.requests)
    result = replay(run)
    assert result["same"], result
    assert result["steps"] == (2 if name == "repaired" else 1)
    assert (result["events"] > 0) == stream
    assert result["notes"] == []
    assert len(upstream.seen.requests) == seen, "nobody was asked"


async def with_a_prompt(app: Edge, body: Json) -> None:
    """Asks with a prompt whose two variables are a text and a picture."""
    template = {"prompt": "You are {{ who }}. Look at {{ picture }}.", "variables": ["who", "picture"]}
    made = await exchange(app, "POST", "/v1/prompts", template)
    picture = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}
    variables = {"who": "a clerk", "picture": picture}
    await respond(app, {**body, "prompt": {"id": made.json["prompt_id"], "variables": variables}})


def test_a_prompt_is_in_the_recording(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(
        upstream, tmp_path, {"model": "echo", "input": "hi", "instructions": "Be brief."}, api=with_a_prompt
    )
    result = replay(run)
    assert result["same"], result
    edit(tmp_path, "You are {{ who }}.", "You were {{ who }}.")
    difference = replay(run)["request"]["difference"]
    assert difference["path"] == "messages[0].content"
    assert difference["now"].startswith("You were a clerk.")


async def in_a_conversation(app: Edge, body: Json) -> None:
    """Two turns, with an item that was added between them and one that was taken out."""
    made = await exchange(app, "POST", "/v1/conversations", {"items": [{"role": "user", "content": "begin"}]})
    path = f"/v1/conversations/{made.json['id']}"
    await respond(app, {**body, "conversation": made.json["id"]})
    added = await exchange(app, "POST", f"{path}/items", {"items": [{"role": "user", "content": "by hand"}]})
    assert added.status == 200
    oldest = (await exchange(app, "GET", f"{path}/items?order=asc")).json["data"][0]["id"]
    assert (await exchange(app, "DELETE", f"{path}/items/{oldest}")).status == 200
    await respond(app, {**body, "conversation": {"id": made.json["id"]}})


def test_turns_of_a_conversation_are_made_again(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    runs = record(upstream, tmp_path, {"model": "echo", "input": "hi", "stream": True}, api=in_a_conversation)
    assert len(runs) == 2
    assert [one["content"] for one in upstream.seen.requests[-1]["messages"]] == [
        "hi",
        "You said: hi",
        "by hand",
        "hi",
    ]
    for run in runs:
        result = replay(run)
        assert result["same"], result
        assert result["steps"] == 1


async def in_a_full_context(app: Edge, body: Json) -> None:
    """A chain whose context is compacted on its way, by a trigger, and is referred to."""
    made = await respond(app, {**body, "input": "remember the lighthouse " * 200})
    full = [{"type": "compaction", "compact_threshold": 1000}]
    parent = {**body, "previous_response_id": made.json["id"]}
    made = await respond(app, {**parent, "context_management": full})
    assert [item["type"] for item in made.json["output"]] == ["compaction", "message"]
    parent = {**body, "previous_response_id": made.json["id"]}
    made = await respond(app, {**parent, "input": [{"type": "compaction_trigger"}]})
    reference = {"type": "item_reference", "id": made.json["output"][0]["id"]}
    await respond(app, {**body, "input": [reference, {"role": "user", "content": "go on"}]})


def test_compactions_are_made_again(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    runs = record(upstream, tmp_path, {"model": "echo", "input": "hi"}, api=in_a_full_context)
    assert len(runs) == 4
    for run, steps in zip(runs, [1, 2, 1, 1], strict=True):
        result = replay(run)
        assert result["same"], result
        assert result["steps"] == steps


@pytest.mark.parametrize("name", ["fails-400", "fails-429"])
def test_a_run_that_never_began_fails_alike(
    name: str, upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    (run,) = record(upstream, tmp_path, {"model": name, "input": "x"})
    assert replay(run)["same"]


def test_a_run_that_was_left_is_compared_as_far_as_it_went(
    upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    async def leave(app: Any, body: Json) -> None:
        await leave_at(app, body, b"once upon a time")

    (run,) = record(upstream, tmp_path, {"model": "endless", "input": "x", "stream": True}, api=leave)
    assert recorded(tmp_path).exchanges[0].ended == "cancelled"
    result = replay(run)
    assert (result["request"], result["answer"]) == (None, None)
    assert result["events"] > 4


# --- what differs: the server ------------------------------------------------------------------------------
def test_a_changed_rendering_is_the_first_difference(
    upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    body = {"model": "echo", "input": "hi", "instructions": "Be kind.", "max_output_tokens": 200}
    (run,) = record(upstream, tmp_path, body)
    edit(tmp_path, '"max_tokens":200', '"max_completion_tokens":200', line=1)
    found = replay(run)["request"]
    assert (found["part"], found["step"]) == ("request", 1)
    assert found["difference"] == {"path": "max_completion_tokens", "recorded": 200, "absent": "now"}


def test_a_changed_setting_of_the_provider_is_seen(
    upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    (run,) = record(upstream, tmp_path, {"model": "echo", "input": "hi", "max_output_tokens": 200})
    config = (tmp_path / "antiphon.yaml").read_text()
    changed = config.replace(
        "wire: chat}", "wire: chat, capabilities: {max_tokens_field: max_completion_tokens}}"
    )
    (tmp_path / "antiphon.yaml").write_text(changed)
    found = replay(run)["request"]
    assert found["difference"]["path"] == "max_tokens"


@pytest.mark.parametrize("wire", ["", "wire: auto, "])
def test_a_wire_that_is_not_chosen_is_that_of_the_recording(
    wire: str, upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    (run,) = record(upstream, tmp_path, {"model": "echo", "input": "hi"})
    config = (tmp_path / "antiphon.yaml").read_text()
    (tmp_path / "antiphon.yaml").write_text(config.replace(", wire: chat}", f", {wire}max_retries: 0}}"))
    result = replay(run)
    assert result["same"]
    assert result["notes"] == []


def test_a_changed_event_is_named_by_its_place(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, {"model": "echo", "input": "hi", "stream": True})
    edit(tmp_path, '"type":"response.content_part.added"', '"type":"response.part.added"')
    found = replay(run)["answer"]
    assert found["part"] == "events"
    assert found["difference"] == {
        "path": "[3].type",
        "recorded": "response.part.added",
        "now": "response.content_part.added",
    }


def test_a_changed_response_is_named_by_its_field(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, {"model": "echo", "input": "hi"})
    edit(tmp_path, '"truncation":"disabled"', '"truncation":"auto"', line=2)
    found = replay(run)["answer"]
    assert (found["part"], found["difference"]["path"]) == ("response", "truncation")


def test_another_number_of_model_calls_is_a_difference(
    upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    (run,) = record(upstream, tmp_path, RESPONSES["repaired"])
    (path,) = (tmp_path / "recordings").iterdir()
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[3:]))  # the second call is gone
    found = replay(run)["answer"]
    assert (found["part"], found["difference"]["recorded"], found["difference"]["now"]) == ("steps", 1, 2)


def test_a_provider_that_is_gone_is_noted(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, {"model": "echo", "input": "hi"})
    config = (tmp_path / "antiphon.yaml").read_text()
    (tmp_path / "antiphon.yaml").write_text(config.replace("provider_id: up\n", "provider_id: elsewhere\n"))
    result = replay(run)
    assert result["same"]
    assert result["notes"] == ['no provider "up" is configured here: what it would be sent is not compared']


def test_a_run_that_is_refused_now_is_a_difference(
    upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    (run,) = record(upstream, tmp_path, {"model": "echo", "input": "hi", "temperature": 1.5})
    edit(tmp_path, '"temperature":1.5', '"temperature":9', line=1)
    found = replay(run)["answer"]
    assert (found["part"], found["difference"]["absent"]) == ("error", "recorded")
    assert "temperature" in found["difference"]["now"] or "2" in found["difference"]["now"]


# --- what differs: the model, the prompt, the tools --------------------------------------------------------
def test_the_same_model_asked_again_says_the_same(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    for name in ("text", "call", "reasoning", "refusal", "repaired"):
        (run,) = record(upstream, tmp_path, {**RESPONSES[name], "stream": True})
        seen = len(upstream.seen.requests)
        result = replay(run, "--live")
        assert result["same"], result
        assert len(upstream.seen.requests) > seen, "the model was asked"


def test_another_model_is_compared_by_its_answer(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, RESPONSES["call"])
    result = replay(run, "--model", "echo")
    assert result["request"] is None, "that the model differs is what was asked for"
    assert result["answer"]["difference"]["path"] == "items[0].type"


def test_another_prompt_is_shown_in_the_request(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, RESPONSES["instructions"])
    (tmp_path / "prompt.txt").write_text("Be cruel.")
    for given in ("Be cruel.", f"@{tmp_path}/prompt.txt"):
        found = replay(run, "--instructions", given)["request"]
        assert found["difference"] == {
            "path": "messages[0].content",
            "recorded": "Be kind.",
            "now": "Be cruel.",
        }


def test_other_tools_are_shown_in_the_request(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, RESPONSES["call"])
    tools = tmp_path / "tools.json"
    tools.write_text(json.dumps([{**TOOL, "parameters": {"type": "object"}}]))
    found = replay(run, "--tools", str(tools))["request"]
    assert found["difference"]["path"] == "tools[0].function.parameters.properties"
    tools.write_text(json.dumps([{**TOOL, "name": "look_outside"}]))
    result = replay(run, "--tools", str(tools))
    assert result["request"]["difference"]["path"] == "tools[0].function.name"
    assert result["answer"]["difference"]["path"] == "items[0].name"


def test_any_parameter_can_be_changed(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, RESPONSES["text"])
    result = replay(run, "--set", "temperature=0.5", "--set", 'input="bye"')
    paths = (result["request"]["difference"]["path"], result["answer"]["difference"]["path"])
    assert paths == ("messages[0].content", "items[0].content[0].text")


def test_arguments_are_compared_as_json(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, RESPONSES["call"])
    edit(tmp_path, r"{\"city\":\"Paris\"}", r"{ \"city\" : \"Paris\" }", line=1)
    assert replay(run, "--live")["same"]
    edit(tmp_path, r"{ \"city\" : \"Paris\" }", r"{ \"city\" : \"Rome\" }", line=1)
    found = replay(run, "--live")["answer"]["difference"]
    assert found == {"path": "items[0].arguments.city", "recorded": "Rome", "now": "Paris"}


def test_a_model_that_fails_now_is_a_difference(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, RESPONSES["text"])
    found = replay(run, "--model", "fails-400")["answer"]
    assert found["part"] == "error"
    assert "temperature is no good" in found["difference"]["now"]


def test_nothing_of_a_live_replay_is_stored(upstream: Upstream, tmp_path: Path, replay: Replay) -> None:
    (run,) = record(upstream, tmp_path, RESPONSES["text"])
    database = (tmp_path / "recorded.db").read_bytes()
    lines = len(recorded(tmp_path).exchanges)
    replay(run, "--live")
    assert (tmp_path / "recorded.db").read_bytes() == database
    assert len(recorded(tmp_path).exchanges) == lines


# --- chains, completions, files ----------------------------------------------------------------------------
def converse(upstream: Upstream, folder: Path) -> tuple[str, str]:
    async def ask() -> tuple[str, str]:
        async with serving(folder, recording_config(upstream.url, folder)) as app:
            first = final(await respond(app, {"model": "caller", "input": "weather?", "tools": [TOOL]}))
            output = {"type": "function_call_output", "call_id": "call_up_0", "output": "21 degrees"}
            body = {"model": "caller", "input": [output], "tools": [TOOL], "stream": True}
            second = final(await respond(app, {**body, "previous_response_id": first["id"]}))
            return first["id"], second["id"]

    return asyncio.run(ask())


@pytest.mark.parametrize("live", [[], ["--live"]], ids=["recorded", "live"])
def test_a_chain_is_replayed_from_its_root(
    live: list[str], upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = converse(upstream, tmp_path)
    alone = run_all(tmp_path, capsys, second, *live)
    chain = run_all(tmp_path, capsys, second, "--chain", *live)
    assert [one["run"] for one in alone] == [second]
    assert [one["run"] for one in chain] == [first, second]
    assert all(one["same"] for one in chain)


def test_a_changed_history_is_shown_where_the_model_sees_it(
    upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    _, second = converse(upstream, tmp_path)
    edit(tmp_path, '"content":"weather?"', '"content":"storm?"', line=3)
    found = replay(second)["request"]
    assert found["difference"]["path"] == "messages[0].content"
    assert (found["difference"]["recorded"], found["difference"]["now"]) == ("storm?", "weather?")


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_completion_is_asked_again(
    stream: bool, upstream: Upstream, tmp_path: Path, replay: Replay
) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}]
    body = {"model": "echo", "messages": messages, "stream": stream}
    (run,) = record(upstream, tmp_path, body, api=chat)
    assert run.startswith("req_")
    assert "without --live" in replay(run)["notes"][0]
    assert replay(run, "--live")["same"]
    other = replay(run, "--instructions", "Be cruel.")
    assert other["request"]["difference"]["path"] == "messages[0].content"
    refused = replay(run, "--model", "refuser")
    assert refused["answer"]["difference"]["path"].startswith("items[0].content[0]")
    failed = replay(run, "--model", "fails-400")
    assert failed["answer"]["part"] == "error"


def test_a_file_stands_for_every_run_in_it(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = record(upstream, tmp_path, *(RESPONSES[name] for name in ("text", "call", "reasoning")))
    (path,) = (tmp_path / "recordings").iterdir()
    for target in (path, path.parent):
        assert [one["run"] for one in run_all(tmp_path, capsys, str(target))] == runs


# --- what people read --------------------------------------------------------------------------------------
def test_people_read_what_differs(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run,) = record(upstream, tmp_path, {"model": "echo", "input": "one\ntwo\nthree"})
    flags = ["--config", str(tmp_path / "antiphon.yaml")]
    assert run_command(["replay", run, *flags]) == 0
    assert capsys.readouterr().out == f"{run}  from its recorded answers, 1 model call: the same\n"
    assert run_command(["replay", run, "--set", 'input="one\\n2\\nthree"', *flags]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{run}  by asking the model again, 1 model call: different"
    assert printed[1] == "  step 1: the request differs at messages[0].content"
    assert printed[2:8] == ["  --- recorded", "  +++ now", "  @@ -1,3 +1,3 @@", "   one", "  -two", "  +2"]
    assert "  step 1: the answer differs at items[0].content[0].text" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["resp_unknown"], 2, 'there is no run "resp_unknown"; it holds 1'),
        (["resp_x", "--recording", "/nowhere"], 2, "/nowhere: cannot be read"),
        (["RUN", "--set", "temperature"], 1, "expected KEY=VALUE"),
        (["RUN", "--set", "temperature=warm"], 1, "--set temperature: expected JSON"),
        (["RUN", "--tools", "missing.json"], 1, "missing.json cannot be read"),
        (["RUN", "--set", "temperature=9"], 1, "temperature"),
        (["RUN", "--model", "nobody"], 1, 'model "nobody"'),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    code: int,
    expected: str,
    upstream: Upstream,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (run,) = record(upstream, tmp_path, {"model": "echo", "input": "hi"})
    filled = [run if argument == "RUN" else argument for argument in arguments]
    assert run_command(["replay", *filled, "--config", str(tmp_path / "antiphon.yaml")]) == code
    assert expected in capsys.readouterr().err


def test_a_torn_line_is_mentioned(
    upstream: Upstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run, _) = record(upstream, tmp_path, RESPONSES["text"], RESPONSES["call"])
    (path,) = (tmp_path / "recordings").iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    assert run_command(["replay", run, "--config", str(tmp_path / "antiphon.yaml")]) == 0
    assert "the last line broke off" in capsys.readouterr().err
