"""`mlxtop ps`: the programs on this machine that use MLX."""

import json
import shutil
import socket
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from mlxtop.cli import options
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size

if TYPE_CHECKING:
    from mlxtop.sessions.messages import Hello

ANSWER_WITHIN = 1.0
"""Seconds to wait for an agent's first message."""
HEADS = ("pid", "active", "cache", "footprint", "watched", "command")


@click.command(epilog="Try: mlxtop ps --json | jq '.[].pid'")
@options.JSON("One array.")
def ps(as_json: bool) -> None:
    """List the MLX programs on this machine: process id, memory, whether they are watched, command."""
    found = collect()
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif found:
        # Each program in a row of its own; in a file its whole command is wanted.
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo("\n".join(line[:width] for line in describe(found)))
    else:
        click.echo("No program on this machine uses MLX. Start one with mlxtop run -- COMMAND.", err=True)


def collect() -> list[dict[str, Any]]:
    """A row for each process. Sizes are bytes, `None` where not known.

    `watched` is `yes` with a viewer, `ready` with an agent and no viewer, `no` without an agent.
    """
    from mlxtop.ipc import sockets
    from mlxtop.sessions.agent_client import all_addresses, remove_stale
    from mlxtop.sessions.remote import command, title
    from mlxtop.sessions.top_fleet import unattached_processes

    sockets.remove_stale()
    rows = []
    for address in all_addresses():
        hello = _read_hello(address.path)
        if hello is None:
            remove_stale(address)
            continue
        rows.append(
            {
                "pid": hello.pid,
                "command": title(hello.pid, hello.argv, hello.name or command(list(hello.argv))),
                **{name: hello.counters.get(name) for name in ("active", "cache", "peak", "footprint")},
                "watched": "ready" if hello.watched is None else "yes",
                "socket": address.path,
            }
        )
    try:
        without_agent = unattached_processes()
    except OSError as error:
        without_agent = ()
        click.echo(f"mlxtop: Could not list programs without an agent: {error}.", err=True)
    rows += [
        {
            "pid": process.pid,
            "command": process.command,
            **dict.fromkeys(("active", "cache", "peak")),
            "footprint": process.footprint,
            "watched": "no",
            "socket": None,
        }
        for process in without_agent
    ]
    return sorted(rows, key=lambda row: row["pid"])


def _read_hello(path: str) -> "Hello | None":
    """The first message of the agent at `path`; `None` when none comes in time."""
    from mlxtop.ipc import protocol
    from mlxtop.sessions.messages import hello

    end, text = time.monotonic() + ANSWER_WITHIN, b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, suppress(OSError, ValueError):
        sock.settimeout(ANSWER_WITHIN)
        sock.connect(path)
        while b"\n" not in text and len(text) <= protocol.LONGEST_LINE:
            # The limit holds for the whole answer, also for one that comes byte by byte.
            sock.settimeout(max(0.001, end - time.monotonic()))
            more = sock.recv(2**16)
            if not more:
                return None
            text += more
        return hello(protocol.read(text.partition(b"\n")[0]))
    return None


def describe(rows: list[dict[str, Any]]) -> list[str]:
    """The rows of `collect` as the lines of a table."""
    from mlxtop.tui.tables import aligned

    return aligned([HEADS, *map(_cells, rows)], left=(HEADS.index("command"),))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    sizes = (
        format_size(row[name]) if row[name] is not None and row[name] >= 0 else "—" for name in HEADS[1:4]
    )
    return str(row["pid"]), *sizes, row["watched"], one_line(row["command"])
