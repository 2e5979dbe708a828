"""Airflow's required actions as 3.3.2 keeps them: one row for a task instance, whatever a later try asks."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    CreateHITLDetailPayload,
    ErrorResponse,
    GetHITLDetailResponse,
    HITLDetailRequestResult,
)

FIRST_ANSWER_AT = datetime(2022, 7, 12, 9, tzinfo=timezone.utc)


def _refused(status: int) -> AirflowRuntimeError:
    return AirflowRuntimeError(
        ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": status})
    )


@dataclass
class RequiredActions:
    """Stands where a task finds its supervisor. `shown` is what page and API show; None: nothing."""

    shown: CreateHITLDetailPayload | None = None
    answers: int = 0
    wiped: int = 0
    _answer: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def instead_of_airflow(cls, monkeypatch: pytest.MonkeyPatch) -> RequiredActions:
        row = cls()
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", row, raising=False)
        return row

    def send(self, msg: Any) -> Any:
        if isinstance(msg, CreateHITLDetailPayload):
            return self._upsert(msg)
        assert isinstance(msg, GetHITLDetailResponse)
        if threading.current_thread() is threading.main_thread():
            # A task asks from its main thread, a trigger from a thread beside its loop.
            raise _refused(400)
        if self.shown is None:
            raise _refused(404)
        given = self._answer
        who = given.get("responded_by_user")
        return SimpleNamespace(
            response_received=bool(given),
            responded_at=given.get("responded_at"),
            chosen_options=given.get("chosen_options", ()),
            params_input=given.get("params_input", {}),
            responded_by_user=who and SimpleNamespace(**who),
        )

    def _upsert(self, asked: CreateHITLDetailPayload) -> HITLDetailRequestResult:
        if asked.assigned_users is None:
            raise _refused(422)
        if self.shown is None:
            self.shown = asked
        elif self._answer:
            self._answer = {}
            self.wiped += 1
        return HITLDetailRequestResult.from_api_response(self.shown)

    @property
    def carried(self) -> dict[str, Any]:
        """What the page hands back without a person's doing: the values its form began with."""
        assert self.shown is not None
        return {name: param["value"] for name, param in self.shown.params.items()}

    def answer(self, option: str, user: Any, **form: Any) -> dict[str, Any]:
        """A person answers what is shown; the event with which Airflow resumes the task."""
        self.answers += 1
        self._answer = {
            "chosen_options": [option],
            "params_input": {**self.carried, **form},
            "responded_at": FIRST_ANSWER_AT + timedelta(minutes=self.answers),
            "responded_by_user": user,
        }
        return self._answer
