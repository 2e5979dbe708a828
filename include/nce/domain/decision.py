"""What a person decides about one subscription that is held."""

from __future__ import annotations

from enum import Enum


class DecisionKind(str, Enum):
    """What a person decided about one subscription; the latest of its kind counts."""

    CONFIRM_CONVERSION = "confirm_conversion"
    WITHDRAW_CONFIRMATION = "withdraw_confirmation"
