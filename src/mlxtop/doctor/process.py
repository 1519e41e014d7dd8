"""Tests attaching to a running program, and what its agent reports."""

import time
from collections.abc import Iterator

from mlxtop.attach import process_info
from mlxtop.core.limits import LIMIT_NAMES
from mlxtop.core.units import format_size
from mlxtop.doctor.finding import Check, Finding, Section
from mlxtop.sessions.attach import attach
from mlxtop.sessions.remote import RemoteSession

WITHIN = 5.0
"""Seconds to wait for the agent's first sample and for the limits, which are read at a safe point."""


def checking(pid: int) -> Check:
    """The check of process `pid`. It attaches like `mlxtop attach`; the agent stays in the program."""

    def check(section: Section) -> Iterator[Finding]:
        found = process_info.read(pid)
        yield section.ok("command", found.command)
        yield section.ok("user", found.user)
        python = ".".join(map(str, found.python)) if found.python else None
        yield section.known("Python", python, "mlxtop could not read its version.")
        began = time.monotonic()
        fleet = attach([str(pid)])
        try:
            yield section.ok("agent", f"answered after {time.monotonic() - began:.2f} s")
            yield from _told(section, fleet.everyone[0])
        finally:
            fleet.stop()

    return check


def _told(section: Section, session: RemoteSession) -> Iterator[Finding]:
    # Older samples come first.
    began, end = session.now(), time.monotonic() + WITHIN
    while not _is_known(session, began) and time.monotonic() < end:
        time.sleep(0.02)
    latest, facts = session.history.latest, session.state.facts
    if latest is None:
        yield section.wrong("samples", f"none within {WITHIN:g} s")
        return
    yield section.ok("MLX", f"{facts.mlx} on {facts.backend}")
    for name in ("active", "cache", "peak", "footprint"):
        size = getattr(latest, name)
        yield section.known(name, format_size(size) if size >= 0 else None, "The agent cannot read it.")
    for name in LIMIT_NAMES:
        limit = session.state.limits.get(name)
        size = limit.value if limit is not None else None
        advice = "The program has not reached a safe point yet, or its MLX does not report the limit."
        yield section.known(f"{name} limit", None if size is None else format_size(size), advice)


def _is_known(session: RemoteSession, began: float) -> bool:
    latest, limits = session.history.latest, session.state.limits.values()
    return (
        latest is not None
        and latest.time >= began
        and session.state.facts.known
        and len(limits) == len(LIMIT_NAMES)
        and all(limit.value is not None for limit in limits)
    )
