"""Audit records: Partner Center's own word on who did what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import date, timedelta

from include.nce.partner_center.models.audit import AuditRecord
from include.nce.partner_center.models.reading import Collection
from include.nce.partner_center.paging import by_seeking
from include.nce.partner_center.transport import Call, Transport

LONGEST_WINDOW = timedelta(days=30)
PAGE_SIZE = 500


class AuditRecords:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def pages(
        self, *, from_on: date, to_on: date, customer_id: str | None = None
    ) -> AsyncIterator[Collection[AuditRecord]]:
        """Records of these days (UTC, both included), of the last 90 days and at most 30 at once
        (get-a-record-of-partner-center-activity-by-user, 6/7/2022)."""
        if not timedelta() <= to_on - from_on <= LONGEST_WINDOW:
            raise ValueError(f"audit records are read for at most {LONGEST_WINDOW.days} days, oldest first")
        query: dict[str, str | int] = {
            "startDate": from_on.isoformat(),
            "endDate": to_on.isoformat(),
            "size": PAGE_SIZE,
        }
        if customer_id is not None:
            wanted = {"Field": "CustomerId", "Value": customer_id, "Operator": "equals"}
            query["filter"] = json.dumps(wanted, separators=(",", ":"))
        call = Call("list audit records", "GET", "/v1/auditrecords", query=query, customer_id=customer_id)
        return by_seeking(self._transport, call, AuditRecord)
