"""Nobody sees or does anything on the board without a login and the right role; no route is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from include.nce.board.access import DATES_VIEW, Access, Requires, _may_move_dates
from include.nce.board.app import create_app
from include.nce.board.cross_site import from_this_page, with_bearer_token
from tests.integration.board.conftest import API, DATE_FORM, OPT_OUT_FORM, PARTNER_PAGE, Board
from tests.integration.ledger.scene import CAMPAIGN

DECLARED = {
    "GET /": Access.READ,
    "GET /campaigns/{campaign}/partners/{partner}": Access.READ,
    "POST /campaigns/{campaign}/partners/{partner}/opt-outs": Access.RECORD,
    "POST /campaigns/{campaign}/partners/{partner}/withdrawals": Access.RECORD,
    "POST /campaigns/{campaign}/dates": Access.MOVE_DATES,
    "GET /api/openapi.json": Access.READ,
    "GET /api/campaigns": Access.READ,
    "GET /api/campaigns/{campaign}": Access.READ,
    "GET /api/campaigns/{campaign}/partners": Access.READ,
    "GET /api/campaigns/{campaign}/partners/{partner}": Access.READ,
    "GET /api/campaigns/{campaign}/opt-outs": Access.READ,
    "POST /api/campaigns/{campaign}/opt-outs": Access.RECORD,
    "POST /api/campaigns/{campaign}/opt-outs/withdrawals": Access.RECORD,
    "POST /api/campaigns/{campaign}/dates": Access.MOVE_DATES,
}


def routes() -> dict[str, APIRoute]:
    app: FastAPI = create_app(lambda: None)  # type: ignore[arg-type,return-value]
    found = {}
    for route in app.routes:
        assert isinstance(route, APIRoute), f"{route} is no route that could declare an access"
        for method in route.methods:
            found[f"{method} {route.path}"] = route
    return found


def calls(dependant: Dependant) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from calls(dependency)


def access_of(route: APIRoute) -> set[Access]:
    return {call.access for call in calls(route.dependant) if isinstance(call, Requires)}


def test_each_route_declares_exactly_the_access_that_is_written_here():
    assert {name: access_of(route) for name, route in routes().items()} == {
        name: {access} for name, access in DECLARED.items()
    }


def test_each_route_that_writes_is_guarded_against_other_sites():
    for name, route in routes().items():
        guards = {call for call in calls(route.dependant) if call in (from_this_page, with_bearer_token)}
        if route.methods == {"GET"}:
            assert not guards, name
        else:
            assert guards == {with_bearer_token if "/api/" in name else from_this_page}, name


def addresses() -> list[tuple[str, str, Access]]:
    filled = []
    for name, access in DECLARED.items():
        method, path = name.split()
        filled.append((method, "/nce" + path.format(campaign=CAMPAIGN, partner="rossi"), access))
    return filled


@pytest.mark.parametrize(("method", "path", "access"), addresses())
async def test_nobody_is_let_in_without_a_login(board: Board, method: str, path: str, access: Access):
    body = {"token": "x", "received": "2022-06-01", "moment": "cut_over", "value": "2022-07-12"}
    async with board.browser(None) as browser:
        answer = await browser.request(method, path, data=body if method == "POST" else None)
    assert answer.status_code == 401
    assert "Rossi" not in answer.text
    async with board.program("nonsense") as program:
        program.headers["Authorization"] = "Bearer nonsense"
        answer = await program.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code in (401, 403)
    assert "Rossi" not in answer.text


HAS = {
    "vera": {Access.READ},
    "otto": {Access.READ, Access.RECORD},
    "ada": {Access.READ, Access.RECORD, Access.MOVE_DATES},
    "": set(),
}


@pytest.mark.parametrize("who", HAS)
@pytest.mark.parametrize(("method", "path", "access"), addresses())
async def test_a_role_opens_what_it_should_and_nothing_else(
    board: Board, who: str, method: str, path: str, access: Access
):
    async with board.program(who) as program:
        answer = await program.request(method, path, json={} if method == "POST" else None)
    if access in HAS[who]:
        assert answer.status_code not in (401, 403) or "/api/" not in path
    else:
        assert answer.status_code == 403


async def test_a_viewer_changes_nothing(board: Board):
    async with board.program("vera") as program:
        opt_out = await program.post(f"{API}/opt-outs", json={"partner": "rossi", "received": "2022-06-01"})
        date = await program.post(
            f"{API}/dates",
            json={"moment": "cut_over", "value": "2022-07-12T00:00:00Z", "reason": "just because"},
        )
    assert (opt_out.status_code, date.status_code) == (403, 403)
    assert await board.ledger.opt_outs(CAMPAIGN, "rossi") == []
    assert await board.ledger.latest_version(CAMPAIGN) == 1


async def test_an_operator_does_not_move_dates(board: Board):
    async with board.program("otto") as program:
        answer = await program.post(
            f"{API}/dates", json={"moment": "cut_over", "value": "2022-07-12T00:00:00Z", "reason": "why not"}
        )
    assert answer.status_code == 403
    assert "NCE campaign dates" in answer.json()["detail"]
    assert await board.ledger.latest_version(CAMPAIGN) == 1


@pytest.mark.parametrize(
    ("who", "opt_out", "dates"), [("vera", False, False), ("otto", True, False), ("ada", True, True)]
)
async def test_a_page_offers_only_the_forms_that_the_person_may_use(
    board: Board, who: str, opt_out: bool, dates: bool
):
    async with board.browser(who) as browser:
        partner, front = await browser.get(PARTNER_PAGE), await browser.get("/nce/")
    assert (OPT_OUT_FORM in partner.text) is opt_out
    assert (DATE_FORM in front.text) is dates


class OtherAuthManager:
    """An auth manager with rights of its own, such as FAB's."""

    def __init__(self, *, connection: bool, view: bool) -> None:
        self.connection, self.view, self.asked = connection, view, []

    def is_authorized_dag(self, **asked: Any) -> bool:
        return True

    def is_authorized_connection(self, *, method: str, user: Any, details: Any) -> bool:
        self.asked.append((method, details.conn_id))
        return self.connection

    def is_authorized_custom_view(self, *, method: str, resource_name: str, user: Any) -> bool:
        self.asked.append((method, resource_name))
        return self.view


@pytest.mark.parametrize(
    ("connection", "view", "may"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_under_another_auth_manager_dates_take_the_connection_and_a_right_of_their_own(
    auth_manager: Any, monkeypatch: pytest.MonkeyPatch, connection: bool, view: bool, may: bool
):
    other = OtherAuthManager(connection=connection, view=view)
    monkeypatch.setattr("include.nce.board.access.get_auth_manager", lambda: other)
    monkeypatch.setattr("airflow.api_fastapi.core_api.security.get_auth_manager", lambda: other)
    assert _may_move_dates(object(), object()) is may  # type: ignore[arg-type]
    assert ("PUT", "partner_center") in other.asked
    assert (("PUT", DATES_VIEW) in other.asked) is connection
