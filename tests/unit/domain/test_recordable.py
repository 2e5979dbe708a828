"""Every answer and every name can be put on record."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.recordable import (
    DEEPEST,
    LONGEST_CHARACTERS,
    TOO_DEEP,
    read_json,
    recordable,
    recordable_number,
    recordable_text,
)

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=30,
)


@given(ANYTHING)
def test_whatever_it_is_json_and_utf_8_can_hold_it(value: object) -> None:
    kept = json.dumps(recordable(value), allow_nan=False, ensure_ascii=False)
    assert "\\u0000" not in kept
    kept.encode("utf-8")


@given(st.text())
def test_text_that_can_be_kept_stays_as_it_is(text: str) -> None:
    if "\x00" not in text:
        assert recordable_text(text) == text


@pytest.mark.parametrize(("text", "kept"), [("a\x00b", "a\ufffdb"), ("half \ud83d", "half ?")])
def test_what_postgresql_cannot_hold_is_replaced(text: str, kept: str) -> None:
    assert recordable_text(text) == kept


def test_text_is_not_kept_without_end() -> None:
    assert len(recordable_text("x" * (LONGEST_CHARACTERS + 1))) == LONGEST_CHARACTERS


@pytest.mark.parametrize(
    ("number", "kept"),
    [(None, None), (900216, 900216), (2**31 - 1, 2**31 - 1), (2**31, None), (-(2**40), None)],
)
def test_a_number_too_wide_for_its_column_is_left_to_the_raw_answer(number, kept) -> None:
    assert recordable_number(number) == kept


@pytest.mark.parametrize("levels", [DEEPEST + 2, 900, 100_000])
def test_json_that_is_nested_too_deeply_is_no_document(levels: int) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json("[" * levels + "]" * levels)


def test_json_of_a_usual_depth_is_read() -> None:
    text = '{"a": [{"b": {"c": [1, 2, {"d": null}]}}]}'
    assert read_json(text) == json.loads(text)


def test_what_is_nested_too_deeply_is_kept_as_far_as_it_can_be() -> None:
    value: object = "the bottom"
    for _ in range(900):
        value = [value]
    kept = recordable({"code": 1, "inner": value})
    assert kept["code"] == 1
    assert TOO_DEEP in json.dumps(kept)
