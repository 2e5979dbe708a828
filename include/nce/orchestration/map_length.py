"""How many tasks Airflow makes of one list: as many as `[core] max_map_length` says, 1,024 by default."""

from __future__ import annotations

from include.nce.domain.errors import InputRefused


def refuse_more_than_airflow_maps(partners: int) -> None:
    """Raises `InputRefused` for a list of partners that Airflow would refuse with a raw server error."""
    from airflow.sdk import conf

    most = conf.getint("core", "max_map_length", fallback=1024)
    if partners > most:
        raise InputRefused(
            [
                f"{partners} partners are to be started, and this Airflow starts at most {most} at once; "
                "nothing was started. An administrator raises [core] max_map_length, or an operator starts "
                "them in parts, with *Only these partners*."
            ]
        )
