"""The page about what people write leaves nothing out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from include.nce.domain.campaign import Campaign, Moment, Offer, Override
from include.nce.domain.subscription import CatalogueTarget
from scripts.input_reference import input_page, meanings


def rows() -> Iterator[list[str]]:
    for line in input_page().splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]


@pytest.mark.parametrize("model", [Campaign, Moment, Offer, Override, CatalogueTarget])
def test_every_key_of_a_campaign_file_has_a_row_with_its_meaning(model: type[BaseModel]) -> None:
    told = {row[0].strip("`"): row[-1] for row in rows() if len(row) == 4}
    assert [key for key in model.model_fields if not told.get(key)] == []


def test_a_meaning_is_the_text_below_its_key_and_no_other() -> None:
    class Sample(BaseModel):
        """About the whole."""

        first: int
        """About
        the first."""
        second: int

    assert meanings(Sample) == {"first": "About the first."}


def test_a_key_without_a_meaning_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.input_reference.meanings", lambda _: {})
    with pytest.raises(KeyError):
        input_page()
