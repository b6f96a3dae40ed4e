"""Responses over WebSocket against a server in memory: lanes, memory, limits, and whatever clients may send."""

import asyncio
import json
import random
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from antiphon.conformance.stream import check_stream
from antiphon.storage.memory import MemoryStore
from antiphon.testing.simulated_socket import SimulatedSocket, UpgradeRefused
from antiphon.testing.simulation import exchange, simulate
from tests.properties.sockets import (
    LOOK,
    MODEL,
    Json,
    app_of,
    create,
    kinds,
    over_socket,
    response_of,
    settings,
    text_of,
    turn,
    until_closed,
    until_end,
)


def code_of(frames: list[Json]) -> str | None:
    assert kinds(frames) == ["error"]
    code: str | None = frames[0]["error"]["code"]
    return code


def test_a_turn_is_a_legal_stream_and_says_who_answered() -> None:
    frames = over_socket(lambda socket: turn(socket, create("hello there")))
    assert check_stream(frames) == []
    assert text_of(frames) == "hello there"
    assert frames[0]["headers"] == {"x-antiphon-served-by": MODEL}
    assert "headers" not in frames[1]


def test_unstored_responses_are_continued_on_their_socket_and_nowhere_else() -> None:
    async def main(_drawn: random.Random) -> None:
        store = MemoryStore()
        app = app_of(settings(), store)
        async with SimulatedSocket(app) as socket, SimulatedSocket(app) as other:
            parent: str | None = None
            for number in range(4):
                frame = create(f"turn {number}", store=False, previous_response_id=parent)
                done = response_of(await turn(socket, frame))
                assert (done["status"], done["previous_response_id"]) == ("completed", parent)
                parent = done["id"]
            again = create("elsewhere", store=False, previous_response_id=parent)
            assert code_of(await turn(other, again)) == "previous_response_not_found"
            answer = await exchange(app, "GET", f"/v1/responses/{parent}")
            assert answer.status == 404

    simulate(1, main)


@pytest.mark.parametrize(
    "stored", [(True, False, True), (False, True, False), (False, False, True), (True, True, False)]
)
def test_stored_and_unstored_turns_mix_in_a_chain(stored: tuple[bool, ...]) -> None:
    """The model sees every turn, which is told by the calls: each output answers the call of the turn before."""

    async def main(_drawn: random.Random) -> None:
        app = app_of(settings())
        async with SimulatedSocket(app) as socket:
            parent: str | None = None
            asked: Any = "call"
            for keeps in (*stored, True):
                frame = create(None, input=asked, store=keeps, previous_response_id=parent, tools=[LOOK])
                done = response_of(await turn(socket, frame))
                assert done["status"] == "completed"
                parent = done["id"]
                calls = [item for item in done["output"] if item["type"] == "function_call"]
                asked = [
                    *(
                        {"type": "function_call_output", "call_id": call["call_id"], "output": "x"}
                        for call in calls
                    ),
                    {"role": "user", "content": "call again"},
                ]
        body = {"model": MODEL, "input": asked, "previous_response_id": parent, "tools": [LOOK]}
        answer = await exchange(app, "POST", "/v1/responses", body)
        if all(stored):
            assert answer.status == 200
        else:  # its history is known to the connection alone: half a history is none
            assert answer.json["error"]["code"] == "previous_response_not_found"

    simulate(1, main)


def test_a_failed_continuation_forgets_its_parent_and_leaves_the_parents_other_children() -> None:
    async def main(socket: SimulatedSocket) -> None:
        root = response_of(await turn(socket, create("root", store=False)))["id"]
        child = response_of(await turn(socket, create("child", store=False, previous_response_id=root)))["id"]
        orphan = [{"type": "function_call_output", "call_id": "call_nobody", "output": "x"}]
        failed = await turn(socket, create(None, input=orphan, store=False, previous_response_id=root))
        assert failed[-1]["error"]["param"] == "input[0].call_id"
        again = await turn(socket, create("again", store=False, previous_response_id=root))
        assert code_of(again) == "previous_response_not_found"
        grandchild = await turn(socket, create("on", store=False, previous_response_id=child))
        assert response_of(grandchild)["status"] == "completed"

    over_socket(main)


@pytest.mark.parametrize("store", [False, True])
def test_a_continuation_under_way_keeps_what_another_one_lets_go(store: bool) -> None:
    async def main(socket: SimulatedSocket) -> None:
        root = response_of(await turn(socket, create("root", store=False)))["id"]
        slow = create("slowly", store=store, stream_id="a", previous_response_id=root)
        await socket.send(slow)
        assert (await socket.receive())["type"] == "response.created"
        await socket.send({**create("x", stream_id="b", previous_response_id=root), "model": "nobody/knows"})
        frames = [await socket.receive()]
        while frames[-1]["type"] != "response.completed":
            frames.append(await socket.receive())
        assert "error" in kinds(frames)
        on = create("on", store=False, previous_response_id=frames[-1]["response"]["id"])
        assert response_of(await turn(socket, on))["status"] == "completed"

    over_socket(main)


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"input": "refuse"}, 429),
        ({"input": "break"}, 500),
        ({"temperature": 9}, 400),
        ({"model": "nobody/knows"}, 404),
        ({"stream": False}, 400),
    ],
)
def test_whatever_fails_a_continuation_its_parent_is_forgotten(how: Json, status: int) -> None:
    async def main(socket: SimulatedSocket) -> None:
        parent = response_of(await turn(socket, create("root", store=False)))["id"]
        frames = await turn(socket, create("hi", store=False, previous_response_id=parent) | how)
        errors = [frame for frame in frames if frame["type"] == "error"]
        assert [error["status"] for error in errors] == [status]
        again = await turn(socket, create("again", store=False, previous_response_id=parent))
        assert code_of(again) == "previous_response_not_found"

    over_socket(main)


def test_a_stored_parent_survives_a_failed_continuation() -> None:
    async def main(socket: SimulatedSocket) -> None:
        parent = response_of(await turn(socket, create("root")))["id"]
        assert (
            code_of(await turn(socket, create("refuse", previous_response_id=parent)))
            == "rate_limit_exceeded"
        )
        assert response_of(await turn(socket, create("again", previous_response_id=parent)))["output"]

    over_socket(main)


def test_errors_hold_what_http_would_have_sent() -> None:
    frames = over_socket(lambda socket: turn(socket, create("refuse", stream_id="a.1")))
    assert frames[0]["status"] == 429
    assert frames[0]["stream_id"] == "a.1"
    assert frames[0]["error"]["headers"] == {"retry-after": "7"}
    assert set(frames[0]["error"]) == {"message", "type", "param", "code", "headers"}


def test_a_run_that_breaks_off_ends_with_a_nested_error_and_failed() -> None:
    frames = over_socket(lambda socket: turn(socket, create("break", stream_id="lane")))
    assert kinds(frames)[-2:] == ["error", "response.failed"]
    assert frames[-2]["status"] == 500
    assert frames[-2]["error"]["code"] == "server_error"
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert {frame["stream_id"] for frame in frames} == {"lane"}


def test_a_warm_up_has_no_output_and_can_be_continued() -> None:
    async def main(socket: SimulatedSocket) -> None:
        frames = await turn(socket, create("context", store=False, generate=False))
        assert kinds(frames) == ["response.created", "response.in_progress", "response.completed"]
        assert check_stream(frames) == []
        warm = response_of(frames)
        assert (warm["output"], warm["status"], warm["usage"]["total_tokens"]) == ([], "completed", 0)
        frames = await turn(socket, create("go", store=False, previous_response_id=warm["id"]))
        assert text_of(frames) == "go"
        bad = await turn(socket, create("x", generate=False, previous_response_id="resp_none"))
        assert code_of(bad) == "previous_response_not_found"
        assert (
            code_of(await turn(socket, create("x", generate=False) | {"model": "none"})) == "model_not_found"
        )

    over_socket(main)


# --- lanes ------------------------------------------------------------------------------------------------
async def all_ends(socket: SimulatedSocket, count: int) -> list[Json]:
    frames: list[Json] = []
    while sum(frame["type"] == "response.completed" for frame in frames) < count:
        frames.append(await socket.receive())
    return frames


@pytest.mark.parametrize("seed", range(20))
def test_lanes_go_side_by_side_and_each_is_a_legal_stream(seed: int) -> None:
    async def main(socket: SimulatedSocket) -> list[Json]:
        for lane in ("a", "b", None):
            more = {} if lane is None else {"stream_id": lane}
            await socket.send(create("slowly", store=False, **more))
        return await all_ends(socket, 3)

    frames = over_socket(main, seed=seed)
    by_lane: dict[str | None, list[Json]] = {}
    for frame in frames:
        by_lane.setdefault(frame.get("stream_id"), []).append(frame)
    assert set(by_lane) == {"a", "b", None}
    assert all(check_stream(lane) == [] for lane in by_lane.values())
    last_start = max(at for at, frame in enumerate(frames) if frame["type"] == "response.created")
    first_end = min(at for at, frame in enumerate(frames) if frame["type"] == "response.completed")
    assert last_start < first_end


@pytest.mark.parametrize("lane", [None, "one"])
def test_frames_of_one_lane_are_answered_in_order_errors_too(lane: str | None) -> None:
    more = {} if lane is None else {"stream_id": lane}

    async def main(socket: SimulatedSocket) -> list[Json]:
        await socket.send(create("slowly", **more))
        await socket.send(create("hi", **more, temperature=7))
        await socket.send(create("third", **more))
        return [*await until_end(socket), *await until_end(socket), *await until_end(socket)]

    frames = over_socket(main)
    firsts = [
        frame["type"]
        for frame in frames
        if frame["type"] in ("response.created", "error", "response.completed")
    ]
    assert firsts == [
        "response.created",
        "response.completed",
        "error",
        "response.created",
        "response.completed",
    ]
    assert check_stream(frames[: kinds(frames).index("error")]) == []


def test_a_lane_forks_from_anothers_response() -> None:
    async def main(socket: SimulatedSocket) -> None:
        root = response_of(await turn(socket, create("root", store=False, stream_id="a")))["id"]
        await socket.send(create("slowly", store=False, stream_id="b", previous_response_id=root))
        await socket.send(create("slowly", store=False, stream_id="c", previous_response_id=root))
        frames = await all_ends(socket, 2)
        assert {frame["stream_id"] for frame in frames} == {"b", "c"}

    over_socket(main)


def test_only_so_many_lanes_run_at_once() -> None:
    async def main(socket: SimulatedSocket) -> int:
        for lane in range(6):
            await socket.send(create("slowly", store=False, stream_id=str(lane)))
        running = most = 0
        for frame in await all_ends(socket, 6):
            running += {"response.created": 1, "response.completed": -1}.get(frame["type"], 0)
            most = max(most, running)
        return most

    assert over_socket(main, settings(max_lanes=2)) == 2


def test_frames_that_wait_are_bounded_and_the_rest_refused() -> None:
    async def main(socket: SimulatedSocket) -> None:
        await socket.send(create("slowly"))
        assert (await socket.receive())["type"] == "response.created"
        for number in range(5):
            await socket.send(create(f"waiting {number}"))
        frames: list[Json] = []
        while kinds(frames).count("response.completed") < 4:
            frames.append(await socket.receive())
        refused = [frame for frame in frames if frame["type"] == "error"]
        assert [error["error"]["code"] for error in refused] == ["too_many_waiting"] * 2
        assert {error["status"] for error in refused} == {429}

    over_socket(main, settings(max_waiting=3))


def test_frames_that_wait_are_bounded_in_bytes_too() -> None:
    async def main(socket: SimulatedSocket) -> None:
        await socket.send(create("slowly"))
        assert (await socket.receive())["type"] == "response.created"
        await socket.send(create("x" * 1500))
        await socket.send(create("y" * 1500))
        frame = await socket.receive()
        while frame["type"] != "error":
            frame = await socket.receive()
        assert frame["error"]["code"] == "too_many_waiting"

    over_socket(main, settings(max_body=2048))


def test_running_responses_count_as_open_streams() -> None:
    async def main(socket: SimulatedSocket) -> None:
        await socket.send(create("slowly", stream_id="a"))
        assert (await socket.receive())["type"] == "response.created"
        await socket.send(create("hi", stream_id="b"))
        frame = await socket.receive()
        while frame["type"] != "error":
            frame = await socket.receive()
        assert (frame["status"], frame["error"]["code"]) == (503, "too_many_streams")
        assert frame["error"]["headers"] == {"retry-after": "1"}

    over_socket(main, settings(streams=1))


# --- ends -------------------------------------------------------------------------------------------------
def test_an_idle_connection_is_told_that_it_is_too_old_before_it_is_closed() -> None:
    async def main(socket: SimulatedSocket) -> float:
        await turn(socket, create("hi"))
        frames, code = await until_closed(socket)
        assert (code_of(frames), code) == ("websocket_connection_limit_reached", 1001)
        return asyncio.get_running_loop().time()

    assert 3600 <= over_socket(main) < 3601


def test_a_response_under_way_is_finished_first_and_what_waits_is_refused() -> None:
    async def main(socket: SimulatedSocket) -> None:
        await socket.send(create("slowly"))
        await socket.send(create("too late"))
        frames = await until_end(socket)
        assert kinds(frames)[-1] == "response.completed"
        late, _ = await until_closed(socket)
        assert [frame["error"]["code"] for frame in late] == ["websocket_connection_limit_reached"] * 2

    over_socket(main, settings(max_age_s=90))


def test_a_response_that_does_not_end_is_cut_off_and_says_so() -> None:
    async def main(socket: SimulatedSocket) -> None:
        await socket.send(create("slowly"))
        await socket.send(create("slowly", stream_id="b"))
        frames, _ = await until_closed(socket)
        assert frames[-1]["error"]["code"] == "websocket_connection_limit_reached"
        assert kinds(frames).count("response.failed") == 2
        ends = [frame["response"]["status"] for frame in frames if frame["type"] == "response.failed"]
        assert ends == ["cancelled", "cancelled"]

    from antiphon.responses import socket as sockets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sockets, "FINISH_S", 30.0)
        over_socket(main, settings(max_age_s=90))


def test_a_client_that_leaves_cancels_what_runs() -> None:
    async def main(_drawn: random.Random) -> None:
        app = app_of(settings())
        socket = SimulatedSocket(app)
        async with socket:
            await socket.send(create("slowly"))
            created = await socket.receive()
        stored = await exchange(app, "GET", f"/v1/responses/{created['response']['id']}")
        assert stored.json["status"] == "cancelled"

    simulate(1, main)


def test_a_server_that_stops_lets_responses_end_and_takes_no_more() -> None:
    async def main(_drawn: random.Random) -> None:
        app = app_of(settings())
        async with SimulatedSocket(app) as busy, SimulatedSocket(app) as idle:
            await busy.send(create("slowly"))
            assert (await busy.receive())["type"] == "response.created"
            app.end()
            await busy.send(create("late"))
            assert await until_closed(idle) == ([], 1012)
            frames, code = await until_closed(busy)
            assert code == 1012
            assert "response.completed" in kinds(frames)
            codes = [frame["error"]["code"] for frame in frames if frame["type"] == "error"]
            assert codes == ["server_shutting_down"]
        with pytest.raises(UpgradeRefused) as refused:
            await SimulatedSocket(app).__aenter__()
        assert refused.value.status == 503

    simulate(1, main)


def test_a_slow_reader_holds_the_model_up() -> None:
    async def main(socket: SimulatedSocket) -> None:
        await socket.send(create("flood", store=False))
        await asyncio.sleep(1000)
        assert socket.unread == 8
        frames = await until_end(socket)
        assert len(text_of(frames).split()) == 2000
        assert check_stream(frames) == []

    over_socket(main, room=8)


def test_a_reader_that_has_stopped_and_leaves_is_let_go() -> None:
    async def main(_drawn: random.Random) -> None:
        app = app_of(settings())
        async with SimulatedSocket(app, room=4) as socket:
            await socket.send(create("flood"))
            await socket.send(create("flood", stream_id="b"))
            created = await socket.receive()
            await asyncio.sleep(1000)
        stored = await exchange(app, "GET", f"/v1/responses/{created['response']['id']}")
        assert stored.json["status"] == "cancelled"

    simulate(1, main)


# --- what clients may send --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("frame", "param", "code"),
    [
        (b"\x00\x01", None, "invalid_value"),
        ("", None, "invalid_json"),
        ("{", None, "invalid_json"),
        ("[]", None, "invalid_json"),
        ("null", None, "invalid_json"),
        ("[" * 4000, None, "invalid_json"),
        ("{}", "type", "invalid_value"),
        ('{"type": 5}', "type", "invalid_value"),
        ('{"type": "response.steer", "previous_response_id": "x", "input": []}', "type", "invalid_value"),
        ('{"type": "response.create"}', "model", "invalid_value"),
        (json.dumps(create(None)), "input", "invalid_value"),
        (json.dumps(create("x", stream=False)), "stream", "invalid_value"),
        (json.dumps(create("x", background=True)), "background", "unsupported_parameter"),
        (json.dumps(create("x", stream_id="")), "stream_id", None),
        (json.dumps(create("x", stream_id="a b")), "stream_id", None),
        (json.dumps(create("x", stream_id="é")), "stream_id", None),
        (json.dumps(create("x", stream_id="a\n")), "stream_id", None),
        (json.dumps(create("x", stream_id="a" * 257)), "stream_id", None),
        (json.dumps(create("x", stream_id=5)), "stream_id", None),
        (json.dumps(create("x", generate="no")), "generate", None),
        (json.dumps(create("x", temprature=1)), "temprature", None),
        (json.dumps(create("x" * 5000)), None, "payload_too_large"),
        (json.dumps(create("é" * 3000), ensure_ascii=False), None, "payload_too_large"),
    ],
)
def test_a_wrong_frame_is_answered_by_an_error_and_the_socket_is_kept(
    frame: str | bytes, param: str | None, code: str | None
) -> None:
    async def main(socket: SimulatedSocket) -> None:
        (error,) = await turn(socket, frame)
        assert error["error"]["param"] == param
        assert code is None or error["error"]["code"] == code
        assert error["status"] == (413 if code == "payload_too_large" else 400)
        assert text_of(await turn(socket, create("still here"))) == "still here"

    over_socket(main, settings(max_body=4096))


def test_what_a_body_may_say_of_streaming_passes() -> None:
    async def main(socket: SimulatedSocket) -> None:
        for more in ({"stream": True}, {"stream": None, "background": False}, {"generate": True}):
            assert text_of(await turn(socket, create("x", **more))) == "x"
        plain = await turn(socket, create("x", stream_options={"include_obfuscation": False}))
        assert not any("obfuscation" in frame for frame in plain)

    over_socket(main)


def test_a_lenient_server_names_what_it_left_out() -> None:
    given_settings = settings(parameters="lenient")
    frames = over_socket(lambda socket: turn(socket, create("x", temprature=1)), given_settings)
    assert frames[0]["headers"]["warning"] == '299 antiphon "left out, not known here: temprature"'


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_FIELDS = st.sampled_from(
    [
        "type",
        "stream_id",
        "generate",
        "model",
        "input",
        "stream",
        "background",
        "tools",
        "previous_response_id",
    ]
)
_FRAMES = st.one_of(
    st.binary(max_size=30),
    st.text(max_size=60),
    _JSON.map(json.dumps),
    st.dictionaries(_FIELDS, _JSON, max_size=4).map(lambda changes: json.dumps(create("x") | changes)),
    st.tuples(st.integers(0, 90), st.text(max_size=3)).map(
        lambda cut: json.dumps(create("x", stream_id="a"))[: cut[0]] + cut[1]
    ),
)


@given(st.lists(_FRAMES, min_size=1, max_size=6))
def test_every_frame_is_answered_and_no_frame_ends_the_connection(frames: list[str | bytes]) -> None:
    async def main(socket: SimulatedSocket) -> None:
        for frame in frames:
            answered = await turn(socket, frame)
            event(answered[-1]["type"])
            if answered[-1]["type"] == "error":
                assert answered[-1]["status"] in (400, 404, 413)
            else:
                assert check_stream(answered) == []
        assert text_of(await turn(socket, create("still here"))) == "still here"

    over_socket(main, settings(max_body=4096))
