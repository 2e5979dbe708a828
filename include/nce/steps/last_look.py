"""The last look before a purchase: everything that may have changed since the plan.

It only reads. A gate that opened, a check that was green and a plan that was approved are no protection by
the time something is bought; what is looked at here, seconds before each purchase, is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from include.nce.domain.approval import Approval, PlanOnRecord, reasons_to_ask, why_drifted
from include.nce.domain.campaign import Campaign
from include.nce.domain.classification import SubscriptionClass, Survey, classify, terms_to_buy
from include.nce.domain.conversion import Conversion, ConversionRequest, ConversionState, Route, refused_from
from include.nce.domain.errors import Busy
from include.nce.domain.lineage import has_ended, is_unplaced, successor_of
from include.nce.domain.opt_out import OptOutVerdict, rule_on
from include.nce.domain.readiness import Answer
from include.nce.domain.run import Run
from include.nce.domain.subscription import Status, Subscription
from include.nce.steps.brake import refuse_unless_admitted
from include.nce.steps.desk import Desk
from include.nce.steps.honour_opt_out import current_ruling
from include.nce.steps.ports import Ledger

Stop = tuple[ConversionState, str]
"""The state in which a line stays unbought, and why."""
VALIDATED_FOR = timedelta(hours=1)
"""How long Microsoft's validation in the plan is good for; a plan that waited longer is validated again."""


async def last_look(
    bundle: Sequence[Conversion],
    whole: Sequence[Conversion],
    desk: Desk,
    campaign: Campaign,
    *,
    resending: bool,
) -> Stop | None:
    """What stops the purchase of `bundle`, the members of `whole` that are not bought yet. None: buy.

    `resending`: it was sent before and got no answer. What is sent again is that very request, so what it was
    planned and approved as is not asked any more; what forbids a purchase altogether is, and a person's no.
    """
    now_at = await desk.clock.now()
    if not all(map(desk.is_ours, bundle)):
        return ConversionState.HELD, f"it belongs to {bundle[0].partner} in campaign {bundle[0].campaign}"
    stop = await policy_forbids(bundle[0], campaign, desk.run, ledger=desk.ledger, now_at=now_at)
    plan = await desk.plan_of(bundle[0])
    said = None if plan is None else await desk.word_on(plan)
    if stop is None and said is not None and not said.approved:
        stop = ConversionState.HELD, said.sentence
    if stop is None and not resending:
        stop = _not_approved(plan, said, campaign)
    if stop is not None:
        return stop
    await desk.read_anew_if_old()
    holdings = {s.subscription_id: s for s in await desk.fresh(bundle[0].customer_id)}
    stop = _not_convertible(bundle, whole, holdings, campaign, now_at)
    if stop is None:
        stop = await _judged_otherwise(bundle, plan, holdings, campaign, now_at, desk)
    if stop is None and not resending:
        stop = _on_other_terms(bundle, holdings, campaign, desk)
    if stop is None and plan is not None and not resending:
        stop = await _not_as_planned(bundle, plan, holdings, now_at, desk)
    if stop is None and not resending:
        stop = await _bought_by_hand(bundle, holdings.values(), desk)
    return stop


class ForbiddenSince(Exception):
    """The last look read for a while, and something that forbids the purchase came in between."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop[1])
        self.stop = stop


@dataclass(frozen=True)
class Look:
    """By what policy and decisions the last look judged. Before the bytes leave, they have to stand still."""

    desk: Desk
    base: Conversion
    campaign: Campaign
    version: int
    confirmed: frozenset[str]

    @classmethod
    async def begin(cls, desk: Desk, bundle: Sequence[Conversion]) -> Look:
        name, partner = desk.run.campaign, desk.run.partner.partner
        version = await desk.ledger.latest_version(name)
        confirmed = await desk.ledger.confirmed_conversions(name, partner)
        return cls(desk, bundle[0], await desk.ledger.campaign(name), version, confirmed)

    async def still_holds(self, ledger: Ledger) -> None:
        """The last word before a purchase, in one transaction with the note that it is sent.

        Raises `MayNotBuy`, `NotYourTurn`, `ForbiddenSince`, or `Busy` when the look has to be taken again.
        """
        run, now_at = self.desk.run, await self.desk.clock.now()
        if await ledger.latest_version(run.campaign) != self.version:
            raise Busy("The campaign has a newer version: the last look is taken again.")
        if await ledger.confirmed_conversions(run.campaign, run.partner.partner) != self.confirmed:
            raise Busy("A person has decided something: the last look is taken again.")
        await refuse_unless_admitted(
            self.campaign, run.partner.partner, self.desk.seen.values(), ledger=ledger, now_at=now_at
        )
        stop = await policy_forbids(self.base, self.campaign, run, ledger=ledger, now_at=now_at)
        plan = await self.desk.plan_of(self.base)
        said = None if plan is None else await ledger.approval(run.campaign, run.partner.partner, plan.hash)
        if stop is None and said is not None and not said.approved:
            stop = ConversionState.HELD, said.sentence
        if stop is not None:
            raise ForbiddenSince(stop)


async def policy_forbids(
    base: Conversion, campaign: Campaign, run: Run, *, ledger: Ledger, now_at: datetime
) -> Stop | None:
    """What may come in at any moment, the cut-over and the opt-outs: asked before the last look reads Partner
    Center, which can take minutes, and by the last word again."""
    if now_at < campaign.cut_over_at():
        return ConversionState.WAITING, f"the cut-over is on {campaign.cut_over_at():%Y-%m-%d %H:%M} UTC"
    ruling = await current_ruling(run, ledger)
    verdict = ruling.for_customer(base.customer_id)
    if verdict is OptOutVerdict.IN_TIME:
        return ConversionState.HELD, "opted out in time: nothing is bought"
    if verdict is OptOutVerdict.LATE:
        return ConversionState.HELD, "an opt-out arrived after the deadline: a person decides"
    return None


def _not_approved(plan: PlanOnRecord | None, said: Approval | None, campaign: Campaign) -> Stop | None:
    """Whether today's policy wants an approval of exactly this plan, and whether there is one."""
    if plan is None or not plan.is_genuine:
        return ConversionState.HELD, "no plan with a valid hash stands behind it: start the partner again"
    reasons = reasons_to_ask(list(plan.lines.values()), campaign.approvals)
    if reasons and said is None:
        return (
            ConversionState.HELD,
            f"plan {plan.short_hash} has to be approved, and nobody has: {'; '.join(reasons)}",
        )
    return None


def _not_convertible(
    bundle: Sequence[Conversion],
    whole: Sequence[Conversion],
    holdings: Mapping[str, Subscription],
    campaign: Campaign,
    now_at: datetime,
) -> Stop | None:
    for member in bundle:
        stop = _still_convertible(member, holdings, campaign, now_at)
        if stop is not None:
            return stop
    planned = {member.legacy_id for member in whole}
    for held in holdings.values():
        if held.parent_id in planned and not has_ended(held) and (
            held.is_legacy and held.subscription_id not in planned
        ):  # fmt: skip
            return (
                ConversionState.HELD,
                f"it has an add-on the plan does not know, {held.subscription_id}: start the partner again",
            )
    return None


async def _judged_otherwise(
    bundle: Sequence[Conversion],
    plan: PlanOnRecord | None,
    holdings: Mapping[str, Subscription],
    campaign: Campaign,
    now_at: datetime,
    desk: Desk,
) -> Stop | None:
    """The plan's own rule once more, by the campaign as it is now: what it would not plan is not bought."""
    run = desk.run
    ids = {member.legacy_id for member in bundle}
    ours = await desk.ledger.standing_conversions(run.campaign, run.partner.partner)
    findings = await desk.findings(stale=plan is None or now_at - plan.made_at > VALIDATED_FOR)
    unclear = any(finding.answer is Answer.CANNOT_TELL for finding in findings)
    survey = Survey(
        partner=run.partner,
        campaign=campaign,
        now_at=now_at,
        # What of New Commerce nobody can place is looked for by `_bought_by_hand`, which knows our orders.
        subscriptions=[s for s in holdings.values() if s.is_legacy or s.migrated_from_id is not None],
        findings=findings,
        opt_outs=rule_on((), now_at),  # asked by `policy_forbids`, before this look and by the last word
        conversions={legacy_id: one for legacy_id, one in ours.items() if legacy_id not in ids},
        first_seen_term_end_at=await desk.ledger.first_seen_term_ends(run.campaign, run.partner.partner),
        partner_mpn_ids=await desk.mpn_ids([holdings[key].partner_mpn_id for key in ids]),
        confirmed=await desk.ledger.confirmed_conversions(run.campaign, run.partner.partner),
    )
    for verdict in classify(survey):
        if verdict.subscription.subscription_id in ids and verdict.klass is not SubscriptionClass.DUE:
            return (
                ConversionState.WAITING if unclear else ConversionState.HELD,
                f"{verdict.subscription.subscription_id} is {verdict.klass.value} by now: {verdict.reason}",
            )
    return None


def _on_other_terms(
    bundle: Sequence[Conversion], holdings: Mapping[str, Subscription], campaign: Campaign, desk: Desk
) -> Stop | None:
    """The overrides and the offer table have other terms or another product for it than the plan had."""
    for member in bundle:
        offer = campaign.offer(member.offer_id)
        asked = campaign.override_for(
            partner=desk.run.partner.partner, customer=member.customer_id, subscription=member.legacy_id
        )
        term, billing = terms_to_buy(holdings[member.legacy_id], offer, asked, member.route)
        facts = [
            ("term", member.term, term),
            ("billing cycle", member.billing, billing),
            ("seats", member.seats, asked.seats if asked is not None else None),
        ]
        if offer is not None and offer.product_and_sku is not None:
            facts.append(("product", member.expected_product_and_sku, offer.product_and_sku))
        changed = [
            f"{what} {then or 'none'}, now {now or 'none'}" for what, then, now in facts if then != now
        ]
        if changed:
            return (
                ConversionState.DRIFTED,
                f"the campaign wants {member.legacy_id} otherwise than it was planned: {', '.join(changed)}; "
                "start the partner again for a new plan",
            )
    return None


async def _not_as_planned(
    bundle: Sequence[Conversion],
    plan: PlanOnRecord,
    holdings: Mapping[str, Subscription],
    now_at: datetime,
    desk: Desk,
) -> Stop | None:
    """How what would be bought now differs from what was planned; asks Microsoft when the plan is old."""
    why: str | None = None
    for member in bundle:
        planned = plan.lines.get(member.legacy_id)
        if planned is None:
            why = why or f"{member.legacy_id} is not in plan {plan.short_hash}"
        elif changed := why_drifted(planned, holdings[member.legacy_id]):
            why = why or f"{member.legacy_id} is not as plan {plan.short_hash} has it: {changed}"
    if why is None and bundle[0].route is Route.MIGRATE and now_at - plan.made_at > VALIDATED_FOR:
        why = await _validated_otherwise(bundle, holdings, desk)
    return (
        None if why is None else (ConversionState.DRIFTED, f"{why}; start the partner again for a new plan")
    )


async def _validated_otherwise(
    bundle: Sequence[Conversion], holdings: Mapping[str, Subscription], desk: Desk
) -> str | None:
    eligibility = await desk.partner_center.validate_migration(_asked_for(bundle[0], holdings))
    if not eligibility.all_eligible:
        named = "; ".join(f"{r.description} (code {r.code})" for r in eligibility.all_refusals())
        return f"Microsoft refuses it now: {named or 'without a reason'}"
    item = eligibility.catalogue_item
    expected = bundle[0].expected_product_and_sku
    if item is not None and expected is not None and not item.upper().startswith(expected):
        return f"Microsoft would now turn it into {item}, planned was {expected}"
    return None


def _asked_for(line: Conversion, holdings: Mapping[str, Subscription]) -> ConversionRequest:
    legacy = holdings[line.legacy_id]
    return ConversionRequest(
        legacy_id=line.legacy_id,
        customer_id=line.customer_id,
        term=line.term if line.term != legacy.term else None,
        billing=line.billing if line.billing != legacy.billing else None,
        seats=seats_to_buy(line, legacy),
    )


async def _bought_by_hand(
    bundle: Sequence[Conversion], holdings: Iterable[Subscription], desk: Desk
) -> Stop | None:
    """An NCE subscription of the same product that nobody can place: neither success nor a reason to buy."""
    ours = await desk.ledger.conversions(desk.run.run_id)
    standing = await desk.ledger.standing_conversions(desk.run.campaign, desk.run.partner.partner)
    placed = {c.nce_subscription_id for c in (*ours, *standing.values())}
    placed |= {c.order_id for c in ours if c.order_id is not None}
    wanted = {m.expected_product_and_sku for m in bundle}
    for held in holdings:
        if is_unplaced(held, placed) and held.product_and_sku in wanted:
            return (
                ConversionState.HELD,
                f"NCE subscription {held.subscription_id} of the same product is there already: a person "
                "confirms whether it replaces this one",
            )
    return None


def _still_convertible(
    member: Conversion, holdings: Mapping[str, Subscription], campaign: Campaign, now_at: datetime
) -> Stop | None:
    successor = successor_of(member.legacy_id, holdings.values())
    if successor is not None:
        return (
            ConversionState.BY_OTHERS,
            f"somebody else moved it to NCE subscription {successor.subscription_id}",
        )
    legacy = holdings.get(member.legacy_id)
    if legacy is None:
        return ConversionState.REFUSED, "Partner Center does not list it any more"
    if legacy.status is not Status.ACTIVE:
        return ConversionState.REFUSED, f"it is {legacy.status.value}, no longer active"
    if legacy.term_end_at is not None and now_at >= refused_from(legacy.term_end_at, campaign.safety):
        return ConversionState.HELD, "it ends within 24 hours: a person decides about a full new term"
    return None


def seats_to_buy(line: Conversion, legacy: Subscription) -> int:
    """As many as legacy has at this moment, or more where an override asks for more: never fewer."""
    return max(line.seats or 0, legacy.seats)
