"""What the model sees of each stored item of a client-run tool, and how calls and outputs are matched."""

from typing import Any

import msgspec
import pytest

from antiphon.core.context import Context, build_context, own_items
from antiphon.core.errors import InvalidRequest
from antiphon.core.ids import ItemIds
from antiphon.core.items import FunctionCall, FunctionCallOutput, InputImage
from antiphon.core.seen import StoredItem, as_seen
from antiphon.core.token_estimate import estimate_json
from antiphon.core.transcript import PastTurn
from antiphon.core.wire import encode

_ITEMS = msgspec.json.Decoder(list[StoredItem])
IMAGE = "data:image/png;base64,AAAA"


def items(*given: dict[str, Any]) -> list[StoredItem]:
    return _ITEMS.decode(encode(given))


def call(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "call_id": "c", **more}


COMPUTER = call("computer_call", id="cu", pending_safety_checks=[], status="completed")
LOCAL = call(
    "local_shell_call",
    id="lsh",
    status="completed",
    action={"type": "exec", "command": ["ls"], "env": {}},
)


@pytest.mark.parametrize(
    ("item", "name", "arguments"),
    [
        ({**COMPUTER, "actions": [{"type": "wait"}]}, "computer", '{"actions":[{"type":"wait"}]}'),
        ({**COMPUTER, "action": {"type": "wait"}}, "computer", '{"actions":[{"type":"wait"}]}'),
        (COMPUTER, "computer", '{"actions":[]}'),
        (LOCAL, "local_shell", '{"command":["ls"],"env":{}}'),
        (call("shell_call", action={"commands": ["ls"]}), "shell", '{"commands":["ls"]}'),
        (
            call("apply_patch_call", status="completed", operation={"type": "delete_file", "path": "a"}),
            "apply_patch",
            '{"type":"delete_file","path":"a"}',
        ),
        (call("tool_search_call", arguments={"query": "x"}), "tool_search", '{"query":"x"}'),
        (call("tool_search_call", arguments='{"query":"x"}'), "tool_search", '{"query":"x"}'),
        (call("tool_search_call", arguments="{x"), "tool_search", '"{x"'),
        (
            {"type": "function_call", "call_id": "c", "name": "find", "namespace": "crm", "arguments": "{}"},
            "crm__find",
            "{}",
        ),
    ],
)
def test_a_call_is_seen_as_that_of_a_function(item: dict[str, Any], name: str, arguments: str) -> None:
    [seen] = as_seen(items(item))
    assert isinstance(seen, FunctionCall)
    assert (seen.call_id, seen.name, seen.arguments) == ("c", name, arguments)


def shell_output(*outputs: tuple[str, str, int | None]) -> dict[str, Any]:
    return call(
        "shell_call_output",
        output=[
            {
                "stdout": out,
                "stderr": err,
                "outcome": {"type": "timeout"} if code is None else {"type": "exit", "exit_code": code},
            }
            for out, err, code in outputs
        ],
    )


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (shell_output(("a\n", "", 0)), "a\n[exit code 0]"),
        (shell_output(("", "no\n", 2), ("b", "", None)), "no\n[exit code 2]\n\nb\n[timed out]"),
        (shell_output(), "(no output)"),
        (call("local_shell_call_output", output="files"), "files"),
        (call("apply_patch_call_output", status="completed", output="ok"), "ok"),
        (call("apply_patch_call_output", status="completed"), "Done."),
        (call("apply_patch_call_output", status="completed", output=None), "Done."),
        (call("apply_patch_call_output", status="failed", output="no file"), "Failed: no file"),
        (call("apply_patch_call_output", status="failed"), "Failed."),
        (call("tool_search_output", tools=[]), "No tool was found. Try other words, or go on without."),
        (
            call(
                "tool_search_output",
                tools=[
                    {"type": "function", "name": "f", "parameters": {}, "strict": None},
                    {
                        "type": "namespace",
                        "name": "n",
                        "description": "d",
                        "tools": [{"type": "custom", "name": "g"}],
                    },
                ],
            ),
            "Loaded, and can be called now: f, n__g.",
        ),
    ],
)
def test_an_output_is_seen_as_text(item: dict[str, Any], text: str) -> None:
    assert as_seen(items(item)) == [FunctionCallOutput(call_id="c", output=text)]


def test_a_screenshot_is_seen_as_an_image() -> None:
    output = call(
        "computer_call_output",
        output={"type": "computer_screenshot", "image_url": IMAGE, "detail": "low"},
    )
    [seen] = as_seen(items(output))
    assert seen == FunctionCallOutput(call_id="c", output=[InputImage(image_url=IMAGE, detail="low")])
    large = {**output, "output": {"type": "computer_screenshot", "image_url": IMAGE + "A" * 400_000}}
    assert estimate_json(encode([large])) < 2_000


def test_tools_that_are_brought_are_no_item_for_the_model() -> None:
    assert as_seen(items({"type": "additional_tools", "role": "developer", "tools": []})) == []


def test_searches_of_the_server_are_answered_in_their_turn() -> None:
    """They have no call id: not those that were made at once, nor one in between that has."""
    first = {"type": "tool_search_call", "call_id": None, "id": "a", "arguments": {"query": "x"}}
    answer: dict[str, Any] = {"type": "tool_search_output", "call_id": None, "tools": []}
    seen = as_seen(items(first, {**first, "id": "b"}, {**first, "call_id": "c"}, answer, answer))
    assert [getattr(one, "call_id", None) for one in seen] == ["a", "b", "c", "a", "b"]


# --- matching ------------------------------------------------------------------------------------------------
USER = {"role": "user", "type": "message", "content": "x"}


def context(*own: dict[str, Any], past: list[dict[str, Any]] | None = None) -> Context:
    history = [PastTurn("resp_0", b"[]", encode(past))] if past else []
    return build_context(history, own_items(items(*own), ItemIds("resp_" + "0" * 32)))


def refusal(*own: dict[str, Any], past: list[dict[str, Any]] | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        context(*own, past=past)
    return caught.value


@pytest.mark.parametrize("named", [{"call_id": "c"}, {"id": "c"}, {"id": "lsh"}, {"id": "x", "call_id": "c"}])
@pytest.mark.parametrize("continued", [False, True])
def test_the_output_of_a_local_shell_may_name_the_call_or_its_item(
    named: dict[str, str], continued: bool
) -> None:
    output = {"type": "local_shell_call_output", "output": "files", **named}
    made = context(output, past=[LOCAL]) if continued else context(USER, LOCAL, output)
    assert getattr(made.stored[-1], "call_id", None) == "c"
    assert made.shown[-1] == FunctionCallOutput(call_id="c", output="files")


PATCH = call("apply_patch_call", status="completed", operation={"type": "delete_file", "path": "a"})
CLIENT_SEARCH = call("tool_search_call", arguments={}, execution="client", status="completed")


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (COMPUTER, "computer_call_output"),
        (LOCAL, "local_shell_call_output"),
        (call("shell_call", action={"commands": ["x"]}), "shell_call_output"),
        (PATCH, "apply_patch_call_output"),
        (CLIENT_SEARCH, "tool_search_output"),
        ({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}, "function_call_output"),
    ],
)
def test_a_call_without_an_output_is_refused_and_told_which_item_is_missing(
    made: dict[str, Any], wanted: str
) -> None:
    own = refusal(USER, made)
    assert own.param == "input[1]"
    assert f"Send a `{wanted}` item" in own.message
    earlier = refusal(USER, past=[{**made, "id": "x"}])
    assert earlier.param == "input"
    assert f"Send a `{wanted}` item" in earlier.message


def test_an_output_of_another_kind_answers_a_call_too() -> None:
    """The model sees both as a function's; clients that know functions only can so answer any call."""
    made = context(USER, PATCH, {"type": "function_call_output", "call_id": "c", "output": "ok"})
    answer = made.shown[-1]
    assert isinstance(answer, FunctionCallOutput)
    assert (answer.call_id, answer.output) == ("c", "ok")


@pytest.mark.parametrize(
    "output",
    [
        {"type": "tool_search_output", "tools": []},
        {"type": "local_shell_call_output", "output": "x"},
        shell_output(),
    ],
)
def test_an_output_without_a_call_is_refused(output: dict[str, Any]) -> None:
    error = refusal(USER, output)
    assert error.param == "input[1].call_id"
    assert "its output cannot be used" in error.message


def test_a_call_that_is_sent_again_beside_its_chain_is_shown_once() -> None:
    made = context(LOCAL, call("local_shell_call_output", output="x"), past=[LOCAL])
    assert made.shown == (FunctionCallOutput(call_id="c", output="x"),)


def test_items_are_stored_with_every_field_that_their_stored_form_has() -> None:
    made = context(
        USER,
        call("shell_call", action={"commands": ["x"]}),
        shell_output(),
        {"type": "tool_search_call", "arguments": {}},
        {"type": "tool_search_output", "tools": []},
    )
    called, output, search, found = [msgspec.to_builtins(item) for item in made.stored[1:]]
    assert (called["environment"], called["status"]) == (None, "completed")
    assert (output["max_output_length"], output["status"]) == (None, "completed")
    for item in (search, found):
        assert (item["call_id"], item["execution"], item["status"]) == (None, "server", "completed")
