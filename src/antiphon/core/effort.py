"""What an effort of reasoning means as a number of tokens, for APIs that take one or the other."""

from typing import Final, Literal

BUDGETS: Final = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 32768,
}
"""Tokens of thought that stand for an effort."""


def effort_of(budget: int) -> Literal["low", "medium", "high"]:
    """The highest effort that every model knows and that keeps within so many tokens; `low` below that."""
    if budget >= BUDGETS["high"]:
        return "high"
    return "medium" if budget >= BUDGETS["medium"] else "low"
