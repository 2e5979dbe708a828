"""The trigger forms, and the pydantic twins that check what came out of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from airflow.sdk import Param
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from include.nce.domain.errors import InputRefused

SLUG = r"^[a-z0-9][a-z0-9-]{1,60}$"

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
}

CAMPAIGN_FORM = {
    "campaign": CAMPAIGN,
    "mode": MODE,
    "partners": Param(
        [],
        type="array",
        items={"type": "string", "pattern": SLUG},
        title="Only these partners",
        description="Short ids, one a line. Empty: the whole campaign.",
    ),
    "outcomes": Param(
        [],
        type="array",
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
        description="skip: leave them as they are. rerun: start them again; what is finished stays finished.",
    ),
    "roster": Param(
        None,
        type=["null", "string"],
        title="Roster",
        description="Path of a partner list (CSV or JSON) in the project or in a place set up for rosters. "
        "Empty: the one the campaign names.",
    ),
}


class _Conf(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def read(cls, params: Mapping[str, Any]) -> Any:
        """Check what a form, the command line or the API handed over; `InputRefused` names each field."""
        try:
            return cls.model_validate(dict(params))
        except ValidationError as error:
            raise InputRefused(
                [
                    f"Trigger form, field {'.'.join(map(str, fault['loc']))}: {fault['msg']} "
                    f"(given: {fault['input']!r}). Correct it and trigger again."
                    for fault in error.errors()
                ]
            ) from None


class MigrationConf(_Conf):
    """What `nce_partner_migration` is started with."""

    partner: str = Field(pattern=SLUG)
    campaign: str = Field(pattern=SLUG)
    mode: Literal["plan", "apply"] = "apply"


class CampaignConf(_Conf):
    """What `nce_campaign` is started with."""

    campaign: str = Field(pattern=SLUG)
    mode: Literal["plan", "apply"] = "apply"
    partners: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    existing: Literal["skip", "rerun"] = "skip"
    roster: str | None = None
