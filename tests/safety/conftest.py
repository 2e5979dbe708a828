"""The safety tests' profile, and the logs of an installation when one of its tests fails.

`NCE_SAFETY=full` takes everything; otherwise it is a draw that fits into `make test`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.safety.crowd import crowd
from tests.safety.stage import CrashStage

FULL = os.environ.get("NCE_SAFETY") == "full"
_ON_STAGE: list[CrashStage] = []


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether everything is tried."""
    return FULL


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Prints a line at once: an hour is long without a word."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def line(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)  # noqa: T201

    return line


@pytest.fixture(scope="module")
def stage(full: bool) -> Iterator[CrashStage]:
    """An installation with a crowd, of which nothing runs yet; deleted after the module's last test."""
    stage = CrashStage(crowd(260 if full else 12))
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
