"""Every crash point of buy, confirm and cancel, at both routes, in a real Airflow that recovers by itself.

One clean run a route is recorded; what it commits and asks are the points. In full every point is tried with
everything that can be killed there; in `make test` a draw of them, whose seed is printed and can be given
with `NCE_SAFETY_SEED`.
"""

from __future__ import annotations

import os
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest

from scripts import tally
from tests.safety.crowd import ROUTES, Member
from tests.safety.driver import Killed, Wave
from tests.safety.points import KILLS, Crash, Point, crashes, outages, read, recorded
from tests.safety.stage import CrashStage
from tests.safety.verdict import violations

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(5400)]

SIDE_BY_SIDE = 64
"""Partners a wave: each orphan stands still for a minute and a half, and keeps its memory that long."""
AGAIN = 3
"""Waves in which crashes are tried once more whose process was gone before it could be killed."""
MONEY = ("commands", "command_events", "POST", "PATCH")
"""Half of a draw falls on these: they are the points around what costs money."""


@dataclass(frozen=True)
class Tried:
    """What was drawn of which points, what was killed, and what broke."""

    points: Sequence[Point]
    drawn: dict[Member, Crash]
    clean: Sequence[Member]
    killed: dict[str, Killed]
    violations: dict[str, list[str]]


@pytest.fixture(scope="module")
def tried(stage: CrashStage, full: bool, say: Callable[[str], None]) -> Tried:
    stage.up()
    stage.prepare()
    members = {route: iter([m for m in stage.members if m.route == route]) for route in ROUTES}
    clean = [next(members[route]) for route in ROUTES]
    Wave(stage, {}, clean).run()
    points = [
        point
        for member in clean
        for point in recorded(member.route, read(stage.probe / "seen" / f"{member.partner}.jsonl"))
    ]
    wanted = crashes(points) if full else _draw(crashes(points))
    waves = deque([*(outages(points) if full else []), *_waves(wanted)])
    again = AGAIN
    drawn: dict[Member, Crash] = {}
    killed: dict[str, Killed] = {}
    broken = violations(stage, clean)
    while waves:
        some = {next(members[crash.point.route]): crash for crash in waves.popleft()}
        everybody = list(some)
        wave = Wave(stage, some)
        wave.run()
        if wave.gone and again:
            waves.append([some.pop(member) for member in wave.gone])
            again -= 1
        drawn |= some
        killed |= wave.killed
        found = violations(stage, everybody)
        broken |= found
        _note(some, wave.killed, found)
        say(f"{len(killed)} processes killed, {len(broken)} violations, {len(waves)} waves to go")
    return Tried(points, drawn, clean, killed, broken)


def _draw(everything: list[Crash]) -> list[Crash]:
    """Both routes and every kind of kill, and points around the money more often than the others."""
    seed = int(os.environ.get("NCE_SAFETY_SEED") or random.SystemRandom().randrange(10**6))
    print(f"\nThe draw's seed is {seed}; NCE_SAFETY_SEED={seed} draws the same.")  # noqa: T201
    dice = random.Random(seed)  # noqa: S311 - a draw that can be repeated, not a secret
    drawn = []
    for route in ROUTES:
        for kill in {crash.kill: None for crash in everything}:
            fitting = [c for c in everything if c.kill == kill and c.point.route == route]
            dear = [c for c in fitting if any(word in c.point.what for word in MONEY)]
            drawn.append(dice.choice(dear if dear and dice.random() < 0.75 else fitting))
    return drawn


def _waves(everything: list[Crash]) -> Iterator[list[Crash]]:
    # Mixed, so that neither all orphans nor all killed triggerers come at once.
    parts = -(-len(everything) // SIDE_BY_SIDE)
    for part in range(parts):
        yield everything[part::parts]


def _note(drawn: dict[Member, Crash], killed: dict[str, Killed], broken: dict[str, list[str]]) -> None:
    for step in ("buy_nce", "confirm_nce", "cancel_legacy"):
        for kill, words in KILLS.items():
            these = [m for m, c in drawn.items() if (c.point.step, c.kill) == (step, kill)]
            if these:
                tally.note(
                    "crash points in a real Airflow",
                    f"{step}: {words}",
                    sum(member.partner in killed for member in these),
                    sum(member.partner in broken for member in these),
                )


def test_every_partner_is_converted_exactly_once_and_the_ledger_explains_it(tried: Tried) -> None:
    told = {
        f"{member.partner} ({crash})": tried.violations[member.partner]
        for member, crash in tried.drawn.items()
        if member.partner in tried.violations
    }
    assert told == {}
    assert tried.violations == {}


def test_every_crash_really_happened(tried: Tried) -> None:
    missed = [str(crash) for member, crash in tried.drawn.items() if member.partner not in tried.killed]
    assert missed == []
    assert len(tried.killed) == len(tried.drawn)


def test_orphans_ran_on_beside_the_next_attempt(tried: Tried) -> None:
    alone = [
        str(crash)
        for member, crash in tried.drawn.items()
        if crash.kill in ("supervisor", "lock") and crash.point.kind == "commit"
        and not tried.killed[member.partner].met
    ]  # fmt: skip
    assert alone == []


def test_orphans_without_a_lock_had_one(tried: Tried) -> None:
    assert all(
        (kill.lock_backend is not None) == (tried.drawn[member].kill == "lock")
        for member in tried.drawn
        if (kill := tried.killed[member.partner])
    )


def test_the_recording_found_points_before_and_after_every_write_of_both_routes(tried: Tried) -> None:
    for route in ROUTES:
        found = Counter((point.step, point.kind) for point in tried.points if point.route == route)
        assert all(found[step, "commit"] >= 2 for step in ("buy_nce", "confirm_nce", "cancel_legacy")), found
        sends = {point.what.split()[0] for point in tried.points if point.route == route}
        assert {"GET", "POST"} <= sends
    purchase = [point.what for point in tried.points if point.route == "purchase"]
    assert any(what.startswith("PATCH") for what in purchase)
    assert any("checkout" in what for what in purchase)
