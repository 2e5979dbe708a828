"""The life of a conversion as a diagram, drawn from the table that the ledger holds it to."""

from __future__ import annotations

import re

from include.nce.domain.conversion import MOVES, ConversionState, Phase

BEGIN, END = "<!-- states: made by `python -m scripts.reference` -->", "<!-- states end -->"
TITLES = {
    Phase.UNSENT: "nothing of ours is at Microsoft",
    Phase.IN_DOUBT: "sent, and not known whether it arrived",
    Phase.AT_MICROSOFT: "Microsoft has it",
    Phase.BOUGHT: "bought, legacy not ended",
    Phase.DONE: "NCE has replaced legacy",
    Phase.TAKEN_BACK: "taken back",
}


def diagram() -> str:
    """Mermaid: the phases with their states, and each move from the phases or states where it may begin."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> planned: a plan wants it bought"]
    for phase, title in TITLES.items():
        members = [f"        {state.value}" for state in _states(phase)]
        lines += [f'    state "{title}" as {phase.value} {{', *members, "    }"]
    for move in MOVES:
        lines.extend(
            f"    {source} --> {move.to.value}: {move.why}"
            for source in _sources(move.sources)
            if source != move.to.value
        )
    return "\n".join([*lines, "```"])


def drawn_into(page: str) -> str:
    """The page with the diagram of today between its marks."""
    drawn, times = re.subn(
        re.escape(BEGIN) + ".*?" + re.escape(END),
        lambda _: f"{BEGIN}\n\n{diagram()}\n\n{END}",
        page,
        flags=re.DOTALL,
    )
    if times != 1:
        raise ValueError(f"the page has the marks of the diagram {times} times instead of once")
    return drawn


def _states(phase: Phase) -> list[ConversionState]:
    return [state for state in ConversionState if state.phase is phase]


def _sources(states: frozenset[ConversionState]) -> list[str]:
    """A phase in place of its states where all of them are meant."""
    names = []
    for phase in TITLES:
        meant = [state for state in _states(phase) if state in states]
        names.extend([phase.value] if meant == _states(phase) else [state.value for state in meant])
    return names
