"""The board's pages: what they show, what they keep from a browser, and what their forms write."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from include.nce.board.app import create_app
from include.nce.domain.conversion import ConversionState
from include.nce.domain.errors import InputRefused
from include.nce.domain.opt_out import OptOut
from include.nce.domain.question import PersonsAnswer, Question, QuestionKind
from include.nce.domain.undo import UndoCause
from tests.integration.board.conftest import (
    DATE_FORM,
    NOW,
    OPT_OUT_FORM,
    PARTNER_PAGE,
    ROLES,
    WITHDRAWAL_FORM,
    Board,
    form_token,
    mounted,
)
from tests.integration.ledger.scene import AT, CAMPAIGN, RUN, due, guid, missing, partner
from tests.integration.ledger.test_reports import planned
from tests.support.scene import bring

# The product is long enough not to occur by chance in a form's token.
HOSTILE = "<script>alert(1)</script>{{ 31337 * 31337 }}'\"><img src=x onerror=alert(2)>"
EVALUATED = str(31337 * 31337)


async def test_the_front_page_shows_partners_dates_and_opt_outs(board: Board):
    await board.ledger.record_finding(RUN, missing(), at=AT)
    await planned(board.ledger, due("one"))
    await board.ledger.record_opt_out(CAMPAIGN, OptOut("verdi", AT, "otto", note="form no. 17"))
    await board.ledger.close_run(RUN, "blocked", "blocked for a reason", at=AT)
    async with board.browser("vera") as browser:
        text = (await browser.get("/nce/")).text
    for shown in (
        "Commercial legacy CSP to NCE", "Rossi S.r.l.", "blocked for a reason", "1 due", "11 July 2022",
        "Partner Agreement: missing", "form no. 17", f"/dags/nce_partner_migration/runs/{RUN}",
    ):  # fmt: skip
        assert shown in text


async def test_a_partners_page_shows_checks_and_subscriptions(board: Board):
    await board.ledger.record_finding(RUN, missing(), at=AT)
    await planned(board.ledger, due("one"))
    async with board.browser("vera") as browser:
        text = (await browser.get(PARTNER_PAGE)).text
    for shown in ("The Microsoft Partner Agreement is not signed.", "Business Basic", "Convertible now."):
        assert shown in text


async def test_a_partners_page_shows_the_question_that_stands_with_its_hash(board: Board):
    question = Question(
        QuestionKind.APPROVE_PLAN, RUN, CAMPAIGN, "rossi", "f6ade2fe" * 8, "Rossi: <b>buy 2?</b>", "text"
    )
    asked = await board.ledger.record_question(question, at=AT)
    async with board.browser("vera") as browser:
        text = (await browser.get(PARTNER_PAGE)).text
        assert "Rossi: &lt;b&gt;buy 2?&lt;/b&gt;" in text
        assert "f6ade2fe" in text
        answer = PersonsAnswer(True, "olga", AT, question.about)
        await board.ledger.record_question_answer(asked.question_id, answer, refused="", at=AT)
        assert "A person is asked" not in (await browser.get(PARTNER_PAGE)).text


async def test_ten_thousand_partners_are_never_on_one_page(board: Board):
    await board.ledger.enrol(CAMPAIGN, [partner(f"partner-{number:03}") for number in range(120)])
    seen: list[str] = []
    query = ""
    async with board.browser("vera") as browser:
        for _ in range(4):
            text = (await browser.get(f"/nce/?{query}")).text
            seen += re.findall(r'/partners/([\w-]+)">', text)
            following = re.search(r'href="\?([^"]+)">Next partners', text)
            if following is None:
                break
            query = following[1].replace("&amp;", "&")
    assert len(seen) == len(set(seen)) == 122
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("standing=running", ["rossi"]),
        ("standing=not_started", ["verdi"]),
        ("search=VERDI", ["verdi"]),
        ("search=100%25", []),
        ("search=_", []),
        ("standing=nonsense", ["rossi", "verdi"]),
        ("after=rossi", ["verdi"]),
    ],
)
async def test_partners_are_found_by_outcome_and_name(board: Board, query: str, names: list[str]):
    async with board.browser("vera") as browser:
        text = (await browser.get(f"/nce/?{query}")).text
    assert re.findall(r'/partners/([\w-]+)">', text) == names


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


async def test_what_people_and_partners_wrote_is_text_and_nothing_else(board: Board):
    await board.ledger.enrol(CAMPAIGN, [partner("rossi").model_copy(update={"name": HOSTILE})])
    await board.ledger.record_opt_out(CAMPAIGN, OptOut("rossi", AT, HOSTILE, note=HOSTILE))
    await board.ledger.close_run(RUN, "failed", HOSTILE, at=AT)
    pages = []
    async with board.browser("ada") as browser:
        pages.append((await browser.get("/nce/")).text)
        pages.append((await browser.get(PARTNER_PAGE)).text)
        pages.append((await browser.get("/nce/", params={"search": HOSTILE, "campaign": CAMPAIGN})).text)
        pages.append((await browser.get("/nce/", params={"campaign": HOSTILE})).text)
        token = await form_token(browser)
        entry = {"token": token, "received": HOSTILE[:40], "customer": HOSTILE[:60], "note": HOSTILE}
        pages.append((await browser.post(OPT_OUT_FORM, data=entry)).text)
    for text in pages:
        tags = Tags()
        tags.feed(text)
        assert not {"script", "img", "iframe", "object", "link"} & {tag for tag, _ in tags.found}
        assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
        assert EVALUATED not in text


async def test_nothing_comes_from_elsewhere_and_no_frame_shows_it(board: Board):
    async with board.browser("ada") as browser:
        answers = [await browser.get(page) for page in ("/nce/", PARTNER_PAGE, "/nce/nowhere")]
    for answer in answers:
        policy = dict(
            part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == "'self'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        tags = Tags()
        tags.feed(answer.text)
        assert not [attributes for _, attributes in tags.found if "style" in attributes]
        addresses = [a.get("href") or a.get("src") or a.get("action") for _, a in tags.found]
        assert all(address.startswith(("/", "?")) for address in addresses if address)


async def test_an_opt_out_is_recorded_under_the_name_of_whoever_is_logged_in(board: Board):
    async with board.browser("otto") as browser:
        token = await form_token(browser)
        entry = {"token": token, "received": "2022-06-19T10:00", "note": "form no. 17"}
        forged = await browser.post(OPT_OUT_FORM, data={**entry, "recorded_by": "ada"})
        answer = await browser.post(OPT_OUT_FORM, data=entry)
        again = await browser.post(OPT_OUT_FORM, data=entry)
        page = await browser.get(answer.headers["location"])
    assert (forged.status_code, answer.status_code, again.status_code) == (422, 303, 303)
    assert await board.ledger.opt_outs(CAMPAIGN, "rossi") == [
        OptOut("rossi", datetime(2022, 6, 19, 8, tzinfo=timezone.utc), "otto", note="form no. 17")
    ]
    assert "The opt-out is on record." in page.text
    assert "in time" in page.text


async def converted(board: Board) -> None:
    """rossi's subscription was bought before its opt-out is typed in."""
    await planned(board.ledger, due("one"))
    for line in await board.ledger.conversions(RUN):
        await bring(
            board.ledger, line, ConversionState.CONVERTED, at=AT, nce_subscription_id=guid("nce"),
            undoable_until_at=NOW + timedelta(hours=20),
        )  # fmt: skip


async def test_an_opt_out_after_the_purchase_opens_the_undo_case_as_the_command_line_does(board: Board):
    await converted(board)
    async with board.browser("otto") as browser:
        entry = {"token": await form_token(browser), "received": "2022-06-19T10:00"}
        answer = await browser.post(OPT_OUT_FORM, data=entry)
        page = await browser.get(answer.headers["location"])
    [case] = await board.ledger.undo_cases(CAMPAIGN, "rossi")
    assert (case.base_id, case.cause, case.opened_by) == (guid("one"), UndoCause.OPT_OUT, "otto")
    assert "Something is bought already: see its undo cases below." in page.text
    assert "Undo cases" in page.text
    assert "2022-06-21 05:30" in page.text


async def two_forms(board: Board) -> None:
    for day in (1, 15):
        received_at = datetime(2022, 6, day, 7, tzinfo=timezone.utc)
        await board.ledger.record_opt_out(CAMPAIGN, OptOut("rossi", received_at, "anna"))


async def test_a_withdrawal_is_shown_before_it_is_recorded(board: Board):
    await two_forms(board)
    async with board.browser("otto") as browser:
        token = await form_token(browser)
        entry = {"token": token, "at": "2022-06-10T00:00", "step": "show"}
        shown = (await browser.post(WITHDRAWAL_FORM, data=entry)).text
        before = [form.stands() for form in await board.ledger.opt_outs(CAMPAIGN, "rossi")]
        [instant] = re.findall(r'name="at" value="([^"]+Z)"', shown)
        answer = await browser.post(WITHDRAWAL_FORM, data={**entry, "at": instant, "step": "record"})
        page = await browser.get(answer.headers["location"])
    assert "Ends: received 2022-06-01 09:00 Europe/Rome." in shown
    assert "Stands: received 2022-06-15 09:00 Europe/Rome, which is later." in shown
    assert before == [True, True]
    assert [form.stands() for form in await board.ledger.opt_outs(CAMPAIGN, "rossi")] == [False, True]
    assert "The opt-out is taken back." in page.text


async def test_a_withdrawal_before_the_only_word_is_refused_on_the_page(board: Board):
    await board.ledger.record_opt_out(CAMPAIGN, OptOut("rossi", NOW, "anna"))
    async with board.browser("otto") as browser:
        entry = {"token": await form_token(browser), "at": "2022-06-10T00:00", "step": "record"}
        answer = await browser.post(WITHDRAWAL_FORM, data=entry)
    assert answer.status_code == 422
    assert "is the later word and stands" in answer.text
    assert all(form.stands() for form in await board.ledger.opt_outs(CAMPAIGN, "rossi"))


async def test_a_login_without_a_name_records_nothing(board: Board, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ROLES, "\u200b", "admin")
    await board.ledger.record_opt_out(CAMPAIGN, OptOut("rossi", AT, "anna"))
    move = {"moment": "cut_over", "value": "2022-07-12T00:00:00Z", "reason": "notice 4"}
    async with board.browser("\u200b") as browser:
        token = await form_token(browser)
        answers = [
            await browser.post(OPT_OUT_FORM, data={"token": token, "received": "2022-06-19T10:00"}),
            await browser.post(WITHDRAWAL_FORM, data={"token": token, "step": "record"}),
            await browser.post(DATE_FORM, data={"token": token, **move}),
        ]
    for answer in answers:
        assert answer.status_code == 422
        assert "name: it is empty" in answer.text
    assert [form.stands() for form in await board.ledger.opt_outs(CAMPAIGN, "rossi")] == [True]
    assert await board.ledger.latest_version(CAMPAIGN) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"received": "2022-06-21T10:00"}, "lies in the future"),
        ({"received": "yesterday"}, "is no date"),
        ({"customer": "not-a-tenant"}, "is no tenant id"),
        ({"note": "n" * 600}, "at most 500"),
    ],
)
async def test_a_form_that_cannot_be_one_is_shown_again_with_its_faults(
    board: Board, changes: dict[str, str], sentence: str
):
    async with board.browser("otto") as browser:
        entry = {"token": await form_token(browser), "received": "2022-06-19T10:00", "note": "as typed"}
        answer = await browser.post(OPT_OUT_FORM, data={**entry, **changes})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert ("as typed" in answer.text) or "note" in changes
    assert await board.ledger.opt_outs(CAMPAIGN, "rossi") == []


async def test_a_date_is_moved_under_the_name_of_whoever_is_logged_in(board: Board):
    async with board.browser("ada") as browser:
        token = await form_token(browser, "/nce/")
        move = {"token": token, "moment": "cut_over", "value": "2022-07-12T00:00:00Z", "reason": "notice 4"}
        answer = await browser.post(DATE_FORM, data=move)
        page = await browser.get(answer.headers["location"])
    assert answer.status_code == 303
    version = (await board.ledger.campaign_versions(CAMPAIGN))[-1]
    assert (version.author, version.reason, version.created_at) == ("ada", "notice 4", NOW)
    assert "12 July 2022" in page.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"value": "2022-07-12"}, "could mean its start or its end"),
        ({"value": "next week"}, "neither a day nor an instant"),
        ({"moment": "doomsday"}, "does not exist"),
        ({"value": "2022-06-01T00:00:00Z"}, "cannot move"),
        ({"reason": " "}, "reason: it is empty"),
    ],
)
async def test_a_date_that_makes_no_sense_is_not_moved(board: Board, changes: dict[str, str], sentence: str):
    async with board.browser("ada") as browser:
        token = await form_token(browser, "/nce/")
        move = {"token": token, "moment": "cut_over", "value": "2022-07-12T00:00:00Z", "reason": "notice 4"}
        answer = await browser.post(DATE_FORM, data={**move, **changes})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert await board.ledger.latest_version(CAMPAIGN) == 1


async def test_who_is_not_logged_in_is_led_to_airflows_login(board: Board):
    async with board.browser(None) as browser:
        answer = await browser.get("/nce/")
    assert answer.status_code == 401
    assert "/auth/login?next=" in answer.text


async def test_an_unknown_partner_is_a_page_that_says_so(board: Board):
    async with board.browser("vera") as browser:
        answer = await browser.get(PARTNER_PAGE.replace("rossi", "rosi"))
    assert answer.status_code == 404
    assert "did you mean" in answer.text


async def test_a_ledger_out_of_reach_is_told_without_its_address_or_password(auth_manager: Any, board: Board):
    @asynccontextmanager
    async def nowhere() -> Any:
        raise ConnectionError("postgres://nce:pw-5@10.0.0.7 refused")
        yield

    board.app = mounted(create_app(nowhere))
    async with board.browser("vera") as browser:
        answer = await browser.get("/nce/")
    assert answer.status_code == 503
    assert "pw-5" not in answer.text
    assert "10.0.0.7" not in answer.text
    assert "does not answer" in answer.text


async def test_a_connection_that_is_missing_is_told(board: Board):
    @asynccontextmanager
    async def refused() -> Any:
        raise InputRefused(["Connection 'partner_center' does not exist."])
        yield

    board.app = mounted(create_app(refused))
    async with board.browser("vera") as browser:
        answer = await browser.get("/nce/")
    assert answer.status_code == 503
    assert "partner_center" in answer.text


async def test_below_a_path_of_its_own_airflow_and_board_are_found(board: Board):
    """`[api] base_url` may have a path, which a proxy keeps."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(board.app, root_path="/airflow"), base_url="http://airflow.example",
        cookies={"_token": board.token("ada")},
    ) as browser:  # fmt: skip
        text = (await browser.get("/airflow/nce/")).text
    assert f'href="/airflow/dags/nce_partner_migration/runs/{RUN}"' in text
    assert 'action="/airflow/nce/"' in text
