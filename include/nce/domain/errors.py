"""What can go wrong while talking to Partner Center, grouped by what helps.

Outcomes such as "MPA not signed" or "opted out" are answers, not errors: they live beside the rules that
decide them. The tree below `PartnerCenterFault` that knows HTTP statuses and Microsoft's codes belongs to
the client; steps and rules only ever ask for the failure class.
"""

from __future__ import annotations

from enum import Enum


class FailureClass(str, Enum):
    """Who or what has to act before the same question is worth asking again."""

    WAIT = "wait"
    """Time helps: throttling, a server fault, a renewal that is running. The answer says how long."""
    LOOK_FIRST = "look_first"
    """A write left and no answer came: ask whether it arrived before anything else is sent."""
    RECONCILE = "reconcile"
    """The subscription is not in the state we thought: somebody else may have converted it."""
    PARTNER_ACTS = "partner_acts"
    """The partner (or its customer) has something to sign, link or correct."""
    PROVIDER_ACTS = "provider_acts"
    """Our own credentials, limits or agreements: never reported to a partner as its fault."""
    PERSON_DECIDES = "person_decides"
    """Microsoft says no for a reason that only a person can resolve."""
    BROKEN = "broken"
    """An answer nobody here can read: keep it raw, stop this subscription, go on with the rest."""

    @property
    def is_everybodys(self) -> bool:
        """Met by one customer after another, it says nothing of the customers."""
        return self in (FailureClass.WAIT, FailureClass.LOOK_FIRST, FailureClass.PROVIDER_ACTS)

    @property
    def is_refusal(self) -> bool:
        """It is an answer to what was asked: time, another look or our own credentials do not help."""
        return self in (FailureClass.PARTNER_ACTS, FailureClass.PERSON_DECIDES, FailureClass.BROKEN)


class PartnerCenterFault(Exception):
    """A call to Partner Center that brought no usable answer.

    `sentence` is fit for an operator. `retry_after_seconds` is Microsoft's own wish, when it had one. `code`
    and `status` are None when nothing arrived.
    """

    failure_class: FailureClass = FailureClass.BROKEN

    def __init__(
        self,
        sentence: str,
        *,
        status: int | None = None,
        code: int | None = None,
        retry_after_seconds: float | None = None,
        request_id: str | None = None,
        correlation_id: str | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.code = code
        self.retry_after_seconds = retry_after_seconds
        self.request_id = request_id
        self.correlation_id = correlation_id
        self.body = body

    @property
    def leaves_effect_unknown(self) -> bool:
        """Whether a write that ended so may have happened: only a readable refusal says that it did not."""
        refused = self.status is not None and 400 <= self.status < 500
        return self.failure_class is FailureClass.LOOK_FIRST or not refused


class InputRefused(Exception):
    """What a person wrote cannot be used. `faults` holds one sentence a fault: where, what, what to do."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class Busy(Exception):
    """Another process writes for this subscription right now."""
