"""Legacy or New Commerce, and how ids are compared."""

from __future__ import annotations

import pytest

from include.nce.domain.subscription import (
    CatalogueTarget,
    SubscriptionKind,
    is_guid,
    kind_of,
    lower_guid,
)
from tests.support.examples import BASIC, BASIC_NCE, legacy, nce


@pytest.mark.parametrize(
    ("offer_id", "product_type", "kind"),
    [
        (BASIC, None, SubscriptionKind.LEGACY),
        (BASIC.upper(), None, SubscriptionKind.LEGACY),
        (f" {BASIC} ", "OnlineServicesNCE", SubscriptionKind.LEGACY),
        ("CFQ7TTC0LH18:0001:CFQ7TTC0K9ZZ", "OnlineServicesNCE", SubscriptionKind.NCE),
        ("CFQ7TTC0LH18:0001:CFQ7TTC0K9ZZ", "onlineservicesnce", SubscriptionKind.NCE),
        ("DG7GMGF0DWM0:0001:DG7GMGF0FK3X", "Software", SubscriptionKind.SOFTWARE),
        ("DG7GMGF0DWM0:0001:DG7GMGF0FK3X", None, SubscriptionKind.SOFTWARE),
        ("MS-AZR-0145P", None, SubscriptionKind.AZURE),
    ],
)
def test_the_shape_of_the_offer_id_tells_what_a_subscription_is(
    offer_id: str, product_type: str | None, kind: SubscriptionKind
) -> None:
    assert kind_of(offer_id, product_type) is kind


def test_ids_are_compared_in_lower_case_without_blanks() -> None:
    assert lower_guid(f" {BASIC.upper()}\n") == BASIC


@pytest.mark.parametrize("text", ["", "abc", BASIC[:-1], f"{BASIC}0", BASIC.replace("-", "")])
def test_what_is_no_guid_is_not_taken_for_one(text: str) -> None:
    assert not is_guid(text)


def test_only_new_commerce_has_a_product_and_sku() -> None:
    assert nce(offer_id=f"{BASIC_NCE.lower()}:cfq7ttc0k9zz").product_and_sku == BASIC_NCE
    assert legacy().product_and_sku is None


def test_a_catalogue_target_is_named_by_product_and_sku() -> None:
    assert CatalogueTarget(product="CFQ7TTC0LH18", sku="0001").product_and_sku == BASIC_NCE
