"""`mlxtop check`: run a program, and fail where it does not keep within bounds."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from mlxtop.cli import completion, options
from mlxtop.cli.values import FILE, BytesParam, NumberParam, RateParam, SecondsParam
from mlxtop.core.errors import UsageError
from mlxtop.core.units import SPANS

if TYPE_CHECKING:
    from mlxtop.check.bounds import Bound

BYTES = BytesParam()


@click.command(
    cls=completion.RunsProgram,
    context_settings={"allow_interspersed_args": False},
    epilog="""\b
Try:
  mlxtop check --peak 12G -- python train.py
  mlxtop check --peak 12G --footprint 14G --growth 1M/min -- python -m pytest tests/
  mlxtop check --buffers 100k --record run.mlxtop -- mlx_lm.generate --model PATH --prompt hello
\b
Exit codes: the command's own if it fails; else 0 all bounds kept, 1 one crossed, 2 one not measured or
wrong usage.
""",
)
@click.option(
    "--peak",
    type=BYTES,
    metavar="SIZE",
    help="The most that may be active, between two samples too, and whatever resets MLX's peak.",
)
@click.option("--total", type=BYTES, metavar="SIZE", help="The most that MLX may hold: active and cache.")
@click.option("--cache", type=BYTES, metavar="SIZE", help="The most that MLX's cache may hold.")
@click.option(
    "--footprint",
    type=BYTES,
    metavar="SIZE",
    help="The most that the system may charge the process.",
)
@click.option(
    "--growth",
    type=RateParam(),
    metavar="RATE",
    help="How fast the floor of active memory may rise after the warm-up: 1M/min, 500K/s, 2G/h.",
)
@click.option(
    "--buffers",
    type=NumberParam(),
    metavar="N",
    help="The most live buffers: 250, 100k, 2M. Allocations are traced for it.",
)
@click.option(
    "--warm-up",
    type=SecondsParam(0),
    metavar="SECONDS",
    help="Seconds after the first array that --growth leaves out. [default: a fifth of the run]",
)
@options.INTERVAL(type=SecondsParam(0.01, 60))
@options.RECORD()
@click.option("--json", "as_json", type=FILE, metavar="OUT", help="Write the result to OUT as JSON.")
@options.MARKDOWN("It is added to GitHub's job summary, too, where there is one.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, shell_complete=completion.program)
def check(
    command: tuple[str, ...],
    warm_up: float | None,
    interval: float,
    record: Path | None,
    as_json: Path | None,
    markdown: Path | None,
    **values: Any,
) -> NoReturn:
    """Run a program, and fail if its MLX memory does not keep within bounds.

    The program needs no changes, and keeps its terminal, its output and its signals. Each process that uses
    MLX is judged by itself. A bound that could not be measured is not taken for kept.
    """
    from mlxtop.cli.check_outputs import Outputs
    from mlxtop.cli.check_run import run_checked

    bounds = parse_bounds(values)
    run_checked(command, bounds, warm_up, interval, record, Outputs(as_json, markdown))


def parse_bounds(values: dict[str, Any]) -> "list[Bound]":
    """The bounds from click's values, in the order of the help. Raises `UsageError` where there is none."""
    from mlxtop.check.bounds import GAUGES, Bound

    bounds = [Bound(gauge, values[gauge]) for gauge in GAUGES if values[gauge] is not None]
    if values["growth"] is not None:
        size, span = values["growth"]
        bounds.append(Bound("growth", size / SPANS[span], span))
    if not bounds:
        raise UsageError("check needs a bound: --peak, --total, --cache, --footprint, --growth or --buffers.")
    return bounds
