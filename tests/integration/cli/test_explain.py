"""`nce explain`: what is on record, in time order."""

from __future__ import annotations

import json

from include.nce.ledger.ledger import PostgresLedger
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import AT, CAMPAIGN, LATER, RUN, due, guid, missing


def set_scene(desk: Desk) -> None:
    async def recorded(ledger: PostgresLedger) -> None:
        await ledger.open_run(RUN, CAMPAIGN, "rossi", "apply", at=AT)
        await ledger.record_survey(RUN, [due("base").subscription], [], at=AT)
        await ledger.record_verdicts(RUN, [due("base")], [[guid("base")]], at=LATER)
        await ledger.record_finding(RUN, missing(), at=AT)

    desk.ledger(recorded)


def test_a_partners_story_is_told_in_time_order(desk: Desk) -> None:
    set_scene(desk)
    shown = desk.nce("explain", "rossi").stdout
    assert shown.index("The Microsoft Partner Agreement is not signed.") < shown.index("Plan 1")


def test_the_document_carries_the_same_entries(desk: Desk) -> None:
    set_scene(desk)
    document = json.loads(desk.nce("explain", guid("base"), "--json").stdout)
    assert (document["schema"], document["campaign"], document["subject"]) == (1, CAMPAIGN, guid("base"))
    moments = [entry["at"] for entry in document["entries"]]
    assert moments == sorted(moments)
    assert any("Convertible now." in entry["sentence"] for entry in document["entries"])


def test_what_nobody_knows_is_refused(desk: Desk) -> None:
    done = desk.nce("explain", "rosi")
    assert done.exit_code == 2
    assert "did you mean 'rossi'?" in done.stderr
