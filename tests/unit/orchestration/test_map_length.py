"""A start that Airflow would refuse with a raw server error is refused with a sentence before it."""

from __future__ import annotations

import pytest

from include.nce.domain.errors import InputRefused
from include.nce.orchestration.map_length import refuse_more_than_airflow_maps
from scripts.stack.airflow_settings import LARGEST_ROSTER


def test_airflows_own_limit_refuses_1025_partners_with_what_to_do() -> None:
    refuse_more_than_airflow_maps(1024)
    with pytest.raises(InputRefused) as refused:
        refuse_more_than_airflow_maps(1025)
    (sentence,) = refused.value.faults
    assert sentence.startswith("1025 partners are to be started, and this Airflow starts at most 1024")
    assert "[core] max_map_length" in sentence


def test_the_largest_roster_passes_with_the_settings_of_this_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", str(LARGEST_ROSTER))
    refuse_more_than_airflow_maps(LARGEST_ROSTER)
    with pytest.raises(InputRefused):
        refuse_more_than_airflow_maps(LARGEST_ROSTER + 1)
