"""The campaign's clock: the machine's, or in a rehearsal the simulator's."""

from __future__ import annotations

from datetime import datetime, timezone
from urllib.parse import urlsplit

from include.nce.domain.errors import InputRefused
from include.nce.partner_center.connection import is_loopback

_SIMULATOR = "partner-center"
"""How it names itself at `/__sim__/health`."""


class SystemClock:
    """The machine's time. The only clock a production campaign ever sees."""

    async def now(self) -> datetime:
        return datetime.now(timezone.utc)


class RehearsalClock:
    """The simulator's campaign clock, read anew at each question.

    Raises `InputRefused` for an address that is not this machine's, wherever it comes from.
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        if not is_loopback(urlsplit(self._address).hostname):
            raise InputRefused(
                ["A rehearsal's clock is the simulator's on this machine; an address elsewhere is not used. "
                 "Correct the address, or take the rehearsal away."]
            )  # fmt: skip

    async def now(self) -> datetime:
        document = await self._get("/__sim__/clock")
        return datetime.fromisoformat(document["now"].replace("Z", "+00:00")).astimezone(timezone.utc)

    async def prove(self) -> None:
        """Raise `InputRefused` unless the address really is the simulator."""
        try:
            document = await self._get("/__sim__/health")
        except (OSError, ValueError) as error:
            raise InputRefused(
                [
                    "Connection partner_center: 'rehearsal' is set, but no simulator answers at "
                    f"{self._address} ({error}). Start the simulator, or correct the address."
                ]
            ) from None
        if document.get("simulator") != _SIMULATOR:
            raise InputRefused(
                [f"Connection partner_center: 'rehearsal' is set, but {self._address} is not the simulator."]
            )

    async def _get(self, path: str) -> dict[str, str]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=10)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
                session.get(self._address + path) as response,
            ):
                if response.status != 200:
                    raise OSError(f"the campaign clock answers HTTP {response.status}")
                document: dict[str, str] = await response.json()
                if not isinstance(document, dict):
                    raise ValueError("the campaign clock answers something else")  # noqa: TRY004 - of theirs
                return document
        except aiohttp.ClientError as error:
            raise OSError(str(error) or type(error).__name__) from None
