"""The control surface: seeding, state, log, and what a restart keeps."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from simulator.simulation import Simulation, StateMismatch
from tests.simulator.bench import REFRESH, SECRET, Bench, bench, legacy, scenario


async def test_health_names_the_simulator_and_the_scenario() -> None:
    async with bench(legacy()) as sim:
        body = (await sim.control("GET", "/health")).json()
        assert (body["simulator"], body["scenario"]) == ("partner-center", "test")


async def test_reset_goes_back_to_the_beginning() -> None:
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
        await sim.go_to("2022-07-12T00:00:00Z")
        await sim.control("POST", "/reset")
        assert (await sim.control("GET", "/clock")).json()["now"] == "2022-07-11T06:00:00Z"
        state = (await sim.control("GET", "/state")).json()
        assert (state["migrations"], state["subscriptions"][0]["status"]) == ([], "active")


async def test_seeding_replaces_the_world() -> None:
    async with bench(legacy()) as sim:
        answer = await sim.http.post("/__sim__/seed", content=json.dumps(scenario(name="second")))
        assert answer.json()["scenario"] == "second"
        assert (await sim.control("GET", "/state")).json()["subscriptions"] == []


async def test_a_faulty_scenario_leaves_the_world_as_it_is() -> None:
    async with bench(legacy()) as sim:
        answer = await sim.http.post("/__sim__/seed", content="name: x\nclock: 3")
        assert answer.status_code == 422
        assert any("request body:2: clock: " in sentence for sentence in answer.json()["detail"])
        assert (await sim.control("GET", "/health")).json()["scenario"] == "test"


async def test_the_scenario_is_told_complete_and_without_secrets() -> None:
    async with bench(legacy()) as sim:
        answer = await sim.control("GET", "/scenario")
        body = answer.json()
        assert body["partners"][0]["customers"][0]["subscriptions"][0]["id"] == sim.id("premium")
        assert SECRET not in answer.text
        assert REFRESH not in answer.text


async def test_the_log_counts_and_pages_and_holds_no_secret() -> None:
    async with bench() as sim:
        for _ in range(3):
            await sim.get("/customers?size=0")
        token = await sim.token("user")
        first = (await sim.control("GET", "/requests?operation=get_customers&limit=2")).json()
        rest = await sim.control("GET", f"/requests?operation=get_customers&since={first['next']}")
        assert (len(first["requests"]), len(rest.json()["requests"])) == (2, 1)
        assert (await sim.control("GET", "/requests/summary")).json() == {
            "get_customers": {"200": 3},
            "get_token": {"200": 1},
        }
        whole = (await sim.control("GET", "/requests")).text
        assert not [secret for secret in (token, SECRET, REFRESH, "size=0") if secret in whole]


async def test_an_operation_the_simulator_does_not_have_says_so() -> None:
    async with bench() as sim:
        answer = await sim.get("/invoices")
        assert (answer.status_code, answer.json()["source"]) == (404, "simulator")
        assert (await sim.call("DELETE", f"/customers/{sim.alfa}")).status_code == 405


async def test_a_new_process_goes_on_where_the_old_one_was_killed(tmp_path: Path) -> None:
    story, state = scenario(legacy(), legacy("other")), tmp_path / "state.db"
    first = Bench(story, state, "manual")
    fault = await first.fault("create_migration", "stuck", match={"subscription": "other"})
    migration = (await first.migrate("premium", headers={"MS-RequestId": "r1"})).json()
    await first.migrate("other")
    await first.go_to("2022-07-11T07:00:00Z")
    tokens = first._tokens
    await first.http.aclose()  # the simulation is not closed: nothing more is written

    second = Bench(story, state, "manual")
    second._tokens = tokens
    assert (await second.control("GET", "/clock")).json()["now"] == "2022-07-11T07:00:00Z"
    assert (await second.nce_of("premium"))["status"] == "pending"
    again = await second.migrate("premium", headers={"MS-RequestId": "r1"})
    assert again.json() == migration
    await second.go_to("2022-07-11T10:00:00Z")
    assert (await second.migration(migration["id"]))["status"] == "Completed"
    assert (await second.subscription("other"))["status"] == "suspended"
    assert (await second.control("POST", f"/faults/{fault}/release")).json()["released"] == 1
    await second.http.aclose()
    second.simulation.close()
    first.simulation.close()


async def test_a_state_of_another_scenario_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    async with bench(legacy(), state=state):
        pass
    with pytest.raises(StateMismatch, match="belongs to another scenario"):
        Simulation(json.dumps(scenario()), state=state)


async def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    story, state = scenario(legacy()), tmp_path / "state.db"
    async with bench(legacy(), state=state):
        pass
    with closing(sqlite3.connect(state)) as database:
        database.execute("UPDATE record SET body = '{\"id\": \"x\"}' WHERE kind = 'subscription'")
        database.commit()
    with pytest.raises(StateMismatch, match="was written by another version; remove the file"):
        Simulation(json.dumps(story), state=state)


async def test_a_state_file_is_for_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state.db"
    async with bench(legacy(), state=state):
        assert oct(state.stat().st_mode)[-3:] == "600"


async def test_a_world_that_was_seeded_later_survives_too(tmp_path: Path) -> None:
    story, state = scenario(legacy()), tmp_path / "state.db"
    async with bench(legacy(), state=state) as sim:
        await sim.http.post("/__sim__/seed", content=json.dumps(scenario(name="second")))
    again = Simulation(json.dumps(story), state=state, mode="manual")
    assert again.world.scenario.name == "second"
    again.close()


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_without_a_state_file_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with bench(legacy()) as sim:
        await sim.migrate("premium")
    assert files(tmp_path) == []
