"""`nce opt-out`: what is recorded, and what the operator is told about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from include.nce.domain.opt_out import OptOut
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import CAMPAIGN, CUSTOMER


def on_record(desk: Desk, partner: str = "rossi") -> list[OptOut]:
    return list(desk.ledger(lambda ledger: ledger.opt_outs(CAMPAIGN, partner)))


def test_an_opt_out_without_a_date_is_received_at_the_campaigns_present(desk: Desk) -> None:
    done = desk.nce("opt-out", "add", "rossi", "--by", "anna", "--note", "by phone")
    assert done.exit_code == 0
    [form] = on_record(desk)
    assert (form.received_at.isoformat(), form.recorded_by, form.note) == (
        "2022-06-20T08:00:00+00:00", "anna", "by phone",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("partner", "word"),
    [
        ("rossi", "It is too late: the deadline was over at 2022-07-01 00:00 Europe/Rome (2022-06-30 22:00"),
        ("canarias", "It is in time: the deadline is over at 2022-07-01 00:00 Atlantic/Canary (2022-06-30"),
    ],
)
def test_the_same_instant_is_in_time_where_the_day_ends_later(desk: Desk, partner: str, word: str) -> None:
    desk.now = "2022-07-02T08:00:00Z"
    done = desk.nce("opt-out", "add", partner, "--received", "2022-06-30T22:30:00Z")
    assert word in done.stdout


def test_a_time_without_offset_is_the_partners_own(desk: Desk) -> None:
    desk.now = "2022-07-02T08:00:00Z"
    desk.nce("opt-out", "add", "canarias", "--received", "2022-06-30 23:30")
    [form] = on_record(desk, "canarias")
    assert form.received_at.isoformat() == "2022-06-30T22:30:00+00:00"


def test_the_same_form_twice_is_on_record_once(desk: Desk) -> None:
    for _ in range(2):
        done = desk.nce("opt-out", "add", "rossi", "--received", "2022-06-19")
    assert done.stdout.startswith("On record already: rossi, the whole partner")
    assert len(on_record(desk)) == 1


def test_one_customer_may_opt_out_alone(desk: Desk) -> None:
    done = desk.nce("opt-out", "add", "rossi", "--customer", CUSTOMER.upper())
    assert f"customer {CUSTOMER}" in done.stdout
    assert [form.customer_id for form in on_record(desk)] == [CUSTOMER]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rosi"], "Partner 'rosi' is not in the roster"),
        (["rossi", "--received", "2022-06-21"], "lies in the future, now it is 2022-06-20 10:00 Europe/Rome"),
        (["rossi", "--received", "05/06/2022"], "can be read in two ways"),
        (["rossi", "--customer", "acme"], "customer: 'acme' is no tenant id"),
        (["rossi", "--campaign", "csp-comercial-2022"], "did you mean 'csp-commercial-2022'?"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(desk: Desk, words: list[str], sentence: str) -> None:
    done = desk.nce("opt-out", "add", *words)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert on_record(desk) == []


def test_a_withdrawn_opt_out_no_longer_stands(desk: Desk) -> None:
    desk.nce("opt-out", "add", "rossi", "--received", "2022-06-19")
    done = desk.nce("opt-out", "withdraw", "rossi", "--by", "anna")
    assert "No opt-out stands any more." in done.stdout
    assert [form.stands() for form in on_record(desk)] == [False]


def test_withdrawing_one_customers_word_leaves_the_partners(desk: Desk) -> None:
    desk.nce("opt-out", "add", "rossi")
    desk.nce("opt-out", "add", "rossi", "--customer", CUSTOMER)
    done = desk.nce("opt-out", "withdraw", "rossi", "--customer", CUSTOMER)
    assert "An opt-out of the whole partner still stands, in time." in done.stdout


def two_forms(desk: Desk) -> None:
    for received in ("2022-06-01 09:00", "2022-06-15 09:00"):
        desk.nce("opt-out", "add", "rossi", "--received", received)


def test_a_withdrawal_ends_what_was_received_until_then_and_says_what_stays(desk: Desk) -> None:
    two_forms(desk)
    done = desk.nce("opt-out", "withdraw", "rossi", "--at", "2022-06-10", "--by", "anna")
    assert done.stdout.splitlines() == [
        "Withdrawn: 1 opt-out of rossi, the whole partner.",
        "  Ends: received 2022-06-01 09:00 Europe/Rome (2022-06-01 07:00 UTC).",
        "  Stands: received 2022-06-15 09:00 Europe/Rome (2022-06-15 07:00 UTC), which is later.",
        "An opt-out of the whole partner still stands, in time.",
    ]
    assert [form.stands() for form in on_record(desk)] == [False, True]


def test_a_preview_of_a_withdrawal_says_the_same_and_records_nothing(desk: Desk) -> None:
    two_forms(desk)
    shown = desk.nce("opt-out", "withdraw", "rossi", "--at", "2022-06-10", "--preview")
    assert [form.stands() for form in on_record(desk)] == [True, True]
    done = desk.nce("opt-out", "withdraw", "rossi", "--at", "2022-06-10")
    assert shown.stdout.replace("Would be withdrawn", "Withdrawn") == done.stdout


def test_a_withdrawal_before_the_only_word_is_refused_with_that_word(desk: Desk) -> None:
    desk.nce("opt-out", "add", "rossi", "--received", "2022-06-15 09:00")
    done = desk.nce("opt-out", "withdraw", "rossi", "--at", "2022-06-10")
    assert done.exit_code == 2
    assert "what was received on 2022-06-15 07:00 UTC is the later word and stands" in done.stderr
    assert all(form.stands() for form in on_record(desk))


def test_a_second_withdrawal_says_that_nothing_stands(desk: Desk) -> None:
    desk.nce("opt-out", "add", "rossi")
    desk.nce("opt-out", "withdraw", "rossi")
    again = desk.nce("opt-out", "withdraw", "rossi")
    assert again.stdout.splitlines() == [
        "Withdrawn before: nothing of rossi, the whole partner stands.", "No opt-out stands any more.",
    ]  # fmt: skip


def test_there_is_nothing_to_withdraw_where_nothing_stands(desk: Desk) -> None:
    done = desk.nce("opt-out", "withdraw", "rossi")
    assert done.exit_code == 2
    assert "there is none to withdraw" in done.stderr


def test_one_fault_in_a_list_records_nothing_of_it(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "opt-outs.csv"
    file.write_text("partner;ricevuto\nrossi;19/06/2022\nverdii;19/06/2022\nverdi;31/06/2022\n")
    done = desk.nce("opt-out", "import", str(file))
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "opt-outs.csv, line 3, partner: 'verdii' is not in the roster; did you mean 'verdi'?",
        "opt-outs.csv, line 4, received: '31/06/2022' is no date and time that exists; "
        "write it like 2022-06-30 or 2022-06-30 17:45.",
    ]
    assert on_record(desk) == []


def test_a_list_is_recorded_with_its_late_ones_named(desk: Desk, tmp_path: Path) -> None:
    desk.now = "2022-07-05T08:00:00Z"
    file = tmp_path / "opt-outs.csv"
    file.write_text("partner;ricevuto\nrossi;19/06/2022\nverdi;01/07/2022 09:15\n")
    done = desk.nce("opt-out", "import", str(file))
    assert done.stdout.splitlines() == [
        "2 read: 2 recorded, 0 on record already; 1 too late.",
        "  Too late: verdi, the whole partner, received 2022-07-01 09:15 Europe/Rome (2022-07-01 07:15 UTC).",
    ]
    assert desk.nce("opt-out", "import", str(file)).stdout.startswith(
        "2 read: 0 recorded, 2 on record already"
    )


def test_a_list_with_a_withdrawn_form_records_nothing_of_it(desk: Desk, tmp_path: Path) -> None:
    desk.nce("opt-out", "add", "rossi", "--received", "2022-06-19", "--by", "anna")
    desk.nce("opt-out", "withdraw", "rossi", "--by", "bruno")
    file = tmp_path / "opt-outs.csv"
    file.write_text("partner;ricevuto\nverdi;19/06/2022\nrossi;19/06/2022\n")
    done = desk.nce("opt-out", "import", str(file))
    assert done.exit_code == 2
    [sentence] = done.stderr.splitlines()
    assert sentence.startswith("opt-outs.csv: The opt-out of rossi received at 2022-06-1")
    assert "was withdrawn by bruno and does not stand" in sentence
    assert sentence.endswith("Else take its row out of the list.")
    assert on_record(desk, "verdi") == []
    assert not any(form.stands() for form in on_record(desk))


def test_a_list_that_is_not_there_is_one_sentence(desk: Desk, tmp_path: Path) -> None:
    done = desk.nce("opt-out", "import", str(tmp_path / "none.csv"))
    assert (done.exit_code, done.stderr) == (
        2, f"{tmp_path / 'none.csv'}: it cannot be read: No such file or directory; check the path.\n",
    )  # fmt: skip


def test_the_list_says_what_each_form_means_by_the_present_deadline(desk: Desk) -> None:
    desk.nce("opt-out", "add", "rossi", "--received", "2022-06-19", "--by", "anna")
    before = json.loads(desk.nce("opt-out", "list", "--json").stdout)
    desk.nce("campaign", "move-date", "opt_out_deadline", "2022-06-18")
    after = json.loads(desk.nce("opt-out", "list", "--partner", "rossi", "--json").stdout)
    assert (before["schema"], before["campaign"]) == (1, CAMPAIGN)
    assert (before["opt_outs"][0]["verdict"], after["opt_outs"][0]["verdict"]) == ("in_time", "late")


def test_an_empty_list_says_so(desk: Desk) -> None:
    assert desk.nce("opt-out", "list").stdout == f"No opt-out is on record in {CAMPAIGN}.\n"
