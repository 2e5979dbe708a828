"""A person who works in Partner Center beside the product, with a client of their own."""

from __future__ import annotations

import asyncio
import uuid
from typing import Literal

from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from tests.e2e.stage import Stage
from tests.e2e.story import SCENARIO


def act_on_nce(stage: Stage, act: Literal["suspend", "reactivate"], customer_id: str, legacy_id: str) -> None:
    """Suspend or reactivate the New Commerce subscription that a migration made of a legacy one."""
    application = SCENARIO.provider.applications[0]
    settings = PartnerCenterConnection(
        tenant_id=SCENARIO.provider.tenant_id,
        client_id=application.client_id,
        client_secret=application.client_secret,
        refresh_token=application.refresh_token,
        address=stage.installation.simulator_url,
        authority=stage.installation.simulator_url,
        rehearsal=True,
    )

    async def work() -> None:
        async with PartnerCenterClient(settings) as client:
            held = await client.subscriptions.of_customer(customer_id)
            nce = next(one for one in held if one.migrated_from_subscription_id == legacy_id)
            change = getattr(client.subscriptions, act)
            await change(customer_id, nce, request_id=str(uuid.uuid4()))

    asyncio.run(work())
