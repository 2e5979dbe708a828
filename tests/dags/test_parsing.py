"""DAG files are parsed every few seconds by every process: they import next to nothing and ask nobody."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dags.conftest import PROJECT, airflow_environment

DAG_FILES = sorted((PROJECT / "dags").glob("*.py"))

_PARSE = """
import sys
import airflow.sdk
before = set(sys.modules)
import socket
def refuse(*args, **kwargs):
    raise AssertionError("a DAG file opened a connection while it was parsed")
socket.socket.connect = refuse
from airflow.sdk import BaseHook
BaseHook.get_connection = classmethod(refuse)
import runpy
runpy.run_path(sys.argv[1])
fresh = set(sys.modules) - before
heavy = {"aiohttp", "fastapi", "msal", "requests", "pandas", "alembic", "psycopg", "yaml"}
print("HEAVY", sorted(heavy & {name.split(".")[0] for name in fresh}))
mine = ("include.nce.ledger", "include.nce.partner_center")
print("LEDGER", sorted(name for name in fresh if name.startswith(mine)))
"""


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_imports_nothing_heavy_and_opens_no_connection(path: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PARSE, str(path)],
        env=airflow_environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout
    assert "LEDGER []" in done.stdout


@pytest.mark.parametrize("path", DAG_FILES, ids=lambda path: path.stem)
def test_a_dag_file_is_a_picture_without_logic(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    for node in ast.walk(tree):
        assert not isinstance(node, ast.If | ast.For | ast.While | ast.Try | ast.Lambda), ast.dump(node)[:80]


def test_the_plugin_builds_no_application_when_it_loads(tmp_path: Path) -> None:
    """It loads in every process of Airflow, tasks too."""
    code = (
        "import sys, airflow.plugins_manager\n"
        "before = set(sys.modules)\n"
        "import runpy; runpy.run_path(sys.argv[1])\n"
        "fresh = set(sys.modules) - before\n"
        "heavy = {'aiohttp', 'fastapi', 'jinja2', 'msal', 'psycopg', 'sqlalchemy', 'starlette'}\n"
        "print('HEAVY', sorted(heavy & {name.split('.')[0] for name in fresh}))\n"
        "print('OURS', sorted(name for name in fresh if name.startswith('include.nce.board.')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(PROJECT / "plugins" / "nce_plugin.py")],
        env=airflow_environment(tmp_path), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout
    assert "OURS ['include.nce.board.asgi']" in done.stdout
