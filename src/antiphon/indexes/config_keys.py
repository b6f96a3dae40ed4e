"""Reading the `config:` of an index that is spoken to over a connection."""

import importlib
from collections.abc import Mapping
from typing import Any

from antiphon.ports.adapters import AdapterConfigError


class Keys:
    """A `config:` whose keys are known. Each method raises AdapterConfigError, naming the key at fault."""

    def __init__(self, config: Mapping[str, Any], *known: str) -> None:
        self._config = config
        for key in config:
            if key not in known:
                raise AdapterConfigError(key, f'"{key}" is not known here; known: {", ".join(known)}.')

    def given(self, key: str) -> bool:
        """Whether it says anything: a variable of the environment that is not set leaves an empty text."""
        return self._config.get(key) not in (None, "")

    def text(self, key: str, default: str = "") -> str:
        value = self._config.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise AdapterConfigError(key, f"{key} is a text.")
        return value or default

    def whole(self, key: str, default: int, lowest: int, highest: int) -> int:
        """A whole number; one written as a text is taken too, as a variable of the environment is one."""
        value = self._config.get(key)
        if value is None or value == "":
            return default
        if isinstance(value, str) and value.isascii() and value.isdigit():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
            raise AdapterConfigError(key, f"{key} is a whole number from {lowest} to {highest}.")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._config.get(key)
        if value is None or value == "":
            return default
        if not isinstance(value, bool):
            raise AdapterConfigError(key, f"{key} is true or false.")
        return value

    def seconds(self, key: str, default: float) -> float:
        value = self._config.get(key)
        if value is None:
            return default
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 3600:
            raise AdapterConfigError(key, f"{key} is a number of seconds, above 0 and at most 3600.")
        return float(value)

    def not_with(self, key: str, *others: str) -> None:
        """`key` says all that `others` say."""
        for other in others:
            if self.given(key) and self.given(other):
                raise AdapterConfigError(other, f"{other} is part of {key} already; leave one of them out.")


def needed(module: str, extra: str) -> None:
    """Raises AdapterConfigError for a driver that is not installed."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise AdapterConfigError(
            "", f"its driver is not installed; run: pip install 'antiphon[{extra}]'"
        ) from error
