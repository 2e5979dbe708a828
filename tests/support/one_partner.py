"""One partner on the day of the cut-over, with everything in order: the stage for tests of steps.

Puts the fakes together and calls the steps as the DAG does. Leaves what a customer holds to each test.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from include.nce.domain.approval import Approval, ApprovalWord
from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import Conversion, ConversionState
from include.nce.domain.opt_out import OptOut
from include.nce.domain.readiness import MpaState, MpaStatus, PartnerOfRecord, ResellerLink
from include.nce.domain.subscription import Customer, Status, Subscription
from include.nce.steps.buy_nce import BatchReport, buy_nce
from include.nce.steps.cancel_legacy import Cancelled, cancel_legacy
from include.nce.steps.confirm_nce import Coverage, confirm_nce
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.open_run import open_run
from include.nce.steps.plan_conversions import Planned, plan_conversions
from tests.support.examples import (
    AUDIO,
    AUDIO_NCE,
    BASIC,
    BASIC_NCE,
    CAMPAIGN,
    CUSTOMER,
    EITHER,
    EITHER_NCE,
    MPN_ID,
    OTHER_CUSTOMER,
    PARTNER_TENANT,
    at,
    campaign,
    legacy_id,
    partner,
)
from tests.support.fake_clock import FakeClock
from tests.support.fake_ledger import FakeLedger
from tests.support.fake_partner_center import FakePartnerCenter

RUN = f"{CAMPAIGN}__rossi-informatica"
FOUNDING = campaign()
CUSTOMERS = [Customer(CUSTOMER, "Cantina Sociale"), Customer(OTHER_CUSTOMER, "Teatro")]


class OnePartner:
    """A run of one partner. `ledger` and `partner_center` may be wrapped; the fakes stay reachable."""

    def __init__(self, *, now_at: datetime | None = None) -> None:
        self.clock = FakeClock(now_at or at("2022-07-11 00:00"))
        self.records = FakeLedger()
        self.microsoft = FakePartnerCenter(
            self.clock,
            links=[ResellerLink(PARTNER_TENANT, "Rossi", True, "active", MPN_ID, "IT")],
            mpa={PARTNER_TENANT: MpaStatus(MpaState.SIGNED)},
            profiles={MPN_ID},
            of_record={MPN_ID: PartnerOfRecord.VALID},
            customers={PARTNER_TENANT: CUSTOMERS},
            accepted={CUSTOMER, OTHER_CUSTOMER},
            catalogue={BASIC: BASIC_NCE, AUDIO: AUDIO_NCE, EITHER: EITHER_NCE},
        )  # fmt: skip
        self.ledger: Any = self.records
        self.partner_center: Any = self.microsoft
        self.planned: Planned | None = None

    async def begin(
        self, *holdings: Subscription, mode: str = "apply", document: Campaign | None = None
    ) -> None:
        """Campaign and roster are in the ledger, the customers hold `holdings`, and the run is open."""
        self.microsoft.hold(*holdings)
        await self.records.import_campaign(document or FOUNDING, "anna", "founding")
        await self.records.enrol(CAMPAIGN, [partner()])
        await self.reopen(mode)

    async def reopen(self, mode: str) -> None:
        """The same run is started again in this mode."""
        await open_run(
            RUN, CAMPAIGN, "rossi-informatica", mode,
            partner_center=self.microsoft, ledger=self.records, clock=self.clock,
        )  # fmt: skip
        await honour_opt_out(RUN, partner_center=self.microsoft, ledger=self.records, clock=self.clock)

    async def plan(self, **options: Any) -> Planned:
        self.planned = await plan_conversions(
            RUN, partner_center=self.partner_center, ledger=self.ledger, clock=self.clock, **options
        )
        return self.planned

    @property
    def _batches(self) -> Sequence[tuple[str, int, int]]:
        assert self.planned is not None, "plan first"
        return [(RUN, self.planned.plan_id, number) for number in range(self.planned.batches)]

    async def buy(self) -> list[BatchReport]:
        return [
            await buy_nce(
                *batch, partner_center=self.partner_center, ledger=self.ledger, clock=self.clock,
                pause=self.clock.pause,
            )
            for batch in self._batches
        ]  # fmt: skip

    async def confirm(self) -> list[Coverage]:
        return [
            await confirm_nce(
                *batch, partner_center=self.partner_center, ledger=self.ledger, clock=self.clock
            )
            for batch in self._batches
        ]

    async def cancel(self) -> list[Cancelled]:
        return [
            await cancel_legacy(
                *batch, partner_center=self.partner_center, ledger=self.ledger, clock=self.clock
            )
            for batch in self._batches
        ]

    async def finish(self, *, hours: int = 4, rounds: int = 3) -> list[Cancelled]:
        """Wait and look as the DAG does, until nothing is pending or the rounds are over."""
        done: list[Cancelled] = []
        for _ in range(rounds):
            self.clock.advance(hours=hours)
            await self.confirm()
            done = await self.cancel()
            if not any(batch.pending for batch in done):
                break
        return done

    async def convert(self, *holdings: Subscription, **options: Any) -> list[Cancelled]:
        """From the first look to the last, when nothing goes wrong."""
        await self.begin(*holdings, **options)
        await self.plan()
        await self.buy()
        return await self.finish()

    async def approve(self, *, by: str = "olga", word: ApprovalWord = ApprovalWord.APPROVED) -> None:
        """A person's word on the latest plan."""
        assert self.planned is not None, "plan first"
        said = Approval(self.planned.hash, word, by, self.clock.now_at)
        await self.records.record_approval(CAMPAIGN, "rossi-informatica", said)

    async def opt_out(self, received_at: datetime, customer_id: str | None = None) -> None:
        await self.records.record_opt_out(
            CAMPAIGN, OptOut("rossi-informatica", received_at, "anna", customer_id)
        )

    def conversion(self, number: int = 1) -> Conversion:
        """The ledger's record of `legacy_id(number)`."""
        known = {c.legacy_id: c for c in self.records._conversions.values()}
        return known[legacy_id(number)]

    def state(self, number: int = 1) -> ConversionState:
        return self.conversion(number).state

    def legacy_status(self, number: int = 1) -> Status:
        return self.microsoft.held[legacy_id(number)].status

    def bought(self, number: int = 1) -> int:
        """How many NCE subscriptions were made for `legacy_id(number)`."""
        return len(self.microsoft.bought.get(legacy_id(number), []))

    def assert_rules(self) -> None:
        """The rules of money that hold at every moment, whatever happened."""
        held = self.microsoft.held
        for legacy, made in self.microsoft.bought.items():
            assert len(made) <= 1, f"{legacy} was bought {len(made)} times"
        suspended = {sent.about for sent in self.microsoft.sent_of("suspend")}
        for legacy in suspended:
            covering = [held[made] for made in self.microsoft.bought.get(legacy, [])]
            assert any(s.status is Status.ACTIVE and s.seats >= held[legacy].seats for s in covering), (
                f"{legacy} was suspended and nothing covers it"
            )
        known = {command.request_id for command in self.records.commands.values()}
        for sent in self.microsoft.sent:
            if sent.operation != "create_cart":
                assert sent.request_id in known, f"{sent} was sent without an intention on record"
