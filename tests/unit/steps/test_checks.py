"""The four checks ask Partner Center, and a question without an answer is "cannot tell"."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.readiness import Answer, Check, Finding, MpaState, MpaStatus, Owner, PartnerOfRecord
from include.nce.steps.readiness import ask, ask_all
from tests.support.examples import OTHER_CUSTOMER, campaign, partner
from tests.support.fake_partner_center import FailureClass, Fault, refusal, server_fault, throttled
from tests.support.one_partner import FOUNDING, OnePartner

OPERATION = {
    Check.MPA: "mpa_status",
    Check.INDIRECT_PROVIDER_LINK: "resellers",
    Check.MPN_ID: "mpn_profile_exists",
    Check.CUSTOMER_MCA: "customer_agreement_accepted",
}


async def asked(world: OnePartner, check: Check, **changes: Any) -> Finding:
    return await ask(check, partner(**changes), FOUNDING, world.microsoft)


async def test_a_partner_with_everything_in_order_is_green_four_times(world: OnePartner) -> None:
    findings = await ask_all(partner(), FOUNDING, world.microsoft)

    assert [finding.check for finding in findings] == list(Check)
    assert all(finding.satisfied for finding in findings)


@pytest.mark.parametrize("check", list(Check))
@pytest.mark.parametrize(
    "fault",
    [
        throttled,
        server_fault,
        lambda: Fault(FailureClass.PROVIDER_ACTS, "our token has expired", status=401),
        lambda: Fault(FailureClass.BROKEN, "HTML instead of JSON", status=200),
        lambda: refusal("no access", status=403),
    ],
    ids=["429", "503", "401", "unreadable", "403"],
)
async def test_a_fault_of_any_kind_is_neither_yes_nor_the_partners(
    world: OnePartner, check: Check, fault: Any
) -> None:
    world.microsoft.fail(OPERATION[check], fault)
    finding = await asked(world, check)

    assert world.microsoft.faults_left == {}
    assert (finding.check, finding.answer, finding.owner) == (check, Answer.CANNOT_TELL, Owner.PROVIDER)
    assert finding.reason == fault().sentence


async def test_an_agreement_that_is_not_signed_is_the_partners(world: OnePartner) -> None:
    world.microsoft.mpa[partner().tenant_id] = MpaStatus(MpaState.NOT_SIGNED, 2206)
    finding = await asked(world, Check.MPA)

    assert (finding.answer, finding.owner, finding.code) == (Answer.MISSING, Owner.PARTNER, 2206)


async def test_a_missing_link_names_the_guide_of_the_partners_country(world: OnePartner) -> None:
    world.microsoft.links.clear()

    assert "https://provider.example/it/link" in (await asked(world, Check.INDIRECT_PROVIDER_LINK)).remedy
    elsewhere = await asked(world, Check.INDIRECT_PROVIDER_LINK, country="DE")
    assert "guide" not in elsewhere.remedy


async def test_a_partner_id_that_may_not_be_of_record_is_missing(world: OnePartner) -> None:
    world.microsoft.of_record["4711001"] = PartnerOfRecord.NOT_LINKED

    assert (await asked(world, Check.MPN_ID)).answer is Answer.MISSING


async def test_nothing_is_asked_about_a_partner_id_nobody_knows(world: OnePartner) -> None:
    finding = await asked(world, Check.MPN_ID, mpn_id=None)

    assert finding.answer is Answer.MISSING
    assert world.microsoft.asked == {"resellers": 1}


async def test_each_customer_is_asked_and_the_missing_ones_are_named(world: OnePartner) -> None:
    world.microsoft.accepted.remove(OTHER_CUSTOMER)
    finding = await asked(world, Check.CUSTOMER_MCA)

    assert (finding.missing_customers, finding.customers) == ((OTHER_CUSTOMER,), 2)


async def test_green_checks_are_asked_again_every_time(world: OnePartner) -> None:
    await ask_all(partner(), campaign(), world.microsoft)
    world.microsoft.mpa[partner().tenant_id] = MpaStatus(MpaState.NOT_SIGNED, 2203)

    assert not (await ask_all(partner(), campaign(), world.microsoft))[0].satisfied
