"""A model asked for a text."""

from collections.abc import Mapping

import pytest

from antiphon.core.errors import ProviderError
from antiphon.models.asking import ask
from antiphon.testing import scripted_model


async def asked(*rules: Mapping[str, object], max_tokens: int = 50) -> str:
    return await ask(scripted_model(*rules), "demo", "Answer in one word.", "What is it?", max_tokens)


async def test_the_answer_is_its_text_alone() -> None:
    assert await asked({"reply": [{"reasoning": "Hm."}, {"text": "  A fish.\n"}]}) == "A fish."


async def test_the_model_sees_the_text() -> None:
    assert await asked({"reply": [{"echo": True}]}) == "What is it?"


async def test_an_answer_that_reached_its_limit_ends_there() -> None:
    answer = await asked(
        {"reply": [{"text": "one two three four five six seven eight nine ten"}]}, max_tokens=3
    )
    assert answer.startswith("one")
    assert not answer.endswith("ten")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"reply": [{"refusal": "No."}]}, "it refused"),
        ({"reply": [{"text": "   "}]}, "holds no text"),
        ({"reply": [{"text": "x"}], "finish": "content_filter"}, "content filter"),
    ],
)
async def test_no_text_is_an_error_that_says_why(rule: Mapping[str, object], problem: str) -> None:
    with pytest.raises(ProviderError, match=problem) as caught:
        await asked(rule)
    assert '"demo"' in caught.value.message


async def test_a_failing_upstream_is_passed_on() -> None:
    with pytest.raises(ProviderError) as caught:
        await asked({"reply": [{"fail": {"status": 429, "message": "slow down"}}]})
    assert caught.value.status == 429
