"""Undo cases in memory: the part of `FakeLedger` that keeps what is to be taken back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from include.nce.domain.conversion import Conversion
from include.nce.domain.errors import InputRefused
from include.nce.domain.undo import (
    CaseState,
    UndoCause,
    UndoLine,
    hash_of,
    late_case_state,
)
from include.nce.domain.undo_case import UndoAnswer, UndoCase, UndoMember, UndoPlan

if TYPE_CHECKING:
    from tests.support.fake_ledger import FakeLedger


class FakeUndoRecords:
    """Mixed into `FakeLedger`, whose conversions and plans it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.cases: dict[int, UndoCase] = {}
        self.case_events: list[tuple[int, CaseState, str, str]] = []
        """Case, state, sentence, by whom."""
        self._case_lines: dict[int, list[int]] = {}
        self._undo_plans: list[UndoPlan] = []
        self._undo_answers: dict[int, list[UndoAnswer]] = {}

    async def bought(
        self: FakeLedger,
        campaign: str,
        partner: str,
        *,
        customer_id: str | None = None,
        subscription_id: str | None = None,
    ) -> Sequence[UndoMember]:
        self._enrolled(campaign, partner)
        all_ = list(self._conversions.values())
        named = {
            (c.customer_id, c.base_id)
            for c in all_
            if subscription_id is not None and subscription_id.lower() in (c.legacy_id, c.nce_subscription_id)
        }
        return self._undo_members(
            c
            for c in all_
            if (c.campaign, c.partner) == (campaign, partner)
            and c.state.is_bought
            and (customer_id is None or c.customer_id == customer_id.lower())
            and (subscription_id is None or (c.customer_id, c.base_id) in named)
        )

    async def buyers_of(
        self: FakeLedger,
        campaign: str,
        *,
        subscription_id: str | None = None,
        customer_id: str | None = None,
    ) -> Sequence[str]:
        about = {"subscription_id": subscription_id, "customer_id": customer_id}
        names = [name for where, name in self.roster if where == campaign]
        return [name for name in sorted(names) if await self.bought(campaign, name, **about)]

    def _undo_members(self: FakeLedger, conversions: Iterable[Conversion]) -> list[UndoMember]:
        members = []
        for c in sorted(
            conversions, key=lambda c: (c.customer_id, c.base_id, c.legacy_id != c.base_id, c.legacy_id)
        ):
            planned = [
                verdict.subscription
                for plan in self._plans
                for verdict, batch_no, number in plan.lines
                if number == c.conversion_id and batch_no is not None
            ]
            legacy = planned[-1] if planned else None
            members.append(
                UndoMember(c, legacy.offer_name if legacy else "", legacy.seats if legacy else None)
            )
        return members

    async def open_undo_case(
        self: FakeLedger,
        campaign: str,
        partner: str,
        *,
        customer_id: str,
        base_id: str,
        cause: UndoCause,
        scope: str,
        reason: str,
        opened_by: str,
        at: datetime,
        opt_out_received_at: datetime | None = None,
    ) -> tuple[UndoCase, bool]:
        about = [c for c in self.cases.values() if (c.customer_id, c.base_id) == (customer_id, base_id)]
        standing = [c for c in about if not c.state.is_closed] or [
            c
            for c in reversed(about)
            if opt_out_received_at is not None and c.opt_out_received_at == opt_out_received_at
        ]
        if standing:
            return standing[0], False
        members = [
            m
            for m in await self.bought(campaign, partner, customer_id=customer_id)
            if m.conversion.base_id == base_id
        ]
        if not members:
            raise InputRefused([f"Of subscription {base_id} nothing is bought: there is nothing to undo."])
        windows = [m.conversion.undoable_until_at for m in members if m.conversion.undoable_until_at]
        until_at = min(windows, default=None)
        case = UndoCase(
            case_id=len(self.cases) + 1,
            campaign=campaign,
            partner=partner,
            customer_id=customer_id,
            base_id=base_id,
            cause=cause,
            scope=scope,
            reason=reason,
            opened_by=opened_by,
            opened_at=at,
            state=late_case_state(until_at, at),
            sentence="",
            until_at=until_at,
            opt_out_received_at=opt_out_received_at,
        )
        self.cases[case.case_id] = case
        self._case_lines[case.case_id] = [m.conversion.conversion_id for m in members]
        self.case_events.append((case.case_id, case.state, case.sentence, opened_by))
        return case, True

    async def undo_case(self, case_id: int) -> UndoCase:
        if case_id not in self.cases:
            raise InputRefused([f"There is no undo case {case_id}."])
        return self.cases[case_id]

    async def undo_cases(
        self: FakeLedger,
        campaign: str,
        partner: str | None = None,
        *,
        closed: bool = False,
        after: int = 0,
        limit: int | None = None,
    ) -> Sequence[UndoCase]:
        if partner is not None:
            self._enrolled(campaign, partner)
        return [
            case
            for case in self.cases.values()
            if case.campaign == campaign
            and partner in (None, case.partner)
            and (closed or not case.state.is_closed)
            and case.case_id > after
        ][:limit]

    async def undo_members(self: FakeLedger, case_id: int) -> Sequence[UndoMember]:
        await self.undo_case(case_id)
        return self._undo_members(self._conversions[number] for number in self._case_lines[case_id])

    async def move_undo_case(
        self,
        case_id: int,
        state: CaseState,
        sentence: str,
        *,
        by: str,
        at: datetime,
        until_at: datetime | None = None,
    ) -> UndoCase:
        case = await self.undo_case(case_id)
        case = replace(case, until_at=until_at or case.until_at)
        if (case.state, case.sentence) != (state, sentence):
            if case.state.is_closed:
                raise InputRefused([f"Undo case {case_id} is closed: {case.sentence}"])
            case = replace(case, state=state, sentence=sentence)
            self.case_events.append((case_id, state, sentence, by))
        self.cases[case_id] = case
        return case

    async def record_undo_plan(
        self: FakeLedger, run_id: str, campaign: str, partner: str, lines: Sequence[UndoLine], *, at: datetime
    ) -> UndoPlan:
        self._enrolled(campaign, partner)
        plan = UndoPlan(len(self._undo_plans) + 1, run_id, campaign, partner, hash_of(lines), tuple(lines))
        self._undo_plans.append(plan)
        return plan

    async def undo_plan(self, run_id: str) -> UndoPlan | None:
        return next((plan for plan in reversed(self._undo_plans) if plan.run_id == run_id), None)

    async def answer_undo_plan(
        self, plan_id: int, hash_: str, *, approved: bool, who: str, at: datetime
    ) -> None:
        self._undo_answers.setdefault(plan_id, []).append(UndoAnswer(hash_, approved, who, at))

    async def undo_answer(self, plan_id: int) -> UndoAnswer | None:
        answers = self._undo_answers.get(plan_id)
        return answers[-1] if answers else None
