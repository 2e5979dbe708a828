"""Every failure has a decision of Airflow's: again now, again when it is said, or red at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import RetryAction, RetryDecision
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from include.nce.domain.errors import Busy, FailureClass, InputRefused, PartnerCenterFault
from include.nce.orchestration.patience import NotSetUp
from include.nce.orchestration.retry_policy import SOON_SECONDS, RetryWhatTimeHelps
from include.nce.partner_center.errors import PartnerCenterError, Throttled, error_for_answer
from include.nce.steps.plan_conversions import CannotTell, NotDecided
from include.nce.steps.sending import LockLost

CODES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "contract" / "error_codes.json").read_text(encoding="utf-8")
)
EXPECTED = {
    FailureClass.WAIT: RetryAction.RETRY,
    FailureClass.LOOK_FIRST: RetryAction.RETRY,
    FailureClass.RECONCILE: RetryAction.RETRY,
    FailureClass.PARTNER_ACTS: RetryAction.FAIL,
    FailureClass.PROVIDER_ACTS: RetryAction.FAIL,
    FailureClass.PERSON_DECIDES: RetryAction.FAIL,
    FailureClass.BROKEN: RetryAction.FAIL,
}


def decided(exception: BaseException) -> RetryDecision:
    return RetryWhatTimeHelps().evaluate(exception, try_number=1, max_tries=3)


def family(kind: type[PartnerCenterFault]) -> Iterator[type[PartnerCenterFault]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


FAMILY = sorted({kind for kind in family(PartnerCenterFault) if kind.__module__.startswith("include.")},
                key=lambda kind: kind.__name__)  # fmt: skip


def test_every_failure_class_has_a_decision() -> None:
    assert set(EXPECTED) == set(FailureClass)


@pytest.mark.parametrize("kind", FAMILY, ids=lambda kind: kind.__name__)
def test_every_error_of_partner_center_is_decided_by_what_helps(kind: type[PartnerCenterFault]) -> None:
    decision = decided(kind("It did not work."))
    assert decision.action is EXPECTED[kind.failure_class]
    assert "It did not work." in (decision.reason or "")


def test_the_family_of_errors_is_whole() -> None:
    assert len(FAMILY) > 25
    assert {kind.failure_class for kind in FAMILY} == set(FailureClass)


@pytest.mark.parametrize("writes", [False, True], ids=["read", "write"])
@pytest.mark.parametrize(
    "row",
    [row for row in CODES if row["status"] and "acts" in row],
    ids=lambda row: f"{row['section']}-{row['status']}-{row['code']}",
)
def test_every_documented_code_is_decided(row: dict[str, Any], writes: bool) -> None:
    error = error_for_answer(
        operation="ask", writes=writes, status=row["status"], headers={},
        text=json.dumps({"code": row["code"], "description": row["meaning"]}),
    )  # fmt: skip
    lost = writes and (row["status"] >= 500 or row["status"] == 408)
    assert decided(error).action is (RetryAction.RETRY if lost else EXPECTED[FailureClass(row["acts"])])


def test_the_documented_codes_were_read() -> None:
    assert len([row for row in CODES if row["status"] and "acts" in row]) > 80


@pytest.mark.parametrize(
    ("asked", "delay"),
    [(None, None), (7.0, 7), (0.0, 1), (86_400.0, 86_400), (1e9, 86_400), (float("inf"), 86_400)],
)
def test_a_wait_is_as_long_as_partner_center_asks_for(asked: float | None, delay: float | None) -> None:
    decision = decided(Throttled("Too many calls.", retry_after_seconds=asked))
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == (None if delay is None else timedelta(seconds=delay))


def test_a_429_with_its_header_is_tried_again_when_it_says() -> None:
    error = error_for_answer(
        operation="ask", writes=False, status=429, headers={"retry-after": "42"}, text="{}"
    )
    assert decided(error).retry_delay == timedelta(seconds=42)


def test_a_pending_operation_is_tried_again_after_microsofts_day() -> None:
    error = error_for_answer(
        operation="ask", writes=False, status=409, headers={}, text=json.dumps({"code": 900278})
    )
    assert decided(error).retry_delay == timedelta(days=1)


@pytest.mark.parametrize("helps", [FailureClass.LOOK_FIRST, FailureClass.RECONCILE])
def test_where_a_look_helps_the_next_try_is_soon(helps: FailureClass) -> None:
    fault = PartnerCenterError("It may have arrived.", retry_after_seconds=900)
    fault.failure_class = helps
    assert decided(fault).retry_delay == timedelta(seconds=SOON_SECONDS)


@pytest.mark.parametrize(
    ("helps", "who"),
    [
        (FailureClass.PARTNER_ACTS, "Who acts: partner."),
        (FailureClass.PROVIDER_ACTS, "Who acts: provider."),
        (FailureClass.PERSON_DECIDES, "Who acts: operator."),
        (FailureClass.BROKEN, "Who acts: engineering."),
    ],
)
def test_red_at_once_says_who_acts(helps: FailureClass, who: str) -> None:
    fault = PartnerCenterError("No.")
    fault.failure_class = helps
    assert decided(fault).reason == f"No. {who}"


@pytest.mark.parametrize(
    "outage",
    [
        Busy("Somebody else is converting this subscription right now."),
        LockLost("the lock is gone; nothing was sent"),
        CannotTell("check_mpa: no answer"),
        OSError("the campaign clock answers HTTP 502"),
        ConnectionError("the ledger does not answer"),
        TimeoutError(),
        OperationalError("SELECT 1", {}, Exception("server closed the connection")),
        InterfaceError("SELECT 1", {}, Exception("the connection is closed")),
        PoolTimeout("QueuePool limit reached"),
        NotSetUp(InputRefused(["Connection 'nce_ledger' does not exist."])),
    ],
    ids=lambda outage: type(outage).__name__,
)
def test_what_passes_by_itself_is_tried_again_after_the_tasks_own_delay(outage: BaseException) -> None:
    decision = decided(outage)
    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, None)
    assert decision.reason


@pytest.mark.parametrize(
    "refused",
    [InputRefused(["Partner 'rosi' is not in the roster."]), NotDecided("clear honour_opt_out.")],
    ids=lambda refused: type(refused).__name__,
)
def test_what_somebody_has_to_correct_is_red_at_once(refused: BaseException) -> None:
    decision = decided(refused)
    assert decision.action is RetryAction.FAIL
    assert str(refused) in (decision.reason or "")


@pytest.mark.parametrize("fault", [ValueError("x"), AssertionError(), KeyError("x"), SystemExit(1)])
def test_a_fault_of_this_program_is_left_to_the_tasks_retries(fault: BaseException) -> None:
    assert decided(fault).action is RetryAction.DEFAULT


def test_a_reason_quotes_no_value_of_a_statement() -> None:
    error = OperationalError("UPDATE x SET y = %(z)s", {"z": "Contoso"}, Exception("no connection\nDETAIL"))
    assert decided(error).reason == "no connection"
