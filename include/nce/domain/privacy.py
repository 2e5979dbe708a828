"""What is never kept: who a person is, how to reach one, and what lets somebody in.

Responsible for telling such things in an answer of Microsoft's and in a sentence, and for taking them out.
The rest of an answer stays as it came: it is evidence. Where this is applied is decided by what sends to
(`partner_center`) and by what keeps (`ledger`).

Names of companies stay. A person's name in free text cannot be told from other words: no rule finds it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from include.nce.domain.recordable import read_json, recordable_text

REMOVED = "[removed]"

_PERSONAL = frozenset(
    {
        "address",
        "addressline1",
        "addressline2",
        "addressline3",
        "alternateemail",
        "billingprofile",
        "billtoaddress",
        "companyapproveraddress",
        "companyapproveremail",
        "contact",
        "contacts",
        "defaultaddress",
        "email",
        "emailaddress",
        "fax",
        "faxnumber",
        "firstname",
        "fullname",
        "givenname",
        "lastname",
        "mail",
        "middlename",
        "mobile",
        "mobilephone",
        "phone",
        "phonenumber",
        "postalcode",
        "primarycontact",
        "shiptoaddress",
        "surname",
        "telephone",
        "username",
        "userprincipalname",
    }
)
"""Fields of persons in Partner Center's resources (customer-resources, 07/28/2023; agreements, 07/28/2023;
profiles, 6/16/2022), and what other APIs of Microsoft's call the same. Lower case, letters and digits
only."""
_SECRET = frozenset(
    {
        "accesstoken",
        "assertion",
        "authorization",
        "clientassertion",
        "clientsecret",
        "idtoken",
        "password",
        "refreshtoken",
        "secret",
        "token",
    }
)
_NEVER_KEPT = _PERSONAL | _SECRET

_NAMES = "|".join(sorted(_NEVER_KEPT, key=len, reverse=True))
_LOOSE_FIELD = re.compile(rf'("(?:{_NAMES})"\s*:\s*)"(?:[^"\\]|\\.)*(?:"|$)', re.IGNORECASE)
"""A field of an answer that is no JSON any more: cut off, or broken on the way."""
_MAIL = re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w+])\+\d[\d ()./-]{6,}\d")
_NAMED_PHONE = re.compile(
    r"(?i)\b(tel(?:efono|ephone)?|phone|cell(?:ulare)?|mobile|fax)\b([.:\s]{1,3})\(?\d[\d ()./+-]{4,}\d"
)
_JWT = re.compile(r"\beyJ[\w-]{5,}\.[\w-]{5,}(?:\.[\w-]*)?")
_BEARER = re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]{8,}")
_PAIR = re.compile(
    r"(?i)\b(access_token|refresh_token|id_token|client_secret|client_assertion|password)(\s*[=:]\s*)"
    r"[^\s&,;\"']+"
)


def without_persons(value: Any) -> Any:
    """The JSON of an answer with everything that is never kept replaced by `REMOVED`; the fields' names stay,
    so that one sees that something was there. `value` itself is not changed."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {
            key: REMOVED if _plain(key) in _NEVER_KEPT and item not in (None, "") else without_persons(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_persons(item) for item in value]
    return value


def body_without_persons(text: str) -> str:
    """The raw text of an answer, read as JSON where it is JSON; unchanged when nothing had to go."""
    try:
        document = read_json(text)
    except ValueError:
        return masked(_LOOSE_FIELD.sub(rf'\1"{REMOVED}"', text))
    kept = without_persons(document)
    return text if kept == document else json.dumps(kept, ensure_ascii=False)


def masked(text: str) -> str:
    """A sentence without mail addresses, telephone numbers and tokens, as it can be put on record."""
    text = recordable_text(text)
    if "@" in text:
        text = _MAIL.sub(REMOVED, text)
    text = _PHONE.sub(REMOVED, text)
    text = _NAMED_PHONE.sub(rf"\1\2{REMOVED}", text)
    text = _JWT.sub(REMOVED, text)
    text = _BEARER.sub(rf"\1 {REMOVED}", text)
    return _PAIR.sub(rf"\1\2{REMOVED}", text)


def without(text: str, secrets: Iterable[str | None]) -> str:
    """`text` without these very secrets, wherever they stand in it."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, REMOVED)
    return text


def _plain(key: object) -> str:
    return "".join(letter for letter in str(key).lower() if letter.isalnum())
