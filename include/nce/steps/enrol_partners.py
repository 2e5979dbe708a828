"""Enrolment: who takes part in a campaign, and whose run is to be started now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from include.nce.domain.approval import SHORT_HASH
from include.nce.domain.campaign import run_id
from include.nce.domain.errors import InputRefused
from include.nce.domain.partner import Partner
from include.nce.steps.ports import Enrolment, PartnerCenter


@dataclass(frozen=True)
class Enrolled:
    """The partners to start, and linked resellers that no roster names."""

    partners: Sequence[Partner]
    not_in_roster: Sequence[str]
    not_linked: Sequence[str]


async def enrol_partners(
    campaign: str,
    roster: Sequence[Partner],
    *,
    named: Sequence[str] = (),
    outcomes: Sequence[str] = (),
    partner_center: PartnerCenter,
    ledger: Enrolment,
) -> Enrolled:
    """Enrols the roster's partners in the campaign and picks those whose run is to be started.

    Partner Center's list of resellers is read beside the roster: who is in one and not in the other is said
    in the log. Red when a named partner is not in the roster, or Partner Center cannot be used; nothing is
    enrolled then.
    """
    refuse_strangers(campaign, roster, named)
    links = await partner_center.resellers()
    await ledger.enrol(campaign, roster)
    chosen = [p for p in roster if not named or p.partner in named]
    if outcomes:
        ended_so = {partner.partner for partner in await ledger.partners(campaign, outcomes=outcomes)}
        chosen = [partner for partner in chosen if partner.partner in ended_so]
    tenants = {partner.tenant_id for partner in roster}
    linked = {link.tenant_id for link in links}
    return Enrolled(
        chosen,
        [link.name for link in links if link.tenant_id not in tenants],
        [partner.name for partner in roster if partner.tenant_id not in linked],
    )


def refuse_strangers(campaign: str, roster: Sequence[Partner], named: Sequence[str]) -> None:
    """Raise `InputRefused` with a sentence for each name that the roster does not have."""
    known = sorted(partner.partner for partner in roster)
    faults = []
    for name in named:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            faults.append(f"Partner {name} is not in the roster of {campaign}.{hint}")
    if faults:
        raise InputRefused(faults)


def start_order(
    partner: Partner, campaign: str, mode: str, plan_hash: str | None = None
) -> Mapping[str, Any]:
    """What starts one partner's run: its readable id, its conf and its note.

    A run that carries out one plan has that plan in its id: Airflow never changes the conf of a run.
    """
    identity = run_id(campaign, partner.partner) + ("__plan" if mode == "plan" else "")
    conf = {"partner": partner.partner, "campaign": campaign, "mode": mode}
    if plan_hash is not None:
        identity, conf["plan"] = f"{identity}__{plan_hash[:SHORT_HASH]}", plan_hash
    place = f", {partner.province}" if partner.province else ""
    return {
        "trigger_run_id": identity,
        "conf": conf,
        "note": f"{partner.name} ({partner.country}{place}), {mode}",
    }
