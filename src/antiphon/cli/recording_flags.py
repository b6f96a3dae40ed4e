"""The flags of `antiphon record` and `antiphon replay`."""

import argparse
import sys
from collections.abc import Callable

Add = Callable[..., argparse.ArgumentParser]
AddConfig = Callable[[argparse.ArgumentParser], None]


def add_recording_commands(add: Add, named: Add, add_config: AddConfig) -> None:
    """`named` makes a command's parser from `add`, its name, what runs it, and one line of help."""
    record = named(add, "record", _record, "start the server and record what models are asked and answer")
    add_config(record)
    record.add_argument("--out", metavar="DIR", help="folder of the recordings (recordings)")
    record.add_argument("--host", help="address to listen on (127.0.0.1)")
    record.add_argument("--port", type=int, help="port to listen on (8321); 0 takes a free one")
    record.add_argument(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="FILE.gguf",
        help="run this model here, as `antiphon serve --model` does",
    )
    record.add_argument(
        "--include-unstored", action="store_true", help="record requests with `store: false` too"
    )
    replay = named(add, "replay", _replay, "run a recorded run again and show the first difference")
    add_config(replay)
    replay.add_argument(
        "run", metavar="RUN", help="the id of a response or request, or a file of a recording"
    )
    replay.add_argument("--recording", metavar="PATH", help="file or folder of the recording")
    replay.add_argument(
        "--chain", action="store_true", help="the runs that it continues as well, oldest first"
    )
    replay.add_argument("--live", action="store_true", help="ask the model again")
    replay.add_argument("--model", help="ask this model instead")
    replay.add_argument("--instructions", metavar="TEXT", help="other instructions; @FILE reads them")
    replay.add_argument("--tools", metavar="FILE", help="other tools: a JSON array")
    replay.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=JSON",
        help="another value of any key of the request; @FILE reads it",
    )
    replay.add_argument("--json", action="store_true", help="print JSON")


def _record(options: argparse.Namespace) -> int:
    from antiphon.cli.record import record
    from antiphon.config.load import Flags, load

    settings = load(options.config, flags=Flags(host=options.host, port=options.port))
    return record(settings, options.out, options.models, include_unstored=options.include_unstored)


def _replay(options: argparse.Namespace) -> int:
    from antiphon.cli.replay import Wanted, changes_of, replay
    from antiphon.config.load import load

    changes = changes_of(options.model, options.instructions, options.tools, options.settings)
    wanted = Wanted(
        options.run, options.recording, options.live, options.chain, options.json, changes or None
    )
    try:
        return replay(load(options.config), wanted)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
