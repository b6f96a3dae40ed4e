"""What a scripted model does: the `config:` mapping of a provider of type `inline::scripted`, as types.

    models:
    - name: clerk
      rules:
      - when: {text: weather, tool_outputs: false}
        reply:
        - reasoning: The city decides.
        - calls: [{name: get_weather, arguments: {city: Oslo}}, {name: get_time}]
      - when: {tool_outputs: true}
        reply: [{text: "It says: {{tool_outputs}}", by: char}]

The first rule that matches decides. Where none does, the model behaves as the built-in `demo`.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast, dataclass_transform

import msgspec
from msgspec import Meta

from antiphon.core.signals import FinishReason
from antiphon.providers.presets import ProviderConfigError

Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]
Count = Annotated[int, Meta(ge=1, le=100_000)]
Chunking = Literal["word", "char", "all"] | Count


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
class _Closed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mapping of the configuration. A key that is not a field is refused."""


class When(_Closed):
    """Every condition given must hold; none given: always."""

    text: str | None = None
    """Is in the last user message; upper and lower case are alike."""
    matches: str | None = None
    """A regular expression found in the last user message."""
    seen: tuple[str, ...] | None = None
    """All of these are in what the model is shown: instructions, the conversation so far, results of tools. Upper and
    lower case are alike.
    """
    tool_outputs: bool | None = None
    """Whether tool outputs came after the last user message."""
    step: Count | None = None
    """Which model call this is since the last user message."""
    tools: tuple[str, ...] | None = None
    """Tools that the request offers, all of these."""
    summary: bool | None = None
    """The model is asked for the summary by which a conversation is compacted. Rules without it are not for that."""


class Call(_Closed):
    """`arguments` as text is sent as it is, also when it is no JSON. Left out: made up to fit the schema.

    Of a custom tool they are its input; left out, that is the last user message.
    """

    name: str
    arguments: dict[str, Any] | str | None = None


class Failure(_Closed):
    """As the first step of a reply an HTTP status; later the answer breaks off.

    `drop`: the connection ends. `malformed`: what comes is not the protocol. `timeout`: nothing comes.
    """

    status: Annotated[int, Meta(ge=400, le=599)] | None = None
    kind: Literal["drop", "malformed", "timeout"] | None = None
    message: str = "scripted failure"
    param: str | None = None
    retry_after: str | None = None


class Step(_Closed):
    """One thing that the model does: exactly one of the first eight keys. Texts in a row are one message."""

    text: str | None = None
    echo: bool | None = None
    """Say the last user message."""
    instance: bool | None = None
    """Say a JSON value that fits `text.format`."""
    reasoning: str | None = None
    refusal: str | None = None
    calls: tuple[Call, ...] | None = None
    """Several are parallel calls."""
    wait_ms: Milliseconds | None = None
    fail: Failure | None = None
    by: Chunking = "word"
    """How a text is cut into deltas: words, characters, whole, or this many characters."""
    delay_ms: Milliseconds = 0
    """Before each delta."""
    repeat: Count = 1
    interleave: bool = False
    """The deltas of parallel calls take turns."""


class ScriptedUsage(_Closed):
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Rule(_Closed):
    when: When = When()
    reply: tuple[Step, ...] = ()
    delay_ms: Milliseconds = 0
    """Before the head of the answer."""
    finish: FinishReason | None = None
    """Left out: what happened (`tool_calls`, `length` at the token limit, else `stop`)."""
    usage: ScriptedUsage | None = None
    """Left out: counted, a word is a token."""


class ScriptedModel(_Closed):
    name: Annotated[str, Meta(min_length=1, max_length=256)]
    rules: tuple[Rule, ...] = ()


class ScriptedConfig(_Closed):
    """`recording` names a file or a folder that `antiphon record` wrote: its models answer as they did then."""

    models: tuple[ScriptedModel, ...] | None = None
    """Left out: the model `demo`, or none beside a recording."""
    recording: Annotated[str, Meta(min_length=1)] | None = None
    match: Literal["strict", "order"] = "strict"
    """A question that was not recorded: `strict` refuses it, `order` gives the next answer not given yet."""
    timing: Literal["none", "recorded"] = "none"
    """Whether answers take the time that they took."""
    provider: str | None = None
    """Only what this provider answered."""

    @property
    def scripts(self) -> tuple[ScriptedModel, ...]:
        if self.models is None:
            return () if self.recording else (ScriptedModel(name="demo"),)
        return self.models


_KINDS = ("text", "echo", "instance", "reasoning", "refusal", "calls", "wait_ms", "fail")


def parse_script(mapping: Mapping[str, Any]) -> ScriptedConfig:
    """The scripted models of a configuration. Raises ProviderConfigError, naming the key."""
    try:
        config = msgspec.convert(dict(mapping), ScriptedConfig)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        key = path.strip("`").removeprefix("$").removeprefix(".")
        raise ProviderConfigError(key, f"{text}{f' (at {key})' if key else ''}") from None
    if config.models == ():
        raise ProviderConfigError("models", "expected at least one model (at models)")
    if config.recording is None:
        for key in ("match", "timing", "provider"):
            if key in mapping:
                raise ProviderConfigError(key, f"`{key}` is about a `recording`; name one, or remove it.")
    names = [model.name for model in config.scripts]
    for at, model in enumerate(config.scripts):
        if names.index(model.name) != at:
            raise ProviderConfigError(f"models[{at}].name", f'model "{model.name}" is there twice.')
        for number, rule in enumerate(model.rules):
            _check_rule(rule, f"models[{at}].rules[{number}]")
    return config


def _check_rule(rule: Rule, path: str) -> None:
    if rule.when.matches is not None:
        try:
            re.compile(rule.when.matches)
        except re.error as error:
            key = f"{path}.when.matches"
            raise ProviderConfigError(key, f"not a regular expression: {error} (at {key})") from None
    for at, step in enumerate(rule.reply):
        key = f"{path}.reply[{at}]"
        given = [kind for kind in _KINDS if cast("object", getattr(step, kind)) is not None]
        if len(given) != 1:
            found = ", ".join(given) or "none"
            raise ProviderConfigError(key, f"expected one of {', '.join(_KINDS)}; found {found} (at {key})")
        if step.fail is not None and (step.fail.status is None) == (step.fail.kind is None):
            raise ProviderConfigError(f"{key}.fail", f"expected `status` or `kind` (at {key}.fail)")
