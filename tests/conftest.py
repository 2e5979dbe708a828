"""What holds for every test: an Airflow home of its own, and the fixtures of `tests.support`.

Airflow reads its settings when it is first imported and writes into its home: both are set before any test.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

CHECKOUT = Path(__file__).resolve().parents[1]
_home = tempfile.mkdtemp(prefix="nce-tests-airflow-")
atexit.register(shutil.rmtree, _home, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
    del os.environ[_name]
os.environ |= {
    "AIRFLOW_HOME": _home,
    "AIRFLOW__CORE__DAGS_FOLDER": str(CHECKOUT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
}

pytest_plugins = ["tests.support.database"]


BEHIND = 10
REAL_AIRFLOW = ("tests/e2e/", "tests/safety/test_crash_points.py")
LONGEST = "tests/e2e/test_campaign.py"
REAL_TIME = "tests/integration/budget/test_four_processes.py"


class TwoAirflowsAtATime(LoadScopeScheduling):
    """Side by side (`-n 3`) the tests of a file stay together, and those in a real Airflow make two queues.

    An Airflow mostly waits: two leave the other tests enough of two cores.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if not file.startswith(REAL_AIRFLOW):
            return file
        return "one Airflow" if file == LONGEST else "another Airflow"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> TwoAirflowsAtATime:
    return TwoAirflowsAtATime(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A real Airflow keeps time: beside one, everything else stands back."""
    if "PYTEST_XDIST_WORKER" in os.environ and not item.nodeid.startswith(REAL_AIRFLOW):
        os.nice(BEHIND - os.nice(0))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    first = [*REAL_AIRFLOW, REAL_TIME]
    items.sort(key=lambda item: next((n for n, path in enumerate(first) if item.nodeid.startswith(path)), 9))
