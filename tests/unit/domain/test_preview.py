"""The sentence before a start."""

from __future__ import annotations

import pytest

from include.nce.domain.preview import Preview


@pytest.mark.parametrize(
    ("counted", "sentence"),
    [
        (Preview(3, 0, 1), "3 purchases, 0 cancellations, 1 partner."),
        (Preview(1, 1, 2), "1 purchase, 1 cancellation, 2 partners."),
        (
            Preview(0, 0, 3, not_planned=3),
            "0 purchases, 0 cancellations, 3 partners; not planned yet: 3 partners.",
        ),
        (
            Preview(2, 4, 9, not_planned=1, decided_anew=1),
            "2 purchases, 4 cancellations, 9 partners; not planned yet: 1 partner; held before and decided "
            "anew: 1 subscription.",
        ),
    ],
)
def test_a_preview_is_one_sentence(counted: Preview, sentence: str) -> None:
    assert counted.sentence == sentence
