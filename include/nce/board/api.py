"""The board for programs: JSON under `/api`, with its own description at `/api/openapi.json`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict, Field

from include.nce.board.access import Access, Person, Requires
from include.nce.board.cross_site import with_bearer_token
from include.nce.board.desk import OpenDeskDep
from include.nce.board.entries import move_date, record_opt_out, withdraw_opt_out
from include.nce.domain.campaign import MOVABLE_MOMENTS, Moment
from include.nce.domain.undo import CaseState
from include.nce.domain.undo_case import UndoCase
from include.nce.ledger.opt_outs import RecordedOptOut
from include.nce.ledger.reports import STANDINGS, CampaignStatus, Page, PartnerStatus

LARGEST_PAGE = 200

Reader = Annotated[Person, Depends(Requires(Access.READ))]
Recorder = Annotated[Person, Depends(Requires(Access.RECORD))]
DateMover = Annotated[Person, Depends(Requires(Access.MOVE_DATES))]
Limit = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]

router = APIRouter(
    tags=["board"],
    responses={401: {"description": "Not logged in."}, 403: {"description": "Not with this role."}},
)


class CampaignDates(BaseModel):
    """The campaign as it is in force, its dates as written and as instants for its default zone."""

    campaign: str
    title: str
    version: int
    dates: dict[str, Moment]
    instants: dict[str, datetime]
    partners: dict[str, int] = Field(description="Partners by outcome, `running` or `not_started`.")


class OptOutOnRecord(BaseModel):
    number: int = Field(description="Counts up; pass the last one as `after` for the next page.")
    partner: str
    customer: str | None = Field(description="Tenant id; null: the whole partner.")
    received_at: datetime
    recorded_by: str
    recorded_at: datetime
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    note: str

    @classmethod
    def of(cls, entry: RecordedOptOut) -> OptOutOnRecord:
        form = entry.opt_out
        return cls(
            number=entry.opt_out_id,
            partner=form.partner,
            customer=form.customer_id,
            received_at=form.received_at,
            recorded_by=form.recorded_by,
            recorded_at=entry.recorded_at,
            withdrawn_at=form.withdrawn_at,
            withdrawn_by=entry.withdrawn_by,
            note=form.note,
        )


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewOptOut(_Wish):
    partner: str = Field(description="Short id.")
    customer: str | None = Field(default=None, description="Tenant id; left out: the whole partner.")
    received: str | None = Field(
        default=None,
        description="When it came in: a day or an instant, in the partner's zone. Left out: now.",
    )
    note: str = Field(default="", description="Where it is filed. No names, addresses or telephone numbers.")


class UndoCaseOpened(BaseModel):
    """What is bought already against an opt-out, and how long it can still be taken back."""

    case: int
    subscription: str = Field(description="The legacy base subscription of the bundle.")
    state: CaseState
    until_at: datetime | None = Field(description="When the window closes; null: not asked yet.")
    sentence: str

    @classmethod
    def of(cls, case: UndoCase) -> UndoCaseOpened:
        return cls(
            case=case.case_id,
            subscription=case.base_id,
            state=case.state,
            until_at=case.until_at,
            sentence=case.sentence,
        )


class RecordedOptOutAnswer(BaseModel):
    new: bool = Field(description="False: it was on record already.")
    in_time: bool
    received_at: datetime
    deadline_at: datetime
    recorded_by: str = Field(description="Who was logged in.")
    undo_cases: list[UndoCaseOpened] = Field(description="Open, of what is bought against opt-outs.")


class WithdrawnOptOut(_Wish):
    partner: str = Field(description="Short id.")
    customer: str | None = Field(
        default=None, description="Tenant id; left out: the word of the whole partner."
    )
    at: str | None = Field(
        default=None,
        description="When it was taken back: a day or an instant, in the partner's zone. Left out: now.",
    )
    preview: bool = Field(default=False, description="Only say what it would end; nothing is recorded.")


class WithdrawnOptOutAnswer(BaseModel):
    at: datetime = Field(description="What was received until then ends.")
    ended: list[datetime] = Field(description="When the forms were received that end.")
    left: list[datetime] = Field(description="When those were received that came in later and stand.")
    closed_cases: list[int] = Field(description="Undo cases that nothing calls for any more.")


class MovedDate(_Wish):
    moment: str = Field(description=f"One of {', '.join(MOVABLE_MOMENTS)}.")
    value: str = Field(description="A day, or an instant with offset.")
    reason: str = Field(description="Why it moves.")


class MovedDateAnswer(BaseModel):
    version: int = Field(description="The campaign's version in force now.")
    author: str = Field(description="Who was logged in.")


@router.get("/openapi.json", include_in_schema=False)
async def description(request: Request, person: Reader) -> dict[str, Any]:
    """This API's own description."""
    app = request.app
    return get_openapi(
        title=app.title, version=app.version, description=app.description, routes=router.routes,
        servers=[{"url": f"{request.scope.get('root_path', '')}/api"}],
    )  # fmt: skip


@router.get("/campaigns")
async def campaigns(person: Reader, open_desk: OpenDeskDep) -> list[str]:
    """The names of all campaigns."""
    async with open_desk() as desk:
        return list(await desk.ledger.campaigns())


@router.get("/campaigns/{campaign}")
async def campaign_dates(campaign: str, person: Reader, open_desk: OpenDeskDep) -> CampaignDates:
    """The dates in force, and how many partners stand how."""
    async with open_desk() as desk:
        policy = await desk.ledger.campaign(campaign)
        version = await desk.ledger.latest_version(campaign)
        standings = await desk.ledger.standings(campaign)
    moments = {name: getattr(policy.moments, name) for name in MOVABLE_MOMENTS}
    return CampaignDates(
        campaign=campaign,
        title=policy.title,
        version=version,
        dates=moments,
        instants={name: moment.instant(policy.default_zone) for name, moment in moments.items()},
        partners=dict(standings),
    )


@router.get("/campaigns/{campaign}/partners")
async def partners(
    campaign: str,
    person: Reader,
    open_desk: OpenDeskDep,
    after: str = "",
    limit: Limit = 50,
    standing: Annotated[str | None, Query(enum=list(STANDINGS))] = None,
    search: Annotated[str, Query(max_length=100)] = "",
) -> CampaignStatus:
    """One page of partners in the order of their ids; pass the last id as `after` for the next page."""
    async with open_desk() as desk:
        found: CampaignStatus = await desk.ledger.status(
            campaign, page=Page(limit, after, standing, search.strip())
        )
        return found


@router.get("/campaigns/{campaign}/partners/{partner}")
async def partner_status(
    campaign: str, partner: str, person: Reader, open_desk: OpenDeskDep
) -> PartnerStatus:
    """One partner with every subscription of its latest plan."""
    async with open_desk() as desk:
        found: CampaignStatus = await desk.ledger.status(campaign, partner, with_subscriptions=True)
        return found.partners[0]


@router.get("/campaigns/{campaign}/opt-outs")
async def opt_outs(
    campaign: str,
    person: Reader,
    open_desk: OpenDeskDep,
    partner: str | None = None,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Limit = 100,
) -> list[OptOutOnRecord]:
    """One page of the opt-outs in the order of entry."""
    async with open_desk() as desk:
        await desk.ledger.latest_version(campaign)
        entries = await desk.ledger.list_opt_outs(campaign, partner, after=after, limit=limit)
    return [OptOutOnRecord.of(entry) for entry in entries]


@router.post("/campaigns/{campaign}/opt-outs", dependencies=[Depends(with_bearer_token)])
async def add_opt_out(
    campaign: str, wish: NewOptOut, person: Recorder, open_desk: OpenDeskDep
) -> RecordedOptOutAnswer:
    """Record an opt-out; what is bought already gets an undo case. The same one again changes nothing."""
    async with open_desk() as desk:
        recorded = await record_opt_out(
            desk, campaign, wish.partner, person,
            received=wish.received, customer=wish.customer, note=wish.note,
        )  # fmt: skip
    [judged] = recorded.forms
    return RecordedOptOutAnswer(
        new=bool(recorded.new),
        in_time=judged.in_time,
        received_at=judged.form.received_at,
        deadline_at=judged.deadline_at,
        recorded_by=judged.form.recorded_by,
        undo_cases=[UndoCaseOpened.of(case) for case in recorded.cases],
    )


@router.post("/campaigns/{campaign}/opt-outs/withdrawals", dependencies=[Depends(with_bearer_token)])
async def take_opt_out_back(
    campaign: str, wish: WithdrawnOptOut, person: Recorder, open_desk: OpenDeskDep
) -> WithdrawnOptOutAnswer:
    """Take an opt-out back: what was received until then ends, what came in later stands."""
    async with open_desk() as desk:
        done = await withdraw_opt_out(
            desk, campaign, wish.partner, person,
            at=wish.at, customer=wish.customer, preview=wish.preview,
        )  # fmt: skip
    return WithdrawnOptOutAnswer(
        at=done.at,
        ended=[form.received_at for form in done.ended],
        left=[form.received_at for form in done.left],
        closed_cases=[case.case_id for case in done.closed],
    )


@router.post("/campaigns/{campaign}/dates", dependencies=[Depends(with_bearer_token)])
async def add_moved_date(
    campaign: str, wish: MovedDate, person: DateMover, open_desk: OpenDeskDep
) -> MovedDateAnswer:
    """Move one date; waiting runs follow by themselves. A date that stands there already changes nothing."""
    async with open_desk() as desk:
        done = await move_date(
            desk, campaign, person, moment=wish.moment, value=wish.value, reason=wish.reason
        )
    return MovedDateAnswer(version=done.version, author=person.author.name)
