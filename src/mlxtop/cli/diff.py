"""`mlxtop diff`: what changed from one run to another."""

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlxtop.cli import completion, options
from mlxtop.cli.job_summary import add_to_summary
from mlxtop.cli.values import FILE, NAME
from mlxtop.cli.web import parse_web
from mlxtop.core.errors import UsageError
from mlxtop.core.files import OutputError

if TYPE_CHECKING:
    from mlxtop.diff.comparison import Comparison
    from mlxtop.diff.condition import Judgement
    from mlxtop.web.host import Host


@click.command(
    epilog="""\b
Try:
  mlxtop run --headless --record before.mlxtop -- python train.py
  mlxtop diff before.mlxtop after.mlxtop
  mlxtop diff before.mlxtop after.mlxtop --fail-if 'peak>+5%' --fail-if 'decode.floor>+64M'
  mlxtop diff before.mlxtop after.mlxtop --screen
"""
)
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    shell_complete=completion.measures,
    help="Exit with code 1 if it holds: peak>+5%, decode.floor>+64M, steps<-3%, peak>12G. A sign compares "
    "with A. Of speeds the whole interval must be beyond the bound. Measures: peak, true-peak, total, "
    "footprint, floor, cache, buffers, steps; of traces live, churn; of sweeps tokens, prefill, metric, "
    "first-token, seconds. Can be given several times.",
)
@click.option(
    "--markdown",
    "as_markdown",
    is_flag=True,
    help="Print Markdown, and add it to $GITHUB_STEP_SUMMARY where that is set.",
)
@options.JSON()
@click.option("--screen", is_flag=True, help="Show both runs on one time axis, with the table beside it.")
@click.option(
    "--align",
    type=NAME,
    metavar="MARK|PHASE",
    help="With --screen: the axis has its 0 where both have their first mark or phase of that name, not at "
    "their start.",
)
@options.web_options()
def diff(
    a: Path,
    b: Path,
    conditions: tuple[str, ...],
    as_markdown: bool,
    as_json: bool,
    screen: bool,
    align: str | None,
    **values: Any,
) -> int:
    """Compare two runs: memory and speed, as a whole and by phase.

    A and B are recordings, traces, files of sweep --json, or outputs of mlxtop --json; what both tell is
    compared. A difference counts only if it is more than noise: what sampling misses, and what differs from
    run to run.

    The exit code is 1 if a condition holds, and 2 if a file cannot be read or a condition's measure is not
    comparable.
    """
    from mlxtop.cli.hard_exit import tell
    from mlxtop.core.text import block
    from mlxtop.diff.comparison import compare
    from mlxtop.diff.condition import judge, parse
    from mlxtop.diff.read import read

    if as_markdown + as_json + screen > 1:
        raise UsageError("Give one of --markdown, --json and --screen.")
    if align is not None and not screen:
        raise UsageError("--align needs --screen.")
    if values["web"] and not screen:
        raise UsageError("--web needs --screen.")
    web = parse_web(values)
    asked = [parse(text) for text in conditions]
    comparison = compare(read(a), read(b))
    judgements = [judge(condition, comparison) for condition in asked]
    if screen:
        _show(comparison, align, web)
    else:
        click.echo(block(_printed(comparison, judgements, as_markdown, as_json)))
    if not as_json:
        from mlxtop.cli.diff_text import verdicts

        for line in verdicts(judgements):
            tell(line)
    return code(judgements)


def _show(comparison: "Comparison", align: str | None, web: "Host | None") -> None:
    """Shows both runs until a person leaves. Raises `UsageError` where they cannot be drawn."""
    from mlxtop.cli.hard_exit import hard_exit
    from mlxtop.cli.screen import run_app
    from mlxtop.diff.axis import aligned
    from mlxtop.diff.read import sampled
    from mlxtop.tui.app import MlxtopApp
    from mlxtop.tui.screens.diff import DiffScreen
    from mlxtop.tui.terminal import check

    sides = [
        aligned(letter, sampled(run), align) for letter, run in (("A", comparison.a), ("B", comparison.b))
    ]
    if web is not None:
        from mlxtop.web.app import View

        web.run(lambda: View(first=DiffScreen(comparison, sides, align or "start"), own=True), "mlxtop diff")
        return
    check()
    app = run_app(lambda: MlxtopApp(first=DiffScreen(comparison, sides, align or "start")))
    if app.return_code:
        hard_exit(app.return_code)


def code(judgements: "list[Judgement]") -> int:
    """1 if a condition holds, 2 if one cannot be judged, else 0."""
    if any(found.holds for found in judgements):
        return 1
    return 2 if any(found.holds is None for found in judgements) else 0


def _printed(
    comparison: "Comparison", judgements: "list[Judgement]", as_markdown: bool, as_json: bool
) -> str:
    from mlxtop.cli import diff_text

    if as_json:
        from mlxtop.diff.export import to_json

        return json.dumps(to_json(comparison, judgements), indent=2)
    if as_markdown:
        text = diff_text.in_markdown(comparison, judgements)
        try:
            add_to_summary(text)
        except OutputError as error:
            # Not with code 1, which says that a condition holds.
            raise UsageError(str(error)) from error
        return text
    return diff_text.text(comparison, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
