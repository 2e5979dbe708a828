"""`nce status`: where a campaign stands, partner by partner, or one partner down to its subscriptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from include.nce.cli.display import in_utc, print_json, print_table, remark, say
from include.nce.cli.entry import Unavailable, as_command
from include.nce.cli.surroundings import (
    CampaignOption,
    JsonOption,
    campaign_named,
    campaign_now,
    open_ledger,
)
from include.nce.domain.classification import SubscriptionClass
from include.nce.domain.opt_out import OptOutVerdict
from include.nce.domain.outcome import RunOutcome
from include.nce.domain.readiness import Answer, Check, Owner

if TYPE_CHECKING:
    from include.nce.ledger.reports import OptOutStatus, PartnerStatus, SubscriptionStatus, Totals

TABLE_LIMIT = 100

_CHECKS = {
    Check.MPA: "MPA",
    Check.INDIRECT_PROVIDER_LINK: "LINK",
    Check.MPN_ID: "MPN",
    Check.CUSTOMER_MCA: "MCA",
}
_SYMBOLS = {
    Answer.SATISFIED: "✓",
    Answer.MISSING: "✗",
    Answer.WAITING_FOR_MICROSOFT: "…",
    Answer.CANNOT_TELL: "?",
}
_NOT_ASKED = "·"
_LEGEND = "✓ in order   ✗ missing   … waiting for Microsoft   ? cannot tell   · not asked yet"


@as_command
async def status(
    partner: Annotated[
        str | None,
        typer.Option("--partner", "-p", metavar="PARTNER", help="Only this one, with its subscriptions."),
    ] = None,
    outcome: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTCOME",
            help=f"Only partners that stand so; may be given several times: running, not_started, "
            f"{', '.join(o.value for o in RunOutcome)}.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help=f"At most so many partners; left out: {TABLE_LIMIT} in a table, all in JSON.",
        ),
    ] = None,
    after: Annotated[
        str, typer.Option(metavar="PARTNER", help="Go on after this partner: the next page.")
    ] = "",
    subscriptions: Annotated[
        bool | None,
        typer.Option(
            "--subscriptions/--no-subscriptions",
            help="With every subscription, or without; left out: with them in JSON and for one partner.",
            show_default=False,
        ),
    ] = None,
    campaign: CampaignOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show where the campaign stands.

    Each partner with its checks, opt-out, outcome and the reason for it. The outcome is how the latest
    run ended; `running` while it is open. Red in Airflow are blocked, unresolved and failed: somebody
    has to act, and the reason says who. The JSON is described in docs/reference/status-json.md.
    """
    wanted = _known_outcomes(outcome or ())
    in_detail = (as_json or partner is not None) if subscriptions is None else subscriptions
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        report = await ledger.status(name, partner, with_subscriptions=in_detail)
        stopped = (await ledger.brake_record(name)).sentence
    now_at = await _now_or_none()
    chosen = [p for p in report.partners if p.partner > after and (not wanted or stage_of(p) in wanted)]
    size = limit or (len(chosen) if as_json else TABLE_LIMIT)
    shown, rest = chosen[:size], chosen[size:]
    if as_json:
        from include.nce.cli.status_document import StatusDocument, partner_in_status

        print_json(
            StatusDocument(
                campaign=report.campaign,
                version=report.version,
                now=now_at,
                stopped=stopped,
                partners=[partner_in_status(p, stage=stage_of(p), reason=_reason(p)) for p in shown],
                totals=report.totals,
            )
        )
        return
    clock = f", {in_utc(now_at)} UTC" if now_at else ""
    say(f"{report.campaign}, version {report.version}{clock}: {_sums(report.totals)}")
    if stopped:
        say(stopped)
    if partner is not None:
        _show_partner(shown[0]) if shown else say(f"{partner} does not stand so.")
    elif shown:
        _show_partners(shown, in_detail=in_detail)
    else:
        say("No partner to show." if report.partners else "No partner is enrolled yet: nce start.")
    if rest:
        remark(f"{len(rest)} more: --after {shown[-1].partner} shows them, --limit {len(chosen)} all.")


def stage_of(partner: PartnerStatus) -> str:
    """The outcome of the latest run, or why there is none yet."""
    if partner.outcome is not None:
        return partner.outcome.value
    return "not_started" if partner.run_id is None else "running"


def _known_outcomes(words: Sequence[str]) -> frozenset[str]:
    known = ["running", "not_started", *(outcome.value for outcome in RunOutcome)]
    for word in words:
        if word not in known:
            raise typer.BadParameter(f"'{word}' is none of {', '.join(known)}", param_hint="--outcome")
    return frozenset(words)


async def _now_or_none() -> datetime | None:
    """A status is worth something without the time, too."""
    try:
        return await campaign_now()
    except Unavailable as unavailable:
        remark(str(unavailable))
        return None


def _sums(totals: Totals) -> str:
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in totals.outcomes.items())
    classes = ", ".join(f"{number} {klass.value}" for klass, number in totals.subscriptions.items())
    text = f"{totals.partners} partner{'' if totals.partners == 1 else 's'}"
    return f"{text} ({outcomes}); subscriptions: {classes or 'none planned yet'}" if outcomes else text


def _show_partners(partners: Sequence[PartnerStatus], *, in_detail: bool) -> None:
    print_table(
        ("PARTNER", "NAME", *_CHECKS.values(), "OPT-OUT", "OUTCOME", "REASON"),
        [(p.partner, p.name, *_symbols(p), _opt_out(p.opt_out), stage_of(p), _reason(p)) for p in partners],
    )
    say(_LEGEND)
    for p in partners if in_detail else ():
        say("")
        _show_partner(p)


def _symbols(partner: PartnerStatus) -> list[str]:
    return [
        _SYMBOLS[partner.checks[check].answer] if check in partner.checks else _NOT_ASKED for check in _CHECKS
    ]


def _opt_out(ruling: OptOutStatus) -> str:
    if ruling.verdict is None:
        return _NOT_ASKED
    if ruling.verdict is OptOutVerdict.NONE:
        single = len(ruling.customers_in_time)
        return f"{single} customer{'s' if single > 1 else ''}" if single else "no"
    return str(ruling.verdict.value).replace("_", " ")


def _reason(partner: PartnerStatus) -> str:
    """How the run ended, or what an open one waits for."""
    if partner.outcome is not None:
        return partner.sentence
    waiting = [
        _who_acts(found.reason, found.owner, found.remedy)
        for found in partner.checks.values()
        if found.answer is not Answer.SATISFIED
    ]
    if waiting:
        return " ".join(waiting)
    return "It runs, or waits for a date or its wave." if partner.run_id else "No run yet: nce start."


def _who_acts(reason: str, owner: Owner, remedy: str) -> str:
    who = "" if owner is Owner.NOBODY else f"Who acts: {owner.value}."
    return " ".join(part for part in (reason, who, remedy) if part)


def _show_partner(partner: PartnerStatus) -> None:
    place = ", ".join(part for part in (partner.country, partner.province) if part)
    ids = f"tenant {partner.tenant_id}, PartnerID {partner.mpn_id or '-'}"
    say(f"{partner.partner}: {partner.name} ({place}), {ids}")
    if partner.run_id is not None:
        until = f", closed {in_utc(partner.closed_at)} UTC" if partner.closed_at else ""
        say(f"Run {partner.run_id} ({partner.mode}): opened {in_utc(partner.opened_at)} UTC{until}")
    say(f"Outcome: {stage_of(partner)}. {_reason(partner)}")
    if partner.checks:
        print_table(
            ("CHECK", "", "REASON", "ASKED (UTC)"),
            [
                (check.value, _SYMBOLS[found.answer], _who_acts(found.reason, found.owner, found.remedy),
                 in_utc(found.asked_at))
                for check, found in partner.checks.items()
            ],
        )  # fmt: skip
    say(f"Opt-out: {_opt_out_words(partner.opt_out)}")
    if partner.open_undo_cases:
        say(f"Undo cases open: {partner.open_undo_cases}. See: nce undo list --partner {partner.partner}")
    if partner.subscriptions:
        _show_subscriptions(partner.subscriptions)
    else:
        say(_counts(partner.totals))


def _opt_out_words(ruling: OptOutStatus) -> str:
    if ruling.verdict is None:
        return "not decided yet."
    single = f" Customers in time: {', '.join(ruling.customers_in_time)}." if ruling.customers_in_time else ""
    words = {
        OptOutVerdict.NONE: "none for the whole partner.",
        OptOutVerdict.IN_TIME: "in time; nothing is bought or cancelled.",
        OptOutVerdict.LATE: "too late; what is not bought is held for a person's decision.",
    }
    return words[ruling.verdict] + single


def _counts(totals: Mapping[SubscriptionClass, int]) -> str:
    return f"Subscriptions: {sum(totals.values())} planned." if totals else "Subscriptions: no plan yet."


def _show_subscriptions(subscriptions: Sequence[SubscriptionStatus]) -> None:
    print_table(
        ("SUBSCRIPTION", "CUSTOMER", "OFFER", "SEATS", "TERM END (UTC)", "CLASS", "REASON"),
        [
            (
                s.subscription,
                s.customer_name or "-",
                s.offer_name,
                str(s.seats),
                in_utc(s.term_end_at),
                s.klass.value,
                _why(s),
            )
            for s in subscriptions
        ],
    )


def _why(subscription: SubscriptionStatus) -> str:
    text = _who_acts(subscription.reason, subscription.owner, subscription.remedy)
    if text and not text.endswith((".", "?")):
        text += "."
    nce = f"NCE: {subscription.nce_subscription}." if subscription.nce_subscription else ""
    warning = f"Warning: {subscription.warning}" if subscription.warning else ""
    undo = f"Undo case {subscription.undo_case} is open." if subscription.undo_case else ""
    return " ".join(part for part in (text, nce, warning, undo) if part)
