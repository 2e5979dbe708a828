"""What can go wrong in a call to Partner Center, one class for each thing that helps.

Responsible for turning an answer (or none) into an error that says who acts. Leaves to the steps what is done
about it, and to `agreements` and `profiles` the answers that look like errors but are findings ("MPA not
signed" is HTTP 400).

    PartnerCenterError
    ├── WaitAndAskAgain            wait: nothing was done, time helps
    │   ├── Throttled              429; Retry-After says how long
    │   ├── ServerFault            5xx or 408 on a read
    │   ├── Unreachable            no connection: nothing was sent
    │   ├── SubscriptionBusy       409: a renewal, an order or another change is running
    │   └── NotReadyYet            just bought, not activated yet
    ├── OutcomeUnknown             look first: a write left, and whether it arrived is not known
    │   └── AlreadyInProgress      900216: a migration of this subscription is in work, perhaps ours
    ├── ChangedMeanwhile           reconcile: read again, the world is not what we thought
    │   ├── NoLongerActive         900215: perhaps already migrated
    │   └── StaleVersion           412 or 2055: the ETag is old
    ├── PartnerMustAct             partner acts
    │   ├── AgreementNotSigned     900123: the reseller's MPA
    │   ├── PartnerIdNotUsable     the PartnerID may not be partner of record
    │   └── CustomerAgreementMissing   13605: the customer's MCA
    ├── ProviderMustAct            provider acts: never the partner's fault
    │   ├── CredentialsRefused     401, or the sign-in service said no
    │   │   ├── SecondFactorMissing    900421, or 401 "MFA required"
    │   │   └── WrongAudience      900420: the token is not for Partner Center's API
    │   ├── AccessDenied           403: roles and privileges
    │   │   └── UserTokenNeeded    900329: an app-only token cannot be used here
    │   ├── OwnAgreementMissing    900124: the provider's own MPA
    │   └── LimitReached           credit, seat, risk and sandbox limits
    ├── PersonDecides              Microsoft says no for a reason that a person resolves
    │   ├── NotEligible            this subscription cannot be migrated or bought this way
    │   ├── ChangeRefused          this change of a subscription, cart or order is not possible
    │   ├── AlreadyExists          600061: the confirmation is on record already
    │   └── NotFound               404, or a code that says so
    └── Broken                     engineers: an answer nobody here can read, or a request that made no sense
        └── InvalidRequest         Microsoft calls the request malformed

Codes and statuses: docs page error-codes (06/15/2023); throttling: api-throttling-guidance (7/18/2022).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from include.nce.domain.errors import FailureClass, PartnerCenterFault
from include.nce.domain.privacy import body_without_persons, masked
from include.nce.domain.recordable import read_json

BODY_LIMIT_CHARACTERS = 4_000
DESCRIPTION_LIMIT_CHARACTERS = 1_024
"""Microsoft's own limit for `description` (error-codes, 06/15/2023)."""

_TWO_MINUTES = 120.0
_ONE_DAY = 86_400.0
_NO_SECOND_FACTOR = re.compile(r"\bMFA\b", re.IGNORECASE)
"""As in "Unauthorized - MFA required" (partner-security-requirements-mandating-mfa, 05/26/2023)."""


class PartnerCenterError(PartnerCenterFault):
    """A call that brought no usable answer. `str(error)` is one sentence for an operator.

    `operation` is our name of the call, `description` Microsoft's own words (at most 1,024 characters),
    `body` the raw answer (at most 4,000), all without persons and secrets (`domain.privacy`). `code` is None
    when the answer carried no numeric one, `status` when there was no answer. `retry_after_seconds` is what
    Microsoft asked for or documents; None leaves it to the caller."""

    remedy = "engineers look at the raw answer"
    retriable = False
    """Whether the very same request may simply be sent again later."""

    def __init__(
        self,
        sentence: str,
        *,
        operation: str = "",
        description: str = "",
        status: int | None = None,
        code: int | None = None,
        retry_after_seconds: float | None = None,
        request_id: str | None = None,
        correlation_id: str | None = None,
        body: str | None = None,
    ) -> None:
        super().__init__(
            masked(sentence),
            status=status,
            code=code,
            retry_after_seconds=retry_after_seconds,
            request_id=request_id,
            correlation_id=correlation_id,
            body=None if body is None else body_without_persons(body)[:BODY_LIMIT_CHARACTERS],
        )
        self.operation = operation
        self.description = masked(description)

    @property
    def status_code(self) -> int | None:
        return self.status


class WaitAndAskAgain(PartnerCenterError):
    """Nothing was done and nobody is at fault."""

    failure_class = FailureClass.WAIT
    remedy = "it is asked again by itself"
    retriable = True


class Throttled(WaitAndAskAgain):
    """Too many calls: HTTP 429."""


class ServerFault(WaitAndAskAgain):
    """Partner Center failed while answering a question; nothing was changed."""


class Unreachable(WaitAndAskAgain):
    """No connection was made, so nothing was sent."""


class SubscriptionBusy(WaitAndAskAgain):
    """Something else is running on the same subscription, cart or order."""


class NotReadyYet(WaitAndAskAgain):
    """What was bought is not activated yet."""


class OutcomeUnknown(PartnerCenterError):
    """A write left and no clear answer came back: it may or may not have been carried out."""

    failure_class = FailureClass.LOOK_FIRST
    remedy = "it is looked up before anything is sent again"


class AlreadyInProgress(OutcomeUnknown):
    """Microsoft already works on this subscription, perhaps on our own earlier request."""


class ChangedMeanwhile(PartnerCenterError):
    """The request was refused because things are no longer as they were read."""

    failure_class = FailureClass.RECONCILE
    remedy = "it is read again and compared with what is on record"


class NoLongerActive(ChangedMeanwhile):
    """The subscription is not active any more: perhaps somebody else converted it."""


class StaleVersion(ChangedMeanwhile):
    """Somebody changed the resource between our reading and our writing."""


class PartnerMustAct(PartnerCenterError):
    """The partner, or its customer, has something to sign, link or correct."""

    failure_class = FailureClass.PARTNER_ACTS
    remedy = "the partner acts; it is checked again by itself"


class AgreementNotSigned(PartnerMustAct):
    remedy = "a Global Admin of the partner signs the Microsoft Partner Agreement"


class PartnerIdNotUsable(PartnerMustAct):
    remedy = "the partner gives us its local PartnerID (location account)"


class CustomerAgreementMissing(PartnerMustAct):
    remedy = (
        "the customer accepts the Microsoft Customer Agreement, or the partner's confirmation is attested"
    )


class ProviderMustAct(PartnerCenterError):
    """Our own credentials, rights, agreements or limits."""

    failure_class = FailureClass.PROVIDER_ACTS
    remedy = "operators act; it is nothing the partner did"


class CredentialsRefused(ProviderMustAct):
    remedy = "operators renew the credentials of the connection 'partner_center'"


class SecondFactorMissing(CredentialsRefused):
    """The service account signed in without multi-factor authentication."""

    remedy = (
        "an operator signs in with the service account and its second factor and enters the new refresh token"
    )


class WrongAudience(CredentialsRefused):
    """The token was made for another API than Partner Center's."""

    remedy = "operators add Partner Center's API to the app registration and consent to it"


class AccessDenied(ProviderMustAct):
    remedy = "operators give our application or its service account the missing right"


class UserTokenNeeded(AccessDenied):
    """The call needs App+User and came with an app-only token."""

    remedy = "operators check that the refresh token is the service account's"


class OwnAgreementMissing(ProviderMustAct):
    remedy = "our own Global Admin signs the Microsoft Partner Agreement"


class LimitReached(ProviderMustAct):
    remedy = "operators have Microsoft raise the limit"


class PersonDecides(PartnerCenterError):
    """Microsoft says no, and means it."""

    failure_class = FailureClass.PERSON_DECIDES
    remedy = "a person decides"


class NotEligible(PersonDecides):
    """The subscription cannot be converted this way."""


class ChangeRefused(PersonDecides):
    """The subscription, cart or order cannot be changed this way."""


class AlreadyExists(PersonDecides):
    """What we wanted to create is there already."""

    remedy = "nothing needs to be sent"


class NotFound(PersonDecides):
    """There is no such thing, or not for us."""

    remedy = "a person checks the id"


class Broken(PartnerCenterError):
    """An answer that cannot be read."""

    failure_class = FailureClass.BROKEN


class InvalidRequest(Broken):
    """Microsoft calls our request malformed: a fault of this program or of the data it was given."""

    remedy = "engineers look at the request"


@dataclass(frozen=True)
class Ruling:
    """One row of the table: what an answer with this code is, and what it means in our words."""

    error: type[PartnerCenterError]
    meaning: str
    retry_after_seconds: float | None = None


_RULINGS: dict[tuple[int, int], Ruling] = {
    (400, 2000): Ruling(InvalidRequest, "an id in the request is not well-formed"),
    (400, 2001): Ruling(ChangeRefused, "the quantity of a suspended subscription cannot change"),
    (400, 2002): Ruling(ChangeRefused, "the quantity is out of range"),
    (400, 2011): Ruling(ChangeRefused, "the subscription is deleted"),
    (400, 2054): Ruling(ChangeRefused, "the billing cycle cannot be changed on a subscription"),
    (400, 2055): Ruling(StaleVersion, "the subscription was changed since it was read"),
    (400, 2071): Ruling(PartnerIdNotUsable, "the PartnerID is no valid adviser"),
    (404, 2072): Ruling(PartnerIdNotUsable, "the provider's own PartnerID cannot be partner of record"),
    (403, 2085): Ruling(NotEligible, "the customer is not eligible for this offer"),
    (403, 2091): Ruling(NotEligible, "the offer is not available"),
    (404, 1000): Ruling(NotFound, "there is no such customer"),
    (404, 3000): Ruling(NotFound, "there is no such PartnerID"),
    (403, 13605): Ruling(CustomerAgreementMissing, "the customer has not accepted the Customer Agreement"),
    (404, 20000): Ruling(NotFound, "there is no such order"),
    (403, 20002): Ruling(PersonDecides, "the customer has no reseller relationship with us"),
    (404, 20003): Ruling(NotFound, "there is no such subscription"),
    (404, 60003): Ruling(NotFound, "there is no such tenant"),
    (409, 600061): Ruling(AlreadyExists, "this confirmation of the Customer Agreement exists already"),
    (404, 400013): Ruling(NotFound, "there is no such product"),
    (404, 400018): Ruling(NotFound, "there is no such SKU"),
    (404, 400019): Ruling(NotFound, "the availability is gone; the catalogue must be read again"),
    (403, 400030): Ruling(InvalidRequest, "the segment is not allowed in a catalogue query"),
    (403, 400036): Ruling(InvalidRequest, "the view is not allowed in a catalogue query"),
    (401, 800001): Ruling(CredentialsRefused, "the token is missing"),
    (400, 800002): Ruling(InvalidRequest, "the input is not valid"),
    (500, 800003): Ruling(ServerFault, "Partner Center met an unexpected fault"),
    (400, 800004): Ruling(InvalidRequest, "the offer id is not valid"),
    (500, 800005): Ruling(ServerFault, "the order could not be created"),
    (404, 800008): Ruling(NotFound, "the cart does not exist or has expired"),
    (400, 800009): Ruling(ChangeRefused, "the cart has lines with errors"),
    (404, 800015): Ruling(PartnerIdNotUsable, "the PartnerID does not exist"),
    (400, 800016): Ruling(PartnerIdNotUsable, "the PartnerID is no valid indirect reseller"),
    (400, 800018): Ruling(LimitReached, "the sandbox limit is reached"),
    (403, 800020): Ruling(NotEligible, "the item cannot be purchased"),
    (403, 800023): Ruling(LimitReached, "the credit limit is reached"),
    (403, 800039): Ruling(PartnerMustAct, "the reseller's programme is not active"),
    (400, 800040): Ruling(ChangeRefused, "this change of status is not allowed"),
    (409, 800060): Ruling(SubscriptionBusy, "an order is in progress", _TWO_MINUTES),
    (400, 800061): Ruling(ChangeRefused, "the order cannot be cancelled"),
    (400, 800062): Ruling(ChangeRefused, "the order is not eligible for this transaction"),
    (400, 800063): Ruling(ChangeRefused, "the order cannot be cancelled, only its subscription be suspended"),
    (409, 800064): Ruling(SubscriptionBusy, "the cart is being processed", _TWO_MINUTES),
    (400, 800065): Ruling(AlreadyInProgress, "the cart was submitted already"),
    (403, 800066): Ruling(LimitReached, "the limit of subscriptions is reached"),
    (403, 800067): Ruling(LimitReached, "the limit of seats is reached"),
    (403, 800068): Ruling(LimitReached, "the limit of Azure subscriptions is reached"),
    (403, 800069): Ruling(LimitReached, "a risk limit is reached"),
    (403, 800073): Ruling(LimitReached, "a purchase limit is reached"),
    (403, 800074): Ruling(LimitReached, "a purchase limit is reached"),
    (403, 800075): Ruling(LimitReached, "the customer is under review"),
    (400, 800081): Ruling(NotReadyYet, "the subscription is not activated yet"),
    (409, 800082): Ruling(NotReadyYet, "the subscription is not ready yet"),
    (400, 800090): Ruling(ChangeRefused, "the number of seats cannot be decreased"),
    (400, 800091): Ruling(ChangeRefused, "the subscription is suspended"),
    (400, 800093): Ruling(ChangeRefused, "the subscription does not renew by itself"),
    (500, 800094): Ruling(ServerFault, "the update failed"),
    (400, 800095): Ruling(ChangeRefused, "the number of seats cannot be changed"),
    (400, 800096): Ruling(ChangeRefused, "the status cannot be changed"),
    (400, 800097): Ruling(ChangeRefused, "the billing cycle cannot be changed"),
    (400, 800098): Ruling(ChangeRefused, "the partner of record cannot be changed"),
    (400, 900117): Ruling(ChangeRefused, "the cancellation window has passed"),
    (400, 900118): Ruling(InvalidRequest, "the customer id is not valid"),
    (403, 900123): Ruling(
        AgreementNotSigned, "the reseller has not accepted the Microsoft Partner Agreement"
    ),
    (403, 900124): Ruling(OwnAgreementMissing, "we have not accepted the Microsoft Partner Agreement"),
    (403, 900149): Ruling(AccessDenied, "the programme is not active"),
    (403, 900150): Ruling(AccessDenied, "the role lacks rights"),
    (400, 900154): Ruling(PartnerIdNotUsable, "the PartnerID is not linked to a reseller tenant"),
    (400, 900203): Ruling(ChangeRefused, "an attestation is needed"),
    (400, 900206): Ruling(InvalidRequest, "the attestation of the partner of record is missing"),
    (400, 900215): Ruling(NoLongerActive, "the legacy subscription is not active"),
    (400, 900216): Ruling(AlreadyInProgress, "the subscription is being migrated already"),
    (400, 900217): Ruling(NotEligible, "the term ends in less than 24 hours"),
    (400, 900218): Ruling(NotEligible, "the subscription has a promotion"),
    (400, 900219): Ruling(NotEligible, "its add-ons prevent the migration"),
    (400, 900220): Ruling(NotEligible, "there is no migration path yet"),
    (400, 900221): Ruling(NotEligible, "the subscription is not eligible for one of several reasons"),
    (400, 900222): Ruling(NotEligible, "this term and billing cycle do not go together"),
    (403, 900223): Ruling(AccessDenied, "we are not allowed to migrate"),
    (400, 900224): Ruling(NotFound, "there is no such migration"),
    (408, 900225): Ruling(OutcomeUnknown, "an unexpected error happened while the request was processed"),
    (403, 900226): Ruling(NotEligible, "the subscription is active for a month or less"),
    (400, 900247): Ruling(PartnerIdNotUsable, "the partner of record of the subscription is not valid"),
    (400, 900248): Ruling(InvalidRequest, "the same add-on is named twice"),
    (400, 900257): Ruling(ChangeRefused, "the window to reduce seats has passed"),
    (400, 900262): Ruling(ChangedMeanwhile, "a named add-on is missing or not active"),
    (403, 900263): Ruling(InvalidRequest, "the call is not made for legacy subscriptions"),
    (400, 900277): Ruling(ChangeRefused, "the subscription is expiring"),
    (409, 900278): Ruling(SubscriptionBusy, "an operation is pending on the subscription", _ONE_DAY),
    (400, 900279): Ruling(ChangeRefused, "the subscription cannot be updated any more"),
    (400, 900280): Ruling(ChangeRefused, "the subscription cannot be updated now"),
    (400, 900291): Ruling(NotEligible, "the custom term end date is outside the first term"),
    (400, 900292): Ruling(NotEligible, "the custom term end date is not aligned"),
    (403, 900308): Ruling(AccessDenied, "the privileges do not suffice"),
    (403, 900309): Ruling(AccessDenied, "conditional access forbids it"),
    (400, 900311): Ruling(ChangeRefused, "the subscription was updated too many times"),
    (403, 900329): Ruling(UserTokenNeeded, "an app-only token cannot be used for this call"),
    (403, 900416): Ruling(PersonDecides, "the customer's account is locked"),
    (400, 900419): Ruling(LimitReached, "the tenant has too many subscriptions"),
    (401, 900420): Ruling(WrongAudience, "the token is made for another audience"),
    (401, 900421): Ruling(
        SecondFactorMissing, "the service account signed in without multi-factor authentication"
    ),
}
"""(HTTP status, code) -> ruling. Pages disagree on some statuses, so a code alone is looked up next."""

_BY_CODE = {code: ruling for (_, code), ruling in _RULINGS.items()}

_BY_STATUS: dict[int, Ruling] = {
    401: Ruling(CredentialsRefused, "our credentials were refused"),
    403: Ruling(AccessDenied, "access was denied"),
    404: Ruling(NotFound, "it does not exist"),
    409: Ruling(SubscriptionBusy, "something else is running on it, such as a renewal", _TWO_MINUTES),
    412: Ruling(StaleVersion, "it was changed since it was read"),
    429: Ruling(Throttled, "too many calls were made"),
}


@dataclass(frozen=True)
class ErrorBody:
    """What any of the four documented error shapes says; nothing is required of them."""

    code: int | None = None
    description: str = ""


def read_error_body(text: str) -> ErrorBody:
    """Read the standard, throttling, extended and short shapes; anything else is an empty `ErrorBody`.

    Microsoft documents `code` as text and shows it as a number (error-codes, 06/15/2023): both are read.
    """
    try:
        payload = read_json(text)
    except ValueError:
        return ErrorBody()
    if not isinstance(payload, dict):
        return ErrorBody()
    fields = {key.lower(): value for key, value in payload.items()}
    description = fields.get("description") or fields.get("message") or ""
    return ErrorBody(_numeric(fields.get("code")), str(description)[:DESCRIPTION_LIMIT_CHARACTERS])


def is_error_in_disguise(payload: Any) -> bool:
    """An error body that came with HTTP 2xx, as Microsoft lists for 200/400072 (error-codes, 06/15/2023)."""
    if not isinstance(payload, dict):
        return False
    fields = {key.lower(): value for key, value in payload.items()}
    return "description" in fields and "id" not in fields and _numeric(fields.get("code")) is not None


def error_for_answer(
    *,
    operation: str,
    writes: bool,
    status: int,
    headers: Mapping[str, str],
    text: str,
    request_id: str | None = None,
    correlation_id: str | None = None,
) -> PartnerCenterError:
    """The error an answer means; `headers` have lower-case names.

    A 5xx or 408 on a read is a `ServerFault`; on a write the outcome is unknown, whatever the code, because a
    gateway may answer for a request that arrived. So it is for code 0, which refuses nothing.
    """
    said = read_error_body(text)
    ruling = _rule(status, said, text, writes=writes)
    retry_after = read_retry_after(headers.get("retry-after"))
    what = ruling.meaning or said.description or "it gave no reason"
    number = f"HTTP {status}" + (f", code {said.code}" if said.code is not None else "")
    return ruling.error(
        f"Partner Center did not accept '{operation}': {what.rstrip('.')} ({number}); {ruling.error.remedy}.",
        operation=operation,
        description=said.description,
        status=status,
        code=said.code,
        retry_after_seconds=ruling.retry_after_seconds if retry_after is None else retry_after,
        request_id=request_id,
        correlation_id=correlation_id,
        body=text,
    )


def _rule(status: int, said: ErrorBody, text: str, *, writes: bool) -> Ruling:
    known = _known(status, said.code)
    if status >= 500 or status == 408 or (known and known.error in (ServerFault, OutcomeUnknown)):
        meaning = known.meaning if known else f"Partner Center failed with HTTP {status}"
        return Ruling(OutcomeUnknown if writes else ServerFault, meaning)
    if status == 429:
        return _BY_STATUS[429]
    if known is not None:
        return known
    if writes and said.code == 0:
        return Ruling(OutcomeUnknown, said.description or "it named no reason")
    if status == 401 and _NO_SECOND_FACTOR.search(text):
        return _RULINGS[401, 900421]
    if status in _BY_STATUS:
        generic = _BY_STATUS[status]
        return Ruling(generic.error, said.description or generic.meaning, generic.retry_after_seconds)
    if said.code is not None:
        return Ruling(PersonDecides, said.description)
    return Ruling(Broken, said.description or f"its answer with HTTP {status} is not readable")


def _known(status: int, code: int | None) -> Ruling | None:
    if code is None:
        return None
    return _RULINGS.get((status, code)) or _BY_CODE.get(code)


def read_retry_after(value: str | None) -> float | None:
    """Seconds, from whole seconds (the documented form) or an HTTP date; None when it is neither.

    Partner Center shows some headers doubled by a comma: the first value counts.
    """
    if not value:
        return None
    first = value.split(",")[0].strip() if re.match(r"\s*\d", value) else value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", first):
        return float(first)
    try:
        moment = parsedate_to_datetime(first)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())


def _numeric(code: Any) -> int | None:
    if isinstance(code, bool):
        return None
    if isinstance(code, int):
        return code
    if isinstance(code, str) and code.strip().isdigit():
        return int(code)
    return None
