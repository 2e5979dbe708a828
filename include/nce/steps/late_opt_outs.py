"""Opt-outs that stand although something was bought: each opens an undo case for its bundles.

Used wherever somebody looks: when an opt-out is typed in, when a run honours opt-outs, when it closes.
Looking twice opens nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from include.nce.domain.campaign import Campaign
from include.nce.domain.conversion import ConversionState
from include.nce.domain.opt_out import OptOut
from include.nce.domain.partner import Partner
from include.nce.domain.undo import (
    CaseState,
    UndoCause,
    cases_called_for,
    late_case_state,
    no_longer_called_for,
    too_late_sentence,
)
from include.nce.domain.undo_case import UndoCase
from include.nce.steps.ports import UndoRecords


class LateOptOutLedger(UndoRecords, Protocol):
    """The part of the ledger that knows the forms, and what was bought against them."""

    async def campaign(self, name: str) -> Campaign: ...

    async def opt_outs(self, campaign: str, partner: str) -> Sequence[OptOut]:
        """All opt-outs of a partner and its customers, withdrawn ones too, in the order of arrival."""
        ...


@dataclass(frozen=True)
class LateOptOuts:
    """The cases this look opened and closed, and all of the partner's that are open now."""

    opened: tuple[UndoCase, ...]
    closed: tuple[UndoCase, ...]
    open: tuple[UndoCase, ...]


async def look_for_late_opt_outs(
    campaign: str, partner: Partner, *, by: str, ledger: LateOptOutLedger, now_at: datetime
) -> LateOptOuts:
    """Open what the opt-outs on record call for, close what they no longer do, and say what is too late."""
    policy = await ledger.campaign(campaign)
    opt_outs = await ledger.opt_outs(campaign, partner.partner)
    opened: list[UndoCase] = []
    if any(form.stands() for form in opt_outs):
        bought = [member.conversion for member in await ledger.bought(campaign, partner.partner)]
        for called in cases_called_for(bought, opt_outs, policy.opt_out_ends_at(partner.zone)):
            case, new = await ledger.open_undo_case(
                campaign,
                partner.partner,
                customer_id=called.customer_id,
                base_id=called.base_id,
                cause=UndoCause.OPT_OUT,
                scope=called.scope,
                reason=called.reason,
                opened_by=by,
                at=now_at,
                opt_out_received_at=called.received_at,
            )
            if new:
                opened.append(case)
    closed: list[UndoCase] = []
    standing: list[UndoCase] = []
    for case in await ledger.undo_cases(campaign, partner.partner):
        if (
            case.cause is UndoCause.OPT_OUT
            and case.state.nothing_sent
            and no_longer_called_for(case.customer_id, opt_outs)
        ):
            why = "The opt-out was withdrawn: NCE stays."
            closed.append(await ledger.move_undo_case(case.case_id, CaseState.CLOSED, why, by=by, at=now_at))
            continue
        if case.state.nothing_sent and not await _is_bought(case, ledger):
            why = "Nothing of ours is bought there after all: there is nothing to undo."
            closed.append(await ledger.move_undo_case(case.case_id, CaseState.CLOSED, why, by=by, at=now_at))
            continue
        over = late_case_state(case.until_at, now_at) is CaseState.TOO_LATE
        if case.state is CaseState.OPEN and over and case.until_at is not None:
            why = too_late_sentence(case.until_at)
            case = await ledger.move_undo_case(case.case_id, CaseState.TOO_LATE, why, by=by, at=now_at)
        standing.append(case)
    return LateOptOuts(tuple(opened), tuple(closed), tuple(standing))


async def _is_bought(case: UndoCase, ledger: UndoRecords) -> bool:
    """Or may be, or was: a purchase that was pending when the case was opened may have failed since."""
    members = await ledger.undo_members(case.case_id)
    return any(m.conversion.state.is_bought or m.conversion.state is ConversionState.UNDONE for m in members)
