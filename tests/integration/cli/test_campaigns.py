"""`nce campaign`: versions that follow each other, and dates that move in full sight."""

from __future__ import annotations

import json
from datetime import date, datetime, timezone
from pathlib import Path

import pytest
import yaml

from include.nce.domain.campaign import Campaign
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import CAMPAIGN, campaign


def written(folder: Path, **changes: object) -> str:
    document = campaign(**changes).model_dump(mode="json", exclude_none=True)
    file = folder / "campaign.yaml"
    file.write_text(yaml.safe_dump(document))
    return str(file)


def standing(desk: Desk) -> Campaign:
    return desk.ledger(lambda ledger: ledger.campaign(CAMPAIGN))


def test_a_file_becomes_the_first_version_with_its_author(blank_desk: Desk, tmp_path: Path) -> None:
    done = blank_desk.nce("campaign", "import", written(tmp_path), "--by", "anna", "--reason", "the notice")
    assert done.stdout == f"{CAMPAIGN}: version 1 is recorded. Runs follow it by themselves.\n"
    [version] = blank_desk.ledger(lambda ledger: ledger.campaign_versions(CAMPAIGN))
    assert (version.author, version.reason) == ("anna", "the notice")
    assert version.created_at == datetime(2022, 6, 20, 8, tzinfo=timezone.utc)


def test_the_same_file_again_makes_no_version(desk: Desk, tmp_path: Path) -> None:
    done = desk.nce("campaign", "import", written(tmp_path))
    assert done.stdout == f"{CAMPAIGN}: nothing changed, version 1 stays.\n"


def test_an_import_shows_which_dates_it_moves(desk: Desk, tmp_path: Path) -> None:
    moments = campaign().model_dump(mode="json", exclude_none=True)["moments"]
    moments["cut_over"] = {"at": "2022-07-12T00:00:00Z"}
    done = desk.nce("campaign", "import", written(tmp_path, moments=moments))
    assert done.stdout.splitlines()[1:] == [
        "  cut_over before: 2022-07-11 00:00 UTC, "
        "that is 2022-07-11 02:00 Europe/Rome (2022-07-11 00:00 UTC)",
        "  cut_over now: 2022-07-12 00:00 UTC, that is 2022-07-12 02:00 Europe/Rome (2022-07-12 00:00 UTC)",
    ]


def test_a_faulty_file_is_refused_with_line_and_field(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text("campaign: csp-commercial-2022\ntitel: x\n")
    done = desk.nce("campaign", "import", str(file))
    assert done.exit_code == 2
    assert "campaign.yaml, line 2, titel: this key is not known; did you mean 'title'?" in done.stderr
    assert desk.ledger(lambda ledger: ledger.latest_version(CAMPAIGN)) == 1


def test_a_moved_day_keeps_its_zone_and_is_shown_before_and_after(desk: Desk) -> None:
    done = desk.nce(
        "campaign", "move-date", "opt_out_deadline", "2022-07-01", "--by", "anna", "--reason", "notice 2"
    )
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"{CAMPAIGN}: version 2 is recorded. Waiting runs follow by themselves.",
        "  opt_out_deadline before: 2022-06-30, inclusive, partner's zone, "
        "that is 2022-07-01 00:00 Europe/Rome (2022-06-30 22:00 UTC)",
        "  opt_out_deadline now: 2022-07-01, inclusive, partner's zone, "
        "that is 2022-07-02 00:00 Europe/Rome (2022-07-01 22:00 UTC)",
    ]
    moved = standing(desk).moments.opt_out_deadline
    assert (moved.on, moved.zone, moved.source) == (date(2022, 7, 1), "partner", "notice 2")


def test_an_instant_may_carry_any_offset(desk: Desk) -> None:
    desk.nce("campaign", "move-date", "cut_over", "2022-07-12T02:00:00+02:00")
    assert standing(desk).cut_over_at() == datetime(2022, 7, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("moment", "value", "sentence"),
    [
        ("cut_of", "2022-07-12", "Moment 'cut_of' does not exist; a campaign has opens, opt_out_deadline,"),
        ("cut_over", "2022-07-12", "could mean its start or its end; write 2022-07-12T00:00:00Z"),
        ("cut_over", "2022-07-12T00:00:00", "names no instant without an offset; write 2022-07-12T00:00:00Z"),
        ("opt_out_deadline", "2022-W26-4", "'2022-W26-4' is neither a day nor an instant"),
        ("cut_over", "12/07/2022", "'12/07/2022' is neither a day nor an instant"),
        ("cut_over", "0001-01-01T00:00:00+14:00", "is neither a day nor an instant"),
        ("opt_out_deadline", "2022-07-20", "'opt_out_deadline' must not come after 'cut_over'"),
    ],
)
def test_a_move_that_makes_no_sense_moves_nothing(desk: Desk, moment: str, value: str, sentence: str) -> None:
    done = desk.nce("campaign", "move-date", moment, value)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert standing(desk) == campaign()


def test_a_move_to_where_it_stands_makes_no_version(desk: Desk) -> None:
    done = desk.nce("campaign", "move-date", "opt_out_deadline", "2022-06-30")
    assert done.stdout == f"{CAMPAIGN}: opt_out_deadline stands there already, version 1 stays.\n"


def test_a_campaign_is_shown_as_it_is_in_force(desk: Desk) -> None:
    desk.nce("campaign", "move-date", "cut_over", "2022-07-12T00:00:00Z", "--reason", "notice 2")
    shown = json.loads(desk.nce("campaign", "show", "--json").stdout)
    assert (shown["schema"], shown["version"], shown["reason"]) == (1, 2, "notice 2")
    assert shown["instants"]["cut_over"] == "2022-07-12T00:00:00Z"
    assert Campaign.model_validate(shown["document"]) == standing(desk)


def test_the_table_of_a_campaign_has_every_date_in_its_zone_and_in_utc(desk: Desk) -> None:
    lines = desk.nce("campaign", "show", CAMPAIGN).stdout.splitlines()
    [deadline] = [line for line in lines if line.startswith("opt_out_deadline")]
    assert "2022-07-01 00:00 Europe/Rome (2022-06-30 22:00 UTC)" in deadline


def test_the_versions_say_who_when_and_why(desk: Desk) -> None:
    desk.nce(
        "campaign", "move-date", "cut_over", "2022-07-12T00:00:00Z", "--by", "bruno", "--reason", "notice 2"
    )
    shown = json.loads(desk.nce("campaign", "show", "--versions", "--json").stdout)
    assert [(v["version"], v["author"], v["reason"]) for v in shown["versions"]] == [
        (1, "anna", "first import"), (2, "bruno", "notice 2"),
    ]  # fmt: skip
    table = desk.nce("campaign", "show", "--versions").stdout
    assert "2022-06-20 08:00" in table.splitlines()[-1]


def test_one_of_several_campaigns_has_to_be_named(desk: Desk, tmp_path: Path) -> None:
    desk.nce("campaign", "import", written(tmp_path, campaign="another"))
    done = desk.nce("campaign", "show")
    assert (done.exit_code, done.stderr) == (
        2, f"Several campaigns are on record; name one with --campaign: another, {CAMPAIGN}.\n",
    )  # fmt: skip
    desk.environment["NCE_CAMPAIGN"] = "another"
    assert desk.nce("status").stdout.startswith("another, version 1")


def test_without_a_campaign_the_way_to_one_is_told(blank_desk: Desk) -> None:
    done = blank_desk.nce("status")
    assert (done.exit_code, done.stderr) == (
        2, "No campaign is on record yet; import one: nce campaign import FILE.\n",
    )  # fmt: skip
