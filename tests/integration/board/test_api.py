"""The board's JSON API: the same facts and the same entries, described by itself."""

from __future__ import annotations

from tests.integration.board.conftest import API, Board
from tests.integration.board.test_pages import converted, two_forms
from tests.integration.ledger.scene import CAMPAIGN, CUSTOMER, due, guid
from tests.integration.ledger.test_reports import planned


async def test_partners_come_a_page_at_a_time_in_the_shape_of_the_command_line(board: Board):
    await planned(board.ledger, due("one"))
    async with board.program("vera") as program:
        first = (await program.get(f"{API}/partners", params={"limit": 1})).json()
        second = (await program.get(f"{API}/partners", params={"limit": 1, "after": "rossi"})).json()
        whole = (await program.get(f"{API}/partners/rossi")).json()
        too_many = await program.get(f"{API}/partners", params={"limit": 5000})
    assert [row["partner"] for row in first["partners"] + second["partners"]] == ["rossi", "verdi"]
    assert first["partners"][0]["totals"] == {"due": 1}
    assert whole["subscriptions"][0]["class"] == "due"
    assert too_many.status_code == 422


async def test_the_campaign_tells_its_dates_and_how_many_stand_how(board: Board):
    async with board.program("vera") as program:
        names = (await program.get("/nce/api/campaigns")).json()
        found = (await program.get(API)).json()
        nowhere = await program.get("/nce/api/campaigns/csp-2021")
    assert names == [CAMPAIGN]
    assert found["partners"] == {"not_started": 1, "running": 1}
    assert found["instants"]["opt_out_deadline"] == "2022-06-30T22:00:00Z"
    assert (nowhere.status_code, "csp-2021" in nowhere.json()["detail"]) == (404, True)


async def test_an_opt_out_goes_on_record_under_the_tokens_name(board: Board):
    wish = {
        "partner": "rossi",
        "customer": CUSTOMER.upper(),
        "received": "2022-06-19 10:00",
        "note": "no. 17",
    }
    async with board.program("otto") as program:
        first = (await program.post(f"{API}/opt-outs", json=wish)).json()
        again = (await program.post(f"{API}/opt-outs", json=wish)).json()
        forged = await program.post(f"{API}/opt-outs", json={**wish, "recorded_by": "ada"})
        listed = (await program.get(f"{API}/opt-outs")).json()
    assert (first["new"], again["new"], first["in_time"], first["recorded_by"]) == (True, False, True, "otto")
    assert forged.status_code == 422
    assert [(row["customer"], row["recorded_by"], row["note"]) for row in listed] == [
        (CUSTOMER, "otto", "no. 17")
    ]


async def test_a_bought_subscription_is_told_with_its_undo_case(board: Board):
    await converted(board)
    async with board.program("otto") as program:
        answer = await program.post(f"{API}/opt-outs", json={"partner": "rossi", "received": "2022-06-19"})
    [case] = answer.json()["undo_cases"]
    assert (case["subscription"], case["state"], case["until_at"]) == (
        guid("one"), "open", "2022-06-21T05:30:00Z",
    )  # fmt: skip


async def test_an_opt_out_is_taken_back_with_what_ends_and_what_stands(board: Board):
    await two_forms(board)
    wish = {"partner": "rossi", "at": "2022-06-10"}
    async with board.program("otto") as program:
        shown = (await program.post(f"{API}/opt-outs/withdrawals", json={**wish, "preview": True})).json()
        standing = [form.stands() for form in await board.ledger.opt_outs(CAMPAIGN, "rossi")]
        done = (await program.post(f"{API}/opt-outs/withdrawals", json=wish)).json()
        future = await program.post(f"{API}/opt-outs/withdrawals", json={**wish, "at": "2022-06-21"})
    assert standing == [True, True]
    assert shown == done
    assert (done["ended"], done["left"], done["closed_cases"]) == (
        ["2022-06-01T07:00:00Z"], ["2022-06-15T07:00:00Z"], [],
    )  # fmt: skip
    assert (future.status_code, "lies in the future" in future.json()["detail"]) == (422, True)
    assert [form.stands() for form in await board.ledger.opt_outs(CAMPAIGN, "rossi")] == [False, True]


async def test_a_date_is_moved_under_the_tokens_name(board: Board):
    wish = {"moment": "cut_over", "value": "2022-07-12T00:00:00Z", "reason": "notice 4"}
    async with board.program("ada") as program:
        answer = await program.post(f"{API}/dates", json=wish)
        refused = await program.post(f"{API}/dates", json={**wish, "value": "soon"})
    assert answer.json() == {"version": 2, "author": "ada"}
    assert (refused.status_code, "neither a day" in refused.json()["detail"]) == (422, True)


async def test_the_api_describes_itself_to_whoever_may_read(board: Board):
    async with board.program("vera") as program:
        document = (await program.get("/nce/api/openapi.json")).json()
    assert document["servers"] == [{"url": "/nce/api"}]
    assert "/campaigns/{campaign}/opt-outs" in document["paths"]
    assert "OAuth2PasswordBearer" in document["components"]["securitySchemes"]


async def test_what_was_sent_is_not_sent_back_in_a_refusal(board: Board):
    async with board.program("otto") as program:
        answer = await program.post(f"{API}/opt-outs", json={"partner": ["canary-4711"]})
    assert answer.status_code == 422
    assert "canary-4711" not in answer.text
