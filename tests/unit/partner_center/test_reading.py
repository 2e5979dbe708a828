"""Wire texts into values: dates, GUIDs, open lists, key case, absent fields, broken items."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from include.nce.partner_center.models.agreements import AgreementConfirmation, ContactForAgreement
from include.nce.partner_center.models.carts import CartCheckoutResult
from include.nce.partner_center.models.customers import Qualification
from include.nce.partner_center.models.migrations import MigrationRequest, NewCommerceMigration
from include.nce.partner_center.models.orders import Order, OrderStatus
from include.nce.partner_center.models.reading import (
    read_collection,
    read_guid,
    read_moment,
    write_moment,
)
from include.nce.partner_center.models.relationships import Relationship
from include.nce.partner_center.models.subscriptions import BillingCycle, Subscription, SubscriptionStatus

UTC = timezone.utc
GUID = "83EF9D05-4169-4EF9-9657-0E86B1EAB1DE"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2021-01-14T16:57:15.0966728Z", datetime(2021, 1, 14, 16, 57, 15, 96672, UTC)),
        ("2022-01-13T00:00:00Z", datetime(2022, 1, 13, tzinfo=UTC)),
        ("2019-08-26T00:00:00", datetime(2019, 8, 26, tzinfo=UTC)),
        ("2015-11-24T01:07:00.863", datetime(2015, 11, 24, 1, 7, 0, 863000, UTC)),
        ("2022-10-18T21:20:50.9668605+00:00", datetime(2022, 10, 18, 21, 20, 50, 966860, UTC)),
        ("2018-03-06T17:37:05.253-08:00", datetime(2018, 3, 7, 1, 37, 5, 253000, UTC)),
        ("2022-07-11T02:00:00+0200", datetime(2022, 7, 11, tzinfo=UTC)),
        ("2022-07-11", datetime(2022, 7, 11, tzinfo=UTC)),
        ("9999-12-31T23:59:59-08:00", datetime.max.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00", None),
    ],
)
def test_a_moment_is_read_in_every_precision_that_occurs(text: str, moment: datetime | None) -> None:
    assert read_moment(text) == moment


@pytest.mark.parametrize("text", ["soon", "2022-13-01T00:00:00Z", "11/07/2022", "2022-07-11T25:00:00Z"])
def test_what_is_no_date_is_not_read_as_one(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_moment(text)


@given(st.integers(100_000, 200_000_000_000), st.integers(-12, 14))
def test_a_moment_survives_being_written_and_read(seconds: int, hours: int) -> None:
    moment = datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours)))
    assert read_moment(write_moment(moment)) == moment


def test_a_moment_without_zone_is_never_sent() -> None:
    with pytest.raises(ValueError, match="time zone"):
        write_moment(datetime(2022, 7, 11))  # noqa: DTZ001


def test_a_guid_is_lower_case_and_other_ids_are_left_alone() -> None:
    assert read_guid(GUID) == GUID.lower()
    assert read_guid("CFQ7TTC0LH18:0001:CFQ7TTC0K971") == "CFQ7TTC0LH18:0001:CFQ7TTC0K971"


def test_a_status_microsoft_invents_tomorrow_is_kept_as_it_is() -> None:
    subscription = Subscription.read({"id": GUID, "status": "hibernating", "billingCycle": "one_time"})
    assert subscription.status == "hibernating"
    assert subscription.billing_cycle is BillingCycle.ONE_TIME


@pytest.mark.parametrize("text", ["pending review", "pendingReview", "pending_review", "PENDING REVIEW"])
def test_the_spelling_of_a_known_text_does_not_matter(text: str) -> None:
    assert Order.read({"id": "a68736758d9c", "status": text}).status is OrderStatus.PENDING_REVIEW


def test_keys_are_read_in_any_case_and_empty_texts_are_absent() -> None:
    subscription = Subscription.read(
        {"Id": GUID, "STATUS": "active", "PartnerId": "", "renewalTermDuration": ""}
    )
    assert subscription.id == GUID.lower()
    assert subscription.status is SubscriptionStatus.ACTIVE
    assert subscription.partner_id is None
    assert subscription.renewal_term_duration is None


def test_null_in_place_of_a_list_is_an_empty_list() -> None:
    migration = NewCommerceMigration.read({"currentSubscriptionId": GUID, "addOnMigrations": None})
    assert migration.add_on_migrations == ()


def test_a_field_nobody_documented_is_kept() -> None:
    assert Subscription.read({"id": GUID, "brandNew": [1]}).model_extra == {"brandNew": [1]}


def test_the_payload_is_kept_as_it_came() -> None:
    payload = {"Id": GUID, "PartnerId": "", "Odd": None}
    assert Subscription.read(payload).raw == payload


@pytest.mark.parametrize("key", ["mpnId", "partnerId", "PartnerId"])
def test_a_relationships_partner_id_has_two_names(key: str) -> None:
    assert Relationship.read({"id": GUID, key: "4847383"}).mpn_id == "4847383"


@pytest.mark.parametrize("keys", [("mpnId", "partnerId"), ("partnerId", "mpnId"), ("PartnerId", "MpnId")])
def test_where_both_names_come_the_one_of_the_examples_counts(keys: tuple[str, str]) -> None:
    row = {key: "local" if key.lower() == "mpnid" else "global" for key in keys}
    assert Relationship.read({"id": GUID, **row}).mpn_id == "local"


@pytest.mark.parametrize("key", ["vettingCreateDate", "vettingCreatedDate"])
def test_a_vetting_date_has_two_names(key: str) -> None:
    read = Qualification.read({"qualification": "Education", key: "2020-12-04T20:54:24Z"})
    assert read.vetting_created_date == datetime(2020, 12, 4, 20, 54, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "payload",
    [
        [{"id": GUID}],
        {"totalCount": 37, "items": [{"id": GUID}], "attributes": {"objectType": "Collection"}},
        {"TotalCount": 1, "Items": [{"Id": GUID}]},
        {"id": GUID},
    ],
    ids=["bare", "wrapped", "capitals", "alone"],
)
def test_a_collection_is_read_wrapped_bare_or_alone(payload: object) -> None:
    assert [item.id for item in read_collection(Subscription, payload)] == [GUID.lower()]


@pytest.mark.parametrize(
    "payload", [[], {"items": []}, {"totalCount": 0, "attributes": {"objectType": "Collection"}}]
)
def test_an_empty_collection_is_no_error(payload: object) -> None:
    assert len(read_collection(Subscription, payload)) == 0


@pytest.mark.parametrize("payload", [None, "text", 5, {"message": "no"}])
def test_what_is_no_collection_is_not_an_empty_one(payload: object) -> None:
    with pytest.raises(ValueError, match="no collection"):
        read_collection(Subscription, payload)


def test_one_item_that_cannot_be_read_leaves_the_others() -> None:
    broken = {"id": GUID, "quantity": "many", "friendlyName": "Studio Rossi"}
    found = read_collection(Subscription, [broken, {"id": "b"}])
    assert [item.id for item in found] == ["b"]
    assert found.unreadable[0].id == GUID
    assert found.unreadable[0].payload == broken
    assert found.unreadable[0].why == "Subscription.quantity (int_parsing)"


def test_the_page_token_comes_from_the_body_or_from_the_header() -> None:
    assert read_collection(Subscription, {"items": [], "continuationToken": "t"}).continuation_token == "t"
    assert read_collection(Subscription, [], continuation_token="h").continuation_token == "h"


def test_a_request_names_only_what_is_set() -> None:
    assert MigrationRequest(current_subscription_id=GUID).body() == {"currentSubscriptionId": GUID}


def test_a_request_refuses_a_field_nobody_documented() -> None:
    with pytest.raises(ValidationError):
        MigrationRequest.model_validate({"currentSubscriptionId": GUID, "quantitty": 3})


def test_the_moment_of_a_confirmation_is_sent_in_utc() -> None:
    contact = ContactForAgreement(first_name="Tania", last_name="Carr", email="someone@example.com")
    rome = timezone(timedelta(hours=2))
    confirmation = AgreementConfirmation.of(
        contact, agreed_at=datetime(2022, 6, 30, 1, tzinfo=rome), template_id="t"
    )
    assert confirmation.body() == {
        "primaryContact": {"firstName": "Tania", "lastName": "Carr", "email": "someone@example.com"},
        "dateAgreed": "2022-06-29T23:00:00Z",
        "templateId": "t",
        "type": "MicrosoftCustomerAgreement",
    }


def test_a_checkout_that_answers_with_a_lone_order_is_read_as_that_order() -> None:
    result = CartCheckoutResult.read({"id": "a68736758d9c", "status": "pending"})
    assert [order.id for order in result.orders] == ["a68736758d9c"]


def test_an_offer_named_only_by_its_link_is_found() -> None:
    link = {"uri": f"/v1/offers/{GUID}?country=US", "method": "GET"}
    assert Subscription.read({"id": "s", "links": {"Offer": link}}).offer == GUID.lower()


def test_the_exact_end_of_a_term_counts_before_its_day() -> None:
    day = {"id": "s", "commitmentEndDate": "2022-01-13T00:00:00Z"}
    assert Subscription.read(day).ends_at == datetime(2022, 1, 13, tzinfo=UTC)
    exact = {**day, "commitmentEndDateTime": "2022-01-13T23:59:59Z"}
    assert Subscription.read(exact).ends_at == datetime(2022, 1, 13, 23, 59, 59, tzinfo=UTC)
