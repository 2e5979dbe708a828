"""What another site makes a browser send changes nothing, however valid the cookie is."""

from __future__ import annotations

import httpx
import pytest

from tests.integration.board.conftest import (
    API,
    COOKIE,
    DATE_FORM,
    OPT_OUT_FORM,
    ORIGIN,
    PARTNER_PAGE,
    Board,
    form_token,
)
from tests.integration.ledger.scene import CAMPAIGN

ENTRY = {"received": "2022-06-19T10:00", "customer": "", "note": "form no. 17"}
MOVE = {"moment": "cut_over", "value": "2022-07-12T00:00:00Z", "reason": "notice no. 4"}


async def nothing_changed(board: Board) -> bool:
    opt_outs = await board.ledger.opt_outs(CAMPAIGN, "rossi")
    return not opt_outs and await board.ledger.latest_version(CAMPAIGN) == 1


async def test_a_form_of_the_board_itself_is_taken(board: Board):
    async with board.browser("otto") as browser:
        token = await form_token(browser)
        answer = await browser.post(OPT_OUT_FORM, data={**ENTRY, "token": token})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PARTNER_PAGE}?done=opt-out")
    assert [form.recorded_by for form in await board.ledger.opt_outs(CAMPAIGN, "rossi")] == ["otto"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://other.airflow.example", "Sec-Fetch-Site": "same-site"},
        {"Origin": f"{ORIGIN}.evil.example"},
        {"Origin": f"{ORIGIN}:8081", "Sec-Fetch-Site": "same-site"},
        {},
        {"Referer": f"{ORIGIN}/nce/"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("form", "entry", "page"), [(OPT_OUT_FORM, ENTRY, PARTNER_PAGE), (DATE_FORM, MOVE, "/nce/")]
)
async def test_a_forged_form_with_a_valid_cookie_and_even_a_valid_token_changes_nothing(
    board: Board, headers: dict[str, str], form: str, entry: dict[str, str], page: str
):
    async with board.browser("ada") as browser:
        token = await form_token(browser, page)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(board.app), base_url=ORIGIN, headers=headers,
        cookies={COOKIE: board.token("ada")},
    ) as forger:  # fmt: skip
        answer = await forger.post(form, data={**entry, "token": token})
    assert answer.status_code == 403
    assert await nothing_changed(board)


async def test_a_token_made_for_somebody_else_does_not_count(board: Board):
    async with board.browser("otto") as theirs:
        token = await form_token(theirs)
    async with board.browser("ada") as browser:
        answers = [
            await browser.post(OPT_OUT_FORM, data={**ENTRY, "token": forged}) for forged in (token, "made-up")
        ]
    assert [answer.status_code for answer in answers] == [403, 403]
    assert await nothing_changed(board)


async def test_an_old_token_does_not_count(board: Board, monkeypatch: pytest.MonkeyPatch):
    async with board.browser("otto") as browser:
        token = await form_token(browser)
        monkeypatch.setattr("include.nce.board.cross_site.FORM_HOURS", -1)
        answer = await browser.post(OPT_OUT_FORM, data={**ENTRY, "token": token})
    assert answer.status_code == 403
    assert "load the page again" in answer.text
    assert await nothing_changed(board)


async def test_a_form_without_token_changes_nothing(board: Board):
    async with board.browser("otto") as browser:
        answer = await browser.post(OPT_OUT_FORM, data=ENTRY)
    assert answer.status_code == 422
    assert await nothing_changed(board)


async def test_a_cookie_alone_writes_nothing_through_the_api(board: Board):
    async with board.browser("ada") as browser:
        answers = [
            await browser.post(f"{API}/opt-outs", json={"partner": "rossi"}),
            await browser.post(f"{API}/dates", json=MOVE),
        ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert await nothing_changed(board)


async def test_beside_a_token_of_its_own_the_cookie_says_nothing(board: Board):
    async with board.program("vera") as program:
        program.cookies.set(COOKIE, board.token("ada"))
        answer = await program.post(f"{API}/dates", json=MOVE)
    assert answer.status_code == 403
    assert await nothing_changed(board)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_there_is_no_other_way_to_write(board: Board, method: str):
    async with board.browser("ada") as browser:
        answer = await browser.request(method, PARTNER_PAGE, content=b"x")
    assert answer.status_code == 405


async def test_a_large_body_is_refused_unread(board: Board):
    async with board.browser("ada") as browser:
        answer = await browser.post(OPT_OUT_FORM, data={**ENTRY, "token": "x", "note": "n" * 20_000})
    assert answer.status_code == 413
