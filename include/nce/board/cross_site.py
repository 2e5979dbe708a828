"""Requests that another site makes in the name of whoever is logged in: they change nothing.

A browser sends Airflow's cookie with a form that any page on the web may post. So a form of the board counts
only when it comes from the board itself, by the browser's own word, and carries a token that was made for
this person and this form's life. A write of the API counts only with a token in its `Authorization` header,
which no foreign page can set, and the cookie does not count for it.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.configuration import conf
from fastapi import HTTPException, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from include.nce.board.access import Person

FORM_HOURS = 12
"""How long a page may lie open before its form has to be loaded again."""


def form_token(person: Person) -> str:
    """For the hidden field of each form on a page made for this person."""
    return _signer().dumps(person.id)


def from_this_page(request: Request) -> None:
    """A dependency: by the browser's word the form was on a page of ours. Raises 403."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    # `Sec-Fetch-Site` is sent over https and on this machine only; every browser sends `Origin` with a form.
    trusted = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    if not trusted or site not in (None, "same-origin"):
        raise HTTPException(403, "This form did not come from the board: nothing was changed.")


def with_form_token(token: str, person: Person) -> None:
    """Raises 403 unless the token was made for this person, and lately."""
    try:
        owner = _signer().loads(token, max_age=FORM_HOURS * 3600)
    except BadSignature:
        owner = None
    if owner != person.id:
        raise HTTPException(403, "This form is too old or somebody else's: load the page again.")


def with_bearer_token(request: Request) -> None:
    """A dependency: who asks showed a token of its own. Raises 401."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not value.strip():
        raise HTTPException(
            401,
            "A write takes a token in the header Authorization: Bearer; a browser's cookie does not count.",
            headers={"WWW-Authenticate": "Bearer"},
        )


def _signer() -> URLSafeTimedSerializer:
    # The one secret that all API servers share.
    return URLSafeTimedSerializer(conf.get_mandatory_value("api", "secret_key"), salt="nce board form")
