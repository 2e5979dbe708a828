"""``python -m tests.safety.bring_up SCENARIO``: bring the stack up, or repair it, with the test's variables.

`SAFETY_VARIABLES` holds them as JSON: Airflow's timeouts, and the probe.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from scripts.stack.errors import StackError
from scripts.stack.installation import Installation
from scripts.stack.stack import Stack

if __name__ == "__main__":
    try:
        variables = json.loads(os.environ["SAFETY_VARIABLES"])
        Stack(Installation.from_environment(), variables=variables).up(Path(sys.argv[1]))
    except StackError as error:
        sys.exit(str(error))
