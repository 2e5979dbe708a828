"""At which figures a campaign stops by itself."""

from __future__ import annotations

from typing import Any

import pytest

from include.nce.domain.brake import Figures, why_stop
from include.nce.domain.campaign import Brake


@pytest.mark.parametrize(
    ("policy", "seen", "known", "signals"),
    [
        ({}, Figures(), (0, 0), []),
        # Failures: so many, and such a share of what was tried; both must be reached.
        ({}, Figures(tried=2, failed=2), (0, 0), []),
        ({}, Figures(tried=3, failed=3), (0, 0),
         ["3 of 3 conversions failed (100 %; it stops at 5 % and 3)"]),
        ({}, Figures(tried=61, failed=3), (0, 0), []),
        ({}, Figures(tried=60, failed=3), (0, 0),
         ["3 of 60 conversions failed (5 %; it stops at 5 % and 3)"]),
        ({"failed_percent": 50}, Figures(tried=9, failed=4), (0, 0), []),
        ({"failed_at_least": 1, "failed_percent": 1}, Figures(tried=100, failed=1), (0, 0),
         ["1 of 100 conversions failed (1 %; it stops at 1 % and 1)"]),
        # Coverage: one is enough, unless the policy says otherwise.
        ({}, Figures(tried=900, zero=1), (0, 0),
         ["1 subscription may be covered on no side (it stops at 1)"]),
        ({}, Figures(double=2), (0, 0), ["2 subscriptions may be billed on both sides (it stops at 1)"]),
        ({"zero_coverage": 2}, Figures(zero=1), (0, 0), []),
        # What the person who released it knew of counts no more; what comes on top does.
        ({}, Figures(zero=1, double=2), (1, 2), []),
        ({}, Figures(zero=2), (1, 0),
         ["2 subscriptions may be covered on no side, 1 of them known (it stops at 1)"]),
        ({}, Figures(double=1), (0, 3), []),
        # All that is wrong is told at once.
        ({}, Figures(tried=10, failed=5, zero=1, double=1), (0, 0),
         ["5 of 10 conversions failed (50 %; it stops at 5 % and 3)",
          "1 subscription may be covered on no side (it stops at 1)",
          "1 subscription may be billed on both sides (it stops at 1)"]),
    ],
)  # fmt: skip
def test_the_brake_is_pulled_for(
    policy: dict[str, Any], seen: Figures, known: tuple[int, int], signals: list[str]
) -> None:
    brake = Brake.model_validate(policy)
    assert list(why_stop(brake, seen, known_zero=known[0], known_double=known[1])) == signals
