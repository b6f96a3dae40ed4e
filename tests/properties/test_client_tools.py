"""Items of client-run tools and the calls of models are the same thing in two forms: nothing is lost on the way."""

import json
from typing import Any, Literal, get_args

import msgspec
from hypothesis import event, given
from hypothesis import strategies as st

from antiphon.core.client_tools import BadArguments, ClientCall, FixedTool, as_function, item_of
from antiphon.core.hosted_items import ToolSearchCall
from antiphon.core.items import FunctionCall
from antiphon.core.machine_items import (
    ApplyPatchCall,
    ComputerAction,
    ComputerCall,
    CreateFile,
    DeleteFile,
    LocalShellAction,
    LocalShellCall,
    ShellAction,
    ShellCall,
    UpdateFile,
)
from antiphon.core.seen import StoredItem, as_seen
from antiphon.core.shown_tools import MAX_NAME, shown_name
from antiphon.core.tools import (
    ApplyPatchTool,
    ComputerTool,
    ComputerUsePreviewTool,
    LocalShellTool,
    ShellTool,
    ToolSearchTool,
)
from antiphon.core.wire import UNSET, encode
from antiphon.runs import schemas

PREVIEW = ComputerUsePreviewTool(environment="linux", display_width=1, display_height=1)
whole_numbers = st.integers(-(2**31), 2**31)
words = st.text(max_size=8)
some = st.lists(words, min_size=1, max_size=3)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(UNSET), strategy)


def _field(name: str) -> st.SearchStrategy[Any]:
    match name:
        case "button":
            return st.sampled_from(["left", "right", "wheel", "back", "forward"])
        case "keys":
            return some
        case "path":
            return st.lists(st.fixed_dictionaries({"x": whole_numbers, "y": whole_numbers}), max_size=3)
        case "text":
            return words
        case _:
            return whole_numbers


def _action(kind: type[ComputerAction]) -> st.SearchStrategy[ComputerAction]:
    """Of one type, with or without the fields that it may leave out."""
    fields = {
        one.name: optional(_field(one.name)) if one.default is UNSET else _field(one.name)
        for one in msgspec.structs.fields(kind)
    }
    return st.fixed_dictionaries(fields).map(
        lambda chosen: msgspec.convert(
            {"type": kind.__struct_config__.tag, **{k: v for k, v in chosen.items() if v is not UNSET}}, kind
        )
    )


actions = st.one_of([_action(kind) for kind in get_args(ComputerAction)])
paths = st.text(min_size=1, max_size=8)
nothing_or_number = st.one_of(st.none(), whole_numbers)
THE_CALL, NO_ID = st.just("c"), st.just("")
WHOLE: st.SearchStrategy[Literal["completed"]] = st.just("completed")
kinds: list[st.SearchStrategy[tuple[FixedTool, ClientCall]]] = [
    st.tuples(
        st.just(ComputerTool()),
        st.builds(
            ComputerCall,
            id=NO_ID,
            call_id=THE_CALL,
            status=WHOLE,
            pending_safety_checks=st.just([]),
            actions=st.lists(actions, min_size=1, max_size=4),
        ),
    ),
    st.tuples(
        st.just(PREVIEW),
        st.builds(
            ComputerCall,
            id=NO_ID,
            call_id=THE_CALL,
            status=WHOLE,
            pending_safety_checks=st.just([]),
            action=actions,
        ),
    ),
    st.tuples(
        st.just(ShellTool()),
        st.builds(
            ShellCall,
            call_id=THE_CALL,
            status=WHOLE,
            environment=st.none(),
            action=st.builds(
                ShellAction, commands=some, timeout_ms=nothing_or_number, max_output_length=nothing_or_number
            ),
        ),
    ),
    st.tuples(
        st.just(LocalShellTool()),
        st.builds(
            LocalShellCall,
            id=NO_ID,
            call_id=THE_CALL,
            status=WHOLE,
            action=st.builds(
                LocalShellAction,
                command=some,
                env=st.dictionaries(words, words, max_size=2),
                timeout_ms=optional(whole_numbers),
                working_directory=optional(words),
                user=optional(words),
            ),
        ),
    ),
    st.tuples(
        st.just(ApplyPatchTool()),
        st.builds(
            ApplyPatchCall,
            call_id=THE_CALL,
            status=WHOLE,
            operation=st.one_of(
                st.builds(CreateFile, path=paths, diff=words),
                st.builds(UpdateFile, path=paths, diff=words),
                st.builds(DeleteFile, path=paths),
            ),
        ),
    ),
    st.tuples(
        st.just(ToolSearchTool(execution="client")),
        st.builds(
            ToolSearchCall,
            call_id=THE_CALL,
            status=WHOLE,
            execution=st.just("client"),
            arguments=st.dictionaries(
                words, st.one_of(st.none(), words, some, st.dictionaries(words, st.none()))
            ),
        ),
    ),
]
_STORED: msgspec.json.Decoder[StoredItem] = msgspec.json.Decoder(StoredItem)


@given(st.one_of(kinds))
def test_an_item_is_what_its_call_becomes(made: tuple[FixedTool, ClientCall]) -> None:
    tool, item = made
    event(type(item).__name__)
    [call] = as_seen([_STORED.decode(encode(item))])
    assert isinstance(call, FunctionCall)
    face = as_function(tool)
    assert call.name == face.name
    assert item_of(tool, call) == item


@given(st.one_of(kinds))
def test_the_calls_of_the_past_are_such_as_the_model_is_told_to_make(
    made: tuple[FixedTool, ClientCall],
) -> None:
    """Null stands for what was left out."""
    tool, item = made
    [call] = as_seen([item])
    assert isinstance(call, FunctionCall)
    given_arguments = {name: one for name, one in json.loads(call.arguments).items() if one is not None}
    schema = as_function(tool).parameters
    assert schema is not None
    if not isinstance(tool, ToolSearchTool):
        assert schemas.violation(schema, given_arguments) is None


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)
known = ["actions", "commands", "command", "type", "path", "diff", "env", "timeout_ms", "query", "x", "keys"]
arguments_of_models = st.one_of(
    st.dictionaries(st.sampled_from(known), json_values, max_size=4).map(json.dumps),
    st.lists(st.dictionaries(st.sampled_from(known), json_values, max_size=4), max_size=3).map(
        lambda given: json.dumps({"actions": given})
    ),
    st.sampled_from(["click", "drag", "scroll", "keypress", "type", "move"]).flatmap(
        lambda kind: st.dictionaries(st.sampled_from(known), json_values, max_size=4).map(
            lambda more: json.dumps({"actions": [{**more, "type": kind}]})
        )
    ),
    st.text(max_size=10),
)


@given(
    st.sampled_from([ComputerTool(), PREVIEW, ShellTool(), LocalShellTool(), ApplyPatchTool()]),
    arguments_of_models,
)
def test_whatever_a_model_gives_becomes_an_item_or_is_answered(tool: FixedTool, arguments: str) -> None:
    try:
        item = item_of(tool, FunctionCall(call_id="c", name="any", arguments=arguments))
    except BadArguments:
        event("answered")
        return
    event("an item")
    assert _STORED.decode(encode(item)) == item


@given(st.text(min_size=1, max_size=80), st.from_regex(r"[a-zA-Z0-9_-]{1,128}", fullmatch=True))
def test_every_name_is_one_that_chat_apis_take(namespace: str, name: str) -> None:
    made = shown_name(namespace, name)
    assert 1 <= len(made) <= MAX_NAME
    assert made.isascii()
    assert all(one.isalnum() or one in "_-" for one in made)
    assert shown_name(namespace, name) == made
