"""A ledger belongs to Partner Center or to a rehearsal, and to one provider: no purchase is told of
another's."""

from __future__ import annotations

import asyncio

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.ledger.account import Account
from include.nce.ledger.ledger import PostgresLedger
from tests.integration.ledger.scene import AT, due, guid
from tests.integration.ledger.test_reports import planned
from tests.support.scene import intend

PRODUCTION = Account.of(guid("provider"), rehearsal=False)
REHEARSAL = Account.of(guid("provider"), rehearsal=True)
OTHERS = Account.of(guid("other provider"), rehearsal=False)


@pytest.mark.parametrize("first", [PRODUCTION, REHEARSAL])
async def test_the_first_use_says_whose_it_is_and_later_ones_change_nothing(postgres_ledger, first):
    assert await postgres_ledger.account() is None
    await postgres_ledger.claim(first)
    await postgres_ledger.claim(first)
    assert await postgres_ledger.account() == first


@pytest.mark.parametrize(
    ("first", "second"),
    [(PRODUCTION, REHEARSAL), (REHEARSAL, PRODUCTION), (PRODUCTION, OTHERS), (OTHERS, REHEARSAL)],
)
async def test_whoever_comes_with_another_account_is_refused(postgres_ledger, first, second):
    await postgres_ledger.claim(first)
    with pytest.raises(InputRefused, match=r"belongs to .* and is not used with") as refused:
        await postgres_ledger.claim(second)
    assert str(first) in str(refused.value)
    assert await postgres_ledger.account() == first


async def test_the_case_of_a_tenant_makes_no_difference(postgres_ledger):
    await postgres_ledger.claim(PRODUCTION)
    await postgres_ledger.claim(Account.of(guid("provider").upper(), rehearsal=False))


async def test_of_two_first_uses_at_once_one_is_refused(ledger_database):
    async with (
        PostgresLedger.open(ledger_database) as ours,
        PostgresLedger.open(ledger_database) as theirs,
    ):
        ended = await asyncio.gather(ours.claim(PRODUCTION), theirs.claim(REHEARSAL), return_exceptions=True)
        standing = await ours.account()
    assert [type(end) for end in ended].count(InputRefused) == 1
    assert standing in (PRODUCTION, REHEARSAL)


async def test_a_ledger_of_an_earlier_version_with_purchases_is_never_a_rehearsals(postgres_ledger):
    conversions = await planned(postgres_ledger, due("one"))
    await intend(postgres_ledger, conversions[guid("one")], "create_migration", {"lines": []}, at=AT)
    with pytest.raises(InputRefused, match="commands on record"):
        await postgres_ledger.claim(REHEARSAL)
    assert await postgres_ledger.account() is None
    await postgres_ledger.claim(PRODUCTION)
