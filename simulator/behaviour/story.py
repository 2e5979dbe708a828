"""What people and Microsoft do in Partner Center's own pages while a campaign runs: the events of a scenario.

An event that is not possible at its moment is recorded as refused, with the reason, and changes nothing.
"""

from __future__ import annotations

import uuid

from simulator.behaviour import migrations, purchases, subscriptions
from simulator.errors import Refusal
from simulator.records import Agreement, StoryRecord, SubscriptionRecord
from simulator.schema import (
    AcceptMca,
    BuyInPortal,
    ChangePartner,
    ChangePartnerOfRecord,
    ChangeSeats,
    ChangeStatus,
    MigrateInPortal,
    SwitchAutoRenew,
    derived_id,
)
from simulator.world import MCA_TEMPLATE, World, world_item


def on_moment(world: World, record: StoryRecord) -> None:
    """The moment of a story event has come."""
    try:
        _happen(world, record)
    except Refusal as refusal:
        record.outcome = f"refused: {refusal}"
    else:
        record.outcome = "done"


def _happen(world: World, record: StoryRecord) -> None:
    event = record.event
    if isinstance(event, BuyInPortal):
        _buy(world, event)
    elif isinstance(event, AcceptMca):
        _accept(world, event)
    elif isinstance(event, ChangePartner):
        _change_partner(world, event)
    else:
        (key,) = world.scenario.find_subscriptions(event.subscription)
        row = world.subscriptions.get(key)
        if row is None:
            raise Refusal(20003, key)
        if isinstance(event, MigrateInPortal):
            _migrate(world, row, event)
        elif isinstance(event, ChangePartnerOfRecord):
            row.partner_id = event.partner_id
        elif isinstance(event, SwitchAutoRenew):
            row.auto_renew = event.auto_renew
        elif isinstance(event, ChangeSeats):
            subscriptions.change_seats(world, row, event.seats)
        elif isinstance(event, ChangeStatus):
            _change_status(world, row, event)
        row.version += 1


def _change_status(world: World, row: SubscriptionRecord, event: ChangeStatus) -> None:
    wanted = {"suspend": "suspended", "reactivate": "active", "cancel": "deleted"}[event.kind]
    if event.kind == "cancel" and row.line != "nce":
        wanted = "suspended"
    update = subscriptions.SubscriptionUpdate(
        status=wanted,
        autoRenewEnabled=row.auto_renew,
        scheduledNextTermInstructions=row.next_term,
        nextChargeInstructions=row.next_charge,
    )
    subscriptions.check(world, row, update)
    subscriptions.change_status(world, row, wanted, "story")


def _migrate(world: World, row: SubscriptionRecord, event: MigrateInPortal) -> None:
    request = migrations.MigrationRequest(
        subscription=uuid.UUID(row.id),
        seats=event.seats,
        term=event.term,
        billing=event.billing,
        full_term=event.full_term,
    )
    migrations.create(world, row.customer, request, by="microsoft" if event.microsoft_led else "portal")


def _buy(world: World, event: BuyInPortal) -> None:
    tenant = world.scenario.find_customer(event.customer) or ""
    customer, partner = world.customers[tenant], world.partners[event.partner]
    line = purchases.PurchaseLine(
        item=world_item(world, event.sku),
        seats=event.seats,
        term=event.term,
        billing=event.billing,
        participants=[purchases.Participant(key=purchases.RESELLER, value=partner.profile.mpn_id)],
    )
    purchases.check_buyer(world, customer)
    purchases.check_reseller(world, line.reseller)
    error = purchases.line_error(world, customer, line, [])
    if error is not None:
        raise Refusal(800002, error.description)
    purchases.place_order(
        world,
        customer,
        [line],
        event.billing,
        created_by="portal",
        keys={0: (derived_id(tenant, event.key), event.key)},
        partner=partner.id,
    )


def _accept(world: World, event: AcceptMca) -> None:
    customer = world.customers[world.scenario.find_customer(event.customer) or ""]
    if not event.accepted:
        customer.signed_at, customer.agreements = None, []
    elif event.by == "customer":
        customer.signed_at = event.at
    else:
        profile = customer.profile
        customer.agreements = [
            *customer.agreements,
            Agreement(
                template_id=MCA_TEMPLATE,
                type="MicrosoftCustomerAgreement",
                first_name="Contact",
                last_name=profile.name,
                email=f"contact@{profile.domain}",
                agreed_at=event.at,
            ),
        ]


def _change_partner(world: World, event: ChangePartner) -> None:
    partner = world.partners[event.partner]
    changes: dict[str, object] = {}
    if event.mpa_signed is not None:
        changes["mpa_signed_at"] = event.at if event.mpa_signed else None
    if event.linked is not None:
        changes["linked_at"] = event.at if event.linked else None
    if event.mpn_known is not None:
        changes["mpn_known"] = event.mpn_known
    if event.por_valid is not None:
        changes["por_valid"] = event.por_valid
    partner.profile = partner.profile.model_copy(update=changes)
