"""`mlxtop trace`: every allocation of a program, by operation and by line."""

from pathlib import Path

import click

from mlxtop.cli.values import FILE
from mlxtop.core.errors import UsageError


class _Group(click.Group):
    """A group that takes a program for a command of its own: what follows `--`, or is no command's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Click drops `--`: whether `show` is a program must be known later.
        ctx.meta["given"] = list(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        given = ctx.meta["given"]
        marked = given[: len(given) - len(args)][-1:] == ["--"]
        if marked or args[0] not in self.commands:
            return "--", program, args
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Group,
    subcommand_metavar="-- COMMAND | show FILE | export FILE",
    epilog="""\b
Try:
  mlxtop trace show train.mlxtrace
""",
)
def trace() -> None:
    """Trace every allocation of a program, by operation and by line."""


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def program(command: tuple[str, ...]) -> None:
    """Run a program and trace it. The group's options are its own."""
    raise UsageError(f"mlxtop trace cannot run {command[0]} yet: open a trace file with mlxtop trace show.")


@trace.command()
@click.argument("file", type=FILE)
def show(file: Path) -> None:
    """Show what was alive at the peak of a trace, and what was never freed."""
    from mlxtop.cli import trace_text
    from mlxtop.trace.reader import TraceFile

    with TraceFile(file) as opened:
        click.echo(trace_text.table(opened))
