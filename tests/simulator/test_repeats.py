"""A write that is repeated with its MS-RequestId gets the first answer and does nothing more."""

from __future__ import annotations

import uuid

from tests.simulator.bench import bench, legacy


async def test_a_repeated_request_gets_the_first_answer() -> None:
    async with bench(legacy()) as sim:
        headers = {"MS-RequestId": str(uuid.uuid4())}
        first = await sim.migrate("premium", headers=headers)
        await sim.go_to("2022-07-11T12:00:00Z")
        second = await sim.migrate("premium", headers=headers)
        assert (second.status_code, second.json()) == (first.status_code, first.json())
        assert len((await sim.control("GET", "/state")).json()["migrations"]) == 1


async def test_a_refusal_is_repeated_as_well() -> None:
    async with bench(legacy(ends_at="2022-07-12T05:00:00Z")) as sim:
        headers = {"MS-RequestId": str(uuid.uuid4())}
        first = await sim.migrate("premium", headers=headers)
        second = await sim.migrate("premium", headers=headers)
        assert first.status_code == second.status_code == 400
        log = (await sim.control("GET", "/requests?operation=create_migration")).json()["requests"]
        assert [entry["replayed"] for entry in log] == [False, True]


async def test_the_same_id_with_another_request_is_refused() -> None:
    async with bench(legacy()) as sim:
        headers = {"MS-RequestId": str(uuid.uuid4())}
        await sim.migrate("premium", headers=headers)
        other = await sim.migrate("premium", headers=headers, quantity=99)
        assert (other.status_code, other.json()["code"]) == (400, 800002)


async def test_without_an_id_the_server_makes_one() -> None:
    async with bench() as sim:
        answer = await sim.get("/customers?size=0")
        assert uuid.UUID(answer.headers["MS-RequestId"])
        assert uuid.UUID(answer.headers["MS-CorrelationId"])


async def test_the_callers_ids_come_back() -> None:
    async with bench() as sim:
        sent = {"MS-RequestId": "r", "MS-CorrelationId": "c", "MS-CV": "v.1"}
        answer = await sim.get("/customers?size=0", headers=sent)
        assert {name: answer.headers[name] for name in sent} == sent


async def test_reads_are_not_remembered() -> None:
    async with bench(legacy()) as sim:
        path = f"/customers/{sim.alfa}/subscriptions/{sim.id('premium')}"
        headers = {"MS-RequestId": "same"}
        before = await sim.get(path, headers=headers)
        await sim.go_to("2022-07-16T00:00:00Z")
        after = await sim.get(path, headers=headers)
        assert (before.json()["status"], after.json()["status"]) == ("active", "expired")
