"""Opt-outs: received when, and in whose zone; what can be read in two ways is not read at all."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.errors import InputRefused
from include.nce.intake.opt_out_list import load_opt_outs, parse_received
from include.nce.steps.people.record_opt_out import NewOptOut

TENANT = "0a1b2c3d-0000-4000-8000-000000000001"
PARTNERS = {"rossi-informatica", "conti-it", "sol-sistemas"}
NOW = datetime(2022, 7, 5, 12, tzinfo=timezone.utc)


def load(text: str | bytes, zone: str = "Europe/Rome") -> list[NewOptOut]:
    data = text.encode() if isinstance(text, str) else text
    return load_opt_outs(data, name="o.csv", zone=zone, known_partners=PARTNERS, now_at=NOW)


def faults_of(text: str) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        load(text)
    assert all(fault.startswith("o.csv") for fault in refused.value.faults)
    return [fault.removeprefix("o.csv").lstrip(",: ") for fault in refused.value.faults]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[misc,arg-type]


def test_a_list_from_an_italian_spreadsheet_is_read() -> None:
    text = (
        "\ufeffSigla;Cliente;Ricevuto il;Nota\r\n"
        f"CONTI-IT;{TENANT.upper()};05/06/2022 17:45;per PEC\r\n"
        "\r\n"
        "rossi-informatica;;30-06-2022 23:59:59;\r\n"
    )
    assert load(text) == [
        NewOptOut("conti-it", utc(2022, 6, 5, 15, 45), customer_id=TENANT, note="per PEC"),
        NewOptOut("rossi-informatica", utc(2022, 6, 30, 21, 59, 59)),
    ]


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2022-06-30", utc(2022, 6, 29, 22)),
        ("2022-06-30 17:45", utc(2022, 6, 30, 15, 45)),
        ("2022-06-30T17:45:10", utc(2022, 6, 30, 15, 45, 10)),
        ("2022-06-30T17:45:10.123Z", utc(2022, 6, 30, 17, 45, 10)),
        ("2022-06-30T17:45-0300", utc(2022, 6, 30, 20, 45)),
        ("30/06/2022", utc(2022, 6, 29, 22)),
        ("30.6.2022 9.05", utc(2022, 6, 30, 7, 5)),
        ("05/05/2022", utc(2022, 5, 4, 22)),
        ("2022-10-30T02:30:00+01:00", utc(2022, 10, 30, 1, 30)),
    ],
)
def test_a_typed_moment_means_one_instant(written: str, instant: datetime) -> None:
    assert parse_received(f" {written} ", "Europe/Rome") == instant


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("", "the date is missing; write it like 2022-06-30 or 2022-06-30 17:45."),
        ("30 giugno", "'30 giugno' is no date; write it like 2022-06-30 or 2022-06-30 17:45."),
        ("05/06/2022", "'05/06/2022' can be read in two ways; write 2022-06-05 or 2022-05-06."),
        ("06/30/2022", "'06/30/2022' has the month first; write 2022-06-30."),
        ("06/07/22", "'06/07/22' has a year of two digits; write it like 2022-06-30 or 2022-06-30 17:45."),
        (
            "2022-02-30",
            "'2022-02-30' is no date and time that exists; write it like 2022-06-30 or 2022-06-30 17:45.",
        ),
        (
            "2022-06-30 24:10",
            "'2022-06-30 24:10' is no date and time that exists; write it like 2022-06-30 or "
            "2022-06-30 17:45.",
        ),
        (
            "2022-03-27 02:30",
            "'2022-03-27 02:30' does not exist: clocks in Europe/Rome went forward; correct the time.",
        ),
        (
            "2022-10-30 02:30",
            "'2022-10-30 02:30' came twice: clocks in Europe/Rome went back; write its offset, "
            "2022-10-30T02:30:00+02:00 or 2022-10-30T02:30:00+01:00.",
        ),
    ],
)
def test_a_typed_moment_that_could_mean_anything_else_is_refused(written: str, sentence: str) -> None:
    with pytest.raises(InputRefused) as refused:
        parse_received(written, "Europe/Rome")
    assert refused.value.faults == [f"received: {sentence}"]


def test_a_date_alone_begins_with_the_first_moment_there_is() -> None:
    # In Beirut clocks went forward at midnight of 27 March 2022: the day began at 01:00 local time.
    assert parse_received("2022-03-27", "Asia/Beirut") == utc(2022, 3, 26, 22)


def test_the_zone_of_a_row_goes_before_the_zone_of_the_list() -> None:
    text = (
        "partner;received;zone\nsol-sistemas;2022-06-30 23:30;Atlantic/Canary\nconti-it;2022-06-30 23:30;\n"
    )
    assert [o.received_at for o in load(text)] == [utc(2022, 6, 30, 22, 30), utc(2022, 6, 30, 21, 30)]


def test_another_row_can_prove_that_the_day_comes_first() -> None:
    text = "partner,received\nconti-it,05/06/2022\nrossi-informatica,30/06/2022\n"
    assert load(text)[0].received_at == utc(2022, 6, 4, 22)


def test_several_opt_outs_of_one_partner_for_different_customers_are_read() -> None:
    other = TENANT[:-1] + "2"
    rows = [f"conti-it;{TENANT};2022-06-01", f"conti-it;{other};2022-06-01", "conti-it;;2022-06-02"]
    text = "\n".join(["partner;customer;received", *rows])
    assert [o.customer_id for o in load(text)] == [TENANT, other, None]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        pytest.param("", ["the file is empty; its first line names partner, received."], id="empty"),
        pytest.param(
            "partner;received\n", ["it lists no opt-out; write one row for each."], id="header only"
        ),
        pytest.param(
            "partner,received\nconti-it,05/06/2022\nrossi-informatica,06/06/2022\n",
            ["line 2, received: '05/06/2022' can be read in two ways; write 2022-06-05 or 2022-05-06."],
            id="nothing proves which comes first",
        ),
        pytest.param(
            "partner;received\nconti-it;05/06/2022\nrossi-informatica;06/30/2022\n",
            [
                "line 2, received: '05/06/2022' can be read in two ways; write 2022-06-05 or 2022-05-06.",
                "line 3, received: '06/30/2022' has the month first; write 2022-06-30.",
            ],
            id="one row has the month first",
        ),
        pytest.param(
            "partner;received\nconti-it;05/06/2022\nrossi-informatica;2022-06-30\n",
            ["line 2, received: '05/06/2022' can be read in two ways; write 2022-06-05 or 2022-05-06."],
            id="two forms in one file",
        ),
        pytest.param(
            "partner;received\nconti-it;06/07/22\n",
            [
                "line 2, received: '06/07/22' has a year of two digits; write it like 2022-06-30 or "
                "2022-06-30 17:45."
            ],
            id="two-digit year",
        ),
        pytest.param(
            "partner;received\nconti-it;2022-07-06\n",
            ["line 2, received: '2022-07-06' lies in the future; correct the date."],
            id="future",
        ),
        pytest.param(
            "partner;received\nconti;2022-06-01\n;2022-06-02\n",
            [
                "line 2, partner: 'conti' is not in the roster; did you mean 'conti-it'?",
                "line 3, partner: the cell is empty; write the partner's id.",
            ],
            id="unknown partner",
        ),
        pytest.param(
            "partner;customer;received\nconti-it;Bar Sport;2022-06-01\n",
            [
                "line 2, customer: 'Bar Sport' is no tenant id; it looks like 8-4-4-4-12 hexadecimal digits, "
                "and empty means the whole partner."
            ],
            id="customer by name",
        ),
        pytest.param(
            f"partner;customer;received\nconti-it;{TENANT};2022-06-01\nconti-it;;2022-06-01\n"
            f"conti-it;{TENANT.upper()};2022-06-02\nconti-it;;2022-06-03\n",
            [
                f"line 4, partner: customer {TENANT} of 'conti-it' is already on line 2; keep one of the "
                "two.",
                "line 5, partner: 'conti-it' is already on line 3; keep one of the two.",
            ],
            id="duplicates",
        ),
        pytest.param(
            "partner;received;zone\nconti-it;2022-06-01;Roma\n",
            ["line 2, zone: 'Roma' is no time zone; write one such as Europe/Madrid."],
            id="zone",
        ),
    ],
)
def test_each_fault_is_one_sentence_with_its_line_and_field(text: str, sentences: list[str]) -> None:
    assert faults_of(text) == sentences


@given(st.binary(max_size=200))
def test_any_bytes_become_opt_outs_or_a_refusal(data: bytes) -> None:
    _opt_outs_or_refusal(data)


@given(st.text(alphabet=st.sampled_from("0123456789/-.: TZ+٣²"), max_size=25))
def test_any_date_becomes_an_opt_out_or_a_refusal(written: str) -> None:
    _opt_outs_or_refusal(f"partner;received\nconti-it;{written}\n".encode())


def _opt_outs_or_refusal(data: bytes) -> None:
    try:
        assert load(data)
    except InputRefused as refused:
        assert refused.faults  # noqa: PT017 - either outcome is right, and a refusal says why


@given(st.datetimes(datetime(2000, 1, 1), datetime(2021, 12, 31)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_an_italian_date_and_its_iso_form_are_the_same_instant(moment: datetime) -> None:
    italian, iso = f"{moment:%d/%m/%Y}", f"{moment:%Y-%m-%d}"
    (read,) = load(f"partner;received\nconti-it;{italian}\n")
    assert read.received_at == parse_received(iso, "Europe/Rome")
