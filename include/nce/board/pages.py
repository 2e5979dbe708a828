"""The board for people: pages rendered here, without scripts and without anything from elsewhere.

Airflow shows a plugin's page in a frame from which no link leads out to its own pages, so the board is a page
of its own, and nobody may show it in a frame.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from airflow.api_fastapi.app import get_auth_manager
from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field

from include.nce.board.access import GUARDED_DAG, Access, Person, Requires
from include.nce.board.cross_site import form_token, from_this_page, with_form_token
from include.nce.board.desk import Desk, OpenDeskDep
from include.nce.board.entries import move_date, record_opt_out, withdraw_opt_out
from include.nce.domain.author import LONGEST_REASON
from include.nce.domain.campaign import MOVABLE_MOMENTS, PARTNER_ZONE, Campaign
from include.nce.domain.errors import InputRefused
from include.nce.domain.readiness import Check
from include.nce.intake.opt_out_form import LONGEST_NOTE
from include.nce.ledger.opt_outs import RecordedOptOut
from include.nce.ledger.reports import STANDINGS, Page
from include.nce.steps.people.withdraw_opt_out import Withdrawn

PARTNERS_A_PAGE = 50
LATEST_OPT_OUTS = 8
MOUNTED_AT = "/nce"

Reader = Annotated[Person, Depends(Requires(Access.READ))]
Recorder = Annotated[Person, Depends(Requires(Access.RECORD))]
DateMover = Annotated[Person, Depends(Requires(Access.MOVE_DATES))]

router = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)

_FOLDER = Path(__file__).parent / "templates"
_STYLE = (_FOLDER / "style.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PAGES = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip

SECURITY_HEADERS = [
    (b"content-security-policy",
     f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; "
     "frame-ancestors 'none'".encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    # Not `no-referrer`: the browser would then hide where a form of ours came from.
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]  # fmt: skip

_CHECK_WORDS = {
    Check.MPA: "Partner Agreement",
    Check.INDIRECT_PROVIDER_LINK: "Link to us",
    Check.MPN_ID: "PartnerID",
    Check.CUSTOMER_MCA: "Customer Agreement",
}
_DONE = {
    "opt-out": "The opt-out is on record. It is looked at again before every purchase.",
    "opt-out-bought": "The opt-out is on record. Something is bought already: see its undo cases below.",
    "withdrawal": "The opt-out is taken back. A run that has ruled on it already is not changed.",
    "date": "The date is moved. Waiting runs follow by themselves.",
}


class OptOutForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=500)
    received: str = Field(min_length=1, max_length=40)
    customer: str = Field(default="", max_length=60)
    note: str = Field(default="", max_length=4 * LONGEST_NOTE)


class WithdrawalForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=500)
    at: str = Field(default="", max_length=40)
    customer: str = Field(default="", max_length=60)
    step: Literal["show", "record"]


class DateForm(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: str = Field(max_length=500)
    moment: str = Field(max_length=60)
    value: str = Field(max_length=60)
    reason: str = Field(default="", max_length=4 * LONGEST_REASON)


@router.get("/")
async def board(
    request: Request,
    person: Reader,
    open_desk: OpenDeskDep,
    campaign: str = "",
    after: str = "",
    standing: str = "",
    search: Annotated[str, Query(max_length=100)] = "",
    done: str = "",
) -> Response:
    """All partners, a page at a time; the campaign's dates; the latest opt-outs."""
    async with open_desk() as desk:
        return await _board(request, person, desk, campaign, after, standing, search, done=done)


@router.get("/campaigns/{campaign}/partners/{partner}")
async def partner_page(
    request: Request, person: Reader, open_desk: OpenDeskDep, campaign: str, partner: str, done: str = ""
) -> Response:
    """One partner: its checks, its subscriptions, its opt-outs."""
    async with open_desk() as desk:
        return await _partner(request, person, desk, campaign, partner, done=done)


@router.post(
    "/campaigns/{campaign}/partners/{partner}/opt-outs",
    dependencies=[Depends(from_this_page)],
)
async def add_opt_out(
    request: Request,
    person: Recorder,
    open_desk: OpenDeskDep,
    campaign: str,
    partner: str,
    form: Annotated[OptOutForm, Form()],
) -> Response:
    with_form_token(form.token, person)
    async with open_desk() as desk:
        try:
            recorded = await record_opt_out(
                desk, campaign, partner, person,
                received=form.received, customer=form.customer.strip(), note=form.note,
            )  # fmt: skip
        except InputRefused as refused:
            return await _partner(
                request, person, desk, campaign, partner, faults=refused.faults, typed=form.model_dump()
            )
    done = "opt-out-bought" if recorded.cases else "opt-out"
    return RedirectResponse(f"{_partner_page(request, campaign, partner)}?done={done}", 303)


@router.post(
    "/campaigns/{campaign}/partners/{partner}/withdrawals",
    dependencies=[Depends(from_this_page)],
)
async def take_opt_out_back(
    request: Request,
    person: Recorder,
    open_desk: OpenDeskDep,
    campaign: str,
    partner: str,
    form: Annotated[WithdrawalForm, Form()],
) -> Response:
    """First shows what it would end and what would stand; what was shown is recorded by a second form."""
    with_form_token(form.token, person)
    async with open_desk() as desk:
        try:
            done = await withdraw_opt_out(
                desk, campaign, partner, person,
                at=form.at.strip(), customer=form.customer.strip(), preview=form.step == "show",
            )  # fmt: skip
        except InputRefused as refused:
            return await _partner(
                request, person, desk, campaign, partner, faults=refused.faults, taken=form.model_dump()
            )
        if form.step == "show":
            return await _partner(
                request, person, desk, campaign, partner, taken=form.model_dump(), preview=done
            )
    return RedirectResponse(f"{_partner_page(request, campaign, partner)}?done=withdrawal", 303)


@router.post("/campaigns/{campaign}/dates", dependencies=[Depends(from_this_page)])
async def add_moved_date(
    request: Request,
    person: DateMover,
    open_desk: OpenDeskDep,
    campaign: str,
    form: Annotated[DateForm, Form()],
) -> Response:
    with_form_token(form.token, person)
    async with open_desk() as desk:
        try:
            await move_date(desk, campaign, person, moment=form.moment, value=form.value, reason=form.reason)
        except InputRefused as refused:
            return await _board(
                request, person, desk, campaign, faults=refused.faults, typed=form.model_dump()
            )
    return RedirectResponse(f"{_home(request)}?{urlencode({'campaign': campaign, 'done': 'date'})}", 303)


def refusal(
    request: Request, status: int, sentences: Sequence[str], headers: Mapping[str, str] | None = None
) -> Response:
    """The page of whoever is not let in, or asked for what cannot be."""
    login = get_auth_manager().get_url_login(next_url=str(request.url)) if status == 401 else None
    return _page(
        request, "refusal.html", None, status=status, headers=headers, sentences=sentences, login=login,
        code=status,
    )  # fmt: skip


async def _board(
    request: Request,
    person: Person,
    desk: Desk,
    campaign: str = "",
    after: str = "",
    standing: str = "",
    search: str = "",
    *,
    done: str = "",
    faults: Sequence[str] = (),
    typed: Mapping[str, str] | None = None,
) -> Response:
    names = await desk.ledger.campaigns()
    if not names:
        return _page(request, "empty.html", person)
    name = campaign or names[-1]
    policy = await desk.ledger.campaign(name)
    wanted = standing if standing in STANDINGS else None
    page = Page(PARTNERS_A_PAGE + 1, after, wanted, search.strip())
    status = await desk.ledger.status(name, page=page)
    shown = status.partners[:PARTNERS_A_PAGE]
    more = len(status.partners) > PARTNERS_A_PAGE
    here = {"campaign": name, "standing": wanted or "", "search": page.search}
    opt_outs = await desk.ledger.latest_opt_outs(name, limit=LATEST_OPT_OUTS)
    return _page(
        request,
        "board.html",
        person,
        status=422 if faults else 200,
        campaign=name,
        campaigns=names,
        title=policy.title,
        version=status.version,
        rehearsal=desk.rehearsal,
        dates=_dates(policy),
        standings=await desk.ledger.standings(name),
        standing=wanted,
        search=page.search,
        partners=shown,
        next_page=urlencode({**here, "after": shown[-1].partner}) if more else None,
        first_page=urlencode(here) if after else None,
        opt_outs=await _judged(desk, policy, opt_outs),
        faults=faults,
        typed=typed or {},
        done=_DONE.get(done),
    )


async def _partner(
    request: Request,
    person: Person,
    desk: Desk,
    campaign: str,
    partner: str,
    *,
    done: str = "",
    faults: Sequence[str] = (),
    typed: Mapping[str, str] | None = None,
    taken: Mapping[str, str] | None = None,
    preview: Withdrawn | None = None,
) -> Response:
    status = await desk.ledger.status(campaign, partner, with_subscriptions=True)
    policy = await desk.ledger.campaign(campaign)
    who = await desk.ledger.partner(campaign, partner)
    zone = policy.zone_of(who.zone)
    entries = await desk.ledger.list_opt_outs(campaign, partner, limit=500)
    run_id = status.partners[0].run_id
    asked = (await desk.ledger.questions([run_id])).get(run_id) if run_id else None
    received = ""
    if Access.RECORD in person.may and typed is None:
        # Without the clock the page is still worth reading.
        try:
            received = f"{(await desk.clock.now()).astimezone(ZoneInfo(zone)):%Y-%m-%dT%H:%M}"
        except (OSError, ValueError, KeyError):
            received = ""
    return _page(
        request,
        "partner.html",
        person,
        status=422 if faults else 200,
        campaign=campaign,
        row=status.partners[0],
        asked=asked if asked and asked.stands else None,
        zone=zone,
        deadline=_in_zone(policy.opt_out_ends_at(who.zone), zone),
        rehearsal=desk.rehearsal,
        opt_outs=await _judged(desk, policy, entries),
        faults=faults,
        typed=typed or {"received": received},
        taken=taken or {},
        preview=preview,
        recording=typed is not None,
        cases=await desk.ledger.undo_cases(campaign, partner),
        done=_DONE.get(done),
    )


def _dates(policy: Campaign) -> list[dict[str, str]]:
    rows = []
    for name in MOVABLE_MOMENTS:
        moment = getattr(policy.moments, name)
        at = _in_zone(moment.instant(policy.default_zone), policy.default_zone)
        day = moment.on or moment.at.astimezone(timezone.utc)
        if moment.at is not None or not moment.inclusive:
            when = f"at {at}"
        elif moment.zone == PARTNER_ZONE:
            when = f"to its end where the partner is; {at}"
        else:
            when = f"to its end; {at}"
        rows.append({"name": name, "day": f"{day.day} {day:%B %Y}", "when": when})
    return rows


async def _judged(desk: Desk, policy: Campaign, entries: Sequence[RecordedOptOut]) -> list[dict[str, Any]]:
    """Each opt-out with what it means by the present deadline, in the words of the command line."""
    names = sorted({entry.opt_out.partner for entry in entries})
    partners = {p.partner: p for p in await desk.ledger.partners(policy.campaign, names)} if names else {}
    rows = []
    for entry in entries:
        form = entry.opt_out
        deadline_at = policy.opt_out_ends_at(partners[form.partner].zone)
        counts = "withdrawn" if not form.stands() else "in time" if form.received_at < deadline_at else "late"
        rows.append({"form": form, "counts": counts})
    return rows


def _page(
    request: Request,
    template: str,
    person: Person | None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> Response:
    airflow = _airflow(request)
    text = _PAGES.get_template(template).render(
        **facts,
        style=_STYLE,
        person=person,
        may=person.may if person else frozenset(),
        access=Access,
        token=form_token(person) if person else "",
        airflow=airflow,
        home=_home(request),
        run_url=lambda run_id: f"{airflow}/dags/{GUARDED_DAG}/runs/{quote(run_id, safe='')}",
        partner_url=lambda campaign, partner: _partner_page(request, campaign, partner),
        checks=_CHECK_WORDS,
        utc=_utc,
        in_zone=_in_zone,
        instant=_instant,
        words=lambda text: str(getattr(text, "value", text)).replace("_", " "),
        longest_note=LONGEST_NOTE,
        longest_reason=LONGEST_REASON,
    )
    return HTMLResponse(text, status, headers=headers)


# Paths are put together here: a router outside, which does not know these routes, answers `request.url_for`.


def _airflow(request: Request) -> str:
    """The path under which Airflow itself is; empty unless `[api] base_url` has one."""
    return str(request.scope.get("root_path", "")).removesuffix(MOUNTED_AT)


def _home(request: Request) -> str:
    return f"{_airflow(request)}{MOUNTED_AT}/"


def _partner_page(request: Request, campaign: str, partner: str) -> str:
    return f"{_home(request)}campaigns/{quote(campaign, safe='')}/partners/{quote(partner, safe='')}"


def _in_zone(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def _instant(at: datetime) -> str:
    """As a form sends it: what was shown is what is recorded."""
    return f"{at.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _utc(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(timezone.utc):%Y-%m-%d %H:%M}"
