"""What holds for every test: an Airflow home of its own, and the fixtures of `tests.support`.

Airflow reads its settings when it is first imported and writes into its home: both are set before any test.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side (`-n 2`), one worker has every real Airflow and begins with it; a file stays together."""
    for item in items:
        airflow = item.get_closest_marker("e2e")
        item.add_marker(pytest.mark.xdist_group("airflow" if airflow else item.nodeid.partition("::")[0]))
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
