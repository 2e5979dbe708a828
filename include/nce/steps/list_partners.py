"""`list_partners`: who is compared, page by page: ten thousand partners are never in memory at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from include.nce.domain.partner import Partner
from include.nce.steps.ports import Clock, ReconcileLedger

PARTNERS_A_PAGE = 200
"""A mapped task: some minutes of reading, and fifty tasks for ten thousand partners."""


@dataclass(frozen=True)
class Page:
    """The partners of a campaign behind `after`, up to and with `upto`; only `names` when there are any."""

    campaign: str
    after: str
    upto: str
    partners: int
    names: tuple[str, ...] = ()

    def reference(self) -> dict[str, Any]:
        """As it travels between tasks."""
        return {**asdict(self), "names": list(self.names)}

    @classmethod
    def read(cls, reference: dict[str, Any]) -> Page:
        return cls(**{**reference, "names": tuple(reference["names"])})


async def campaigns_to_compare(named: str | None, *, ledger: ReconcileLedger, clock: Clock) -> Sequence[str]:
    """The one that is named, or all on record that have not closed."""
    if named is not None:
        await ledger.campaign(named)
        return [named]
    now_at = await clock.now()
    policies = [await ledger.campaign(name) for name in await ledger.campaigns()]
    return [p.campaign for p in policies if now_at < p.moments.closes.instant(p.default_zone)]


async def list_partners(
    campaign: str | None, names: Sequence[str], *, ledger: ReconcileLedger, clock: Clock
) -> list[Page]:
    """Lists who is to be compared: every enrolled partner, or those that are named, in pages of 200.

    Without a campaign, all campaigns on record are meant that have not closed. Nothing is asked of Partner
    Center here. Red when a campaign or a partner is unknown, or the ledger cannot be reached; the log says
    which.
    """
    pages = []
    for name in await campaigns_to_compare(campaign, ledger=ledger, clock=clock):
        after = ""
        while True:
            partners = await ledger.partners(name, names or None, after=after, limit=PARTNERS_A_PAGE)
            if not partners:
                break
            chosen = tuple(partner.partner for partner in partners)
            pages.append(Page(name, after, chosen[-1], len(chosen), chosen if names else ()))
            after = chosen[-1]
    return pages


async def partners_of(page: Page, *, ledger: ReconcileLedger) -> AsyncIterator[Partner]:
    """The partners of a page, with those that joined within it since it was made."""
    after = page.after
    while after != page.upto:
        partners = await ledger.partners(
            page.campaign, page.names or None, after=after, limit=PARTNERS_A_PAGE
        )
        if not partners:
            return
        for partner in partners:
            yield partner
            after = partner.partner
            if after == page.upto:
                break
