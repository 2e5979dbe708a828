"""Nothing of a real campaign is dated by a simulator."""

from __future__ import annotations

import pytest

from include.nce.ledger.account import Account
from tests.integration.cli.conftest import Desk
from tests.integration.ledger.scene import CAMPAIGN, guid


@pytest.mark.parametrize("rehearsal", [True, False])
def test_a_simulators_clock_dates_a_rehearsals_ledger_only(desk: Desk, rehearsal: bool) -> None:
    desk.ledger(lambda ledger: ledger.claim(Account.of(guid("provider"), rehearsal=rehearsal)))
    done = desk.nce("opt-out", "add", "rossi")
    recorded = desk.ledger(lambda ledger: ledger.opt_outs(CAMPAIGN, "rossi"))
    if rehearsal:
        assert (done.exit_code, len(recorded)) == (0, 1)
    else:
        assert (done.exit_code != 0, recorded) == (True, [])
        assert "NCE_SIMULATOR_URL is set, but the ledger belongs to Partner Center itself" in done.output


def test_a_clock_on_another_machine_dates_nothing(desk: Desk) -> None:
    desk.environment["NCE_SIMULATOR_URL"] = "http://clock.example:8765"
    done = desk.nce("opt-out", "add", "rossi")
    assert done.exit_code != 0
    assert "on this machine" in done.output
    assert desk.ledger(lambda ledger: ledger.opt_outs(CAMPAIGN, "rossi")) == []
