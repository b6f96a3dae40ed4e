"""What adapters of every kind say when they cannot be made."""


class AdapterConfigError(ValueError):
    """The `config:` of an adapter is wrong at `key` ("" for the mapping itself). The message says what was expected."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message
