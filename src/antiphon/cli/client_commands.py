"""The commands that look at things and talk to servers: models, providers, chat, doctor, completion."""

import argparse
import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from antiphon.cli.completion import SHELLS

if TYPE_CHECKING:
    from antiphon.conformance.cases import Outcome

Named = Callable[..., argparse.ArgumentParser]


def add_commands(
    add: Callable[..., Any],
    named: Named,
    add_config: Callable[..., None],
    build: Callable[[], argparse.ArgumentParser],
) -> None:
    """`add` makes a command of the program, `named` gives it its function and help, `build` makes the whole parser."""
    models = named(add, "models", _models, "list what is served, asking the model servers now")
    add_config(models)
    _add_json(models)

    providers = named(add, "providers", _providers, "show each model server, and what it can do")
    add_config(providers)
    _add_json(providers)

    _add_chat(named(add, "chat", _chat, "talk to a model in the terminal"), add_config)
    _add_doctor(named(add, "doctor", _doctor, "find what is missing or wrong, and what to do"), add_config)

    completion = named(
        add, "completion", partial(_completion, build), "print the completion script of a shell"
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell that is to read it")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def _add_chat(chat: argparse.ArgumentParser, add_config: Callable[..., None]) -> None:
    add_config(chat)
    chat.add_argument("--url", default="", help="a server to talk to, any that has /v1/responses")
    chat.add_argument("--key", default="", help="its API key ($ANTIPHON_API_KEY)")
    chat.add_argument("--model", default="", help="the model (the first that is served)")
    chat.add_argument("--instructions", default="", metavar="TEXT", help="what the model is told first")
    chat.add_argument(
        "--tools", default="", metavar="FILE", help="function tools (JSON); you answer their calls"
    )


def _add_doctor(doctor: argparse.ArgumentParser, add_config: Callable[..., None]) -> None:
    add_config(doctor)
    doctor.add_argument(
        "--client", default="", metavar="URL", help="check another server's Responses API instead"
    )
    doctor.add_argument("--key", default="", help="its API key ($ANTIPHON_API_KEY)")
    doctor.add_argument("--model", default="", help="the model to ask it (the first that is served)")
    doctor.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for each answer (60)")
    _add_json(doctor)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()  # some lines take a model's answer to come


def _models(options: argparse.Namespace) -> int:
    from antiphon.cli.survey import models_lines, survey
    from antiphon.cli.table import document
    from antiphon.config.load import load

    found = survey(load(options.config))
    if options.json:
        sys.stdout.write(document(found.models))
    else:
        _print(models_lines(found))
    return 0


def _providers(options: argparse.Namespace) -> int:
    from antiphon.cli.survey import providers_lines, survey
    from antiphon.cli.table import document
    from antiphon.config.load import load

    found = survey(load(options.config))
    if options.json:
        sys.stdout.write(document({"providers": found.providers}))
    else:
        _print(providers_lines(found))
    return 0


def _chat(options: argparse.Namespace) -> int:
    from antiphon.cli.chat import ChatOptions, chat
    from antiphon.config.load import caller

    who = caller()
    wanted = ChatOptions(
        url=options.url,
        key=options.key or who.key,
        model=options.model,
        instructions=options.instructions,
        tools=options.tools,
        config=options.config,
    )
    return chat(wanted, colours=who.colours)


def _doctor(options: argparse.Namespace) -> int:
    if options.client:
        return _doctor_client(options)
    from antiphon.cli.doctor import examine, finding_lines
    from antiphon.cli.table import document

    findings = examine(options.config)
    if options.json:
        sys.stdout.write(document(findings))
    else:
        _print(finding_lines(findings))
    return 0 if findings.ok else 1


def _doctor_client(options: argparse.Namespace) -> int:
    from antiphon.cli.doctor_client import reach
    from antiphon.cli.table import document
    from antiphon.config.load import caller

    server = reach(options.client, options.key or caller().key, options.model, timeout_s=options.timeout)
    if options.json:
        report = server.report()
        sys.stdout.write(document(report))
        return 0 if report.ok else 1
    seen: list[Outcome] = []
    _print(server.lines(seen))
    return 1 if any(case.status == "fail" for case in seen) else 0


def _completion(build: Callable[[], argparse.ArgumentParser], options: argparse.Namespace) -> int:
    from antiphon.cli.completion import script

    sys.stdout.write(script(build(), options.shell))
    return 0
