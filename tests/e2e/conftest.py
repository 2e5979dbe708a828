"""The stages of the end-to-end tests: one whole installation a module, never two at a time.

When a test fails, what the services and tasks said loudest is attached to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.stage import Stage

_ON_STAGE: list[Stage] = []


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """An installation of which nothing runs yet; taken down and deleted after the module's last test."""
    stage = Stage()
    _ON_STAGE.append(stage)
    try:
        yield stage
    finally:
        _ON_STAGE.remove(stage)
        left = stage.strike()
    assert not left, f"These had to be killed after everything was taken down: {left}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Attach the logs while they are still there."""
    report = yield
    if report.failed and "e2e" in item.keywords:
        report.sections += [("what the services and tasks said", stage.excerpt()) for stage in _ON_STAGE]
    return report
