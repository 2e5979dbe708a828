"""One file per resource: which operations it has, and how it looks on the wire."""

from simulator.exchange import Operations
from simulator.routes import (
    agreements,
    audit,
    carts,
    catalogue,
    customers,
    migrations,
    orders,
    profiles,
    relationships,
    sign_in,
    subscriptions,
    transitions,
)

OPERATIONS = Operations(
    operation
    for resource in (
        sign_in,
        agreements,
        relationships,
        profiles,
        customers,
        subscriptions,
        transitions,
        migrations,
        carts,
        orders,
        catalogue,
        audit,
    )
    for operation in resource.operations
)
