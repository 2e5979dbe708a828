"""What a start would do, counted on what is on record."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.conversion import ConversionState
from include.nce.domain.preview import Preview
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, due
from tests.support.scene import bring

S, C = ConversionState, SubscriptionClass
NOW = datetime(2022, 7, 12, tzinfo=timezone.utc)
SOON, PAST = NOW + timedelta(days=1), NOW - timedelta(days=1)


async def planned(ledger: PostgresLedger, *verdicts: Any) -> dict[str, int]:
    """A plan whose due lines have a conversion; legacy id -> conversion id."""
    bases = [v.subscription.subscription_id for v in verdicts if v.klass is C.DUE]
    await ledger.record_verdicts(RUN, verdicts, [bases] if bases else [], at=AT)
    return {c.legacy_id: c.conversion_id for c in await ledger.conversions(RUN)}


async def preview(ledger: PostgresLedger, *partners: str) -> Preview:
    return await ledger.preview(CAMPAIGN, partners or ["rossi"], now_at=NOW)


async def test_a_partner_without_a_plan_is_not_planned_yet(postgres_ledger: PostgresLedger) -> None:
    assert await preview(postgres_ledger, "rossi", "verdi") == Preview(0, 0, 2, not_planned=2)


async def test_nobody_does_nothing(postgres_ledger: PostgresLedger) -> None:
    assert await postgres_ledger.preview(CAMPAIGN, [], now_at=NOW) == Preview(0, 0, 0)


async def test_a_plan_without_lines_is_a_plan(postgres_ledger: PostgresLedger) -> None:
    await planned(postgres_ledger)
    assert await preview(postgres_ledger) == Preview(0, 0, 1)


@pytest.mark.parametrize(
    ("state", "purchases", "cancellations"),
    [
        (S.PLANNED, 1, 0), (S.WAITING, 1, 0), (S.REFUSED, 1, 0), (S.FAILED, 1, 0), (S.HELD, 1, 0),
        (S.SENT, 0, 1), (S.UNKNOWN, 0, 1), (S.ACCEPTED, 0, 1), (S.HANDS_OFF, 0, 1), (S.COVERED, 0, 1),
        (S.STRANDED, 0, 1),
        (S.CONVERTED, 0, 0), (S.BY_OTHERS, 0, 0),
    ],
)  # fmt: skip
async def test_a_due_line_counts_by_what_became_of_it(
    postgres_ledger: PostgresLedger, state: ConversionState, purchases: int, cancellations: int
) -> None:
    [number] = (await planned(postgres_ledger, due("one"))).values()
    await bring(postgres_ledger, number, state, at=AT)
    assert await preview(postgres_ledger) == Preview(purchases, cancellations, 1)


@pytest.mark.parametrize(
    ("klass", "opens_at", "counted"),
    [
        (C.SCHEDULED, PAST, Preview(1, 0, 1)),
        (C.SCHEDULED, SOON, Preview(0, 0, 1)),
        (C.HELD, None, Preview(0, 0, 1, decided_anew=1)),
        (C.NOT_ELIGIBLE, None, Preview(0, 0, 1, decided_anew=1)),
        (C.EXEMPT, None, Preview(0, 0, 1)),
        (C.OPTED_OUT, None, Preview(0, 0, 1)),
    ],
)
async def test_a_line_that_was_not_due_counts_by_its_class(
    postgres_ledger: PostgresLedger, klass: SubscriptionClass, opens_at: datetime | None, counted: Preview
) -> None:
    await planned(postgres_ledger, due("one", klass=klass, window_opens_at=opens_at))
    assert await preview(postgres_ledger) == counted


async def test_only_the_latest_plan_speaks(postgres_ledger: PostgresLedger) -> None:
    await planned(postgres_ledger, due("one"), due("two"))
    await planned(postgres_ledger, due("one"))
    assert await preview(postgres_ledger) == Preview(1, 0, 1)


async def test_a_dry_run_after_the_purchase_does_not_count_it_again(postgres_ledger: PostgresLedger) -> None:
    """A dry run opens no conversions; whether a line is bought is asked of the subscription's own."""
    [number] = (await planned(postgres_ledger, due("one"))).values()
    await bring(postgres_ledger, number, S.CONVERTED, at=AT)
    await postgres_ledger.record_verdicts(RUN, [due("one")], [], at=AT)
    assert await preview(postgres_ledger) == Preview(0, 0, 1)


async def test_the_example_of_the_guide(postgres_ledger: PostgresLedger) -> None:
    await planned(postgres_ledger, due("one"), due("two"), due("three"))
    assert (await preview(postgres_ledger)).sentence == "3 purchases, 0 cancellations, 1 partner."
