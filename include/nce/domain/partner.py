"""A partner as the provider's roster and Partner Center's list of resellers describe it."""

from __future__ import annotations

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from include.nce.domain.subscription import is_guid, lower_guid

_zones = cache(available_timezones)


def known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError(f"'{name}' is no time zone; write one such as Europe/Madrid")
    return name


class Partner(BaseModel):
    """One reseller. `partner` is the short id that run ids, forms and the command line use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partner: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,60}$")]
    name: Annotated[str, Field(min_length=1)]
    tenant_id: Annotated[str, AfterValidator(lower_guid)]
    mpn_id: Annotated[str, Field(pattern=r"^\d{1,10}$")] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] = "IT"
    province: str | None = None
    zone: Annotated[str, AfterValidator(known_zone)] | None = None
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")] = "it"

    @field_validator("tenant_id")
    @classmethod
    def _a_guid(cls, value: str) -> str:
        if not is_guid(value):
            raise ValueError(f"'{value}' is no tenant id; it looks like 8-4-4-4-12 hexadecimal digits")
        return value
