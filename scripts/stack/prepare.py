"""Bring Airflow's metadata database up to date: ``python -m scripts.stack.prepare CONNECTIONS_FILE``.

Applies Airflow's migrations, then writes the connections of the file over those of the same name: one
program, because importing Airflow is what costs time. Runs in the environment of
`scripts.stack.airflow_settings`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from airflow.models.connection import Connection
from airflow.utils import db
from airflow.utils.session import create_session
from sqlalchemy import select


def prepare(connections: dict[str, dict[str, Any]]) -> None:
    """Migrate the metadata database and write `connections`, fields by connection id, into it."""
    db.upgradedb()
    with create_session() as session:
        for conn_id, fields in connections.items():
            connection = Connection.from_json(json.dumps(fields), conn_id=conn_id)
            found = session.scalar(select(Connection.id).where(Connection.conn_id == conn_id))
            if found is not None:
                connection.id = found
            session.merge(connection)


if __name__ == "__main__":
    prepare(json.loads(Path(sys.argv[1]).read_text()))
