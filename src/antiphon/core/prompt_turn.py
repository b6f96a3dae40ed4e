"""The turn in front of a conversation that shows the images and files of a prompt.

It is of one response only: no part of what is stored, compacted or continued.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from antiphon.core.items import InputFile, InputImage, InputText, Message
from antiphon.core.transcript import PastTurn, Transcript
from antiphon.core.wire import encode

_PREFIX = "prompt:"
"""How its id begins; no stored turn has such an id."""


def prompt_turn(parts: Sequence[InputText | InputImage | InputFile]) -> PastTurn:
    """One message of the user. Its id tells the content, since adapters keep what they rendered from a turn by it."""
    shown = encode([Message(role="user", content=[*parts])])
    return PastTurn(_PREFIX + hashlib.blake2s(shown).hexdigest(), shown, b"[]")


def prompt_turns(history: Sequence[PastTurn]) -> tuple[PastTurn, ...]:
    return tuple(turn for turn in history if turn.id.startswith(_PREFIX))


def lasting_turns(history: Sequence[PastTurn]) -> tuple[PastTurn, ...]:
    return tuple(turn for turn in history if not turn.id.startswith(_PREFIX))


def without_prompt(transcript: Transcript) -> Transcript:
    """What of the transcript is the conversation."""
    return replace(transcript, history=lasting_turns(transcript.history))
