"""`python -m simulator serve | check`: the command line of the simulator."""

from __future__ import annotations

import sqlite3
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from simulator.scenario import ScenarioError, read_text
from simulator.schema import Scenario
from simulator.server import ServerError, is_loopback, listen, serve
from simulator.simulation import Simulation, StateMismatch, read_scenario

cli = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)


class ClockMode(str, Enum):
    """How campaign time passes."""

    leased = "leased"
    free = "free"
    manual = "manual"


def _stop(*sentences: str) -> NoReturn:
    for sentence in sentences:
        typer.echo(sentence, err=True)
    raise typer.Exit(1)


def _read(scenario: Path) -> tuple[str, Scenario]:
    try:
        text = read_text(scenario)
        return text, read_scenario(text, str(scenario))
    except ScenarioError as fault:
        _stop(*fault.sentences)


@cli.command("serve")
def serve_command(
    scenario: Annotated[Path, typer.Option(help="The scenario to serve, YAML or JSON.")],
    state: Annotated[Path | None, typer.Option(help="File in which the state survives a restart.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8765,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    clock: Annotated[ClockMode, typer.Option(help="How campaign time passes.")] = ClockMode.leased,
    allow_remote: Annotated[bool, typer.Option(help="Allow an address other machines can reach.")] = False,
) -> None:
    """Serve a scenario."""
    if not is_loopback(host) and not allow_remote:
        _stop(f"{host} can be reached from other machines; use 127.0.0.1 or say --allow-remote.")
    text, _ = _read(scenario)
    try:
        listener = listen(host, port)
        simulation = Simulation(text, source=str(scenario), state=state, mode=clock.value)
    except (ServerError, StateMismatch) as fault:
        _stop(str(fault))
    except (OSError, sqlite3.Error) as fault:
        _stop(f"{state}: the state cannot be kept there: {fault}.")
    name, address = simulation.world.scenario.name, listener.getsockname()
    typer.echo(f"Partner Center simulator: scenario {name} on http://{host}:{address[1]}")
    serve(simulation, listener)


@cli.command()
def check(scenario: Annotated[Path, typer.Argument(help="The scenario to check.")]) -> None:
    """Check a scenario: silent about what is right, one sentence for each fault."""
    _, story = _read(scenario)
    customers = sum(len(partner.customers) for partner in story.partners)
    count = sum(1 for _ in story.walk())
    typer.echo(
        f"{scenario}: good; {len(story.partners)} partners, {customers} customers, {count} subscriptions."
    )


if __name__ == "__main__":
    cli()
