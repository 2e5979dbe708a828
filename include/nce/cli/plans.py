"""`nce plan`: a dry run of one partner; what would be bought and cancelled, and nothing is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.nce.cli.display import in_utc, print_json, print_table, remark, say
from include.nce.cli.entry import Unavailable, as_command
from include.nce.cli.runs import PARTNER_DAG, Mode, PatienceOption, refuse_paused
from include.nce.cli.surroundings import CampaignOption, JsonOption, campaign_named, open_ledger
from include.nce.domain.approval import SHORT_HASH
from include.nce.domain.classification import SubscriptionClass, Verdict
from include.nce.domain.conversion import Route
from include.nce.domain.plan import batches
from include.nce.domain.subscription import Status, Subscription, SubscriptionKind
from include.nce.steps.enrol_partners import start_order

if TYPE_CHECKING:
    from include.nce.ledger.plan_reports import Plan, PlanLine


@as_command
async def plan(
    partner: Annotated[str, typer.Argument(metavar="PARTNER", help="Short id, such as rossi-informatica.")],
    campaign: CampaignOption = None,
    patience: PatienceOption = 600,
    as_json: JsonOption = False,
) -> None:
    """Work out what would be converted now.

    Buys and cancels nothing. Starts a run of mode plan in Airflow, waits for it and shows its plan:
    what is due in which batch with which term, billing and seats, and what is not and why. It waits for
    no date and for no missing check. The partner has to be enrolled: `nce start PARTNER --mode plan`
    does that.
    """
    async with open_ledger() as ledger:
        name = await campaign_named(ledger, campaign)
        policy = await ledger.campaign(name)
        order = start_order(await ledger.partner(name, partner), name, Mode.PLAN.value)
        run_id = str(order["trigger_run_id"])
        earlier = await ledger.plan_of(run_id)
    failed, began = _run(run_id, order, patience)
    async with open_ledger() as ledger:
        made = await ledger.plan_of(run_id)
    steps = [task for task in failed if not task.startswith("check_") and task != "close_run"]
    if steps:
        raise Unavailable(
            f"Run {run_id} made no plan, {', '.join(steps)} failed: its last log line says why."
        )
    if made is None or (began and earlier is not None and made.number == earlier.number):
        raise Unavailable(
            f"Run {run_id} finished, and its plan is not in this ledger; see that AIRFLOW_CONN_NCE_LEDGER "
            "names the one that Airflow uses."
        )
    batch_of = batch_numbers(made.lines, policy.batch_size)
    if as_json:
        from include.nce.cli.plan_document import plan_document

        print_json(plan_document(made, batch_of))
    else:
        _show(made, batch_of)
    for task in failed:
        if task.startswith("check_"):
            remark(f"{task} is red: what hangs on it is held, with the reason.")


def batch_numbers(lines: Sequence[PlanLine], batch_size: int) -> dict[str, int]:
    """Subscription -> the batch it would be converted in, counted from 1; an add-on goes with its base.

    A dry run opens no batches, so the rule that makes them is asked.
    """
    add_ons: dict[str, list[str]] = {}
    for line in lines:
        if line.klass is SubscriptionClass.DUE and line.travels_with is not None:
            add_ons.setdefault(line.travels_with, []).append(line.subscription)
    verdicts = [_verdict(line, tuple(add_ons.get(line.subscription, ()))) for line in lines]
    return {
        subscription: number
        for number, batch in enumerate(batches(verdicts, batch_size), start=1)
        for base in batch
        for subscription in (base, *add_ons.get(base, ()))
    }


def _verdict(line: PlanLine, bundle: tuple[str, ...]) -> Verdict:
    return Verdict(
        Subscription(
            subscription_id=line.subscription,
            customer_id=line.customer,
            offer_id=line.offer_id,
            offer_name=line.offer_name,
            kind=SubscriptionKind.LEGACY,
            status=Status.ACTIVE,
            seats=line.legacy_seats,
            term_end_at=line.term_end_at,
        ),
        line.klass,
        line.reason,
        route=line.route,
        last_safe_start_at=line.last_safe_start_at,
        travels_with=line.travels_with,
        bundle=bundle,
    )


def _run(run_id: str, order: Mapping[str, Any], patience: float) -> tuple[list[str], bool]:
    """Start the run, or start it again, and wait until it is finished; one that is under way is followed.

    Returns the tasks that failed, and whether the run began here.
    """
    # Imported here, so that commands which start nothing do not pay for httpx.
    from include.nce.cli.airflow_api import FINISHED, AirflowApi, RunExists

    with AirflowApi.open() as airflow:
        refuse_paused(airflow, PARTNER_DAG)
        began = True
        try:
            airflow.start(PARTNER_DAG, run_id, order["conf"], str(order["note"]))
        except RunExists:
            began = airflow.state(PARTNER_DAG, run_id) in FINISHED
            if began:
                airflow.start_again(PARTNER_DAG, run_id, str(order["note"]))
        remark(f"Run {run_id}: {airflow.page(PARTNER_DAG, run_id)}")
        state = airflow.wait(PARTNER_DAG, run_id, seconds=patience)
        return (airflow.failed_tasks(PARTNER_DAG, run_id) if state == "failed" else []), began


def _show(plan: Plan, batch_of: Mapping[str, int]) -> None:
    due = [line for line in plan.lines if line.klass is SubscriptionClass.DUE]
    say(
        f"Plan {plan.number} of {plan.partner} in {plan.campaign} (version {plan.campaign_version}), made "
        f"{in_utc(plan.created_at)} UTC. Nothing was bought or cancelled."
    )
    say(_would_do(due, len(set(batch_of.values()))))
    if any(line.klass in (SubscriptionClass.DUE, SubscriptionClass.SCHEDULED) for line in plan.lines):
        _say_hash(plan)
    if not plan.lines:
        say("The partner's customers hold no subscriptions.")
        return
    print_table(
        ("CLASS", "SUBSCRIPTIONS", "SEATS"),
        [
            (
                klass.value,
                str(number),
                str(sum(line.legacy_seats for line in plan.lines if line.klass is klass)),
            )
            for klass, number in plan.totals.items()
        ],
    )
    say("")
    print_table(
        (
            "BATCH",
            "SUBSCRIPTION",
            "OFFER",
            "CLASS",
            "ROUTE",
            "TERM",
            "BILLING",
            "SEATS",
            "TERM END (UTC)",
            "REASON",
        ),
        [
            (
                str(batch_of.get(line.subscription, "-")),
                line.subscription,
                line.offer_name,
                line.klass.value,
                line.route.value if line.route else "-",
                line.term or "-",
                line.billing or "-",
                _seats(line),
                in_utc(line.term_end_at),
                " ".join(part for part in (line.reason, line.remedy, line.warning) if part),
            )
            for line in plan.lines
        ],
    )


def _say_hash(plan: Plan) -> None:
    short = plan.hash[:SHORT_HASH]
    say(f"Its hash is {short}; to carry out just this: nce apply {plan.partner} {short}.")
    if plan.approved_by is not None:
        say(f"{plan.approved_by} has approved it.")
    elif plan.approval_needed:
        say(f"A person has to approve it before it is bought: {'; '.join(plan.approval_needed)}.")


def _would_do(due: Sequence[PlanLine], batch_count: int) -> str:
    if not due:
        return "Nothing would be bought or cancelled now."
    bought = sum(line.seats or line.legacy_seats for line in due)
    ours = sum(line.route is Route.PURCHASE for line in due)
    what = f"{_count(len(due), 'NCE subscription')} with {_count(bought, 'seat')}"
    return (
        f"Would buy {what} in {_count(batch_count, 'batch')}, and end as many legacy ones: {len(due) - ours} "
        f"suspended by Microsoft as it migrates them, {ours} by us once NCE covers them."
    )


def _count(number: int, noun: str) -> str:
    ending = "" if number == 1 else "es" if noun.endswith("ch") else "s"
    return f"{number} {noun}{ending}"


def _seats(line: PlanLine) -> str:
    if line.seats is None or line.seats == line.legacy_seats:
        return str(line.legacy_seats)
    return f"{line.legacy_seats} -> {line.seats}"
