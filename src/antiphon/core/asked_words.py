"""The words that a query asks a database for."""

from antiphon.core.stop_words import STOP_WORDS
from antiphon.core.words import words_asked

MAX_READ = 1_000


def asked_words(text: str, limit: int) -> list[str]:
    """Each once, in their order, `limit` of them at most. What every question has is left out where there is more."""
    words = words_asked(text, MAX_READ)
    telling = [word for word in words if word not in STOP_WORDS]
    return (telling or words)[:limit]
