"""Audit records: who changed what through the API."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from typing import Any

from simulator.errors import Refusal
from simulator.exchange import Answer, Call, Operations
from simulator.records import AuditRecord
from simulator.routes.relationships import parse_filter
from simulator.wire import collection, link, present, stamp7

operations = Operations()

KEPT = timedelta(days=90)
WINDOW = timedelta(days=30)


def _day(call: Call, name: str) -> datetime | None:
    text = call.query(name)
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text[:10]), datetime.min.time(), timezone.utc)
    except ValueError:
        raise Refusal(800002, f"{name} must be a date like 2022-07-11.") from None


def _rendered(call: Call, record: AuditRecord) -> dict[str, Any]:
    customer = call.world.customers.get(record.customer)
    return present(
        partnerId=call.world.scenario.provider.tenant_id,
        customerId=record.customer,
        customerName=customer.profile.name if customer else None,
        userPrincipalName=record.user,
        applicationId=record.application,
        resourceType=record.resource,
        resourceNewValue=record.new_value,
        operationType=record.operation,
        operationDate=stamp7(record.at),
        operationStatus="succeeded",
        customizedData=[{"key": key, "value": value} for key, value in record.details],
        attributes={"objectType": "AuditRecord"},
    )


@operations.add(
    "GET",
    "/v1/auditrecords",
    auth="either",
    page="get-a-record-of-partner-center-activity-by-user (6/7/2022)",
    query=("startDate", "endDate", "filter", "size"),
)
def get_audit_records(call: Call) -> Answer:
    """The activity log of at most 30 days within the last 90, newest first."""
    end = (_day(call, "endDate") or call.now) + timedelta(days=1)
    start = _day(call, "startDate") or end - WINDOW
    if end - start > WINDOW + timedelta(days=1) or start < call.now - KEPT - timedelta(days=1):
        raise Refusal(800002, "The window must be at most 30 days and within the last 90 days.")
    wanted = parse_filter(call, ("equals", "substring", "contains", "starts_with"))
    found = [row for row in call.world.audit if start <= row.at < end]
    if wanted is not None:
        found = [row for row in found if _passes(call, row, wanted.field.lower(), wanted.value.lower())]
    found.sort(key=lambda row: (row.at, row.id), reverse=True)
    size_text = call.query("size") or "500"
    if not size_text.isdecimal() or size_text == "0":
        raise Refusal(800002, "size must be a number.")
    size = int(size_text)
    token = call.headers.get("MS-ContinuationToken")
    begin = next((index + 1 for index, row in enumerate(found) if row.id == token), 0) if token else 0
    page = found[begin : begin + size]
    body = collection([_rendered(call, row) for row in page], f"/auditrecords?{call.raw_query}")
    if len(found) > begin + size:
        body["continuationToken"] = page[-1].id
        uri = f"/auditrecords?{call.raw_query}"
        headers = [{"key": "MS-ContinuationToken", "value": page[-1].id}]
        body["links"]["next"] = link(uri) | {"headers": headers}
    return Answer(body)


def _passes(call: Call, row: AuditRecord, field: str, value: str) -> bool:
    if field == "customerid":
        return row.customer == value
    if field == "resourcetype":
        return row.resource.lower() == value
    if field == "companyname":
        customer = call.world.customers.get(row.customer)
        return customer is not None and value in customer.profile.name.lower()
    raise Refusal(800002, "The filter knows CompanyName, CustomerId and ResourceType.")
