"""`mlxtop census`: the live arrays of a running program, and what has changed since an earlier census."""

import json
import queue
import time
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlxtop.cli import completion, options
from mlxtop.cli.values import NAME
from mlxtop.core.commands import SetControl, TakeCensus
from mlxtop.core.errors import MlxtopError, UsageError
from mlxtop.core.events import CensusTaken, ErrorRaised, Event, MarkAdded
from mlxtop.core.parsing import parse_json
from mlxtop.core.text import shortened

if TYPE_CHECKING:
    from mlxtop.core.census import Census
    from mlxtop.sessions.remote import RemoteSession

TAKEN_WITHIN = 60.0
"""Seconds to wait for a census: a long step has no safe point."""
LOOK_EVERY = 0.25
"""Seconds without an event after which it is checked whether the program still runs."""


@click.command(
    epilog="""\b
Try:
  mlxtop census 4242
  mlxtop census 4242 --json > before.json && sleep 60 && mlxtop census 4242 --since before.json
  mlxtop census 4242 --since "epoch 2"
"""
)
@click.argument("which", metavar="PID|SOCKET", type=NAME, shell_complete=completion.programs)
@options.JSON("One object.")
@click.option(
    "--since",
    type=NAME,
    metavar="FILE|MARK",
    help="Show what appeared and vanished since the census in FILE (from --json), or since the first census "
    "after MARK.",
)
def census(which: str, as_json: bool, since: str | None) -> None:
    """Count the live arrays of a running program: what they are and what holds them.

    mlxtop attaches to the program as mlxtop attach does, and leaves it as it was. Another mlxtop may watch it
    meanwhile.
    """
    from mlxtop.cli import census_text
    from mlxtop.core.census_diff import diff
    from mlxtop.sessions import attach

    attach.check([which])
    earlier = _read(Path(since)) if since is not None and Path(since).exists() else None
    fleet = attach.attach([which], role="observe")
    session = fleet.everyone[0]
    try:
        _control_if_old(session)
        found = _take(session)
        if since is not None:
            earlier = earlier or _at_mark(session, since, found)
    finally:
        fleet.stop()
    if earlier is not None:
        changes = diff(earlier, found)
        text = json.dumps(changes.to_json(), indent=2) if as_json else census_text.changes(changes)
    else:
        text = json.dumps(found.to_json(), indent=2) if as_json else census_text.table(found)
    click.echo(text)


def _control_if_old(session: "RemoteSession") -> None:
    """Takes control where the agent counts only for the viewer that has it.

    Raises `MlxtopError` when another viewer has it.
    """
    from mlxtop.sessions.remote import already_watched

    if session.counts_for_observers:
        return
    if session.watched is not None:
        raise MlxtopError(already_watched(session.pid, session.watched))
    session.submit(SetControl(True))


def _take(session: "RemoteSession") -> "Census":
    """Takes a census. Raises `MlxtopError` when none comes in time."""
    heard: queue.SimpleQueue[Event] = queue.SimpleQueue()
    session.subscribe(lambda item: heard.put(item) if isinstance(item, Event) else None)
    command_id = session.submit(TakeCensus())
    end = time.monotonic() + TAKEN_WITHIN
    while session.ended is None and (left := end - time.monotonic()) > 0:
        try:
            event = heard.get(timeout=min(left, LOOK_EVERY))
        except queue.Empty:
            continue
        if event.answers == command_id and isinstance(event.data, ErrorRaised):
            raise MlxtopError(f"Process {session.pid} could not count its arrays: {event.data.message}.")
        if event.answers == command_id and isinstance(event.data, CensusTaken):
            return event.data.census
    if session.ended is not None:
        raise MlxtopError(f"No census: {session.ended}.")
    raise MlxtopError(
        f"Process {session.pid} reached no safe point in {TAKEN_WITHIN:g} s: try again when its step is done."
    )


def _at_mark(session: "RemoteSession", name: str, found: "Census") -> "Census":
    """The first census after the last mark `name`; it must be older than `found`, the one taken just now."""
    marks = [event for event in session.timeline.between(MarkAdded, 0, inf) if event.data.name == name]
    if not marks:
        raise UsageError(f"{shortened(name)} is neither a file nor a mark of process {session.pid}.")
    taken = session.timeline.between(CensusTaken, marks[-1].time, inf)
    if not taken or taken[0].data.census is found:
        told = f"No census was taken after the mark {shortened(name)}"
        raise MlxtopError(f"{told}: take one there, with mlxtop census or with w.")
    return taken[0].data.census


def _read(path: Path) -> "Census":
    from mlxtop.core.census import Census

    try:
        return Census.from_json(parse_json(path.read_bytes()))
    except OSError as error:
        raise MlxtopError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise UsageError(f"{path} holds no census of mlxtop census --json: {error}.") from error
