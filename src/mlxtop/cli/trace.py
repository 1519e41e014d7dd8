"""`mlxtop trace`: every allocation of a program, by operation and by line."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from mlxtop.cli import completion, options
from mlxtop.cli.export import BROKEN_PIPE, STANDARD_OUTPUT, spare
from mlxtop.cli.values import COUNT, FILE, SIZE, CountParam, SecondsParam
from mlxtop.core.errors import UsageError
from mlxtop.core.units import UNLIMITED, Size

if TYPE_CHECKING:
    from mlxtop.trace.composition import Composition
    from mlxtop.trace.export import Format
    from mlxtop.trace.export.chosen import Chosen
    from mlxtop.trace.moments import Moments

FORMATS = ("memory-viz", "pprof", "folded", "perfetto", "json")
TEXTS = ("folded", "json")


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

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        own = [] if ctx.meta["given"][-1:] == ["--"] else super().shell_complete(ctx, incomplete)
        return own or completion.program(ctx, program.params[0], incomplete)


@click.group(
    cls=_Group,
    subcommand_metavar="-- COMMAND | show FILE | export FILE",
    epilog="""\b
Try:
  mlxtop trace -- python train.py
  mlxtop trace -o train.mlxtrace --min-size 64K -- python train.py
  mlxtop trace show train.mlxtrace
""",
)
@options.OUTPUT("[default: one of its own in mlxtop's state folder]")
@click.option(
    "--events",
    type=CountParam(2**10, 2**24),
    metavar="N",
    help="The last events that are kept, of 32 bytes each. [default: 524288]",
)
@click.option(
    "--min-size", type=SIZE, default="0", metavar="SIZE", help="Smaller allocations are only counted."
)
@click.option(
    "--layers",
    is_flag=True,
    help="Name the layers, too. It changes what is measured: each layer is evaluated within its call, "
    "which is slower, and changes fusion and peaks.",
)
def trace(**_: Any) -> None:
    """Run a program and trace every allocation of MLX's, by operation and by line.

    The program needs no changes, and keeps its output and its exit code. Each child process that uses MLX
    gets a file of its own.
    """


@click.command(cls=completion.RunsProgram, context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=completion.program)
@click.pass_context
def program(ctx: click.Context, /, command: tuple[str, ...]) -> None:
    """Run a program and trace it. The group's options are its own."""
    from mlxtop.cli.trace_run import request, run_traced

    assert ctx.parent is not None
    given = ctx.parent.params
    least = given["min_size"]
    if not isinstance(least, int) or least >= UNLIMITED:
        raise UsageError("--min-size takes a size, for example 64K.")
    run_traced(command, request(given["out"], given["events"], least, given["layers"]))


class MomentParam(click.ParamType[str | float]):
    """`peak`, `end`, or seconds after the beginning of the trace."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | float:
        return value if value in ("peak", "end") else SecondsParam(0).convert(value, param, ctx)


AT = options.Option(
    "--at",
    type=MomentParam(),
    default="peak",
    show_default=True,
    metavar="peak|end|SECONDS",
    help="The moment to show: the peak, the end, or a time after the beginning of the trace.",
)


@trace.command(
    epilog="""\b
Try:
  mlxtop trace show train.mlxtrace
  mlxtop trace show train.mlxtrace --at 12.5
  mlxtop trace show train.mlxtrace --json | jq .alive
"""
)
@click.argument("file", type=FILE)
@AT()
@click.option("--top", type=COUNT, default=10, show_default=True, metavar="N", help="Rows of each table.")
@options.JSON("One object, with every row.")
def show(file: Path, at: str | float, top: int, as_json: bool) -> None:
    """Show what was alive at the peak by operation, line and size, what was never freed, and churn."""
    from mlxtop.cli.trace_text import TraceText
    from mlxtop.trace.summary import summary

    moments = _read(file)
    found = summary(moments, composition(moments, at))
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        click.echo(TraceText(found, top, width))


@trace.command(
    epilog="""\b
Try:
  mlxtop trace export train.mlxtrace --format memory-viz    drop it on pytorch.org/memory_viz
  mlxtop trace export train.mlxtrace --format perfetto      open it in ui.perfetto.dev
  mlxtop trace export train.mlxtrace --format pprof -o p.pb.gz && go tool pprof -http : p.pb.gz
  mlxtop trace export train.mlxtrace --format folded -o - | flamegraph.pl > peak.svg
"""
)
@click.argument("file", type=FILE)
@click.option(
    "--format", "form", type=click.Choice(FORMATS), required=True,
    help="memory-viz: for PyTorch's viewer; pprof: a profile; folded: stacks for flame graphs; perfetto: a "
    "timeline; json: everything.",
)  # fmt: skip
@AT("memory-viz and perfetto have all moments.")
@click.option(
    "--min-size",
    type=SIZE,
    default="0",
    metavar="SIZE",
    help="Leave out smaller buffers, which memory-viz takes long to draw.",
)
@options.OUTPUT("- is standard output. [default: FILE with the format's suffix]")
def export(file: Path, form: str, at: str | float, min_size: Size, out: Path | None) -> int:
    """Write a trace for another tool, and print the path."""
    from mlxtop.core.files import cannot_write
    from mlxtop.core.text import one_line
    from mlxtop.trace.export import FORMATS as writers
    from mlxtop.trace.export.chosen import Chosen

    target = out or file.with_suffix(writers[form].suffix)
    spare(file, target, "trace")
    if out is None and target.exists():
        raise UsageError(f"{one_line(str(target))} exists: name it with -o to replace it, or another file.")
    if target == STANDARD_OUTPUT and form not in TEXTS and sys.stdout.isatty():
        raise UsageError(f"{form} is no text for a terminal: name a file with -o.")
    if not isinstance(min_size, int) or min_size >= UNLIMITED:
        raise UsageError("--min-size takes a size, for example 64K.")
    moments = _read(file)
    try:
        _write(moments, writers[form], Chosen(composition(moments, at), min_size), target)
    except BrokenPipeError:
        # The reader closed the pipe. The rest of the buffer must not raise at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return BROKEN_PIPE
    except OSError as error:
        raise cannot_write(target, error) from error
    if target != STANDARD_OUTPUT:
        # A script gets the exact path; on a terminal control characters are removed.
        click.echo(one_line(str(target)) if sys.stdout.isatty() else target)
    return 0


def _write(moments: "Moments", form: "Format", chosen: "Chosen", target: Path) -> None:
    from mlxtop.cli.hard_exit import tell
    from mlxtop.core.files import writing

    if target == STANDARD_OUTPUT:
        form.write(moments, chosen, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with writing(target, tell) as file:
        form.write(moments, chosen, file)


def _read(file: Path) -> "Moments":
    from mlxtop.trace.moments import Moments
    from mlxtop.trace.reader import TraceFile

    with TraceFile(file) as opened:
        return Moments(opened)


def composition(moments: "Moments", at: str | float) -> "Composition | None":
    """What was alive at a moment that a person named. None before the first allocation."""
    from mlxtop.trace.summary import moment

    if isinstance(at, str):
        return moments.now if at == "end" else moments.peak
    return moment(moments, at)
