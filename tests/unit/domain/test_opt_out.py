"""An opt-out counts by the instant it was received."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from include.nce.domain.opt_out import OptOut, OptOutVerdict, rule_on
from tests.support.examples import CUSTOMER, OTHER_CUSTOMER, at

DEADLINE = at("2022-06-30 22:00")
IN_TIME, LATE, NONE = OptOutVerdict.IN_TIME, OptOutVerdict.LATE, OptOutVerdict.NONE
BEFORE = DEADLINE - timedelta(seconds=1)


def opt_out(received_at: datetime, customer_id: str | None = None, *, withdrawn: bool = False) -> OptOut:
    return OptOut("rossi", received_at, "anna", customer_id, withdrawn_at=received_at if withdrawn else None)


@pytest.mark.parametrize(
    ("opt_outs", "customer", "other_customer"),
    [
        ([], NONE, NONE),
        ([opt_out(BEFORE)], IN_TIME, IN_TIME),
        ([opt_out(DEADLINE)], LATE, LATE),
        ([opt_out(BEFORE, CUSTOMER)], IN_TIME, NONE),
        ([opt_out(DEADLINE, CUSTOMER)], LATE, NONE),
        ([opt_out(BEFORE, withdrawn=True)], NONE, NONE),
        ([opt_out(BEFORE, CUSTOMER, withdrawn=True)], NONE, NONE),
        # In time beats late, whichever was typed in first and whomever it names.
        ([opt_out(DEADLINE), opt_out(BEFORE)], IN_TIME, IN_TIME),
        ([opt_out(BEFORE), opt_out(DEADLINE)], IN_TIME, IN_TIME),
        ([opt_out(BEFORE, CUSTOMER), opt_out(DEADLINE, CUSTOMER)], IN_TIME, NONE),
        ([opt_out(DEADLINE), opt_out(BEFORE, CUSTOMER)], IN_TIME, LATE),
        ([opt_out(BEFORE), opt_out(DEADLINE, CUSTOMER)], IN_TIME, IN_TIME),
        # A form sent again after a withdrawal counts by its own date.
        ([opt_out(BEFORE, withdrawn=True), opt_out(DEADLINE)], LATE, LATE),
    ],
)
def test_what_the_opt_outs_on_record_mean_for_a_customer(
    opt_outs: list[OptOut], customer: OptOutVerdict, other_customer: OptOutVerdict
) -> None:
    ruling = rule_on(opt_outs, DEADLINE)

    assert ruling.for_customer(CUSTOMER) is customer
    assert ruling.for_customer(OTHER_CUSTOMER) is other_customer
    assert ruling.deadline_at == DEADLINE


def test_a_later_deadline_makes_a_late_form_timely() -> None:
    form = opt_out(DEADLINE + timedelta(days=2))

    assert rule_on([form], DEADLINE).partner is LATE
    assert rule_on([form], DEADLINE + timedelta(days=5)).partner is IN_TIME
