"""Templates: what counts as a placeholder, and that values are data."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequest
from antiphon.core.templates import fill, filled_size, placeholders
from antiphon.prompts.shapes import CreatePrompt, content_of

TEXTS = st.text(st.sampled_from("{} ab\n_é\\1$"), max_size=20)


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("Hello {{ name }}.", ("name",)),
        ("{{a}}{{ b}}{{a }}{{\n c_1 \t}}", ("a", "b", "c_1")),
        ("{{größe}}", ("größe",)),
        ("plain { a } {{}} {{ a b }} {{ a.b }} {{ a-b }} {{% x %}} {{{", ()),
        ("{{{ a }}}", ("a",)),
        ("{{ {{ a }} }}", ("a",)),
    ],
)
def test_a_placeholder_is_one_name_in_double_braces(template: str, names: tuple[str, ...]) -> None:
    assert placeholders(template) == names


def test_what_a_value_holds_is_never_a_placeholder() -> None:
    values = {"a": "{{ b }}", "b": "{{ a }}", "c": r"\1 \g<0> {{"}
    assert fill("{{ a }} {{ b }} {{ c }}{{ b }}", values) == r"{{ b }} {{ a }} \1 \g<0> {{{{ a }}"
    assert fill("{{{ open }} a }}", {"open": "{"}) == "{{ a }}"


@given(st.lists(TEXTS | st.sampled_from(["{{ a }}", "{{b}}"]), max_size=12), TEXTS, TEXTS)
def test_a_filled_template_is_its_text_with_the_values_between(
    pieces: list[str], first: str, second: str
) -> None:
    template = "".join(pieces)
    values = {name: {"a": first, "b": second}.get(name, "?") for name in placeholders(template)}
    between = re.split(r"\{\{\s*\w+\s*\}\}", template)
    found = re.findall(r"\{\{\s*(\w+)\s*\}\}", template)
    expected = between[0] + "".join(
        values[name] + text for name, text in zip(found, between[1:], strict=True)
    )
    assert fill(template, values) == expected
    assert filled_size(template, {name: len(value) for name, value in values.items()}) == len(expected)


@pytest.mark.parametrize(
    ("template", "variables", "param", "named"),
    [
        ("Hi {{ name }} of {{ town }}", ["name"], "variables", "town"),
        ("Hi {{ name }}", None, "variables", "name"),
        ("Hi", ["name"], "variables[0]", "name"),
        ("Hi {{ a }} {{ b }}", ["a", "b", "a"], "variables[2]", "a"),
        ("Hi {{ a-b }}", ["a-b"], "variables[0]", "a-b"),
    ],
)
def test_the_declared_variables_are_those_that_occur(
    template: str, variables: list[str] | None, param: str, named: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        content_of(CreatePrompt(prompt=template, variables=variables))
    assert caught.value.param == param
    assert f'"{named}"' in caught.value.message
