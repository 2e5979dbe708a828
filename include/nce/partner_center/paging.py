"""Walking through the pages of a list, in the two ways Partner Center has.

Responsible for the tokens; which list is asked for stands in the resource file. Every page is a
`Collection`, so an item that cannot be read is seen by the caller and does not end the walk.

Facts: customers and audit records as Microsoft's bulk migration tool walks them (nce-bulk-migration-tool,
CustomerProvider.cs, March 2024); migrations from query-migrated-subscriptions (07/31/2023).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TypeVar

from include.nce.partner_center.errors import PartnerCenterError
from include.nce.partner_center.models.reading import Collection, WireModel
from include.nce.partner_center.transport import Call, Transport

Wire = TypeVar("Wire", bound=WireModel)

_CONTINUE = "MS-ContinuationToken"
_NO_MORE_PAGES = 2000
"""Code of the 400 that the bulk migration tool takes for "all pages fetched"."""


async def by_seeking(transport: Transport, call: Call, kind: type[Wire]) -> AsyncIterator[Collection[Wire]]:
    """The token comes in the body and goes back as a header, with `seekOperation=next` in the query."""
    seek = replace(call, query={**call.query, "seekOperation": "next"})
    async for page in _pages(transport, call, seek, kind):
        yield page


async def by_header(transport: Transport, call: Call, kind: type[Wire]) -> AsyncIterator[Collection[Wire]]:
    """The token comes as a response header and goes back as the same request header."""
    async for page in _pages(transport, call, call, kind):
        yield page


async def _pages(
    transport: Transport, first: Call, following: Call, kind: type[Wire]
) -> AsyncIterator[Collection[Wire]]:
    answer = await transport.send(first)
    page = answer.many(kind)
    yield page
    seen: set[str] = set()
    while page.continuation_token is not None:
        if page.continuation_token in seen:
            raise answer.unreadable("it is the same page twice")
        seen.add(page.continuation_token)
        headers = {**following.headers, _CONTINUE: page.continuation_token}
        try:
            answer = await transport.send(replace(following, headers=headers))
            page = answer.many(kind)
        except PartnerCenterError as error:
            if error.status == 400 and error.code == _NO_MORE_PAGES:
                return
            raise
        yield page
