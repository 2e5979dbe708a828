"""``python -m scripts.mutation_check``: are the safety tests awake? Without a guard they must fail.

A copy of the checkout is made, one guard in it is taken away, and the tests that watch it run there. A guard
whose absence nobody notices is a survivor: exit code 1. The tests run once with all guards first, so that a
test that fails anyway is not taken for a watchful one. Nothing is changed in the checkout itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scripts.stack.installation import CHECKOUT

TROUBLE = "tests/unit/steps/test_any_order_of_trouble.py"
PURCHASES = "tests/unit/steps/test_buy_nce.py"
LOCKS = "tests/integration/ledger/test_two_at_once.py"
CONTRACT = "tests/integration/ledger/test_contract.py"
ANY_ORDER = "tests/safety/test_any_order.py"
OPT_OUTS = "tests/unit/steps/people/test_opt_outs.py"
AUTHORS = "tests/unit/domain/test_author.py"
SENDING = "tests/unit/steps/test_sending.py"
LAST_WORD = "tests/integration/ledger/test_last_word.py"
LINEAGE = "tests/unit/domain/test_lineage.py"
APPROVALS = "tests/unit/steps/test_approve_plan.py"
QUESTIONS = "tests/unit/orchestration/test_questions.py"
RERUNS = "tests/unit/orchestration/test_rerun.py"
TESTS = (
    TROUBLE, PURCHASES, LOCKS, CONTRACT, ANY_ORDER, OPT_OUTS, AUTHORS, SENDING, LAST_WORD, LINEAGE, APPROVALS,
    QUESTIONS, RERUNS,
)  # fmt: skip
LEFT_OUT = (
    ".git",
    ".venv",
    ".local",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
)
LONGEST_SECONDS = 1800


@dataclass(frozen=True)
class Mutant:
    """One guard, and what stands in its place when it is off. `old` stands in `file` exactly once."""

    guard: str
    file: str
    old: str
    new: str
    watched_by: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A test file that failed, and what pytest said of it."""

    test: str
    said: str


MUTANTS = (
    Mutant(
        "the cancel gate",
        "include/nce/domain/cancellation.py",
        "        if why is not None:\n",
        "        if why is not None and False:\n",
        (TROUBLE, ANY_ORDER),
    ),
    Mutant(
        "the look before anything is sent again",
        "include/nce/steps/buy_nce.py",
        "if migrates and (sent is not None or base.state.is_in_doubt) and await _find(bundle, sent, desk):",
        "if False:",
        (PURCHASES, ANY_ORDER),
    ),
    Mutant(
        "the last look at the opt-out before a purchase",
        "include/nce/steps/last_look.py",
        "    verdict = ruling.for_customer(base.customer_id)\n",
        "    verdict = OptOutVerdict.NONE\n",
        (TROUBLE, ANY_ORDER),
    ),
    Mutant(
        "a withdrawal leaves the later word",
        "include/nce/domain/opt_out.py",
        "ends=tuple(opt_out for opt_out in standing if opt_out.received_at <= at),",
        "ends=tuple(standing),",
        (OPT_OUTS, CONTRACT),
    ),
    Mutant(
        "the undo case of what was bought before its opt-out was recorded",
        "include/nce/steps/people/record_opt_out.py",
        "    for partner in partners.values():\n",
        "    for partner in list(partners.values())[:0]:\n",
        (OPT_OUTS,),
    ),
    Mutant(
        "lists of opt-outs are written in one order",
        "include/nce/ledger/opt_outs.py",
        "in sorted(enumerate(opt_outs), key=lambda each: _key(each[1])):",
        "in enumerate(opt_outs):",
        (LOCKS,),
    ),
    Mutant(
        "no person's word without a name",
        "include/nce/domain/author.py",
        "        if not name:\n",
        "        if False:\n",
        (AUTHORS,),
    ),
    Mutant(
        "the approval of exactly this plan",
        "include/nce/steps/last_look.py",
        "    if reasons and said is None:\n",
        "    if False:\n",
        (PURCHASES,),
    ),
    Mutant(
        "an answer counts for the standing question alone",
        "include/nce/domain/question.py",
        "    if answer.about and answer.about != question.about:\n",
        "    if False:\n",
        (APPROVALS,),
    ),
    Mutant(
        "what Airflow shows is what is asked",
        "include/nce/orchestration/questions.py",
        '        if not _is_about(question, shown.params, shown.body or ""):\n',
        "        if False:\n",
        (QUESTIONS,),
    ),
    Mutant(
        "what runs again was confirmed",
        "include/nce/steps/start_partners.py",
        "    if starts.must_be_confirmed and not await is_confirmed(starts, ledger):\n",
        "    if False:\n",
        (RERUNS,),
    ),
    Mutant(
        "the comparison of a line with its plan",
        "include/nce/steps/last_look.py",
        "        stop = await _not_as_planned(bundle, plan, holdings, now_at, desk)\n",
        "        stop = None\n",
        (PURCHASES,),
    ),
    Mutant(
        "the single writer's lock",
        "include/nce/ledger/ledger.py",
        'lock_key("writer", tenant_id, key) for key in keys',
        'lock_key("writer", tenant_id, key, __import__("os").urandom(8).hex()) for key in keys',
        (LOCKS, ANY_ORDER),
    ),
    Mutant(
        "the look whether the lock is still held",
        "include/nce/ledger/locks.py",
        "        return self._keys <= held\n",
        "        return True\n",
        (LOCKS, ANY_ORDER),
    ),
    Mutant(
        "one open intention for each purchase",
        "include/nce/ledger/commands.py",
        "            if standing is not None:\n",
        "            if standing is not None and False:\n",
        (CONTRACT, ANY_ORDER),
    ),
    Mutant(
        "an answered command is never sent again",
        "include/nce/ledger/commands.py",
        "            if await _events(session, command_id) & set(ANSWERS):\n",
        "            if False:\n",
        (CONTRACT, ANY_ORDER),
    ),
    Mutant(
        "who was overtaken writes nothing",
        "include/nce/ledger/conversions.py",
        "    if row.state is not seen.state:\n",
        "    if False:\n",
        (CONTRACT, ANY_ORDER),
    ),
    Mutant(
        "what was decided by one plan says nothing of the next",
        "include/nce/ledger/conversions.py",
        "    if row.plan_id != seen.plan_id:\n",
        "    if False:\n",
        (CONTRACT,),
    ),
    Mutant(
        "a refusal of the second checkout says nothing of the first",
        "include/nce/steps/buy_nce.py",
        "    if command.kind is not CommandKind.CHECK_OUT:\n",
        "    if True:\n",
        (PURCHASES,),
    ),
    Mutant(
        "the last word, when nothing but the bytes is left to do",
        "include/nce/steps/sending.py",
        "                await last_word(standing)\n",
        "",
        (SENDING,),
    ),
    Mutant(
        "the age of the last word",
        "include/nce/steps/sending.py",
        "            if monotonic() - looked_at <= LOOK_GOOD_FOR_SECONDS:\n",
        "            if True:\n",
        (SENDING,),
    ),
    Mutant(
        "the lock, once more after the last word",
        "include/nce/steps/sending.py",
        "            await _refuse_without_lock(writer, intent.base)\n            if monotonic()",
        "            if monotonic()",
        (SENDING,),
    ),
    Mutant(
        "what never left is no answer",
        "include/nce/steps/sending.py",
        "        if not departure.left:\n",
        "        if False:\n",
        (SENDING,),
    ),
    Mutant(
        "a person's word and a send take turns",
        "include/nce/ledger/transactions.py",
        "    await campaign_shared(session, campaign)\n    await partner_turn(session, campaign, partner)\n",
        "",
        (LAST_WORD,),
    ),
    Mutant(
        "what is on its way counts for the brake",
        "include/nce/steps/brake.py",
        "figures.if_all_fail(in_flight)",
        "figures",
        (LAST_WORD,),
    ),
    Mutant(
        "the table of moves",
        "include/nce/domain/conversion.py",
        "        if not may_become(self.state, state):\n",
        "        if False:\n",
        (CONTRACT,),
    ),
    Mutant(
        "an ended successor is none",
        "include/nce/domain/lineage.py",
        "    return nce.migrated_from_id == legacy_id and not is_over(nce)\n",
        "    return nce.migrated_from_id == legacy_id\n",
        (LINEAGE,),
    ),
)


def main() -> int:
    """Run every mutant; 0 when the tests have caught them all."""
    console = Console()
    table = Table("guard that was switched off", "caught by", "seconds", title="Mutation check")
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="nce-mutants-") as folder:
        Path(folder).chmod(0o711)  # root's PostgreSQL runs under another account
        copy = _copied(Path(folder) / "checkout")
        failing = _first_to_fail(copy, TESTS)
        if failing is not None:
            console.print(failing.said, markup=False, highlight=False, soft_wrap=True)
            console.print(f"{failing.test} fails with every guard in place: nothing can be said of mutants.")
            return 1
        for mutant in MUTANTS:
            began = time.monotonic()
            caught = _caught_by(mutant, copy)
            survivors += caught is None
            watcher = caught.test if caught is not None else "[bold red]nobody[/]"
            table.add_row(mutant.guard, watcher, f"{time.monotonic() - began:.0f}")
    console.print(table)
    console.print(f"{len(MUTANTS)} guards switched off, {survivors} not noticed.")
    return 1 if survivors else 0


def _copied(target: Path) -> Path:
    return Path(shutil.copytree(CHECKOUT, target, ignore=shutil.ignore_patterns(*LEFT_OUT)))


def _caught_by(mutant: Mutant, copy: Path) -> Failure | None:
    """The first of its watchers that fails without the guard; None when all of them pass."""
    file = copy / mutant.file
    whole = file.read_text()
    if whole.count(mutant.old) != 1:
        times = whole.count(mutant.old)
        raise SystemExit(
            f"{mutant.file}: the words for {mutant.guard} stand there {times} times instead of once; write "
            "those of today into scripts/mutation_check.py."
        )
    file.write_text(whole.replace(mutant.old, mutant.new))
    try:
        return _first_to_fail(copy, mutant.watched_by)
    finally:
        file.write_text(whole)


def _first_to_fail(copy: Path, tests: tuple[str, ...]) -> Failure | None:
    for test in tests:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "--show-capture=no", test],
            cwd=copy,
            env={**os.environ, "NCE_SAFETY": "mutants"},
            capture_output=True,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        if done.returncode == 1:
            return Failure(test, done.stdout)
        if done.returncode != 0:
            raise SystemExit(f"{test} could not be run:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}")
    return None


if __name__ == "__main__":
    sys.exit(main())
