"""The first task of `nce_campaign` refuses what cannot run, with the connection as it is entered now."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import RetryAction

from include.nce.domain.errors import InputRefused, PartnerCenterFault
from include.nce.ledger.ledger import PostgresLedger
from include.nce.orchestration.operators import CheckCampaign
from include.nce.orchestration.retry_policy import RetryWhatTimeHelps
from tests.integration.credentials.conftest import SignInService
from tests.integration.ledger.scene import CAMPAIGN, campaign, partner


@pytest.fixture
def imported(airflow_connections: SignInService, ledger_database: str, tmp_path: Path) -> SignInService:
    """The ledger has a campaign whose roster has one partner, rossi."""
    roster = tmp_path / "roster.csv"
    rossi = partner("rossi")
    roster.write_text(f"partner;name;tenant_id\nrossi;{rossi.name};{rossi.tenant_id}\n")

    async def import_it() -> None:
        async with PostgresLedger.open(ledger_database, pool_size=1) as ledger:
            await ledger.import_campaign(campaign(roster=str(roster)), "anna", "first import")

    asyncio.run(import_it())
    return airflow_connections


class Instance:
    """What Airflow keeps of the task."""

    def __init__(self) -> None:
        self.note: str | None = None

    def xcom_push(self, key: str, value: str) -> None:
        assert key == "sentence"
        self.note = value


def check(instance: Instance | None = None, **conf: Any) -> None:
    context: Any = {"params": {"campaign": CAMPAIGN, **conf}, "ti": instance or Instance()}
    CheckCampaign(task_id="check_campaign").execute(context)


def refused(**conf: Any) -> str:
    """What the operator reads: the task fails at once, Airflow says why, and so does the run's note."""
    instance = Instance()
    with pytest.raises((InputRefused, PartnerCenterFault)) as refusal:
        check(instance, **conf)
    decision = RetryWhatTimeHelps().evaluate(refusal.value, try_number=1, max_tries=3)
    assert decision.action is RetryAction.FAIL
    assert instance.note == f"failed: {str(decision.reason).removesuffix(' Trying again does not help.')}"
    return str(decision.reason)


def test_a_campaign_that_can_run_is_let_through(imported: SignInService) -> None:
    check(partners=["rossi"], outcomes=["blocked"])
    assert imported.statuses("get_relationships") == {"200": 1}


def test_a_mistyped_secret_is_found_while_a_kept_token_is_still_good(
    imported: SignInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    check()
    changed = json.loads(os.environ["AIRFLOW_CONN_PARTNER_CENTER"]) | {"password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_PARTNER_CENTER", json.dumps(changed))
    sentence = refused()
    assert "the client secret is wrong" in sentence
    assert sentence.endswith("Who acts: provider.")


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({"partners": ["rosi"]}, f"Partner rosi is not in the roster of {CAMPAIGN}. Did you mean rossi?"),
        ({"outcomes": ["bloked"]}, "Outcome 'bloked' does not exist"),
        ({"partner": ["rossi"]}, "there is no field partner; did you mean partners?"),
        ({"campaign": "csp-comercial-2022"}, f"did you mean '{CAMPAIGN}'?"),
    ],
)
def test_what_cannot_run_is_refused_in_one_sentence(
    imported: SignInService, conf: dict[str, Any], sentence: str
) -> None:
    assert sentence in refused(**conf)
    assert imported.statuses("get_relationships") == {}
