"""What shields are asked about in a run, and what is said where they object."""

from collections.abc import Iterable, Iterator, Sequence

from antiphon.core.commands import CheckContent
from antiphon.core.items import (
    Call,
    CallOutput,
    CustomToolCall,
    InputFile,
    InputImage,
    Message,
    Reasoning,
    Refusal,
)
from antiphon.core.seen import TranscriptItem
from antiphon.core.shields import Role, ShieldMessage, Violation
from antiphon.core.turn_rules import TurnRules

REFUSED = "This cannot be answered."
"""What the user reads where a shield says nothing itself."""
_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant"}


class Guarding:
    """Makes the checks of one run. `given` are the items that it began with."""

    __slots__ = ("_given", "_rules")

    def __init__(self, rules: TurnRules, given: Sequence[TranscriptItem]) -> None:
        self._rules = rules
        self._given = tuple(given)

    def of_input(self) -> CheckContent | None:
        """The check before the first model call; None where there is nothing to ask, or nobody."""
        shields = self._rules.input_shields
        asked = tuple(shown(self._given)) if shields else ()
        return CheckContent("user-input", shields, asked, self._given) if asked else None

    def of_output(self, made: Sequence[TranscriptItem]) -> CheckContent | None:
        """The check before the end. `made`: what the model and tools made in this run."""
        shields = self._rules.output_shields
        said = tuple(shown(made)) if shields else ()
        if not said:
            return None
        messages = (*shown(self._given), *said)
        return CheckContent("assistant-output", shields, messages, (*self._given, *made))


def refusal(violation: Violation) -> Message:
    """What stands in the output, and in the conversation from then on."""
    return Message(role="assistant", content=[Refusal(refusal=violation.user_message or REFUSED)])


def ends(violation: Violation | None) -> bool:
    """Whether a run with this violation ends."""
    return violation is not None and violation.violation_level == "error"


def shown(items: Iterable[TranscriptItem]) -> Iterator[ShieldMessage]:
    """Items as shields see them; one that says nothing is none."""
    for item in items:
        found = _message(item)
        if found.text or found.images:
            yield found


def _message(item: TranscriptItem) -> ShieldMessage:
    if isinstance(item, Message):
        return _of_parts(_ROLES.get(item.role, "system"), item.content)
    if isinstance(item, Reasoning):
        return ShieldMessage("assistant", _thoughts(item))
    if isinstance(item, CallOutput):
        return _of_parts("tool", item.output)
    if isinstance(item, Call):
        return ShieldMessage("assistant", item.input if isinstance(item, CustomToolCall) else item.arguments)
    return ShieldMessage("assistant", "")


def _of_parts(role: Role, content: str | Sequence[object]) -> ShieldMessage:
    if isinstance(content, str):
        return ShieldMessage(role, content)
    images = tuple(_image(part) for part in content if isinstance(part, InputImage))
    return ShieldMessage(role, "\n".join(text for part in content if (text := _text(part))), images)


def _text(part: object) -> str:
    if isinstance(part, Refusal):
        return part.refusal
    if isinstance(part, InputFile):
        return str(part.filename or part.file_id or part.file_url or "a file")
    found: object = getattr(part, "text", "")
    return found if isinstance(found, str) else ""


def _image(part: InputImage) -> str:
    """Its URL. One of a file that was not read is named by that: it is not to be missed."""
    return part.image_url or f"file:{part.file_id or ''}"


def _thoughts(item: Reasoning) -> str:
    said = [part.text for part in item.summary]
    said += [part.text for part in item.content or ()]
    return "\n".join(said)
