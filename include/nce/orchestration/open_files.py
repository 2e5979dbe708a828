"""Open files: the triggerer holds the log of each wait open, far more than a process gets by default.

Docker and many systems begin with a soft limit of 1,024: a triggerer dies at the file after the last one,
and again after each restart, while nothing turns red. A process may raise its soft limit up to the hard one.
Responsible for how many files so many waits need. Each triggerer asks for them in `triggerer_start`.
"""

from __future__ import annotations

import resource

from include.nce.domain.errors import InputRefused

SPARE = 1000
"""For everything that is not a wait: connections, libraries, the triggerer's own logs."""


def make_room(waits: int) -> None:
    """Raise this process's soft limit to what so many waits need; what it starts inherits it.

    Raises `InputRefused` when the hard limit is too low: only the machine's administrator can raise that.
    """
    needed = waits + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise InputRefused(
            [
                f"{waits} waits need {needed} open files, and this machine allows a process {hard} (hard "
                "limit). An administrator raises it (`ulimit -Hn`, or `nofile` in limits.conf, systemd or "
                "Docker), or sets a lower [triggerer] capacity."
            ]
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
