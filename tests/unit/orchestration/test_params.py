"""What comes out of a trigger form is checked again: a form is not the only way to start a run."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.params import CAMPAIGN_FORM, MIGRATION_FORM, CampaignConf, MigrationConf

CAMPAIGN = "csp-commercial-2022"


def refused(kind: Any, **params: Any) -> str:
    with pytest.raises(InputRefused) as refusal:
        kind.read(params)
    [sentence] = refusal.value.faults
    return sentence


def test_each_form_has_the_fields_of_its_twin_and_no_other() -> None:
    assert set(CAMPAIGN_FORM) == set(CampaignConf.model_fields)
    assert set(MIGRATION_FORM) == set(MigrationConf.model_fields)


def test_a_misspelt_field_never_means_the_whole_campaign() -> None:
    assert refused(CampaignConf, campaign=CAMPAIGN, partner=["rossi-informatica"]) == (
        "Trigger form: there is no field partner; did you mean partners? Correct it and trigger again."
    )


def test_a_field_that_nobody_knows_is_told_with_those_there_are() -> None:
    sentence = refused(MigrationConf, partner="rossi-informatica", campaign=CAMPAIGN, verbose=True)
    assert "there is no field verbose; known are partner, campaign, mode" in sentence


@pytest.mark.parametrize("params", [{"campaign": CAMPAIGN}, {"campaign": CAMPAIGN, "partner": None}])
def test_a_field_left_empty_is_to_be_filled_in(params: dict[str, Any]) -> None:
    assert refused(MigrationConf, **params) == (
        "Trigger form, field partner: it is empty. Fill it in and trigger again."
    )


def test_a_value_that_cannot_be_used_is_told_with_its_field() -> None:
    sentence = refused(CampaignConf, campaign=CAMPAIGN, existing="again")
    assert sentence.startswith("Trigger form, field existing: ")
    assert "(given: 'again')" in sentence


def test_a_list_that_was_emptied_in_the_form_is_an_empty_list() -> None:
    conf = CampaignConf.read({"campaign": CAMPAIGN, "partners": None, "outcomes": None})
    assert (conf.partners, conf.outcomes) == ((), ())


@pytest.mark.parametrize("name", ["partners", "outcomes", "roster"])
def test_the_form_does_not_call_required_what_may_be_left_empty(name: str) -> None:
    assert "null" in CAMPAIGN_FORM[name].schema["type"]
