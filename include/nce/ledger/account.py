"""Whose ledger this is: Partner Center's own or a rehearsal's, and of which provider.

Responsible for one row that the first use writes and that nobody changes. Purchases of a rehearsal beside
real ones would make "bought already" a lie in both directions, so whoever opens the product says for what,
and is refused when the ledger belongs to something else.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert

from include.nce.domain.errors import InputRefused
from include.nce.ledger.tables import AccountKind, AccountRow, CommandRow
from include.nce.ledger.transactions import Transactions

_WORDS = {AccountKind.PRODUCTION: "Partner Center itself", AccountKind.REHEARSAL: "a rehearsal"}


@dataclass(frozen=True)
class Account:
    """What a ledger is used with: Partner Center or a simulator, and the provider's tenant there."""

    kind: AccountKind
    tenant_id: str

    @classmethod
    def of(cls, tenant_id: str, *, rehearsal: bool) -> Account:
        return cls(AccountKind.REHEARSAL if rehearsal else AccountKind.PRODUCTION, tenant_id.lower())

    @property
    def rehearsal(self) -> bool:
        return self.kind is AccountKind.REHEARSAL

    def __str__(self) -> str:
        return f"{_WORDS[self.kind]} (tenant {self.tenant_id})"


class Accounts(Transactions):
    async def account(self) -> Account | None:
        """Whose ledger this is; None when nothing was done with it yet."""
        async with self._transaction() as session:
            row = await session.get(AccountRow, True)
        return None if row is None else Account(row.kind, row.tenant_id)

    async def claim(self, account: Account) -> None:
        """Use this ledger for `account`, now and ever after. Raises InputRefused when it is another one's.

        A ledger of an earlier version does not say whose it is. When something was ever sent from it, it is
        taken for Partner Center's: a rehearsal has a new one after `make reset`.
        """
        standing = await self.account()
        if standing is None:
            standing = await self._first_use(account)
        if standing != account:
            raise InputRefused(
                [f"This ledger belongs to {standing} and is not used with {account}; give connection "
                 "'nce_ledger' a ledger of its own for that, or correct connection 'partner_center'."]
            )  # fmt: skip

    async def _first_use(self, account: Account) -> Account:
        async with self._transaction() as session:
            if account.kind is AccountKind.REHEARSAL and await session.scalar(
                select(exists().where(CommandRow.command_id > 0))
            ):
                raise InputRefused(
                    ["This ledger has commands on record and does not say that they were a rehearsal's, so "
                     "no rehearsal uses it; give connection 'nce_ledger' an empty ledger (`make reset`)."]
                )  # fmt: skip
            await session.execute(
                insert(AccountRow)
                .values(one_row=True, kind=account.kind, tenant_id=account.tenant_id)
                .on_conflict_do_nothing()
            )
            # Another process may have been first.
            row = await session.get_one(AccountRow, True)
            return Account(row.kind, row.tenant_id)
