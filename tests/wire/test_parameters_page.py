"""The table of parameters says what the code does."""

from tests.wire.parameters_page import PAGE, page


def test_the_page_of_parameters_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.wire.parameters_page`"
