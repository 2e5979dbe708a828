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
from xdist.workermanage import WorkerController

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
REAL_AIRFLOW = ("tests/e2e/test_campaign.py", "tests/safety/test_crash_points.py", "tests/e2e/")
"""The tests in a real Airflow, the longest first."""
REAL_TIME = "tests/integration/budget/test_four_processes.py"


class TwoAirflowsAtATime(LoadScopeScheduling):
    """Side by side (`-n 3`) the tests of a file stay together, and two workers have those in a real Airflow.

    An Airflow mostly waits: two leave the other tests enough of two cores.
    """

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: WorkerController) -> None:
        if node not in self.nodes[:2]:
            others = (file for file in self.workqueue if not file.startswith(REAL_AIRFLOW))
            self.workqueue.move_to_end(next(others, next(iter(self.workqueue))), last=False)
        super()._assign_work_unit(node)


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
