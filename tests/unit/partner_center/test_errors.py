"""What an answer means: the table, the four body shapes, and who has to act."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path

import pytest

from include.nce.domain.errors import FailureClass, PartnerCenterFault
from include.nce.partner_center import errors
from include.nce.partner_center.errors import PartnerCenterError, error_for_answer, read_retry_after


def error_of(
    status: int,
    code: int | str | None = None,
    *,
    writes: bool = False,
    text: str | None = None,
    **headers: str,
) -> PartnerCenterError:
    body = text if text is not None else json.dumps({"code": code, "description": "Microsoft's words."})
    return error_for_answer(
        operation="do it",
        writes=writes,
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        text=body,
        request_id="r",
        correlation_id="c",
    )


@pytest.mark.parametrize(
    ("status", "code", "expected", "failure_class"),
    [
        (429, None, errors.Throttled, FailureClass.WAIT),
        (500, None, errors.ServerFault, FailureClass.WAIT),
        (503, 800003, errors.ServerFault, FailureClass.WAIT),
        (408, None, errors.ServerFault, FailureClass.WAIT),
        (409, None, errors.SubscriptionBusy, FailureClass.WAIT),
        (409, 900278, errors.SubscriptionBusy, FailureClass.WAIT),
        (409, 800082, errors.NotReadyYet, FailureClass.WAIT),
        (400, 900216, errors.AlreadyInProgress, FailureClass.LOOK_FIRST),
        (400, 900215, errors.NoLongerActive, FailureClass.RECONCILE),
        (400, 2055, errors.StaleVersion, FailureClass.RECONCILE),
        (412, None, errors.StaleVersion, FailureClass.RECONCILE),
        (403, 900123, errors.AgreementNotSigned, FailureClass.PARTNER_ACTS),
        (400, 800016, errors.PartnerIdNotUsable, FailureClass.PARTNER_ACTS),
        (400, 900247, errors.PartnerIdNotUsable, FailureClass.PARTNER_ACTS),
        (403, 13605, errors.CustomerAgreementMissing, FailureClass.PARTNER_ACTS),
        (401, None, errors.CredentialsRefused, FailureClass.PROVIDER_ACTS),
        (401, 900420, errors.WrongAudience, FailureClass.PROVIDER_ACTS),
        (401, 900421, errors.SecondFactorMissing, FailureClass.PROVIDER_ACTS),
        (403, None, errors.AccessDenied, FailureClass.PROVIDER_ACTS),
        (403, 900329, errors.UserTokenNeeded, FailureClass.PROVIDER_ACTS),
        (403, 900124, errors.OwnAgreementMissing, FailureClass.PROVIDER_ACTS),
        (403, 800023, errors.LimitReached, FailureClass.PROVIDER_ACTS),
        (400, 900217, errors.NotEligible, FailureClass.PERSON_DECIDES),
        (400, 900117, errors.ChangeRefused, FailureClass.PERSON_DECIDES),
        (404, 20003, errors.NotFound, FailureClass.PERSON_DECIDES),
        (400, 900224, errors.NotFound, FailureClass.PERSON_DECIDES),
        (400, 123456, errors.PersonDecides, FailureClass.PERSON_DECIDES),
        (400, 800002, errors.InvalidRequest, FailureClass.BROKEN),
        (400, None, errors.Broken, FailureClass.BROKEN),
        (418, None, errors.Broken, FailureClass.BROKEN),
    ],
)
def test_an_answer_becomes_the_class_that_says_who_acts(
    status: int, code: int | None, expected: type[PartnerCenterError], failure_class: FailureClass
) -> None:
    error = error_of(status, code)
    assert type(error) is expected
    assert error.failure_class is failure_class


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, None), (502, None), (503, 800003), (504, None), (408, 900225), (500, 800005)],
)
def test_a_server_fault_after_a_write_leaves_its_outcome_unknown(status: int, code: int | None) -> None:
    assert type(error_of(status, code, writes=True)) is errors.OutcomeUnknown


@pytest.mark.parametrize(("status", "code"), [(408, 900225), (400, 900225)])
def test_the_same_answer_to_a_question_is_only_a_server_fault(status: int, code: int) -> None:
    assert type(error_of(status, code)) is errors.ServerFault


def test_a_code_counts_also_with_another_status_than_the_page_says() -> None:
    assert type(error_of(400, 3000)) is errors.NotFound


def test_a_throttled_answer_is_throttled_whatever_its_code() -> None:
    assert type(error_of(429, 900216)) is errors.Throttled


def test_a_code_written_as_text_is_the_same_code() -> None:
    error = error_of(400, "900216")
    assert error.code == 900216
    assert type(error) is errors.AlreadyInProgress


@pytest.mark.parametrize(
    ("body", "code", "description"),
    [
        ('{"code":2203,"description":"d","data":[],"source":"PartnerFD"}', 2203, "d"),
        ('{"statusCode":429,"message":"m"}', None, "m"),
        ('{"code":600061,"message":"m","description":"d","errorName":"E"}', 600061, "d"),
        ('{"code":"800002","message":"m"}', 800002, "m"),
        ('{"Code":800002,"Description":"d"}', 800002, "d"),
        ("", None, ""),
        ("<html>gateway</html>", None, ""),
        ("[1]", None, ""),
        ("null", None, ""),
    ],
    ids=["standard", "throttling", "extended", "short", "capitals", "empty", "html", "list", "null"],
)
def test_every_shape_of_an_error_body_is_read(body: str, code: int | None, description: str) -> None:
    error = error_of(400, text=body)
    assert (error.code, error.description, error.body) == (code, description, body)


def test_the_sentence_says_what_happened_and_who_acts() -> None:
    assert str(error_of(403, 900123)) == (
        "Partner Center did not accept 'do it': the reseller has not accepted the Microsoft Partner "
        "Agreement (HTTP 403, code 900123); a Global Admin of the partner signs the Microsoft Partner "
        "Agreement."
    )


def test_an_error_carries_what_is_needed_to_find_the_call_again() -> None:
    error = error_of(400, 900217)
    assert (error.operation, error.status, error.status_code, error.code) == ("do it", 400, 400, 900217)
    assert (error.request_id, error.correlation_id) == ("r", "c")
    assert error.description == "Microsoft's words."
    assert not error.retriable
    assert isinstance(error, PartnerCenterFault)


def test_a_long_body_is_kept_in_part() -> None:
    error = error_of(500, text="x" * 100_000)
    assert error.body is not None
    assert len(error.body) == errors.BODY_LIMIT_CHARACTERS


def test_an_operation_that_is_pending_is_asked_again_after_a_day() -> None:
    assert error_of(409, 900278).retry_after_seconds == 86_400


def test_a_running_renewal_is_asked_again_after_two_minutes() -> None:
    assert error_of(409).retry_after_seconds == 120


def test_what_microsoft_asks_for_counts_before_what_it_documents() -> None:
    assert error_of(409, retry_after="30").retry_after_seconds == 30


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("57", 57.0), (" 57 ", 57.0), ("57, 57", 57.0), ("0", 0.0), (None, None), ("", None), ("soon", None)],
)
def test_retry_after_is_read_when_it_can_be(value: str | None, seconds: float | None) -> None:
    assert read_retry_after(value) == seconds


def test_retry_after_as_a_date_is_the_time_until_then() -> None:
    in_an_hour = datetime.now(timezone.utc) + timedelta(hours=1)
    seconds = read_retry_after(format_datetime(in_an_hour, usegmt=True))
    assert seconds is not None
    assert 3590 < seconds <= 3600


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    def names(kind: type[PartnerCenterError]) -> list[str]:
        # Other modules may have kinds of their own.
        children = [child for child in kind.__subclasses__() if child.__module__ == errors.__name__]
        return [kind.__name__, *(name for child in children for name in names(child))]

    assert errors.__doc__ is not None
    drawn = [
        line.replace("│", " ").replace("├──", " ").replace("└──", " ").split()[0]
        for line in errors.__doc__.splitlines()
        if "──" in line or line.strip() == "PartnerCenterError"
    ]
    assert drawn == names(PartnerCenterError)


@pytest.mark.parametrize("text", ["Unauthorized - MFA required", '{"description": "mfa required"}'])
def test_a_missing_second_factor_is_known_by_its_words_too(text: str) -> None:
    error = error_of(401, text=text)
    assert type(error) is errors.SecondFactorMissing
    assert "second factor" in str(error)


def test_reading_errors_and_models_loads_neither_airflow_nor_an_http_library() -> None:
    program = (
        "import sys, include.nce.partner_center.client, include.nce.partner_center.gateway;"
        "print([name for name in ('airflow', 'aiohttp', 'msal', 'requests') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    shown = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"
