"""Which facts of a partner are refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tests.support.examples import PARTNER_TENANT, partner


def test_a_tenant_id_is_kept_in_lower_case() -> None:
    assert partner(tenant_id=PARTNER_TENANT.upper()).tenant_id == PARTNER_TENANT


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("tenant_id", "rossi.onmicrosoft.com", "is no tenant id"),
        ("zone", "Europe/Roma", "is no time zone"),
        ("zone", "partner", "is no time zone"),
        ("mpn_id", "MPN 4711", "mpn_id"),
        ("country", "it", "country"),
        ("partner", "Rossi", "partner"),
    ],
)
def test_a_fact_that_cannot_be_used_is_refused(field: str, value: str, complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        partner(**{field: value})


def test_a_partner_may_live_in_a_zone_of_its_own() -> None:
    assert partner(zone="Atlantic/Canary").zone == "Atlantic/Canary"
    assert partner(zone=None).zone is None
