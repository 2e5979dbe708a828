"""What the ledger knows of a partner that can be compared, and what a comparison changed and came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from include.nce.domain.brake import CoverageSignals
from include.nce.domain.reconciliation import FindingKind, KnownLine


@dataclass(frozen=True)
class KnownHoldings:
    """Everything the ledger knows of a partner that can be compared.

    `placed`: ids of the NCE subscriptions and of the orders that any conversion of these customers made.
    """

    subscriptions: Sequence[KnownLine]
    placed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FindingChanges:
    """What one comparison changed on record: the sentences of what is new, is back, and is gone."""

    opened: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReconcileTally:
    """What a run of `nce_reconcile` came to in one campaign.

    `partners` are those it was to compare; `compared` wholly, `partly` all but something, `unread` not at
    all, and the rest it never came to. `why_unread`: the first partners of which something was not compared,
    each with the reason. `open`: findings that stand now, `opened` and so on what this run changed.
    """

    partners: int
    compared: int = 0
    partly: int = 0
    unread: int = 0
    why_unread: Sequence[tuple[str, str]] = ()
    open: Mapping[FindingKind, int] = field(default_factory=dict)
    opened: int = 0
    returned: int = 0
    resolved: int = 0
    signals: CoverageSignals = field(default_factory=CoverageSignals)

    @property
    def not_reached(self) -> int:
        return self.partners - self.compared - self.partly - self.unread
