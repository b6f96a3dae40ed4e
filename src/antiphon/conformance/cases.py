"""The cases by name, and `run`: what each of them says about a server."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from antiphon.client import ConnectionFailed, Sender
from antiphon.conformance import chat_cases, response_cases, socket_cases, state_cases
from antiphon.conformance.server import NotSupported, Server, Violation

Verdict = Literal["pass", "fail", "not supported"]


@dataclass(frozen=True, slots=True)
class Case:
    """`check` raises Violation with the first thing that is wrong, or NotSupported."""

    name: str
    about: str
    check: Callable[[Server], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`detail` is the first violation in words, or what the server said; empty for a pass."""

    name: str
    about: str
    status: Verdict
    detail: str = ""


CASES: tuple[Case, ...] = (
    Case("models.list", "the models are listed", chat_cases.models_list),
    Case("models.retrieve", "one model can be read", chat_cases.models_retrieve),
    Case("models.unknown", "an unknown model is a 404", chat_cases.models_unknown),
    Case("responses.basic", "a text in, a text out, with usage", response_cases.basic),
    Case("responses.shape", "every key of the response is as specified", response_cases.shape),
    Case("responses.parts", "input as messages with parts", response_cases.parts),
    Case("responses.easy_message", "a message without type, its content a text", response_cases.easy_message),
    Case("responses.stream", "events are framed and ordered", response_cases.stream),
    Case("responses.stream_shape", "every key of each event is as specified", response_cases.stream_shape),
    Case("responses.stream_numbers", "sequence_number counts from 0", response_cases.stream_numbers),
    Case("responses.stream_usage", "the last event has the usage", response_cases.stream_usage),
    Case("responses.instructions", "instructions are taken and come back", response_cases.instructions),
    Case("responses.system_message", "a message of role system", response_cases.system_message),
    Case("responses.developer_message", "a message of role developer", response_cases.developer_message),
    Case("responses.multi_turn", "a conversation sent as items", response_cases.multi_turn),
    Case("responses.output_as_input", "output items can be sent back", response_cases.output_as_input),
    Case(
        "responses.max_output_tokens", "the limit holds, and is the reason", response_cases.max_output_tokens
    ),
    Case("responses.echo", "parameters come back as they were sent", response_cases.echoes),
    Case("responses.json_schema", "the answer fits a JSON schema", response_cases.json_schema),
    Case("responses.json_object", "the answer is a JSON object", response_cases.json_object),
    Case("responses.image", "an image in the input", response_cases.image),
    Case("responses.logprobs", "log probabilities where include asks", response_cases.logprobs),
    Case("responses.reasoning_effort", "reasoning.effort is taken", response_cases.reasoning_effort),
    Case("tools.call", "a required tool is called", response_cases.tool_call),
    Case("tools.shape", "the same of responses and events with calls", response_cases.tool_shape),
    Case("tools.call_stream", "the arguments come as deltas", response_cases.tool_call_stream),
    Case("tools.stream_order", "the events of a call are in order", response_cases.tool_stream_order),
    Case("tools.named", "tool_choice names the tool", response_cases.tool_named),
    Case("tools.none", "tool_choice none calls nothing", response_cases.tool_none),
    Case("tools.custom", "a custom tool is called with text", response_cases.tool_custom),
    Case("tools.result", "a tool's output sent with its call", response_cases.tool_result),
    Case("tools.round_trip", "the server's own call, answered", response_cases.tool_round_trip),
    Case("state.retrieve", "a stored response can be read", state_cases.retrieve),
    Case("state.retrieve_streamed", "a streamed one too", state_cases.retrieve_streamed),
    Case("state.previous_response", "a response continues another", state_cases.previous_response),
    Case("state.chained_tool", "a tool's output by previous_response_id", state_cases.chained_tool),
    Case("state.store_false", "store: false is not kept", state_cases.store_false),
    Case("state.input_items", "what a response was given", state_cases.input_items),
    Case("state.delete", "a deleted response is gone", state_cases.delete),
    Case("state.unknown", "an unknown response is a 404", state_cases.unknown_response),
    Case("state.unknown_previous", "an unknown previous_response_id is named", state_cases.unknown_previous),
    Case("errors.envelope", "message, type, param and code are there", state_cases.envelope),
    Case("errors.bad_json", "a body that is not JSON", state_cases.bad_json),
    Case("errors.wrong_type", "a parameter of the wrong type is named", state_cases.wrong_type),
    Case("errors.out_of_range", "a parameter out of its range is named", state_cases.out_of_range),
    Case("errors.wrong_item", "an item of no known type", state_cases.wrong_item),
    Case("errors.unknown_model", "a model that is not there", state_cases.unknown_model),
    Case("errors.unknown_model_stream", "the same with stream: a status", state_cases.unknown_model_stream),
    Case("errors.output_without_call", "a tool's output without its call", state_cases.unanswered_call),
    Case("errors.unknown_route", "a route that is not there", state_cases.unknown_route),
    Case("socket.basic", "a response over WebSocket", socket_cases.basic),
    Case("socket.shape", "every key of its events is as specified", socket_cases.shape),
    Case("socket.sequential", "two on a connection, in their order", socket_cases.sequential),
    Case("socket.continuation", "store: false is continued there", socket_cases.continuation),
    Case("socket.elsewhere", "and on no other connection", socket_cases.elsewhere),
    Case("socket.forgets", "a failed continuation forgets its parent", socket_cases.forgets),
    Case("socket.unknown_previous", "an unknown one is an error frame", socket_cases.unknown_previous),
    Case("socket.bad_frame", "so is a bad frame, and the connection stays", socket_cases.bad_frame),
    Case("chat.basic", "a chat completion", chat_cases.basic),
    Case("chat.stream", "its chunks, ended by [DONE]", chat_cases.stream),
    Case("chat.stream_usage", "include_usage adds a last chunk", chat_cases.stream_usage),
    Case("chat.tool_call", "a required tool is called", chat_cases.tool_call),
    Case("chat.tool_call_stream", "a call comes in pieces", chat_cases.tool_call_stream),
    Case("chat.tool_result", "a tool's output is taken", chat_cases.tool_result),
    Case("chat.stored", "a stored completion is got and listed", chat_cases.stored),
    Case("chat.stored_stream", "a streamed one is stored whole", chat_cases.stored_stream),
    Case("chat.stored_delete", "a deleted one is gone", chat_cases.stored_delete),
    Case("chat.wrong_type", "messages of the wrong type are named", chat_cases.wrong_type),
    Case("chat.unknown_model", "a model that is not there", chat_cases.unknown_model),
)


def run(client: Sender, model: str, cases: Sequence[Case] = CASES) -> Iterator[Outcome]:
    """Ask the server each case in turn."""
    server = Server(client, model)
    for case in cases:
        yield _outcome(case, server)


def _outcome(case: Case, server: Server) -> Outcome:
    try:
        case.check(server)
    except Violation as violation:
        return Outcome(case.name, case.about, "fail", str(violation))
    except NotSupported as said:
        return Outcome(case.name, case.about, "not supported", str(said))
    except ConnectionFailed as failure:
        return Outcome(case.name, case.about, "fail", str(failure))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        # A type of ours that takes more than the specification does let it through; the server is at fault.
        reason = f"{type(error).__name__}: {error}"
        return Outcome(
            case.name, case.about, "fail", f"an answer has a shape that no client expects ({reason})"
        )
    return Outcome(case.name, case.about, "pass")
