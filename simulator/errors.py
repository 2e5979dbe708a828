"""Partner Center's refusals: which code belongs to which HTTP status, and the shapes of error bodies.

Responsible for the table and the bodies. Leaves to `behaviour` when something is refused.
Source: error-codes (06/15/2023), verify-indirect-reseller-mpa-status (06/29/2022), api-throttling-guidance
(7/18/2022).
"""

from __future__ import annotations

from typing import Any

AGREEMENT_HELP = "https://learn.microsoft.com/partner-center/mpa-indirect-provider-faq"

# code: (HTTP status, description); descriptions of the agreement status follow the page's examples.
REFUSALS: dict[int, tuple[int, str]] = {
    1000: (404, "The requested resource {0} was not found."),
    2000: (400, "{0}"),
    2001: (400, "The quantity of a suspended subscription cannot be changed."),
    2002: (400, "The quantity is out of range. {0}"),
    2011: (400, "A deleted subscription cannot be updated."),
    2054: (400, "The billing cycle cannot be changed on a subscription. Use an order instead."),
    2055: (400, "The ETag is no longer valid."),
    2085: (403, "The customer is not eligible for the offer {0}."),
    2200: (400, "Requested MPN Id {0} is either invalid or does not exist in Partner Center."),
    2201: (400, "The CSP region of {0} differs from the region of the provider."),
    2203: (
        400,
        "MPN Id {0} has not signed Microsoft Partner Agreement (MPA) for the CSP region where the order is "
        "being placed. Please advise your reseller to sign MPA to continue with the order.",
    ),
    2204: (
        400,
        "Requested MPN Id {0} is not associated with any CSP Indirect Reseller account in Partner Center. "
        "Please advise your reseller to enroll into the CSP program as an indirect reseller in Partner "
        "Center to be compliant.",
    ),
    2205: (400, "The tenant {0} was not found."),
    2206: (400, "Parnter Center Account associated to Tenant Id {0} hasn't signed the agreement"),
    3000: (404, "The partner with the MPN id {0} was not found."),
    13605: (403, "The customer has not accepted the Microsoft Customer Agreement."),
    20000: (404, "The order {0} was not found."),
    20002: (403, "There is no commerce relationship between the partner and the customer."),
    20003: (404, "The subscription {0} was not found."),
    400013: (404, "The product {0} was not found."),
    400018: (404, "The SKU {0} was not found."),
    400019: (404, "The availability {0} was not found."),
    400030: (403, "The target segment {0} is not allowed."),
    400036: (403, "The target view {0} is not allowed."),
    800001: (401, "The partner token is missing in the request."),
    800002: (400, "The input is invalid. {0}"),
    800003: (500, "An unexpected fault occurred."),
    800004: (400, "The offer id {0} is invalid."),
    800008: (404, "The cart {0} was not found or has expired."),
    800009: (400, "There are errors in the items of the cart."),
    800015: (404, "The partner with the MPN id {0} was not found."),
    800016: (400, "The MPN id {0} does not belong to a valid indirect reseller."),
    800040: (400, "The subscription cannot change from {0} to {1}."),
    800061: (400, "The order cannot be cancelled."),
    800063: (400, "The order cannot be cancelled. Suspend the subscription instead."),
    800065: (400, "The cart has already been submitted."),
    800081: (400, "The subscription is not activated yet."),
    800082: (409, "The subscription is not ready. Try again later."),
    800090: (400, "Subscription quantity cannot be decreased."),
    800091: (400, "A suspended subscription cannot be updated."),
    900117: (400, "The 7-day cancellation window of the subscription has passed."),
    900123: (403, "The indirect reseller has not accepted the Microsoft Partner Agreement."),
    900124: (403, "Your company has not accepted the Microsoft Partner Agreement."),
    900206: (400, "The attestation of the partner on record is missing."),
    900215: (400, "The subscription is not active."),
    900216: (400, "The subscription is already being processed."),
    900217: (400, "The subscription is less than 24 hours from its term end."),
    900218: (400, "The subscription has promotions."),
    900219: (400, "The subscription has add-ons."),
    900220: (400, "There is no migration path for the subscription yet."),
    900221: (400, "The subscription cannot be migrated for one or more reasons."),
    900222: (400, "The combination of term duration and billing cycle is not supported."),
    900224: (400, "The migration id {0} was not found."),
    900226: (403, "The subscription has been active for one month or less."),
    900247: (400, "The partner id on record is invalid."),
    900248: (400, "The same add-on is listed twice."),
    900262: (400, "Listed add-ons are missing or not active."),
    900263: (403, "This method does not serve legacy subscriptions."),
    900278: (409, "An operation is pending on the subscription. Try again after 24 hours."),
    900279: (400, "The subscription cannot be updated any more."),
    900291: (
        400,
        "The custom term end date lies outside the first term or breaks the rule for monthly terms.",
    ),
    900292: (400, "The custom term end date is not aligned with a subscription or the calendar month."),
    900329: (403, "The operation does not support app-only tokens."),
    900400: (400, "The id is not linked to an active reseller tenant."),
    900420: (401, "The audience of the token is not accepted."),
    900421: (401, "The token does not show multi-factor authentication."),
}

_TEXT, _WHOLE, _TRUTH = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
ERROR_SHAPE: dict[str, Any] = {
    "anyOf": [
        {
            "title": "standard",
            "type": "object",
            "properties": {
                "code": _WHOLE,
                "description": _TEXT,
                "data": {"type": "array", "items": _TEXT},
                "source": _TEXT,
            },
            "required": ["code", "description", "data", "source"],
        },
        {
            "title": "extended",
            "type": "object",
            "properties": {"code": _WHOLE, "message": _TEXT, "errorName": _TEXT, "isRetryable": _TRUTH},
            "required": ["code", "message", "description", "errorName", "isRetryable"],
        },
        {
            "title": "throttled",
            "type": "object",
            "properties": {"statusCode": _WHOLE, "message": _TEXT},
            "required": ["statusCode", "message"],
        },
    ]
}
SIGN_IN_ERROR_SHAPE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": _TEXT,
        "error_description": _TEXT,
        "error_codes": {"type": "array", "items": _WHOLE},
    },
    "required": ["error", "error_description", "error_codes"],
}


class Refusal(Exception):
    """A call that Partner Center refuses: `code` picks status and description, `words` fill the latter."""

    def __init__(
        self,
        code: int,
        *words: object,
        source: str = "PartnerFD",
        data: list[str] | None = None,
        headers: dict[str, str] | None = None,
        status: int | None = None,
    ) -> None:
        documented, description = REFUSALS[code]
        text = description.format(*words, "", "").rstrip()
        super().__init__(f"{code}: {text}")
        self.status = status or documented
        self.headers = headers or {}
        self.body: Any = {"code": code, "description": text, "data": data or [], "source": source}
        self.code = code


class ExtendedRefusal(Refusal):
    """The longer error body of the agreement calls (error 600061; its HTTP status is not documented)."""

    def __init__(self) -> None:
        message = "A partner confirmed agreement already exists for the customer."
        Exception.__init__(self, message)
        self.status, self.code, self.headers = 400, 600061, {}
        self.body = {
            "code": 600061,
            "message": message,
            "description": message,
            "errorName": "PartnerConfirmedAgreementAlreadyExists",
            "isRetryable": False,
            "parameters": {},
            "errorMessageExtended": "InternalErrorCode=600061",
        }


def throttled_body(seconds: int) -> dict[str, Any]:
    """The body of a 429 (api-throttling-guidance)."""
    return {"statusCode": 429, "message": f"Rate limit is exceeded. Try again in {seconds} seconds."}


def fault_body(status: int, code: int | None, description: str | None) -> dict[str, Any]:
    """The standard body for an injected fault."""
    known = REFUSALS.get(code or 0)
    return {
        "code": code if code is not None else 800003,
        "description": description or (known[1].format("", "") if known else "An injected fault."),
        "data": [],
        "source": "PartnerFD" if status < 500 else "PartnerApiServiceControllers",
    }
