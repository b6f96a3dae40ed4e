"""What shields look at, and what they say. Checking itself is outside work: `ports.safety`."""

from typing import Literal

import msgspec

from antiphon.core.wire import JsonObject, Wire

Touchpoint = Literal["user-input", "assistant-output"]
"""Where shields are asked: about what comes in, before a model is; about what a model made, at the end."""
Level = Literal["info", "warn", "error"]
Role = Literal["user", "assistant", "tool", "system"]


class Violation(Wire):
    """`SafetyViolation` of Llama Stack. `error` ends the run, whose answer is `user_message` then; the others are
    noted. `metadata` says which shield and rule, never the text that broke it.
    """

    violation_level: Level
    user_message: str | None = None
    metadata: JsonObject = {}


class ShieldMessage(msgspec.Struct, frozen=True):
    """A message as shields see it. `images` are URLs, `data:` ones too."""

    role: Role
    text: str
    images: tuple[str, ...] = ()
