"""What has to be true of Partner Center and the ledger for every partner, however its run was broken off."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.stage import World
from tests.safety.crowd import SEATS, Member
from tests.safety.stage import CrashStage

ANSWERED = {"accepted", "found"}
SPENDS = {"migrate": "create_migration", "purchase": "checkout_cart"}


def violations(stage: CrashStage, members: Sequence[Member]) -> dict[str, list[str]]:
    """A sentence for each rule that does not hold, by partner; empty when all is well."""
    world = stage.world()
    status = {row["partner"]: row for row in json.loads(stage.nce("status", "--json"))["partners"]}
    commands = _commands(stage)
    runs = stage.run_states()
    found = {}
    for member in members:
        said = [
            *_partner_center(member, world),
            *_ledger(member, world, status[member.partner], commands.get(member.legacy_id, [])),
        ]
        if runs.get(member.run_id) != "success":
            said.append(f"its run is {runs.get(member.run_id)}: {status[member.partner]['sentence']}")
        if said:
            found[member.partner] = said
    return found


def successors(member: Member, world: World) -> list[Mapping[str, Any]]:
    """Every NCE subscription of the partner's customer, whatever became of it."""
    return [
        each
        for each in world.subscriptions.values()
        if each["customer"].lower() == member.customer_id and each["line"] == "nce"
    ]


def _partner_center(member: Member, world: World) -> list[str]:
    legacy, fresh = world.subscriptions[member.legacy_id], successors(member, world)
    if len(fresh) != 1:
        return [f"rule 1: {len(fresh)} NCE subscriptions"]
    said = []
    nce = fresh[0]
    covers = (nce["status"], nce["seats"], nce["offer_id"].rpartition(":")[0])
    if covers != ("active", SEATS, member.product_and_sku):
        said.append(f"rule 2: legacy {legacy['status']}, covered by {covers}")
    if legacy["status"] != "suspended":
        said.append(f"legacy is {legacy['status']}")
    wanted = "microsoft" if member.route == "migrate" else "caller"
    if legacy["suspended_by"] != wanted:
        said.append(f"legacy was suspended by {legacy['suspended_by']}, not {wanted}")
    if member.route == "purchase" and legacy["suspended_at"] and legacy["suspended_at"] < nce["active_at"]:
        said.append("rule 2: legacy was suspended before NCE was active")
    begun = [each for each in world.migrations if each["lines"][0]["legacy"].lower() == member.legacy_id]
    ordered = [each for each in world.orders if each["customer"].lower() == member.customer_id]
    if (len(begun), len(ordered)) != ((1, 0) if member.route == "migrate" else (0, 1)):
        said.append(f"rule 1: {len(begun)} migrations and {len(ordered)} orders")
    return said


def _ledger(
    member: Member, world: World, status: Mapping[str, Any], commands: Sequence[Mapping[str, Any]]
) -> list[str]:
    said = []
    (line,) = status["subscriptions"]
    if line["class"] != "converted":
        said.append(f"the ledger says {line['class']}: {line['reason']}")
    fresh = successors(member, world)
    if len(fresh) == 1 and str(line["nce_subscription"]).lower() != fresh[0]["id"].lower():
        said.append(f"the ledger names {line['nce_subscription']}, Partner Center {fresh[0]['id']}")
    known = {command["request_id"] for command in commands}
    for request in world.requests:
        if member.customer_id not in request["path"].lower() or request["operation"] not in _SPENDING:
            continue
        if request["request_id"].lower() not in known:
            said.append(f"rule 5: {request['operation']} was sent without an intention on record")
    spent = [command for command in commands if command["kind"] != "suspend_legacy"]
    if not any(ANSWERED & set(command["events"]) for command in spent):
        said.append("rule 5: no purchase has its answer on record")
    if any("sending" in command["events"] and not _explained(command) for command in commands):
        said.append("rule 5: something was sent, and what came of it is not on record")
    return said


_SPENDING = {*SPENDS.values(), "update_subscription"}


def _explained(command: Mapping[str, Any]) -> bool:
    return bool((ANSWERED | {"refused", "not_found"}) & set(command["events"]))


def _commands(stage: CrashStage) -> dict[str, list[dict[str, Any]]]:
    query = (
        "select v.legacy_id, c.kind, c.request_id,"
        " coalesce(array_agg(e.event order by e.event_id) filter (where e.event is not null), '{}')"
        " from commands c join conversions v using (conversion_id)"
        " left join command_events e using (command_id) group by 1, 2, 3"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    with stage.database(1) as ledger:
        for legacy_id, kind, request_id, events in ledger.execute(query):
            found.setdefault(str(legacy_id).lower(), []).append(
                {"kind": kind, "request_id": str(request_id).lower(), "events": events}
            )
    return found
