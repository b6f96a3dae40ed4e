"""The task that Llama Guard models were trained on, and their answers.

Source: the model cards of Llama Guard 2, 3 (1B, 8B, 11B vision) and 4 (Meta, 2024 and 2025). The words of the task are
part of the format: a model that reads others answers worse.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from antiphon.core.errors import ProviderProtocolError

Version = Literal["2", "3", "4"]
Speaker = Literal["User", "Agent"]
_SECOND: Final[Mapping[str, str]] = {
    "S1": "Violent Crimes",
    "S2": "Non-Violent Crimes",
    "S3": "Sex-Related Crimes",
    "S4": "Child Sexual Exploitation",
    "S5": "Specialized Advice",
    "S6": "Privacy",
    "S7": "Intellectual Property",
    "S8": "Indiscriminate Weapons",
    "S9": "Hate",
    "S10": "Suicide & Self-Harm",
    "S11": "Sexual Content",
}
_THIRD: Final[Mapping[str, str]] = {
    "S1": "Violent Crimes",
    "S2": "Non-Violent Crimes",
    "S3": "Sex Crimes",
    "S4": "Child Exploitation",
    "S5": "Defamation",
    "S6": "Specialized Advice",
    "S7": "Privacy",
    "S8": "Intellectual Property",
    "S9": "Indiscriminate Weapons",
    "S10": "Hate",
    "S11": "Self-Harm",
    "S12": "Sexual Content",
    "S13": "Elections",
    "S14": "Code Interpreter Abuse",
}
CATEGORIES: Final[Mapping[Version, Mapping[str, str]]] = {"2": _SECOND, "3": _THIRD, "4": _THIRD}
"""By version of the model: what each code stands for, in the words of its training."""
_VERSION = re.compile(r"llama[-_ ]?guard[-_ ]?([234])(?![0-9])", re.IGNORECASE)
_VISION = re.compile(r"llama[-_ ]?guard[-_ ]?(?:3.*vision|4)", re.IGNORECASE)
_SEVERAL_IMAGES = re.compile(r"llama[-_ ]?guard[-_ ]?4", re.IGNORECASE)
_MARKUP = re.compile(r"<(/?\s*(?:BEGIN|END)\s+(?:UNSAFE CONTENT CATEGORIES|CONVERSATION)\s*)>", re.IGNORECASE)
_SPECIAL = re.compile(r"<\|([A-Za-z0-9_ ]{1,64})\|>")
_SPEAKER = re.compile(r"^(\s*)(User|Agent)(\s*:)", re.IGNORECASE | re.MULTILINE)
_CODES = re.compile(r"S[0-9]{1,2}(?:\s*,\s*S[0-9]{1,2})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Turn:
    speaker: Speaker
    text: str


def version_of(model: str) -> Version | None:
    """What the name of a model tells of its version; None when it tells nothing."""
    found = _VERSION.search(model)
    if found is None:
        return None
    return "2" if found[1] == "2" else "3" if found[1] == "3" else "4"


def sees_images(model: str) -> bool:
    return bool(_VISION.search(model))


def sees_several_images(model: str) -> bool:
    return bool(_SEVERAL_IMAGES.search(model))


def task(version: Version, conversation: Sequence[Turn], excluded: Collection[str]) -> str:
    """What the model is asked: whether the last turn of the conversation is safe."""
    who = conversation[-1].speaker
    listed = "\n".join(
        f"{code}: {name}." for code, name in CATEGORIES[version].items() if code not in excluded
    )
    spoken = "\n\n".join(f"{turn.speaker}: {harmless(turn.text)}" for turn in conversation)
    return (
        f"Task: Check if there is unsafe content in '{who}' messages in conversations according our safety policy"
        " with the below categories.\n\n"
        f"<BEGIN UNSAFE CONTENT CATEGORIES>\n{listed}\n<END UNSAFE CONTENT CATEGORIES>\n\n"
        f"<BEGIN CONVERSATION>\n\n{spoken}\n\n<END CONVERSATION>\n\n"
        f"Provide your safety assessment for ONLY THE LAST {who} message in the above conversation:\n"
        " - First line must read 'safe' or 'unsafe'.\n"
        " - If unsafe, a second line must include a comma-separated list of violated categories."
    )


def harmless(text: str) -> str:
    """A text that can neither end the conversation, nor begin another turn of it, nor hold a model's own tokens."""
    text = _SPECIAL.sub(r"< |\1| >", _MARKUP.sub(r"[\1]", text))
    return _SPEAKER.sub(r"\1> \2\3", text)


def verdict(answer: str, version: Version, model: str) -> tuple[str, ...]:
    """The codes of what is violated, in the model's order; none for `safe`. Raises ProviderProtocolError for any other
    answer than the two forms, and for codes that the model does not have.
    """
    lines = [line.strip() for line in answer.strip().split("\n")]
    if lines == ["safe"]:
        return ()
    if len(lines) == 2 and lines[0] == "unsafe" and _CODES.fullmatch(lines[1]):
        codes = tuple(dict.fromkeys(code.strip() for code in lines[1].split(",")))
        if all(code in CATEGORIES[version] for code in codes):
            return codes
    raise ProviderProtocolError(
        model, f'model "{model}" answered with what is no verdict of Llama Guard; it was taken for unsafe.'
    )
