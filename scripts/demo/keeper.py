"""The keeper of the campaign clock: campaign time passes only while Airflow can act on it.

A lease lasts a few seconds. It is renewed only while Airflow is well, so that a dead scheduler or a
rehearsal that was left costs no campaign time: nothing falls due while nobody can do it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from scripts.stack.errors import StackError

CALM_SECONDS = 3.0
"""Airflow counts as busy until it had nothing to do for so long: between two tasks it has nothing in hand."""
BEAT_SECONDS = 1.0


class Clock(Protocol):
    """What the keeper needs of the simulator."""

    def lease(self, *, busy: bool, not_beyond: datetime | None) -> None: ...


class ClockKeeper:
    """Decides at each beat whether time may pass, how fast, and how far.

    `stack_fault` says what keeps Airflow from working, None when nothing does; `at_work` whether it has
    anything in hand. Time does not pass before `release`, and not beyond `not_beyond`, the next moment at
    which the provider has something to enter.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        stack_fault: Callable[[], str | None],
        at_work: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._stack_fault = stack_fault
        self._at_work = at_work
        self._monotonic = monotonic
        self._last_work_s = monotonic()
        self._released = False
        self.not_beyond: datetime | None = None
        self.fault: str | None = None
        self.faulty_since_s: float | None = None

    @property
    def busy(self) -> bool:
        """Whether Airflow had anything in hand within the last `CALM_SECONDS`."""
        return self._monotonic() - self._last_work_s < CALM_SECONDS

    @property
    def calm_s(self) -> float:
        """For how long Airflow has had nothing in hand."""
        return self._monotonic() - self._last_work_s

    def release(self) -> None:
        """Let time pass from the next beat on."""
        self._released = True

    def beat(self) -> None:
        """Look at Airflow and renew the lease when it is well; whatever cannot be learnt counts as unwell."""
        try:
            fault = self._stack_fault()
            if fault is None and self._at_work():
                self._last_work_s = self._monotonic()
            if fault is None and self._released:
                self._clock.lease(busy=self.busy, not_beyond=self.not_beyond)
        except StackError as error:
            fault = str(error)
        if fault is None:
            self.faulty_since_s = None
        elif self.faulty_since_s is None:
            self.faulty_since_s = self._monotonic()
        self.fault = fault

    def keep(self, until: threading.Event) -> None:
        """Beat once a second until told to stop."""
        while not until.wait(BEAT_SECONDS):
            self.beat()
