"""Facts that are made up, of words that each have others for the same thing, with questions that each has one answer
to.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

QUALITIES: Final = (
    "old aged elderly", "young youthful juvenile", "tall lofty towering", "quiet silent calm", "rich wealthy affluent",
    "poor needy destitute", "clever bright intelligent", "brave bold courageous", "famous renowned celebrated",
    "strange odd peculiar", "angry furious irate", "happy cheerful joyful", "lazy idle sluggish", "kind gentle mild",
)  # fmt: skip
ROLES: Final = (
    "doctor physician medic", "teacher instructor tutor", "sailor seaman mariner", "lawyer attorney solicitor",
    "farmer grower cultivator", "soldier trooper warrior", "thief burglar robber", "singer vocalist crooner",
    "writer author novelist", "builder constructor mason", "king monarch sovereign", "servant attendant butler",
    "merchant trader dealer", "hunter stalker trapper", "painter artist illustrator", "judge magistrate arbiter",
    "guard sentry watchman", "pilot aviator airman", "cook chef caterer", "priest clergyman vicar",
)  # fmt: skip
DEEDS: Final = (
    "repaired mended fixed", "bought purchased acquired", "stole pilfered swiped", "hid concealed buried",
    "found discovered located", "sold vended peddled", "broke smashed shattered", "cleaned washed scrubbed",
    "carried transported hauled", "measured gauged sized", "praised lauded extolled", "examined inspected scrutinized",
    "burned torched incinerated", "drew sketched depicted",
)  # fmt: skip
THINGS: Final = (
    "boat vessel ship", "car automobile motorcar", "house dwelling residence", "stone rock boulder",
    "picture portrait image", "letter missive epistle", "road highway street", "bag sack pouch", "hat cap bonnet",
    "coat jacket parka", "lamp lantern torch", "box crate chest", "sword blade sabre", "ring band hoop",
    "machine engine motor", "garden orchard plantation", "clock timepiece watch", "couch sofa settee",
    "rope cord cable", "mirror reflector glass",
)  # fmt: skip
PLACES: Final = (
    "harbour port dock", "forest woodland grove", "market bazaar fair", "prison jail dungeon", "church chapel minster",
    "valley dale glen", "hill mound knoll", "inn tavern pub", "shop store boutique", "bridge viaduct overpass",
    "castle fort citadel", "swamp marsh bog", "school academy college", "field meadow pasture",
)  # fmt: skip
GROUPS: Final = tuple(
    tuple(tuple(one.split()) for one in kind) for kind in (QUALITIES, ROLES, DEEDS, THINGS, PLACES)
)
SYNONYMS: Final[Mapping[str, str]] = {word: words[0] for kind in GROUPS for words in kind for word in words}
"""The first word of each group, by each of its words."""

_SYLLABLES: Final = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
    "ve",
    "wi",
    "xo",
    "yu",
    "za",
    "bren",
    "dor",
    "gal",
    "mir",
    "sol",
    "tan",
    "vel",
]
FACTS_OF_A_NAME = 12
_FILLING = 24
OTHER_WORDS = 3


@dataclass(frozen=True, slots=True)
class Fact:
    """`meaning` are the groups of its five words, as places in GROUPS."""

    number: int
    name: str
    code: str
    meaning: tuple[int, ...]
    words: tuple[str, ...]
    text: str


class Facts:
    """No two have the same meaning, or the same code."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._made: list[Fact] = []
        self._meanings: set[tuple[int, ...]] = set()
        self._name = ""
        self._filling = [self._invented(2) for _ in range(600)]

    def next(self) -> Fact:
        chance, number = self._chance, len(self._made)
        if number % FACTS_OF_A_NAME == 0:
            self._name = f"{self._invented(3)} {self._invented(2)}".title()
        meaning = self._new_meaning()
        words = tuple(chance.choice(GROUPS[kind][at]) for kind, at in enumerate(meaning))
        quality, role, deed, thing, place = words
        code = f"{chance.choice('ABCDEFGH')}{chance.choice('KLMNPQRS')}-{number * 7919 % 1_000_003:07d}"
        filling = " ".join(chance.choices(self._filling, k=_FILLING))
        text = (
            f"{self._name} was the {quality} {role} who {deed} a {thing} at the {place}. {filling.capitalize()}."
            f" The matter is filed under {code}."
        )
        fact = Fact(number, self._name, code, meaning, words, text)
        self._made.append(fact)
        return fact

    def questions(self, count: int) -> Iterator[tuple[str, str, int]]:
        """Their kinds, texts, and the numbers of the facts that answer them; up to so many of each kind."""
        chosen = self._chance.sample(self._made, min(3 * count, len(self._made)))
        for at, fact in enumerate(chosen):
            quality, role, deed, thing, place = self._other_words(fact)
            match at % 3:
                case 0:
                    yield "exact", f"What is filed under {fact.code}?", fact.number
                case 1:
                    text = f"Which {quality} {role} {deed} the {thing} near that {place}?"
                    yield "paraphrase", text, fact.number
                case _:
                    text = f"When had {fact.name}, the {quality} {role}, {deed} some {thing}?"
                    yield "mixed", text, fact.number

    def _new_meaning(self) -> tuple[int, ...]:
        while True:
            meaning = tuple(self._chance.randrange(len(kind)) for kind in GROUPS)
            if meaning not in self._meanings:
                self._meanings.add(meaning)
                return meaning

    def _other_words(self, fact: Fact) -> Sequence[str]:
        """Its words, three of the five said otherwise."""
        changed = self._chance.sample(range(len(GROUPS)), OTHER_WORDS)
        return [
            self._chance.choice([word for word in GROUPS[kind][at] if word != fact.words[kind]])
            if kind in changed
            else fact.words[kind]
            for kind, at in enumerate(fact.meaning)
        ]

    def _invented(self, syllables: int) -> str:
        return "".join(self._chance.choices(_SYLLABLES, k=syllables))
