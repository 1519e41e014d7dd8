"""`mlxtop sweep`: find the best value of a parameter for a model on this machine."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlxtop.cli import completion, options
from mlxtop.cli.values import FILE, CountParam
from mlxtop.cli.web import parse_web
from mlxtop.core.errors import UsageError
from mlxtop.core.parsing import whole
from mlxtop.core.text import shortened
from mlxtop.inference.options import check_weights

if TYPE_CHECKING:
    from mlxtop.sweep.plan import Plan
    from mlxtop.sweep.target import CommandTarget, ModelTarget, Target

LIMITS = "0,2M,20M,100M,256M,1G,default"
DEMO = ((128, 512), 64)
MODEL = ((128, 2048), 128)
"""Prompt lengths in tokens, and tokens per generation."""
ROUNDS = 10
WEIGHTS = ("model", "adapter_path", "random_weights")
"""The options that name a model."""


class _Command(completion.RunsProgram):
    """A command that remembers whether `--` was given: what follows it is the command to measure."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["mlxtop.dashes"] = "--" in args
        return super().parse_args(ctx, args)


@click.command(
    cls=_Command,
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
    epilog="""\b
Try:
  mlxtop sweep                                                the demo model
  mlxtop sweep --model PATH --limits 0,20M,1G,default --prompt-tokens 128,2048
  mlxtop sweep --model PATH --parameter kv-bits=4,8,default --markdown kv.md
  mlxtop sweep --model PATH --json s.json                     Ctrl-C, and later
  mlxtop sweep --resume s.json
  mlxtop sweep --metric 'Generation:.*, (\\S+) tokens-per-sec' -- mlx_lm.generate --model PATH
""",
)
@options.MODEL("[default: the demo model]")
@click.option("--limits", metavar="SIZE,…", help=f"Cache limits to compare. [default: {LIMITS}]")
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=V,V,…",
    help="Compare values of cache-limit, kv-bits, max-kv-size or prefill-step-size. Given twice, all "
    "combinations are measured.",
)
@click.option("--knob", "knobs", multiple=True, hidden=True)  # the name of --parameter in 0.1
@click.option(
    "--prompt-tokens",
    metavar="N,…",
    help="Prompt lengths in tokens; the recommendation is for all of them. [default: 128,2048, demo 128,512]",
)
@options.MAX_TOKENS("[default: 128, demo 64]", type=CountParam(2))
@click.option(
    "--repeats",
    type=CountParam(1, 10_000),
    default=ROUNDS,
    show_default=True,
    metavar="N",
    help="Maximum repeats of each value; fewer once the results are precise. A recommendation needs 5.",
)
@click.option(
    "--tolerance",
    default="2%",
    show_default=True,
    metavar="PERCENT",
    help="Acceptable loss of speed.",
)
@options.ADAPTER_PATH()
@options.RANDOM_WEIGHTS()
@options.SEED()
@click.option(
    "--metric",
    metavar="REGEX",
    help="With COMMAND: compare the number that REGEX's group finds in the output; the last match counts. "
    "[default: wall time]",
)
@click.option("--lower-is-better", is_flag=True, help="With --metric: lower values are better.")
@click.option(
    "--json",
    type=FILE,
    metavar="OUT",
    help="Write all results to OUT after every measurement; - writes them to standard output at the end.",
)
@click.option("--csv", type=FILE, metavar="OUT", help="Write every repeat to OUT as CSV.")
@options.MARKDOWN("It has the recommendation, the table and the chart.")
@click.option("--html", type=FILE, metavar="OUT", help="Also write the result to OUT as one HTML page.")
@click.option(
    "--resume",
    type=FILE,
    metavar="FILE",
    help="Continue the sweep that --json wrote to FILE, with its options; --repeats and --tolerance may "
    "differ. FILE is updated unless --json names another file.",
)
@options.web_options()
@options.HEADLESS("Progress goes to standard error, the result to standard output.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, shell_complete=completion.program)
@click.pass_context
def sweep(ctx: click.Context, /, command: tuple[str, ...], **values: Any) -> None:
    """Measure what a cache limit, or another parameter, costs in speed and saves in memory.

    Runs a model with each value, in random order, until the differences are known within the tolerance. Then
    recommends the smallest value that loses no more speed than the tolerance. With COMMAND it runs that
    program once per measurement; the cache limit is set when the program imports MLX.
    """
    if command and not ctx.meta["mlxtop.dashes"]:
        raise UsageError(f"sweep takes no argument {command[0]}. Put -- before a command to measure.")
    from mlxtop.mlx import backend

    outs = _outs(values)
    stored = None
    if values["resume"] is None:
        plan = parse_plan(values, command)
    else:
        from mlxtop.sweep import store

        stored = store.read(values["resume"])
        given = {n for n in values if ctx.get_parameter_source(n) is click.core.ParameterSource.COMMANDLINE}
        plan = resumed(stored.plan, values, given, command)
        store.check_plan(stored, plan, values["resume"])
    backend.check()
    web = parse_web(values, values["headless"])
    if not values["headless"] and web is None:
        from mlxtop.tui.terminal import check

        check()
    from mlxtop.cli.sweep_runner import Outputs, run_headless, run_in_browser, run_screen

    if web is not None:
        run_in_browser(plan, stored, Outputs(**outs), web)
    show = run_headless if values["headless"] else run_screen
    show(plan, stored, Outputs(**outs))


def parse_plan(values: dict[str, Any], command: Sequence[str]) -> "Plan":
    """The plan from click's values. Raises `UsageError`."""
    from mlxtop.sweep.plan import Plan, check_parameters, parse_parameter

    texts = [*values["parameters"], *values["knobs"]]
    if values["limits"] is not None:
        texts.insert(0, f"cache-limit={values['limits']}")
    parameters = tuple(parse_parameter(text) for text in texts or [f"cache-limit={LIMITS}"])
    check_parameters(parameters)
    if command and {parameter.name for parameter in parameters} != {"cache-limit"}:
        raise UsageError(
            "Only the cache limit of a command can be swept. Set other parameters with the command's options."
        )
    target = _command(values, command) if command else _model(values)
    return Plan(target, parameters, values["repeats"], _tolerance(values["tolerance"]), values["seed"])


def _model(values: dict[str, Any]) -> "ModelTarget":
    from mlxtop.sweep.target import ModelTarget

    if values["metric"] is not None or values["lower_is_better"]:
        raise UsageError("--metric and --lower-is-better need a command after --.")
    model, adapter_path, random_weights = (values[name] for name in WEIGHTS)
    check_weights(model, adapter_path, random_weights)
    lengths, tokens = MODEL if model else DEMO
    asked = values["prompt_tokens"]
    return ModelTarget(
        _lengths(asked) if asked else lengths,
        values["max_tokens"] or tokens,
        model,
        adapter_path,
        random_weights,
    )


def _command(values: dict[str, Any], command: Sequence[str]) -> "CommandTarget":
    from mlxtop.sweep.target import CommandTarget

    for name in (*WEIGHTS, "prompt_tokens", "max_tokens"):
        if values[name] not in (None, False):
            raise UsageError(
                f"--{name.replace('_', '-')} is for a model. Give a command its own options after --."
            )
    pattern, lower_is_better = values["metric"], values["lower_is_better"]
    if pattern is None and lower_is_better:
        raise UsageError("--lower-is-better needs --metric. For wall time lower is always better.")
    if pattern is not None:
        _check_pattern(pattern)
    return CommandTarget(tuple(command), pattern, lower_is_better)


FIELDS = {
    "parameters": ("limits", "parameters", "knobs"),
    "rounds": ("repeats",),
    "tolerance": ("tolerance",),
    "seed": ("seed",),
}
"""The fields of a plan, and the options that set them."""


def resumed(stored: "Plan", values: dict[str, Any], given: Collection[str], command: Sequence[str]) -> "Plan":
    """The plan of a resumed sweep: options not in `given` keep their `stored` values. Raises `UsageError`."""
    from mlxtop.sweep.target import CommandTarget

    old, was = stored.target, {}
    if isinstance(old, CommandTarget):
        command = command or old.argv
        was = {"metric": old.pattern, "lower_is_better": old.lower_is_better}
    elif not command:
        was = {name: getattr(old, name) for name in WEIGHTS}
    asked = parse_plan({**values, **{name: was[name] for name in was if name not in given}}, command)
    kept = {
        field: getattr(stored, field)
        for field, names in FIELDS.items()
        if not any(name in given for name in names)
    }
    return replace(asked, target=_resumed_target(old, asked.target, given), **kept)


def _resumed_target(old: "Target", asked: "Target", given: Collection[str]) -> "Target":
    """`asked`, with the lengths of `old` for prompts and answers that were not given. Applies to models."""
    from mlxtop.sweep.target import ModelTarget

    if not isinstance(old, ModelTarget) or not isinstance(asked, ModelTarget):
        return asked
    return replace(
        asked,
        lengths=asked.lengths if "prompt_tokens" in given else old.lengths,
        max_tokens=asked.max_tokens if "max_tokens" in given else old.max_tokens,
    )


def _check_pattern(pattern: str) -> None:
    """Raises `UsageError` unless `pattern` is a regular expression with one group."""
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise UsageError(f"--metric is not a valid regular expression: {error}.") from error
    if groups != 1:
        raise UsageError(f"--metric must have exactly one group, for the number; it has {groups}.")


def _tolerance(text: str) -> float:
    """The share for `2%`, `2` or `0.5 %`; 0.02 for the first two."""
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0.0005 <= share <= 0.5:
        raise UsageError(f"--tolerance {shortened(text)} is not a percentage from 0.05 to 50.")
    return share


def _lengths(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    lengths = tuple(n for word in words if 0 < (n := whole(word) or 0) < 10**8)
    if len(lengths) < len(words) or len(set(lengths)) < len(lengths):
        raise UsageError(
            f"--prompt-tokens {shortened(text)} is not a list of different lengths, such as 128,2048."
        )
    return lengths


def _outs(values: dict[str, Any]) -> dict[str, Path | None]:
    outs = {name: values[name] for name in ("json", "csv", "markdown", "html")}
    outs["json"] = outs["json"] or values["resume"]
    if sum(1 for out in outs.values() if out == Path("-")) > 1:
        raise UsageError("Only one of --json, --csv, --markdown and --html can be standard output.")
    named = [out.absolute() for out in outs.values() if out is not None and out != Path("-")]
    if len(set(named)) < len(named):
        raise UsageError("--json, --csv, --markdown and --html must be different files.")
    for out in named:
        if not out.parent.is_dir():
            raise UsageError(f"{out} cannot be written: there is no folder {out.parent}.")
    return outs
