"""The part of the ledger in memory that is compared with Partner Center; see `fake_ledger`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from include.nce.domain.brake import CoverageSignals
from include.nce.domain.classification import Verdict, effective_class
from include.nce.domain.comparison import FindingChanges, KnownHoldings, ReconcileTally
from include.nce.domain.conversion import Conversion
from include.nce.domain.reconciliation import (
    CoverageGap,
    Discrepancy,
    KnownLine,
)
from include.nce.domain.run import BatchReference
from include.nce.domain.subscription import Subscription


@dataclass
class Standing:
    """One finding for its life; `told` is what happened to it: the event and its sentence at that time."""

    found: Discrepancy
    is_open: bool = True
    times: int = 1
    told: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Note:
    """When and how a partner was last compared."""

    run_id: str
    lines: int
    compared: int
    unread: str


class FakeFindings:
    """Mixed into `FakeLedger`, whose surveys, plans and conversions it reads."""

    versions: dict[str, Any]
    roster: dict[tuple[str, str], Any]
    runs: dict[str, Any]
    commands: dict[int, Any]
    _surveyed: dict[tuple[str, str, str], Subscription]
    _plans: list[Any]
    _conversions: dict[int, Conversion]
    _command_of: dict[int, int]

    def __init__(self) -> None:
        super().__init__()
        self.findings_on_record: dict[tuple[str, str], dict[tuple[str, str], Standing]] = {}
        """(campaign, partner) -> (subscription, kind) -> the finding."""
        self.comparisons: dict[tuple[str, str], Note] = {}
        self._changes: dict[tuple[str, str], Counter[str]] = {}
        self._sent_at: dict[int, datetime] = {}

    async def campaigns(self) -> Sequence[str]:
        return sorted(self.versions)

    async def known_holdings(self, campaign: str, partner: str) -> KnownHoldings:
        surveyed = {
            (s.customer_id, s.subscription_id): s
            for key, s in self._surveyed.items()
            if key[:2] == (campaign, partner) and s.is_legacy and not s.is_trial
        }
        customers = {s.customer_id for key, s in self._surveyed.items() if key[:2] == (campaign, partner)}
        own = {
            (c.customer_id, c.legacy_id): c
            for c in self._conversions.values()
            if (c.campaign, c.partner) == (campaign, partner)
        }
        about = {(c.customer_id, c.legacy_id): c for c in self._conversions.values()
                 if c.customer_id in customers} | own  # fmt: skip
        planned = self._planned(campaign, partner)
        known = [
            self._known_subscription(key, surveyed.get(key), about.get(key), planned.get(key[1]))
            for key in sorted({*surveyed, *own})
            if key in own or key not in about
        ]
        placed = {value for c in about.values() for value in (c.nce_subscription_id, c.order_id) if value}
        return KnownHoldings(known, frozenset(placed))

    def _planned(self, campaign: str, partner: str) -> dict[str, tuple[Verdict, int | None]]:
        theirs = [
            plan
            for plan in self._plans
            if (self.runs[plan.run_id].campaign, self.runs[plan.run_id].partner.partner)
            == (campaign, partner)
        ]
        lines = theirs[-1].lines if theirs else []
        return {verdict.subscription.subscription_id: (verdict, number) for verdict, _, number in lines}

    def _known_subscription(
        self,
        key: tuple[str, str],
        surveyed: Subscription | None,
        conversion: Conversion | None,
        planned: tuple[Verdict, int | None] | None,
    ) -> KnownLine:
        named = surveyed or (planned[0].subscription if planned else None)
        klass = planned[0].klass if planned else None
        if planned and planned[1] is not None and conversion is not None:
            klass = effective_class(planned[0].klass, conversion.state)
        return KnownLine(
            legacy_id=key[1],
            customer_id=key[0],
            base_id=conversion.base_id
            if conversion
            else (surveyed.parent_id if surveyed else None) or key[1],
            offer_id=conversion.offer_id if conversion else named.offer_id if named else "",
            offer_name=named.offer_name if named else "",
            klass=klass,
            planned_seats=planned[0].subscription.seats if planned else None,
            last_status=surveyed.status if surveyed else None,
            term_end_at=named.term_end_at if named else None,
            expected_product_and_sku=conversion.expected_product_and_sku if conversion else None,
            conversion=conversion,
            unanswered_at=self._unanswered_at(conversion) if conversion else None,
        )

    def _unanswered_at(self, conversion: Conversion) -> datetime | None:
        bases = [
            c.conversion_id
            for c in self._conversions.values()
            if (c.customer_id, c.legacy_id) == (conversion.customer_id, conversion.base_id)
        ]
        sent = [
            self._sent_at[number]
            for number, command in self.commands.items()
            if command.sent and not command.answered and self._command_of[number] in bases
            and command.kind.buys
        ]  # fmt: skip
        return max(sent, default=None)

    async def batches_of(self, conversion_ids: Collection[int]) -> Sequence[BatchReference]:
        latest: dict[int, BatchReference] = {}
        for plan in self._plans:
            for _, batch_no, number in plan.lines:
                if number in conversion_ids and batch_no is not None:
                    latest[number] = BatchReference(plan.run_id, plan.plan_id, batch_no)
        return sorted(set(latest.values()), key=lambda batch: (batch.plan_id, batch.batch_no))

    async def record_comparison(
        self,
        run_id: str,
        campaign: str,
        partner: str,
        discrepancies: Sequence[Discrepancy],
        *,
        compared: Collection[str],
        lines: int,
        unread: str,
        at: datetime,
    ) -> FindingChanges:
        standing = self.findings_on_record.setdefault((campaign, partner), {})
        told: dict[str, list[str]] = {"opened": [], "changed": [], "returned": [], "resolved": []}

        def happened(finding: Standing, event: str) -> None:
            finding.told.append((event, finding.found.sentence))
            told[event].append(finding.found.sentence)

        found = {(d.legacy_id, d.kind.value): d for d in discrepancies}
        for key, discrepancy in found.items():
            known = standing.get(key)
            if known is None:
                happened(standing.setdefault(key, Standing(discrepancy)), "opened")
                continue
            before, known.found = known.found, discrepancy
            if not known.is_open:
                known.is_open, known.times = True, known.times + 1
                happened(known, "returned")
            elif replace(before, act_by_at=None, nce_subscription_id=None) != replace(
                discrepancy, act_by_at=None, nce_subscription_id=None
            ):
                happened(known, "changed")
        for key, known in standing.items():
            if known.is_open and key not in found and key[0] in compared:
                known.is_open = False
                happened(known, "resolved")
        self.comparisons[campaign, partner] = Note(run_id, lines, len(set(compared)), unread)
        counter = self._changes.setdefault((run_id, campaign), Counter())
        counter.update({event: len(sentences) for event, sentences in told.items()})
        return FindingChanges(tuple(told["opened"]), tuple(told["returned"]), tuple(told["resolved"]))

    def open_findings(self, campaign: str, partner: str | None = None) -> list[Discrepancy]:
        """What stands now."""
        return [
            finding.found
            for key, findings in self.findings_on_record.items()
            for finding in findings.values()
            if key[0] == campaign and partner in (None, key[1]) and finding.is_open
        ]

    async def coverage_signals(self, campaign: str) -> CoverageSignals:
        return self._signals(campaign, None)

    def _signals(self, campaign: str, names: Collection[str] | None) -> CoverageSignals:
        by_partner = {}
        for (where, partner), findings in sorted(self.findings_on_record.items()):
            gaps = Counter(f.found.gap for f in findings.values() if f.is_open)
            numbers = (gaps[CoverageGap.ZERO], gaps[CoverageGap.DOUBLE])
            if where == campaign and (names is None or partner in names) and any(numbers):
                by_partner[partner] = numbers
        return CoverageSignals(
            sum(zero for zero, _ in by_partner.values()),
            sum(two for _, two in by_partner.values()),
            by_partner,
        )

    async def reconcile_tally(
        self, run_id: str, campaign: str, names: Collection[str] | None = None
    ) -> ReconcileTally:
        def meant(partner: str) -> bool:
            return names is None or partner in names

        notes = {
            partner: note
            for (where, partner), note in sorted(self.comparisons.items())
            if where == campaign and note.run_id == run_id and meant(partner)
        }
        incomplete = {partner: note for partner, note in notes.items() if note.unread}
        partly = [partner for partner, note in incomplete.items() if note.compared]
        not_at_all = [partner for partner in incomplete if partner not in partly]
        changes = self._changes.get((run_id, campaign), Counter())
        return ReconcileTally(
            partners=sum(where == campaign and meant(partner) for where, partner in self.roster),
            compared=len(notes) - len(incomplete),
            partly=len(partly),
            unread=len(not_at_all),
            why_unread=[(partner, notes[partner].unread) for partner in [*not_at_all, *partly][:3]],
            open=Counter(
                finding.found.kind
                for (where, partner), findings in self.findings_on_record.items()
                if where == campaign and meant(partner)
                for finding in findings.values()
                if finding.is_open
            ),
            opened=changes["opened"],
            returned=changes["returned"],
            resolved=changes["resolved"],
            signals=self._signals(campaign, names),
        )
