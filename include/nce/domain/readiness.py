"""The four things a partner has to have in order, and how an answer about one of them is judged.

Three answers, never two: in order, missing, cannot tell. Only an explicit negative from Partner Center is
"missing"; a fault of the network, of Microsoft's or of ours is "cannot tell" and blocks nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from include.nce.domain.partner import Partner


class Check(str, Enum):
    """The checks; the value is the task id, the step's name and the word on the card."""

    MPA = "check_mpa"
    INDIRECT_PROVIDER_LINK = "check_indirect_provider_link"
    MPN_ID = "check_mpn_id"
    CUSTOMER_MCA = "check_customer_mca"


class Answer(str, Enum):
    SATISFIED = "satisfied"
    MISSING = "missing"
    WAITING_FOR_MICROSOFT = "waiting_for_microsoft"
    CANNOT_TELL = "cannot_tell"


class Owner(str, Enum):
    """Who has to act next."""

    NOBODY = "nobody"
    PARTNER = "partner"
    CUSTOMER = "customer"
    PROVIDER = "provider"
    MICROSOFT = "microsoft"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Finding:
    """What a check found, in words an operator can act on.

    `missing_customers` is only used by `check_customer_mca`: those whose subscriptions are held, while the
    other customers' go on.
    """

    check: Check
    answer: Answer
    reason: str
    owner: Owner = Owner.NOBODY
    remedy: str = ""
    code: int | None = None
    missing_customers: tuple[str, ...] = ()
    customers: int = 0

    @property
    def satisfied(self) -> bool:
        return self.answer is Answer.SATISFIED

    @property
    def blocks_partner(self) -> bool:
        """An explicit negative for the whole partner. Some customers without MCA hold only themselves."""
        if self.answer not in (Answer.MISSING, Answer.WAITING_FOR_MICROSOFT):
            return False
        if self.check is not Check.CUSTOMER_MCA:
            return True
        return self.customers > 0 and len(self.missing_customers) >= self.customers

    @property
    def sentence(self) -> str:
        """What, who must act, how."""
        parts = [self.reason]
        if self.owner is not Owner.NOBODY:
            parts.append(f"Who acts: {self.owner.value}.")
        if self.remedy:
            parts.append(self.remedy)
        return " ".join(parts)


class MpaState(str, Enum):
    SIGNED = "signed"
    NOT_SIGNED = "not_signed"
    OTHER_REGION = "other_region"
    NOT_A_RESELLER = "not_a_reseller"
    CANNOT_TELL = "cannot_tell"


@dataclass(frozen=True)
class MpaStatus:
    """Partner Center's answer about the Microsoft Partner Agreement; `code` is Microsoft's, when there was
    one."""

    state: MpaState
    code: int | None = None
    description: str = ""


@dataclass(frozen=True)
class ResellerLink:
    """One row of the provider's list of indirect resellers."""

    tenant_id: str
    name: str
    active: bool
    state: str
    mpn_id: str | None = None
    country: str | None = None


class PartnerOfRecord(str, Enum):
    """May this id be set as partner of record? `UNKNOWN` where Partner Center does not offer the question."""

    VALID = "valid"
    NOT_LINKED = "not_linked"
    NOT_AUTHORISED = "not_authorised"
    INVALID = "invalid"
    UNKNOWN = "unknown"


def judge_mpa(status: MpaStatus) -> Finding:
    """Signed, not signed (codes 2203 and 2206, or a plain false), or cannot tell."""
    if status.state is MpaState.SIGNED:
        return Finding(
            Check.MPA, Answer.SATISFIED, "The Microsoft Partner Agreement is signed.", code=status.code
        )
    if status.state is MpaState.NOT_SIGNED:
        return Finding(
            Check.MPA,
            Answer.MISSING,
            f"The Microsoft Partner Agreement is not signed{_code(status.code)}.",
            Owner.PARTNER,
            "A Global Admin of the partner signs it in Partner Center under Account settings, Agreements.",
            status.code,
        )
    if status.state is MpaState.OTHER_REGION:
        return Finding(
            Check.MPA,
            Answer.MISSING,
            f"The partner's CSP region is not ours, so its agreement does not count{_code(status.code)}.",
            Owner.PARTNER,
            "The partner enrols in our CSP region and signs the agreement there.",
            status.code,
        )
    if status.state is MpaState.NOT_A_RESELLER:
        return Finding(
            Check.MPA,
            Answer.MISSING,
            f"Partner Center knows no indirect reseller under this tenant or PartnerID{_code(status.code)}.",
            Owner.PARTNER,
            "The partner enrols as an indirect reseller, or tells us its right tenant id and PartnerID.",
            status.code,
        )
    return cannot_tell(Check.MPA, status.description or "Partner Center gave no usable answer.", status.code)


def judge_link(partner: Partner, links: Sequence[ResellerLink], *, guide: str = "") -> Finding:
    """Linked means: in the provider's list of resellers under this tenant, and active there."""
    link = next((item for item in links if item.tenant_id == partner.tenant_id), None)
    how = "A Global Admin of the partner accepts our invitation in Partner Center" + (
        f" (guide: {guide})." if guide else "."
    )
    if link is None:
        return Finding(
            Check.INDIRECT_PROVIDER_LINK,
            Answer.MISSING,
            "The partner is not in our list of indirect resellers.",
            Owner.PARTNER,
            how,
        )
    if not link.active:
        return Finding(
            Check.INDIRECT_PROVIDER_LINK,
            Answer.MISSING,
            f"The partner's link to us is '{link.state}', not active.",
            Owner.PARTNER,
            how,
        )
    return Finding(
        Check.INDIRECT_PROVIDER_LINK, Answer.SATISFIED, "The partner is linked to us as indirect provider."
    )


def judge_mpn(
    partner: Partner,
    links: Sequence[ResellerLink],
    *,
    profile_exists: bool,
    partner_of_record: PartnerOfRecord,
) -> Finding:
    """The local PartnerID (PLA) is known, exists, belongs to this reseller and may be partner of record.

    That a profile exists proves nothing: Partner Center answers for any valid id, somebody else's too.
    """
    tell_us = "The partner enters its local PartnerID (location account) in our marketplace."

    def missing(reason: str, remedy: str = tell_us, code: int | None = None) -> Finding:
        return Finding(Check.MPN_ID, Answer.MISSING, reason, Owner.PARTNER, remedy, code)

    if partner.mpn_id is None:
        return missing("No local PartnerID is known for this partner.")
    if not profile_exists:
        return missing(f"PartnerID {partner.mpn_id} does not exist in Partner Center (code 3000).", code=3000)
    if partner_of_record in (PartnerOfRecord.NOT_LINKED, PartnerOfRecord.INVALID):
        return missing(
            f"PartnerID {partner.mpn_id} is not linked to an active reseller tenant: it may be the global "
            "id, not the local one."
        )
    if partner_of_record is PartnerOfRecord.NOT_AUTHORISED:
        return missing(
            f"The reseller behind PartnerID {partner.mpn_id} is not authorised at the moment.",
            "The partner asks Microsoft's partner support why its reseller account is not authorised.",
        )
    owner = next((item for item in links if item.mpn_id == partner.mpn_id), None)
    if owner is not None and owner.tenant_id != partner.tenant_id:
        return missing(f"PartnerID {partner.mpn_id} belongs to another reseller, {owner.name}.")
    own = next((item for item in links if item.tenant_id == partner.tenant_id), None)
    if own is not None and own.country is not None and own.country.upper() != partner.country:
        return missing(
            f"Partner Center has this reseller in {own.country}, our roster in {partner.country}: the "
            "PartnerID must be the one of the local company."
        )
    if partner_of_record is PartnerOfRecord.UNKNOWN and (
        own is None or own.mpn_id not in (None, partner.mpn_id)
    ):
        return cannot_tell(
            Check.MPN_ID,
            f"Partner Center lists this reseller under PartnerID {own.mpn_id if own else 'none'}, our roster "
            f"has {partner.mpn_id}, and it offers no way to ask which one may be partner of record.",
        )
    return Finding(
        Check.MPN_ID, Answer.SATISFIED, f"Local PartnerID {partner.mpn_id} is valid as partner of record."
    )


def judge_customer_mca(accepted: dict[str, bool], names: dict[str, str] | None = None) -> Finding:
    """Accepted = confirmed by the partner or signed directly. `accepted` maps customer tenant to the
    answer."""
    missing = tuple(sorted(tenant for tenant, yes in accepted.items() if not yes))
    total = len(accepted)
    if not missing:
        what = "No customers." if total == 0 else f"All {total} customers accepted the Customer Agreement."
        return Finding(Check.CUSTOMER_MCA, Answer.SATISFIED, what, customers=total)
    return Finding(
        Check.CUSTOMER_MCA,
        Answer.MISSING,
        f"{len(missing)} of {total} customers have not accepted the Microsoft Customer Agreement: "
        + ", ".join(missing[:5])
        + (f" and {len(missing) - 5} more." if len(missing) > 5 else "."),
        Owner.PARTNER,
        "The partner has its customers accept it, or sends us their confirmation; the others go on.",
        missing_customers=missing,
        customers=total,
    )


def cannot_tell(check: Check, why: str, code: int | None = None) -> Finding:
    """Nobody's fault yet: the question is asked again, and nothing is reported to the partner."""
    return Finding(check, Answer.CANNOT_TELL, why, Owner.PROVIDER, "It is asked again by itself.", code)


def at_cut_over(finding: Finding) -> Finding:
    """What a check that never became clear says once the cut-over is there."""
    if finding.answer is Answer.CANNOT_TELL:
        return replace(
            finding, remedy="Operators find out why Partner Center does not answer, then clear this task."
        )
    return finding


def _code(code: int | None) -> str:
    return f" (code {code})" if code is not None else ""


class WatchWord(str, Enum):
    """What a watcher does with a finding."""

    GREEN = "green"
    WAIT = "wait"
    RED = "red"
    SKIP = "skip"


def watch_word(finding: Finding, *, cut_over: bool, opted_out: bool, once: bool) -> WatchWord:
    """Green when in order; skipped once an opt-out is decided; red only when time is up.

    `cut_over`: the campaign's cut-over has come. `once`: a run in mode `plan` asks once and waits for
    nothing.
    """
    if finding.satisfied:
        return WatchWord.GREEN
    if opted_out:
        return WatchWord.SKIP
    if not (cut_over or once):
        return WatchWord.WAIT
    if (
        finding.check is Check.CUSTOMER_MCA
        and finding.answer is Answer.MISSING
        and not finding.blocks_partner
    ):
        return WatchWord.GREEN
    return WatchWord.RED
