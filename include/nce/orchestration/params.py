"""The trigger forms, and the pydantic twins that check what came out of them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal

from airflow.sdk import Param
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from include.nce.domain.errors import InputRefused

SLUG = r"^[a-z0-9][a-z0-9-]{1,60}$"

PLAN_HASH = r"^[0-9a-f]{8,64}$"

CAMPAIGN = Param(
    "csp-commercial-2022",
    type="string",
    title="Campaign",
    description="Name of an imported campaign, such as csp-commercial-2022. See: nce campaign show.",
    pattern=SLUG,
)
MODE = Param(
    "apply",
    type="string",
    enum=["plan", "apply"],
    title="Mode",
    description="plan: ask and write down what would be bought and cancelled, buy nothing, wait for no date. "
    "apply: the real thing, with all waits.",
    values_display={"plan": "plan - only look", "apply": "apply - convert"},
)

MIGRATION_FORM = {
    # Nullable although it is needed: a parameter without default stops the whole triggerer when a run's first
    # wait is rendered (Airflow 3.3.2 validates the defaults before it looks at the conf). `open_run` refuses
    # an empty one.
    "partner": Param(
        None,
        type=["null", "string"],
        title="Partner",
        description="Short id of one enrolled partner, such as rossi-informatica. See: nce status.",
        pattern=SLUG,
    ),
    "campaign": CAMPAIGN,
    "mode": MODE,
    "plan": Param(
        None,
        type=["null", "string"],
        title="Only this plan",
        description="Hash of a plan that mode plan wrote (8 characters are enough): only what is still word "
        "for word as it stands there is bought. Empty: the run makes its own plan.",
        pattern=PLAN_HASH,
    ),
}

APPROVAL_FORM = {
    "comment": Param(
        "",
        type="string",
        title="Comment",
        description="Why you approve or reject it. It is kept with your name and the hash of the plan.",
    ),
}

CAMPAIGN_FORM = {
    "campaign": CAMPAIGN,
    "mode": MODE,
    # Nullable, or the form marks as required what may be left empty.
    "partners": Param(
        [],
        type=["null", "array"],
        items={"type": "string", "pattern": SLUG},
        title="Only these partners",
        description="Short ids, one a line. Empty: the whole campaign.",
    ),
    "outcomes": Param(
        [],
        type=["null", "array"],
        items={"type": "string"},
        title="Only partners whose last run ended as",
        description="For example blocked or unresolved. Empty: whatever the outcome.",
        examples=["blocked", "unresolved", "failed", "partly_held", "scheduled", "converted", "opted_out"],
    ),
    "existing": Param(
        "skip",
        type="string",
        enum=["skip", "rerun"],
        title="Runs that exist already",
        description="skip: leave them as they are. rerun: the partner gets a run of its own, named by the "
        "day; one that is still at work begins anew. What is finished stays finished.",
    ),
    "ask": Param(
        True,
        type="boolean",
        title="Ask before running again",
        description="With rerun and apply: show what it would buy and cancel, and wait for a person's answer "
        "(Required Actions).",
    ),
    "roster": Param(
        None,
        type=["null", "string"],
        title="Roster",
        description="Path of a partner list (CSV or JSON) in the project or in a place set up for rosters. "
        "Empty: the one the campaign names.",
    ),
}

GUID = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

UNDO_FORM = {
    "campaign": CAMPAIGN,
    "partner": Param(
        None,
        type=["null", "string"],
        title="Partner",
        description="Short id of the partner whose customers are meant, such as rossi-informatica.",
        pattern=SLUG,
    ),
    "subscription": Param(
        None,
        type=["null", "string"],
        title="Subscription",
        description="Only this one, by the id of its legacy or NCE subscription; its whole bundle is undone.",
        pattern=GUID,
    ),
    "customer": Param(
        None,
        type=["null", "string"],
        title="Customer",
        description="Only this customer's subscriptions, by its tenant id.",
        pattern=GUID,
    ),
    "everything": Param(
        False,
        type="boolean",
        title="Everything of the partner",
        description="Whatever was converted for this partner and can still be undone.",
    ),
    "reason": Param(
        "",
        type="string",
        title="Reason",
        description="Why, in a few words. Who approves it reads it, and it stays on record.",
    ),
    "asked_by": Param(
        "",
        type="string",
        title="Who asks",
        description="Your name, or the name of who asked you; it stays on record.",
    ),
}

RECONCILE_FORM = {
    "campaign": Param(
        None,
        type=["null", "string"],
        title="Campaign",
        description="Name of an imported campaign. Empty: all that have not closed, as by the schedule.",
        pattern=SLUG,
    ),
    "partners": Param(
        [],
        type="array",
        items={"type": "string", "pattern": SLUG},
        title="Only these partners",
        description="Short ids, one a line. Empty: every enrolled partner.",
    ),
    "repair": Param(
        True,
        type="boolean",
        title="Repair what is safe",
        description="On: finish what our own active New Commerce covers, look up unknown outcomes, mark what "
        "others moved. Off: only look and tell. Nothing is ever bought, reactivated or cancelled.",
    ),
}


class _Conf(BaseModel):
    # What is not known is refused: `partner` for `partners` would start the whole campaign, not one run.
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Any:
        """Check what a form, the command line or the API handed over; `InputRefused` names each field."""
        try:
            return cls.model_validate(dict(params))
        except ValidationError as error:
            raise InputRefused([cls._sentence(fault) for fault in error.errors()]) from None

    @classmethod
    def _sentence(cls, fault: Any) -> str:
        said = fault["msg"].removeprefix("Value error, ")
        if not fault["loc"]:
            return f"Trigger form: {said}. Correct it and trigger again."
        field = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            near = get_close_matches(field, list(cls.model_fields), n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(cls.model_fields)}."
            return f"Trigger form: there is no field {field}; {hint} Correct it and trigger again."
        if fault["type"] == "missing" or fault["input"] is None:
            return f"Trigger form, field {field}: it is empty. Fill it in and trigger again."
        return (
            f"Trigger form, field {field}: {said} (given: {fault['input']!r}). Correct it and trigger again."
        )


class MigrationConf(_Conf):
    """What `nce_partner_migration` is started with."""

    partner: str = Field(pattern=SLUG)
    campaign: str = Field(pattern=SLUG)
    mode: Literal["plan", "apply"] = "apply"
    plan: str | None = Field(default=None, pattern=PLAN_HASH)


class CampaignConf(_Conf):
    """What `nce_campaign` is started with."""

    campaign: str = Field(pattern=SLUG)
    mode: Literal["plan", "apply"] = "apply"
    partners: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    existing: Literal["skip", "rerun"] = "skip"
    ask: bool = True
    roster: str | None = None

    @field_validator("partners", "outcomes", mode="before")
    @classmethod
    def _null_is_empty(cls, value: Any) -> Any:
        """A box of the form that was emptied comes as null."""
        return () if value is None else value


class UndoConf(_Conf):
    """What `nce_undo` is started with: exactly one of a subscription, a customer or everything."""

    campaign: str = Field(pattern=SLUG)
    partner: str = Field(pattern=SLUG)
    subscription: str | None = Field(default=None, pattern=GUID)
    customer: str | None = Field(default=None, pattern=GUID)
    everything: bool = False
    reason: str = Field(min_length=3)
    asked_by: str = ""

    @model_validator(mode="after")
    def _one_scope(self) -> UndoConf:
        named = [self.subscription is not None, self.customer is not None, self.everything]
        if sum(named) != 1:
            raise ValueError("name exactly one: a subscription, a customer, or everything of the partner")
        return self


class ReconcileConf(_Conf):
    """What `nce_reconcile` is started with; its schedule starts it with nothing."""

    campaign: str | None = Field(default=None, pattern=SLUG)
    partners: tuple[str, ...] = ()
    repair: bool = True
