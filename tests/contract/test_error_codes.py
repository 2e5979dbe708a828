"""Every error code that Microsoft documents for the calls made here has a meaning that somebody chose.

`error_codes.json` holds the documented lists, each code with its HTTP status, a word on what it says, and who
has to act (`acts`) or what it is found to be (`finding`) in our reading. It is the second opinion to the
client's own table: a new code in one of them fails here until it is in both.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include.nce.domain.classification import FIX_FOR_REFUSAL
from include.nce.domain.conversion import ConversionRequest
from include.nce.domain.errors import FailureClass
from include.nce.domain.purchase import PurchaseLine
from include.nce.domain.readiness import MpaState, PartnerOfRecord
from include.nce.domain.subscription import CatalogueTarget
from include.nce.partner_center import errors
from include.nce.partner_center.auth import TokenSource
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.errors import error_for_answer
from include.nce.partner_center.gateway import PartnerCenterGateway
from include.nce.partner_center.transport import Transport
from simulator.errors import REFUSALS
from tests.support.partner_center_server import PartnerCenterServer, Reply, serving

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "error_codes.json").read_text(encoding="utf-8")
)
C, S = "b44bb1fb-c595-45b0-9e09-d657365580bf", "83ef9d05-4169-4ef9-9657-0e86b1eab1de"
TARGET = CatalogueTarget(product="CFQ7TTC0LF8S", sku="0001")


def rows(*sections: str) -> list[Any]:
    return [
        pytest.param(row, id=f"{row['section']} {row['status'] or ''} {row['code']}")
        for row in ROWS
        if row["section"] in sections
    ]


async def asked(server: PartnerCenterServer, ask: Any) -> Any:
    connection = PartnerCenterConnection.from_airflow(server.airflow_connection())
    transport = Transport(connection, TokenSource(connection))
    async with PartnerCenterClient(connection, transport=transport) as client:
        return await ask(PartnerCenterGateway(client))


@pytest.mark.parametrize("row", rows("2.5", "8.9"))
@pytest.mark.parametrize("writes", [False, True])
def test_a_documented_code_says_in_our_words_who_has_to_act(row: dict[str, Any], writes: bool) -> None:
    text = json.dumps(
        {"code": row["code"], "description": "Words of theirs.", "data": [], "source": "PartnerFD"}
    )
    error = error_for_answer(operation="ask", writes=writes, status=row["status"], headers={}, text=text)

    assert "Words of theirs" not in str(error)
    lost = writes and (row["status"] >= 500 or row["status"] == 408)
    assert error.failure_class is (FailureClass.LOOK_FIRST if lost else FailureClass(row["acts"]))


@pytest.mark.parametrize("row", rows("3.1"))
async def test_a_documented_code_of_the_agreement_status_is_a_finding(row: dict[str, Any]) -> None:
    async with serving() as server:
        answer = Reply(400, {"code": row["code"], "description": "d"})
        server.on("GET", "/v1/compliance/csp/agreementstatus", answer)
        status = await asked(server, lambda gateway: gateway.mpa_status(C))
    assert (status.state, status.code) == (MpaState(row["finding"]), row["code"])


@pytest.mark.parametrize("row", rows("4.5"))
async def test_a_documented_code_of_a_partner_of_record_is_a_finding(row: dict[str, Any]) -> None:
    result = {"partnerId": "1", "isValidPartnerIdOnRecord": False, "errorCode": row["code"]}
    async with serving() as server:
        server.on("POST", "/v1/partners/validateresellers", Reply(200, {"validationResults": [result]}))
        found = await asked(server, lambda gateway: gateway.partner_of_record("1"))
    assert found is PartnerOfRecord(row["finding"])


@pytest.mark.parametrize("row", rows("8.1"))
async def test_a_documented_reason_of_ineligibility_reaches_the_rules_and_has_a_remedy(
    row: dict[str, Any],
) -> None:
    verdict = {
        "currentSubscriptionId": S,
        "isEligible": False,
        "errors": [{"code": row["code"], "description": "d"}],
    }
    async with serving() as server:
        server.on("POST", f"/v1/customers/{C}/migrations/newcommerce/validate", Reply(200, verdict))
        request = ConversionRequest(legacy_id=S, customer_id=C)
        eligibility = await asked(server, lambda gateway: gateway.validate_migration(request))
    assert [refusal.code for refusal in eligibility.refusals] == [row["code"]]
    assert FIX_FOR_REFUSAL[row["code"]].endswith(".")


@pytest.mark.parametrize("row", rows("9.8"))
async def test_a_documented_fault_of_a_cart_line_is_told_of_the_subscription_it_was_for(
    row: dict[str, Any],
) -> None:
    term = {"duration": "P1Y", "billingCycle": "Monthly"}
    item = f"{TARGET.product_and_sku}:CFQ7TTC0VZW5"
    offered = {
        "id": "CFQ7TTC0VZW5",
        "productId": TARGET.product,
        "skuId": TARGET.sku,
        "catalogItemId": item,
        "terms": [term],
    }
    line = {"id": 0, "catalogItemId": item, "quantity": 1}
    error = {"errorCode": row["code"], "errorDescription": "d"}
    async with serving() as server:
        path = f"/v1/customers/{C}/products/{TARGET.product}/skus/{TARGET.sku}/availabilities"
        server.on("GET", path, Reply(200, {"items": [offered]}))
        cart = {"id": S, "status": "Active", "lineItems": [{**line, "error": error}]}
        server.on("POST", f"/v1/customers/{C}/carts", Reply(201, cart))
        made, _ = await asked(
            server,
            lambda gateway: gateway.create_cart(
                C, [PurchaseLine(S, TARGET, 1)], partner_mpn_id=None, request_id=S
            ),
        )
    assert [(fault.legacy_id, fault.code) for fault in made.faults] == [(S, row["code"])]


def test_the_client_rules_on_no_code_that_is_not_documented() -> None:
    assert set(errors._RULINGS) == {(row["status"], row["code"]) for row in ROWS if "acts" in row}


def test_the_simulator_refuses_with_documented_codes_and_their_status() -> None:
    documented = {(row["status"], row["code"]) for row in ROWS}
    in_a_success = {row["code"] for row in ROWS if row["section"] == "4.5"}
    refused = {(status, code) for code, (status, _) in REFUSALS.items() if code not in in_a_success}
    assert refused <= documented
