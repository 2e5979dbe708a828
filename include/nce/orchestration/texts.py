"""What operators read beside each task: the docstring of its step, word for word."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from include.nce.steps.approve_plan import approve_plan
from include.nce.steps.buy_nce import buy_nce
from include.nce.steps.cancel_legacy import cancel_legacy
from include.nce.steps.check_customer_mca import check_customer_mca
from include.nce.steps.check_indirect_provider_link import check_indirect_provider_link
from include.nce.steps.check_mpa import check_mpa
from include.nce.steps.check_mpn_id import check_mpn_id
from include.nce.steps.close_reconcile import close_reconcile
from include.nce.steps.close_run import close_run
from include.nce.steps.close_undo import close_undo
from include.nce.steps.confirm_nce import confirm_nce
from include.nce.steps.confirm_rerun import confirm_rerun
from include.nce.steps.enrol_partners import enrol_partners
from include.nce.steps.honour_opt_out import honour_opt_out
from include.nce.steps.list_partners import list_partners
from include.nce.steps.open_run import open_run
from include.nce.steps.plan_conversions import plan_conversions
from include.nce.steps.plan_undo import approve_undo, plan_undo
from include.nce.steps.reconcile_partner import reconcile_partner
from include.nce.steps.undo_conversion import undo_conversions
from include.nce.steps.wait_for_wave import wait_for_wave


def _read(step: Callable[..., Any]) -> str:
    return inspect.cleandoc(step.__doc__ or "")


TEXTS: Mapping[str, str] = {
    "open_run": _read(open_run),
    "check_mpa": _read(check_mpa),
    "check_indirect_provider_link": _read(check_indirect_provider_link),
    "check_mpn_id": _read(check_mpn_id),
    "check_customer_mca": _read(check_customer_mca),
    "wait_for_opt_out_deadline": (
        "Waits until the campaign's opt-out deadline is over in the partner's time zone, without using a "
        "worker. Move the date with `nce campaign move-date`: this wait follows, later and earlier."
    ),
    "honour_opt_out": _read(honour_opt_out),
    "wait_for_cut_over": (
        "Waits for the campaign's cut-over, before which nothing is converted, without using a worker. Move "
        "the date with `nce campaign move-date`: this wait follows, later and earlier."
    ),
    "wait_for_wave": _read(wait_for_wave),
    "plan_conversions": _read(plan_conversions),
    "approve_plan": _read(approve_plan),
    "buy_nce": _read(buy_nce),
    "wait_for_nce": _read(confirm_nce),
    "cancel_legacy": _read(cancel_legacy),
    "close_run": _read(close_run),
    "check_campaign": (
        "Looks whether this campaign can run: the form has no fault, the campaign is imported, its roster "
        "can be read without a fault and has the named partners, and Partner Center accepts the connection "
        "as it stands. Nothing is changed. Red: the last log line names each fault with its line and field."
    ),
    "enrol_partners": _read(enrol_partners),
    "confirm_rerun": _read(confirm_rerun),
    "start_partners": (
        "Starts one run of `nce_partner_migration` for each partner. Pink: that run exists "
        "already and was left alone."
    ),
    "plan_undo": _read(plan_undo),
    "approve_undo": _read(approve_undo),
    "undo_conversions": _read(undo_conversions),
    "close_undo": _read(close_undo),
    "list_partners": _read(list_partners),
    "reconcile_partners": _read(reconcile_partner),
    "close_reconcile": _read(close_reconcile),
}
