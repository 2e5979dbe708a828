"""Reading what a partner's customers hold, and judging all of it at once.

Used wherever subscriptions are classified: when a run opens, when an opt-out is honoured, and by the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from include.nce.domain.campaign import Campaign
from include.nce.domain.classification import Survey, Verdict, candidates, classify
from include.nce.domain.conversion import ConversionRequest, Eligibility, Refusal
from include.nce.domain.errors import PartnerCenterFault
from include.nce.domain.opt_out import OptOutRuling
from include.nce.domain.partner import Partner
from include.nce.domain.readiness import Finding, ResellerLink
from include.nce.domain.run import Run
from include.nce.domain.subscription import Customer, Subscription
from include.nce.steps.ports import Ledger, PartnerCenter


@dataclass(frozen=True)
class Holdings:
    """A partner's customers and those of their subscriptions that are this partner's."""

    customers: Sequence[Customer]
    subscriptions: Sequence[Subscription]
    links: Sequence[ResellerLink]

    def mpn_ids(self, partner: Partner) -> frozenset[str]:
        own = {link.mpn_id for link in self.links if link.tenant_id == partner.tenant_id}
        return frozenset(mpn for mpn in own | {partner.mpn_id} if mpn)


async def read_holdings(partner: Partner, partner_center: PartnerCenter) -> Holdings:
    """Every subscription of every customer, less those of which another reseller is partner of record."""
    links = await partner_center.resellers()
    others = {
        link.mpn_id
        for link in links
        if link.mpn_id and link.tenant_id != partner.tenant_id and link.mpn_id != partner.mpn_id
    }
    customers: list[Customer] = []
    subscriptions: list[Subscription] = []
    async for customer in partner_center.customers_of(partner.tenant_id):
        customers.append(customer)
        for subscription in await partner_center.subscriptions_of(customer.customer_id):
            if subscription.partner_mpn_id not in others:
                subscriptions.append(subscription)
    return Holdings(customers, subscriptions, links)


async def judge(
    run: Run,
    campaign: Campaign,
    holdings: Holdings,
    *,
    findings: Sequence[Finding],
    opt_outs: OptOutRuling,
    now_at: datetime,
    ledger: Ledger,
    partner_center: PartnerCenter | None = None,
) -> list[Verdict]:
    """The verdict on each subscription; with a `partner_center`, Microsoft's validation is asked as well."""
    survey = Survey(
        partner=run.partner,
        campaign=campaign,
        now_at=now_at,
        subscriptions=holdings.subscriptions,
        findings=findings,
        opt_outs=opt_outs,
        conversions=await ledger.standing_conversions(run.campaign, run.partner.partner),
        first_seen_term_end_at=await ledger.first_seen_term_ends(run.campaign, run.partner.partner),
        partner_mpn_ids=holdings.mpn_ids(run.partner),
        confirmed=await ledger.confirmed_conversions(run.campaign, run.partner.partner),
    )
    if partner_center is not None:
        survey = replace(survey, eligibilities=await _validate(survey, partner_center))
    return classify(survey)


async def _validate(survey: Survey, partner_center: PartnerCenter) -> dict[str, Eligibility]:
    """Ask about what would really be created: the changed term, billing and seats, not legacy's."""
    answers = {}
    for verdict in candidates(survey):
        legacy = verdict.subscription
        if legacy.subscription_id in survey.conversions:
            continue
        request = ConversionRequest(
            legacy_id=legacy.subscription_id,
            customer_id=legacy.customer_id,
            term=verdict.term if verdict.term != legacy.term else None,
            billing=verdict.billing if verdict.billing != legacy.billing else None,
            seats=verdict.seats if verdict.seats != legacy.seats else None,
        )
        try:
            answers[legacy.subscription_id] = await partner_center.validate_migration(request)
        except PartnerCenterFault as fault:
            if fault.failure_class.is_everybodys:
                raise
            refusal = Refusal(fault.code, fault.sentence)
            answers[legacy.subscription_id] = Eligibility(legacy.subscription_id, False, refusals=(refusal,))
    return answers
