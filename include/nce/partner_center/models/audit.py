"""Partner Center's own record of who did what."""

from __future__ import annotations

from include.nce.partner_center.models.links import Attributes
from include.nce.partner_center.models.reading import Guid, Moment, WireModel


class AuditDetail(WireModel):
    """One changed property of a resource (get-a-record-of-partner-center-activity-by-user, 6/7/2022)."""

    key: str
    value: str | None = None


class AuditRecord(WireModel):
    """get-a-record-of-partner-center-activity-by-user (6/7/2022). Old and new value are JSON within text."""

    partner_id: Guid | None = None
    customer_id: Guid | None = None
    customer_name: str | None = None
    user_principal_name: str | None = None
    application_id: str | None = None
    resource_type: str | None = None
    resource_old_value: str | None = None
    resource_new_value: str | None = None
    operation_type: str | None = None
    operation_date: Moment = None
    operation_status: str | None = None
    customized_data: tuple[AuditDetail, ...] = ()
    attributes: Attributes | None = None
