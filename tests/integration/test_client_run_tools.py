"""Tools that the client runs, with the official client: each kind is called, answered and remembered."""

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import openai
import pytest

import antiphon
from antiphon.in_process.server import EmbeddedServer
from bench.program import Program, start_antiphon
from tests.conformance.recorder import Recorder
from tests.integration.clients import Connect, InProcess, OverHttp

Json = dict[str, Any]
IMAGE = "data:image/png;base64,AAAA"
FIND: Json = {
    "type": "function",
    "name": "find",
    "parameters": {"type": "object", "properties": {"q": {"type": "string"}}},
    "strict": False,
}
WEATHER: Json = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
    "defer_loading": True,
}
TIME: Json = {**WEATHER, "name": "get_time", "description": "The time of a city"}
NOTE: Json = {"type": "custom", "name": "note", "format": {"type": "text"}}
CRM: Json = {"type": "namespace", "name": "crm", "description": "Customers", "tools": [FIND, NOTE]}
SHELL: Json = {"type": "shell", "environment": {"type": "local"}}
SEARCH: Json = {"type": "tool_search"}
COMMANDS: Json = {"commands": ["ls -l", "pwd"], "timeout_ms": 1000}


def call(name: str, arguments: Any = None) -> Json:
    return {"name": name, "arguments": arguments if arguments is not None else {}}


def calls(*several: Json, **more: Any) -> Json:
    return {"reply": [{"calls": list(several), **more}]}


OUTPUTS: Json = {"when": {"tool_outputs": True}, "reply": [{"text": "Out: {{tool_outputs}}"}]}
LONG_PATCH: Json = {"type": "create_file", "path": "a.txt", "diff": "+word " * 60}
CLICKS: Json = {"actions": [{"type": "click", "button": "left", "x": 1, "y": 2, "text": None}]}
KINDS: dict[str, tuple[Json, Json, Json, Json]] = {
    "shell": (
        SHELL,
        COMMANDS,
        {"action": {**COMMANDS, "max_output_length": None}, "environment": {"type": "local"}},
        {
            "output": [
                {"stdout": "a\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}},
                {"stdout": "/x", "stderr": "", "outcome": {"type": "timeout"}},
            ]
        },
    ),
    "local_shell": (
        {"type": "local_shell"},
        {"command": ["ls"]},
        {"action": {"type": "exec", "command": ["ls"], "env": {}}},
        {"output": "files"},
    ),
    "apply_patch": (
        {"type": "apply_patch"},
        {"type": "update_file", "path": "a.txt", "diff": "@@\n-a\n+b"},
        {"operation": {"type": "update_file", "path": "a.txt", "diff": "@@\n-a\n+b"}},
        {"status": "completed", "output": "patched"},
    ),
    "computer": (
        {"type": "computer"},
        CLICKS,
        {"actions": [{"type": "click", "button": "left", "x": 1, "y": 2}], "pending_safety_checks": []},
        {"output": {"type": "computer_screenshot", "image_url": IMAGE}},
    ),
    "computer_use_preview": (
        {"type": "computer_use_preview", "environment": "browser", "display_width": 80, "display_height": 60},
        CLICKS,
        {"action": {"type": "click", "button": "left", "x": 1, "y": 2}, "pending_safety_checks": []},
        {"output": {"type": "computer_screenshot", "image_url": IMAGE}},
    ),
}
KINDS["computer_use"] = ({"type": "computer_use", "environment": "linux"}, *KINDS["computer"][1:])
TOLD = {
    "shell": "Out: a\n[exit code 0]\n\n/x\n[timed out]",
    "local_shell": "Out: files",
    "apply_patch": "Out: patched",
    "computer": "Out: ",
    "computer_use": "Out: ",
    "computer_use_preview": "Out: ",
}


def _tries(name: str, *bad: Any, good: Any) -> list[Json]:
    """Gives bad arguments first, and better ones when it is told."""
    rules = [{"when": {"step": at + 1}, **calls(call(name, one))} for at, one in enumerate(bad)]
    return [*rules, {"when": {"step": len(bad) + 1}, **calls(call(name, good))}, OUTPUTS]


MODELS: dict[str, list[Json]] = {
    **{
        kind: [OUTPUTS, {"reply": [{"text": "Doing."}, *calls(call(kind, KINDS[kind][1]))["reply"]]}]
        for kind in KINDS
        if not kind.startswith("computer")
    },
    **{
        kind: [OUTPUTS, {"reply": [{"text": "Doing."}, *calls(call("computer", CLICKS))["reply"]]}]
        for kind in KINDS
        if kind.startswith("computer")
    },
    "namespaced": [OUTPUTS, calls(call("crm__find", {"q": "x"}), call("crm__note", "free text"))],
    "both": [OUTPUTS, calls(call("shell", COMMANDS), call("find", {"q": "x"}))],
    "interleaved": [
        OUTPUTS,
        calls(
            call("shell", COMMANDS), call("find", {"q": "a b c"}), call("shell", COMMANDS), interleave=True
        ),
    ],
    "clumsy": _tries("shell", "{no", {"commands": []}, good=COMMANDS),
    "hopeless": [calls(call("shell", "{no"))],
    "searcher": [
        {
            "when": {"text": "once more", "tool_outputs": False},
            **calls(call("get_weather", {"city": "Rome"})),
        },
        {"when": {"step": 1}, **calls(call("tool_search", {"query": "weather"}))},
        {"when": {"step": 2}, **calls(call("get_weather", {"city": "Oslo"}))},
        OUTPUTS,
    ],
    "searches-twice": [
        {"when": {"step": 1}, **calls(call("tool_search", {"query": "weather"}))},
        {"when": {"step": 2}, **calls(call("tool_search", {"query": "time"}))},
        {"when": {"step": 3}, **calls(call("get_weather", {}), call("get_time", {}))},
        OUTPUTS,
    ],
    "searches-on-the-side": [
        OUTPUTS,
        calls(call("tool_search", {"query": "weather"}), call("find", {"q": "x"})),
    ],
    "asks-client": [
        {"when": {"step": 1}, **calls(call("tool_search", {"goal": "weather"}))},
        {"when": {"step": 2}, **calls(call("get_weather", {"city": "Oslo"}))},
        OUTPUTS,
    ],
    "long-patch": [{"reply": [{"text": "Doing."}, *calls(call("apply_patch", LONG_PATCH))["reply"]]}],
    "weather": [OUTPUTS, calls(call("get_weather", {"city": "Oslo"}))],
    "explains": [
        {"when": {"step": 1}, "reply": [{"text": "First."}, {"calls": [call("note", "no number")]}]},
        {"when": {"step": 2}, "reply": [{"text": "Again."}, {"calls": [call("note", "12")]}]},
    ],
    "noter": [OUTPUTS, calls(call("crm__note", "aaa"))],
}


def _config() -> Json:
    models = [{"name": name, "rules": rules} for name, rules in MODELS.items()]
    script = {"provider_id": "script", "provider_type": "inline::scripted", "config": {"models": models}}
    return {"version": 2, "providers": {"inference": [script]}}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("client_run")
    with start_antiphon(folder, json.dumps(_config())) as program:
        program.wait_ready()
        yield program


@pytest.fixture(scope="module")
def inside() -> Iterator[EmbeddedServer]:
    with antiphon.embedded(_config(), temporary=True) as running:
        yield running


@pytest.fixture(params=["http", "embedded"])
def connect(request: pytest.FixtureRequest, recorder: Recorder) -> Connect:
    if request.param == "http":
        return OverHttp(request.getfixturevalue("process"), recorder)
    return InProcess(request.getfixturevalue("inside"), recorder)


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def ask(request: pytest.FixtureRequest, client: openai.OpenAI) -> Callable[..., Any]:
    """Makes a response, streamed or not, from a body as the wire has it."""

    def made(**body: Any) -> Any:
        if not request.param:
            return cast("Any", client.responses.create(**body))
        events: list[Any] = list(client.responses.create(**body, stream=True))
        return events[-1].response

    return made


def answer(item: Any, more: Json) -> Json:
    kind = "tool_search_output" if item.type == "tool_search_call" else f"{item.type}_output"
    return {"type": kind, "call_id": item.call_id, **more}


def types(response: Any) -> list[str]:
    return [item.type for item in response.output]


@contextmanager
def refused(param: str) -> Generator[list[str]]:
    """Expects a 400 at `param`; the list gets its message."""
    told: list[str] = []
    with pytest.raises(openai.BadRequestError) as caught:
        yield told
    body = cast("Json", caught.value.body)
    assert body["param"] == param, body
    told.append(body["message"])


# --- each kind -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_an_item_of_its_own_type_and_its_answer_goes_on(
    client: openai.OpenAI, ask: Callable[..., Any], kind: str
) -> None:
    tool, _, fields, result = KINDS[kind]
    first = ask(model=kind, input="go", tools=[tool])
    item_type = "computer_call" if kind.startswith("computer") else f"{kind}_call"
    assert types(first) == ["message", item_type]
    made = first.output[1]
    sent = made.to_dict()
    assert {name: sent[name] for name in fields} == fields
    assert sent["status"] == "completed"
    second = ask(model=kind, previous_response_id=first.id, input=[answer(made, result)], tools=[tool])
    assert second.output_text == TOLD[kind]
    listed = [item.type for item in client.responses.input_items.list(second.id, order="asc")]
    assert listed == ["message", "message", item_type, f"{item_type}_output"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_history_can_be_sent_instead_of_stored(ask: Callable[..., Any], kind: str) -> None:
    tool, _, _, result = KINDS[kind]
    first = ask(model=kind, input="go", tools=[tool], store=False)
    history = [{"role": "user", "content": "go"}, *(item.to_dict() for item in first.output)]
    second = ask(model=kind, input=[*history, answer(first.output[1], result)], tools=[tool], store=False)
    assert second.output_text == TOLD[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_that_is_not_answered_is_told_what_it_wants(client: openai.OpenAI, kind: str) -> None:
    tool = KINDS[kind][0]
    first: Any = client.responses.create(model=kind, input="go", tools=cast("Any", [tool]))
    with refused("input") as told:
        client.responses.create(
            model=kind, previous_response_id=first.id, input="never mind", tools=cast("Any", [tool])
        )
    assert f"Send a `{first.output[1].type}_output` item with this call_id" in told[0]


def test_a_shell_calls_commands_are_events_of_their_own(client: openai.OpenAI) -> None:
    with client.responses.stream(model="shell", input="go", tools=cast("Any", [SHELL])) as stream:
        events: list[Any] = list(stream)
        final = stream.get_final_response()
    told = [
        (event.type.removeprefix("response.shell_call_command."), event.command_index, event.output_index)
        for event in events
        if event.type.startswith("response.shell_call_command.")
    ]
    assert told == [(step, number, 1) for number in (0, 1) for step in ("added", "delta", "done")]
    [added] = [
        event for event in events if event.type == "response.output_item.added" and event.output_index == 1
    ]
    assert (added.item.status, added.item.action.commands) == ("in_progress", [])
    assert cast("Any", final.output[1]).action.commands == COMMANDS["commands"]


def test_screenshots_are_listed_for_those_who_ask(client: openai.OpenAI) -> None:
    tools = cast("Any", [{"type": "computer"}])
    first: Any = client.responses.create(model="computer", input="go", tools=tools)
    shot = cast("Any", answer(first.output[1], KINDS["computer"][3]))
    second = client.responses.create(
        model="computer", previous_response_id=first.id, input=[shot], tools=tools
    )
    hidden: Any = client.responses.input_items.list(second.id, limit=1).data[0]
    assert hidden.output.image_url is None
    asked = "computer_call_output.output.image_url"
    shown: Any = client.responses.input_items.list(second.id, limit=1, include=cast("Any", [asked])).data[0]
    assert shown.output.image_url == IMAGE
    with refused("input[0].output.image_url") as told:
        client.responses.create(
            model="computer",
            previous_response_id=first.id,
            input=cast("Any", [hidden.to_dict()]),
            tools=tools,
        )
    assert asked in told[0]


# --- several at once -------------------------------------------------------------------------------------------
def test_tools_of_a_namespace_are_called_by_their_own_names(ask: Callable[..., Any]) -> None:
    first = ask(model="namespaced", input="go", tools=[CRM])
    assert [(item.type, item.name, item.namespace) for item in first.output] == [
        ("function_call", "find", "crm"),
        ("custom_tool_call", "note", "crm"),
    ]
    outputs = [answer(item, {"output": item.name}) for item in first.output]
    second = ask(model="namespaced", previous_response_id=first.id, input=outputs, tools=[CRM])
    assert second.output_text == "Out: find, note"


@pytest.mark.parametrize("model", ["both", "interleaved"])
def test_calls_keep_the_models_order_whatever_they_become(ask: Callable[..., Any], model: str) -> None:
    first = ask(model=model, input="go", tools=[SHELL, FIND])
    wanted = ["shell_call", "function_call", "shell_call"]
    assert types(first) == wanted[: len(first.output)]
    assert len(first.output) == (3 if model == "interleaved" else 2)
    results = {"shell_call": KINDS["shell"][3], "function_call": {"output": "found"}}
    outputs = [answer(item, results[item.type]) for item in first.output]
    second = ask(model=model, previous_response_id=first.id, input=outputs, tools=[SHELL, FIND])
    assert "found" in second.output_text


def test_one_call_at_a_time_where_that_is_asked_for(ask: Callable[..., Any]) -> None:
    first = ask(model="both", input="go", tools=[SHELL, FIND], parallel_tool_calls=False)
    assert types(first) == ["shell_call"]


# --- what the model gets wrong -----------------------------------------------------------------------------------
def test_arguments_that_cannot_be_read_are_the_models_to_correct(ask: Callable[..., Any]) -> None:
    first = ask(model="clumsy", input="go", tools=[SHELL])
    assert types(first) == ["shell_call"]
    assert first.output[0].action.commands == COMMANDS["commands"]
    assert first.usage.output_tokens > 0


def test_a_model_that_never_gets_it_right_fails_the_response(ask: Callable[..., Any]) -> None:
    first = ask(model="hopeless", input="go", tools=[SHELL])
    assert first.status == "failed"
    assert first.output == []
    assert first.error.code == "server_error"


def test_what_the_model_says_beside_a_call_that_breaks_a_grammar_is_kept(ask: Callable[..., Any]) -> None:
    grammar = {"type": "grammar", "syntax": "regex", "definition": "[0-9]+"}
    first = ask(model="explains", input="go", tools=[{**NOTE, "format": grammar}])
    assert types(first) == ["message", "message", "custom_tool_call"]
    said = [item.content[0].text for item in first.output[:2]]
    assert (said, first.output[2].input) == (["First.", "Again."], "12")


def test_a_call_that_is_cut_short_is_not_shown(ask: Callable[..., Any]) -> None:
    first = ask(model="long-patch", input="go", tools=[{"type": "apply_patch"}], max_output_tokens=16)
    assert (first.status, first.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert types(first) == ["message"]
    again = ask(model="apply_patch", previous_response_id=first.id, input="go on")
    assert again.status == "completed"


# --- choosing ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("choice", "model"),
    [
        ({"type": "shell"}, "shell"),
        ({"type": "apply_patch"}, "apply_patch"),
        ({"type": "computer"}, "computer"),
        ({"type": "computer_use_preview"}, "computer"),
    ],
)
def test_a_tool_can_be_demanded_by_its_type(ask: Callable[..., Any], choice: Json, model: str) -> None:
    tools = [KINDS[kind][0] for kind in ("shell", "apply_patch", "computer")]
    first = ask(model=model, input="go", tools=tools, tool_choice=choice)
    assert first.tool_choice.to_dict() == choice
    assert types(first)[-1] == f"{model}_call"


def test_another_tool_than_the_one_demanded_is_not_shown(ask: Callable[..., Any]) -> None:
    tools = [SHELL, {"type": "apply_patch"}]
    first = ask(model="shell", input="go", tools=tools, tool_choice={"type": "apply_patch"})
    assert "shell_call" not in types(first)
    assert 'only "apply_patch" may be called now' in first.output_text


def test_allowed_tools_can_leave_the_shell_out(ask: Callable[..., Any]) -> None:
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "apply_patch"}]}
    first = ask(model="shell", input="go", tools=[SHELL, {"type": "apply_patch"}], tool_choice=allowed)
    assert types(first) == ["message", "message"]
    assert 'tool "shell" may not be called in this request; allowed: apply_patch' in first.output_text


def test_a_choice_of_a_tool_that_is_not_there_is_refused(client: openai.OpenAI) -> None:
    with refused("tool_choice"):
        client.responses.create(
            model="shell", input="go", tools=cast("Any", [FIND]), tool_choice=cast("Any", {"type": "shell"})
        )


# --- the tool search -----------------------------------------------------------------------------------------------
def test_the_server_finds_tools_and_the_conversation_keeps_them(ask: Callable[..., Any]) -> None:
    tools = [SEARCH, WEATHER, TIME]
    first = ask(model="searcher", input="go", tools=tools)
    assert types(first) == ["tool_search_call", "tool_search_output", "function_call"]
    asked, found, made = first.output
    assert (asked.call_id, asked.execution, asked.arguments) == (None, "server", {"query": "weather"})
    assert [tool.name for tool in found.tools] == ["get_weather"]
    rain = answer(made, {"output": "rain"})
    second = ask(model="searcher", previous_response_id=first.id, input=[rain], tools=tools)
    assert second.output_text.endswith("rain")
    third = ask(model="searcher", previous_response_id=second.id, input="once more", tools=[SEARCH, TIME])
    assert types(third) == ["function_call"]
    chosen = {"type": "function", "name": "get_weather"}
    fourth = ask(
        model="searcher",
        previous_response_id=third.id,
        input=[answer(third.output[0], {"output": "sun"}), {"role": "user", "content": "once more"}],
        tool_choice=chosen,
    )
    assert types(fourth) == ["function_call"]
    with refused("tool_choice.name"):
        ask(
            model="searcher",
            previous_response_id=fourth.id,
            input=[answer(fourth.output[0], {"output": "sun"})],
            tool_choice={"type": "function", "name": "get_time"},
        )


def test_a_search_and_what_it_found_can_be_sent_back(ask: Callable[..., Any]) -> None:
    first = ask(model="searcher", input="go", tools=[SEARCH, WEATHER], store=False)
    history = [{"role": "user", "content": "go"}, *(item.to_dict() for item in first.output)]
    rain = answer(first.output[2], {"output": "rain"})
    second = ask(model="searcher", input=[*history, rain], tools=[SEARCH, WEATHER], store=False)
    assert second.output_text.endswith("rain")


def test_searches_follow_one_another_and_count_as_tool_calls(ask: Callable[..., Any]) -> None:
    tools = [SEARCH, WEATHER, TIME]
    first = ask(model="searches-twice", input="go", tools=tools)
    search = ["tool_search_call", "tool_search_output"]
    assert types(first) == [*search, *search, "function_call", "function_call"]
    bounded = ask(model="searches-twice", input="go", tools=tools, max_tool_calls=1)
    assert types(bounded) == [*search, "function_call"]
    assert bounded.output[-1].name == "get_weather"


def test_a_search_beside_a_call_of_the_clients(ask: Callable[..., Any]) -> None:
    first = ask(model="searches-on-the-side", input="go", tools=[SEARCH, FIND, WEATHER])
    assert types(first) == ["tool_search_call", "tool_search_output", "function_call"]
    found = answer(first.output[2], {"output": "x"})
    second = ask(model="searches-on-the-side", previous_response_id=first.id, input=[found], tools=[FIND])
    assert second.output_text.endswith("x")


def test_the_client_can_make_the_search(ask: Callable[..., Any]) -> None:
    goal = {"type": "object", "properties": {"goal": {"type": "string"}}}
    tool = {**SEARCH, "execution": "client", "description": "Look it up", "parameters": goal}
    first = ask(model="asks-client", input="go", tools=[tool])
    assert types(first) == ["tool_search_call"]
    asked = first.output[0]
    assert (asked.execution, asked.arguments) == ("client", {"goal": "weather"})
    found = answer(asked, {"execution": "client", "tools": [WEATHER], "status": "completed"})
    second = ask(model="asks-client", previous_response_id=first.id, input=[found], tools=[tool])
    assert [item.name for item in second.output] == ["get_weather"]
    third = ask(
        model="asks-client",
        previous_response_id=second.id,
        input=[answer(second.output[0], {"output": "rain"})],
        tools=[tool],
    )
    assert third.output_text.endswith("rain")


def test_a_developer_can_bring_tools_in_the_middle(client: openai.OpenAI, ask: Callable[..., Any]) -> None:
    brings = {"type": "additional_tools", "role": "developer", "tools": [WEATHER, CRM]}
    items = [{"role": "user", "content": "hi"}, brings, {"role": "user", "content": "go"}]
    first = ask(model="weather", input=items)
    assert types(first) == ["function_call"]
    second = ask(
        model="weather", previous_response_id=first.id, input=[answer(first.output[0], {"output": "rain"})]
    )
    assert second.output_text == "Out: rain"
    listed = [item.type for item in client.responses.input_items.list(second.id, order="asc")]
    assert listed == ["message", "additional_tools", "message", "function_call", "function_call_output"]
    third = ask(model="noter", previous_response_id=second.id, input="note it")
    assert [(item.type, item.name) for item in third.output] == [("custom_tool_call", "note")]


# --- what is refused -------------------------------------------------------------------------------------------------
def test_an_output_of_another_kind_is_taken_as_the_answer(ask: Callable[..., Any]) -> None:
    """For clients that know functions only."""
    first = ask(model="apply_patch", input="go", tools=[{"type": "apply_patch"}])
    output = {"type": "function_call_output", "call_id": first.output[1].call_id, "output": "patched"}
    assert (
        ask(model="apply_patch", previous_response_id=first.id, input=[output]).output_text
        == TOLD["apply_patch"]
    )


REFUSED: list[tuple[Json, str]] = [
    ({"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]}, "tools[0].environment"),
    ({"tools": [SHELL, {**FIND, "name": "shell"}]}, "tools[1].name"),
    ({"tools": [{**CRM, "tools": []}]}, "tools[0].tools"),
    ({"input": [{"type": "shell_call_output", "call_id": "x", "output": []}]}, "input[0].call_id"),
    ({"input": [{"type": "shell_call", "call_id": "x", "action": {}}]}, "input[0].action.commands"),
    ({"input": [{"type": "computer_call", "call_id": "x"}]}, "input[0].id"),
    (
        {"input": [{"type": "additional_tools", "role": "user", "tools": [FIND]}]},
        "input[0].role",
    ),
]


@pytest.mark.parametrize(("body", "param"), REFUSED)
def test_what_cannot_be_used_is_refused_before_anything_runs(
    ask: Callable[..., Any], body: Json, param: str
) -> None:
    with refused(param):
        ask(**{"model": "shell", "input": "go", **body})
