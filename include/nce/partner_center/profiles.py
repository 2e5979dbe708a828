"""Partner profiles: does a PartnerID exist, and who are we."""

from __future__ import annotations

from include.nce.partner_center.auth import TokenKind
from include.nce.partner_center.errors import PartnerCenterError
from include.nce.partner_center.models.profiles import LegalBusinessProfile, MpnProfile, OrganizationProfile
from include.nce.partner_center.transport import Call, Transport

_NO_SUCH_PARTNER_ID = 3000


class Profiles:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def mpn(self, mpn_id: str) -> MpnProfile | None:
        """Whose PartnerID this is, or None when there is no such id (code 3000; the page shows 404, the error
        table 400). It answers for anybody's id (get-partner-by-mpn-id, 06/29/2022)."""
        call = Call(
            "read MPN profile",
            "GET",
            "/v1/profiles/mpn",
            token=TokenKind.APP_AND_USER,
            query={"mpnId": mpn_id},
        )
        try:
            return (await self._transport.send(call)).one(MpnProfile)
        except PartnerCenterError as error:
            if error.code == _NO_SUCH_PARTNER_ID:
                return None
            raise

    async def own_mpn(self) -> MpnProfile:
        """The provider's own PartnerID (get-partner-network-profile, 6/16/2022)."""
        call = Call("read own MPN profile", "GET", "/v1/profiles/mpn", token=TokenKind.APP_AND_USER)
        return (await self._transport.send(call)).one(MpnProfile)

    async def legal_business(self) -> LegalBusinessProfile:
        """The provider's vetted legal profile (get-legal-business-profile, 6/16/2022)."""
        call = Call(
            "read legal business profile",
            "GET",
            "/v1/profiles/legalbusiness",
            query={"vettingVersion": "Current"},
        )
        return (await self._transport.send(call)).one(LegalBusinessProfile)

    async def organization(self) -> OrganizationProfile:
        """The provider's organisation (get-an-organization-profile, 06/16/2022)."""
        call = Call(
            "read organisation profile", "GET", "/v1/profiles/organization", token=TokenKind.APP_AND_USER
        )
        return (await self._transport.send(call)).one(OrganizationProfile)
