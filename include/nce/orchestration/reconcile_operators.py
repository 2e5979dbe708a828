"""The tasks of `nce_reconcile`: what each does is said by its step, how Airflow runs it is said here.

All run on a worker, few at a time, so that partners' runs find theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from include.nce.orchestration.operators import _FirstStep, _Step

if TYPE_CHECKING:
    from include.nce.domain.partner import Partner
    from include.nce.orchestration.composition import Product
    from include.nce.orchestration.params import ReconcileConf
    from include.nce.steps.list_partners import Page
    from include.nce.steps.reconcile_partner import Reconciled

UNREACHABLE_IN_A_ROW = 5
"""So many partners after each other of whom not one customer could be read: then it is not the partners."""
SAID_EVERY_PARTNERS = 25


class OutOfReach(Exception):
    """Partner Center could not be read for several partners in a row; worth another try later."""


class ListPartners(_FirstStep):
    """Returns a reference for each page of partners."""

    async def work(self, context: Context) -> list[dict[str, Any]]:
        from include.nce.orchestration.composition import product
        from include.nce.orchestration.params import ReconcileConf
        from include.nce.steps.list_partners import list_partners

        conf = ReconcileConf.read(context["params"])
        async with product() as world:
            pages = await list_partners(conf.campaign, conf.partners, ledger=world.ledger, clock=world.clock)
        self.log.info("Partners: %d, in pages: %d.", sum(page.partners for page in pages), len(pages))
        return [page.reference() for page in pages]


class ReconcilePartners(_Step):
    """Compares one page of partners; one that breaks the comparison is told, and the others go on."""

    template_fields: Sequence[str] = ("page",)

    def __init__(self, *, page: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.page = page

    async def work(self, context: Context) -> None:
        from include.nce.orchestration.composition import product
        from include.nce.orchestration.params import ReconcileConf
        from include.nce.steps.list_partners import Page

        conf = ReconcileConf.read(context["params"])
        async with product() as world:
            broken = await self.compare(Page.read(dict(self.page)), context["run_id"], conf, world)
        if broken:
            raise AirflowFailException(
                f"{len(broken)} partners broke the comparison and were not compared: {', '.join(broken)}. "
                "Engineers look at the traceback above."
            )

    async def compare(self, page: Page, run_id: str, conf: ReconcileConf, world: Product) -> list[str]:
        """Compare the page's partners one after another; the short ids of those that broke it."""
        from include.nce.orchestration.patience import OUT_OF_REACH
        from include.nce.steps.list_partners import partners_of

        broken: list[str] = []
        done = unreachable = 0
        async for partner in partners_of(page, ledger=world.ledger):
            try:
                compared = await self._compare_one(page, partner, run_id, conf, world)
                self._say(partner.partner, compared)
                unreachable = unreachable + 1 if compared.out_of_reach else 0
            except OUT_OF_REACH:
                raise
            except Exception:
                self.log.exception("%s broke the comparison; the others go on.", partner.partner)
                broken.append(partner.partner)
                await _note_broken(page, partner, run_id, world)
            done += 1
            if done % SAID_EVERY_PARTNERS == 0:
                self.log.info("%d of %d partners.", done, page.partners)
            if unreachable == UNREACHABLE_IN_A_ROW:
                raise OutOfReach(
                    f"Partner Center could not be read for {unreachable} partners in a row, up to "
                    f"{partner.partner}; the rest of this page was not compared. {compared.unread}"
                )
        self.log.info("%s: all %d partners of this page looked at.", page.campaign, done)
        return broken

    async def _compare_one(
        self, page: Page, partner: Partner, run_id: str, conf: ReconcileConf, world: Product
    ) -> Reconciled:
        from include.nce.steps.reconcile_partner import reconcile_partner

        return await reconcile_partner(
            run_id, page.campaign, partner, repair=conf.repair,
            partner_center=world.partner_center, ledger=world.ledger, clock=world.clock,
        )  # fmt: skip

    def _say(self, partner: str, compared: Reconciled) -> None:
        if compared.unread:
            self.log.warning(
                "%s: %d of %d subscriptions compared. %s",
                partner, compared.compared, compared.lines, compared.unread,
            )  # fmt: skip
        for word, sentences in (
            ("new", compared.changes.opened),
            ("is back", compared.changes.returned),
        ):
            for sentence in sentences:
                self.log.warning("%s, %s: %s", partner, word, sentence)
        for sentence in compared.repaired:
            self.log.info("%s, repaired: %s", partner, sentence)
        for sentence in compared.changes.resolved:
            self.log.info("%s, gone: %s", partner, sentence)


async def _note_broken(page: Page, partner: Partner, run_id: str, world: Product) -> None:
    """Nobody has looked: its findings stay as they are, and it is told as not compared."""
    await world.ledger.record_comparison(
        run_id, page.campaign, partner.partner, [], compared=(), lines=0,
        unread="its data broke the comparison: engineers look at the log of reconcile_partners.",
        at=await world.clock.now(),
    )  # fmt: skip


class CloseReconcile(_Step):
    """Says what the comparison came to; its colour is the run's."""

    ui_color = "#e8eaed"

    async def work(self, context: Context) -> None:
        from include.nce.orchestration.composition import product
        from include.nce.orchestration.operators import _task_name
        from include.nce.orchestration.params import ReconcileConf
        from include.nce.steps.close_reconcile import close_reconcile

        conf = ReconcileConf.read(context["params"])
        ti = context["ti"]
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[context["run_id"]])
        failed = sorted(
            {
                _task_name(task)
                for task, state in states.get(context["run_id"], {}).items()
                if state == "failed" and task != ti.task_id
            }
        )
        async with product() as world:
            closed = await close_reconcile(
                context["run_id"], conf.campaign, conf.partners, failed,
                ledger=world.ledger, clock=world.clock,
            )  # fmt: skip
        ti.xcom_push(key="sentence", value=closed.sentence)
        if closed.red:
            raise AirflowFailException(closed.sentence)
        self.log.info(closed.sentence)
