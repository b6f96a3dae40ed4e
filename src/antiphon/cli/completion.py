"""`antiphon completion SHELL`: the script that teaches a shell our commands, made from the parser by shtab."""

import argparse
from collections.abc import Iterator, Sequence
from typing import cast

SHELLS = ("bash", "zsh", "fish", "tcsh", "powershell")
"""What shtab can write; named here so that other commands start without it."""

INSTALL = {
    "bash": 'eval "$(antiphon completion bash)"   # in ~/.bashrc',
    "zsh": 'antiphon completion zsh > "${fpath[1]}/_antiphon"',
    "fish": "antiphon completion fish > ~/.config/fish/completions/antiphon.fish",
    "tcsh": "antiphon completion tcsh > ~/.antiphon.tcsh; source ~/.antiphon.tcsh   # in ~/.tcshrc",
    "powershell": "antiphon completion powershell >> $PROFILE",
}


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    import shtab

    for action in _actions(parser):
        if action.metavar and "FILE" in str(action.metavar):
            setattr(action, "complete", shtab.FILE)  # noqa: B010  shtab reads this attribute, argparse has none
    return shtab.complete(parser, shell=shell)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option of the parser and of its commands, which argparse keeps as the choices of one more action."""
    found: Sequence[argparse.Action] = parser._actions  # noqa: SLF001  argparse shows them nowhere else
    for action in found:
        yield action
        choices: object = action.choices
        if isinstance(choices, dict):
            for command in cast("dict[str, argparse.ArgumentParser]", choices).values():
                yield from _actions(command)
