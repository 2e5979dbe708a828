"""The product's client talks to the simulator about everything it can, and every word is written down.

Responsible for provoking each form an answer can take: legacy, Azure and new-commerce subscriptions,
migrations under way and done, carts with and without faults, refusals of every shape. What was said is judged
by the tests.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from aiohttp import web

from include.nce.domain.conversion import ConversionRequest
from include.nce.domain.purchase import PurchaseLine
from include.nce.domain.subscription import CatalogueTarget
from include.nce.partner_center.client import PartnerCenterClient
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.errors import AlreadyExists, ChangeRefused
from include.nce.partner_center.gateway import PartnerCenterGateway
from include.nce.partner_center.models.agreements import AgreementConfirmation, ContactForAgreement
from include.nce.partner_center.models.carts import CartLineRequest, CartRequest, Participant
from include.nce.partner_center.models.customers import QualificationRequest
from include.nce.partner_center.models.orders import OrderLineRequest, OrderRequest
from include.nce.partner_center.models.promotions import PromotionEligibilityItem
from simulator.exchange import Operation
from simulator.routes import OPERATIONS
from tests.simulator.bench import (
    AUDIENCE,
    AUDIO,
    CLIENT,
    FACULTY,
    PROVIDER,
    REFRESH,
    SECRET,
    Bench,
    legacy,
    scenario,
)
from tests.support.departing import departure, may_suspend

RESELLER = "4847383"
UNSIGNED = "4847384"
CODE = "authorization-code"
FOR_SALE = CatalogueTarget(product="CFQ7TTC0LFLS", sku="0002")
CAPPED = CatalogueTarget(product="CFQ7TTC0LDPB", sku="0001")
PROMOTION = "39NFJQT1PM6C:0005:39NFJQT1Q5L7"


@dataclass(frozen=True)
class Said:
    """One exchange: what was asked under which operation, and what was answered."""

    operation: Operation
    asked: Any
    status: int
    answered: Any


def story() -> dict[str, Any]:
    """Two resellers, one without the agreement, and customers with one of everything."""
    nce = {
        "key": "nce",
        "nce": {"product": "CFQ7TTC0LDPB", "sku": "0001", "migrated_from": str(uuid.UUID(int=7))},
        "seats": 4,
        "created_at": "2022-07-09T10:00:00Z",
        "ends_at": "2022-08-08T00:00:00Z",
        "term": "P1M",
        "promotion": PROMOTION,
    }
    found = scenario(
        legacy(),
        legacy("audio", offer=AUDIO, parent="premium"),
        legacy("moving", term_shown=True),
        legacy("led"),
        legacy("planned", offer="796B6B5F-613C-4E24-A17C-EBA730D49C02"),
        legacy("school", offer=FACULTY),
        legacy("kept"),
        {"key": "azure", "offer": "MS-AZR-0145P"},
        nce,
        nce | {"key": "growing", "seats": 13, "term": "P1Y", "ends_at": "2023-07-08T00:00:00Z"},
        nce
        | {
            "key": "grown",
            "nce": {"product": "CFQ7TTC0LF8R", "sku": "0001"},
            "term": "P1Y",
            "ends_at": "2023-07-08T00:00:00Z",
        },
        nce | {"key": "grown-short", "nce": {"product": "CFQ7TTC0LF8R", "sku": "0001"}},
        nce | {"key": "old", "created_at": "2022-06-20T10:00:00Z", "ends_at": "2022-07-19T00:00:00Z"},
        rules={"customers_page_size": 1, "migrations_page_size": 1},
        events=[
            {
                "at": "2022-07-11T06:30:00Z",
                "kind": "migrate_in_portal",
                "subscription": "led",
                "microsoft_led": True,
            }
        ],
        promotions=[
            {
                "id": PROMOTION,
                "name": "Entra",
                "sku": FOR_SALE.product_and_sku,
                "billing": "monthly",
                "starts_at": "2022-06-01T00:00:00Z",
                "ends_at": "2022-12-31T00:00:00Z",
                "max_seats": 300,
            }
        ],
    )
    found["provider"]["applications"][0]["authorization_code"] = CODE
    found["products"][1]["skus"][0]["seat_cap"] = 20
    found["products"][3]["skus"][0]["upgrades_to"] = ["CFQ7TTC0LF8R:0001"]
    (rossi,) = found["partners"]
    rossi["customers"][0]["qualifications"] = [
        "Education",
        {"qualification": "StateOwnedEntity", "vetting_status": None},
        {
            "qualification": "Nonprofit",
            "vetting_status": "Denied",
            "vetting_reason": "No charity",
            "vetting_created_at": "2022-01-03T10:37:38.885Z",
        },
        {"qualification": "GovernmentCommunityCloud", "vetting_created_at": "2022-05-06T19:59:56Z"},
    ]
    rossi["customers"][0]["mca"] = {"by": "partner", "at": "2022-01-01T00:00:00Z"}
    rossi["customers"].append({"key": "beta", "name": "Beta"})
    found["partners"].append({"id": "bianchi", "name": "Bianchi", "mpn_id": UNSIGNED, "mpa_signed_at": None})
    return found


class Recorder:
    """Stands between client and simulator, passes everything on and writes it down."""

    def __init__(self, sim: Bench) -> None:
        self.said: list[Said] = []
        self._sim = sim

    async def pass_on(self, request: web.Request) -> web.Response:
        body = await request.read()
        answer = await self._sim.http.request(
            request.method,
            request.path_qs,
            content=body,
            headers={name: value for name, value in request.headers.items() if name != "Host"},
        )
        self.note(request.method, request.path, body or request.query.get("filter", "").encode(), answer)
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() not in ("content-length", "content-type")
        }
        return web.Response(
            status=answer.status_code,
            body=answer.content,
            headers=headers,
            content_type="application/json",
        )

    def note(self, method: str, path: str, body: bytes, answer: Any) -> None:
        asked = json.loads(body) if body[:1] in (b"{", b"[", b'"') else None
        operation = operation_at(method, path)
        self.said.append(
            Said(operation, asked, answer.status_code, answer.json() if answer.content else None)
        )


def operation_at(method: str, path: str) -> Operation:
    """The first operation with this method and path; the list has the literal paths first."""
    segments = path.strip("/").split("/")
    for operation in OPERATIONS:
        own = operation.path.strip("/").split("/")
        if (
            operation.method == method
            and len(own) == len(segments)
            and all(one.startswith("{") or one == other for one, other in zip(own, segments, strict=True))
        ):
            return operation
    raise AssertionError(f"the simulator has no {method} {path}")


@contextlib.asynccontextmanager
async def listening(recorder: Recorder) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", recorder.pass_on)
    runner = web.AppRunner(app, shutdown_timeout=1, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def hold_conversation() -> list[Said]:
    """Everything that was said."""
    sim = Bench(story(), None, "manual")
    recorder = Recorder(sim)
    async with sim.http, listening(recorder) as address:
        connection = PartnerCenterConnection(
            tenant_id=PROVIDER,
            client_id=CLIENT,
            client_secret=SECRET,
            refresh_token=REFRESH,
            address=address,
            authority=address,
            rehearsal=True,
        )
        async with PartnerCenterClient(connection) as client:
            await _check(client, sim)
            await _migrate(client, sim)
            await _buy(client, sim)
            await _change(client, sim)
            await _read_on(client, sim)
        await _strangers(sim, recorder)
    sim.simulation.close()
    return recorder.said


def _new_id() -> str:
    return str(uuid.uuid4())


async def _all(pages: AsyncIterator[Any]) -> list[Any]:
    return [item async for page in pages for item in page]


async def _check(client: PartnerCenterClient, sim: Bench) -> None:
    gateway, alfa = PartnerCenterGateway(client), sim.alfa
    signed = {row.profile.id: row.profile.tenant_id or "" for row in sim.simulation.world.partners}
    await gateway.mpa_status(signed["rossi"])
    await gateway.mpa_status(signed["bianchi"])
    await client.agreements.mpa_status(mpn_id="1")
    await gateway.resellers()
    await gateway.mpn_profile_exists(RESELLER)
    await gateway.partner_of_record(RESELLER)
    await gateway.partner_of_record("1")
    assert len([row async for row in gateway.customers_of(signed["rossi"])]) == 2
    await gateway.customer_agreement_accepted(alfa)
    await client.agreements.directly_signed(alfa)
    await client.agreements.templates()
    confirmation = AgreementConfirmation.of(
        ContactForAgreement(
            first_name="Tania", last_name="Carr", email="someone@example.com", phone_number="1234567890"
        ),
        agreed_at=datetime(2022, 6, 1, tzinfo=timezone.utc),
        template_id="117a77b0-9360-443b-8795-c6dedc750cf9",
    )
    await client.agreements.confirm(alfa, confirmation, request_id=_new_id())
    with contextlib.suppress(AlreadyExists):
        await client.agreements.confirm(alfa, confirmation, request_id=_new_id())
    await client.relationships.resellers_of_customer(alfa)
    await client.relationships.customer_invitation()
    await client.profiles.own_mpn()
    await client.profiles.legal_business()
    await client.profiles.organization()
    await _all(client.customers.pages())
    await client.customers.get(alfa)
    await client.customers.company_profile(alfa)
    await client.customers.qualifications(alfa)
    await client.customers.qualification_v1(alfa)
    await client.customers.request_qualification(
        sim.customer("beta"),
        QualificationRequest(
            qualification="Education", education_segment="HigherEducation", website="contoso.edu"
        ),
        request_id=_new_id(),
    )


async def _migrate(client: PartnerCenterClient, sim: Bench) -> None:
    gateway, alfa = PartnerCenterGateway(client), sim.alfa
    addon = ConversionRequest(legacy_id=sim.id("audio"), customer_id=alfa, term="P1Y", billing="monthly")
    bundle = ConversionRequest(
        legacy_id=sim.id("premium"),
        customer_id=alfa,
        seats=12,
        term="P1Y",
        billing="monthly",
        full_term=True,
        reference=_new_id(),
        add_ons=(addon,),
    )
    single = ConversionRequest(legacy_id=sim.id("moving"), customer_id=alfa, reference=_new_id())
    assert (await gateway.validate_migration(bundle)).all_eligible
    school = ConversionRequest(legacy_id=sim.id("school"), customer_id=alfa)
    assert not (await gateway.validate_migration(school)).eligible
    for request in (bundle, single):
        migration, _ = await gateway.create_migration(request, departure=departure(_new_id()))
    await sim.go_to("2022-07-11T12:00:00Z")
    assert migration.migration_id is not None
    await client.migrations.get(alfa, migration.migration_id)
    assert len([row async for row in gateway.migrations(customer_id=alfa)]) == 3
    await client.migrations.events(alfa, migration_id=migration.migration_id)
    path = f"/customers/{alfa}/migrations/newcommerce/schedules"
    plan = {"currentSubscriptionId": sim.id("planned"), "targetDate": "2022-07-13T00:00:00Z"}
    await sim.post(path, plan)
    await _all(client.migrations.schedules(customer_id=alfa))


async def _buy(client: PartnerCenterClient, sim: Bench) -> None:
    gateway, alfa = PartnerCenterGateway(client), sim.alfa
    wanted = [PurchaseLine(sim.id("kept"), FOR_SALE, 5)]
    cart, _ = await gateway.create_cart(alfa, wanted, partner_mpn_id=RESELLER, request_id=_new_id())
    await client.carts.get(alfa, cart.cart_id)
    purchase, _ = await gateway.check_out(alfa, cart.cart_id, wanted, departure=departure(_new_id()))
    too_many = [PurchaseLine(sim.id("kept"), CAPPED, 299)]
    broken, _ = await gateway.create_cart(alfa, too_many, partner_mpn_id=RESELLER, request_id=_new_id())
    assert broken.faults
    (offered,) = await client.catalogue.availabilities("CFQ7TTC0LFLS", "0002", customer_id=alfa)
    everything = CartLineRequest(
        id=0,
        catalog_item_id=offered.catalog_item_id,
        quantity=2,
        billing_cycle="monthly",
        term_duration="P1Y",
        friendly_name="Renamed by us",
        promotion_id=PROMOTION,
        custom_term_end_date=datetime(2022, 9, 30, tzinfo=timezone.utc),
        participants=[Participant(key="transaction_reseller", value=RESELLER)],
    )
    full = CartRequest(line_items=[everything], partner_on_record_attestation_accepted=True)
    written = await client.carts.create(alfa, full, request_id=_new_id())
    await client.carts.replace(alfa, written.what.id, full, request_id=_new_id())
    order = OrderRequest(
        reference_customer_id=alfa,
        billing_cycle="monthly",
        partner_on_record_attestation_accepted=True,
        line_items=[
            OrderLineRequest(
                line_item_number=0,
                offer_id=offered.catalog_item_id,
                quantity=1,
                term_duration="P1Y",
                friendly_name="Renamed by us",
                partner_id_on_record=RESELLER,
                promotion_id=PROMOTION,
            )
        ],
    )
    await client.orders.create(alfa, order, request_id=_new_id())
    await sim.go_to("2022-07-11T14:00:00Z")
    (order_id,) = purchase.order_ids.values()
    await client.orders.get(alfa, order_id)
    await client.orders.of_customer(alfa)
    await client.orders.provisioning_status(alfa, order_id)
    await client.subscriptions.of_order(alfa, order_id)
    await client.promotions.available(country="IT", segment="commercial")
    for seats in (10, 500):
        line = PromotionEligibilityItem(
            catalog_item_id=offered.catalog_item_id,
            quantity=seats,
            term_duration="P1Y",
            billing_cycle="Monthly",
            promotion_id=PROMOTION,
        )
        await client.promotions.eligibilities(alfa, [line])
    await client.catalogue.products(customer_id=alfa)
    await client.catalogue.skus("CFQ7TTC0LFLS", customer_id=alfa)


async def _change(client: PartnerCenterClient, sim: Bench) -> None:
    alfa, subscriptions = sim.alfa, client.subscriptions
    await PartnerCenterGateway(client).suspend(
        may_suspend(alfa, sim.id("kept")), departure=departure(_new_id())
    )
    kept = await subscriptions.get(alfa, sim.id("kept"))
    await subscriptions.reactivate(alfa, kept, request_id=_new_id())
    nce = await subscriptions.get(alfa, sim.id("nce"))
    renewal: Mapping[str, Any] = {
        "autoRenewEnabled": True,
        "scheduledNextTermInstructions": {
            "product": {"productId": "CFQ7TTC0LDPB", "skuId": "0001", "termDuration": "P1Y"},
            "quantity": 5,
        },
    }
    await subscriptions.change(alfa, nce, renewal, request_id=_new_id())
    nce = await subscriptions.get(alfa, sim.id("nce"))
    await subscriptions.change(alfa, nce, {"quantity": 6}, request_id=_new_id())
    old = await subscriptions.get(alfa, sim.id("old"))
    with contextlib.suppress(ChangeRefused):
        await subscriptions.change(alfa, old, {"quantity": 1}, request_id=_new_id())
    await subscriptions.cancel(alfa, await subscriptions.get(alfa, sim.id("nce")), request_id=_new_id())


async def _read_on(client: PartnerCenterClient, sim: Bench) -> None:
    alfa, subscriptions = sim.alfa, client.subscriptions
    await PartnerCenterGateway(client).subscriptions_of(alfa)
    await subscriptions.of_partner_of_record(alfa, RESELLER)
    await subscriptions.add_ons(alfa, sim.id("premium"))
    await subscriptions.provisioning_status(alfa, sim.id("kept"))
    await subscriptions.custom_term_end_dates(alfa, term="P1Y")
    await _all(client.audit.pages(from_on=date(2022, 7, 1), to_on=date(2022, 7, 20)))


async def _upgrades(sim: Bench, ask: Any) -> None:
    path = f"/customers/{sim.alfa}/subscriptions/{sim.id('growing')}"
    (target,) = (await ask("GET", f"{path}/transitionEligibilities?eligibilityType=immediate"))["items"]
    wish = {
        "fromSubscriptionId": sim.id("growing"),
        "toCatalogItemId": target["catalogItemId"],
        "toSubscriptionId": sim.id("grown"),
        "quantity": 2,
        "termDuration": "P1Y",
        "billingCycle": "Monthly",
        "transitionType": "transition_with_license_transfer",
    }
    await ask("POST", f"{path}/transitions", wish)
    await ask("GET", f"{path}/transitions")


async def _strangers(sim: Bench, recorder: Recorder) -> None:
    """What the product never asks: the older sign-in, legacy purchases, schedules, too many calls."""
    form = {"client_id": CLIENT, "client_secret": SECRET, "resource": AUDIENCE}
    for grant in ({"grant_type": "client_credentials"}, {"grant_type": "authorization_code", "code": CODE}):
        path = f"/{PROVIDER}/oauth2/token"
        recorder.note("POST", path, b"", await sim.http.post(path, data=form | grant))

    async def ask(method: str, path: str, body: Any = None) -> Any:
        answer = await sim.call(method, path, json=body)
        recorder.note(method, f"/v1{path.partition('?')[0]}", b"", answer)
        return answer.json()

    mine = f"/customers/{sim.alfa}/migrations/newcommerce/schedules"
    (planned,) = await ask("GET", f"/migrations/newcommerce/schedules?CustomerTenantId={sim.alfa}")
    plan = {"currentSubscriptionId": planned["currentSubscriptionId"], "targetDate": "2022-07-13T00:00:00Z"}
    await ask("PUT", f"{mine}/{planned['id']}", plan | {"quantity": 3})
    await ask("GET", "/products?country=IT&targetView=OnlineServices")
    await ask("GET", f"/products/{FOR_SALE.product}/skus/{FOR_SALE.sku}/availabilities?country=IT")
    await _upgrades(sim, ask)
    addon = {"id": 1, "catalogItemId": FACULTY, "quantity": 1, "billingCycle": "monthly"}
    line = {
        "id": 0,
        "catalogItemId": FACULTY,
        "quantity": 3,
        "billingCycle": "none",
        "termDuration": "P1M",
        "renewsTo": {"termDuration": "P1Y"},
        "provisioningContext": {"subscriptionId": str(uuid.UUID(int=1)), "scope": "shared"},
        "addonItems": [addon],
    }
    await ask("POST", f"/customers/{sim.alfa}/carts", {"lineItems": [line]})
    bought = {"lineItemNumber": 0, "offerId": FACULTY, "quantity": 1}
    await ask("POST", f"/customers/{sim.alfa}/orders", {"billingCycle": "monthly", "lineItems": [bought]})
    await sim.fault("get_customers", "throttle")
    await ask("GET", "/customers")
