"""One opt-out, or its withdrawal, as a person enters it: typed at the command line, or filled into a form
of the board.

Responsible for refusing what cannot be one, in a sentence for each fault. Whole lists belong to
`opt_out_list`, what is done with it to the acts in `steps.people`.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from include.nce.domain.errors import InputRefused
from include.nce.domain.subscription import is_guid, lower_guid
from include.nce.intake.opt_out_list import parse_received
from include.nce.steps.people.record_opt_out import NewOptOut
from include.nce.steps.people.withdraw_opt_out import TakenBack

LONGEST_NOTE = 500


def read_opt_out(
    partner: str,
    *,
    zone: str,
    received: str | None,
    customer: str | None,
    note: str,
    now_at: datetime,
) -> NewOptOut:
    """The form; `received` in the partner's `zone` unless it says its own, and now when it is left out.

    Raises `InputRefused`.
    """
    faults = []
    tenant = None
    if customer is not None:
        try:
            tenant = read_tenant(customer)
        except InputRefused as refused:
            faults += refused.faults
    received_at = now_at
    if received is not None:
        try:
            received_at = parse_received(received, zone)
        except InputRefused as refused:
            faults += refused.faults
    if received_at > now_at:
        faults.append(
            f"received: {_in_zone(received_at, zone)} lies in the future, now it is "
            f"{_in_zone(now_at, zone)}; correct the date."
        )
    if len(note) > LONGEST_NOTE:
        faults.append(
            f"note: it has {len(note)} characters; write at most {LONGEST_NOTE}, such as where it is filed."
        )
    if faults:
        raise InputRefused(faults)
    return NewOptOut(partner, received_at, tenant, note)


def read_withdrawal(partner: str, *, zone: str, at: str | None, customer: str | None) -> TakenBack:
    """The withdrawal; `at` in the partner's `zone` unless it says its own. Raises `InputRefused`."""
    faults = []
    tenant = taken_at = None
    try:
        tenant = None if customer is None else read_tenant(customer)
    except InputRefused as refused:
        faults += refused.faults
    try:
        taken_at = None if at is None else parse_received(at, zone, field="at")
    except InputRefused as refused:
        faults += refused.faults
    if faults:
        raise InputRefused(faults)
    return TakenBack(partner, tenant, taken_at)


def read_tenant(text: str) -> str:
    """A customer's tenant id in lower case. Raises `InputRefused`."""
    if not is_guid(text):
        raise InputRefused(
            [f"customer: '{text}' is no tenant id; it looks like 8-4-4-4-12 hexadecimal digits."]
        )
    return lower_guid(text)


def _in_zone(at: datetime, zone: str) -> str:
    in_utc = f"{at:%Y-%m-%d %H:%M} UTC"
    return in_utc if zone == "UTC" else f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone} ({in_utc})"
