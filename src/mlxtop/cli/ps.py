"""`mlxtop ps`: the programs on this machine that use MLX."""

import json
import shutil
import sys
from typing import Any

import click

from mlxtop.cli import options
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size

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
    from mlxtop.sessions.agent_client import all_addresses, read_hello, remove_stale
    from mlxtop.sessions.remote import command, title
    from mlxtop.sessions.top_fleet import unattached_processes

    sockets.remove_stale()
    rows = []
    for address in all_addresses():
        hello = read_hello(address.path)
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


def describe(rows: list[dict[str, Any]]) -> list[str]:
    """The rows of `collect` as the lines of a table."""
    from mlxtop.tui.tables import aligned

    return aligned([HEADS, *map(_cells, rows)], left=(HEADS.index("command"),))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    sizes = (
        format_size(row[name]) if row[name] is not None and row[name] >= 0 else "—" for name in HEADS[1:4]
    )
    return str(row["pid"]), *sizes, row["watched"], one_line(row["command"])
