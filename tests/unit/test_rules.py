"""Rules: patterns, words, lengths and personal data, over texts of any size."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.errors import InvalidRequest
from antiphon.core.shields import ShieldMessage, Touchpoint, Violation
from antiphon.ports.adapters import AdapterConfigError
from antiphon.ports.safety import Shield
from antiphon.shields.measuring import SamplesUnreadable, measured, read_samples
from antiphon.shields.reading import Wrong
from antiphon.shields.rule_files import built_in, built_in_names, built_in_samples
from antiphon.shields.rule_sets import read_rule_set
from antiphon.shields.rules import USER_MESSAGE, Rules
from tests.shields_world import Models

FLOORS = {
    "pii": (0.93, 0.05),
    "profanity": (0.93, 0.03),
    "prompt-injection": (0.93, 0.07),
    "secrets": (0.95, 0.03),
}
"""Recall at least, false positives at most, as docs/reference/shields.md states them."""
INVISIBLE = "\u200b"
WIDE = "4111 1111 1111 1111".translate({ord(digit): 0xFF10 + int(digit) for digit in "0123456789"})


def rules(folder: Path | None = None, **config: Any) -> Rules:
    return Rules.from_config("rules", config, Models(), folder or Path())


def own(*given: dict[str, Any], **more: Any) -> Rules:
    return rules(rule_sets={"own": {"rules": list(given), **more}})


async def judge(
    provider: Rules,
    *messages: ShieldMessage | str,
    name: str = "own",
    touchpoint: Touchpoint = "user-input",
    **params: Any,
) -> Violation | None:
    said = [ShieldMessage("user", one) if isinstance(one, str) else one for one in messages]
    return await provider.run(Shield("s", name, params), said, touchpoint)


async def broken(provider: Rules, text: str, name: str = "own", **params: Any) -> list[str]:
    found = await judge(provider, text, name=name, **params)
    return [] if found is None else list(found.metadata["rules"])


# --- the sets that come with the server ---------------------------------------------------------------------------
@pytest.mark.parametrize("name", built_in_names())
def test_a_built_in_rule_set_stays_above_its_floors(name: str) -> None:
    samples = read_samples(built_in_samples(name))
    result = measured(built_in(name), samples)
    assert len(samples) >= 60
    assert min(result.violating, result.harmless) >= 25
    recall, wrong = FLOORS[name]
    assert result.recall >= recall, result.missed
    assert result.false_positive_rate <= wrong, result.wronged
    assert result.recall < 1.0, "samples that nothing misses are too easy"


@pytest.mark.parametrize("name", built_in_names())
def test_every_rule_of_a_built_in_set_is_the_one_that_finds_some_sample(name: str) -> None:
    texts = [one.text for one in read_samples(built_in_samples(name)) if one.violates]
    found = {rule.id for text in texts for rule in built_in(name).broken([text])}
    assert found == {rule.id for rule in built_in(name).rules}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("4111 1111 1111 1111", "credit_card"),
        (WIDE, "credit_card"),
        (f"4111{INVISIBLE}111111111111", "credit_card"),
        ("4111 1111 1111 1112", None),
        ("1234 4111 1111 1111 1111", "credit_card"),
        ("DE89 3704 0044 0532 0130 00 and more words", "iban"),
        ("DE88 3704 0044 0532 0130 00", None),
        ("a@b.example", "email"),
        ("git@github.com:a/b.git", None),
        ("219-09-9999", "us_ssn"),
        ("666-09-9999", None),
        ("900-09-9999", None),
        ("219-00-9999", None),
        ("219-09-0000", None),
        ("8.8.8.8", "ip_address"),
        ("300.8.8.8", None),
        ("192.168.0.1", None),
        ("2001:4860:4860::8888", "ip_address"),
        ("::1", None),
        ("+49 30 901820", "phone"),
        ("+99 30 901820", None),
    ],
)
async def test_personal_data_is_told_by_its_checks(text: str, rule: str | None) -> None:
    for around in (text, f"It is {text}, he said."):
        assert await broken(rules(), around, "pii") == ([] if rule is None else [rule])


# --- words --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "darn",
        "DARN it",
        "(darn)",
        "d\u0430rn",
        "d\u00e1rn",
        "daaarrn",
        "d4rn",
        "d.a.r.n",
        "d a r n",
        f"da{INVISIBLE}rn",
    ],
)
async def test_a_word_is_found_in_its_disguises(text: str) -> None:
    assert await broken(own({"id": "w", "words": ["darn"]}), text) == ["w"]


@pytest.mark.parametrize("text", ["darned", "undarn", "dar n", "d ar n", "the standard", "dar", "da-ta rn"])
async def test_a_word_is_not_found_in_others(text: str) -> None:
    assert await broken(own({"id": "w", "words": ["darn"]}), text) == []


async def test_endings_phrases_other_scripts_and_plain_words() -> None:
    provider = own(
        {"id": "ending", "words": ["darn*"]},
        {"id": "phrase", "words": ["holy  cow"]},
        {"id": "german", "words": ["Straße"]},
        {"id": "russian", "words": ["чёрт"]},
        {"id": "japanese", "words": ["ばか"]},
        {"id": "plain", "words": ["heck"], "obfuscated": False},
    )
    assert await broken(provider, "darnedest") == ["ending"]
    assert await broken(provider, "Holy\n cow!") == ["phrase"]
    assert await broken(provider, "die STRASSE") == ["german"]
    assert await broken(provider, "ЧЕРТ возьми") == ["russian"]
    assert await broken(provider, "「ばか」") == ["japanese"]
    assert await broken(provider, "heck") == ["plain"]
    assert await broken(provider, "h3ck") == []


async def test_many_words_are_all_looked_for() -> None:
    words = [f"word{chr(97 + at // 26)}{chr(97 + at % 26)}" for at in range(600)]
    provider = own({"id": "w", "words": words})
    assert await broken(provider, words[599]) == await broken(provider, words[0]) == ["w"]


# --- patterns and lengths -----------------------------------------------------------------------------------------
async def test_patterns_read_the_text_as_they_say() -> None:
    provider = own(
        {"id": "plain", "patterns": ["Acme-[0-9]+"]},
        {"id": "anycase", "patterns": ["zeta"], "ignore_case": True},
        {"id": "folded", "patterns": ["cafe"], "reads": "folded"},
        {"id": "clear", "patterns": ["leet"], "reads": "clear"},
    )
    assert await broken(provider, "Acme-\uff17") == ["plain"]
    assert await broken(provider, "acme-7") == []
    assert await broken(provider, "ZETA") == ["anycase"]
    assert await broken(provider, "CAFÉ") == ["folded"]
    assert await broken(provider, "1337 is l33t") == ["clear"]


async def test_lengths_are_those_of_all_messages_together() -> None:
    provider = own({"id": "chars", "max_characters": 10}, {"id": "tokens", "max_tokens": 5})
    assert await judge(provider, "12345", "67890") is None
    assert await broken(provider, "12345678901") == ["chars"]
    found = await judge(provider, "123456", "78901")
    assert found is not None
    assert await broken(provider, "é" * 10) == []
    assert await broken(provider, "あ" * 7) == ["tokens"]


async def test_a_pattern_that_backtracking_engines_hang_on_is_run_in_linear_time() -> None:
    provider = own({"id": "evil", "patterns": ["(?:a+)+$", "(x+x+)+y", "(?:[a-z]|[a-z]+)*!$"]})
    assert await judge(provider, "a" * 1_000_000 + "?") is None
    assert await judge(provider, "x" * 1_000_000) is None


async def test_a_long_text_is_read_beside_the_loop() -> None:
    """The loop goes on meanwhile, which it could not if the text were read in it."""
    text = "Nichts als ein ganz gewöhnlicher Satz, 12 34 56. " * 22_000
    went_on = 0
    running = asyncio.ensure_future(judge(rules(), text + " bob@example.org", name="pii"))
    while not running.done():
        await asyncio.sleep(0)
        went_on += 1
    found = await running
    assert found is not None
    assert found.metadata["rules"] == ["email"]
    assert went_on > 10


# --- what a shield says ---------------------------------------------------------------------------------------------
async def test_the_rule_of_the_highest_level_speaks() -> None:
    provider = own(
        {"id": "a", "words": ["alpha"], "level": "warn", "user_message": "A."},
        {"id": "b", "words": ["beta"]},
        {"id": "c", "words": ["gamma"], "user_message": "C."},
        user_message="Set.",
    )
    found = await judge(provider, "alpha beta gamma")
    assert found is not None
    assert found.violation_level == "error"
    assert found.user_message == "Set."
    assert found.metadata == {"violation_type": "b", "rule_set": "own", "rules": ["a", "b", "c"]}
    warned = await judge(provider, "alpha")
    assert warned is not None
    assert (warned.violation_level, warned.user_message) == ("warn", "A.")
    plain = await judge(own({"id": "a", "words": ["alpha"]}), "alpha")
    assert plain is not None
    assert plain.user_message == USER_MESSAGE
    assert "alpha" not in str(plain)


async def test_params_of_a_shield_choose_allow_and_speak() -> None:
    text = "bob@example.org or 8.8.8.8"
    assert await broken(rules(), text, "pii") == ["email", "ip_address"]
    assert await broken(rules(), text, "pii", rules=["ip_address"]) == ["ip_address"]
    assert await broken(rules(), text, "pii", without=["ip_address"]) == ["email"]
    assert await broken(rules(), text, "pii", allow=["BOB@example.org"]) == ["ip_address"]
    assert await broken(rules(), text + " eve@example.org", "pii", allow=["bob@example.org"]) == [
        "email",
        "ip_address",
    ]
    found = await judge(rules(), text, name="pii", level="info", user_message="Psst.")
    assert found is not None
    assert (found.violation_level, found.user_message) == ("info", "Psst.")


async def test_at_the_end_what_the_model_and_tools_said_is_read_and_at_the_start_all() -> None:
    provider = own({"id": "w", "words": ["darn"]})
    for role in ("user", "system", "assistant", "tool"):
        said = ShieldMessage(role, "darn")
        assert await judge(provider, said) is not None
        found = await judge(provider, said, touchpoint="assistant-output")
        assert (found is not None) == (role in ("assistant", "tool"))
    assert await judge(provider, ShieldMessage("user", "", ("data:,",))) is None


# --- configuration ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "key", "words"),
    [
        ({"rulesets": {}}, "rulesets", 'did you mean "rule_sets"?'),
        ({"rule_sets": []}, "rule_sets", "a mapping"),
        ({"rule_sets": {"x": []}}, "rule_sets", "a mapping with `rules`"),
        ({"rule_sets": {"x": {"rules": []}}}, "rule_sets", "a list of 1 to"),
        ({"rule_sets": {"x": {"rules": [{"words": ["a"]}]}}}, "rule_sets", "rules[0]: `id`"),
        ({"files": "x.yaml"}, "files", "a list"),
        ({"files": ["nowhere.yaml"]}, "files", "nowhere.yaml cannot be read"),
    ],
)
def test_a_wrong_configuration_is_refused_at_its_key(config: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(AdapterConfigError) as refused:
        rules(**config)
    assert refused.value.key == key
    assert words in refused.value.message


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "give one of"),
        ({"words": ["a"], "max_tokens": 3}, "give one of"),
        ({"words": []}, "texts of 1 to"),
        ({"words": ["*"]}, "texts of 1 to"),
        ({"words": [3]}, "a list of"),
        ({"words": ["a"], "check": "card"}, "`check` goes with `patterns`"),
        ({"patterns": ["a"], "obfuscated": True}, "`obfuscated` goes with `words`"),
        ({"patterns": ["("]}, "patterns[0] cannot be read: missing )"),
        ({"patterns": ["ok", "(?=x)"]}, "patterns[1] cannot be read"),
        ({"patterns": [r"(a)\1"]}, "patterns[0] cannot be read"),
        ({"patterns": ["a*"]}, "fits nothing at all"),
        ({"patterns": ["(?:(?:a{1,1000}){1,1000}){1,1000}"]}, "cannot be read"),
        ({"patterns": ["a"], "check": "visa"}, "check is one of"),
        ({"patterns": ["a"], "regions": ["US"]}, "`regions` goes with"),
        ({"patterns": ["a"], "reads": "raw"}, "reads is one of"),
        ({"patterns": ["a"], "level": "fatal"}, "level is one of"),
        ({"patern": ["a"]}, 'did you mean "patterns"?'),
        ({"max_characters": 0}, "max_characters is a whole number"),
        ({"max_characters": True}, "max_characters is a whole number"),
    ],
)
def test_a_wrong_rule_is_refused_by_its_name(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(Wrong) as refused:
        read_rule_set("set", {"rules": [{"id": "this", **rule}]}, "rule_sets.set")
    assert refused.value.message.startswith("rule_sets.set: rule this: ")
    assert words in refused.value.message


def test_rule_sets_come_from_files_too_and_one_of_the_same_name_goes_before_ours(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("pii:\n  rules:\n  - {id: badge, patterns: ['B-[0-9]{6}']}\n")
    provider = rules(tmp_path, files=["own.yaml"])
    assert [one.id for one in provider.rule_set("pii").rules] == ["badge"]
    assert provider.known() == list(built_in_names())
    (tmp_path / "bad.yaml").write_text("a:\n  - [\n")
    with pytest.raises(AdapterConfigError, match=r"bad\.yaml:3: not valid YAML"):
        rules(tmp_path, files=["bad.yaml"])
    (tmp_path / "wrong.yaml").write_text("a: {rules: [{id: x}]}\n")
    with pytest.raises(AdapterConfigError, match=r"wrong\.yaml: a: rule x: give one of"):
        rules(tmp_path, files=["wrong.yaml"])
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(AdapterConfigError, match="is not UTF-8"):
        rules(tmp_path, files=["latin.yaml"])


@pytest.mark.parametrize(
    ("name", "params", "param"),
    [
        ("pi", {}, "provider_shield_id"),
        ("pii", {"levl": "warn"}, "params.levl"),
        ("pii", {"level": "fatal"}, "params.level"),
        ("pii", {"without": ["emial"]}, "params.without"),
        ("pii", {"rules": ["nope"]}, "params.rules"),
        ("pii", {"rules": ["email"], "without": ["email"]}, "params.without"),
        ("pii", {"allow": "bob"}, "params.allow"),
        ("pii", {"user_message": "x" * 3000}, "params.user_message"),
    ],
)
def test_a_shield_that_could_not_work_is_refused(name: str, params: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        rules().check(Shield("s", name, params))
    assert refused.value.param == param


# --- measuring --------------------------------------------------------------------------------------------------------
def test_what_is_missed_and_what_is_wronged_is_counted() -> None:
    rule_set = read_rule_set("s", {"rules": [{"id": "w", "words": ["darn"]}]}, "s")
    lines = [("darn", True), ("gosh", True), ("darn", False), ("fine", False), ("good", False)]
    text = "\n\n".join(json.dumps({"text": one, "violates": label}) for one, label in lines)
    result = measured(rule_set, read_samples(text))
    assert (result.recall, round(result.false_positive_rate, 3)) == (0.5, 0.333)
    assert [one.text for one in (*result.missed, *result.wronged)] == ["gosh", "darn"]
    assert measured(rule_set, []).recall == 1.0


@pytest.mark.parametrize(
    "line", ["{", '{"text": "a"}', '{"text": "", "violates": true}', '{"a": 1}', "[" * 5000]
)
def test_a_line_that_is_no_sample_is_told(line: str) -> None:
    with pytest.raises(SamplesUnreadable, match=r"^line 2: "):
        read_samples('{"text": "a", "violates": true}\n' + line)
