"""What one execution of `buy_nce` works with: its run, the world, and what was read of it a moment ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from include.nce.domain.approval import Approval, PlanOnRecord
from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.domain.errors import PartnerCenterFault
from include.nce.domain.readiness import Finding
from include.nce.domain.run import Run
from include.nce.domain.subscription import Subscription
from include.nce.steps.brake import MayNotBuy, why_not_buy
from include.nce.steps.ports import Clock, Ledger, PartnerCenter
from include.nce.steps.readiness import ask_all

FRESH_FOR = timedelta(minutes=1)
"""How old what a customer holds may be when its next line gets its last look."""


@dataclass
class Desk:
    """What one execution of the step works with; what the customer at hand holds is read once a minute."""

    run: Run
    partner_center: PartnerCenter
    ledger: Ledger
    clock: Clock
    holdings: dict[str, Sequence[Subscription]] = field(default_factory=dict)
    read_at: datetime | None = None
    plans: dict[int, PlanOnRecord] = field(default_factory=dict)
    seen: dict[int, Conversion] = field(default_factory=dict)
    checked: Sequence[Finding] | None = None
    busy: list[str] = field(default_factory=list)
    wait_seconds: float = 0.0
    halted: str = ""
    """Why the campaign or the partner's wave lets nothing be bought now."""
    provider_fault: PartnerCenterFault | None = None
    """What our own credentials or rights lack; no line is refused for it."""
    turn: str = ""
    """What the purchases of this pass that came too early wait for."""

    def is_ours(self, conversion: Conversion) -> bool:
        """Whether it was planned for this run's partner in this run's campaign."""
        return self.run.owns(conversion.campaign, conversion.partner)

    async def refuse_unless_it_may_buy(self) -> None:
        """Whether the partner may buy at all; pulls the brake itself when the figures say so."""
        campaign = await self.ledger.campaign(self.run.campaign)
        halted = await why_not_buy(
            campaign, self.run.partner.partner, ledger=self.ledger, now_at=await self.clock.now()
        )
        if halted:
            raise MayNotBuy(halted)

    def saw(self, members: Sequence[Conversion]) -> None:
        """These are as they stand on record now."""
        self.seen.update({member.conversion_id: member for member in members})

    async def plan_of(self, conversion: Conversion) -> PlanOnRecord | None:
        if conversion.plan_id is None:
            return None
        if conversion.plan_id not in self.plans:
            self.plans[conversion.plan_id] = await self.ledger.plan(conversion.plan_id)
        return self.plans[conversion.plan_id]

    async def findings(self, *, stale: bool) -> Sequence[Finding]:
        """What the four checks said when it was planned; once `stale`, what they say now."""
        if not stale:
            return await self.ledger.findings(self.run.run_id)
        if self.checked is None:
            campaign = await self.ledger.campaign(self.run.campaign)
            self.checked = await ask_all(self.run.partner, campaign, self.partner_center)
            for finding in self.checked:
                await self.ledger.record_finding(self.run.run_id, finding, at=await self.clock.now())
        return self.checked

    async def mpn_ids(self, named: Sequence[str | None]) -> frozenset[str]:
        """The PartnerIDs that are this partner's; Partner Center is asked only about one the roster lacks."""
        known = frozenset(filter(None, [self.run.partner.mpn_id]))
        if not known or not known.issuperset(filter(None, named)):
            links = await self.partner_center.resellers()
            known |= {
                link.mpn_id for link in links if link.tenant_id == self.run.partner.tenant_id and link.mpn_id
            }
        return known

    async def word_on(self, plan: PlanOnRecord) -> Approval | None:
        return await self.ledger.approval(self.run.campaign, self.run.partner.partner, plan.hash)

    async def read_anew_if_old(self) -> None:
        """For the next last look: a customer with many lines is bought for longer than a moment."""
        if self.read_at is not None and await self.clock.now() - self.read_at >= FRESH_FOR:
            self.holdings.clear()

    async def fresh(self, customer_id: str) -> Sequence[Subscription]:
        if customer_id not in self.holdings:
            self.holdings.clear()
            self.read_at = await self.clock.now()
            self.holdings[customer_id] = await self.partner_center.subscriptions_of(customer_id)
        return self.holdings[customer_id]

    async def move(
        self, bundle: Sequence[Conversion], state: ConversionState, reason: str = "", **facts: Any
    ) -> None:
        """Raises `Overtaken` when another process has moved one of them, or planned it anew, since this one
        saw it last."""
        now_at = await self.clock.now()
        for conversion in bundle:
            seen = self.seen[conversion.conversion_id]
            self.seen[conversion.conversion_id] = await self.ledger.advance(
                seen, state, reason, at=now_at, **facts
            )
