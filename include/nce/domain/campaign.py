"""A campaign: the operators' policy for one migration, as data.

Responsible for what a campaign says and for turning its moments into instants. Reading the file (with line
numbers) belongs to `include.nce.intake`, numbering and storing its versions to the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from include.nce.domain.partner import known_zone
from include.nce.domain.subscription import CatalogueTarget, Segment, lower_guid

PARTNER_ZONE = "partner"
"""Written as a moment's zone: the day ends when it ends where the partner is."""


ShortId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,60}$")]


def _zone_of_a_moment(name: str) -> str:
    return name if name == PARTNER_ZONE else known_zone(name)


class Policy(BaseModel):
    """Base of everything in a campaign file: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Moment(Policy):
    """A date people agreed on: an exact instant (`at`), or a whole day (`on`) in a stated zone."""

    at: AwareDatetime | None = None
    """An instant with its offset. Either this or `on`."""
    on: date | None = None
    """A whole day. Either this or `at`."""
    zone: Annotated[str, AfterValidator(_zone_of_a_moment)] = "UTC"
    """The zone whose day is meant by `on`; `partner`: the day ends where the partner is."""
    inclusive: bool = True
    """Whether the day of `on` still counts; false: the moment is the start of that day."""
    source: str = ""
    """Who says so: the notice, its date."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Moment:
        if (self.at is None) == (self.on is None):
            raise ValueError("write either 'at' (an instant with offset) or 'on' (a day with its zone)")
        return self

    def instant(self, partner_zone: str = "UTC") -> datetime:
        """The first instant (UTC) at which this moment is over: midnight after an inclusive day."""
        if self.at is not None:
            return self.at.astimezone(timezone.utc)
        assert self.on is not None  # noqa: S101 - `_one_of_both`
        zone = ZoneInfo(partner_zone if self.zone == PARTNER_ZONE else self.zone)
        day = self.on + timedelta(days=1) if self.inclusive else self.on
        return datetime.combine(day, time.min, zone).astimezone(timezone.utc)

    def moved_to(self, value: date | datetime, *, source: str) -> Moment:
        """The same moment at another date; its zone and whether it is inclusive stay."""
        if isinstance(value, datetime):
            return Moment(at=value, zone=self.zone, inclusive=self.inclusive, source=source)
        return Moment(on=value, zone=self.zone, inclusive=self.inclusive, source=source)


class Moments(Policy):
    """The dates of the campaign. `opt_out_deadline` is hard, `readiness_deadline` is soft."""

    opens: Moment
    """When partners are told. Nothing waits for it; it must come before the opt-out deadline."""
    opt_out_deadline: Moment
    """An opt-out received before this is over is in time. `wait_for_opt_out_deadline` waits for it."""
    readiness_deadline: Moment
    """Until when partners are asked to be ready. Nothing stops at it: checks are asked until the cut-over."""
    last_legacy_renewal: Moment
    """A legacy term that ends before this is over renews once more in legacy."""
    cut_over: Moment
    """Nothing is converted before it; a check that is still missing then turns red."""
    closes: Moment
    """When the last term that renewed in legacy has ended. Nothing stops at it; it must come last."""

    @model_validator(mode="after")
    def _in_order(self) -> Moments:
        # UTC+14 and UTC-12 are the zones in which a day starts first and ends last.
        opens = self.opens.instant("Pacific/Kiritimati")
        deadline = self.opt_out_deadline.instant("Etc/GMT+12")
        cut_over = self.cut_over.instant("Pacific/Kiritimati")
        if opens >= deadline:
            raise ValueError("'opens' must come before 'opt_out_deadline'")
        if deadline > cut_over:
            raise ValueError(
                "'opt_out_deadline' must not come after 'cut_over': "
                "a partner could opt out of what is already bought"
            )
        if self.last_legacy_renewal.instant() > cut_over:
            raise ValueError("'last_legacy_renewal' must not come after 'cut_over'")
        if cut_over >= self.closes.instant("Pacific/Kiritimati"):
            raise ValueError("'closes' must come after 'cut_over'")
        return self


MOVABLE_MOMENTS = tuple(Moments.model_fields)


class ConversionWindow(Policy):
    """When a convertible subscription becomes due: some days before its term end, or all at the cut-over."""

    kind: Literal["before_expiry", "at_cutover"] = "before_expiry"
    """`before_expiry`: `lead_days` before the term end. `at_cutover`: everything at once."""
    lead_days: Annotated[int, Field(ge=4, le=400)] = 14
    """Days before the term end from which on a subscription is due; never before the cut-over."""


class Safety(Policy):
    """Hours that make up the last safe start of a conversion before the term end."""

    refusal_hours: Annotated[int, Field(ge=24)] = 24
    """Microsoft refuses a migration so close to the term end (migrate-subscriptions-to-new-commerce,
    10/13/2023)."""
    completion_hours: Annotated[int, Field(ge=72)] = 72
    """The longest documented time a migration takes, and in which a failed one is finished or reverted."""
    margin_hours: Annotated[int, Field(ge=0)] = 12
    """Hours on top for ourselves: retries, a night, a person who has to look."""


class Cadence(Policy):
    """How often waiting things are asked again, on the campaign's clock."""

    check_every_minutes: Annotated[int, Field(ge=5)] = 360
    """How often an outstanding check is asked again; one without a usable answer at least half-hourly."""
    poll_conversions_every_minutes: Annotated[int, Field(ge=1)] = 30
    """How often Microsoft is asked how the migrations and orders of a batch stand."""
    coverage_quiet_minutes: Annotated[int, Field(ge=1)] = 60
    """How long the wait for NCE lets covered purchases stand before it has their legacy side suspended."""
    purchase_patience_hours: Annotated[int, Field(ge=1)] = 24
    """How long a bought NCE subscription may stay pending before a person is told."""


class Approvals(Policy):
    """When a person has to approve a partner's plan before anything of it is bought.

    Any of these is enough. Everything off: nobody is asked.
    """

    always: bool = False
    """Every plan that buys something."""
    above_subscriptions: Annotated[int, Field(ge=0)] | None = None
    """A plan that buys more subscriptions than this."""
    above_seats: Annotated[int, Field(ge=0)] | None = None
    """A plan that buys more seats than this."""
    longer_commitments: bool = True
    """A plan in which a subscription gets a longer term than legacy has."""
    price_relevant_changes: bool = True
    """A plan in which the term, the billing cycle or the seats of a subscription are other than legacy's."""


class Waves(Policy):
    """Who may buy when: first the pilot, then wave after wave. Without it all buy from the cut-over on.

    All runs start and watch at once; a wave holds back only what is bought.
    """

    pilot: tuple[ShortId, ...] = ()
    """Partners of the first wave, by their short ids. The next wave waits until they have converted
    something."""
    then: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    """How many partners the waves after it have, in the order in which they were enrolled; the last number
    repeats until all have begun."""
    quiet_hours: Annotated[int, Field(ge=0)] = 24
    """How long nothing of a wave may have moved, with nothing under way, before the next one begins."""
    ahead_hours: Annotated[int, Field(ge=0)] = 24
    """How long before the last safe start of one of its subscriptions a partner goes ahead of its wave."""

    @model_validator(mode="after")
    def _each_pilot_once(self) -> Waves:
        twice = next((name for name in self.pilot if self.pilot.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"'pilot' names {twice} twice; keep one")
        return self


class Brake(Policy):
    """At which figures the campaign stops by itself. What stood when a person released it counts no more."""

    failed_percent: Annotated[int, Field(ge=1, le=100)] = 5
    """Share of the conversions tried that may stand as failed, refused, stranded or unknown for too long."""
    failed_at_least: Annotated[int, Field(ge=1)] = 3
    """So many have to stand so before the share counts."""
    zero_coverage: Annotated[int, Field(ge=1)] = 1
    """So many subscriptions that neither legacy nor NCE covers."""
    double_coverage: Annotated[int, Field(ge=1)] = 1
    """So many subscriptions that are billed on both sides."""
    unknown_hours: Annotated[int, Field(ge=1)] = 6
    """How long a purchase may be without a known outcome before it counts as failed."""


class Offer(Policy):
    """One row of the offer table: which segment a legacy offer is for, and how it can be converted."""

    offer_id: Annotated[str, AfterValidator(lower_guid)]
    """Microsoft's id of the legacy offer; upper or lower case."""
    name: str
    """As people know it."""
    segment: Segment
    """Whom the offer is made for; a legacy subscription does not say it itself."""
    route: Literal["migrate", "purchase"] = "migrate"
    """`migrate`: Microsoft moves and suspends it. `purchase`: we buy, wait until it is active, suspend."""
    purchase: CatalogueTarget | None = None
    """What to buy; needed for route `purchase`, and taken when Microsoft knows no migration path."""
    nce: Annotated[str | None, Field(pattern=r"^[A-Z0-9]{12}:[A-Z0-9]{4}$")] = None
    """`product:sku` the offer becomes; checks what a migration made and finds same-SKU candidates."""

    @model_validator(mode="after")
    def _purchase_needs_a_target(self) -> Offer:
        if self.route == "purchase" and self.purchase is None:
            raise ValueError("route 'purchase' needs 'purchase' with product, sku, term and billing")
        return self

    @property
    def product_and_sku(self) -> str | None:
        return self.purchase.product_and_sku if self.purchase is not None else self.nce


class Override(Policy):
    """Another term, billing cycle or seat count than legacy has, for whatever the scope names."""

    partner: str | None = None
    """Only for this partner, by its short id. The narrowest override that fits counts."""
    customer: Annotated[str, AfterValidator(lower_guid)] | None = None
    """Only for this customer, by its tenant id."""
    subscription: Annotated[str, AfterValidator(lower_guid)] | None = None
    """Only for this legacy subscription, by its id."""
    term: Literal["P1M", "P1Y", "P3Y"] | None = None
    """The NCE term: a month, a year, three years."""
    billing: Literal["monthly", "annual", "triennial"] | None = None
    """The NCE billing cycle."""
    seats: Annotated[int, Field(ge=1)] | None = None
    """At least so many seats; never fewer than legacy has."""
    approved_by: str | None = None
    """Who agreed to a longer term than legacy has: a new commitment is never made silently."""
    reason: Annotated[str, Field(min_length=3)]
    """Why."""

    def covers(self, *, partner: str, customer: str, subscription: str) -> bool:
        return (
            self.partner in (None, partner)
            and self.customer in (None, customer)
            and self.subscription in (None, subscription)
        )

    @property
    def precision(self) -> int:
        """The narrowest scope wins: subscription before customer before partner before campaign."""
        return 4 * bool(self.subscription) + 2 * bool(self.customer) + bool(self.partner)


class Campaign(Policy):
    """Everything operators decide about one migration."""

    campaign: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,60}$")]
    """Its name, the first part of every run id."""
    title: str
    """What it is about, in words."""
    source: str = ""
    """The notice it goes back to."""
    default_zone: Annotated[str, AfterValidator(known_zone)] = "Europe/Rome"
    """The time zone of partners whose roster row names none."""
    service_desk: str
    """The address partners write to."""
    moments: Moments
    """The dates."""
    exempt_segments: frozenset[Segment] = frozenset(
        {Segment.EDUCATION, Segment.GOVERNMENT, Segment.NONPROFIT}
    )
    """Segments whose offers stay renewable in legacy and are left alone."""
    window: ConversionWindow = ConversionWindow()
    """When a convertible subscription becomes due."""
    safety: Safety = Safety()
    """Hours before the term end that must be left."""
    cadence: Cadence = Cadence()
    """How often is asked, and how long is waited."""
    approvals: Approvals = Approvals()
    """When a person has to approve a plan before it is bought."""
    waves: Waves | None = None
    """Who may buy when. Left out: everybody from the cut-over on."""
    brake: Brake | None = None
    """When the campaign stops by itself. Left out: as below when there are `waves`, else never."""
    batch_size: Annotated[int, Field(ge=1, le=100)] = 100
    """How many subscriptions one mapped `convert` group takes at most."""
    roster: str = ""
    """Where the partners are listed: a path or URL that Airflow's object storage can open."""
    guides: Mapping[str, str] = Field(default_factory=dict)
    """Per ISO country, the page that shows a partner how to accept the provider's link."""
    offers: tuple[Offer, ...]
    """The offer table. An offer that is not in it goes to a person."""
    overrides: tuple[Override, ...] = ()
    """Another term, billing cycle or seat count than legacy has."""

    @model_validator(mode="after")
    def _each_offer_once(self) -> Campaign:
        seen: set[str] = set()
        for offer in self.offers:
            if offer.offer_id in seen:
                raise ValueError(f"offer {offer.offer_id} is listed twice")
            seen.add(offer.offer_id)
        return self

    @cached_property
    def _offer_by_id(self) -> dict[str, Offer]:
        return {offer.offer_id: offer for offer in self.offers}

    @property
    def brake_in_force(self) -> Brake | None:
        """The brake that is written; a campaign in waves always has one."""
        return self.brake or (Brake() if self.waves is not None else None)

    @property
    def convertible_offers(self) -> frozenset[str]:
        """Ids of the offers that are not exempt."""
        return frozenset(o.offer_id for o in self.offers if o.segment not in self.exempt_segments)

    def offer(self, offer_id: str) -> Offer | None:
        return self._offer_by_id.get(offer_id.lower())

    def zone_of(self, partner_zone: str | None) -> str:
        return partner_zone or self.default_zone

    def opt_out_ends_at(self, partner_zone: str | None) -> datetime:
        """An opt-out received before this instant (UTC) is in time."""
        return self.moments.opt_out_deadline.instant(self.zone_of(partner_zone))

    def cut_over_at(self) -> datetime:
        return self.moments.cut_over.instant(self.default_zone)

    def last_legacy_renewal_ends_at(self) -> datetime:
        """A term that ends before this instant still renews in legacy."""
        return self.moments.last_legacy_renewal.instant(self.default_zone)

    def override_for(self, *, partner: str, customer: str, subscription: str) -> Override | None:
        fitting = [
            o
            for o in self.overrides
            if o.covers(partner=partner, customer=customer, subscription=subscription)
        ]
        return max(fitting, key=lambda o: o.precision, default=None)

    def with_moment(self, name: str, value: date | datetime, *, source: str) -> Campaign:
        """The next version of this campaign with one moment moved; refuses an order that makes no sense."""
        moved = getattr(self.moments, name).moved_to(value, source=source)
        document = self.model_dump(mode="json")
        document["moments"][name] = moved.model_dump(mode="json", exclude_none=True)
        return Campaign.model_validate(document)


def slug(text: str) -> str:
    """A readable id: `Rossi Informatica S.r.l.` becomes `rossi-informatica-s-r-l`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def run_id(campaign: str, partner: str) -> str:
    """The Airflow run id of a partner's migration: the same for every start, so that none exists twice."""
    return f"{campaign}__{partner}"


def field_path(location: Iterable[Any]) -> str:
    """`('offers', 3, 'segment')` as people write it: `offers[3].segment`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path
