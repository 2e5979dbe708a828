"""What somebody else's client does with Partner Center: `partnercenterservices` 0.1.2 from PyPI.

Its code was generated from Microsoft's own description of the API. Nothing here names an address: the client
calls the real ones. Prints what it got as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

# The client declares its namespace by a module that setuptools no longer has; alone in it, it needs no more.
sys.modules["pkg_resources"] = stand_in = ModuleType("pkg_resources")
stand_in.declare_namespace = lambda name: None  # type: ignore[attr-defined]

from microsoft.store.partnercenterservices import MicrosoftPartnerStoreApis  # noqa: E402
from microsoft.store.partnercenterservices.models import (  # noqa: E402
    MicrosoftPartnerSdkContractsV1Order,
    MicrosoftPartnerSdkContractsV1OrderLineItem,
)
from msrestazure.azure_active_directory import ServicePrincipalCredentials  # noqa: E402

API = "https://api.partnercenter.microsoft.com"
VERSION = "1"


def pages(api: Any) -> Iterator[list[Any]]:
    """The customers, page by page, by the link that each page has to the next one."""
    page = api.getvversioncustomersfilterfilter.value(VERSION, size=2)
    while True:
        yield page.items
        following = page.links.next
        if following is None:
            return
        headers = {header.key: header.value for header in following.headers}
        page = api.getvversioncustomersfilterfilter.value(
            VERSION, size=2, seek_operation="next", custom_headers=headers
        )


def main(tenant: str, client_id: str, secret: str, customer: str, item: str) -> dict[str, Any]:
    """Signs in, walks the customers, buys three seats and makes them five."""
    credentials = ServicePrincipalCredentials(client_id, secret, tenant=tenant, resource=API)
    api = MicrosoftPartnerStoreApis(credentials)
    reads, posts = api.getvversioncustomerscustomer, api.postvversioncustomerscustomer
    walked = [[row.company_profile.company_name for row in page] for page in pages(api)]
    before = reads.value9(customer, VERSION).items
    order = posts.idorders(
        customer,
        MicrosoftPartnerSdkContractsV1Order(
            reference_customer_id=customer,
            billing_cycle="monthly",
            line_items=[
                MicrosoftPartnerSdkContractsV1OrderLineItem(line_item_number=0, offer_id=item, quantity=3)
            ],
        ),
        VERSION,
    )
    print(json.dumps({"ordered": order.id}), flush=True)  # noqa: T201
    sys.stdin.readline()  # until the order is provisioned
    ordered = reads.id5(customer, order.id, VERSION)
    (bought,) = reads.value9(customer, VERSION, order_id=order.id).items
    bought.quantity = 5
    changed = api.patchvversioncustomerscustomer.id4(customer, bought.id, bought, VERSION)
    read_again = reads.id6(customer, bought.id, VERSION)
    return {
        "pages": walked,
        "before": [[row.offer_name, row.quantity, row.status] for row in before],
        "order": [ordered.status, ordered.line_items[0].subscription_id == bought.id],
        "changed": [changed.quantity, changed.status],
        "read_again": [read_again.quantity, read_again.commitment_end_date.isoformat()],
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))  # noqa: T201
