"""Three answers, never two: in order, missing, cannot tell."""

from __future__ import annotations

import pytest

from include.nce.domain.readiness import (
    Answer,
    Check,
    Finding,
    MpaState,
    MpaStatus,
    Owner,
    PartnerOfRecord,
    ResellerLink,
    WatchWord,
    at_cut_over,
    cannot_tell,
    judge_customer_mca,
    judge_link,
    judge_mpa,
    judge_mpn,
    watch_word,
)
from tests.support.examples import MPN_ID, OTHER_MPN_ID, OTHER_TENANT, PARTNER_TENANT, partner


def link(**changes: object) -> ResellerLink:
    facts: dict[str, object] = {
        "tenant_id": PARTNER_TENANT,
        "name": "Rossi",
        "active": True,
        "state": "active",
        "mpn_id": MPN_ID,
        "country": "IT",
    }
    return ResellerLink(**{**facts, **changes})  # type: ignore[arg-type]


SOMEBODY_ELSE = link(tenant_id=OTHER_TENANT, name="Bianchi", mpn_id=OTHER_MPN_ID)


@pytest.mark.parametrize(
    ("state", "code", "answer", "owner", "says"),
    [
        (MpaState.SIGNED, None, Answer.SATISFIED, Owner.NOBODY, "is signed"),
        (MpaState.NOT_SIGNED, 2203, Answer.MISSING, Owner.PARTNER, "not signed (code 2203)"),
        (MpaState.NOT_SIGNED, 2206, Answer.MISSING, Owner.PARTNER, "not signed (code 2206)"),
        (MpaState.NOT_SIGNED, None, Answer.MISSING, Owner.PARTNER, "not signed."),
        (MpaState.OTHER_REGION, 600039, Answer.MISSING, Owner.PARTNER, "region is not ours"),
        (MpaState.NOT_A_RESELLER, 2000, Answer.MISSING, Owner.PARTNER, "no indirect reseller"),
        (MpaState.CANNOT_TELL, None, Answer.CANNOT_TELL, Owner.PROVIDER, "no usable answer"),
    ],
)
def test_every_answer_about_the_partner_agreement(
    state: MpaState, code: int | None, answer: Answer, owner: Owner, says: str
) -> None:
    finding = judge_mpa(MpaStatus(state, code))

    assert (finding.check, finding.answer, finding.owner, finding.code) == (Check.MPA, answer, owner, code)
    assert says in finding.sentence


def test_the_reason_for_not_being_able_to_tell_is_microsofts_own() -> None:
    assert judge_mpa(MpaStatus(MpaState.CANNOT_TELL, 500, "try later")).reason == "try later"


def test_a_reseller_that_is_active_in_our_list_is_linked() -> None:
    assert judge_link(partner(), [SOMEBODY_ELSE, link()]).satisfied


@pytest.mark.parametrize(
    ("links", "says"),
    [
        ([], "not in our list"),
        ([SOMEBODY_ELSE], "not in our list"),
        ([link(active=False, state="pending")], "'pending', not active"),
    ],
)
def test_a_reseller_that_is_absent_or_inactive_is_not_linked(links: list[ResellerLink], says: str) -> None:
    finding = judge_link(partner(), links)

    assert (finding.answer, finding.owner) == (Answer.MISSING, Owner.PARTNER)
    assert says in finding.reason


def test_the_guide_of_the_partners_country_is_told() -> None:
    assert (
        "https://provider.example/it" in judge_link(partner(), [], guide="https://provider.example/it").remedy
    )
    assert "guide" not in judge_link(partner(), []).remedy


@pytest.mark.parametrize(
    ("mpn_id", "exists", "valid", "links", "answer", "says"),
    [
        (MPN_ID, True, "valid", [link()], Answer.SATISFIED, "is valid"),
        (MPN_ID, True, "unknown", [link()], Answer.SATISFIED, "is valid"),
        (MPN_ID, True, "unknown", [link(mpn_id=None)], Answer.SATISFIED, "is valid"),
        # One reseller may have several locations, and Partner Center says this one will do.
        (MPN_ID, True, "valid", [link(mpn_id="4711999")], Answer.SATISFIED, "is valid"),
        (MPN_ID, True, "valid", [link(country=None)], Answer.SATISFIED, "is valid"),
        (MPN_ID, True, "valid", [link(country="it")], Answer.SATISFIED, "is valid"),
        (None, False, "unknown", [link()], Answer.MISSING, "No local PartnerID is known"),
        (MPN_ID, False, "unknown", [link()], Answer.MISSING, "code 3000"),
        (MPN_ID, True, "not_linked", [link()], Answer.MISSING, "may be the global"),
        (MPN_ID, True, "invalid", [link()], Answer.MISSING, "may be the global"),
        (MPN_ID, True, "not_authorised", [link()], Answer.MISSING, "not authorised"),
        # That a profile exists proves nothing: it may be somebody else's.
        (OTHER_MPN_ID, True, "valid", [link(), SOMEBODY_ELSE], Answer.MISSING, "another reseller, Bianchi"),
        (MPN_ID, True, "valid", [link(country="DE")], Answer.MISSING, "has this reseller in DE"),
        # Where nobody can be asked, neither yes nor no.
        (MPN_ID, True, "unknown", [link(mpn_id="4711999")], Answer.CANNOT_TELL, "under PartnerID 4711999"),
        (MPN_ID, True, "unknown", [], Answer.CANNOT_TELL, "under PartnerID none"),
    ],
)
def test_every_answer_about_the_partner_id(
    mpn_id: str | None, exists: bool, valid: str, links: list[ResellerLink], answer: Answer, says: str
) -> None:
    finding = judge_mpn(
        partner(mpn_id=mpn_id), links, profile_exists=exists, partner_of_record=PartnerOfRecord(valid)
    )

    assert finding.answer is answer
    assert says in finding.reason


def test_all_customers_accepted() -> None:
    finding = judge_customer_mca({"a": True, "b": True})

    assert finding.satisfied
    assert finding.customers == 2
    assert "All 2 customers" in finding.reason


def test_a_partner_without_customers_misses_nothing() -> None:
    assert judge_customer_mca({}).satisfied


def test_customers_who_did_not_accept_are_named_and_block_only_themselves() -> None:
    finding = judge_customer_mca({"b": False, "a": False, "c": True})

    assert finding.answer is Answer.MISSING
    assert finding.missing_customers == ("a", "b")
    assert "2 of 3 customers" in finding.reason
    assert not finding.blocks_partner


def test_the_partner_is_blocked_when_no_customer_at_all_accepted() -> None:
    assert judge_customer_mca({"a": False, "b": False}).blocks_partner


def test_a_long_list_of_customers_is_cut_short() -> None:
    finding = judge_customer_mca({f"customer-{n}": False for n in range(8)})

    assert "customer-4 and 3 more." in finding.reason
    assert len(finding.missing_customers) == 8


@pytest.mark.parametrize("check", list(Check))
@pytest.mark.parametrize(
    ("answer", "blocks"),
    [
        (Answer.SATISFIED, False),
        (Answer.CANNOT_TELL, False),
        (Answer.MISSING, True),
        (Answer.WAITING_FOR_MICROSOFT, True),
    ],
)
def test_only_an_explicit_negative_blocks_a_partner(check: Check, answer: Answer, blocks: bool) -> None:
    finding = Finding(check, answer, "", missing_customers=("a",), customers=1)

    assert finding.blocks_partner is blocks


def test_a_sentence_says_what_who_and_how() -> None:
    finding = Finding(Check.MPA, Answer.MISSING, "Not signed.", Owner.PARTNER, "Sign it.")

    assert finding.sentence == "Not signed. Who acts: partner. Sign it."
    assert Finding(Check.MPA, Answer.SATISFIED, "Signed.").sentence == "Signed."


def test_what_cannot_be_told_is_the_providers_to_look_at_never_the_partners() -> None:
    assert cannot_tell(Check.MPA, "503").owner is Owner.PROVIDER


def test_what_never_became_clear_asks_for_somebody_at_the_cut_over() -> None:
    unclear = cannot_tell(Check.MPA, "503")

    assert "clear this task" in at_cut_over(unclear).remedy
    signed = judge_mpa(MpaStatus(MpaState.SIGNED))
    assert at_cut_over(signed) == signed


GREEN, WAIT, RED, SKIP = WatchWord.GREEN, WatchWord.WAIT, WatchWord.RED, WatchWord.SKIP
IN_ORDER = Finding(Check.MPA, Answer.SATISFIED, "")
MISSING = Finding(Check.MPA, Answer.MISSING, "")
UNCLEAR = Finding(Check.MPA, Answer.CANNOT_TELL, "")
AT_MICROSOFT = Finding(Check.MPA, Answer.WAITING_FOR_MICROSOFT, "")
SOME_MCA = Finding(Check.CUSTOMER_MCA, Answer.MISSING, "", missing_customers=("a",), customers=2)
NO_MCA = Finding(Check.CUSTOMER_MCA, Answer.MISSING, "", missing_customers=("a", "b"), customers=2)
UNCLEAR_MCA = Finding(Check.CUSTOMER_MCA, Answer.CANNOT_TELL, "")


@pytest.mark.parametrize(
    ("finding", "now", "opted_out", "at_the_cut_over"),
    [
        (IN_ORDER, GREEN, GREEN, GREEN),
        (MISSING, WAIT, SKIP, RED),
        (UNCLEAR, WAIT, SKIP, RED),
        (AT_MICROSOFT, WAIT, SKIP, RED),
        # Who accepted goes on; the others' subscriptions are held.
        (SOME_MCA, WAIT, SKIP, GREEN),
        (NO_MCA, WAIT, SKIP, RED),
        (UNCLEAR_MCA, WAIT, SKIP, RED),
    ],
)
def test_what_a_watcher_does(
    finding: Finding, now: WatchWord, opted_out: WatchWord, at_the_cut_over: WatchWord
) -> None:
    assert watch_word(finding, cut_over=False, opted_out=False, once=False) is now
    assert watch_word(finding, cut_over=False, opted_out=True, once=False) is opted_out
    assert watch_word(finding, cut_over=True, opted_out=False, once=False) is at_the_cut_over
    # A plan asks once and waits for nothing; an opt-out skips also when time is up.
    assert watch_word(finding, cut_over=False, opted_out=False, once=True) is at_the_cut_over
    assert watch_word(finding, cut_over=True, opted_out=True, once=True) is opted_out
