"""What a campaign file may say, and which instants its dates mean."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from include.nce.domain.campaign import MOVABLE_MOMENTS, Moment, field_path, run_id, slug
from include.nce.domain.subscription import Segment
from tests.support.examples import (
    BASIC,
    CUSTOMER,
    IDENTITY,
    IDENTITY_NCE,
    OTHER_CUSTOMER,
    at,
    campaign,
    document,
    legacy_id,
)


def moments(**changes: Any) -> dict[str, Any]:
    return {**document()["moments"], **changes}


@pytest.mark.parametrize(
    ("written", "partner_zone", "instant"),
    [
        # An inclusive day is over at the next midnight of its zone, an exclusive one before it begins.
        ({"on": "2022-06-30", "zone": "Europe/Rome"}, "UTC", "2022-06-30 22:00"),
        ({"on": "2022-06-30", "zone": "Europe/Rome", "inclusive": False}, "UTC", "2022-06-29 22:00"),
        ({"on": "2022-07-10", "zone": "UTC"}, "Europe/Rome", "2022-07-11 00:00"),
        ({"on": "2022-07-10"}, "Europe/Rome", "2022-07-11 00:00"),
        # The partner's zone decides only where the file says so.
        ({"on": "2022-06-30", "zone": "partner"}, "Europe/Rome", "2022-06-30 22:00"),
        ({"on": "2022-06-30", "zone": "partner"}, "Atlantic/Canary", "2022-06-30 23:00"),
        ({"on": "2022-06-30", "zone": "partner"}, "Pacific/Kiritimati", "2022-06-30 10:00"),
        ({"on": "2022-06-30", "zone": "Europe/Rome"}, "Pacific/Kiritimati", "2022-06-30 22:00"),
        # Winter time, and the days on which the clocks change.
        ({"on": "2022-12-31", "zone": "Europe/Rome"}, "UTC", "2022-12-31 23:00"),
        ({"on": "2022-03-26", "zone": "Europe/Rome"}, "UTC", "2022-03-26 23:00"),
        ({"on": "2022-03-27", "zone": "Europe/Rome"}, "UTC", "2022-03-27 22:00"),
        ({"on": "2022-10-29", "zone": "Europe/Rome"}, "UTC", "2022-10-29 22:00"),
        ({"on": "2022-10-30", "zone": "Europe/Rome"}, "UTC", "2022-10-30 23:00"),
        # A midnight that does not exist (clocks jump from 00:00 to 01:00): the day ends at the jump.
        ({"on": "2022-09-10", "zone": "America/Santiago"}, "UTC", "2022-09-11 04:00"),
        # An exact instant means itself, in whatever zone it is written.
        ({"at": "2022-07-11T00:00:00Z"}, "UTC", "2022-07-11 00:00"),
        ({"at": "2022-07-11T02:00:00+02:00", "zone": "partner"}, "Asia/Tokyo", "2022-07-11 00:00"),
    ],
)
def test_a_moment_is_over_at_one_exact_instant(
    written: dict[str, Any], partner_zone: str, instant: str
) -> None:
    moment = Moment.model_validate(written).instant(partner_zone)

    assert moment == at(instant)
    assert moment.utcoffset() == timezone.utc.utcoffset(None)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ({}, "either 'at'"),
        ({"on": "2022-06-30", "at": "2022-06-30T00:00:00Z"}, "either 'at'"),
        ({"at": "2022-06-30T00:00:00"}, "timezone"),
        ({"on": "2022-06-30", "zone": "Europe/Roma"}, "'Europe/Roma' is no time zone"),
        ({"on": "2022-06-30", "inclusiv": True}, "inclusiv"),
    ],
)
def test_a_moment_that_leaves_room_for_doubt_is_refused(written: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Moment.model_validate(written)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"opens": {"on": "2022-07-01"}}, "'opens' must come before 'opt_out_deadline'"),
        ({"opt_out_deadline": {"on": "2022-07-11"}}, "'opt_out_deadline' must not come after 'cut_over'"),
        # Where days end last, 10 July is only over after the cut-over.
        (
            {"opt_out_deadline": {"on": "2022-07-10", "zone": "partner"}},
            "'opt_out_deadline' must not come after 'cut_over'",
        ),
        ({"last_legacy_renewal": {"on": "2022-07-11"}}, "'last_legacy_renewal' must not come after"),
        ({"closes": {"at": "2022-07-11T00:00:00Z"}}, "'closes' must come after 'cut_over'"),
    ],
)
def test_dates_in_an_order_that_makes_no_sense_are_refused(changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        campaign(moments=moments(**changed))


def test_the_opt_out_deadline_may_touch_the_cut_over() -> None:
    touching = campaign(moments=moments(opt_out_deadline={"on": "2022-07-10", "zone": "UTC"}))

    assert touching.opt_out_ends_at("Europe/Rome") == touching.cut_over_at()


def test_the_founding_campaign_has_the_notices_dates() -> None:
    founding = campaign()

    assert founding.opt_out_ends_at(None) == at("2022-06-30 22:00")
    assert founding.opt_out_ends_at("Atlantic/Canary") == at("2022-06-30 23:00")
    assert founding.last_legacy_renewal_ends_at() == at("2022-07-11 00:00")
    assert founding.cut_over_at() == at("2022-07-11 00:00")


def test_a_default_zone_cannot_be_left_to_the_partner() -> None:
    with pytest.raises(ValidationError, match="'partner' is no time zone"):
        campaign(default_zone="partner")


@pytest.mark.parametrize(
    ("name", "value", "read", "instant"),
    [
        (
            "opt_out_deadline", date(2022, 7, 5),
            lambda c: c.opt_out_ends_at("Europe/Rome"), "2022-07-05 22:00",
        ),
        (
            "cut_over", datetime(2022, 7, 21, 2, tzinfo=timezone.utc),
            lambda c: c.cut_over_at(), "2022-07-21 02:00",
        ),
        (
            "last_legacy_renewal", date(2022, 7, 1),
            lambda c: c.last_legacy_renewal_ends_at(), "2022-07-02 00:00",
        ),
    ],
)  # fmt: skip
def test_a_moved_date_keeps_its_zone_and_says_where_it_comes_from(
    name: str, value: date, read: Any, instant: str
) -> None:
    before = campaign()
    after = before.with_moment(name, value, source="Microsoft's mail of 28 June")

    assert read(after) == at(instant)
    assert getattr(after.moments, name).source == "Microsoft's mail of 28 June"
    assert getattr(after.moments, name).zone == getattr(before.moments, name).zone
    unmoved = [other for other in MOVABLE_MOMENTS if other != name]
    assert [getattr(after.moments, o) for o in unmoved] == [getattr(before.moments, o) for o in unmoved]
    assert after.offers == before.offers


def test_a_date_cannot_be_moved_to_where_it_makes_no_sense() -> None:
    with pytest.raises(ValidationError, match="must not come after 'cut_over'"):
        campaign().with_moment("opt_out_deadline", date(2022, 7, 31), source="")


def test_an_offer_is_found_whatever_case_its_id_is_written_in() -> None:
    found = campaign().offer(BASIC.upper())

    assert found is not None
    assert found.offer_id == BASIC
    assert campaign().offer("nothing") is None


def test_an_offer_that_is_bought_is_known_by_what_it_is_bought_as() -> None:
    found = campaign().offer(IDENTITY)

    assert found is not None
    assert found.product_and_sku == IDENTITY_NCE


def test_an_offer_listed_twice_is_refused() -> None:
    offers = document()["offers"]
    with pytest.raises(ValidationError, match="is listed twice"):
        campaign(offers=[*offers, {**offers[0], "offer_id": BASIC.upper()}])


def test_the_purchase_route_needs_something_to_buy() -> None:
    with pytest.raises(ValidationError, match="route 'purchase' needs 'purchase'"):
        campaign(offers=[{"offer_id": BASIC, "name": "x", "segment": "commercial", "route": "purchase"}])


def test_the_three_segments_of_the_notice_are_exempt() -> None:
    assert campaign().exempt_segments == {Segment.EDUCATION, Segment.GOVERNMENT, Segment.NONPROFIT}


def test_the_narrowest_override_wins() -> None:
    scopes: list[dict[str, Any]] = [
        {"billing": "annual"},
        {"partner": "rossi", "billing": "monthly"},
        {"customer": CUSTOMER, "billing": "annual"},
        {"subscription": legacy_id(1), "billing": "monthly"},
    ]
    overridden = campaign(
        overrides=[{**scope, "reason": f"number {number}"} for number, scope in enumerate(scopes)]
    )

    def reason(partner: str, customer: str, subscription: str) -> str:
        found = overridden.override_for(partner=partner, customer=customer, subscription=subscription)
        assert found is not None
        return found.reason

    assert reason("rossi", CUSTOMER, legacy_id(1)) == "number 3"
    assert reason("rossi", CUSTOMER, legacy_id(2)) == "number 2"
    assert reason("rossi", OTHER_CUSTOMER, legacy_id(2)) == "number 1"
    assert reason("bianchi", OTHER_CUSTOMER, legacy_id(2)) == "number 0"


def test_nothing_is_overridden_for_whom_no_override_names() -> None:
    overridden = campaign(overrides=[{"partner": "rossi", "seats": 3, "reason": "asked for it"}])

    assert overridden.override_for(partner="bianchi", customer=CUSTOMER, subscription=legacy_id(1)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rossi Informatica S.r.l.", "rossi-informatica-s-r-l"),
        ("  Caffè & Co  ", "caff-co"),
        ("already-a-slug", "already-a-slug"),
    ],
)
def test_a_slug_is_readable_and_plain(text: str, expected: str) -> None:
    assert slug(text) == expected


def test_a_run_id_is_the_same_for_every_start() -> None:
    assert run_id("csp-commercial-2022", "rossi") == "csp-commercial-2022__rossi"


def test_a_field_is_named_as_people_write_it() -> None:
    assert field_path(("offers", 3, "segment")) == "offers[3].segment"
    assert field_path(("moments", "cut_over", "at")) == "moments.cut_over.at"
    assert field_path(()) == ""
