"""The cases of stored responses, and those of bad input."""

from antiphon.conformance.response_cases import ASK_WEATHER, HELLO, WEATHER
from antiphon.conformance.server import (
    NOT_BUILT,
    NotSupported,
    Server,
    Violation,
    calls_of,
    expect,
    text_of,
)
from antiphon.conformance.shapes import violation
from antiphon.conformance.stream import Json
from antiphon.core.response_object import ErrorBody, InputItemList

UNKNOWN_ID = "resp_" + "0" * 32


def _stored(server: Server) -> Json:
    """A response that the server keeps. Raises NotSupported when it says that it keeps none."""
    response = server.completed(input=HELLO, store=True)
    if response.get("store") is False:
        raise NotSupported("the server answers `store: true` with `store: false`")
    answer = server.client.send("GET", f"/responses/{response['id']}")
    if answer.status in NOT_BUILT and response.get("store") is not True:
        raise NotSupported(f"GET /responses/ID answered {answer.status}")
    return response


def _read(server: Server, response: Json) -> Json:
    path = f"/responses/{response['id']}"
    return server.response(server.client.send("GET", path), f"GET {path}")


def retrieve(server: Server) -> None:
    response = _stored(server)
    found = _read(server, response)
    for key in ("id", "status", "output", "model"):
        was, now = response.get(key), found.get(key)
        expect(was == now, f"`{key}` was {was!r} and is stored as {now!r}")


def retrieve_streamed(server: Server) -> None:
    _stored(server)
    response = server.final(server.events(input=HELLO, store=True))
    found = _read(server, response)
    expect(found["output"] == response["output"], "the stored output is not the one that was streamed")


def previous_response(server: Server) -> None:
    first = _stored(server)
    second = server.completed(input="And again.", previous_response_id=first["id"], optional=True)
    found = second.get("previous_response_id")
    expect(found == first["id"], f"previous_response_id comes back as {found!r}")
    expect(second["id"] != first["id"], "the second response has the id of the first")
    expect(text_of(second).strip(), "the response has no text")


def chained_tool(server: Server) -> None:
    _stored(server)
    first = server.completed(input=ASK_WEATHER, tools=[WEATHER], tool_choice="required")
    outputs = [
        {"type": "function_call_output", "call_id": call["call_id"], "output": "21 degrees, clear"}
        for call in calls_of(first)
    ]
    expect(outputs, "the tool was required and is not called")
    second = server.completed(
        input=outputs, tools=[WEATHER], tool_choice="none", previous_response_id=first["id"], optional=True
    )
    expect(text_of(second).strip(), "the response has no text")


def store_false(server: Server) -> None:
    response = server.completed(input=HELLO, store=False)
    answer = server.client.send("GET", f"/responses/{response['id']}")
    expect(
        answer.status in {404, 405, 501}, f"a response with store: false can be retrieved ({answer.status})"
    )
    expect(response.get("store", False) is False, "`store: false` comes back as true")


def input_items(server: Server) -> None:
    response = _stored(server)
    path = f"/responses/{response['id']}/input_items"
    page = server.get(path, InputItemList, optional=True)
    expect(page["data"], "input_items is empty")
    item = page["data"][-1]
    text = "".join(part.get("text", "") for part in item["content"])
    expect(text == HELLO, f"the input was {HELLO!r}, input_items says {text!r}")
    expect(page["first_id"] == page["data"][0]["id"], "first_id is not the id of the first item")
    expect(page["last_id"] == page["data"][-1]["id"], "last_id is not the id of the last item")


def delete(server: Server) -> None:
    response = _stored(server)
    path = f"/responses/{response['id']}"
    answer = server.client.send("DELETE", path)
    if answer.status in {405, 501}:
        raise NotSupported(f"DELETE answered {answer.status}")
    expect(answer.status == 200, f"DELETE answered {answer.status}")
    server.refused("GET", path, None, (404,))


def unknown_response(server: Server) -> None:
    _stored(server)
    server.refused("GET", f"/responses/{UNKNOWN_ID}", None, (404,))


def unknown_previous(server: Server) -> None:
    _stored(server)
    body = {"model": server.model, "input": HELLO, "previous_response_id": UNKNOWN_ID}
    error = server.refused("POST", "/responses", body, (400, 404))
    _names(error, "previous_response_id")


# --- bad input ------------------------------------------------------------------------------------------------


def _names(error: Json, param: str) -> None:
    found = error.get("param")
    expect(str(found).startswith(param), f"`param` is {found!r}, at fault is {param}")


def envelope(server: Server) -> None:
    """All four keys are there, each of its type."""
    error = server.refused("POST", "/responses", {"model": server.model, "input": 12}, (400,))
    wrong = violation(error, ErrorBody)
    expect(wrong is None, f"`error`: {wrong}; expected message, type, param and code")


def bad_json(server: Server) -> None:
    server.refused("POST", "/responses", b'{"model": ', (400,))


def wrong_type(server: Server) -> None:
    body = {"model": server.model, "input": HELLO, "max_output_tokens": "many"}
    _names(server.refused("POST", "/responses", body, (400,)), "max_output_tokens")


def out_of_range(server: Server) -> None:
    body = {"model": server.model, "input": HELLO, "temperature": 9}
    _names(server.refused("POST", "/responses", body, (400,)), "temperature")


def wrong_item(server: Server) -> None:
    item = {"type": "no_such_item", "text": HELLO}
    _names(server.refused("POST", "/responses", {"model": server.model, "input": [item]}, (400,)), "input")


def unknown_model(server: Server) -> None:
    body = {"model": "no-such-model-here", "input": HELLO}
    server.refused("POST", "/responses", body, (400, 404))


def unknown_model_stream(server: Server) -> None:
    """An error before the first event is an HTTP status, not a stream."""
    body = {"model": "no-such-model-here", "input": HELLO, "stream": True}
    server.refused("POST", "/responses", body, (400, 404))


def unanswered_call(server: Server) -> None:
    """A tool output without its call."""
    output = {"type": "function_call_output", "call_id": "call_nobody_made", "output": "21 degrees"}
    server.refused("POST", "/responses", {"model": server.model, "input": [output]}, (400,))


def unknown_route(server: Server) -> None:
    try:
        server.refused("GET", "/no-such-route", None, (404,))
    except Violation as wrong:
        raise Violation(f"an unknown route: {wrong}") from None
