"""Who may see and do what: asked of Airflow's own auth manager, declared at each route.

Rights here are rights over the DAG that does the work, so that nobody needs a second list of people:

| access | who has it |
|---|---|
| `READ` | who may see the DAG `nce_partner_migration` |
| `RECORD` | who may trigger its runs |
| `MOVE_DATES` | who may edit the connection `partner_center` and may edit the view `NCE campaign dates` |

Airflow's simple auth manager gives its role `op` everything that it gives to `admin`, and every view to
everybody; under it, dates are moved by `admin`. Under every other one, nobody has the view until it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import (
    ConnectionDetails,
    DagAccessEntity,
)
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import (
    SimpleAuthManager,
    SimpleAuthManagerRole,
)
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from include.nce.domain.author import Author

GUARDED_DAG = "nce_partner_migration"
GUARDED_CONNECTION = "partner_center"
DATES_VIEW = "NCE campaign dates"


class Access(str, Enum):
    READ = "read"
    RECORD = "record"
    MOVE_DATES = "move_dates"


_MEANS = {
    Access.READ: f"see the DAG {GUARDED_DAG}",
    Access.RECORD: f"trigger runs of {GUARDED_DAG}",
    Access.MOVE_DATES: f"edit the connection {GUARDED_CONNECTION} and the view '{DATES_VIEW}'",
}


@dataclass(frozen=True)
class Person:
    """Who is logged in: `name` goes on record, `id` names the login, `may` is what the pages offer."""

    id: str
    name: str
    may: frozenset[Access]

    @property
    def author(self) -> Author:
        """Raises `InputRefused` for a login that has no name."""
        return Author(self.name)


class Requires:
    """A dependency: the person behind the request, who has this access. 401 without login, 403 without it."""

    def __init__(self, access: Access) -> None:
        self.access = access

    async def __call__(self, request: Request, user: GetUserDep) -> Person:
        may = await run_in_threadpool(_everything, request, user)
        if self.access not in may:
            raise HTTPException(403, f"That takes the right to {_MEANS[self.access]}; you have it not.")
        return Person(str(user.get_id()), user.get_name() or str(user.get_id()), may)


def _everything(request: Request, user: BaseUser) -> frozenset[Access]:
    return frozenset(access for access, has in _RULES.items() if has(request, user))


def _may_read(request: Request, user: BaseUser) -> bool:
    return _passes(requires_access_dag("GET", param_dag_id=GUARDED_DAG), request, user)


def _may_record(request: Request, user: BaseUser) -> bool:
    return _may_read(request, user) and _passes(
        requires_access_dag("POST", DagAccessEntity.RUN, param_dag_id=GUARDED_DAG), request, user
    )


def _may_move_dates(request: Request, user: BaseUser) -> bool:
    manager: BaseAuthManager[Any] = get_auth_manager()
    if not _may_record(request, user):
        return False
    connection = ConnectionDetails(conn_id=GUARDED_CONNECTION)
    if not manager.is_authorized_connection(method="PUT", user=user, details=connection):
        return False
    if isinstance(manager, SimpleAuthManager):
        return str(getattr(user, "role", "")).upper() == str(SimpleAuthManagerRole.ADMIN.name)
    return bool(manager.is_authorized_custom_view(method="PUT", resource_name=DATES_VIEW, user=user))


def _passes(check: Callable[[Request, BaseUser], None], request: Request, user: BaseUser) -> bool:
    try:
        check(request, user)
    except HTTPException:
        return False
    return True


_RULES: dict[Access, Callable[[Request, BaseUser], bool]] = {
    Access.READ: _may_read,
    Access.RECORD: _may_record,
    Access.MOVE_DATES: _may_move_dates,
}
