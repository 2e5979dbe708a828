"""Who puts something on record, and why."""

from __future__ import annotations

import pytest

from include.nce.domain.author import LONGEST_NAME, LONGEST_REASON, Author, given_reason
from include.nce.domain.errors import InputRefused

EMPTY = ["", " ", "\t\n", "\u00a0", "\u200b", "\x00", "\ud800"]


@pytest.mark.parametrize("text", EMPTY)
def test_a_name_that_shows_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputRefused, match="name: it is empty"):
        Author(text)


@pytest.mark.parametrize("text", EMPTY)
def test_a_reason_that_shows_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputRefused, match="reason: it is empty"):
        given_reason(text)


def test_what_no_reader_sees_and_no_database_keeps_goes_out_of_both() -> None:
    assert Author(" anna\x00 rossi\ud800 ").name == "anna  rossi"
    assert given_reason("form\nno. 17\x00") == "form no. 17"
    assert str(Author("anna")) == "anna"


def test_neither_is_endless() -> None:
    assert len(Author("a" * LONGEST_NAME).name) == LONGEST_NAME
    with pytest.raises(InputRefused, match="at most 200"):
        Author("a" * (LONGEST_NAME + 1))
    assert len(given_reason("r" * LONGEST_REASON)) == LONGEST_REASON
    with pytest.raises(InputRefused, match="at most 500"):
        given_reason("r" * (LONGEST_REASON + 1))
