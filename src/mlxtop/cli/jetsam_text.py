"""`mlxtop follow JetsamEvent….ips`: what the system ended, and where that lies in a recording."""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlxtop.core.events import ErrorRaised, Event
from mlxtop.core.sample import UNKNOWN
from mlxtop.core.text import block, one_line
from mlxtop.core.units import format_clock, format_size
from mlxtop.system import jetsam
from mlxtop.system.jetsam import REASONS, JetsamEvent, Process

if TYPE_CHECKING:
    from mlxtop.sessions.replay import ReplayFleet, ReplaySession

BEFORE, AFTER = 5.0, 60.0
"""Seconds before a session and after it in which an event is still about it: clocks of two devices differ."""


def tell_event(path: Path, recording: Path | None, as_json: bool, headless: bool = False) -> None:
    """Prints a report of jetsam. With a recording, shows the event on its axis, or says where it lies.

    Raises `MlxtopError` if a file cannot be read.
    """
    event = jetsam.read_event(path)
    if recording is None:
        _print(event, None, as_json)
        return
    from mlxtop.sessions.replay import ReplayFleet

    fleet = ReplayFleet(recording)
    member = _met(event, fleet)
    _print(event, None if member is None else _place(event, member, recording.name), as_json)
    if member is None:
        if not as_json:
            click.echo(f"{one_line(recording.name)} has nothing from that time.")
    elif not (as_json or headless) and os.isatty(1):
        _show(event, member, fleet)


def _met(event: JetsamEvent, fleet: "ReplayFleet") -> "ReplaySession | None":
    """The session that an event is about: of those that ran then, the one with the name of what was ended."""
    at = event.time
    if at is None:
        return None
    then = [m for m in fleet.members() if m.started - BEFORE <= at <= m.started + m.end + AFTER]
    names = {process.name for process in event.ended}
    return next(
        (m for m in then if m.label in names or m.pid in {p.pid for p in event.ended}), next(iter(then), None)
    )


def _place(event: JetsamEvent, member: "ReplaySession", name: str) -> dict[str, Any]:
    assert event.time is not None
    at = max(0.0, event.time - member.started)
    last = member.history.at(at) or member.history.end
    sizes = {} if last is None else {
        field: None if (value := getattr(last, field)) == UNKNOWN else value
        for field in ("active", "cache", "peak", "footprint")
    }  # fmt: skip
    return {"recording": name, "session": member.label, "time": round(at, 3),
            "last_sample": None if last is None else {"time": round(last.time, 3), **sizes}}  # fmt: skip


def _print(event: JetsamEvent, place: dict[str, Any] | None, as_json: bool) -> None:
    if as_json:
        ended = [process._asdict() for process in event.ended]
        about = {"type": "jetsam", **event._asdict(), "processes": len(event.processes), "ended": ended}
        click.echo(json.dumps({**about, "place": place}, separators=(",", ":")))
        return
    click.echo(block("\n".join(describe(event, place))))


def describe(event: JetsamEvent, place: dict[str, Any] | None) -> list[str]:
    """A report as lines of text."""
    when = "" if event.time is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time))
    lines = [" · ".join(part for part in ("jetsam", when, event.device, event.system) if part)]
    for process in event.ended:
        lines += _ended(event, process)
    if not event.ended:
        lines.append("It ended no process.")
    largest = max(event.processes, key=lambda process: process.footprint or 0, default=None)
    if largest is not None:
        named = event.largest or largest.name
        lines.append(
            f"Largest:    {named}, {_size(largest.footprint) if named == largest.name else ''}".rstrip(", ")
        )
    if place is not None:
        lines += _placed(place)
    return lines


def _ended(event: JetsamEvent, process: Process) -> list[str]:
    why = REASONS.get(process.reason or "", "")
    pages = (
        ""
        if process.footprint is None
        else f" ({process.footprint // event.page_size:,} pages of {event.page_size:,} bytes)"
    )
    lines = [
        f"Ended:      {process.name}, process {process.pid if process.pid is not None else '—'}",
        f"Reason:     {process.reason}{f': {why}' if why else ''}",
        f"Footprint:  {_size(process.footprint)}{pages}",
    ]
    if process.most is not None:
        lines.append(f"At most:    {_size(process.most)}")
    group = event.coalition(process)
    if len(group) > 1:
        total = sum(each.footprint or 0 for each in group)
        lines.append(f"Coalition:  {len(group)} processes, {_size(total)} together")
    return lines


def _placed(place: dict[str, Any]) -> list[str]:
    last = place["last_sample"]
    lines = [f"Recording:  {place['recording']}, {place['session']}, at {format_clock(place['time'])}"]
    if last is not None:
        apart = place["time"] - last["time"]
        sizes = ", ".join(f"{name} {_size(last[name])}" for name in ("active", "cache", "peak", "footprint"))
        side = f"{apart:.1f} s before" if apart >= 0 else f"{-apart:.1f} s after"
        lines.append(f"Last line:  {side}: {sizes}")
    return lines


def _show(event: JetsamEvent, member: "ReplaySession", fleet: "ReplayFleet") -> None:
    """Opens the replay with the event on its axis."""
    from mlxtop.cli.hard_exit import hard_exit
    from mlxtop.cli.screen import run_app
    from mlxtop.tui.app import MlxtopApp

    assert event.time is not None
    names = ", ".join(
        f"{process.name} ({process.reason}, {_size(process.footprint)})" for process in event.ended
    )
    message = f"jetsam ended {names}" if names else "jetsam freed memory and ended no process"
    fleet.add(member, Event(max(0.0, event.time - member.started), ErrorRaised(message, "jetsam")))
    app = run_app(lambda: MlxtopApp(fleet=fleet, opened=fleet.start_check))
    hard_exit(app.return_code or 0)


def _size(size: int | None) -> str:
    return format_size(size)
