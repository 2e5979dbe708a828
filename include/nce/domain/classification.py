"""What becomes of each legacy subscription: the classes, and the one rule that assigns them.

Classified by the subscription's offer, not by its customer. Everything the rule needs is handed in; it reads
no clock, asks nobody and knows no ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from include.nce.domain.campaign import Campaign, Offer, Override
from include.nce.domain.conversion import (
    Conversion,
    ConversionState,
    Eligibility,
    Refusal,
    Route,
    bundles,
    is_longer_commitment,
    last_safe_start_at,
    refused_from,
    window_opens_at,
)
from include.nce.domain.lineage import has_ended, is_over, is_same_product, is_unplaced, successor_of
from include.nce.domain.opt_out import OptOutRuling, OptOutVerdict
from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Finding, Owner
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind


class SubscriptionClass(str, Enum):
    EXEMPT = "exempt"
    NOT_LEGACY = "not_legacy"
    RENEWS_IN_LEGACY = "renews_in_legacy"
    LAPSES = "lapses"
    OPTED_OUT = "opted_out"
    ALREADY_MIGRATED = "already_migrated"
    HELD = "held"
    NOT_ELIGIBLE = "not_eligible"
    SCHEDULED = "scheduled"
    DUE = "due"
    CONVERTED = "converted"
    FAILED = "failed"
    UNDONE = "undone"


AT_RISK = frozenset(
    {
        SubscriptionClass.LAPSES,
        SubscriptionClass.OPTED_OUT,
        SubscriptionClass.HELD,
        SubscriptionClass.NOT_ELIGIBLE,
        SubscriptionClass.FAILED,
        SubscriptionClass.UNDONE,
    }
)
"""Classes whose subscriptions may end without a successor: they stay on the at-risk list."""


_CAME_TO = {
    ConversionState.CONVERTED: SubscriptionClass.CONVERTED,
    ConversionState.BY_OTHERS: SubscriptionClass.ALREADY_MIGRATED,
    ConversionState.REFUSED: SubscriptionClass.FAILED,
    ConversionState.FAILED: SubscriptionClass.FAILED,
    ConversionState.STRANDED: SubscriptionClass.FAILED,
    ConversionState.HELD: SubscriptionClass.HELD,
    ConversionState.UNDOING: SubscriptionClass.HELD,
    ConversionState.UNDONE: SubscriptionClass.UNDONE,
    ConversionState.LATER: SubscriptionClass.HELD,
}


def class_of(state: ConversionState) -> SubscriptionClass | None:
    """What a conversion came to; None while the class of its plan's line stands."""
    return _CAME_TO.get(state)


def effective_class(planned: SubscriptionClass, state: ConversionState | None) -> SubscriptionClass:
    """The class of a plan's line by what its conversion came to, if it has one."""
    return planned if state is None else class_of(state) or planned


@dataclass(frozen=True)
class Verdict:
    """The class of one subscription, with what an operator needs to act on it.

    `bundle` are the add-ons that travel with it; an add-on's own verdict names its base in `travels_with`.
    `warning` is set on what goes on but deserves a look. `seats` is set where an override asks for a number;
    otherwise legacy's count, and that is read when buying.
    """

    subscription: Subscription
    klass: SubscriptionClass
    reason: str
    owner: Owner = Owner.NOBODY
    remedy: str = ""
    warning: str = ""
    route: Route | None = None
    term: str | None = None
    billing: str | None = None
    seats: int | None = None
    window_opens_at: datetime | None = None
    last_safe_start_at: datetime | None = None
    travels_with: str | None = None
    nce_subscription_id: str | None = None
    bundle: tuple[str, ...] = ()
    expected_product_and_sku: str | None = None
    """`product:sku` the NCE subscription must be of before it counts as covering this one."""
    begun: bool = False
    """An earlier plan's conversion of it is on record: it is carried on or finished, never bought again."""


@dataclass(frozen=True)
class Survey:
    """All that is known about one partner when its subscriptions are classified."""

    partner: Partner
    campaign: Campaign
    now_at: datetime
    subscriptions: Sequence[Subscription]
    findings: Sequence[Finding]
    opt_outs: OptOutRuling
    eligibilities: Mapping[str, Eligibility] = field(default_factory=dict)
    conversions: Mapping[str, Conversion] = field(default_factory=dict)
    """Legacy id -> our conversion that is under way, converted, being taken back or taken back."""
    first_seen_term_end_at: Mapping[str, datetime] = field(default_factory=dict)
    partner_mpn_ids: frozenset[str] = frozenset()
    """The PartnerIDs under which this partner may be partner of record: the roster's and Partner Center's."""
    confirmed: frozenset[str] = frozenset()
    """Legacy ids a person decided to convert although auto-renew is off."""


def classify(survey: Survey) -> list[Verdict]:
    """One verdict for each subscription, add-ons after their base."""
    by_id = {s.subscription_id: s for s in survey.subscriptions}
    replaces = {ours.nce_subscription_id: legacy_id for legacy_id, ours in survey.conversions.items()}
    verdicts: list[Verdict] = [
        Verdict(s, SubscriptionClass.NOT_LEGACY, _why_not_legacy(s, replaces.get(s.subscription_id)))
        for s in survey.subscriptions
        if not s.is_legacy
    ]
    for base_id, add_ons in bundles(survey.subscriptions).items():
        verdicts.extend(_classify_bundle(by_id[base_id], add_ons, survey))
    return verdicts


def candidates(survey: Survey) -> list[Verdict]:
    """The base subscriptions about which Microsoft's validation is asked before they are planned."""
    return [
        v
        for v in classify(survey)
        if v.klass in (SubscriptionClass.DUE, SubscriptionClass.SCHEDULED)
        and v.route is Route.MIGRATE
        and v.travels_with is None
    ]


_NOT_LEGACY = {
    SubscriptionKind.NCE: "New Commerce already: nothing to convert.",
    SubscriptionKind.AZURE: "Azure subscription: not part of this campaign.",
    SubscriptionKind.SOFTWARE: "Software or marketplace subscription: not part of this campaign.",
}


def _why_not_legacy(subscription: Subscription, replaces: str | None) -> str:
    legacy_id = subscription.migrated_from_id or replaces
    if subscription.kind is SubscriptionKind.NCE and legacy_id is not None:
        return f"New Commerce already, in place of legacy subscription {legacy_id}: nothing to convert."
    return _NOT_LEGACY[subscription.kind]


_GOES_TO_NCE = (SubscriptionClass.DUE, SubscriptionClass.SCHEDULED)


def _classify_bundle(base: Subscription, add_ons: list[Subscription], survey: Survey) -> list[Verdict]:
    own = _classify_one(base, survey)
    if own.klass not in _GOES_TO_NCE:
        return [own, *(_beside(own, a, survey) for a in add_ons)]
    alone = [_classify_one(a, survey) for a in add_ons]
    moving = [_travelling(v, own, survey) for v in alone if not _stays_behind(v, survey)]
    blocker = next((v for v in moving if v.klass not in _GOES_TO_NCE), None)
    if blocker is not None and base.subscription_id not in survey.conversions:
        held = _blocked(own, blocker)
        return [held, *(_beside(held, a, survey) for a in add_ons)]
    fate = {v.subscription.subscription_id: v for v in [*alone, *moving]}
    bundle = tuple(key for key, v in fate.items() if v.travels_with == base.subscription_id)
    return [replace(own, bundle=bundle), *fate.values()]


def _stays_behind(add_on: Verdict, survey: Survey) -> bool:
    """Its own story is told already, or it ends before its base moves. What cannot be read may be active."""
    return (
        add_on.subscription.subscription_id in survey.conversions
        or has_ended(add_on.subscription)
        or add_on.klass in (SubscriptionClass.ALREADY_MIGRATED, SubscriptionClass.LAPSES)
    )


def _travelling(alone: Verdict, base: Verdict, survey: Survey) -> Verdict:
    """An add-on moves when its base does, whatever its own term end says; what forbids it forbids both."""
    add_on = alone.subscription
    own = _classify_one(add_on, survey, with_base=True)
    if own.klass not in _GOES_TO_NCE:
        return own
    offer = survey.campaign.offer(add_on.offer_id)
    if base.route is Route.PURCHASE and (offer is None or offer.purchase is None):
        return Verdict(
            add_on,
            SubscriptionClass.HELD,
            "its base has to be bought, and for this one no purchase is mapped.",
            Owner.OPERATOR,
            FIX_FOR_REFUSAL[NO_MIGRATION_PATH],
        )
    route = base.route or Route.MIGRATE
    term, billing = terms_to_buy(add_on, offer, _override(add_on, survey), route)
    return replace(
        own,
        klass=base.klass,
        route=route,
        term=term,
        billing=billing,
        window_opens_at=base.window_opens_at,
        reason=f"Travels with its base subscription {base.subscription.subscription_id}.",
        travels_with=base.subscription.subscription_id,
    )


def _blocked(base: Verdict, blocker: Verdict) -> Verdict:
    add_on = blocker.subscription
    telling = (SubscriptionClass.OPTED_OUT, SubscriptionClass.NOT_ELIGIBLE)
    return Verdict(
        base.subscription,
        blocker.klass if blocker.klass in telling else SubscriptionClass.HELD,
        f"Its add-on {add_on.offer_name} ({add_on.subscription_id}) blocks the bundle: {blocker.reason}",
        blocker.owner if blocker.owner is not Owner.NOBODY else Owner.OPERATOR,
        blocker.remedy or "An operator decides with the partner what becomes of the add-on.",
        last_safe_start_at=base.last_safe_start_at,
    )


def _beside(base: Verdict, add_on: Subscription, survey: Survey) -> Verdict:
    """An add-on whose base does not move now: it waits too, unless the base left legacy for good."""
    own = _classify_one(add_on, survey)
    stands_alone = base.klass in (
        SubscriptionClass.CONVERTED,
        SubscriptionClass.ALREADY_MIGRATED,
        SubscriptionClass.EXEMPT,
    )
    if add_on.subscription_id in survey.conversions:
        # What was begun with the base is finished without it.
        return replace(own, travels_with=None)
    if stands_alone or own.klass not in _GOES_TO_NCE:
        return own
    return Verdict(
        add_on, base.klass, f"Travels with its base subscription, which is {base.klass.value}: {base.reason}",
        base.owner, base.remedy, travels_with=base.subscription.subscription_id,
    )  # fmt: skip


def _classify_one(s: Subscription, survey: Survey, *, with_base: bool = False) -> Verdict:
    """The verdict on one subscription. `with_base`: its base moves, so its own term end settles nothing."""
    campaign = survey.campaign

    def verdict(
        klass: SubscriptionClass, reason: str, owner: Owner = Owner.NOBODY, remedy: str = ""
    ) -> Verdict:
        return Verdict(s, klass, reason, owner, remedy)

    conversion = survey.conversions.get(s.subscription_id)
    if conversion is not None:
        return _by_conversion(s, conversion)

    successor = successor_of(s.subscription_id, survey.subscriptions)
    if successor is not None:
        found = verdict(
            SubscriptionClass.ALREADY_MIGRATED,
            f"Somebody else already moved it to NCE subscription {successor.subscription_id}.",
        )
        return replace(found, nce_subscription_id=successor.subscription_id)
    if s.is_trial:
        return verdict(SubscriptionClass.NOT_LEGACY, "Trial subscription: not part of this campaign.")

    offer = campaign.offer(s.offer_id)
    if offer is not None and offer.segment in campaign.exempt_segments:
        return verdict(
            SubscriptionClass.EXEMPT,
            f"{offer.segment.value.capitalize()} offer: it stays renewable in legacy.",
        )
    if is_over(s):
        return verdict(SubscriptionClass.LAPSES, f"It is {s.status.value}: it has already ended.")
    if s.term_end_at is None:
        return verdict(
            SubscriptionClass.HELD, "Partner Center gives no term end for it.", Owner.OPERATOR,
            "An operator looks it up in Partner Center and decides.",
        )  # fmt: skip

    timed = None if with_base else _by_term_end(s, s.term_end_at, survey)
    if timed is not None:
        return timed
    if survey.opt_outs.for_customer(s.customer_id) is OptOutVerdict.IN_TIME:
        return verdict(
            SubscriptionClass.OPTED_OUT,
            "Opted out in time: we neither buy nor cancel. Without the partner it ends with its term.",
            Owner.PARTNER,
            "The partner moves it to NCE itself before the term ends.",
        )
    if s.status is not Status.ACTIVE:
        return verdict(
            SubscriptionClass.NOT_ELIGIBLE, f"It is {s.status.value}, and only active subscriptions convert.",
            Owner.OPERATOR, "An operator reactivates it if the customer still wants it, or lets it end.",
        )  # fmt: skip
    if offer is None:
        return verdict(
            SubscriptionClass.HELD,
            f"Offer {s.offer_id} ({s.offer_name}) is not in the offer table: nobody knows its segment.",
            Owner.OPERATOR, "An operator adds it with its segment to the campaign file.",
        )  # fmt: skip
    return _hold(s, offer, survey) or _convertible(s, s.term_end_at, offer, survey)


def _by_conversion(s: Subscription, conversion: Conversion) -> Verdict:
    """What we began is carried on or finished, and what was taken back is left alone."""
    klass = SubscriptionClass.DUE if conversion.state.is_under_way else _CAME_TO[conversion.state]
    reason = conversion.reason or "Converted by us."
    if conversion.state.is_under_way:
        why = f": {conversion.reason}" if conversion.reason else "."
        reason = f"Its conversion is {conversion.state.value}{why}"
    owner, remedy = _AFTER_UNDO.get(klass, (Owner.NOBODY, ""))
    return Verdict(
        s, klass, reason, owner, remedy, route=conversion.route,
        nce_subscription_id=conversion.nce_subscription_id,
        travels_with=conversion.base_id if conversion.base_id != s.subscription_id else None,
        begun=True,
    )  # fmt: skip


_AFTER_UNDO = {
    SubscriptionClass.HELD: (Owner.OPERATOR, "An operator looks at its case: nce undo list."),
    SubscriptionClass.UNDONE: (
        Owner.PARTNER,
        "The partner moves it to NCE itself before its term ends. A person may decide to convert it again: "
        "nce decide convert.",
    ),
}


def _by_term_end(s: Subscription, term_end_at: datetime, survey: Survey) -> Verdict | None:
    """Whether the last legacy renewal still settles it: renewed, renews once more, or lapses."""
    last_renewal_ends_at = survey.campaign.last_legacy_renewal_ends_at()
    if s.status is not Status.ACTIVE:
        return None
    if term_end_at < last_renewal_ends_at:
        return _renews(s, term_end_at, survey) if s.auto_renew else Verdict(
            s, SubscriptionClass.LAPSES, "Auto-renew is off and the term ends before the last renewal day.",
            Owner.PARTNER, "The partner renews or replaces it, if the customer still wants it.",
        )  # fmt: skip
    first_seen = survey.first_seen_term_end_at.get(s.subscription_id)
    renewed = first_seen is not None and first_seen < last_renewal_ends_at
    lead_opens_at = term_end_at - timedelta(days=survey.campaign.window.lead_days)
    if renewed and s.auto_renew and survey.now_at < lead_opens_at:
        return Verdict(
            s,
            SubscriptionClass.RENEWS_IN_LEGACY,
            f"It renewed once more in legacy and runs to {term_end_at:%Y-%m-%d}.",
            window_opens_at=lead_opens_at,
        )
    return None


_RENEWAL_TAKES = timedelta(days=2)
"""A renewal runs from 00:01 UTC of the day after the term end, for up to 24 hours."""


def _renews(s: Subscription, term_end_at: datetime, survey: Survey) -> Verdict:
    renews = Verdict(s, SubscriptionClass.RENEWS_IN_LEGACY, "It renews once more in legacy.")
    if survey.now_at >= term_end_at + _RENEWAL_TAKES:
        return replace(
            renews, reason=f"It should have renewed on {term_end_at:%Y-%m-%d}, and no later term end shows.",
            owner=Owner.OPERATOR, remedy="An operator looks it up in Partner Center.", warning="not renewed",
        )  # fmt: skip
    if term_end_at >= survey.campaign.last_legacy_renewal_ends_at() - timedelta(days=1):
        return replace(
            renews,
            reason="It ends on the last day on which legacy renews: whether it did is certain a day later.",
            owner=Owner.OPERATOR, remedy="An operator looks at it after the renewal has run.",
            warning="grey day",
        )  # fmt: skip
    return renews


def _hold(s: Subscription, offer: Offer, survey: Survey) -> Verdict | None:
    """Reasons that keep a subscription with a person, a partner or a customer before it can be converted."""

    def held(reason: str, remedy: str) -> Verdict:
        return Verdict(s, SubscriptionClass.HELD, reason, Owner.OPERATOR, remedy)

    if s.partner_mpn_id is None:
        return held(
            "No partner of record is set on it, so nobody knows which partner it belongs to.",
            "An operator sets the reseller's PartnerID on it in Partner Center.",
        )
    if survey.partner_mpn_ids and s.partner_mpn_id not in survey.partner_mpn_ids:
        return held(
            f"Its partner of record is PartnerID {s.partner_mpn_id}, which is not this partner's.",
            "An operator finds out whose it is, and corrects the PartnerID on it in Partner Center.",
        )
    if not s.auto_renew and s.subscription_id not in survey.confirmed:
        return held(
            "Auto-renew is off and the term ends after the last legacy renewal: on purpose or not.",
            "A person decides with the partner whether to convert it or let it end.",
        )
    missing = next((v for f in survey.findings if (v := _held_by(f, s)) is not None), None)
    if missing is not None:
        return missing
    if survey.opt_outs.for_customer(s.customer_id) is OptOutVerdict.LATE:
        return held(
            "An opt-out arrived after the deadline.", "A person decides with the partner whether it counts."
        )
    candidate = _same_sku_candidate(s, offer, survey)
    if candidate is not None:
        return held(
            f"The customer also holds NCE subscription {candidate.subscription_id} of the same product, "
            "which does not say where it came from: it may be this one's successor.",
            "A person confirms whether it replaces this subscription.",
        )
    return None


def _held_by(finding: Finding, s: Subscription) -> Verdict | None:
    """What a check that is not in order means for this subscription."""
    if finding.satisfied:
        return None
    reason = f"{finding.check.value}: {finding.reason}"
    if finding.blocks_partner:
        return Verdict(s, SubscriptionClass.HELD, reason, finding.owner, finding.remedy)
    if s.customer_id in finding.missing_customers:
        reason = "This customer has not accepted the Microsoft Customer Agreement."
        return Verdict(s, SubscriptionClass.HELD, reason, finding.owner, finding.remedy)
    if not finding.missing_customers:
        again = "It is asked again in the next run."
        return Verdict(s, SubscriptionClass.HELD, reason, Owner.PROVIDER, again)
    return None


def _same_sku_candidate(s: Subscription, offer: Offer, survey: Survey) -> Subscription | None:
    if offer.product_and_sku is None:
        return None
    placed = {conversion.nce_subscription_id for conversion in survey.conversions.values()}
    candidates = (
        nce
        for nce in survey.subscriptions
        if nce.customer_id == s.customer_id
        and is_unplaced(nce, placed)
        and is_same_product(nce, offer.product_and_sku)
    )
    return min(candidates, key=lambda nce: nce.subscription_id, default=None)


def _convertible(s: Subscription, term_end_at: datetime, offer: Offer, survey: Survey) -> Verdict:
    """Not held: is it due, not yet, too late, or refused by Microsoft?"""
    campaign = survey.campaign
    asked = _override(s, survey)
    opens_at = window_opens_at(term_end_at, campaign)
    safe_until = last_safe_start_at(term_end_at, campaign.safety)
    open_now = survey.now_at >= opens_at

    def stays(klass: SubscriptionClass, reason: str, remedy: str) -> Verdict:
        return Verdict(s, klass, reason, Owner.OPERATOR, remedy, last_safe_start_at=safe_until)

    if is_longer_commitment(s.term, asked.term) and asked.approved_by is None:
        return stays(
            SubscriptionClass.HELD,
            f"The override asks for term {asked.term}, longer than {s.term or 'P1Y'}: a new commitment.",
            "Somebody approves it: 'approved_by' in the campaign's override.",
        )
    if max(survey.now_at, opens_at) >= refused_from(term_end_at, campaign.safety):
        when = "now" if open_now else f"when it may first be converted ({opens_at:%Y-%m-%d %H:%M} UTC)"
        return stays(
            SubscriptionClass.HELD,
            f"It ends within {campaign.safety.refusal_hours} hours {when}: Microsoft converts it then only "
            "into a full new term.",
            "A person decides about a full new term before it ends.",
        )

    route = Route(offer.route)
    eligibility = _eligibility_of(s, survey) if route is Route.MIGRATE else None
    if eligibility is not None and not eligibility.all_eligible:
        named = eligibility.all_refusals()
        refusals = [r for r in named if open_now or r.code not in _RESOLVED_BY_TIME]
        if offer.purchase is not None and refusals and {r.code for r in refusals} == {NO_MIGRATION_PATH}:
            route, eligibility = Route.PURCHASE, None
        elif refusals or not named:
            words = "; ".join(_in_words(r) for r in refusals) or "without a reason"
            fix = next((FIX_FOR_REFUSAL[r.code] for r in refusals if r.code in FIX_FOR_REFUSAL), None)
            return stays(
                SubscriptionClass.NOT_ELIGIBLE,
                f"Microsoft refuses: {words}",
                fix or "An operator decides with the partner what to do.",
            )

    term, billing = terms_to_buy(s, offer, asked, route)
    if is_longer_commitment(s.term, term) and asked.approved_by is None:
        return stays(
            SubscriptionClass.HELD,
            f"The offer table would buy it for term {term}, longer than {s.term or 'P1Y'}: a new commitment.",
            "Somebody approves it: an override with 'approved_by' in the campaign file.",
        )
    mapped, announced = offer.product_and_sku, _product_and_sku(eligibility)
    if mapped is not None and announced is not None and mapped != announced:
        return stays(
            SubscriptionClass.HELD,
            f"Microsoft would turn it into {announced}, the campaign's offer table says {mapped}.",
            "An operator finds out which is right and corrects the offer table.",
        )
    return Verdict(
        s,
        SubscriptionClass.DUE if open_now else SubscriptionClass.SCHEDULED,
        "Convertible now." if open_now else f"Convertible from {opens_at:%Y-%m-%d %H:%M} UTC on.",
        warning="past its last safe start" if open_now and survey.now_at > safe_until else "",
        route=route,
        term=term,
        billing=billing,
        seats=asked.seats,
        window_opens_at=opens_at,
        last_safe_start_at=safe_until,
        expected_product_and_sku=announced or mapped,
    )


def _override(s: Subscription, survey: Survey) -> Override:
    override = survey.campaign.override_for(
        partner=survey.partner.partner, customer=s.customer_id, subscription=s.subscription_id
    )
    return override or _NOTHING_OVERRIDDEN


_NOTHING_OVERRIDDEN = Override(reason="nothing is overridden")


def terms_to_buy(
    s: Subscription, offer: Offer | None, asked: Override | None, route: Route
) -> tuple[str | None, str | None]:
    """Term and billing cycle: the override's, else legacy's own, else those of what is bought. A migration
    keeps legacy's where neither is known."""
    target = offer.purchase if offer is not None and route is Route.PURCHASE else None
    asked = asked or _NOTHING_OVERRIDDEN
    return (
        asked.term or s.term or (target.term if target is not None else None),
        asked.billing or s.billing or (target.billing if target is not None else None),
    )


def _in_words(refusal: Refusal) -> str:
    return refusal.description + (f" (code {refusal.code})" if refusal.code is not None else "")


def _eligibility_of(s: Subscription, survey: Survey) -> Eligibility | None:
    """Microsoft's word on it: of its own, or as an add-on inside the answer about its base."""
    own = survey.eligibilities.get(s.subscription_id)
    if own is None and s.parent_id is not None and s.parent_id in survey.eligibilities:
        return next(
            (e for e in survey.eligibilities[s.parent_id].add_ons if e.legacy_id == s.subscription_id), None
        )
    return own


def _product_and_sku(eligibility: Eligibility | None) -> str | None:
    if eligibility is None or eligibility.catalogue_item is None:
        return None
    return ":".join(eligibility.catalogue_item.upper().split(":")[:2])


NO_MIGRATION_PATH = 5
_RESOLVED_BY_TIME = frozenset({1, 7})
"""Being processed, and the first month after purchase: nobody's business before the window opens."""

FIX_FOR_REFUSAL: Mapping[int | None, str] = {
    0: "An operator reactivates the subscription, if the customer still wants it.",
    1: "It is being processed at Microsoft: run this partner again later.",
    2: "A person decides about a full new term before it ends.",
    3: "A person decides whether to give up the promotion, after it ends or by buying NCE by hand.",
    4: "An operator removes or converts the add-on that blocks it.",
    5: "An operator adds a purchase mapping for this offer, or the partner picks another product.",
    6: "An operator sets a term and billing cycle that NCE has, as an override in the campaign file.",
    7: "Run this partner again when the subscription is a month old.",
    8: "The provider's compliance team clears the customer's trade status with Microsoft.",
    9: "The partner corrects its PartnerID, and an operator sets it on the subscription.",
    10: "A person decides about a full new term before it ends.",
    11: "An operator corrects the custom end date.",
    12: "An operator corrects the custom end date.",
}
"""What helps against each of Microsoft's eligibility codes (contract, section 8.1)."""
