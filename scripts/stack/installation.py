"""Where this checkout keeps what it makes, on which ports it listens, and its secrets.

Everything lives in one folder, ``.local/`` of the checkout or the one ``NCE_LOCAL`` names; secrets are made
once, in one file that only its owner reads. Leaves what is done with them to the other modules of the stack.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from scripts.stack.errors import StackError
from scripts.stack.private import write_private

CHECKOUT = Path(__file__).resolve().parents[2]
DEFAULT_AIRFLOW_PORT = 8080
DEFAULT_SIMULATOR_PORT = 8765
DEFAULT_DATABASE_PREFIX = "nce"
ROLES = {"admin": "admin", "operator": "op", "viewer": "viewer"}
"""Airflow users and the role each has in Airflow's simple auth manager."""


@dataclass(frozen=True)
class Secrets:
    """What is made once for an installation; of it only the passwords are ever printed."""

    installation_id: str
    fernet_key: str
    jwt_secret: str
    api_secret: str
    passwords: dict[str, str]


@dataclass(frozen=True)
class LedgerRoles:
    """The owner of the ledger's tables, and the role that the product uses: name and password of each."""

    owner: str
    owner_password: str
    application: str
    application_password: str


@dataclass(frozen=True)
class Installation:
    """One checkout and the folder that holds what is made with it; `folder` None: ``.local/``."""

    checkout: Path = CHECKOUT
    folder: Path | None = None
    airflow_port: int = DEFAULT_AIRFLOW_PORT
    simulator_port: int = DEFAULT_SIMULATOR_PORT
    database_prefix: str = DEFAULT_DATABASE_PREFIX
    database_server: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Installation:
        """Read the ``NCE_*`` variables. Raises StackError for a value that cannot be used."""
        prefix = environment.get("NCE_DATABASE_PREFIX") or DEFAULT_DATABASE_PREFIX
        if not (
            prefix.isascii() and prefix.isidentifier() and prefix == prefix.lower() and len(prefix) <= 40
        ):
            raise StackError(f"NCE_DATABASE_PREFIX is {prefix!r}; use up to 40 small letters, digits and _.")
        folder = environment.get("NCE_LOCAL")
        return cls(
            folder=Path(folder).expanduser().resolve() if folder else None,
            airflow_port=_port(environment, "NCE_AIRFLOW_PORT", DEFAULT_AIRFLOW_PORT),
            simulator_port=_port(environment, "NCE_SIMULATOR_PORT", DEFAULT_SIMULATOR_PORT),
            database_prefix=prefix,
            database_server=environment.get("NCE_DATABASE_URL") or None,
        )

    @property
    def variables(self) -> dict[str, str]:
        """The ``NCE_*`` variables by which another process finds this installation."""
        named = {"NCE_DATABASE_URL": self.database_server} if self.database_server else {}
        return {
            "NCE_LOCAL": str(self.local),
            "NCE_AIRFLOW_PORT": str(self.airflow_port),
            "NCE_SIMULATOR_PORT": str(self.simulator_port),
            "NCE_DATABASE_PREFIX": self.database_prefix,
            **named,
        }

    @property
    def local(self) -> Path:
        """The folder that holds everything this installation makes."""
        return self.folder or self.checkout / ".local"

    @property
    def logs(self) -> Path:
        """The folder with one log a service."""
        return self.local / "logs"

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder: task logs and the password file."""
        return self.local / "airflow"

    @property
    def airflow_url(self) -> str:
        """Address of Airflow's pages and REST API."""
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def logins(self) -> list[str]:
        """Where Airflow is and who may log in, a line each: a rehearsal's, on this machine only."""
        users = [
            f"  {user} ({role}): password {self.secrets.passwords[user]}" for user, role in ROLES.items()
        ]
        return [f"Airflow is at {self.airflow_url}", *users]

    @property
    def simulator_url(self) -> str:
        """Address of the Partner Center simulator."""
        return f"http://127.0.0.1:{self.simulator_port}"

    def make_folders(self) -> None:
        """Make the installation's folder and those in it, closed to everybody else.

        Root's may be walked through, not listed: PostgreSQL refuses to run as root, and the account it runs
        under has to reach its data. Raises StackError for a folder that holds anything of somebody else's: a
        reset deletes what is in it.
        """
        folders = [self.logs, self.airflow_home, self.local / "run", self.local / "simulator"]
        self.local.mkdir(parents=self.folder is not None, exist_ok=True)
        if self.folder is not None and not all(folder.is_dir() for folder in folders):
            strange = sorted(path.name for path in self.local.iterdir() if path.suffix != ".lock")
            if strange:
                raise StackError(
                    f"NCE_LOCAL names {self.local}, which holds {strange[0]}; name a new or an empty folder."
                )
        self.local.chmod(0o711 if os.geteuid() == 0 else 0o700)
        for folder in folders:
            folder.mkdir(mode=0o700, exist_ok=True)

    @property
    def ledger_roles(self) -> LedgerRoles | None:
        """The roles made for this installation's ledger; None where the server's account does everything."""
        try:
            passwords = json.loads(self._roles_note.read_text())
            return LedgerRoles(
                owner=f"{self.database_prefix}_ledger_owner", application=f"{self.database_prefix}_ledger",
                **passwords,
            )  # fmt: skip
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StackError(f"{self._roles_note} is damaged; run `make reset` and start again.") from error

    def choose_ledger_roles(self) -> LedgerRoles:
        """The roles of this installation's ledger; their passwords are noted before the roles are made."""
        if self.ledger_roles is None:
            made = {name: secrets.token_urlsafe(24) for name in ("owner_password", "application_password")}
            write_private(self._roles_note, json.dumps(made))
        return self.ledger_roles or self.choose_ledger_roles()

    @property
    def _roles_note(self) -> Path:
        return self.local / "ledger-roles.json"

    @cached_property
    def secrets(self) -> Secrets:
        """The secrets of this installation, made on first use."""
        path = self.local / "secrets.json"
        if not path.exists():
            fresh = Secrets(
                installation_id=secrets.token_hex(8),
                fernet_key=base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
                jwt_secret=secrets.token_urlsafe(48),
                api_secret=secrets.token_urlsafe(48),
                passwords={user: secrets.token_urlsafe(9) for user in ROLES},
            )
            write_private(path, json.dumps(asdict(fresh), indent=2))
        try:
            return Secrets(**json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise StackError(f"{path} is damaged; run `make reset` and start again.") from error


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and 1024 <= int(text) <= 65535):
        raise StackError(f"{name} is {text!r}; set it to a free port between 1024 and 65535.")
    return int(text)
