"""The indexes that can be measured here, each opened with a place of its own for its data."""

import importlib.util
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from antiphon.index_plugins import BUILT_IN, index_class
from antiphon.ports.knowledge import VectorIndex


class LeftOut(Exception):
    """Why an index cannot be measured here."""


@dataclass(frozen=True, slots=True)
class Place:
    """`open` gives the index over a folder; entered first, what it needs runs."""

    provider_type: str
    needs: Callable[[Path], AbstractContextManager[Mapping[str, object]]]

    def open(self, config: Mapping[str, object], folder: Path) -> VectorIndex:
        return index_class(self.provider_type).from_config("bench", config, folder)


def _nothing(_: Path) -> AbstractContextManager[Mapping[str, object]]:
    return nullcontext({})


def _faiss(_: Path) -> AbstractContextManager[Mapping[str, object]]:
    if importlib.util.find_spec("faiss") is None:
        raise LeftOut("FAISS is not installed: pip install 'antiphon[faiss]'")
    return nullcontext({})


PLACES: Mapping[str, Place] = {
    "sqlite-vec": Place("inline::sqlite-vec", _nothing),
    "faiss": Place("inline::faiss", _faiss),
}


def available() -> list[str]:
    """The names of those that this version has."""
    return [name for name, place in PLACES.items() if place.provider_type in BUILT_IN]
