"""The campaign file: what it says becomes policy, and what is wrong with it is told with its line."""

from __future__ import annotations

from datetime import date, datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.nce.domain.campaign import Campaign
from include.nce.domain.errors import InputRefused
from include.nce.domain.subscription import Segment
from include.nce.intake.campaign_file import load_campaign, read_campaign

FOUNDING = Path(__file__).parents[3] / "include/campaigns/csp-commercial-2022.yaml"

GOOD = """\
campaign: spring
title: A campaign
service_desk: desk@provider.example
moments:
  opens: {on: 2022-05-19}
  opt_out_deadline: {on: 2022-06-30, zone: partner}
  readiness_deadline: {on: 2022-06-30, zone: partner}
  last_legacy_renewal: {on: 2022-07-10}
  cut_over: {at: 2022-07-11T00:00:00Z}
  closes: {on: 2023-07-31}
window:
  lead_days: 14
guides: {NO: https://provider.example/no}
offers:
  - offer_id: 031C9E47-4802-4248-838E-778FB1D2CC05
    name: Business Standard
    segment: commercial
    nce: "CFQ7TTC0LDPB:0001"
  - offer_id: 16c9f982-a827-4003-a88e-e75df1927f27
    name: AAD P1
    segment: commercial
    route: purchase
    purchase: {product: CFQ7TTC0LFLS, sku: "0002"}
"""


def faults_of(text: str) -> list[str]:
    with pytest.raises(InputRefused) as refused:
        load_campaign(text, name="spring.yaml")
    return refused.value.faults


def test_a_good_file_becomes_a_campaign() -> None:
    campaign = load_campaign(GOOD, name="spring.yaml")
    assert campaign.campaign == "spring"
    assert campaign.cut_over_at() == datetime(2022, 7, 11, tzinfo=timezone.utc)
    assert campaign.moments.opt_out_deadline.on == date(2022, 6, 30)


def test_on_and_no_are_words_and_not_truth_values() -> None:
    campaign = load_campaign(GOOD, name="spring.yaml")
    assert campaign.moments.opens.on == date(2022, 5, 19)
    assert campaign.guides == {"NO": "https://provider.example/no"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        pytest.param(
            "title:", "titel:", "line 2, titel: this key is not known; did you mean 'title'?", id="typo"
        ),
        pytest.param(
            "  lead_days:",
            "  lead_day:",
            "line 12, window.lead_day: this key is not known; did you mean 'lead_days'?",
            id="typo below",
        ),
        pytest.param(
            "    segment: commercial\n    nce",
            "    segmnt: commercial\n    nce",
            "line 17, offers[0].segmnt: this key is not known; did you mean 'segment'?",
            id="typo in a list",
        ),
        pytest.param(
            "service_desk: desk@provider.example\n",
            "",
            "line 1, service_desk: it is missing; add it.",
            id="missing",
        ),
        pytest.param(
            "on: 2022-05-19",
            "on: 2022-08-19",
            "line 5, moments: 'opens' must come before 'opt_out_deadline'.",
            id="wrong order",
        ),
        pytest.param(
            "2022-07-11T00:00:00Z",
            "2022-07-11T00:00:00",
            "line 9, moments.cut_over.at: '2022-07-11T00:00:00' names no instant without an offset; "
            "write it like 2022-07-11T00:00:00Z.",
            id="naive instant",
        ),
        pytest.param(
            "on: 2022-06-30, zone: partner}\n  read",
            "on: 2022-06-31, zone: partner}\n  read",
            "line 6, moments.opt_out_deadline.on: '2022-06-31' is no day; write it like 2022-06-30.",
            id="no such day",
        ),
        pytest.param(
            "{at: 2022-07-11T00:00:00Z}",
            "{}",
            "line 9, moments.cut_over: write either 'at' (an instant with offset) or 'on' (a day with its "
            "zone).",
            id="neither at nor on",
        ),
        pytest.param(
            "guides:",
            "waves: {pilot: [rossi, verdi, rossi], then: [10]}\nguides:",
            "line 13, waves: 'pilot' names rossi twice; keep one.",
            id="pilot twice",
        ),
        pytest.param(
            "guides:",
            "waves:\n  pilot: [rossi]\n  thn: [10]\nguides:",
            "line 15, waves.thn: this key is not known; did you mean 'then'?",
            id="typo in the waves",
        ),
        pytest.param(
            "guides:",
            "waves:\n  then: [10, 0]\nguides:",
            "line 14, waves.then[1]: '0' cannot be used: input should be greater than or equal to 1.",
            id="a wave of nobody",
        ),
        pytest.param(
            "guides:",
            "waves:\n  pilot: [Rossi S.r.l.]\n  then: [1]\nguides:",
            "line 14, waves.pilot[0]: 'Rossi S.r.l.' cannot be used; write a short id, such as "
            "rossi-informatica.",
            id="a pilot that is no short id",
        ),
        pytest.param(
            "guides:",
            "brake:\n  failed_percent: 5 %\nguides:",
            "line 14, brake.failed_percent: '5 %' cannot be used: input should be a valid integer, unable to "
            "parse string as an integer.",
            id="a share with its sign",
        ),
        pytest.param(
            "lead_days: 14",
            "lead_days: 2",
            "line 12, window.lead_days: '2' cannot be used: input should be greater than or equal to 4.",
            id="range",
        ),
        pytest.param(
            "segment: commercial\n    nce",
            "segment: comercial\n    nce",
            "line 17, offers[0].segment: 'comercial' cannot be used: input should be 'commercial', "
            "'education', 'government' or 'nonprofit'.",
            id="segment",
        ),
        pytest.param(
            "CFQ7TTC0LDPB:0001",
            "CFQ7TTC0LDPB",
            "line 18, offers[0].nce: 'CFQ7TTC0LDPB' cannot be used; write product:sku as in Partner Center, "
            "such as CFQ7TTC0LDPB:0001.",
            id="product and sku",
        ),
        pytest.param(
            '    purchase: {product: CFQ7TTC0LFLS, sku: "0002"}\n',
            "",
            "line 19, offers[1]: route 'purchase' needs 'purchase' with product, sku, term and billing.",
            id="route",
        ),
        pytest.param(
            "16c9f982-a827-4003-a88e-e75df1927f27",
            "031c9e47-4802-4248-838e-778fb1d2cc05",
            "line 19, offers[1].offer_id: offer 031c9e47-4802-4248-838e-778fb1d2cc05 is already on line 15; "
            "keep one of the two.",
            id="offer twice, in the other case",
        ),
        pytest.param(
            "16c9f982-a827-4003-a88e-e75df1927f27",
            "16c9f982",
            "line 19, offers[1].offer_id: '16c9f982' is no legacy offer id; it looks like 8-4-4-4-12 "
            "hexadecimal digits.",
            id="no offer id",
        ),
        pytest.param(
            "window:\n",
            "title: Another\nwindow:\n",
            "line 11, title: it is written twice, first on line 2; keep one of the two.",
            id="key twice",
        ),
        pytest.param("  lead_days", "\tlead_days", "line 12: there is a tab; indent with spaces.", id="tab"),
        pytest.param(
            "title: A campaign",
            "title: Our campaign: the first",
            "line 2: a second colon or a wrong indentation; put texts with a colon in quotation marks.",
            id="colon",
        ),
        pytest.param(
            "window:\n",
            "---\nwindow:\n",
            "line 11: a second document starts here; a file holds one campaign.",
            id="two documents",
        ),
    ],
)
def test_each_fault_is_one_sentence_with_its_line(old: str, new: str, sentence: str) -> None:
    assert GOOD.count(old) == 1
    assert faults_of(GOOD.replace(old, new)) == [f"spring.yaml, {sentence}"]


def test_an_unknown_zone_is_told_with_its_line() -> None:
    (fault,) = faults_of(GOOD.replace("zone: partner}\n  read", "zone: Europe/Roma}\n  read"))
    assert fault.startswith(
        "spring.yaml, line 6, moments.opt_out_deadline.zone: 'Europe/Roma' is no time zone; write one such as"
    )


def test_all_faults_of_a_file_are_told_at_once_in_the_order_of_its_lines() -> None:
    text = (
        GOOD.replace("title:", "titel:")
        .replace("zone: partner}\n  read", "zone: X}\n  read")
        .replace("14", "0")
    )
    lines = [int(fault.split("line ")[1].split(",")[0]) for fault in faults_of(text)]
    assert lines == sorted(lines) == [2, 6, 12]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "[]",
        "- a",
        "just words",
        "? [a]\n: b",
        "a: !!python/object:os.x y",
        "a: &a [*a]",
        "a: *nowhere",
        "a: " + "[" * 5000,
        "a: \x07",
        "a: 'open",
    ],
)
def test_what_is_no_campaign_at_all_is_refused_in_a_sentence(text: str) -> None:
    assert all(fault.startswith("spring.yaml") for fault in faults_of(text))


@given(st.text(alphabet=st.sampled_from("abon:-{}[]#&*!|>'\"% \n\t0129TZ,"), max_size=60))
def test_no_text_brings_another_exception(text: str) -> None:
    try:
        load_campaign(text, name="spring.yaml")
    except InputRefused as refused:
        assert refused.faults  # noqa: PT017 - either outcome is right, and a refusal says why


def test_a_file_that_is_not_there_is_told_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(
        InputRefused, match=r"none\.yaml: it cannot be read: No such file or directory; check the path"
    ):
        read_campaign(tmp_path / "none.yaml")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "spring.yaml"
    path.write_bytes(GOOD.replace("A campaign", "Società").encode("cp1252"))
    with pytest.raises(InputRefused, match="it is not UTF-8 text; save it as UTF-8"):
        read_campaign(path)


@pytest.fixture(scope="module")
def founding() -> Campaign:
    return read_campaign(FOUNDING)


def test_the_founding_campaign_has_the_moments_of_the_notice(founding: Campaign) -> None:
    assert founding.opt_out_ends_at(None) == datetime(2022, 6, 30, 22, tzinfo=timezone.utc)
    assert founding.opt_out_ends_at("Atlantic/Canary") == datetime(2022, 6, 30, 23, tzinfo=timezone.utc)
    assert founding.moments.readiness_deadline.instant("Europe/Rome") == founding.opt_out_ends_at(None)
    assert founding.last_legacy_renewal_ends_at() == datetime(2022, 7, 11, tzinfo=timezone.utc)
    assert founding.cut_over_at() == datetime(2022, 7, 11, tzinfo=timezone.utc)


def test_every_commercial_offer_of_the_founding_campaign_has_a_target_unless_it_was_retired(
    founding: Campaign,
) -> None:
    commercial = [o for o in founding.offers if o.segment is Segment.COMMERCIAL]
    assert [o.name for o in commercial if o.product_and_sku is None] == [
        "Skype for Business Online (Plan 2)",
        "Skype for Business Plus CAL",
    ]


def test_the_founding_campaign_has_offers_of_every_segment(founding: Campaign) -> None:
    assert {offer.segment for offer in founding.offers} == set(Segment)
