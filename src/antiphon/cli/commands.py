"""The commands and their flags. What a command needs is imported when it runs."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from antiphon import __version__
from antiphon.cli.client_commands import add_commands
from antiphon.cli.recording_flags import add_recording_commands
from antiphon.config.settings import ConfigError
from antiphon.core.errors import AntiphonError

Command = Callable[[argparse.Namespace], int]


def run(arguments: Sequence[str]) -> int:
    """Run one command. Returns the exit code: 0 done, 1 something is wrong and was said, 2 bad usage, and what a
    shell gives for a program that a signal ended: 130 for Ctrl-C, 141 for a pipe that was closed.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    command: Command | None = getattr(options, "command", None)
    if command is None:
        parser.print_help()
        return 2
    try:
        return command(options)
    except (ConfigError, AntiphonError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:
        # Who read us has left (`| head`). What is still buffered must go somewhere when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="antiphon", description="A self-hosted agent server.")
    parser.add_argument("--version", action="version", version=f"antiphon {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    serve = _named(commands.add_parser, "serve", _serve, "start the server")
    _add_config(serve)
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (8321); 0 takes a free one")
    serve.add_argument(
        "--allow-private",
        action="append",
        default=[],
        metavar="NETWORK",
        help="URLs of requests may lead to this private network (10.0.0.0/8), or to localhost; may be given several"
        " times",
    )
    serve.add_argument(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="FILE.gguf",
        help="run this model here: a GGUF file or hf:OWNER/REPO[:QUANT]; may be given several times",
    )

    check = _named(
        commands.add_parser, "check", _check, "validate and explain the configuration without starting"
    )
    _add_config(check)
    check.add_argument("--json", action="store_true", help="print it as JSON")

    migrate = _named(commands.add_parser, "migrate", _migrate, "bring the database to this version's schema")
    _add_config(migrate)

    reindex = _named(
        commands.add_parser,
        "reindex",
        _reindex,
        "embed vector stores anew, or keep them in another index; no server may run meanwhile",
    )
    _add_config(reindex)
    reindex.add_argument("stores", nargs="*", metavar="STORE_ID", help="a vector store; may be several")
    reindex.add_argument("--all", action="store_true", help="all vector stores, of everybody")
    models = reindex.add_mutually_exclusive_group()
    models.add_argument(
        "--embedding-model", metavar="M", help="embed them by this model (that of each store)"
    )
    models.add_argument(
        "--no-embedding-model", action="store_true", help="without vectors, for searches by keywords"
    )
    reindex.add_argument(
        "--provider", metavar="P", help="keep them in this index, a provider_id of vector_io"
    )

    shields = commands.add_parser("shields", help="shields", description="Shields.")
    measured = _named(
        shields.add_subparsers(title="commands", metavar="COMMAND", required=True).add_parser,
        "measure",
        _shields_measure,
        "print recall and false positives of rule sets, by their labelled samples",
    )
    _add_config(measured)
    measured.add_argument("rule_sets", nargs="*", metavar="RULESET", help="a rule set; may be several (all)")
    measured.add_argument(
        "--samples", metavar="FILE", help="labelled samples of one rule set, a JSON object a line"
    )
    measured.add_argument("--verbose", action="store_true", help="print the samples that were judged wrongly")

    key = commands.add_parser("key", help="API keys", description="API keys.")
    keys = key.add_subparsers(title="commands", metavar="COMMAND", required=True)
    new = _named(keys.add_parser, "new", _key_new, "make a key")
    new.add_argument("--name", default="my-key", help="its name in the configuration (my-key)")
    new.add_argument("--tenant", default="default", help="whose data it reaches (default)")
    rotate = _named(
        keys.add_parser,
        "rotate",
        _key_rotate,
        "seal with a new key from the next start on; older ones still open",
    )
    _add_config(rotate)

    add_commands(commands.add_parser, _named, _add_config, build_parser)

    add_recording_commands(commands.add_parser, _named, _add_config)
    _named(commands.add_parser, "version", _version, "print the version")
    return parser


def _named(
    add: Callable[..., argparse.ArgumentParser], name: str, command: Command, text: str
) -> argparse.ArgumentParser:
    parser = add(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(command=command)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="configuration ($ANTIPHON_CONFIG, antiphon.yaml)")


def _serve(options: argparse.Namespace) -> int:
    from antiphon.cli.serve import serve
    from antiphon.config.load import Flags, load

    flags = Flags(host=options.host, port=options.port, allow_private=options.allow_private)
    settings = load(options.config, flags=flags)
    return serve(settings, options.models)


def _check(options: argparse.Namespace) -> int:
    from antiphon.cli.check import check

    return check(options.config, as_json=options.json)


def _migrate(options: argparse.Namespace) -> int:
    from antiphon.config.load import load
    from antiphon.storage.migrate import upgrade

    settings = load(options.config)
    before, after = upgrade(settings.storage.url)
    moved = f"{before or 'no schema'} -> {after}" if before != after else f"at {after} already"
    sys.stdout.write(f"{settings.storage.url}: {moved}\n")
    return 0


def _reindex(options: argparse.Namespace) -> int:
    from antiphon.cli.reindex import Wanted, reindex
    from antiphon.config.load import load
    from antiphon.vector_stores.reindexing import Goal

    if bool(options.stores) == options.all:
        sys.stderr.write("antiphon reindex: name vector stores, or say --all.\n")
        return 2
    model = "" if options.no_embedding_model else options.embedding_model
    wanted = Wanted(tuple(options.stores), Goal(model, options.provider))
    return reindex(load(options.config), wanted)


def _shields_measure(options: argparse.Namespace) -> int:
    from antiphon.cli.shields import measure
    from antiphon.config.load import load

    return measure(load(options.config), options.rule_sets, options.samples, verbose=options.verbose)


def _key_new(options: argparse.Namespace) -> int:
    from antiphon.cli.keys import new_key

    sys.stdout.write(new_key(options.name, options.tenant))
    return 0


def _key_rotate(options: argparse.Namespace) -> int:
    from antiphon.app import state_folder
    from antiphon.cli.keys import rotate_sealing_keys
    from antiphon.config.load import load

    settings = load(options.config)
    sys.stdout.write(rotate_sealing_keys(settings, state_folder(settings)))
    return 0


def _version(_: argparse.Namespace) -> int:
    sys.stdout.write(f"antiphon {__version__}\n")
    return 0
