"""Partner Center in the domain's words, from real answers over a real socket."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime, timezone
from typing import Any

import pytest

from include.nce.domain.command import Answered
from include.nce.domain.conversion import ConversionRequest, MigrationState, Refusal
from include.nce.domain.errors import FailureClass, PartnerCenterFault
from include.nce.domain.purchase import Cart, CartLineFault, PurchaseLine
from include.nce.domain.readiness import MpaState, MpaStatus, PartnerOfRecord, ResellerLink
from include.nce.domain.subscription import (
    CatalogueTarget,
    Customer,
    Status,
    Subscription,
    SubscriptionKind,
)
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.gateway import PartnerCenterGateway
from tests.support.departing import departure, may_cancel, may_suspend
from tests.support.partner_center_server import PartnerCenterServer, Reply

UTC = timezone.utc
C = "b44bb1fb-c595-45b0-9e09-d657365580bf"
S = "83ef9d05-4169-4ef9-9657-0e86b1eab1de"
ADD_ON = "359011dc-b5b0-4660-850b-a8fa9b2e3309"
NCE = "8adde5ce-52e3-47b5-c49c-df9c210bd5df"
OFFER = "031C9E47-4802-4248-838E-778FB1D2CC05"
TARGET = CatalogueTarget(product="CFQ7TTC0LF8S", sku="0001")
LINE = PurchaseLine(S, TARGET, 5)
ITEM = "CFQ7TTC0LF8S:0001:CFQ7TTC0VZW5"

SUBSCRIPTIONS = f"/v1/customers/{C}/subscriptions"
SUBSCRIPTION = f"{SUBSCRIPTIONS}/{S}"
CREATE = f"/v1/customers/{C}/migrations/newcommerce"
VALIDATE = f"{CREATE}/validate"
QUERY = "/v1/migrations/newcommerce"
AVAILABILITIES = f"/v1/customers/{C}/products/CFQ7TTC0LF8S/skus/0001/availabilities"
CARTS = f"/v1/customers/{C}/carts"
CART = f"{CARTS}/k"
RESELLERS = "/v1/partners/validateresellers"

LEGACY = {
    "id": S.upper(),
    "offerId": OFFER,
    "offerName": "Microsoft 365 Business Basic",
    "quantity": 5,
    "creationDate": "2021-07-15T10:00:00.1234567Z",
    "commitmentEndDate": "2022-07-15T08:00:00Z",
    "status": "active",
    "autoRenewEnabled": True,
    "isTrial": False,
    "billingCycle": "monthly",
    "partnerId": "4847383",
    "orderId": "3EDDCAC6-63B2-4C40-B0B6-F47E18301492",
}


@pytest.fixture
def gateway(client: PartnerCenterClient) -> PartnerCenterGateway:
    return PartnerCenterGateway(client)


async def fault(awaitable: Any) -> PartnerCenterFault:
    with pytest.raises(PartnerCenterFault) as raised:
        await awaitable
    return raised.value


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(200, {"isAgreementSigned": True}), MpaStatus(MpaState.SIGNED)),
        (Reply(200, {"isAgreementSigned": False}), MpaStatus(MpaState.NOT_SIGNED)),
        (Reply(400, {"code": 2206, "description": "d"}), MpaStatus(MpaState.NOT_SIGNED, 2206, "d")),
        (Reply(400, {"code": 2201, "description": "d"}), MpaStatus(MpaState.OTHER_REGION, 2201, "d")),
        (Reply(400, {"code": 2205, "description": "d"}), MpaStatus(MpaState.NOT_A_RESELLER, 2205, "d")),
        (Reply(400, {"code": 2000, "description": "d"}), MpaStatus(MpaState.CANNOT_TELL, 2000, "d")),
    ],
)
async def test_the_mpa_status_has_every_state_the_rules_know(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, reply: Reply, status: MpaStatus
) -> None:
    server.on("GET", "/v1/compliance/csp/agreementstatus", reply)
    assert await gateway.mpa_status("t") == status


async def test_a_fault_of_microsofts_is_never_an_mpa_status(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", "/v1/compliance/csp/agreementstatus", Reply(500))
    assert (await fault(gateway.mpa_status("t"))).failure_class is FailureClass.WAIT


async def test_a_reseller_link_is_active_only_when_partner_center_says_so(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    rows = [
        {"id": "484E548C-F5F3-4528-93A9-C16C6373CB59", "name": "First Up", "state": "Active",
         "mpnId": "4847383", "location": "IT"},
        {"id": "b01b1487-b36e-4e6d-9b5e-0b58974c4b28", "name": "Relecloud", "state": "Invited"},
    ]  # fmt: skip
    server.on("GET", "/v1/relationships", Reply(200, {"items": rows}))
    assert await gateway.resellers() == [
        ResellerLink("484e548c-f5f3-4528-93a9-c16c6373cb59", "First Up", True, "Active", "4847383", "IT"),
        ResellerLink("b01b1487-b36e-4e6d-9b5e-0b58974c4b28", "Relecloud", False, "Invited"),
    ]


async def test_a_row_that_cannot_be_read_makes_no_partner_look_unlinked(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", "/v1/relationships", Reply(200, [{"name": "no id"}]))
    assert (await fault(gateway.resellers())).failure_class is FailureClass.BROKEN


@pytest.mark.parametrize(
    ("result", "word"),
    [
        ({"isValidPartnerIdOnRecord": True}, PartnerOfRecord.VALID),
        ({"isValidPartnerIdOnRecord": False, "errorCode": 900400}, PartnerOfRecord.NOT_LINKED),
        ({"isValidPartnerIdOnRecord": False, "errorCode": 900414}, PartnerOfRecord.NOT_AUTHORISED),
        ({"isValidPartnerIdOnRecord": False, "errorCode": 1}, PartnerOfRecord.INVALID),
    ],
)
async def test_the_partner_of_record_question_has_four_answers(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, result: dict[str, Any], word: PartnerOfRecord
) -> None:
    server.on("POST", RESELLERS, Reply(200, {"validationResults": [{"partnerId": 4847383, **result}]}))
    assert await gateway.partner_of_record("4847383") is word


@pytest.mark.parametrize("reply", [Reply(404), Reply(405), Reply(200, {"validationResults": []})])
async def test_where_the_question_does_not_exist_nothing_is_known(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, reply: Reply
) -> None:
    server.on("POST", RESELLERS, reply)
    assert await gateway.partner_of_record("4847383") is PartnerOfRecord.UNKNOWN


async def test_a_partner_id_that_is_refused_outright_is_invalid(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("POST", RESELLERS, Reply(404, {"code": 800015, "description": "none"}))
    assert await gateway.partner_of_record("1") is PartnerOfRecord.INVALID


async def test_our_missing_rights_say_nothing_about_a_partner_of_record(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("POST", RESELLERS, Reply(403, {"code": 900150, "description": "role"}))
    assert (await fault(gateway.partner_of_record("1"))).failure_class is FailureClass.PROVIDER_ACTS


@pytest.mark.parametrize(("status", "exists"), [(200, True), (404, False)])
async def test_a_profile_exists_or_not(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, status: int, exists: bool
) -> None:
    body = {"mpnId": "1"} if exists else {"code": 3000, "description": "none"}
    server.on("GET", "/v1/profiles/mpn", Reply(status, body))
    assert await gateway.mpn_profile_exists("1") is exists


async def test_all_pages_of_a_partners_customers_are_read(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    named = {"id": C.upper(), "companyProfile": {"companyName": "Studio Rossi", "address": {"country": "IT"}}}
    server.on(
        "GET",
        "/v1/customers",
        Reply(200, {"items": [named], "continuationToken": "t"}),
        Reply(200, {"items": [{"id": "c2"}, {"id": "c3", "companyProfile": "unreadable"}]}),
    )
    assert [customer async for customer in gateway.customers_of("t")] == [
        Customer(C, "Studio Rossi", "IT"),
        Customer("c2", ""),
        Customer("c3", ""),
    ]


async def test_a_customer_without_an_id_is_not_passed_over(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", "/v1/customers", Reply(200, {"items": [{"id": "c1"}, {"allowDelegatedAccess": True}]}))
    with pytest.raises(PartnerCenterFault) as raised:
        _ = [customer async for customer in gateway.customers_of("t")]
    assert raised.value.failure_class is FailureClass.BROKEN


CONFIRMATIONS = f"/v1/customers/{C}/agreements"
DIRECT = f"/v1/customers/{C}/directSignedMicrosoftCustomerAgreementStatus"


@pytest.mark.parametrize(
    ("confirmed", "signed", "accepted"),
    [
        ([{"type": "MicrosoftCustomerAgreement"}], False, True),
        ([], True, True),
        ([], False, False),
        ([{"type": "MicrosoftCloudAgreement"}], False, False),
        ([{"templateId": "t"}], False, False),
    ],
    ids=["confirmed", "signed directly", "neither", "the older agreement", "no word on which agreement"],
)
async def test_the_customer_agreement_is_accepted_by_confirmation_or_by_signature(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, confirmed: Any, signed: bool, accepted: bool
) -> None:
    server.on("GET", CONFIRMATIONS, Reply(200, {"items": confirmed}))
    server.on("GET", DIRECT, Reply(200, {"isSigned": signed}))
    assert await gateway.customer_agreement_accepted(C) is accepted


async def test_a_confirmation_that_cannot_be_read_is_not_a_missing_one(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", CONFIRMATIONS, Reply(200, {"items": [{"dateAgreed": "some day"}]}))
    server.on("GET", DIRECT, Reply(200, {"isSigned": False}))
    assert (await fault(gateway.customer_agreement_accepted(C))).failure_class is FailureClass.BROKEN


async def test_a_legacy_subscription_is_told_in_our_words(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", SUBSCRIPTIONS, Reply(200, {"items": [LEGACY]}))
    assert await gateway.subscriptions_of(C) == [
        Subscription(
            subscription_id=S,
            customer_id=C,
            offer_id=OFFER.lower(),
            offer_name="Microsoft 365 Business Basic",
            kind=SubscriptionKind.LEGACY,
            status=Status.ACTIVE,
            seats=5,
            term_end_at=datetime(2022, 7, 15, 8, tzinfo=UTC),
            created_at=datetime(2021, 7, 15, 10, 0, 0, 123456, tzinfo=UTC),
            auto_renew=True,
            billing="monthly",
            partner_mpn_id="4847383",
            order_id="3eddcac6-63b2-4c40-b0b6-f47e18301492",
        )
    ]


async def test_an_nce_subscription_names_the_legacy_one_it_came_from(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    wire = {
        "id": NCE,
        "offerId": ITEM,
        "productType": {"id": "OnlineServicesNCE", "displayName": "OnlineServicesNCE"},
        "quantity": 5,
        "status": "active",
        "termDuration": "P1Y",
        "commitmentEndDate": "2023-07-14T00:00:00Z",
        "commitmentEndDateTime": "2023-07-14T23:59:59Z",
        "cancellationAllowedUntilDate": "2022-07-22T10:00:00Z",
        "migratedFromSubscriptionId": S.upper(),
    }
    server.on("GET", f"{SUBSCRIPTIONS}/{NCE}", Reply(200, wire))
    found = await gateway.subscription(C, NCE)
    assert found is not None
    assert found.kind is SubscriptionKind.NCE
    assert found.migrated_from_id == S
    assert found.product_and_sku == TARGET.product_and_sku
    assert found.term_end_at == datetime(2023, 7, 14, 23, 59, 59, tzinfo=UTC)
    assert found.cancellable_until_at == datetime(2022, 7, 22, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        ("suspended", Status.SUSPENDED),
        ("canceled", Status.DELETED),
        ("disabled", Status.EXPIRED),
        ("hibernating", Status.OTHER),
        (None, Status.OTHER),
    ],
)
async def test_a_status_nobody_knows_is_never_active(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, wire: str | None, status: Status
) -> None:
    server.on("GET", SUBSCRIPTIONS, Reply(200, [{**LEGACY, "status": wire}]))
    assert [found.status for found in await gateway.subscriptions_of(C)] == [status]


@pytest.mark.parametrize(
    "damage",
    [{"quantity": "many"}, {"quantity": None}, {"commitmentEndDate": "soon"}],
    ids=["seats in words", "no seats", "no date"],
)
async def test_a_subscription_that_cannot_be_read_is_held_and_leaves_the_others(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, damage: dict[str, Any]
) -> None:
    broken = {**LEGACY, **damage, "parentSubscriptionId": ADD_ON.upper()}
    server.on("GET", SUBSCRIPTIONS, Reply(200, {"items": [broken, {**LEGACY, "id": "other"}]}))
    found = {item.subscription_id: item for item in await gateway.subscriptions_of(C)}

    assert found["other"].status is Status.ACTIVE
    held = found[S]
    assert (held.status, held.term_end_at, held.kind) == (Status.OTHER, None, SubscriptionKind.LEGACY)
    assert (held.parent_id, held.partner_mpn_id) == (ADD_ON, "4847383")


NAMELESS = Reply(
    200, {"items": [{"quantity": "many", "state": {}, "customerTenantId": {}, "agreementType": {}}]}
)


@pytest.mark.parametrize(
    ("path", "question"),
    [
        ("/v1/relationships", lambda gateway: gateway.resellers()),
        ("/v1/customers", lambda gateway: anext(gateway.customers_of("t"))),
        (SUBSCRIPTIONS, lambda gateway: gateway.subscriptions_of(C)),
        (QUERY, lambda gateway: anext(gateway.migrations(customer_id=C))),
        (AVAILABILITIES, lambda gateway: gateway.create_cart(C, [LINE], partner_mpn_id=None, request_id="r")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_answer_that_is_no_use_is_named_by_the_ids_microsoft_finds_it_by(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, path: str, question: Any
) -> None:
    server.on("GET", path, NAMELESS)
    error = await fault(question(gateway))
    sent = server.asked[-1].headers
    assert (error.request_id, error.correlation_id) == (sent["ms-requestid"], sent["ms-correlationid"])


@pytest.mark.parametrize("damage", [{"quantity": "many"}, {"quantity": None}])
async def test_what_is_held_stands_in_the_log_with_the_ids_of_its_answer(
    server: PartnerCenterServer,
    gateway: PartnerCenterGateway,
    damage: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.on("GET", SUBSCRIPTIONS, Reply(200, {"items": [{**LEGACY, **damage}]}))
    await gateway.subscriptions_of(C)
    (said,) = [record.getMessage() for record in caplog.records if "is held" in record.getMessage()]
    sent = server.asked[-1].headers
    assert f"(request {sent['ms-requestid']}, correlation {sent['ms-correlationid']})" in said


async def test_a_successor_that_cannot_be_read_still_says_whom_it_succeeds(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    successor = {"id": NCE, "offerId": ITEM, "quantity": {}, "migratedFromSubscriptionId": S.upper()}
    server.on("GET", SUBSCRIPTIONS, Reply(200, [successor]))
    (found,) = await gateway.subscriptions_of(C)
    assert found.migrated_from_id == S
    assert found.kind is SubscriptionKind.NCE


async def test_a_subscription_without_an_id_is_not_passed_over(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", SUBSCRIPTIONS, Reply(200, [{"status": "active"}]))
    assert (await fault(gateway.subscriptions_of(C))).failure_class is FailureClass.BROKEN


async def test_an_azure_subscription_needs_no_seats(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", SUBSCRIPTIONS, Reply(200, [{"id": S, "offerId": "MS-AZR-0145P", "status": "active"}]))
    (found,) = await gateway.subscriptions_of(C)
    assert (found.kind, found.status) == (SubscriptionKind.AZURE, Status.ACTIVE)


async def test_a_subscription_that_is_not_there_is_none(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", SUBSCRIPTION, Reply(404, {"code": 20003, "description": "none"}))
    assert await gateway.subscription(C, S) is None


BUNDLE = ConversionRequest(
    legacy_id=S,
    customer_id=C,
    term="P1Y",
    billing="monthly",
    seats=5,
    add_ons=(ConversionRequest(legacy_id=ADD_ON, customer_id=C, seats=2),),
    reference="campaign-1",
)
BUNDLE_BODY = {
    "currentSubscriptionId": S,
    "termDuration": "P1Y",
    "billingCycle": "Monthly",
    "quantity": 5,
    "addOnMigrations": [{"currentSubscriptionId": ADD_ON, "quantity": 2}],
}


async def test_a_verdict_comes_with_every_reason_of_the_bundle(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    no = {
        "currentSubscriptionId": ADD_ON,
        "isEligible": False,
        "errors": [{"code": 5, "description": "none"}],
    }
    answer = {"currentSubscriptionId": S.upper(), "isEligible": True, "addOnMigrations": [no]}
    server.on("POST", VALIDATE, Reply(200, answer))
    eligibility = await gateway.validate_migration(BUNDLE)

    assert server.asked[0].body == BUNDLE_BODY
    assert eligibility.eligible
    assert not eligibility.all_eligible
    assert eligibility.all_refusals() == (Refusal(5, "none"),)


async def test_a_validation_asks_only_for_what_differs(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("POST", VALIDATE, Reply(200, {"currentSubscriptionId": S, "isEligible": True}))
    await gateway.validate_migration(ConversionRequest(legacy_id=S, customer_id=C))
    assert server.asked[0].body == {"currentSubscriptionId": S}


async def test_a_full_term_is_asked_for_only_when_it_was_decided(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("POST", VALIDATE, Reply(200, {"currentSubscriptionId": S, "isEligible": True}))
    await gateway.validate_migration(ConversionRequest(legacy_id=S, customer_id=C, full_term=True))
    assert server.asked[0].body == {"currentSubscriptionId": S, "purchaseFullTerm": True}


async def test_a_migration_is_created_with_our_reference_and_told_with_its_add_ons(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    answer = {
        "id": "m1",
        "currentSubscriptionId": S.upper(),
        "status": "Processing",
        "customerTenantId": C,
        "startedTime": "2022-07-11T01:00:00Z",
        "externalReferenceId": "campaign-1",
        "addOnMigrations": [{"currentSubscriptionId": ADD_ON.upper(), "quantity": 2}],
    }
    server.on("POST", CREATE, Reply(201, answer))
    migration, answered = await gateway.create_migration(BUNDLE, departure=departure("r1"))

    (asked,) = server.asked
    assert asked.body == {**BUNDLE_BODY, "externalReferenceId": "campaign-1"}
    assert (answered.request_id, answered.status, answered.body) == ("r1", 201, answer)
    assert answered.correlation_id == asked.headers["ms-correlationid"]
    assert migration.migration_id == "m1"
    (add_on,) = migration.add_ons
    assert (add_on.legacy_id, add_on.customer_id, add_on.migration_id) == (ADD_ON, C, None)
    assert (add_on.state, add_on.reference) == (MigrationState.PROCESSING, "campaign-1")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("Completed", MigrationState.COMPLETED),
        ("failed", MigrationState.FAILED),
        ("Reverting", MigrationState.PROCESSING),
        (None, MigrationState.PROCESSING),
    ],
)
async def test_a_migration_in_a_state_nobody_knows_is_in_progress(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, status: str | None, state: MigrationState
) -> None:
    server.on("GET", QUERY, Reply(200, [{"id": "m", "currentSubscriptionId": S, "status": status}]))
    assert [m.state async for m in gateway.migrations(legacy_id=S)] == [state]


async def test_a_migration_that_cannot_be_read_still_keeps_us_from_sending_another(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    broken = {"id": "m", "currentSubscriptionId": S.upper(), "startedTime": "some day", "status": "Failed"}
    server.on("GET", QUERY, Reply(200, [broken]))
    (found,) = [migration async for migration in gateway.migrations(legacy_id=S)]
    assert (found.legacy_id, found.state) == (S, MigrationState.PROCESSING)


async def test_a_migration_of_nobody_knows_which_subscription_is_no_empty_answer(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", QUERY, Reply(200, [{"id": "m"}]))
    with pytest.raises(PartnerCenterFault) as raised:
        _ = [migration async for migration in gateway.migrations(legacy_id=S)]
    assert raised.value.failure_class is FailureClass.BROKEN


def availability(item: str, **changes: Any) -> dict[str, Any]:
    product, sku, availability_id = item.split(":")
    term = {"duration": "P1Y", "billingCycle": "Monthly"}
    whole = {
        "id": availability_id,
        "productId": product,
        "skuId": sku,
        "catalogItemId": item,
        "terms": [term],
    }
    return {**whole, "segment": "commercial", "isPurchasable": True, **changes}


async def test_a_cart_is_filled_with_what_is_sold_now_in_the_partners_name(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    offered = [
        availability("CFQ7TTC0LF8S:0001:EDUCATION000", segment="education"),
        availability("CFQ7TTC0LF8S:0001:NOTPURCHASED", isPurchasable=False),
        availability("CFQ7TTC0LF8S:0001:ONLYANNUAL00", terms=[{"duration": "P1Y", "billingCycle": "Annual"}]),
        availability(ITEM),
    ]
    server.on("GET", AVAILABILITIES, Reply(200, {"items": offered}))
    server.on("POST", CARTS, Reply(201, {"id": "k", "status": "Active", "lineItems": []}))
    cart, answered = await gateway.create_cart(C, [LINE], partner_mpn_id="4847383", request_id="r1")

    (asked,) = server.requests("POST", CARTS)
    assert asked.body == {
        "lineItems": [
            {
                "id": 0,
                "catalogItemId": ITEM,
                "quantity": 5,
                "billingCycle": "monthly",
                "termDuration": "P1Y",
                "participants": [{"key": "transaction_reseller", "value": "4847383"}],
            }
        ],
        "PartnerOnRecordAttestationAccepted": True,
    }
    assert asked.headers["ms-requestid"] == "r1"
    assert cart == Cart("k")
    assert answered.request_id == "r1"


async def test_an_item_that_is_not_sold_makes_no_cart(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", AVAILABILITIES, Reply(200, {"items": []}))
    error = await fault(gateway.create_cart(C, [LINE], partner_mpn_id=None, request_id="r"))
    assert error.failure_class is FailureClass.PERSON_DECIDES
    assert TARGET.product_and_sku in error.sentence
    assert server.requests("POST", CARTS) == []


async def test_an_availability_that_went_away_is_read_again_and_the_cart_is_a_new_intention(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    newer = "CFQ7TTC0LF8S:0001:CFQ7TTC0NEWER"
    server.on("GET", AVAILABILITIES, Reply(200, [availability(ITEM)]), Reply(200, [availability(newer)]))
    gone = Reply(404, {"code": 400019, "description": "gone"})
    server.on("POST", CARTS, gone, Reply(201, {"id": "k"}))
    _, answered = await gateway.create_cart(C, [LINE], partner_mpn_id=None, request_id="r1")

    first, second = server.requests("POST", CARTS)
    assert second.body["lineItems"][0]["catalogItemId"] == newer
    assert first.headers["ms-requestid"] == "r1"
    assert second.headers["ms-requestid"] != "r1"
    assert answered.request_id == second.headers["ms-requestid"]


async def test_a_customer_that_is_gone_is_asked_for_once(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", AVAILABILITIES, Reply(200, [availability(ITEM)]))
    server.on("POST", CARTS, Reply(404, {"code": 1000, "description": "no such customer"}))
    await fault(gateway.create_cart(C, [LINE], partner_mpn_id=None, request_id="r"))
    assert len(server.requests("POST", CARTS)) == 1


async def test_a_line_that_cannot_be_bought_names_its_legacy_subscription(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    error = {"errorCode": 10001, "errorDescription": "item invalid"}
    lines = [{"id": 0, "catalogItemId": ITEM, "quantity": 5},
             {"id": 1, "catalogItemId": ITEM, "quantity": 2, "error": error}]  # fmt: skip
    server.on("GET", AVAILABILITIES, Reply(200, [availability(ITEM)]))
    server.on("POST", CARTS, Reply(201, {"id": "k", "lineItems": lines}))
    wanted = [LINE, PurchaseLine(ADD_ON, TARGET, 2)]
    cart, _ = await gateway.create_cart(C, wanted, partner_mpn_id=None, request_id="r")
    assert cart.faults == (CartLineFault(ADD_ON, 10001, "item invalid"),)


async def test_a_cart_says_whether_it_was_ordered(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", CART, Reply(200, {"id": "k", "status": "Ordered"}))
    assert await gateway.cart(C, "k") == Cart("k", ordered=True)


async def test_a_cart_that_ran_out_is_none(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("GET", CART, Reply(404, {"code": 800008, "description": "expired"}))
    assert await gateway.cart(C, "k") is None


def ordered(order: str, *lines: tuple[int, str | None]) -> dict[str, Any]:
    return {
        "id": order,
        "lineItems": [
            {"lineItemNumber": number, "offerId": ITEM, "quantity": seats, "subscriptionId": subscription}
            for number, (seats, subscription) in enumerate(lines)
        ],
    }


async def test_a_checkout_says_for_each_legacy_subscription_what_was_bought(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    server.on("POST", f"{CART}/checkout", Reply(201, {"orders": [ordered("o1", (2, NCE), (5, None))]}))
    lines = [LINE, PurchaseLine(ADD_ON, TARGET, 2)]
    purchase, answered = await gateway.check_out(C, "k", lines, departure=departure("r1"))

    assert purchase.order_ids == {S: "o1", ADD_ON: "o1"}
    assert purchase.subscription_ids == {ADD_ON: NCE}
    assert purchase.faults == ()
    assert (answered.request_id, answered.status) == ("r1", 201)


@pytest.mark.parametrize(
    ("monthly", "annual"),
    [
        ({"billingCycle": "Monthly"}, {"billingCycle": "annual"}),
        ({"termDuration": "P1M"}, {"termDuration": "P1Y"}),
    ],
)
async def test_lines_alike_but_for_term_or_billing_are_told_apart(
    server: PartnerCenterServer,
    gateway: PartnerCenterGateway,
    monthly: dict[str, str],
    annual: dict[str, str],
) -> None:
    by_the_month, by_the_year = "month", "year"
    orders = []
    for order_id, way in ((by_the_month, monthly), (by_the_year, annual)):
        order = ordered(order_id, (5, None))
        order["billingCycle"] = way.get("billingCycle", "unknown")
        order["lineItems"][0]["termDuration"] = way.get("termDuration")
        orders.append(order)
    for_a_year = PurchaseLine(S, TARGET.model_copy(update={"term": "P1Y", "billing": "annual"}), 5)
    for_a_month = PurchaseLine(ADD_ON, TARGET.model_copy(update={"term": "P1M", "billing": "monthly"}), 5)

    server.on("POST", f"{CART}/checkout", Reply(201, {"orders": orders}), Reply(201, {"orders": orders[:1]}))
    both, _ = await gateway.check_out(C, "k", [for_a_year, for_a_month], departure=departure("r"))
    assert both.order_ids == {S: by_the_year, ADD_ON: by_the_month}
    one, _ = await gateway.check_out(C, "k", [for_a_year, for_a_month], departure=departure("r"))
    assert one.order_ids == {ADD_ON: by_the_month}


async def test_a_checkout_that_fails_in_part_names_what_failed(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    other = CatalogueTarget(product="CFQ7TTC0LH18", sku="0001")
    failed = {"orderGroupId": "1", "code": "10015", "description": "too many seats"}
    server.on(
        "POST", f"{CART}/checkout", Reply(201, {"orders": [ordered("o1", (5, NCE))], "orderErrors": [failed]})
    )
    in_cart = [{"id": 0, "catalogItemId": ITEM, "quantity": 5, "orderGroup": "0"},
               {"id": 1, "catalogItemId": ITEM, "quantity": 2, "orderGroup": "1"}]  # fmt: skip
    server.on("GET", CART, Reply(200, {"id": "k", "lineItems": in_cart}))
    lines = [LINE, PurchaseLine(ADD_ON, other, 2)]
    purchase, _ = await gateway.check_out(C, "k", lines, departure=departure("r"))

    assert purchase.order_ids == {S: "o1"}
    assert purchase.faults == (CartLineFault(ADD_ON, 10015, "too many seats"),)


async def test_what_was_bought_is_told_also_when_the_cart_cannot_be_read_again(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    failed = {"orderGroupId": "1", "code": "10015", "description": "too many seats"}
    server.on(
        "POST", f"{CART}/checkout", Reply(201, {"orders": [ordered("o1", (5, NCE))], "orderErrors": [failed]})
    )
    server.on("GET", CART, Reply(404, {"code": 800008, "description": "expired"}))
    purchase, _ = await gateway.check_out(C, "k", [LINE], departure=departure("r"))
    assert purchase.order_ids == {S: "o1"}
    assert purchase.faults == (CartLineFault(None, 10015, "too many seats"),)


async def test_a_suspension_sends_the_whole_subscription_as_it_is_now(
    server: PartnerCenterServer, gateway: PartnerCenterGateway
) -> None:
    now = {**LEGACY, "attributes": {"etag": "e1", "objectType": "Subscription"}}
    server.on("GET", SUBSCRIPTION, Reply(200, now))
    server.on("PATCH", SUBSCRIPTION, Reply(200, {**now, "status": "suspended"}))
    answered = await gateway.suspend(may_suspend(C, S), departure=departure("r1"))

    (patch,) = server.requests("PATCH", SUBSCRIPTION)
    assert patch.body == {**now, "status": "suspended"}
    assert patch.headers["if-match"] == '"e1"'
    assert (answered.request_id, answered.status) == ("r1", 200)


def taken_back(gateway: PartnerCenterGateway, call: str) -> Awaitable[Answered]:
    if call == "reactivate":
        return gateway.reactivate(C, S, departure=departure("r1"))
    return gateway.cancel_nce(may_cancel(C, S), departure=departure("r1"))


@pytest.mark.parametrize(("call", "status"), [("reactivate", "active"), ("cancel_nce", "deleted")])
async def test_taking_back_sends_the_whole_subscription_with_one_thing_changed(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, call: str, status: str
) -> None:
    now = {**LEGACY, "status": "suspended", "scheduledNextTermInstructions": {"quantity": 3}, "later": [1]}
    server.on("GET", SUBSCRIPTION, Reply(200, now))
    server.on("PATCH", SUBSCRIPTION, Reply(200, {**now, "status": status}))
    answered = await taken_back(gateway, call)

    (patch,) = server.requests("PATCH", SUBSCRIPTION)
    assert patch.body == {**now, "status": status}
    assert patch.headers["ms-requestid"] == "r1"
    assert (answered.request_id, answered.status) == ("r1", 200)


@pytest.mark.parametrize("call", ["reactivate", "cancel_nce"])
@pytest.mark.parametrize(
    ("reply", "failure_class", "unknown"),
    [
        (Reply(400, {"code": 900117, "description": "window"}), FailureClass.PERSON_DECIDES, False),
        (Reply(400, {"code": 800040, "description": "status"}), FailureClass.PERSON_DECIDES, False),
        (Reply(409, {"code": 900278, "description": "pending"}), FailureClass.WAIT, False),
        (Reply(502), FailureClass.LOOK_FIRST, True),
    ],
)
async def test_what_cannot_be_taken_back_says_what_helps(
    server: PartnerCenterServer,
    gateway: PartnerCenterGateway,
    call: str,
    reply: Reply,
    failure_class: FailureClass,
    unknown: bool,
) -> None:
    server.on("GET", SUBSCRIPTION, Reply(200, LEGACY))
    server.on("PATCH", SUBSCRIPTION, reply)
    error = await fault(taken_back(gateway, call))
    assert (error.failure_class, error.leaves_effect_unknown) == (failure_class, unknown)


@pytest.mark.parametrize(
    ("reply", "failure_class"),
    [
        (Reply(400, {"code": 900216, "description": "in work"}), FailureClass.LOOK_FIRST),
        (Reply(408, {"code": 900225, "description": "unexpected"}), FailureClass.LOOK_FIRST),
        (Reply(502), FailureClass.LOOK_FIRST),
        (Reply(400, {"code": 900215, "description": "not active"}), FailureClass.RECONCILE),
        (Reply(400, {"code": 900217, "description": "too late"}), FailureClass.PERSON_DECIDES),
        (Reply(429, {"statusCode": 429}, {"Retry-After": "57"}), FailureClass.WAIT),
    ],
)
async def test_a_migration_that_is_not_created_says_what_helps(
    server: PartnerCenterServer, gateway: PartnerCenterGateway, reply: Reply, failure_class: FailureClass
) -> None:
    server.on("POST", CREATE, reply)
    error = await fault(gateway.create_migration(BUNDLE, departure=departure("r1")))
    assert error.failure_class is failure_class
    assert error.request_id == "r1"
    assert len(server.asked) == 1
