"""Does the connection work? One sign-in and one harmless question for each kind of token.

Responsible for asking and for the sentence. Where credentials are kept is said by whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.nce.partner_center.auth import CredentialStore, Mask, TokenKind, TokenSource, unmasked
from include.nce.partner_center.connection import PartnerCenterConnection
from include.nce.partner_center.errors import PartnerCenterError, Unreachable, WaitAndAskAgain
from include.nce.partner_center.transport import Call, Transport

SIGN_IN_TIMEOUT_SECONDS = 15.0
ANSWER_TIMEOUT_SECONDS = 20.0
"""A person waits at a terminal."""

_QUESTIONS = {
    TokenKind.APP: Call("list customers", "GET", "/v1/customers", query={"size": 1}),
    TokenKind.APP_AND_USER: Call(
        "list indirect resellers",
        "GET",
        "/v1/relationships",
        token=TokenKind.APP_AND_USER,
        query={"relationship_type": "IsIndirectCloudSolutionProviderOf"},
    ),
}
_NOWHERE_TO_KEEP = (
    "it was not tried, for the ledger keeps its refresh token, and connection 'nce_ledger' leads to none now"
)
_NAMES = {TokenKind.APP: "App-only", TokenKind.APP_AND_USER: "App+User"}


@dataclass(frozen=True)
class Probe:
    """`sentence` says of each kind of token whether it works, and if not, why not and what to do."""

    works: bool
    sentence: str


async def probe(
    connection: PartnerCenterConnection, store: CredentialStore | None, *, mask: Mask = unmasked
) -> Probe:
    """Sign in anew and ask once with each kind of token.

    Without a `store` App+User is not tried: a refresh token that Microsoft replaces would be lost.
    """
    tokens = TokenSource(connection, store=store, mask=mask, timeout_seconds=SIGN_IN_TIMEOUT_SECONDS)
    faults: dict[TokenKind, str] = {}
    async with Transport(
        connection, tokens, read_attempts=1, total_timeout_seconds=ANSWER_TIMEOUT_SECONDS
    ) as transport:
        for kind, question in _QUESTIONS.items():
            if kind is TokenKind.APP_AND_USER and store is None:
                faults[kind] = _NOWHERE_TO_KEEP
                continue
            try:
                await tokens.sign_in(kind)
                await transport.send(question)
            except WaitAndAskAgain as error:
                faults[kind] = _nobody_asks_again(error)
                if isinstance(error, Unreachable) and kind is TokenKind.APP:
                    # The other kind goes the same way: nobody waits twice.
                    faults[TokenKind.APP_AND_USER] = faults[kind]
                    break
            except PartnerCenterError as error:
                faults[kind] = error.sentence
    return Probe(not faults, _sentence(connection, faults))


def _nobody_asks_again(error: WaitAndAskAgain) -> str:
    what = error.sentence.partition(";")[0].rstrip(".")
    return f"{what}; operators try again, and check address and network when it stays so."


def _sentence(connection: PartnerCenterConnection, faults: dict[TokenKind, str]) -> str:
    where = f" (rehearsal at {connection.address})" if connection.rehearsal else ""
    if not faults:
        return f"App-only works and App+User works{where}."
    if len(faults) == len(_QUESTIONS) and len(set(faults.values())) == 1:
        return f"Neither App-only nor App+User works{where}: {faults[TokenKind.APP]}"
    said = [
        f"{name} does not work: {faults[kind].rstrip('.')}" if kind in faults else f"{name} works"
        for kind, name in _NAMES.items()
    ]
    return f"{'; '.join(said)}{where}."
