"""The reference page says what the code does."""

import pytest

from tests.wire.recordings import load
from tests.wire.recordings_page import PAGE, page


def test_the_page_of_recordings_is_up_to_date() -> None:
    recordings = load()
    if not recordings:
        pytest.skip("no recordings; set ANTIPHON_RECORDINGS")
    assert PAGE.read_text() == page(recordings), "run `python -m tests.wire.recordings_page`"
