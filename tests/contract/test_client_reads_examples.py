"""The client against the payloads Microsoft documents, one test for each file.

`NCE_CONTRACT_EXAMPLES=<folder>` selects another folder with an `index.json` of the same form: file name to
`resource`, `kind`, `status`, `method` and `path`.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest

from include.nce.domain.errors import FailureClass
from include.nce.partner_center.auth import InMemoryCredentials, TokenKind, TokenSource
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.errors import error_for_answer
from include.nce.partner_center.models import (
    agreements,
    audit,
    beside,
    carts,
    catalogue,
    customers,
    migrations,
    orders,
    profiles,
    promotions,
    relationships,
    subscriptions,
)
from include.nce.partner_center.models.reading import (
    RequestModel,
    WireModel,
    read_collection,
    read_moment,
)
from include.nce.partner_center.subscriptions import _changed
from tests.contract.folder import EXAMPLES, FOLDER, REQUESTS, RESPONSES, Example, camel_case, named
from tests.support.partner_center_server import Reply, serving

RESOURCES: dict[str, type[WireModel]] = {
    "Agreement": agreements.Agreement,
    "AgreementMetaData": agreements.AgreementMetadata,
    "AgreementSignatureStatus": agreements.AgreementStatus,
    "AuditRecord": audit.AuditRecord,
    "Availability": catalogue.Availability,
    "Cart": carts.Cart,
    "CartCheckoutResult": carts.CartCheckoutResult,
    "CustomTermEndDate": subscriptions.CustomTermEndDate,
    "Customer": customers.Customer,
    "CustomerCompanyProfile": customers.CompanyProfile,
    "CustomerQualification": customers.Qualification,
    "DirectSignedCustomerAgreementStatus": agreements.DirectSignStatus,
    "LegalBusinessProfile": profiles.LegalBusinessProfile,
    "MpnProfile": profiles.MpnProfile,
    "NewCommerceEligibility": migrations.NewCommerceEligibility,
    "NewCommerceMigration": migrations.NewCommerceMigration,
    "NewCommerceMigrationEvent": migrations.MigrationEvent,
    "NewCommerceMigrationSchedule": migrations.MigrationSchedule,
    "Order": orders.Order,
    "OrderLineItemProvisioningStatus": orders.OrderLineProvisioning,
    "OrganizationProfile": profiles.OrganizationProfile,
    "PartnerRelationship": relationships.Relationship,
    "Product": catalogue.Product,
    "Promotion": promotions.Promotion,
    "PromotionEligibilities": promotions.PromotionEligibilities,
    "RelationshipRequest": relationships.RelationshipRequest,
    "ResellerValidation": relationships.ResellerValidations,
    "ServiceCostsSummary": beside.ServiceCostsSummary,
    "ServiceRequest": beside.ServiceRequest,
    "Sku": catalogue.Sku,
    "Subscription": subscriptions.Subscription,
    "SubscriptionProvisioningStatus": subscriptions.SubscriptionProvisioningStatus,
    "Transition": beside.Transitions,
    "TransitionEligibility": beside.TransitionEligibility,
}
REQUESTS_OF_OTHERS: dict[str, type[WireModel]] = {
    "NewCommerceMigrationSchedule": migrations.MigrationSchedule,
    "Transition": beside.Transition,
    "WebhookEvent": beside.WebhookEvent,
    "WebhookRegistration": beside.WebhookRegistration,
}
"""Bodies this product never sends: it can read them."""
QUALIFICATION_V1 = "CustomerQualification.v1"
TOKEN = "auth.token"
KEPT_WITHOUT_A_NAME = {
    "Availability.renewalInstructions",
    "Sku.actions",
    "Sku.inventoryVariables",
    "Order.client",
}
"""Fields of resources we read that no rule of ours needs: kept as they came, without a name of their own."""

REQUEST_MODELS: dict[str, type[RequestModel]] = {
    "Agreement": agreements.AgreementConfirmation,
    "Cart": carts.CartRequest,
    "Customer.filter": customers.CustomerFilter,
    "CustomerQualification": customers.QualificationRequest,
    "NewCommerceEligibility": migrations.MigrationRequest,
    "NewCommerceMigration": migrations.MigrationRequest,
    "Order": orders.OrderRequest,
    "PromotionEligibilities": promotions.PromotionEligibilityRequest,
    "ResellerValidation": relationships.ResellerValidationRequest,
}


def why_never_sent(example: Example) -> str | None:
    """Why this product makes no request like this one, if it makes none."""
    body = camel_case(example.payload)
    lines = body.get("lineItems", [])
    items = [line.get("catalogItemId") or line.get("offerId") or "" for line in lines]
    if example.subject == "NewCommerceMigrationSchedule":
        return "this product times its conversions itself"
    if any(":" not in item for item in items):
        return "nothing legacy is bought"
    if any(line.get("provisioningContext") for line in lines):
        return "an Azure reservation"
    if example.subject == "Order" and "referenceCustomerId" not in body:
        return "we always name the customer"
    return None


@pytest.mark.parametrize("example", named([one for one in RESPONSES if one.subject in RESOURCES]))
def test_every_documented_response_is_read_without_loss(example: Example) -> None:
    payload, model = example.payload, RESOURCES[example.subject]
    wrapped = isinstance(payload, list) or (isinstance(payload, dict) and "items" in payload)
    if wrapped:
        found = read_collection(model, payload)
        assert found.unreadable == []
        sent = payload if isinstance(payload, list) else payload["items"]
        assert len(found) == len(sent)
        pairs = list(zip(found, sent, strict=True))
    else:
        pairs = [(model.read(payload), payload)]
    unnamed: set[str] = set()
    for read, sent in pairs:
        compare(read, sent, unnamed)
    assert unnamed <= KEPT_WITHOUT_A_NAME


@pytest.mark.parametrize("example", named([one for one in REQUESTS if one.subject in REQUESTS_OF_OTHERS]))
def test_every_documented_request_of_others_is_read_without_loss(example: Example) -> None:
    unnamed: set[str] = set()
    compare(REQUESTS_OF_OTHERS[example.subject].read(example.payload), example.payload, unnamed)
    assert unnamed == set()


@pytest.mark.parametrize("example", named([one for one in RESPONSES if one.subject == QUALIFICATION_V1]))
async def test_the_older_qualification_is_read_as_it_is_shown(example: Example) -> None:
    async with serving() as server:
        server.on("GET", "/v1/customers/c/qualification", Reply(200, example.payload))
        connection = PartnerCenterConnection.from_airflow(server.airflow_connection())
        async with PartnerCenterClient(connection) as client:
            assert await client.customers.qualification_v1("c") == example.payload


@pytest.mark.parametrize("example", named([one for one in RESPONSES if one.subject == TOKEN]))
async def test_every_documented_token_is_taken_with_its_life_and_its_refresh_token(example: Example) -> None:
    # The page's id token is a placeholder, and msal would look into it.
    shown = {name: value for name, value in example.payload.items() if name != "id_token"}
    kind = TokenKind.APP_AND_USER if "refresh_token" in shown else TokenKind.APP
    store, asked_at = InMemoryCredentials(), datetime(2022, 7, 11, tzinfo=timezone.utc)
    async with serving() as server:
        server.token_reply = lambda form, number: Reply(200, shown)
        connection = PartnerCenterConnection.from_airflow(server.airflow_connection())
        tokens = TokenSource(connection, store=store, now=lambda: asked_at)
        assert await tokens.token(kind) == shown["access_token"]
    kept = await store.read()
    assert datetime.fromisoformat(kept[kind.value]["expires_at"]) == asked_at + timedelta(
        seconds=int(shown["expires_in"])
    )
    assert kept.get("refresh_token") == shown.get("refresh_token")


@pytest.mark.parametrize("example", named([one for one in RESPONSES if one.subject.startswith("error")]))
def test_every_documented_error_is_read_in_full(example: Example) -> None:
    status = example.status or 409
    text = example.file.read_text(encoding="utf-8")
    payload = json.loads(text)
    error = error_for_answer(operation="ask", writes=False, status=status, headers={}, text=text)

    assert error.code == payload.get("code")
    assert error.description == payload.get("description", payload.get("message"))
    assert error.status_code == status
    assert error.failure_class is not FailureClass.BROKEN or error.code == 2000


@pytest.mark.parametrize(
    "example",
    named([one for one in REQUESTS if one.resource in REQUEST_MODELS and why_never_sent(one) is None]),
)
def test_every_documented_request_we_make_can_be_made_exactly(example: Example) -> None:
    documented = example.payload
    model = REQUEST_MODELS[example.resource]
    written = model.model_validate(as_documented_elsewhere(documented)).body()
    assert plain(written) == plain(documented)


@pytest.mark.parametrize("example", named([one for one in REQUESTS if one.resource == "Subscription"]))
def test_a_subscription_goes_back_whole_with_one_field_changed(example: Example) -> None:
    documented = example.payload
    subscription = subscriptions.Subscription.read(documented)
    compare(subscription, documented, set())
    sent = _changed(subscription.raw, {"status": "suspended"})

    status = next(key for key in documented if key.lower() == "status")
    assert sent == {**documented, status: "suspended"}


def test_every_file_is_accounted_for() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} - {"index.json"} == {one.name for one in EXAMPLES}
    answered = {*RESOURCES, QUALIFICATION_V1, TOKEN}
    asked = {*REQUEST_MODELS, *REQUESTS_OF_OTHERS, "Subscription", TOKEN}
    subjects = {example.subject for example in RESPONSES}
    assert {subject for subject in subjects if not subject.startswith("error")} <= answered
    assert {example.subject for example in REQUESTS} <= asked


def compare(read: WireModel, sent: dict[str, Any], unnamed: set[str]) -> None:
    """Every value that was sent is in the model, under a field of its own or kept beside them."""
    names = {
        name.lower(): field
        for field, info in type(read).model_fields.items()
        for name in (info.alias or field, *type(read).also_called.get(field, ()))
    }
    for key, value in sent.items():
        if value is None or value == "":
            continue
        field = names.get(key.lower())
        if field is None:
            assert read.model_extra is not None
            assert read.model_extra[key] == value
            unnamed.add(f"{type(read).__name__}.{key}")
            continue
        compare_value(getattr(read, field), value, f"{type(read).__name__}.{key}", unnamed)


def compare_value(read: Any, sent: Any, where: str, unnamed: set[str]) -> None:
    if isinstance(read, WireModel):
        compare(read, sent, unnamed)
    elif isinstance(read, tuple):
        assert len(read) == len(sent), where
        for one, other in zip(read, sent, strict=True):
            compare_value(one, other, where, unnamed)
    elif isinstance(read, dict):
        assert set(read) == set(sent), where
        for key in read:
            compare_value(read[key], sent[key], f"{where}.{key}", unnamed)
    elif isinstance(read, datetime) or read_as_moment(sent):
        assert read == read_moment(sent), where
    elif isinstance(read, Enum):
        assert re.sub(r"[_\s]", "", str(read.value)).lower() == re.sub(r"[_\s]", "", sent).lower(), where
    elif isinstance(read, str):
        assert read.lower() == str(sent).lower(), where
    else:
        assert read == sent, where


def read_as_moment(sent: Any) -> bool:
    return isinstance(sent, str) and re.match(r"\d{4}-\d\d-\d\dT", sent) is not None


def as_documented_elsewhere(value: Any) -> Any:
    """Pages write keys in two cases; our own names are the camel-case ones, except for the attestation."""
    if isinstance(value, list):
        return [as_documented_elsewhere(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Field", "Value", "Operator"}:
        return value
    return {
        key if key == "PartnerOnRecordAttestationAccepted" else key[:1].lower() + key[1:]: (
            as_documented_elsewhere(item)
        )
        for key, item in value.items()
        if item is not None and item != {}
    }


def plain(value: Any) -> Any:
    """Key case, nulls, empty objects and the fraction of a moment make no difference on the wire."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key.lower(): plain(item) for key, item in value.items() if item is not None and item != {}}
    return read_moment(value) if read_as_moment(value) else value
