"""The colours of phases: the names that the screen's themes and the report's style share."""

KNOWN = ("load", "prefill", "decode", "idle", "failed")
ALIKE = {"start": "load", "train": "decode", "validate": "prefill"}
"""Phases that have the colour of another."""


def phase_colour(name: str) -> str:
    """The name of a phase's colour. All phases that a program names have the same."""
    return name if name in KNOWN else ALIKE.get(name, "own")
