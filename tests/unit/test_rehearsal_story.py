"""The rehearsal's story against the rules it rehearses.

The simulator's world is let run to the cut-over, classified by the domain's rule, converted at the simulator,
and compared with what the story expects. Nothing here talks HTTP, runs Airflow or keeps a ledger.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from include.nce.domain.campaign import Campaign
from include.nce.domain.classification import SubscriptionClass, Survey, Verdict, candidates, classify
from include.nce.domain.conversion import Eligibility, Refusal, Route
from include.nce.domain.opt_out import OptOut, OptOutRuling, OptOutVerdict, rule_on
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.partner import Partner
from include.nce.domain.plan import batches, outcome_of
from include.nce.domain.readiness import (
    Answer,
    Check,
    Finding,
    MpaState,
    MpaStatus,
    PartnerOfRecord,
    ResellerLink,
    judge_customer_mca,
    judge_link,
    judge_mpa,
    judge_mpn,
)
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind, is_guid
from include.nce.intake.campaign_file import read_campaign
from include.nce.intake.roster import load_roster
from simulator.behaviour import HAPPENINGS, migrations
from simulator.records import PartnerRecord, SubscriptionRecord
from simulator.scenario import load_scenario
from simulator.schema import Scenario
from simulator.world import World, seed

ROOT = Path(__file__).parents[2]
STORY = ROOT / "simulator/scenarios/csp-commercial-2022.yaml"
CAMPAIGN = ROOT / "include/campaigns/csp-commercial-2022.yaml"
CUT_OVER = datetime(2022, 7, 11, tzinfo=timezone.utc)
CONVERTING = CUT_OVER + timedelta(minutes=5)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_scenario(STORY)


@pytest.fixture(scope="module")
def campaign() -> Campaign:
    return read_campaign(CAMPAIGN)


@pytest.fixture(scope="module")
def roster(campaign: Campaign) -> dict[str, Partner]:
    partners = load_roster((ROOT / campaign.roster).read_bytes(), name=campaign.roster)
    return {partner.partner: partner for partner in partners}


@dataclass(frozen=True)
class Ending:
    """How the story ended for one partner: classes by subscription id, the run's outcome, what was found."""

    classes: dict[str, SubscriptionClass]
    outcome: RunOutcome
    findings: list[Finding]
    verdicts: list[Verdict]
    nce_seats: dict[str, int]
    """Seats of the NCE subscription that each migrated legacy one became."""


@pytest.fixture(scope="module")
def endings(scenario: Scenario, campaign: Campaign, roster: dict[str, Partner]) -> dict[str, Ending]:
    """Lets the story happen once."""
    world = World(scenario, HAPPENINGS)
    seed(world)
    world.settle(scenario.clock.starts_at)
    first_seen = {row.id: row.ends_at for row in world.subscriptions}
    world.settle(CONVERTING)
    plans = {name: planned(world, partner, campaign, first_seen) for name, partner in roster.items()}
    for verdicts, _, _ in plans.values():
        for base in [key for batch in batches(verdicts, campaign.batch_size) for key in batch]:
            verdict = next(v for v in verdicts if v.subscription.subscription_id == base)
            if verdict.route is Route.MIGRATE:
                migrations.create(world, verdict.subscription.customer_id, request(base))
    world.settle(scenario.clock.ends_at)
    nce_seats = {row.migrated_from: row.seats for row in world.subscriptions if row.migrated_from}
    endings = {}
    for name, (verdicts, findings, opted_out) in plans.items():
        classes = {v.subscription.subscription_id: final_class(world, v) for v in verdicts}
        outcome = outcome_of(
            list(classes.values()),
            blocked=any(f.blocks_partner for f in findings) and not opted_out,
            opted_out=opted_out,
        )
        endings[name] = Ending(classes, outcome, findings, verdicts, nce_seats)
    return endings


def planned(
    world: World, partner: Partner, campaign: Campaign, first_seen: dict[str, datetime]
) -> tuple[list[Verdict], list[Finding], bool]:
    links = [link(row) for row in world.partners if row.holds(row.profile.linked_at, world.now)]
    others = {item.mpn_id for item in links if item.tenant_id != partner.tenant_id}
    own = {item.mpn_id for item in links if item.tenant_id == partner.tenant_id} | {partner.mpn_id}
    held = [
        domain_subscription(row)
        for customer in world.customers
        if partner.partner in customer.partners
        for row in world.subscriptions_of(customer.id)
        if (row.partner_id or None) not in others
    ]
    findings = checked(world, partner, links)
    ruling = ruled(world.scenario, partner, campaign)
    survey = Survey(
        partner=partner,
        campaign=campaign,
        now_at=world.now,
        subscriptions=held,
        findings=findings,
        opt_outs=ruling,
        first_seen_term_end_at=first_seen,
        partner_mpn_ids=frozenset(mpn for mpn in own if mpn),
    )
    asked = {v.subscription.subscription_id: validated(world, v) for v in candidates(survey)}
    verdicts = classify(replace(survey, eligibilities=asked))
    return verdicts, findings, ruling.partner is OptOutVerdict.IN_TIME


def link(row: PartnerRecord) -> ResellerLink:
    profile = row.profile
    return ResellerLink(
        tenant_id=profile.tenant_id or "",
        name=profile.name,
        active=profile.relationship_state == "Active",
        state=profile.relationship_state,
        mpn_id=profile.relationship_mpn_id,
        country=profile.location,
    )


def checked(world: World, partner: Partner, links: list[ResellerLink]) -> list[Finding]:
    profile = world.partners[partner.partner].profile
    signed = profile.mpa_signed_at is not None and profile.mpa_signed_at <= world.now
    accepted = {
        customer.id: customer.has_mca(world.now)
        for customer in world.customers
        if partner.partner in customer.partners
    }
    valid = world.valid_partner_of_record(partner.mpn_id)
    return [
        judge_mpa(MpaStatus(MpaState.SIGNED if signed else MpaState.NOT_SIGNED)),
        judge_link(partner, links),
        judge_mpn(
            partner,
            links,
            profile_exists=world.partner_with_mpn(partner.mpn_id) is not None,
            partner_of_record=PartnerOfRecord.VALID if valid else PartnerOfRecord.NOT_LINKED,
        ),
        judge_customer_mca(accepted),
    ]


def ruled(scenario: Scenario, partner: Partner, campaign: Campaign) -> OptOutRuling:
    forms = [
        OptOut(form.partner, form.received_at, form.by, form.customer, form.withdrawn_at)
        for form in scenario.opt_outs
        if form.partner == partner.partner
    ]
    return rule_on(forms, campaign.opt_out_ends_at(partner.zone))


def domain_subscription(row: SubscriptionRecord) -> Subscription:
    return Subscription(
        subscription_id=row.id,
        customer_id=row.customer,
        offer_id=row.offer_id.lower() if is_guid(row.offer_id) else row.offer_id,
        offer_name=row.name,
        kind=SubscriptionKind(row.line),
        status=Status(row.status),
        seats=row.seats,
        term_end_at=row.shown_ends_at or row.ends_at,
        created_at=row.created_at,
        auto_renew=row.auto_renew,
        is_trial=row.trial,
        term=row.term,
        billing=row.billing,
        parent_id=row.parent,
        partner_mpn_id=row.partner_id or None,
        migrated_from_id=row.migrated_from,
    )


def request(legacy: str) -> migrations.MigrationRequest:
    return migrations.MigrationRequest(subscription=uuid.UUID(legacy))


def validated(world: World, verdict: Verdict) -> Eligibility:
    def eligibility(word: migrations.Verdict) -> Eligibility:
        return Eligibility(
            legacy_id=word.subscription,
            eligible=word.eligible,
            catalogue_item=word.line.item if word.line and word.eligible else None,
            refusals=tuple(Refusal(code, migrations.ELIGIBILITY[code][0]) for code in word.errors),
            add_ons=tuple(eligibility(add_on) for add_on in word.addons),
        )

    asked = verdict.subscription
    return eligibility(migrations.judge(world, asked.customer_id, request(asked.subscription_id)))


def final_class(world: World, verdict: Verdict) -> SubscriptionClass:
    """What became of it: a purchase is taken for done when the catalogue has what is to be bought."""
    if verdict.klass is not SubscriptionClass.DUE:
        return verdict.klass
    row = world.subscriptions[verdict.subscription.subscription_id]
    if verdict.route is Route.PURCHASE:
        done = verdict.expected_product_and_sku in world.skus
    else:
        successor = world.subscriptions.get(row.migrated_to or "")
        done = successor is not None and successor.status == "active" and successor.seats >= row.seats
    if not done:
        return SubscriptionClass.FAILED
    taken_back = row.id in {undo.subscription for undo in world.scenario.undos}
    return SubscriptionClass.UNDONE if taken_back else SubscriptionClass.CONVERTED


def test_every_subscription_becomes_what_the_story_expects(
    scenario: Scenario, endings: dict[str, Ending]
) -> None:
    wrong = [
        f"{partner.id}/{customer.key}/{subscription.key}: {ended.value}, not {subscription.expect.outcome}"
        for partner, customer, subscription in scenario.walk()
        if subscription.expect is not None
        and (ended := endings[partner.id].classes[subscription.id or ""]).value != subscription.expect.outcome
    ]
    assert wrong == []


def test_every_partners_run_ends_as_the_story_expects(scenario: Scenario, endings: dict[str, Ending]) -> None:
    expected = {partner.id: partner.expect.outcome for partner in scenario.partners if partner.expect}
    assert {name: ending.outcome.value for name, ending in endings.items()} == expected


def test_every_subscription_and_every_partner_has_an_expectation(scenario: Scenario) -> None:
    assert [s.id for _, _, s in scenario.walk() if s.expect is None] == []
    assert [partner.id for partner in scenario.partners if partner.expect is None] == []


def test_every_class_a_subscription_can_end_in_occurs(scenario: Scenario) -> None:
    expected = {s.expect.outcome for _, _, s in scenario.walk() if s.expect}
    # Nothing may stay due.
    assert expected == {klass.value for klass in SubscriptionClass} - {SubscriptionClass.DUE.value}


def test_every_run_outcome_of_a_finished_run_occurs(scenario: Scenario) -> None:
    expected = {partner.expect.outcome for partner in scenario.partners if partner.expect}
    assert expected == {outcome.value for outcome in RunOutcome} - {"planned", "unresolved"}


@pytest.mark.parametrize("check", list(Check), ids=lambda check: check.value)
def test_every_check_is_missing_somewhere_at_the_cut_over(check: Check, endings: dict[str, Ending]) -> None:
    missing = [
        f for e in endings.values() for f in e.findings if f.check is check and f.answer is Answer.MISSING
    ]
    assert missing


def test_no_partner_is_blocked_for_more_than_the_story_tells(endings: dict[str, Ending]) -> None:
    blocked = {name: {f.check for f in e.findings if f.blocks_partner} for name, e in endings.items()}
    assert {name: checks for name, checks in blocked.items() if checks} == {
        "ferrari-digitale": {Check.MPA},
        "conti-it": {Check.MPA},  # and opted out
        # Who is not linked has no valid PartnerID either.
        "colombo-reti": {Check.INDIRECT_PROVIDER_LINK, Check.MPN_ID},
        "ricci-software": {Check.MPN_ID},
        "marino-cloud": {Check.MPN_ID},
    }


def test_what_is_held_is_held_for_every_kind_of_reason(endings: dict[str, Ending]) -> None:
    held = [v for e in endings.values() for v in e.verdicts if v.klass is SubscriptionClass.HELD]
    for words in (
        "check_mpa",
        "check_indirect_provider_link",
        "check_mpn_id",
        "Customer Agreement",
        "opt-out arrived after",
        "Auto-renew is off",
        "within 24 hours",
        "offer table",
        "No partner of record",
        "may be this one's successor",
    ):
        assert any(words in v.reason for v in held), words


def test_microsoft_refuses_for_every_kind_of_reason_in_the_story(endings: dict[str, Ending]) -> None:
    refused = [
        v.reason for e in endings.values() for v in e.verdicts if v.klass is SubscriptionClass.NOT_ELIGIBLE
    ]
    for words in ("code 3", "code 5", "code 7", "It is suspended"):
        assert any(words in reason for reason in refused), words


def test_what_ends_in_the_first_days_is_past_its_last_safe_start_and_converted(
    endings: dict[str, Ending],
) -> None:
    warned = [v for e in endings.values() for v in e.verdicts if v.warning == "past its last safe start"]
    assert len(warned) >= 4
    assert {v.klass for v in warned} == {SubscriptionClass.DUE}


def test_nothing_becomes_due_between_the_cut_over_and_the_end_of_the_clock(
    scenario: Scenario, endings: dict[str, Ending]
) -> None:
    soon = [
        v.subscription.subscription_id
        for e in endings.values()
        for v in e.verdicts
        if v.window_opens_at is not None and CONVERTING < v.window_opens_at <= scenario.clock.ends_at
    ]
    assert soon == []


def test_a_subscription_that_lies_with_two_partners_is_only_one_partners(endings: dict[str, Ending]) -> None:
    times = Counter(key for ending in endings.values() for key in ending.classes)
    assert [key for key, count in times.items() if count > 1] == []


def test_seats_added_before_the_cut_over_are_converted(
    scenario: Scenario, endings: dict[str, Ending]
) -> None:
    (grown,) = scenario.find_subscriptions("hotel-gargano/business-basic")
    assert endings["greco-consulting"].nce_seats[grown] == 22


def test_the_roster_and_the_scenario_name_the_same_partners(
    scenario: Scenario, roster: dict[str, Partner]
) -> None:
    described = {p.id: (p.name, p.tenant_id, p.location) for p in scenario.partners}
    assert {p.partner: (p.name, p.tenant_id, p.country) for p in roster.values()} == described


def test_only_one_partner_gave_its_global_partner_id(scenario: Scenario, roster: dict[str, Partner]) -> None:
    other = [p for p in scenario.partners if roster[p.id].mpn_id != p.mpn_id]
    assert [(p.id, roster[p.id].mpn_id == p.pga_id) for p in other] == [("marino-cloud", True)]


def test_the_partners_are_those_of_the_notice(roster: dict[str, Partner]) -> None:
    assert Counter(p.country for p in roster.values()) == {"IT": 12, "DE": 1, "ES": 1}
    assert len({p.province for p in roster.values() if p.country == "IT"}) == 12


def test_the_campaign_knows_every_legacy_offer_but_one(scenario: Scenario, campaign: Campaign) -> None:
    legacy = [offer for offer in scenario.offers if is_guid(offer.offer_id)]
    assert [offer.name for offer in legacy if campaign.offer(offer.offer_id) is None] == [
        "Microsoft Dynamics CRM Online Professional"
    ]


def test_campaign_and_scenario_agree_on_what_an_offer_is(scenario: Scenario, campaign: Campaign) -> None:
    for offer in scenario.offers:
        known = campaign.offer(offer.offer_id)
        if known is not None:
            assert (offer.name, offer.segment, offer.nce) == (
                known.name,
                known.segment.value,
                known.product_and_sku,
            )


def test_every_offer_of_the_scenario_is_held_by_somebody(scenario: Scenario) -> None:
    held = {(s.offer or "").upper() for _, _, s in scenario.walk()}
    assert [offer.name for offer in scenario.offers if offer.offer_id.upper() not in held] == []


def test_every_event_of_the_story_can_happen(scenario: Scenario) -> None:
    world = World(scenario, HAPPENINGS)
    seed(world)
    world.settle(CUT_OVER)
    assert {row.id: row.outcome for row in world.story} == {row.id: "done" for row in world.story}


def test_the_rehearsal_takes_less_than_three_minutes_when_nothing_holds_it_up(scenario: Scenario) -> None:
    clock = scenario.clock
    starts = [segment.from_ for segment in clock.schedule]
    assert starts[0] == clock.starts_at
    seconds = sum(
        (until - segment.from_).total_seconds() / segment.speed
        for segment, until in zip(clock.schedule, [*starts[1:], clock.ends_at], strict=True)
    )
    assert seconds < 180


def test_failed_migrations_are_settled_within_forty_hours(scenario: Scenario) -> None:
    settled = [
        s.migration.settles_after
        for _, _, s in scenario.walk()
        if s.migration and s.migration.outcome in ("failed_reverts", "failed_completes")
    ]
    assert len(settled) == 2
    assert max(settled) <= timedelta(hours=40)
