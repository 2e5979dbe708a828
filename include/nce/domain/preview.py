"""What starting partners again would do, in one sentence, before anybody agrees to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preview:
    """Counted on what the ledger knows; the run itself looks at everything anew.

    `purchases`: subscriptions planned as due, or scheduled with an open window, that are not bought.
    `cancellations`: bought, and legacy not ended yet. `decided_anew`: held, refused by Microsoft or lapsing
    when they were last planned. `not_planned`: partners of whose subscriptions nothing is known yet.
    """

    purchases: int
    cancellations: int
    partners: int
    not_planned: int = 0
    decided_anew: int = 0

    @property
    def sentence(self) -> str:
        """`3 purchases, 0 cancellations, 1 partner.`"""
        parts = [
            f"{_count(self.purchases, 'purchase')}, {_count(self.cancellations, 'cancellation')}, "
            f"{_count(self.partners, 'partner')}"
        ]
        if self.not_planned:
            parts.append(f"not planned yet: {_count(self.not_planned, 'partner')}")
        if self.decided_anew:
            parts.append(f"held before and decided anew: {_count(self.decided_anew, 'subscription')}")
        return "; ".join(parts) + "."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
