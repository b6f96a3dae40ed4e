"""How well a rule set tells what breaks its rules, by labelled samples."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from antiphon.shields.rule_sets import RuleSet


class Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a file of samples: a text, and whether it breaks a rule of the set."""

    text: Annotated[str, Meta(min_length=1)]
    violates: bool


class SamplesUnreadable(ValueError):
    """`line` of the file is no sample."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f'line {line}: {why}; expected {{"text": "…", "violates": true}}')
        self.line = line


@dataclass(frozen=True, slots=True)
class Measured:
    """`missed` break a rule and were let pass, `wronged` break none and were not."""

    name: str
    violating: int
    harmless: int
    missed: tuple[Sample, ...]
    wronged: tuple[Sample, ...]

    @property
    def recall(self) -> float:
        """Of the texts that break a rule, the part that was found. 1.0 where there are none."""
        return 1 - len(self.missed) / self.violating if self.violating else 1.0

    @property
    def false_positive_rate(self) -> float:
        """Of the texts that break no rule, the part that was found all the same. 0.0 where there are none."""
        return len(self.wronged) / self.harmless if self.harmless else 0.0


def read_samples(text: str) -> list[Sample]:
    """A JSON object a line; empty lines are passed over. Raises SamplesUnreadable."""
    return list(_samples(text))


def measured(rule_set: RuleSet, samples: Sequence[Sample]) -> Measured:
    found = [bool(rule_set.broken([one.text])) for one in samples]
    return Measured(
        name=rule_set.name,
        violating=sum(one.violates for one in samples),
        harmless=sum(not one.violates for one in samples),
        missed=tuple(one for one, hit in zip(samples, found, strict=True) if one.violates and not hit),
        wronged=tuple(one for one, hit in zip(samples, found, strict=True) if hit and not one.violates),
    )


def _samples(text: str) -> Iterator[Sample]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield msgspec.json.decode(line, type=Sample)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise SamplesUnreadable(number, str(error)) from None
