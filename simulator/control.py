"""The control surface under `/__sim__/`: seed, clock, faults, log, state. None of it is Partner Center's."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from simulator.clock import Mode
from simulator.records import FaultRecord
from simulator.routes.subscriptions import rendered
from simulator.scenario import ScenarioError
from simulator.schema import Fault, Moment
from simulator.simulation import Simulation, unfit


class Strict(BaseModel):
    """A control request: what it does not know, it refuses."""

    model_config = ConfigDict(extra="forbid")


class Refused(BaseModel):
    """Why a control request was not carried out."""

    detail: str | list[Any]


class Lease(Strict):
    """Campaign time may pass for `seconds` real seconds from now, but not beyond a moment."""

    seconds: float = Field(default=3.0, ge=0, le=3600)
    busy: bool = False
    not_beyond: Moment | None = None


class ClockChange(Strict):
    """A new mode, or a later moment, or both."""

    mode: Mode | None = None
    now: Moment | None = None


class Advance(Strict):
    """How far to go: to a moment, or by campaign seconds."""

    to: Moment | None = None
    seconds: float | None = Field(default=None, ge=0)


def control_router(simulation: Simulation) -> APIRouter:
    """The control surface of one simulation."""
    router = APIRouter(prefix="/__sim__", tags=["control"], responses={"4XX": {"model": Refused}})
    for part in (_seeding, _clock, _faults, _looking):
        part(router, simulation)
    return router


def _seeding(router: APIRouter, simulation: Simulation) -> None:
    @router.get("/health", operation_id="sim_health")
    async def health() -> dict[str, Any]:
        return {
            "simulator": "partner-center",
            "scenario": simulation.world.scenario.name,
            "now": _z(simulation.catch_up()),
            "partners": len(simulation.world.partners),
            "subscriptions": len(simulation.world.subscriptions),
        }

    @router.post("/seed", operation_id="sim_seed")
    async def seed(request: Request, mode: Mode | None = None) -> dict[str, Any]:
        try:
            simulation.seed((await request.body()).decode("utf-8-sig"), "request body", mode)
        except UnicodeDecodeError:
            raise HTTPException(422, ["The scenario is not UTF-8 text."]) from None
        except ScenarioError as fault:
            raise HTTPException(422, fault.sentences) from None
        return await health()

    @router.post("/reset", operation_id="sim_reset")
    async def reset() -> dict[str, Any]:
        simulation.reset()
        return await health()

    @router.get("/scenario", operation_id="sim_scenario")
    async def scenario() -> dict[str, Any]:
        return simulation.world.scenario.model_dump(
            mode="json", by_alias=True, exclude={"provider": {"applications"}}
        )


def _clock_view(simulation: Simulation) -> dict[str, Any]:
    now = simulation.catch_up()
    simulation.save()
    clock = simulation.clock
    running = clock.running()
    return {
        "now": _z(now),
        "running": running,
        "speed": clock.speed(simulation.world) if running else 0.0,
        "nominal_speed": clock.speed(simulation.world),
        "converting": simulation.world.converting(),
        "mode": clock.mode,
        "starts_at": _z(clock.plan.starts_at),
        "ends_at": _z(clock.plan.ends_at),
        "lease_left_s": round(clock.lease_left_s, 3) if clock.mode == "leased" else None,
        "not_beyond": _z(clock.not_beyond) if clock.not_beyond else None,
        "held_at": _z(now) if clock.not_beyond and now >= clock.not_beyond else None,
        "ended": now >= clock.plan.ends_at,
    }


def _clock(router: APIRouter, simulation: Simulation) -> None:
    @router.get("/clock", operation_id="sim_clock")
    async def clock() -> dict[str, Any]:
        return _clock_view(simulation)

    @router.post("/clock/lease", operation_id="sim_clock_lease")
    async def lease(wish: Lease) -> dict[str, Any]:
        simulation.clock.lease(simulation.world, wish.seconds, wish.busy, wish.not_beyond)
        return _clock_view(simulation)

    def go_to(moment: datetime) -> None:
        try:
            simulation.clock.advance_to(simulation.world, moment)
        except ValueError as fault:
            raise HTTPException(409, f"{fault}.") from None

    @router.put("/clock", operation_id="sim_set_clock")
    async def set_clock(wish: ClockChange) -> dict[str, Any]:
        if wish.mode is not None:
            simulation.clock.switch(simulation.world, wish.mode)
        if wish.now is not None:
            go_to(wish.now)
        return _clock_view(simulation)

    @router.post("/clock/advance", operation_id="sim_advance_clock")
    async def advance(wish: Advance) -> dict[str, Any]:
        if simulation.clock.mode != "manual":
            raise HTTPException(
                409, 'The clock is not in mode manual; PUT /__sim__/clock {"mode": "manual"} first.'
            )
        if (wish.to is None) == (wish.seconds is None):
            raise HTTPException(422, "Give either to or seconds.")
        go_to(wish.to if wish.to else simulation.catch_up() + timedelta(seconds=wish.seconds or 0))
        return _clock_view(simulation)


def _faults(router: APIRouter, simulation: Simulation) -> None:
    @router.post("/faults", operation_id="sim_queue_faults")
    async def queue_faults(wishes: list[Fault] | Fault) -> list[dict[str, Any]]:
        faults = wishes if isinstance(wishes, list) else [wishes]
        if sentences := [sentence for fault in faults if (sentence := unfit(fault))]:
            raise HTTPException(422, sentences)
        added = {row.id for row in simulation.queue_faults(faults)}
        simulation.save()
        return [entry for entry in simulation.faults.account(simulation.world) if entry["id"] in added]

    @router.get("/faults", operation_id="sim_faults")
    async def faults() -> list[dict[str, Any]]:
        return simulation.faults.account(simulation.world)

    @router.delete("/faults", operation_id="sim_delete_faults")
    async def delete_faults() -> list[dict[str, Any]]:
        simulation.catch_up()
        account = simulation.faults.account(simulation.world)
        simulation.faults.release_all(simulation.world)
        for record in simulation.world.faults:
            simulation.world.faults.remove(record.id)
        simulation.save()
        return account

    @router.post("/faults/{fault_id}/release", operation_id="sim_release_fault")
    async def release_fault(fault_id: str) -> dict[str, Any]:
        simulation.catch_up()
        record: FaultRecord | None = simulation.world.faults.get(fault_id)
        if record is None:
            raise HTTPException(404, f"There is no fault {fault_id}.")
        released = simulation.faults.release(simulation.world, record)
        simulation.save()
        return {"id": record.id, "released": released}


def _looking(router: APIRouter, simulation: Simulation) -> None:
    @router.get("/requests", operation_id="sim_requests")
    async def requests(
        operation: str | None = None, since: int = 0, limit: Annotated[int, Query(ge=1, le=5000)] = 500
    ) -> dict[str, Any]:
        return simulation.log.page(operation, since, limit)

    @router.get("/requests/summary", operation_id="sim_requests_summary")
    async def requests_summary() -> dict[str, dict[str, int]]:
        return simulation.log.summary()

    def subscription_view(key: str) -> dict[str, Any]:
        row = simulation.world.subscriptions[key]
        return row.model_dump(mode="json") | {
            "etag": rendered(simulation.world, row)["attributes"].get("etag")
        }

    @router.get("/state", operation_id="sim_state")
    async def state() -> dict[str, Any]:
        now, world = simulation.catch_up(), simulation.world
        simulation.save()
        return {
            "scenario": world.scenario.name,
            "now": _z(now),
            "partners": [
                row.profile.model_dump(mode="json", exclude={"customers"}) for row in world.partners
            ],
            "customers": [
                {
                    "id": row.id,
                    "name": row.profile.name,
                    "partners": row.partners,
                    "mca": row.has_mca(now),
                    "signed_at": row.signed_at,
                    "agreements": len(row.agreements),
                    "qualifications": [entry.model_dump(mode="json") for entry in row.qualifications],
                }
                for row in world.customers
            ],
            "subscriptions": [subscription_view(row.id) for row in world.subscriptions],
            "migrations": [row.model_dump(mode="json") for row in world.migrations],
            "schedules": [row.model_dump(mode="json") for row in world.schedules],
            "transitions": [row.model_dump(mode="json") for row in world.transitions],
            "orders": [row.model_dump(mode="json") for row in world.orders],
            "carts": [row.model_dump(mode="json") for row in world.carts],
            "story": [row.model_dump(mode="json") for row in world.story],
        }

    @router.get("/state/subscriptions/{subscription_id}", operation_id="sim_subscription")
    async def subscription(subscription_id: str) -> dict[str, Any]:
        simulation.catch_up()
        simulation.save()
        if subscription_id not in simulation.world.subscriptions:
            raise HTTPException(404, f"There is no subscription {subscription_id}.")
        return subscription_view(subscription_id)


def _z(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
