"""The files of a recording: what is in them, who may read them, and what a crash or a stranger leaves behind."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from msgspec import Raw
from msgspec.structs import replace

from antiphon.config.mcp_settings import ConnectorOAuth, ConnectorSettings
from antiphon.config.settings import ConfigError, RecordingSettings, Settings
from antiphon.core.items import CustomToolCall, FunctionCall, Logprob, Message, OutputText
from antiphon.core.signals import (
    ArgumentsDelta,
    ItemDone,
    ItemStarted,
    ModelSignal,
    ReasoningDelta,
    RefusalDelta,
    StepDone,
    SummaryDelta,
    TextDelta,
)
from antiphon.core.usage import Usage
from antiphon.core.wire import encode
from antiphon.recording.cleaning import redacted_answer, redacted_signals
from antiphon.recording.file import RecordingFiles
from antiphon.recording.format import (
    FORMAT,
    VERSION,
    Answer,
    Exchange,
    Header,
    Heard,
    Piece,
    RunRecord,
    decode_line,
    encode_line,
)
from antiphon.recording.reader import Recording, RecordingError
from antiphon.recording.redaction import Redactor
from antiphon.recording.setup import make_recorder
from antiphon.testing import FakeClock


def one_exchange(run: str = "resp_1", step: int = 1, text: str = "hi", model: str = "m") -> Exchange:
    item = Message(role="assistant", content=[OutputText(text=text, annotations=[])])
    heard: list[ModelSignal] = [ItemDone(0, item), StepDone("stop")]
    return Exchange(
        run=run,
        step=step,
        at=1,
        tenant="acme",
        subject="ci",
        provider="up",
        model=model,
        asked_model=model,
        key="k",
        question={"messages": []},
        stream=False,
        api="responses",
        ended="done",
        heard=[Heard(ms=3, signals=heard)],
    )


def end(run: str, parent: str | None = None) -> RunRecord:
    return RunRecord(run=run, at=1, tenant="acme", subject="ci", parent=parent, response=Raw(b"{}"))


def files(folder: Path, clock: FakeClock | None = None, **limits: int) -> RecordingFiles:
    return RecordingFiles(folder, clock or FakeClock(), antiphon="9.9", redact=("x+",), **limits)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_line_comes_back_as_it_was() -> None:
    line = one_exchange()
    encoded = encode_line(line)
    assert encoded.count(b"\n") == 1
    assert encoded.endswith(b"\n")
    assert decode_line(encoded) == line


def test_every_signal_comes_back_as_it_was() -> None:
    call = FunctionCall(call_id="c", name="f", arguments='{"a":1}')
    custom = CustomToolCall(call_id="c", name="f", input="x = 1")
    said: list[ModelSignal] = [
        ItemStarted(0, call),
        TextDelta(1, "é", (Logprob(token="é", logprob=-0.5, bytes=[195, 169], top_logprobs=[]),)),
        RefusalDelta(1, "no"),
        ReasoningDelta(2, "hm"),
        SummaryDelta(3, 1, "so"),
        ArgumentsDelta(0, "{}"),
        ItemDone(0, call),
        ItemDone(4, custom),
        StepDone("length", Usage(input_tokens=3), "flex"),
    ]
    assert {type(signal) for signal in said} == set(_members(ModelSignal))
    line = decode_line(encode_line(replace(one_exchange(), heard=[Heard(ms=0, signals=said)])))
    assert isinstance(line, Exchange)
    assert line.heard[0].signals == said


def _members(union: Any) -> Iterator[Any]:
    """The classes of a union, of unions inside it too."""
    parts = get_args(union)
    yield from (member for part in parts for member in _members(part)) if parts else (union,)


def test_bytes_that_are_no_text_survive() -> None:
    half = "é".encode()[:1]
    piece = Piece.of(5, half)
    assert piece.text is None
    assert piece.data == half
    assert Piece.of(5, b"data: x\n\n").text == "data: x\n\n"


def test_nothing_is_made_before_the_first_line(tmp_path: Path) -> None:
    files(tmp_path / "recordings").close()
    assert not (tmp_path / "recordings").exists()


def test_only_the_owner_may_read_a_recording(tmp_path: Path) -> None:
    made = files(tmp_path / "recordings")
    made.append(one_exchange())
    made.close()
    assert made.path is not None
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(made.path.parent.stat().st_mode) == 0o700


def test_the_first_line_is_the_header(tmp_path: Path) -> None:
    made = files(tmp_path)
    made.append(one_exchange())
    made.close()
    assert made.path is not None
    header = decode_line(made.path.read_bytes().split(b"\n")[0])
    assert header == Header(format=FORMAT, version=VERSION, antiphon="9.9", at=FakeClock().at, redact=["x+"])


def test_each_day_and_each_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    clock = FakeClock()
    first, second = files(tmp_path, clock), files(tmp_path, clock)
    first.append(one_exchange())
    second.append(one_exchange())
    clock.at += 86_400
    first.append(one_exchange("resp_2"))
    first.close()
    second.close()
    assert names(tmp_path) == [
        "recording-2026-01-01.0001.jsonl",
        "recording-2026-01-01.0002.jsonl",
        "recording-2026-01-02.0001.jsonl",
    ]
    assert Recording.load(tmp_path).run_ids() == ["resp_1", "resp_2"]


def test_a_full_file_is_followed_by_another_and_the_oldest_goes(tmp_path: Path) -> None:
    made = files(tmp_path, max_file_bytes=1500, max_files=3)
    for number in range(8):
        made.append(one_exchange(f"resp_{number}", text="z" * 600))
    made.close()
    assert names(tmp_path) == [f"recording-2026-01-01.000{at}.jsonl" for at in (6, 7, 8)]
    assert all(path.stat().st_size < 2000 for path in tmp_path.iterdir())
    assert Recording.load(tmp_path).run_ids() == ["resp_5", "resp_6", "resp_7"]


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    made = files(tmp_path, max_file_bytes=1, max_files=1)
    made.append(one_exchange("resp_1"))
    made.append(one_exchange("resp_2"))
    made.close()
    assert names(tmp_path) == ["notes.txt", "recording-2026-01-01.0002.jsonl"]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    made = files(tmp_path)
    made.append(one_exchange("resp_1"))
    made.append(one_exchange("resp_2"))
    made.close()
    assert made.path is not None
    whole = made.path.read_bytes()
    for cut in range(len(whole) - 1, whole.rindex(b"\n", 0, -1) + 1, -97):
        made.path.write_bytes(whole[:cut])
        recording = Recording.load(made.path)
        assert recording.run_ids() == ["resp_1"]
        assert recording.torn == [made.path]


def test_a_file_that_was_torn_at_once_does_not_spoil_the_folder(tmp_path: Path) -> None:
    (tmp_path / "recording-2025-01-01.0001.jsonl").write_bytes(b"")
    (tmp_path / "recording-2025-01-01.0002.jsonl").write_bytes(b'{"record":"hea')
    made = files(tmp_path)
    made.append(one_exchange())
    made.close()
    assert Recording.load(tmp_path).run_ids() == ["resp_1"]


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    header = encode_line(Header(format=FORMAT, version=VERSION, antiphon="1", at=1))
    path = tmp_path / "r.jsonl"
    path.write_bytes(header + b"{nonsense\n" + encode_line(one_exchange()))
    with pytest.raises(RecordingError, match=r"r\.jsonl:2: is no line of a recording"):
        Recording.load(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encode_line(one_exchange()), "the first line must be its header"),
        (encode_line(Header(format=FORMAT, version=7, antiphon="1", at=1)), "has version 7 of the format"),
        (encode_line(Header(format=FORMAT, version=VERSION, antiphon="1", at=1)), "holds no exchange"),
        (b'{"record":"header","format":"tape","version":1,"antiphon":"","at":1}\n', "is no line"),
        (b"", "holds no exchange"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=expected):
        Recording.load(path)


def test_a_recording_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be read"):
        Recording.load(tmp_path / "missing.jsonl")
    with pytest.raises(RecordingError, match="antiphon record"):
        Recording.load(tmp_path)


def test_keys_of_later_versions_are_left_alone(tmp_path: Path) -> None:
    header = encode_line(Header(format=FORMAT, version=VERSION, antiphon="1", at=1))
    path = tmp_path / "r.jsonl"
    path.write_bytes(header + encode_line(one_exchange()).replace(b'"step"', b'"mood":"good","step"'))
    assert Recording.load(path).run_ids() == ["resp_1"]


def test_one_run_can_be_read_alone(tmp_path: Path) -> None:
    made = files(tmp_path)
    for run in ("resp_1", "resp_2", "resp_11"):
        made.append(one_exchange(run))
        made.append(end(run))
    made.close()
    alone = Recording.load(tmp_path, only="resp_1")
    assert alone.run_ids() == ["resp_1"]
    assert list(alone.records) == ["resp_1"]
    assert alone.patterns == ["x+"]
    assert Recording.load(tmp_path, only="resp_3").exchanges == []


def test_a_chain_is_found_from_its_root(tmp_path: Path) -> None:
    made = files(tmp_path)
    for run, parent in (("resp_1", "resp_0"), ("resp_2", "resp_1"), ("resp_3", "resp_2")):
        made.append(one_exchange(run))
        made.append(end(run, parent))
    made.close()
    chain = Recording.load(tmp_path).chain("resp_3")
    assert [run.id for run in chain] == ["resp_1", "resp_2", "resp_3"]  # resp_0 was not recorded


def test_a_disk_that_refuses_is_logged_once_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    made = files(blocked)
    made.append(one_exchange())
    made.append(one_exchange())
    assert caplog.text.count("nothing is recorded") == 1
    blocked.unlink()
    made.append(one_exchange())
    made.close()
    assert Recording.load(blocked).run_ids() == ["resp_1"]


# --- redaction ---------------------------------------------------------------------------------------------
def test_known_secrets_key_like_texts_and_patterns_are_taken_out() -> None:
    clean = Redactor([r"\d{3}-\d{4}"], ["hunter2hunter2", "abc"])
    assert clean.text("my hunter2hunter2 abc") == "my *** abc"
    assert clean.text("sk-proj-1234567890abcdef12 Bearer abcdefgh.ijk") == "*** ***"
    assert clean.text("call 555-1234") == "call ***"


def test_json_stays_json_and_numbers_stay() -> None:
    clean = Redactor([r"\S+@\S+", r"1\d+"])
    given = {"user": 'a@b.example "quoted"', "at": 1234567, "deep": [{"x": "é\n12"}]}
    cleaned = clean.json(encode(given))
    assert cleaned == encode({"user": '*** "quoted"', "at": 1234567, "deep": [{"x": "é\n***"}]})


def test_what_holds_no_secret_is_not_written_anew() -> None:
    data = b'{ "a" : "b" }'
    assert Redactor(["zzz"]).json(data) is data


def test_a_secret_spread_over_deltas_goes_with_the_deltas() -> None:
    item = Message(role="assistant", content=[OutputText(text="it is 555-1234.", annotations=[])])
    said: list[ModelSignal] = [
        ItemStarted(0, Message(role="assistant", content=[])),
        TextDelta(0, "it is 555"),
        TextDelta(0, "-1234."),
        ItemDone(0, item),
        StepDone("stop"),
    ]
    cleaned, touched = redacted_signals([Heard(ms=0, signals=said)], Redactor([r"\d{3}-\d{4}"]))
    assert touched
    assert b"1234" not in encode(cleaned)
    kinds = [type(signal) for signal in cleaned[0].signals]
    assert kinds == [ItemStarted, ItemDone, StepDone]


def test_each_event_of_a_stream_is_cleaned_by_itself() -> None:
    body = b'data: {"t":"555-1234"}\n\ndata: [DONE]\n\n'
    answer = Answer(
        status=200,
        headers={"content-type": "text/event-stream"},
        pieces=[Piece.of(1, body[:12]), Piece.of(2, body[12:])],
    )
    cleaned = redacted_answer(answer, Redactor([r"\d{3}-\d{4}"]), withhold=False)
    assert cleaned.body == b'data: {"t":"***"}\n\ndata: [DONE]\n\n'
    withheld = redacted_answer(answer, Redactor(), withhold=True)
    assert withheld.withheld
    assert withheld.body == b""


CARD = r"\d{4}-\d{4}"


def chunk(**delta: object) -> dict[str, object]:
    return {"id": "chatcmpl-1234", "choices": [{"index": 0, "delta": delta}]}


def test_a_secret_spread_over_the_events_of_a_stream_is_cut_out() -> None:
    tokens: list[Any] = ["It is ", "12", "34-", "5678", "."]
    events: list[Any] = [chunk(role="assistant", content="")]
    events += [chunk(content=token, logprobs={"content": [{"token": token}]}) for token in tokens]
    events += [
        chunk(tool_calls=[{"index": 1, "function": {"arguments": part}}]) for part in ("11", "11-11", "11")
    ]
    body = b"".join(b"data: %b\n\n" % encode(event) for event in events) + b"data: [DONE]\n\n"
    pieces = [Piece.of(at, body[at * 40 : at * 40 + 40]) for at in range(len(body) // 40 + 1)]
    answer = Answer(status=200, headers={"content-type": "text/event-stream"}, pieces=pieces)
    cleaned = redacted_answer(answer, Redactor([CARD]), withhold=False).body
    lines = [line[6:] for line in cleaned.split(b"\n") if line.startswith(b"data: ")]
    assert lines.pop() == b"[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines]
    assert "".join(delta.get("content", "") for delta in deltas) == "It is ***."
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in calls) == "***"
    assert {json.loads(line)["id"] for line in lines} == {"chatcmpl-1234"}
    assert not any(token.encode() in cleaned for token in ("5678", "34-"))


def test_a_stream_without_a_secret_is_kept_byte_by_byte() -> None:
    body = b"".join(b"data:  %b\n\n" % encode(chunk(content=text)) for text in ("12", "-", "34"))
    answer = Answer(status=200, headers={"content-type": "text/event-stream"}, pieces=[Piece.of(1, body)])
    assert redacted_answer(answer, Redactor([CARD]), withhold=False) is answer


def test_the_deltas_of_an_item_that_broke_off_are_cleaned_too() -> None:
    said: list[ModelSignal] = [
        TextDelta(0, "12"),
        TextDelta(0, "34-"),
        TextDelta(0, "5678"),
        TextDelta(1, "hi"),
    ]
    cleaned, touched = redacted_signals([Heard(ms=0, signals=said)], Redactor([CARD]))
    assert touched
    assert [one.signals for one in cleaned] == [[TextDelta(1, "hi")]]


def test_log_probabilities_go_where_something_was_cut_out() -> None:
    part = {"text": "1234-5678", "logprobs": [{"token": "1234-"}, {"token": "5678"}]}
    assert json.loads(Redactor([CARD]).json(encode(part))) == {"text": "***", "logprobs": []}
    asked = {"logprobs": True, "input": "1234-5678"}
    assert json.loads(Redactor([CARD]).json(encode(asked))) == {"logprobs": True, "input": "***"}


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        settings = Settings(recording=RecordingSettings(path=str(path)))
        with pytest.raises(ConfigError, match=r"recording\.path: .*file.* cannot be written"):
            make_recorder(settings, FakeClock())
    folder = tmp_path / "made"
    make_recorder(Settings(recording=RecordingSettings(path=str(folder))), FakeClock()).close()
    assert not folder.exists()


def test_what_connectors_of_the_configuration_send_is_known_to_be_secret(tmp_path: Path) -> None:
    secrets = [f"canary-{number}" for number in range(4)]
    connectors = (
        ConnectorSettings(connector_id="a", url="https://a.example", authorization=secrets[0]),
        ConnectorSettings(connector_id="b", url="https://b.example", headers={"x-api-key": secrets[1]}),
        ConnectorSettings(connector_id="c", transport="stdio", command=("x",), env={"TOKEN": secrets[2]}),
        ConnectorSettings(
            connector_id="d",
            url="https://d.example",
            oauth=ConnectorOAuth(client_id="public-id", client_secret=secrets[3]),
        ),
    )
    settings = Settings(recording=RecordingSettings(path=str(tmp_path)), connectors=connectors)
    recorder = make_recorder(settings, FakeClock())
    assert recorder.redactor.text(" ".join([*secrets, "public-id"])) == "*** *** *** *** public-id"
    recorder.close()
