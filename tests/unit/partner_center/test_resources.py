"""Each operation on the wire: method, path, query, body, and for whom the token speaks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, datetime, timezone
from typing import Any

import pytest

from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.errors import AccessDenied, Broken, NotFound, PartnerCenterError
from include.nce.partner_center.models.agreements import (
    AgreementConfirmation,
    ContactForAgreement,
    MpaSignature,
)
from include.nce.partner_center.models.carts import CartLineRequest, CartRequest
from include.nce.partner_center.models.customers import QualificationRequest
from include.nce.partner_center.models.migrations import MigrationRequest
from include.nce.partner_center.models.orders import OrderLineRequest, OrderRequest
from include.nce.partner_center.models.promotions import PromotionEligibilityItem
from include.nce.partner_center.models.subscriptions import Subscription
from tests.support.partner_center_server import PartnerCenterServer, Reply

C = "b44bb1fb-c595-45b0-9e09-d657365580bf"
S = "83ef9d05-4169-4ef9-9657-0e86b1eab1de"
ITEM = "CFQ7TTC0LF8S:0001:CFQ7TTC0VZW5"
MIGRATE = MigrationRequest(current_subscription_id=S)
CART = CartRequest(line_items=[CartLineRequest(catalog_item_id=ITEM, quantity=1, billing_cycle="monthly")])
ORDER = OrderRequest(
    reference_customer_id=C,
    line_items=[OrderLineRequest(line_item_number=0, offer_id=ITEM, quantity=1, partner_id_on_record="1")],
)
CONFIRM = AgreementConfirmation.of(
    ContactForAgreement(first_name="T", last_name="C", email="someone@example.com"),
    agreed_at=datetime(2022, 6, 1, tzinfo=timezone.utc),
    template_id="t",
)
EDUCATION = QualificationRequest(qualification="Education", education_segment="K12")
PROMOTION = PromotionEligibilityItem(
    catalog_item_id=ITEM, quantity=1, term_duration="P1Y", billing_cycle="Monthly"
)
MCA = {"agreementType": "MicrosoftCustomerAgreement"}

Ask = Callable[[PartnerCenterClient], Awaitable[Any]]


async def last(pages: AsyncIterator[Any]) -> Any:
    return [page async for page in pages][-1]


READS: list[tuple[Ask, str, str, dict[str, str], str, Any]] = [
    # the call, method, path, query, token, an answer it can read
    (
        lambda c: c.agreements.mpa_status(tenant_id="t"),
        "GET", "/v1/compliance/csp/agreementstatus", {"tenantId": "t"}, "user", {"isAgreementSigned": True},
    ),
    (
        lambda c: c.agreements.mpa_status(mpn_id="1"),
        "GET", "/v1/compliance/csp/agreementstatus", {"mpnId": "1"}, "user", {"isAgreementSigned": True},
    ),
    (lambda c: c.agreements.templates(), "GET", "/v1/agreements", MCA, "user", []),
    (lambda c: c.agreements.confirmations(C), "GET", f"/v1/customers/{C}/agreements", MCA, "user", []),
    (
        lambda c: c.agreements.directly_signed(C),
        "GET", f"/v1/customers/{C}/directSignedMicrosoftCustomerAgreementStatus", {}, "user",
        {"isSigned": False},
    ),
    (
        lambda c: c.relationships.indirect_resellers(),
        "GET", "/v1/relationships", {"relationship_type": "IsIndirectCloudSolutionProviderOf"}, "user", [],
    ),
    (
        lambda c: c.relationships.resellers_of_customer(C),
        "GET", f"/v1/customers/{C}/relationships", {}, "user", [],
    ),
    (
        lambda c: c.relationships.customer_invitation(),
        "GET", "/v1/customers/relationshiprequests", {}, "user", {"url": "https://admin.microsoft.com"},
    ),
    (
        lambda c: c.relationships.validate_partners_of_record(["1"]),
        "POST", "/v1/partners/validateresellers", {}, "app", {"validationResults": []},
    ),
    (lambda c: c.profiles.mpn("1"), "GET", "/v1/profiles/mpn", {"mpnId": "1"}, "user", {"mpnId": "1"}),
    (lambda c: c.profiles.own_mpn(), "GET", "/v1/profiles/mpn", {}, "user", {"mpnId": "1"}),
    (
        lambda c: c.profiles.legal_business(),
        "GET", "/v1/profiles/legalbusiness", {"vettingVersion": "Current"}, "app", {"companyName": "X"},
    ),
    (lambda c: c.profiles.organization(), "GET", "/v1/profiles/organization", {}, "user", {"id": "o"}),
    (lambda c: last(c.customers.pages()), "GET", "/v1/customers", {"size": "500"}, "app", []),
    (
        lambda c: last(c.customers.pages_of_reseller("t")),
        "GET", "/v1/customers",
        {"size": "0", "filter": '{"Field":"IndirectReseller","Value":"t","Operator":"starts_with"}'},
        "user", [],
    ),
    (
        lambda c: last(c.customers.pages_by_domain("rossi")),
        "GET", "/v1/customers",
        {"size": "0", "filter": '{"Field":"Domain","Value":"rossi","Operator":"starts_with"}'},
        "user", [],
    ),
    (lambda c: c.customers.get(C), "GET", f"/v1/customers/{C}", {}, "app", {"id": C}),
    (
        lambda c: c.customers.company_profile(C),
        "GET", f"/v1/customers/{C}/profiles/company", {}, "user", {"companyName": "X"},
    ),
    (lambda c: c.customers.qualifications(C), "GET", f"/v1/customers/{C}/qualifications", {}, "app", []),
    (
        lambda c: c.customers.qualification_v1(C),
        "GET", f"/v1/customers/{C}/qualification", {}, "app", "education",
    ),
    (lambda c: c.subscriptions.of_customer(C), "GET", f"/v1/customers/{C}/subscriptions", {}, "app", []),
    (
        lambda c: c.subscriptions.of_partner_of_record(C, "1"),
        "GET", f"/v1/customers/{C}/subscriptions", {"mpn_id": "1"}, "app", [],
    ),
    (
        lambda c: c.subscriptions.of_order(C, "o"),
        "GET", f"/v1/customers/{C}/subscriptions", {"order_id": "o"}, "app", [],
    ),
    (
        lambda c: c.subscriptions.get(C, S),
        "GET", f"/v1/customers/{C}/subscriptions/{S}", {}, "app", {"id": S},
    ),
    (
        lambda c: c.subscriptions.add_ons(C, S),
        "GET", f"/v1/customers/{C}/subscriptions/{S}/addons", {}, "app", [],
    ),
    (
        lambda c: c.subscriptions.provisioning_status(C, S),
        "GET", f"/v1/customers/{C}/subscriptions/{S}/provisioningstatus", {}, "user", {"status": "success"},
    ),
    (
        lambda c: c.subscriptions.custom_term_end_dates(C, term="P1M"),
        "GET", f"/v1/customers/{C}/subscriptions/customTermEndDates", {"term_duration": "P1M"}, "app", [],
    ),
    (
        lambda c: c.migrations.validate(C, MIGRATE),
        "POST", f"/v1/customers/{C}/migrations/newcommerce/validate", {}, "app",
        {"currentSubscriptionId": S, "isEligible": True},
    ),
    (
        lambda c: c.migrations.get(C, "m"),
        "GET", f"/v1/customers/{C}/migrations/newcommerce/m", {}, "app", {"currentSubscriptionId": S},
    ),
    (
        lambda c: last(
            c.migrations.query(customer_id=C, legacy_subscription_id=S, external_reference_id="r")
        ),
        "GET", "/v1/migrations/newcommerce",
        {"CustomerTenantId": C, "CurrentSubscriptionId": S, "ExternalReferenceId": "r", "PageSize": "300"},
        "app", [],
    ),
    (
        lambda c: c.migrations.events(C, migration_id="m", legacy_subscription_id=S),
        "GET", f"/v1/customers/{C}/migrations/newcommerce/events",
        {"migration_id": "m", "current_subscription_id": S}, "app", [],
    ),
    (
        lambda c: last(c.migrations.schedules(legacy_subscription_id=S)),
        "GET", "/v1/migrations/newcommerce/schedules", {"CurrentSubscriptionId": S}, "app", [],
    ),
    (lambda c: c.carts.get(C, "k"), "GET", f"/v1/customers/{C}/carts/k", {}, "app", {"id": "k"}),
    (lambda c: c.orders.of_customer(C), "GET", f"/v1/customers/{C}/orders", {}, "app", []),
    (lambda c: c.orders.get(C, "o"), "GET", f"/v1/customers/{C}/orders/o", {}, "app", {"id": "o"}),
    (
        lambda c: c.orders.provisioning_status(C, "o"),
        "GET", f"/v1/customers/{C}/orders/o/provisioningstatus", {}, "user", [],
    ),
    (
        lambda c: c.catalogue.products(country="IT", segment="commercial"),
        "GET", "/v1/products",
        {"country": "IT", "targetView": "OnlineServices", "targetSegment": "commercial"}, "app", [],
    ),
    (
        lambda c: c.catalogue.skus("P", customer_id=C),
        "GET", f"/v1/customers/{C}/products/P/skus", {}, "app", [],
    ),
    (
        lambda c: c.catalogue.availabilities("P", "0001", country="IT"),
        "GET", "/v1/products/P/skus/0001/availabilities", {"country": "IT"}, "app", [],
    ),
    (
        lambda c: c.promotions.available(country="IT", segment="commercial"),
        "GET", "/v1/productpromotions", {"country": "IT", "segment": "commercial"}, "app", [],
    ),
    (
        lambda c: c.promotions.eligibilities(C, [PROMOTION]),
        "POST", f"/v1/customers/{C}/promotionEligibilities", {}, "app", [],
    ),
    (
        lambda c: last(
            c.audit.pages(from_on=date(2022, 6, 1), to_on=date(2022, 6, 30), customer_id=C)
        ),
        "GET", "/v1/auditrecords",
        {"startDate": "2022-06-01", "endDate": "2022-06-30", "size": "500",
         "filter": f'{{"Field":"CustomerId","Value":"{C}","Operator":"equals"}}'},
        "app", [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "method", "path", "query", "token", "body"),
    READS,
    ids=[f"{row[1]} {row[2].replace(C, 'cid').replace(S, 'sid')}" for row in READS],
)
async def test_a_question_goes_to_its_documented_address(
    server: PartnerCenterServer,
    client: PartnerCenterClient,
    ask: Ask,
    method: str,
    path: str,
    query: dict[str, str],
    token: str,
    body: Any,
) -> None:
    server.on(method, path, Reply(200, body))
    await ask(client)
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query) == (method, path, query)
    assert asked.headers["authorization"].startswith(f"Bearer {token}-token")


WRITES: list[tuple[Ask, str, str, str, Any, Any]] = [
    # the call, method, path, token, the body it sends, an answer it can read
    (
        lambda c: c.agreements.confirm(C, CONFIRM, request_id="r"),
        "POST", f"/v1/customers/{C}/agreements", "user", CONFIRM.body(), {"templateId": "t"},
    ),
    (
        lambda c: c.customers.request_qualification(C, EDUCATION, request_id="r"),
        "POST", f"/v1/customers/{C}/qualifications", "user",
        {"qualification": "Education", "educationSegment": "K12"}, {"qualification": "Education"},
    ),
    (
        lambda c: c.customers.set_qualification_v1(C, "education", request_id="r"),
        "PUT", f"/v1/customers/{C}/qualification", "user", "education", "education",
    ),
    (
        lambda c: c.migrations.create(C, MIGRATE, request_id="r"),
        "POST", f"/v1/customers/{C}/migrations/newcommerce", "app",
        {"currentSubscriptionId": S}, {"id": "m", "currentSubscriptionId": S, "status": "Processing"},
    ),
    (
        lambda c: c.carts.create(C, CART, request_id="r"),
        "POST", f"/v1/customers/{C}/carts", "app", CART.body(), {"id": "k"},
    ),
    (
        lambda c: c.carts.replace(C, "k", CART, request_id="r"),
        "PUT", f"/v1/customers/{C}/carts/k", "app", {"id": "k", **CART.body()}, {"id": "k"},
    ),
    (
        lambda c: c.carts.check_out(C, "k", request_id="r"),
        "POST", f"/v1/customers/{C}/carts/k/checkout", "app", None, {"orders": []},
    ),
    (
        lambda c: c.orders.create(C, ORDER, request_id="r"),
        "POST", f"/v1/customers/{C}/orders", "user", ORDER.body(), {"id": "o"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "method", "path", "token", "sent", "body"),
    WRITES,
    ids=[f"{row[1]} {row[2].replace(C, 'cid')}" for row in WRITES],
)
async def test_a_write_carries_the_callers_request_id_and_returns_its_answer(
    server: PartnerCenterServer,
    client: PartnerCenterClient,
    ask: Ask,
    method: str,
    path: str,
    token: str,
    sent: Any,
    body: Any,
) -> None:
    server.on(method, path, Reply(201, body))
    written = await ask(client)
    (asked,) = server.asked
    assert asked.body == sent
    assert asked.headers["ms-requestid"] == "r"
    assert asked.headers["authorization"].startswith(f"Bearer {token}-token")
    assert (written.answer.status, written.answer.payload, written.answer.request_id) == (201, body, "r")


@pytest.mark.parametrize("write", WRITES, ids=[f"{row[1]} {row[2].replace(C, 'cid')}" for row in WRITES])
async def test_no_write_is_ever_sent_twice(
    server: PartnerCenterServer, client: PartnerCenterClient, write: tuple[Ask, str, str, str, Any, Any]
) -> None:
    ask, method, path = write[:3]
    server.on(method, path, Reply(503))
    with pytest.raises(PartnerCenterError):
        await ask(client)
    assert len(server.asked) == 1


MPA = "/v1/compliance/csp/agreementstatus"


@pytest.mark.parametrize("code", [2203, 2206])
async def test_an_mpa_that_is_not_signed_is_an_answer(
    server: PartnerCenterServer, client: PartnerCenterClient, code: int
) -> None:
    server.on("GET", MPA, Reply(400, {"code": code, "description": "not signed", "source": "PartnerFD"}))
    answer = await client.agreements.mpa_status(tenant_id="t")
    assert (answer.signature, answer.code) == (MpaSignature.NOT_SIGNED, code)


async def test_an_mpa_answered_with_false_is_not_signed(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on("GET", MPA, Reply(200, {"isAgreementSigned": False}))
    answer = await client.agreements.mpa_status(tenant_id="t")
    assert (answer.signature, answer.code) == (MpaSignature.NOT_SIGNED, None)


@pytest.mark.parametrize("code", [2000, 2001, 2200, 2201, 2204, 2205])
async def test_what_microsoft_says_about_the_reseller_is_no_word_on_its_signature(
    server: PartnerCenterServer, client: PartnerCenterClient, code: int
) -> None:
    server.on("GET", MPA, Reply(400, {"code": code, "description": "d"}))
    answer = await client.agreements.mpa_status(tenant_id="t")
    assert (answer.signature, answer.code) == (MpaSignature.CANNOT_TELL, code)


async def test_our_own_missing_rights_are_no_word_on_a_signature(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on("GET", MPA, Reply(403, {"code": 900329, "description": "app only"}))
    with pytest.raises(AccessDenied):
        await client.agreements.mpa_status(tenant_id="t")


@pytest.mark.parametrize("how", [{}, {"tenant_id": "t", "mpn_id": "1"}])
async def test_an_mpa_is_asked_by_exactly_one_id(client: PartnerCenterClient, how: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="by tenant or by PartnerID"):
        await client.agreements.mpa_status(**how)


@pytest.mark.parametrize("status", [404, 400])
async def test_a_partner_id_that_does_not_exist_has_no_profile(
    server: PartnerCenterServer, client: PartnerCenterClient, status: int
) -> None:
    server.on("GET", "/v1/profiles/mpn", Reply(status, {"code": 3000, "description": "none"}))
    assert await client.profiles.mpn("1") is None


async def test_a_profile_that_cannot_be_asked_for_is_not_a_profile_that_does_not_exist(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on("GET", "/v1/profiles/mpn", Reply(404, text="<html>no such route"))
    with pytest.raises(NotFound):
        await client.profiles.mpn("1")


SUBSCRIPTION = {
    "Id": S,
    "Status": "active",
    "autoRenewEnabled": True,
    "partnerId": "",
    "scheduledNextTermInstructions": {"quantity": 3},
    "tomorrowsField": [1],
    "attributes": {"etag": "abc", "objectType": "Subscription"},
}


@pytest.mark.parametrize(
    ("verb", "status"), [("suspend", "suspended"), ("reactivate", "active"), ("cancel", "deleted")]
)
async def test_a_change_of_status_sends_back_the_whole_resource_and_changes_nothing_else(
    server: PartnerCenterServer, client: PartnerCenterClient, verb: str, status: str
) -> None:
    path = f"/v1/customers/{C}/subscriptions/{S}"
    server.on("PATCH", path, Reply(200, {**SUBSCRIPTION, "Status": status}))
    change = await getattr(client.subscriptions, verb)(C, Subscription.read(SUBSCRIPTION), request_id="r")

    (asked,) = server.asked
    assert asked.body == {**SUBSCRIPTION, "Status": status}
    assert asked.headers["if-match"] == '"abc"'
    assert asked.headers["ms-requestid"] == "r"
    assert change.done
    assert change.subscription.status == status


async def test_a_subscription_without_an_etag_is_changed_without_one(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on("PATCH", f"/v1/customers/{C}/subscriptions/{S}", Reply(200, {"id": S}))
    await client.subscriptions.suspend(C, Subscription.read({"id": S, "status": "active"}), request_id="r")
    assert "if-match" not in server.asked[0].headers


async def test_a_change_that_is_only_accepted_says_where_to_look(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    path = f"/v1/customers/{C}/subscriptions/{S}"
    server.on("PATCH", path, Reply(202, headers={"Location": "/operations/1"}))
    change = await client.subscriptions.suspend(C, Subscription.read(SUBSCRIPTION), request_id="r")
    assert (change.done, change.location, change.subscription) == (False, "/operations/1", None)


async def test_customers_are_walked_with_the_token_of_the_page_before(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on(
        "GET",
        "/v1/customers",
        Reply(200, {"items": [{"id": "a"}], "continuationToken": "t1"}),
        Reply(200, {"items": [{"id": "b"}], "continuationToken": "t2"}),
        Reply(200, {"items": [{"id": "c"}]}),
    )
    found = [customer.id async for page in client.customers.pages() for customer in page]
    assert found == ["a", "b", "c"]
    assert [asked.headers.get("ms-continuationtoken") for asked in server.asked] == [None, "t1", "t2"]
    assert [asked.query.get("seekOperation") for asked in server.asked] == [None, "next", "next"]


async def test_code_2000_on_a_later_page_means_that_there_are_no_more(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on(
        "GET",
        "/v1/customers",
        Reply(200, {"items": [{"id": "a"}], "continuationToken": "t1"}),
        Reply(400, {"code": 2000, "description": "no more"}),
    )
    assert [customer.id async for page in client.customers.pages() for customer in page] == ["a"]


async def test_code_2000_on_the_first_page_is_an_error(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on("GET", "/v1/customers", Reply(400, {"code": 2000, "description": "not well-formed"}))
    with pytest.raises(PartnerCenterError):
        await last(client.customers.pages())


async def test_a_page_that_comes_twice_ends_the_walk(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on("GET", "/v1/customers", Reply(200, {"items": [{"id": "a"}], "continuationToken": "t1"}))
    with pytest.raises(Broken, match="twice") as raised:
        await last(client.customers.pages())
    sent = server.asked[-1].headers
    assert (raised.value.request_id, raised.value.correlation_id) == (
        sent["ms-requestid"],
        sent["ms-correlationid"],
    )


async def test_migrations_are_walked_by_header(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    one = [{"currentSubscriptionId": "A"}]
    server.on(
        "GET",
        "/v1/migrations/newcommerce",
        Reply(200, one, {"MS-ContinuationToken": "t1"}),
        Reply(200, one),
    )
    pages = [page async for page in client.migrations.query(customer_id=C)]
    assert [len(page) for page in pages] == [1, 1]
    assert [asked.headers.get("ms-continuationtoken") for asked in server.asked] == [None, "t1"]
    assert server.asked[0].query == server.asked[1].query


async def test_migrations_are_never_queried_without_a_criterion(client: PartnerCenterClient) -> None:
    with pytest.raises(ValueError, match="queried by"):
        client.migrations.query()


async def test_audit_records_are_read_for_at_most_thirty_days(client: PartnerCenterClient) -> None:
    with pytest.raises(ValueError, match="30 days"):
        client.audit.pages(from_on=date(2022, 5, 1), to_on=date(2022, 6, 30))


async def test_an_unknown_migration_is_not_found_although_microsoft_answers_400(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    path = f"/v1/customers/{C}/migrations/newcommerce/m"
    server.on("GET", path, Reply(400, {"code": 900224, "description": "not found"}))
    with pytest.raises(NotFound):
        await client.migrations.get(C, "m")


async def test_an_answer_that_is_no_list_is_not_an_empty_one(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on("GET", f"/v1/customers/{C}/orders", Reply(200, {"message": "later"}))
    with pytest.raises(Broken, match="no collection"):
        await client.orders.of_customer(C)


async def test_a_catalogue_is_never_read_for_nobody(client: PartnerCenterClient) -> None:
    with pytest.raises(ValueError, match="for a country or for a customer"):
        await client.catalogue.products()


async def test_an_answer_that_cannot_be_read_names_the_field_and_keeps_the_raw_answer(
    server: PartnerCenterServer, client: PartnerCenterClient
) -> None:
    server.on("GET", f"/v1/customers/{C}", Reply(200, {"id": C, "allowDelegatedAccess": "perhaps"}))
    with pytest.raises(Broken, match=r"Customer\.allowDelegatedAccess") as raised:
        await client.customers.get(C)
    assert raised.value.body is not None
    assert json.loads(raised.value.body)["allowDelegatedAccess"] == "perhaps"
    assert "perhaps" not in str(raised.value)
