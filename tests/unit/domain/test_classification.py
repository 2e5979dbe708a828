"""What becomes of a legacy subscription: a table of the classes, and what careless code gets wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.classification import (
    AT_RISK,
    FIX_FOR_REFUSAL,
    SubscriptionClass,
    Survey,
    Verdict,
    candidates,
    classify,
)
from include.nce.domain.conversion import ConversionState as S
from include.nce.domain.conversion import Eligibility, Refusal, Route
from include.nce.domain.opt_out import OptOut, OptOutRuling, rule_on
from include.nce.domain.readiness import Answer, Check, Finding, Owner, cannot_tell, judge_customer_mca
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind
from tests.support.examples import (
    AUDIO_NCE,
    BASIC_NCE,
    CHARITY,
    CUSTOMER,
    EITHER,
    EITHER_NCE,
    IDENTITY,
    IDENTITY_NCE,
    MPN_ID,
    OTHER_CUSTOMER,
    OTHER_MPN_ID,
    SCHOOL,
    SIGN_IN,
    SIGN_IN_NCE,
    TOWN_HALL,
    UNKNOWN_OFFER,
    UNMAPPED,
    add_on,
    all_in_order,
    at,
    campaign,
    conversion,
    legacy,
    legacy_id,
    nce,
    nce_id,
    partner,
)

C = SubscriptionClass
CUT_OVER = at("2022-07-11 00:00")
DEADLINE = at("2022-06-30 22:00")
NO_OPT_OUT = rule_on([], DEADLINE)


def opted_out(customer_id: str | None = None, *, late: bool = False) -> OptOutRuling:
    received_at = DEADLINE if late else DEADLINE - timedelta(hours=1)
    return rule_on([OptOut("rossi-informatica", received_at, "anna", customer_id)], DEADLINE)


def survey(*subscriptions: Subscription, **changes: Any) -> Survey:
    facts: dict[str, Any] = {
        "partner": partner(),
        "campaign": campaign(),
        "now_at": CUT_OVER,
        "subscriptions": subscriptions,
        "findings": all_in_order(),
        "opt_outs": NO_OPT_OUT,
        "partner_mpn_ids": frozenset({MPN_ID}),
    }
    return Survey(**{**facts, **changes})


def verdicts(*subscriptions: Subscription, **changes: Any) -> dict[str, Verdict]:
    found = classify(survey(*subscriptions, **changes))
    assert len({v.subscription.subscription_id for v in found}) == len(found)
    return {v.subscription.subscription_id: v for v in found}


def verdict(*subscriptions: Subscription, **changes: Any) -> Verdict:
    """The verdict on the first of them."""
    return verdicts(*subscriptions, **changes)[subscriptions[0].subscription_id]


def refused(*codes: int, legacy_id: str = legacy_id(1), **changes: Any) -> dict[str, Eligibility]:
    """Microsoft's validation says no to it."""
    refusals = tuple(Refusal(code, f"reason {code}") for code in codes)
    return {legacy_id: Eligibility(legacy_id, eligible=False, refusals=refusals, **changes)}


def finding(check: Check, answer: Answer, **changes: Any) -> list[Finding]:
    """All checks in order but this one."""
    others = [f for f in all_in_order() if f.check is not check]
    return [*others, Finding(check, answer, "the reason", Owner.PARTNER, "the remedy", **changes)]


MICROSOFT_SAYS_NO = {"eligibilities": refused(3)}
ENDS = {"term_end_at": at("2022-07-05 08:00")}


@pytest.mark.parametrize(
    ("subscription", "world", "klass"),
    [
        # The notice: who is left alone.
        (legacy(offer_id=SCHOOL), {}, C.EXEMPT),
        (legacy(offer_id=TOWN_HALL), {}, C.EXEMPT),
        (legacy(offer_id=CHARITY), {}, C.EXEMPT),
        (nce(), {}, C.NOT_LEGACY),
        (legacy(kind=SubscriptionKind.AZURE, offer_id="MS-AZR-0145P"), {}, C.NOT_LEGACY),
        (legacy(kind=SubscriptionKind.SOFTWARE, offer_id="DG7GMGF0DWM0:0001:X"), {}, C.NOT_LEGACY),
        (legacy(is_trial=True), {}, C.NOT_LEGACY),
        # Before the last renewal day.
        (legacy(**ENDS), {"now_at": at("2022-06-20 06:00")}, C.RENEWS_IN_LEGACY),
        (legacy(**ENDS, auto_renew=False), {}, C.LAPSES),
        (legacy(term_end_at=at("2022-07-10 23:59")), {}, C.RENEWS_IN_LEGACY),
        (legacy(term_end_at=at("2022-07-10 23:59"), auto_renew=False), {}, C.LAPSES),
        (legacy(status=Status.DELETED), {}, C.LAPSES),
        (legacy(status=Status.EXPIRED), {}, C.LAPSES),
        # After it.
        (legacy(), {}, C.DUE),
        (legacy(term_end_at=at("2023-03-01 08:00")), {}, C.SCHEDULED),
        (legacy(), {"now_at": at("2022-06-20 06:00")}, C.SCHEDULED),
        (legacy(auto_renew=False), {}, C.HELD),
        # `commitmentEndDate` may lie far in the future when auto-renew is off.
        (legacy(auto_renew=False, term_end_at=at("2099-12-31 00:00")), {}, C.HELD),
        (legacy(auto_renew=False), {"confirmed": frozenset({legacy_id(1)})}, C.DUE),
        (legacy(term_end_at=None), {}, C.HELD),
        (legacy(offer_id=UNKNOWN_OFFER), {}, C.HELD),
        (legacy(partner_mpn_id=None), {}, C.HELD),
        (legacy(partner_mpn_id=OTHER_MPN_ID), {}, C.HELD),
        (legacy(partner_mpn_id=OTHER_MPN_ID), {"partner_mpn_ids": frozenset()}, C.DUE),
        (legacy(status=Status.SUSPENDED), {}, C.NOT_ELIGIBLE),
        (legacy(status=Status.PENDING), {}, C.NOT_ELIGIBLE),
        (legacy(status=Status.OTHER), {}, C.NOT_ELIGIBLE),
        (legacy(), MICROSOFT_SAYS_NO, C.NOT_ELIGIBLE),
        # Opt-outs.
        (legacy(), {"opt_outs": opted_out()}, C.OPTED_OUT),
        (legacy(), {"opt_outs": opted_out(CUSTOMER)}, C.OPTED_OUT),
        (legacy(), {"opt_outs": opted_out(OTHER_CUSTOMER)}, C.DUE),
        (legacy(), {"opt_outs": opted_out(late=True)}, C.HELD),
        (legacy(), {"opt_outs": opted_out(CUSTOMER, late=True)}, C.HELD),
        # What was done already.
        (legacy(), {"conversions": {legacy_id(1): conversion(1, S.CONVERTED)}}, C.CONVERTED),
        (legacy(), {"conversions": {legacy_id(1): conversion(1, S.UNDONE)}}, C.UNDONE),
        (legacy(), {"conversions": {legacy_id(1): conversion(1, S.ACCEPTED)}}, C.DUE),
    ],
)
def test_the_class_of_a_subscription(
    subscription: Subscription, world: dict[str, Any], klass: SubscriptionClass
) -> None:
    assert verdict(subscription, **world).klass is klass


@pytest.mark.parametrize(
    ("subscription", "replaces"),
    [(nce(1), True), (nce(2, migrated_from_id=legacy_id(1)), True), (nce(2), False)],
)
def test_a_new_commerce_subscription_says_which_legacy_one_it_replaced(
    subscription: Subscription, replaces: bool
) -> None:
    done = {legacy_id(1): conversion(1, S.CONVERTED, nce_subscription_id=nce_id(1))}
    found = verdict(subscription, conversions=done)
    assert (found.klass, legacy_id(1) in found.reason) == (C.NOT_LEGACY, replaces)


@pytest.mark.parametrize(
    ("subscription", "world", "klass"),
    [
        # Exempt comes before every other fate, a school's commercial offer does not.
        (legacy(offer_id=SCHOOL, **ENDS), {}, C.EXEMPT),
        (legacy(offer_id=SCHOOL), {"opt_outs": opted_out()}, C.EXEMPT),
        (legacy(offer_id=SCHOOL, auto_renew=False), {}, C.EXEMPT),
        # What we did comes before everything said about it later.
        (
            legacy(),
            {"conversions": {legacy_id(1): conversion(1, S.CONVERTED)}, "opt_outs": opted_out()},
            C.CONVERTED,
        ),
        (
            legacy(status=Status.SUSPENDED),
            {"conversions": {legacy_id(1): conversion(1, S.CONVERTED)}},
            C.CONVERTED,
        ),
        # It ends or renews before the campaign matters: an opt-out changes nothing about that.
        (legacy(**ENDS), {"opt_outs": opted_out(), "now_at": at("2022-07-01 00:00")}, C.RENEWS_IN_LEGACY),
        # An opt-out in time beats every reason to hold it.
        (legacy(auto_renew=False), {"opt_outs": opted_out()}, C.OPTED_OUT),
        (legacy(offer_id=UNKNOWN_OFFER), {"opt_outs": opted_out()}, C.OPTED_OUT),
        (legacy(), {"opt_outs": opted_out(), "findings": finding(Check.MPA, Answer.MISSING)}, C.OPTED_OUT),
        (legacy(), {"opt_outs": opted_out(), **MICROSOFT_SAYS_NO}, C.OPTED_OUT),
        # A hold beats what Microsoft says about it.
        (legacy(), {"findings": finding(Check.MPA, Answer.MISSING), **MICROSOFT_SAYS_NO}, C.HELD),
        (legacy(auto_renew=False), MICROSOFT_SAYS_NO, C.HELD),
    ],
)
def test_which_fate_comes_first(
    subscription: Subscription, world: dict[str, Any], klass: SubscriptionClass
) -> None:
    assert verdict(subscription, **world).klass is klass


def test_what_may_end_without_a_successor_is_at_risk() -> None:
    assert {C.OPTED_OUT, C.LAPSES, C.HELD, C.NOT_ELIGIBLE, C.FAILED, C.UNDONE} == AT_RISK


@pytest.mark.parametrize("check", [Check.MPA, Check.INDIRECT_PROVIDER_LINK, Check.MPN_ID])
@pytest.mark.parametrize("answer", [Answer.MISSING, Answer.WAITING_FOR_MICROSOFT])
def test_a_missing_prerequisite_holds_everything_of_the_partner_and_says_whose_it_is(
    check: Check, answer: Answer
) -> None:
    held = verdict(legacy(), findings=finding(check, answer))

    assert (held.klass, held.owner, held.remedy) == (C.HELD, Owner.PARTNER, "the remedy")
    assert check.value in held.reason


@pytest.mark.parametrize("check", list(Check))
def test_an_unknown_answer_is_neither_yes_nor_the_partners_fault(check: Check) -> None:
    others = [f for f in all_in_order() if f.check is not check]
    held = verdict(legacy(), findings=[*others, cannot_tell(check, "503 for an hour")])

    assert (held.klass, held.owner) == (C.HELD, Owner.PROVIDER)


def test_a_missing_customer_agreement_holds_that_customer_only() -> None:
    findings = [*all_in_order()[:3], judge_customer_mca({CUSTOMER: False, OTHER_CUSTOMER: True})]
    found = verdicts(legacy(1), legacy(2, customer_id=OTHER_CUSTOMER), findings=findings)

    assert found[legacy_id(1)].klass is C.HELD
    assert "This customer has not accepted" in found[legacy_id(1)].reason
    assert found[legacy_id(2)].klass is C.DUE


def test_no_customer_agreement_at_all_holds_the_partner() -> None:
    findings = [*all_in_order()[:3], judge_customer_mca({CUSTOMER: False})]

    assert "check_customer_mca: 1 of 1" in verdict(legacy(), findings=findings).reason


def test_a_migration_by_somebody_else_is_a_success_that_is_not_ours() -> None:
    found = verdict(legacy(status=Status.SUSPENDED), nce(migrated_from_id=legacy_id(1)))

    assert (found.klass, found.nce_subscription_id) == (C.ALREADY_MIGRATED, nce_id(1))
    assert found.klass not in AT_RISK


def test_the_same_product_without_its_origin_is_only_a_candidate_that_a_person_confirms() -> None:
    held = verdict(legacy(), nce())

    assert (held.klass, held.owner) == (C.HELD, Owner.OPERATOR)
    assert nce_id(1) in held.reason


@pytest.mark.parametrize(
    "other",
    [
        nce(customer_id=OTHER_CUSTOMER),
        nce(offer_id=f"{AUDIO_NCE}:CFQ7TTC0K9ZZ"),
        nce(status=Status.EXPIRED),
        nce(status=Status.DELETED),
        nce(migrated_from_id=legacy_id(99)),
        legacy(99, kind=SubscriptionKind.SOFTWARE, offer_id=f"{BASIC_NCE}:CFQ7TTC0K9ZZ"),
    ],
)
def test_what_cannot_be_its_successor_does_not_hold_it(other: Subscription) -> None:
    assert verdict(legacy(), other).klass is C.DUE


def test_a_pending_purchase_of_the_same_product_is_a_candidate_too() -> None:
    assert verdict(legacy(), nce(status=Status.PENDING)).klass is C.HELD


def test_what_we_bought_for_another_subscription_is_no_candidate() -> None:
    ours = {legacy_id(2): conversion(2, S.CONVERTED, nce_subscription_id=nce_id(1))}

    assert verdict(legacy(), legacy(2, status=Status.SUSPENDED), nce(), conversions=ours).klass is C.DUE


def test_an_offer_without_a_known_successor_has_no_candidates() -> None:
    assert verdict(legacy(offer_id=UNMAPPED), nce()).klass is C.DUE


def test_a_renewal_is_told_from_a_subscription_that_never_ended_before_the_last_day() -> None:
    renewed = legacy(term_end_at=at("2023-07-05 08:00"))
    first_seen = {legacy_id(1): at("2022-07-05 08:00")}
    found = verdict(renewed, first_seen_term_end_at=first_seen)

    assert found.klass is C.RENEWS_IN_LEGACY
    assert "runs to 2023-07-05" in found.reason
    assert verdict(renewed).klass is C.SCHEDULED


def test_a_renewed_subscription_is_converted_when_its_new_term_nears_its_end() -> None:
    renewed = legacy(term_end_at=at("2023-07-05 08:00"))
    first_seen = {legacy_id(1): at("2022-07-05 08:00")}
    found = verdict(renewed, first_seen_term_end_at=first_seen, now_at=at("2023-06-21 08:00"))

    assert found.klass is C.DUE


def test_a_renewed_subscription_that_was_switched_off_since_is_for_a_person() -> None:
    renewed = legacy(term_end_at=at("2023-07-05 08:00"), auto_renew=False)

    found = verdict(renewed, first_seen_term_end_at={legacy_id(1): at("2022-07-05 08:00")})
    assert found.klass is C.HELD


@pytest.mark.parametrize(
    ("ends_at", "warning"),
    [
        ("2022-07-09 23:59", ""),
        ("2022-07-10 00:00", "grey day"),
        ("2022-07-10 23:59", "grey day"),
    ],
)
def test_the_last_renewal_day_is_flagged_not_guessed(ends_at: str, warning: str) -> None:
    found = verdict(legacy(term_end_at=at(ends_at)), now_at=at("2022-07-01 00:00"))

    assert (found.klass, found.warning) == (C.RENEWS_IN_LEGACY, warning)
    assert found.owner is (Owner.OPERATOR if warning else Owner.NOBODY)


@pytest.mark.parametrize(
    ("now", "warning"),
    [("2022-07-07 07:59", ""), ("2022-07-07 08:00", "not renewed")],
)
def test_a_renewal_that_did_not_come_is_flagged_two_days_later(now: str, warning: str) -> None:
    assert verdict(legacy(term_end_at=at("2022-07-05 08:00")), now_at=at(now)).warning == warning


@pytest.mark.parametrize(
    ("ends_at", "now", "klass", "warning"),
    [
        # Fourteen days before its end, and never before the cut-over.
        ("2022-08-01 08:00", "2022-07-18 07:59", C.SCHEDULED, ""),
        ("2022-08-01 08:00", "2022-07-18 08:00", C.DUE, ""),
        ("2022-07-25 00:00", "2022-07-10 23:59", C.SCHEDULED, ""),
        ("2022-07-25 00:00", "2022-07-11 00:00", C.DUE, ""),
        # 24 + 72 + 12 hours before its end it is no longer safe, but done at once.
        ("2022-07-15 12:00", "2022-07-11 00:00", C.DUE, ""),
        ("2022-07-15 11:59", "2022-07-11 00:00", C.DUE, "past its last safe start"),
        ("2022-07-12 00:01", "2022-07-11 00:00", C.DUE, "past its last safe start"),
        # In the last 24 hours a person decides.
        ("2022-07-12 00:00", "2022-07-11 00:00", C.HELD, ""),
        ("2022-07-11 08:00", "2022-07-11 00:00", C.HELD, ""),
        ("2022-07-11 00:00", "2022-07-11 00:00", C.HELD, ""),
        # When only the cut-over lets it begin and that is too late, nobody is told "scheduled" in June.
        ("2022-07-11 08:00", "2022-06-20 06:00", C.HELD, ""),
        ("2022-07-12 00:01", "2022-06-20 06:00", C.SCHEDULED, ""),
    ],
)
def test_when_a_subscription_is_due(ends_at: str, now: str, klass: SubscriptionClass, warning: str) -> None:
    found = verdict(legacy(term_end_at=at(ends_at)), now_at=at(now))

    assert (found.klass, found.warning) == (klass, warning)
    assert found.last_safe_start_at == at(ends_at) - timedelta(hours=108)


def test_a_campaign_may_convert_everything_at_the_cut_over() -> None:
    at_once = campaign(window={"kind": "at_cutover"})

    assert verdict(legacy(term_end_at=at("2023-03-01 08:00")), campaign=at_once).klass is C.DUE


@pytest.mark.parametrize("code", sorted(set(range(13)) - {5}))
def test_each_refusal_of_microsoft_reaches_a_person_with_its_code_and_fix(code: int) -> None:
    found = verdict(legacy(), eligibilities=refused(code))

    assert (found.klass, found.owner, found.remedy) == (C.NOT_ELIGIBLE, Owner.OPERATOR, FIX_FOR_REFUSAL[code])
    assert f"reason {code} (code {code})" in found.reason


def test_a_code_nobody_knows_yet_is_a_refusal_like_the_others() -> None:
    found = verdict(legacy(), eligibilities=refused(77))

    assert (found.klass, found.owner) == (C.NOT_ELIGIBLE, Owner.OPERATOR)
    assert found.remedy


def test_a_refusal_without_a_reason_is_no_approval() -> None:
    assert verdict(legacy(), eligibilities=refused()).klass is C.NOT_ELIGIBLE


@pytest.mark.parametrize("code", [1, 7])
def test_what_time_resolves_bothers_nobody_before_the_window_opens(code: int) -> None:
    later = legacy(term_end_at=at("2023-03-01 08:00"))

    assert verdict(later, eligibilities=refused(code)).klass is C.SCHEDULED
    assert verdict(legacy(), eligibilities=refused(code)).klass is C.NOT_ELIGIBLE
    assert verdict(later, eligibilities=refused(code, 3)).klass is C.NOT_ELIGIBLE


def test_what_microsoft_cannot_migrate_is_bought_when_the_campaign_says_as_what() -> None:
    found = verdict(legacy(offer_id=EITHER), eligibilities=refused(5))

    assert (found.klass, found.route, found.expected_product_and_sku) == (C.DUE, Route.PURCHASE, EITHER_NCE)


@pytest.mark.parametrize("codes", [(5, 3), (3,)])
def test_another_refusal_is_not_circumvented_by_buying(codes: tuple[int, ...]) -> None:
    assert verdict(legacy(offer_id=EITHER), eligibilities=refused(*codes)).klass is C.NOT_ELIGIBLE


def test_what_microsoft_cannot_migrate_and_nobody_mapped_goes_to_a_person() -> None:
    assert verdict(legacy(), eligibilities=refused(5)).klass is C.NOT_ELIGIBLE


def test_an_offer_that_is_always_bought_does_not_wait_for_microsofts_validation() -> None:
    found = verdict(legacy(offer_id=IDENTITY), eligibilities=refused(5))

    assert (found.klass, found.route, found.expected_product_and_sku) == (C.DUE, Route.PURCHASE, IDENTITY_NCE)


@pytest.mark.parametrize(
    ("offer_id", "announced", "klass", "expected"),
    [
        (legacy().offer_id, f"{BASIC_NCE.lower()}:cfq7ttc0k9zz", C.DUE, BASIC_NCE),
        (legacy().offer_id, f"{AUDIO_NCE}:CFQ7TTC0K9ZZ", C.HELD, None),
        (UNMAPPED, f"{AUDIO_NCE}:CFQ7TTC0K9ZZ", C.DUE, AUDIO_NCE),
        (UNMAPPED, None, C.DUE, None),
    ],
)
def test_microsofts_successor_and_the_offer_table_must_agree(
    offer_id: str, announced: str | None, klass: SubscriptionClass, expected: str | None
) -> None:
    eligibility = {legacy_id(1): Eligibility(legacy_id(1), eligible=True, catalogue_item=announced)}
    found = verdict(legacy(offer_id=offer_id), eligibilities=eligibility)

    assert (found.klass, found.expected_product_and_sku) == (klass, expected)


def test_only_bases_that_migrate_are_put_to_microsoft() -> None:
    asked = candidates(
        survey(
            legacy(1),
            add_on(2),
            legacy(3, offer_id=IDENTITY),
            legacy(4, offer_id=SCHOOL),
            legacy(5, term_end_at=at("2023-03-01 08:00")),
            legacy(6, auto_renew=False),
        )
    )

    assert {v.subscription.subscription_id for v in asked} == {legacy_id(1), legacy_id(5)}


def test_without_an_override_everything_stays_as_it_is_and_seats_are_read_when_buying() -> None:
    found = verdict(legacy(seats=7))

    assert (found.term, found.billing, found.seats) == ("P1Y", "monthly", None)


def test_an_override_changes_what_it_names() -> None:
    asked = campaign(overrides=[{"billing": "annual", "seats": 12, "reason": "the customer asked"}])
    found = verdict(legacy(), campaign=asked)

    assert (found.term, found.billing, found.seats) == ("P1Y", "annual", 12)


@pytest.mark.parametrize(
    ("legacy_term", "asked", "approved_by", "klass"),
    [
        ("P1Y", "P3Y", None, C.HELD),
        ("P1M", "P1Y", None, C.HELD),
        # A term nobody knows counts as a year.
        (None, "P3Y", None, C.HELD),
        (None, "P1Y", None, C.DUE),
        ("P9X", "P3Y", None, C.HELD),
        ("P1Y", "P3Y", "anna", C.DUE),
        ("P1Y", "P1Y", None, C.DUE),
        ("P1Y", "P1M", None, C.DUE),
        ("P1Y", None, None, C.DUE),
    ],
)
def test_a_longer_commitment_is_never_made_silently(
    legacy_term: str | None, asked: str | None, approved_by: str | None, klass: SubscriptionClass
) -> None:
    override = {"term": asked, "approved_by": approved_by, "reason": "the customer asked"}
    found = verdict(legacy(term=legacy_term), campaign=campaign(overrides=[override]))

    assert found.klass is klass


def test_an_add_on_travels_with_its_base() -> None:
    found = verdicts(legacy(1), add_on(2))

    assert (found[legacy_id(1)].klass, found[legacy_id(1)].bundle) == (C.DUE, (legacy_id(2),))
    travelling = found[legacy_id(2)]
    assert (travelling.klass, travelling.travels_with) == (C.DUE, legacy_id(1))
    assert travelling.expected_product_and_sku == AUDIO_NCE


@pytest.mark.parametrize(
    ("blocker", "world", "klass"),
    [
        ({"auto_renew": False}, {}, C.HELD),
        ({"offer_id": SCHOOL}, {}, C.HELD),
        ({"offer_id": UNKNOWN_OFFER}, {}, C.HELD),
        ({"is_trial": True}, {}, C.HELD),
        ({"term_end_at": None}, {}, C.HELD),
        ({"customer_id": OTHER_CUSTOMER}, {"opt_outs": opted_out(OTHER_CUSTOMER)}, C.OPTED_OUT),
        ({}, {"eligibilities": refused(3, legacy_id=legacy_id(2))}, C.NOT_ELIGIBLE),
        ({"auto_renew": False, "term_end_at": at("2022-07-20 00:00")}, {}, C.HELD),
    ],
)
def test_one_add_on_that_must_not_move_blocks_the_bundle(
    blocker: dict[str, Any], world: dict[str, Any], klass: SubscriptionClass
) -> None:
    found = verdict(legacy(1), add_on(2, **blocker), add_on(3), **world)

    assert found.klass is klass
    assert f"({legacy_id(2)}) blocks the bundle" in found.reason
    assert found.owner is not Owner.NOBODY
    assert found.remedy


def test_an_add_on_of_a_blocked_bundle_waits_with_it() -> None:
    found = verdicts(legacy(1), add_on(2, auto_renew=False), add_on(3))

    assert (found[legacy_id(3)].klass, found[legacy_id(3)].travels_with) == (C.HELD, legacy_id(1))


def test_an_add_on_refused_inside_its_bases_answer_blocks_the_bundle() -> None:
    inside = Eligibility(legacy_id(2), eligible=False, refusals=(Refusal(3, "promotion"),))
    answer = Eligibility(legacy_id(1), eligible=True, add_ons=(inside,))
    found = verdicts(legacy(1), add_on(2), eligibilities={legacy_id(1): answer})

    assert found[legacy_id(1)].klass is C.NOT_ELIGIBLE
    assert found[legacy_id(2)].klass is C.NOT_ELIGIBLE


def test_an_add_on_that_microsofts_answer_does_not_mention_travels() -> None:
    answer = Eligibility(legacy_id(1), eligible=True)

    assert verdicts(legacy(1), add_on(2), eligibilities={legacy_id(1): answer})[legacy_id(2)].klass is C.DUE


def test_an_add_on_that_ended_is_left_behind() -> None:
    found = verdicts(legacy(1), add_on(2, status=Status.DELETED))

    assert found[legacy_id(1)].bundle == ()
    assert found[legacy_id(2)].klass is C.LAPSES


def test_an_add_on_that_lapses_before_its_base_moves_is_not_bought_again() -> None:
    found = verdicts(legacy(1), add_on(2, auto_renew=False, **ENDS), now_at=at("2022-06-20 06:00"))

    assert (found[legacy_id(1)].klass, found[legacy_id(1)].bundle) == (C.SCHEDULED, ())
    assert found[legacy_id(2)].klass is C.LAPSES


def test_an_add_on_that_renewed_on_its_own_date_moves_with_its_base_all_the_same() -> None:
    renewed = add_on(2, term_end_at=at("2023-07-05 08:00"))
    found = verdicts(legacy(1), renewed, first_seen_term_end_at={legacy_id(2): at("2022-07-05 08:00")})

    assert (found[legacy_id(2)].klass, found[legacy_id(2)].travels_with) == (C.DUE, legacy_id(1))
    assert found[legacy_id(2)].expected_product_and_sku == AUDIO_NCE


def test_an_add_on_waits_with_a_base_that_does_not_move() -> None:
    found = verdicts(legacy(1, auto_renew=False), add_on(2))[legacy_id(2)]

    assert (found.klass, found.owner, found.travels_with) == (C.HELD, Owner.OPERATOR, legacy_id(1))


@pytest.mark.parametrize(
    "base",
    [
        {"subscription": legacy(1, offer_id=SCHOOL)},
        {
            "subscription": legacy(1, status=Status.SUSPENDED),
            "conversions": {legacy_id(1): conversion(1, S.CONVERTED)},
        },
        {"subscription": legacy(1, status=Status.SUSPENDED), "nce": nce(migrated_from_id=legacy_id(1))},
    ],
)
def test_an_add_on_whose_base_left_legacy_stands_alone(base: dict[str, Any]) -> None:
    others = [base["nce"]] if "nce" in base else []
    found = verdicts(base["subscription"], add_on(2), *others, conversions=base.get("conversions", {}))[
        legacy_id(2)
    ]

    assert (found.klass, found.travels_with, found.bundle) == (C.DUE, None, ())


def test_an_orphan_stands_alone() -> None:
    found = verdict(add_on(2, base=99))

    assert (found.klass, found.travels_with) == (C.DUE, None)


def test_an_add_on_under_way_keeps_its_story_and_its_base() -> None:
    under_way = conversion(
        2, S.ACCEPTED, nce_subscription_id=nce_id(2), route=Route.PURCHASE, base_id=legacy_id(1)
    )
    found = verdicts(legacy(1, offer_id=IDENTITY), add_on(2), conversions={legacy_id(2): under_way})

    assert found[legacy_id(2)].reason == "Its conversion is accepted."
    assert found[legacy_id(2)].travels_with == legacy_id(1)
    assert found[legacy_id(1)].bundle == (legacy_id(2),)


def test_an_add_on_under_way_is_finished_without_its_base() -> None:
    done = {
        legacy_id(1): conversion(
            1, S.CONVERTED, nce_subscription_id=nce_id(1), route=Route.PURCHASE, base_id=legacy_id(1)
        ),
        legacy_id(2): conversion(
            2, S.COVERED, nce_subscription_id=nce_id(2), route=Route.PURCHASE, base_id=legacy_id(1)
        ),
    }
    found = verdicts(legacy(1, status=Status.SUSPENDED), add_on(2), conversions=done)[legacy_id(2)]

    assert (found.klass, found.route, found.travels_with) == (C.DUE, Route.PURCHASE, None)


def test_a_base_under_way_is_not_stopped_by_a_blocked_add_on() -> None:
    under_way = conversion(1, S.ACCEPTED, nce_subscription_id=None, route=Route.MIGRATE, base_id=legacy_id(1))
    found = verdicts(legacy(1), add_on(2, auto_renew=False), conversions={legacy_id(1): under_way})

    assert (found[legacy_id(1)].klass, found[legacy_id(1)].bundle) == (C.DUE, ())
    assert found[legacy_id(2)].klass is C.HELD


def test_an_add_on_converted_before_is_not_part_of_its_bases_bundle() -> None:
    done = {
        legacy_id(2): conversion(
            2, S.CONVERTED, nce_subscription_id=nce_id(2), route=Route.MIGRATE, base_id=legacy_id(2)
        )
    }
    found = verdicts(legacy(1), add_on(2, status=Status.SUSPENDED), conversions=done)

    assert (found[legacy_id(1)].klass, found[legacy_id(1)].bundle) == (C.DUE, ())
    assert found[legacy_id(2)].klass is C.CONVERTED


def test_a_bundle_is_bought_as_a_whole() -> None:
    found = verdicts(legacy(1, offer_id=IDENTITY), add_on(2, offer_id=SIGN_IN))

    assert found[legacy_id(2)].route is Route.PURCHASE
    assert found[legacy_id(2)].expected_product_and_sku == SIGN_IN_NCE


def test_an_add_on_nobody_mapped_blocks_a_base_that_has_to_be_bought() -> None:
    found = verdicts(legacy(1, offer_id=IDENTITY), add_on(2))[legacy_id(1)]

    assert found.klass is C.HELD
    assert "no purchase is mapped" in found.reason


def test_subscriptions_that_name_each_other_as_base_get_one_verdict_each() -> None:
    found = verdicts(legacy(1, parent_id=legacy_id(2)), legacy(2, parent_id=legacy_id(1)))

    assert found[legacy_id(1)].bundle == (legacy_id(2),)
    assert verdict(legacy(1, parent_id=legacy_id(1))).travels_with is None


ANY_MOMENT = st.datetimes(
    min_value=datetime(2022, 6, 1), max_value=datetime(2023, 12, 31)  # noqa: DTZ001 - made aware below
).map(lambda moment: at(moment.isoformat(" ", "seconds")))  # fmt: skip
ANY_OFFER = st.sampled_from(
    [legacy().offer_id, add_on().offer_id, IDENTITY, SIGN_IN, SCHOOL, EITHER, UNMAPPED, UNKNOWN_OFFER]
)


@st.composite
def holdings(draw: st.DrawFn) -> list[Subscription]:
    size = draw(st.integers(1, 6))
    ids = [legacy_id(n) for n in range(1, size + 1)]
    return [
        legacy(
            n + 1,
            offer_id=draw(ANY_OFFER),
            status=draw(st.sampled_from(list(Status))),
            auto_renew=draw(st.booleans()),
            is_trial=draw(st.booleans()),
            term_end_at=draw(st.none() | ANY_MOMENT),
            parent_id=draw(st.none() | st.sampled_from([*ids, legacy_id(99)])),
            partner_mpn_id=draw(st.sampled_from([MPN_ID, OTHER_MPN_ID, None])),
            customer_id=draw(st.sampled_from([CUSTOMER, OTHER_CUSTOMER])),
        )
        for n in range(size)
    ]


@given(
    held=holdings(),
    now_at=ANY_MOMENT,
    opt_outs=st.sampled_from([NO_OPT_OUT, opted_out(), opted_out(CUSTOMER), opted_out(late=True)]),
    findings=st.sampled_from(
        [all_in_order(), finding(Check.MPA, Answer.MISSING), [cannot_tell(Check.MPN_ID, "503")]]
    ),
    refusal=st.sampled_from([{}, refused(5), refused(3), refused()]),
)
def test_whatever_is_held_each_gets_one_verdict_and_nothing_forbidden_is_due(
    held: list[Subscription],
    now_at: datetime,
    opt_outs: OptOutRuling,
    findings: list[Finding],
    refusal: dict[str, Eligibility],
) -> None:
    world = survey(*held, now_at=now_at, opt_outs=opt_outs, findings=findings, eligibilities=refusal)
    found = classify(world)

    assert sorted(v.subscription.subscription_id for v in found) == sorted(s.subscription_id for s in held)
    by_id = {v.subscription.subscription_id: v for v in found}
    for v in found:
        if v.klass in AT_RISK - {C.LAPSES}:
            assert v.owner is not Owner.NOBODY, v.reason
            assert v.remedy, v.reason
        if v.klass is not C.DUE:
            continue
        s = v.subscription
        offer = world.campaign.offer(s.offer_id)
        assert s.status is Status.ACTIVE
        assert not s.is_trial
        assert s.auto_renew
        assert s.partner_mpn_id == MPN_ID
        assert offer is not None
        assert offer.segment not in world.campaign.exempt_segments
        assert findings == all_in_order()
        assert opt_outs.for_customer(s.customer_id).value == "none"
        assert now_at >= CUT_OVER
        assert v.route is not Route.PURCHASE or offer.purchase is not None
        if v.travels_with is not None:
            base = by_id[v.travels_with]
            assert base.klass is C.DUE
            assert base.route is v.route
            assert s.subscription_id in base.bundle


def test_a_verdict_can_be_changed_without_touching_the_survey() -> None:
    before = survey(legacy())

    assert classify(replace(before, now_at=at("2022-06-01 00:00")))[0].klass is C.SCHEDULED
    assert classify(before)[0].klass is C.DUE
