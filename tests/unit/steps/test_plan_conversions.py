"""The plan: everything is looked at again, and only what is due gets into a batch."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.conversion import ConversionState, Refusal
from include.nce.domain.decision import DecisionKind
from include.nce.domain.errors import InputRefused
from include.nce.domain.readiness import Answer, MpaState, MpaStatus, ResellerLink
from include.nce.domain.subscription import Status
from include.nce.steps.plan_conversions import CannotTell, NotDecided
from tests.support.examples import (
    BASIC_NCE,
    CAMPAIGN,
    CUSTOMER,
    IDENTITY,
    MPN_ID,
    OTHER_CUSTOMER,
    OTHER_MPN_ID,
    OTHER_TENANT,
    PARTNER_TENANT,
    SCHOOL,
    add_on,
    at,
    campaign,
    legacy,
    legacy_id,
    nce,
)
from tests.support.fake_partner_center import FailureClass, Fault, lost, refusal, server_fault
from tests.support.one_partner import RUN, OnePartner


async def test_what_is_due_is_put_into_batches_by_route(world: OnePartner) -> None:
    await world.begin(
        legacy(1),
        add_on(2),
        legacy(3, offer_id=IDENTITY),
        legacy(4, term_end_at=at("2023-03-01 08:00")),
        legacy(5, offer_id=SCHOOL),
    )
    planned = await world.plan()

    assert planned.classes == {"exempt": 1, "scheduled": 1, "due": 3}
    assert planned.batches == 2
    first, second = [await world.records.batch(*batch) for batch in world._batches]
    assert [line.legacy_id for line in first] == [legacy_id(1), legacy_id(2)]
    assert [line.legacy_id for line in second] == [legacy_id(3)]
    assert first[0].expected_product_and_sku == BASIC_NCE


async def test_the_size_of_a_batch_is_the_campaigns(world: OnePartner) -> None:
    await world.begin(*(legacy(n) for n in range(1, 6)), document=campaign(batch_size=2))

    assert (await world.plan()).batches == 3


async def test_a_plan_in_mode_plan_buys_nothing(world: OnePartner) -> None:
    await world.begin(legacy(), mode="plan")
    planned = await world.plan()

    assert (planned.classes, planned.batches) == ({"due": 1}, 0)
    assert world.records._conversions == {}


async def test_a_plan_without_a_decision_about_the_opt_out_is_refused(world: OnePartner) -> None:
    await world.begin(legacy())
    world.records._rulings.clear()

    with pytest.raises(NotDecided, match="clear honour_opt_out"):
        await world.plan()


async def test_an_opt_out_that_came_after_the_decision_counts(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.opt_out(at("2022-06-30 12:00"))
    planned = await world.plan()

    assert planned.opted_out
    assert (planned.classes, planned.batches) == ({"opted_out": 1}, 0)


async def test_one_customers_opt_out_leaves_the_others_in_the_plan(world: OnePartner) -> None:
    await world.begin(legacy(1), legacy(2, customer_id=OTHER_CUSTOMER))
    await world.opt_out(at("2022-06-30 12:00"), CUSTOMER)
    planned = await world.plan()

    assert not planned.opted_out
    assert planned.classes == {"opted_out": 1, "due": 1}


async def test_green_checks_go_stale(world: OnePartner) -> None:
    await world.begin(legacy())
    world.microsoft.mpa[PARTNER_TENANT] = MpaStatus(MpaState.NOT_SIGNED, 2203)
    planned = await world.plan()

    assert (planned.classes, planned.batches) == ({"held": 1}, 0)
    assert (await world.records.findings(RUN))[0].answer is Answer.MISSING


async def test_a_check_without_an_answer_is_worth_another_try(world: OnePartner) -> None:
    await world.begin(legacy())
    world.microsoft.fail("mpa_status", server_fault)

    with pytest.raises(CannotTell, match="check_mpa: HTTP 503"):
        await world.plan(last_try=False)
    assert await world.records.findings(RUN) == []


async def test_a_check_without_an_answer_holds_its_subscriptions_in_the_end(world: OnePartner) -> None:
    await world.begin(legacy())
    world.microsoft.fail("mpa_status", server_fault)
    planned = await world.plan(last_try=True)

    assert (planned.classes, planned.batches) == ({"held": 1}, 0)


async def test_microsoft_is_asked_about_what_would_really_be_created(world: OnePartner) -> None:
    asked: list[Any] = []
    real = world.microsoft.validate_migration

    async def heard(request: Any) -> Any:
        asked.append(request)
        return await real(request)

    world.microsoft.validate_migration = heard  # type: ignore[method-assign]
    wanted = campaign(overrides=[{"billing": "annual", "seats": 12, "reason": "asked for"}])
    await world.begin(legacy(1), add_on(2), legacy(3, offer_id=IDENTITY), document=wanted)
    await world.plan()

    (request,) = asked
    assert (request.legacy_id, request.term, request.billing, request.seats) == (
        legacy_id(1), None, "annual", 12,
    )  # fmt: skip


async def test_microsofts_no_reaches_a_person(world: OnePartner) -> None:
    world.microsoft.refusals[legacy_id(1)] = (Refusal(3, "promotion"),)
    await world.begin(legacy(1), legacy(2))

    assert (await world.plan()).classes == {"not_eligible": 1, "due": 1}


@pytest.mark.parametrize(
    "fault",
    [
        lambda: refusal("the customer's account is locked", status=403, code=900416),
        lambda: Fault(FailureClass.BROKEN, "HTML instead of JSON", status=200),
        lambda: Fault(FailureClass.PARTNER_ACTS, "PartnerID not valid", status=400, code=900247),
    ],
)
async def test_a_validation_that_breaks_stops_that_subscription_and_the_rest_goes_on(
    world: OnePartner, fault: Any
) -> None:
    await world.begin(legacy(1), legacy(2))
    world.microsoft.fail("validate_migration", fault)
    planned = await world.plan()

    assert planned.classes == {"not_eligible": 1, "due": 1}
    verdict = world.records._plans[-1].lines[-1][0]
    assert fault().sentence in verdict.reason


@pytest.mark.parametrize(
    "fault",
    [server_fault, lost, lambda: Fault(FailureClass.PROVIDER_ACTS, "expired", status=401)],
)
async def test_a_fault_that_says_nothing_of_the_subscription_holds_nobody(
    world: OnePartner, fault: Any
) -> None:
    await world.begin(legacy())
    world.microsoft.fail("validate_migration", fault)

    with pytest.raises(Fault):
        await world.plan()


async def test_a_customer_served_by_two_partners_is_split_by_partner_of_record(world: OnePartner) -> None:
    world.microsoft.links.append(ResellerLink(OTHER_TENANT, "Bianchi", True, "active", OTHER_MPN_ID, "IT"))
    await world.begin(legacy(1), legacy(2, partner_mpn_id=OTHER_MPN_ID), legacy(3, partner_mpn_id=None))
    planned = await world.plan()

    assert planned.classes == {"held": 1, "due": 1}


async def test_another_reseller_under_our_partner_id_takes_nothing_away(world: OnePartner) -> None:
    world.microsoft.links.append(ResellerLink(OTHER_TENANT, "Rossi Sud", True, "active", MPN_ID, "IT"))
    world.microsoft.links.append(ResellerLink(OTHER_TENANT, "Nobody", True, "active", None, "IT"))
    world.microsoft.links[0], world.microsoft.links[1] = world.microsoft.links[1], world.microsoft.links[0]
    await world.begin(legacy(1))
    await world.plan()

    assert [v.subscription.subscription_id for v, _, _ in world.records._plans[-1].lines] == [legacy_id(1)]


async def test_a_renewal_is_told_by_the_term_end_seen_first(world: OnePartner) -> None:
    world.clock.now_at = at("2022-06-20 06:00")
    await world.begin(legacy(term_end_at=at("2022-07-05 08:00")))
    world.microsoft.change(legacy_id(1), term_end_at=at("2023-07-05 08:00"))
    world.clock.now_at = at("2022-07-11 00:00")

    assert (await world.plan()).classes == {"renews_in_legacy": 1}


async def test_a_persons_confirmation_releases_what_was_switched_off(world: OnePartner) -> None:
    await world.begin(legacy(auto_renew=False))
    assert (await world.plan()).classes == {"held": 1}
    await world.records.record_decision(
        CAMPAIGN, "rossi-informatica", legacy_id(1), DecisionKind.CONFIRM_CONVERSION,
        decided_by="anna", reason="the customer wants it", at=world.clock.now_at,
    )  # fmt: skip

    assert (await world.plan()).classes == {"due": 1}


async def test_a_plan_carries_on_what_was_begun(world: OnePartner) -> None:
    await world.begin(legacy(1), legacy(2, offer_id=IDENTITY))
    await world.plan()
    await world.buy()
    asked = world.microsoft.asked["validate_migration"]
    planned = await world.plan()

    assert planned.classes["due"] == 2
    assert world.microsoft.asked["validate_migration"] == asked
    await world.buy()
    await world.finish()
    assert [world.bought(n) for n in (1, 2)] == [1, 1]
    assert (await world.plan()).classes == {"not_legacy": 2, "converted": 2}


async def test_what_was_refused_is_planned_afresh(world: OnePartner) -> None:
    await world.begin(legacy())
    await world.plan()
    world.microsoft.fail("create_migration", refusal)
    await world.buy()
    await world.plan()

    assert world.state() is ConversionState.PLANNED


async def test_a_migration_by_hand_is_a_success(world: OnePartner) -> None:
    await world.begin(
        legacy(status=Status.SUSPENDED), nce(migrated_from_id=legacy_id(1), offer_id=f"{BASIC_NCE}:A")
    )

    assert (await world.plan()).classes == {"not_legacy": 1, "already_migrated": 1}


ASK = campaign(approvals={"always": True})


async def test_the_same_holdings_make_the_same_hash(world: OnePartner) -> None:
    await world.begin(legacy(1), add_on(2), legacy(3, offer_id=IDENTITY))

    assert (await world.plan()).hash == (await world.plan()).hash


async def test_other_terms_make_another_hash(world: OnePartner) -> None:
    await world.begin(legacy(1))
    before = await world.plan()
    wanted = campaign(overrides=[{"seats": 12, "reason": "the customer asked"}])
    await world.records.import_campaign(wanted, "anna", "more seats")

    assert (await world.plan()).hash != before.hash


async def test_what_a_dry_run_planned_is_what_the_real_one_carries_out(world: OnePartner) -> None:
    await world.begin(legacy(1), legacy(2), mode="plan")
    dry = await world.plan()
    await world.reopen("apply")
    real = await world.plan(only_plan=dry.hash[:8])

    assert (real.hash, real.classes, real.batches) == (dry.hash, {"due": 2}, 1)


async def test_what_changed_since_the_dry_run_waits_for_a_new_plan(world: OnePartner) -> None:
    await world.begin(legacy(1), legacy(2), mode="plan")
    dry = await world.plan()
    world.microsoft.change(legacy_id(2), seats=99)
    await world.reopen("apply")
    real = await world.plan(only_plan=dry.hash)
    await world.buy()
    await world.finish()

    assert (real.hash, real.classes) == (dry.hash, {"held": 1, "due": 1})
    assert (world.state(1), world.bought(2)) == (ConversionState.CONVERTED, 0)


async def test_what_the_dry_run_did_not_know_waits_for_a_new_plan(world: OnePartner) -> None:
    await world.begin(legacy(1), mode="plan")
    dry = await world.plan()
    world.microsoft.hold(legacy(2))
    await world.reopen("apply")

    assert (await world.plan(only_plan=dry.hash)).classes == {"held": 1, "due": 1}


async def test_a_plan_that_nobody_made_is_refused(world: OnePartner) -> None:
    await world.begin(legacy(1))

    with pytest.raises(InputRefused, match="0123abcd"):
        await world.plan(only_plan="0123abcd")


async def test_an_approval_covers_what_comes_due_later_under_the_same_terms(world: OnePartner) -> None:
    later = legacy(2, term_end_at=at("2022-08-20 08:00"))
    await world.begin(legacy(1), later, document=ASK)
    first = await world.plan()
    await world.approve()
    await world.buy()
    await world.finish()
    world.clock.advance(hours=24 * 30)
    second = await world.plan()
    await world.buy()
    await world.finish()

    assert (second.hash, second.classes["due"], second.classes["converted"]) == (first.hash, 1, 1)
    assert world.state(2) is ConversionState.CONVERTED


async def test_an_approval_says_nothing_of_what_changed_since(world: OnePartner) -> None:
    later = legacy(2, term_end_at=at("2022-08-20 08:00"))
    await world.begin(legacy(1), later, document=ASK)
    first = await world.plan()
    await world.approve()
    world.clock.advance(hours=24 * 30)
    world.microsoft.change(legacy_id(2), seats=11)
    second = await world.plan()
    await world.buy()

    assert second.hash != first.hash
    assert (world.state(2), world.bought(2)) == (ConversionState.HELD, 0)


async def test_what_others_moved_and_took_back_is_planned_and_bought_afresh() -> None:
    world = OnePartner()
    await world.begin(legacy())
    await world.plan()
    world.microsoft.somebody_migrates(legacy_id(1))
    world.clock.advance(hours=3)
    await world.microsoft.subscriptions_of(CUSTOMER)
    await world.buy()
    assert world.state() is ConversionState.BY_OTHERS
    (theirs,) = world.microsoft.bought.pop(legacy_id(1))
    world.microsoft.change(theirs, status=Status.DELETED)
    world.microsoft.change(legacy_id(1), status=Status.ACTIVE)

    planned = await world.plan()
    await world.buy()
    await world.finish()

    assert planned.classes == {"not_legacy": 1, "due": 1}
    assert world.state() is ConversionState.CONVERTED
    assert world.bought() == 1


async def test_an_add_on_that_cannot_be_read_keeps_its_base_from_being_converted(world: OnePartner) -> None:
    unread = add_on(2, status=Status.OTHER, offer_id="", seats=0, term_end_at=None)
    await world.begin(legacy(), unread)
    planned = await world.plan()

    assert planned.classes == {"held": 2}
