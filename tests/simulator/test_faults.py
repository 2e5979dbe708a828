"""Faults: each happens as told, and is accounted for."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.simulator.bench import Bench, bench, legacy


async def account(sim: Bench) -> list[tuple[int, int]]:
    """How often each fault was due and used."""
    return [(fault["due"], fault["used"]) for fault in (await sim.control("GET", "/faults")).json()]


async def migrations(sim: Bench) -> list[Any]:
    found: list[Any] = (await sim.control("GET", "/state")).json()["migrations"]
    return found


async def test_a_status_fault_comes_before_the_effect() -> None:
    async with bench(legacy()) as sim:
        await sim.fault("create_migration", "status", status=503)
        assert (await sim.migrate("premium")).status_code == 503
        assert await migrations(sim) == []
        assert (await sim.migrate("premium")).status_code == 201
        assert await account(sim) == [(1, 1)]


async def test_a_status_fault_may_come_after_the_effect() -> None:
    async with bench(legacy()) as sim:
        await sim.fault("create_migration", "status", status=500, after=True)
        assert (await sim.migrate("premium")).status_code == 500
        assert len(await migrations(sim)) == 1


async def test_a_status_fault_carries_its_code() -> None:
    async with bench(legacy()) as sim:
        await sim.fault("create_migration", "status", status=408, code=900225)
        answer = await sim.migrate("premium")
        assert (answer.status_code, answer.json()["code"]) == (408, 900225)


async def test_a_throttle_fault_looks_like_the_real_one() -> None:
    async with bench() as sim:
        await sim.fault("get_customers", "throttle", retry_after=57)
        answer = await sim.get("/customers?size=0")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "57")
        assert answer.json() == {
            "statusCode": 429,
            "message": "Rate limit is exceeded. Try again in 57 seconds.",
        }


@pytest.mark.parametrize(("kind", "done"), [("lost_answer", 1), ("reset_after", 1), ("reset_before", 0)])
async def test_a_cut_connection_leaves_the_effect_or_not(kind: str, done: int) -> None:
    async with bench(legacy()) as sim:
        await sim.fault("create_migration", kind, seconds=0)
        with pytest.raises(ConnectionAbortedError):
            await sim.migrate("premium")
        assert len(await migrations(sim)) == done
        log = (await sim.control("GET", "/requests?operation=create_migration")).json()["requests"]
        assert [(entry["status"], entry["fault"]) for entry in log] == [(None, kind)]


async def test_a_lost_answer_is_found_again_by_its_request_id() -> None:
    async with bench(legacy()) as sim:
        await sim.fault("create_migration", "lost_answer", seconds=0)
        headers = {"MS-RequestId": str(uuid.uuid4())}
        with pytest.raises(ConnectionAbortedError):
            await sim.migrate("premium", headers=headers)
        assert (await sim.migrate("premium", headers=headers)).status_code == 201
        assert len(await migrations(sim)) == 1


async def test_a_malformed_answer_is_not_json() -> None:
    async with bench() as sim:
        await sim.fault("get_customers", "malformed")
        answer = await sim.get("/customers?size=0")
        assert answer.status_code == 200
        with pytest.raises(json.JSONDecodeError):
            answer.json()


async def test_a_slow_answer_is_right() -> None:
    async with bench() as sim:
        await sim.fault("get_customers", "slow", seconds=0.01)
        assert (await sim.get("/customers?size=0")).status_code == 200
        assert await account(sim) == [(1, 1)]


async def test_a_fault_skips_and_counts() -> None:
    async with bench() as sim:
        await sim.fault("get_customers", "status", status=500, skip=1, count=2)
        statuses = [(await sim.get("/customers?size=0")).status_code for _ in range(4)]
        assert statuses == [200, 500, 500, 200]


async def test_a_fault_hits_only_what_it_names() -> None:
    async with bench(legacy(), legacy("other")) as sim:
        await sim.fault("create_migration", "status", status=503, match={"subscription": "other"})
        assert (await sim.migrate("premium")).status_code == 201
        assert (await sim.migrate("other")).status_code == 503
        assert await account(sim) == [(1, 1)]


async def test_a_chance_is_the_same_in_every_run() -> None:
    async def run() -> list[int]:
        async with bench() as sim:
            await sim.fault("get_customers", "status", status=500, count=None, probability=0.5, seed=7)
            return [(await sim.get("/customers?size=0")).status_code for _ in range(12)]

    first = await run()
    assert first == await run()
    assert set(first) == {200, 500}


async def test_a_fault_is_due_only_in_its_time() -> None:
    async with bench() as sim:
        window = {"from_at": "2022-07-12T00:00:00Z", "until_at": "2022-07-13T00:00:00Z"}
        await sim.fault("get_customers", "status", status=500, count=None, **window)
        statuses = [(await sim.get("/customers?size=0")).status_code]
        for moment in (window["from_at"], window["until_at"]):
            await sim.go_to(moment)
            statuses.append((await sim.get("/customers?size=0")).status_code)
        assert statuses == [200, 500, 200]


@pytest.mark.parametrize(("after", "done"), [(False, 0), (True, 1)])
async def test_a_held_call_waits_for_its_release(after: bool, done: int) -> None:
    async with bench(legacy()) as sim:
        fault = await sim.fault("create_migration", "hold", after=after)
        await sim.token("user")
        call = asyncio.create_task(sim.migrate("premium"))
        for _ in range(1000):
            await asyncio.sleep(0)
            if (await sim.control("GET", "/faults")).json()[0]["held"]:
                break
        assert len(await migrations(sim)) == done
        assert (await sim.control("POST", f"/faults/{fault}/release")).json() == {"id": fault, "released": 1}
        assert (await call).status_code == 201
        assert len(await migrations(sim)) == 1


async def test_a_stuck_migration_stays_in_processing_until_it_is_released() -> None:
    async with bench(legacy(ends_at="2022-08-15T08:00:00Z")) as sim:
        fault = await sim.fault("create_migration", "stuck")
        migration = (await sim.migrate("premium")).json()["id"]
        await sim.go_to("2022-07-15T00:00:00Z")
        assert (await sim.migration(migration))["status"] == "Processing"
        await sim.control("POST", f"/faults/{fault}/release")
        await sim.go_to("2022-07-15T04:00:00Z")
        assert (await sim.migration(migration))["status"] == "Completed"


async def test_deleting_faults_ends_them_and_tells_the_account() -> None:
    async with bench() as sim:
        await sim.fault("get_customers", "status", status=500, count=None)
        await sim.get("/customers?size=0")
        (last,) = (await sim.control("DELETE", "/faults")).json()
        assert (last["due"], last["used"]) == (1, 1)
        assert (await sim.get("/customers?size=0")).status_code == 200


async def test_a_fault_for_no_operation_is_refused() -> None:
    async with bench() as sim:
        answer = await sim.control("POST", "/faults", {"operation": "explode", "kind": "slow"})
        assert answer.status_code == 422
        assert "explode is no operation" in answer.text
        stuck = await sim.control("POST", "/faults", {"operation": "get_customers", "kind": "stuck"})
        assert "stuck fits only create_migration" in stuck.text


async def test_faults_of_a_scenario_are_queued_at_seed() -> None:
    async with bench(faults=[{"operation": "*", "kind": "status", "status": 502}]) as sim:
        answer = await sim.http.get("/common/discovery/instance")
        assert answer.status_code == 502


async def test_a_fault_may_be_for_the_one_call_with_a_request_id() -> None:
    async with bench() as sim:
        meant = str(uuid.uuid4())
        await sim.fault("*", "status", status=503, match={"request": meant.upper()})
        assert (await sim.get("/customers?size=0")).status_code == 200
        assert (await sim.get("/customers?size=0", headers={"MS-RequestId": meant})).status_code == 503
        assert await account(sim) == [(1, 1)]
