"""`remote::llama-guard`: shields that are Llama Guard models, served by any provider of models."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

from antiphon.core.errors import AntiphonError, InvalidRequest, ProviderContextLength
from antiphon.core.shields import Level, ShieldMessage, Touchpoint, Violation
from antiphon.core.wire import JsonObject
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.safety import GuardModels, Shield
from antiphon.shields.llama_guard_task import (
    CATEGORIES,
    Speaker,
    Turn,
    Version,
    sees_images,
    sees_several_images,
    task,
    verdict,
    version_of,
)
from antiphon.shields.reading import Wrong, read_choice, read_names, read_number, read_text, refuse_unknown

Images = Literal["block", "skip"]
USER_MESSAGE: Final = "I can't answer that. Can I help with something else?"
"""What Llama Stack says there, word for word: applications look for it."""
IMAGE_MESSAGE: Final = "This holds an image that could not be checked for safety, so it was not processed."
MAX_TOKENS: Final = 64
"""Of an answer: `unsafe` and all categories are less."""
MAX_CHARACTERS: Final = 6_000
"""Of one question, about what fits into the 4,096 tokens that Ollama gives a model: it cuts what is longer without a
word, so that a long text would be judged by its end.
"""
SHORTEST_PIECE: Final = 400
OVERLAP: Final = 200
CONTEXT_CHARACTERS: Final = 2_000
"""Of what was said before the turn that is judged."""
AT_ONCE: Final = 4
"""Questions about one content that are open at the same time."""
_KEYS: Final = (
    "model",
    "version",
    "excluded_categories",
    "images",
    "vision",
    "user_message",
    "level",
    "max_characters",
)
_SHIELD_KEYS: Final = tuple(key for key in _KEYS if key != "model")


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """What the configuration says, and the `params` of a shield on top of it."""

    version: Version | None = None
    excluded: frozenset[str] = frozenset()
    images: Images = "block"
    vision: bool | None = None
    user_message: str = USER_MESSAGE
    level: Level = "error"
    max_characters: int = MAX_CHARACTERS

    def with_(self, given: Mapping[str, Any]) -> "GuardSettings":
        """Raises Wrong."""
        version = read_choice(given, "version", ("2", "3", "4"), self.version or "")
        return GuardSettings(
            version=cast("Version | None", version or None),
            excluded=frozenset(read_names(given, "excluded_categories", sorted(self.excluded))),
            images=cast("Images", read_choice(given, "images", ("block", "skip"), self.images)),
            vision=_flag(given, "vision", self.vision),
            user_message=read_text(given, "user_message", self.user_message),
            level=cast("Level", read_choice(given, "level", ("info", "warn", "error"), self.level)),
            max_characters=read_number(
                given, "max_characters", self.max_characters, SHORTEST_PIECE, 1_000_000
            ),
        )


@dataclass(frozen=True, slots=True)
class LlamaGuard:
    """Implements `ports.safety.SafetyProvider`."""

    provider_id: str
    model: str
    settings: GuardSettings
    models: GuardModels

    @classmethod
    def from_config(
        cls, provider_id: str, config: Mapping[str, Any], models: GuardModels, folder: Path
    ) -> "LlamaGuard":
        del folder  # nothing of it is in a file
        try:
            refuse_unknown(config, _KEYS)
            settings = GuardSettings().with_(config)
            model = read_text(config, "model", "")
            if model or settings.version:
                _checked(settings, model)
        except Wrong as wrong:
            key = "model" if wrong.key == "version" and "version" not in config else wrong.key
            raise AdapterConfigError(key, wrong.message) from None
        return cls(provider_id, model, settings, models)

    def default_name(self, shield_id: str) -> str:
        return self.model or shield_id

    def check(self, shield: Shield) -> None:
        try:
            self._settings(shield)
        except Wrong as wrong:
            at_params = wrong.key in _SHIELD_KEYS and wrong.key in shield.params
            param = f"params.{wrong.key}" if at_params or wrong.unknown else "provider_shield_id"
            raise InvalidRequest(f"`{param}`: {wrong.message}", param=param) from None

    async def run(
        self, shield: Shield, messages: Sequence[ShieldMessage], touchpoint: Touchpoint
    ) -> Violation | None:
        try:
            settings, version = self._settings(shield)
        except Wrong as wrong:
            raise InvalidRequest(wrong.message, param=f"params.{wrong.key}") from None
        judge = _Judge(self.models, shield.name, settings, version, asyncio.Semaphore(AT_ONCE))
        return await judge.violation(messages, touchpoint)

    async def aclose(self) -> None:
        pass

    def _settings(self, shield: Shield) -> tuple[GuardSettings, Version]:
        """Raises Wrong."""
        refuse_unknown(shield.params, _SHIELD_KEYS)
        settings = self.settings.with_(shield.params)
        return settings, _checked(settings, shield.name)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question: the conversation up to the turn that is judged, and the images of that."""

    conversation: tuple[Turn, ...]
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Judge:
    """Asks one model about one content."""

    models: GuardModels
    model: str
    settings: GuardSettings
    version: Version
    turns: asyncio.Semaphore

    async def violation(self, messages: Sequence[ShieldMessage], touchpoint: Touchpoint) -> Violation | None:
        spoken = list(_spoken(messages))
        judged = [at for at, one in enumerate(spoken) if touchpoint == "user-input" or one.made]
        images = tuple(url for at in judged for url in spoken[at].images)
        sees = self.settings.vision if self.settings.vision is not None else sees_images(self.model)
        if images and not sees:
            if self.settings.images == "block":
                return self._image_violation(len(images))
            images = ()
        asked = [one for at in judged for one in self._questions(spoken, at, sees=sees and bool(images))]
        codes = await self._all(asked)
        found = [code for code in CATEGORIES[self.version] if code in codes - self.settings.excluded]
        return self._violation(found) if found else None

    def _questions(self, spoken: Sequence["_Said"], at: int, *, sees: bool) -> Iterator[_Asked]:
        """About one turn: one for each piece of its text, and each image that the model takes at a time."""
        turn = spoken[at]
        before = tuple(_context(spoken[:at]))
        for piece in _pieces(turn.text, self.settings.max_characters):
            yield _Asked((*before, Turn(turn.speaker, piece)))
        if not sees or not turn.images:
            return
        text = turn.text[: self.settings.max_characters]
        step = len(turn.images) if sees_several_images(self.model) else 1
        for start in range(0, len(turn.images), step):
            yield _Asked((*before, Turn(turn.speaker, text)), turn.images[start : start + step])

    async def _all(self, asked: Sequence[_Asked]) -> set[str]:
        """The codes of all of them. The first that fails ends the others."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._codes(one)) for one in asked]
        except* AntiphonError as failures:
            raise _first(failures) from None
        return {code for one in tasks for code in one.result()}

    async def _codes(self, asked: _Asked) -> set[str]:
        """Of a text that is too long for the model, those of its halves."""
        try:
            async with self.turns:
                question = task(self.version, asked.conversation, self.settings.excluded)
                answer = await self.models.answer(self.model, question, asked.images, MAX_TOKENS)
            return set(verdict(answer, self.version, self.model))
        except ProviderContextLength:
            *before, last = asked.conversation
            if before:
                return await self._codes(_Asked((last,), asked.images))
            if len(last.text) < 2 * SHORTEST_PIECE:
                raise
        found = set[str]()
        for half in _pieces(last.text, len(last.text) // 2 + OVERLAP):
            found |= await self._codes(_Asked((Turn(last.speaker, half),), asked.images))
        return found

    def _violation(self, codes: Sequence[str]) -> Violation:
        names = CATEGORIES[self.version]
        metadata: JsonObject = {
            "violation_type": ",".join(codes),
            "categories": [names[code] for code in codes],
            "model": self.model,
        }
        return Violation(
            violation_level=self.settings.level, user_message=self.settings.user_message, metadata=metadata
        )

    def _image_violation(self, count: int) -> Violation:
        """A model that reads text alone cannot say that an image is safe."""
        metadata: JsonObject = {"reason": "image_not_checked", "images": count, "model": self.model}
        return Violation(violation_level="error", user_message=IMAGE_MESSAGE, metadata=metadata)


@dataclass(frozen=True, slots=True)
class _Said:
    """Messages in a row of the same kind, as one turn. `made`: by the model, or by a tool that it called."""

    speaker: Speaker
    text: str
    images: tuple[str, ...]
    made: bool


def _spoken(messages: Sequence[ShieldMessage]) -> Iterator[_Said]:
    """What a tool said is judged as what a user says: it comes from outside."""
    kind = ""
    held: list[ShieldMessage] = []
    for message in messages:
        own = message.role if message.role in ("assistant", "tool") else "user"
        if held and own != kind:
            yield _joined(held, kind)
            held = []
        kind = own
        held.append(message)
    if held:
        yield _joined(held, kind)


def _joined(messages: Sequence[ShieldMessage], kind: str) -> _Said:
    text = "\n\n".join(one.text for one in messages if one.text)
    images = tuple(url for one in messages for url in one.images)
    return _Said("Agent" if kind == "assistant" else "User", text, images, made=kind != "user")


def _context(before: Sequence[_Said]) -> Iterator[Turn]:
    """The end of what was said before, of about `CONTEXT_CHARACTERS`; the turns take turns, as the format wants."""
    left = CONTEXT_CHARACTERS
    kept: list[Turn] = []
    for said in reversed(before):
        if left <= 0:
            break
        kept.append(Turn(said.speaker, said.text[-left:]))
        left -= len(said.text)
    yield from reversed(kept)


def _pieces(text: str, most: int) -> Iterator[str]:
    """The text in pieces of at most `most` characters, each with the end of the one before."""
    if not text.strip():
        return
    step = max(1, most - OVERLAP)
    for start in range(0, max(1, len(text) - OVERLAP), step):
        piece = text[start : start + most]
        if piece.strip():
            yield piece


def _first(group: BaseExceptionGroup[AntiphonError]) -> AntiphonError:
    for one in group.exceptions:
        return _first(one) if isinstance(one, BaseExceptionGroup) else one
    raise AssertionError("a group of exceptions is never empty")


def _checked(settings: GuardSettings, model: str) -> Version:
    """The version of the model. Raises Wrong."""
    version = settings.version or version_of(model)
    if version is None:
        raise Wrong(
            "version",
            f'the name "{model[:256]}" does not tell which Llama Guard this is; say `version`: "2", "3" or "4".',
        )
    unknown = sorted(settings.excluded - set(CATEGORIES[version]))
    if unknown:
        last = list(CATEGORIES[version])[-1]
        raise Wrong(
            "excluded_categories",
            f"Llama Guard {version} has no category {unknown[0][:64]}; it has S1 to {last}.",
        )
    if len(settings.excluded) == len(CATEGORIES[version]):
        raise Wrong("excluded_categories", "all categories are left out; nothing would be checked.")
    return version


def _flag(given: Mapping[str, Any], key: str, default: bool | None) -> bool | None:
    value = given.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Wrong(key, f"{key} is true or false.")
    return value
