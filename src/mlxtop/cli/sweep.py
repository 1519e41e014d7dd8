"""`mlxtop sweep`: which value of a knob, for this model, on this machine."""

import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlxtop.cli.values import FILE, NAME, SEED, CountParam
from mlxtop.core.errors import UsageError
from mlxtop.core.parsing import whole
from mlxtop.core.text import shortened

if TYPE_CHECKING:
    from mlxtop.sweep.plan import Plan

LIMITS = "0,2M,20M,100M,256M,1G,default"
DEMO = ((128, 512), 64)
MODEL = ((128, 2048), 128)
"""Prompt lengths and tokens of a generation."""
ROUNDS = 10
RANDOM = ("random weights",)


class _Command(click.Command):
    """A command whose arguments after `--` are another command's."""

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
  mlxtop sweep --model PATH --knob kv-bits=4,8,default --markdown kv.md
  mlxtop sweep --model PATH --json s.json                     Ctrl-C, and later
  mlxtop sweep --resume s.json
  mlxtop sweep --metric 'Generation:.*, (\\S+) tokens-per-sec' -- mlx_lm.generate --model PATH
""",
)
@click.option(
    "--model",
    type=NAME,
    metavar="REPO_OR_PATH",
    help="A Hub repository or a local directory. [default: the demo model]",
)
@click.option("--limits", metavar="SIZE,…", help=f"Cache limits to compare. [default: {LIMITS}]")
@click.option(
    "--knob",
    "knobs",
    multiple=True,
    metavar="NAME=V,V,…",
    help="Compare values of cache-limit, kv-bits, max-kv-size or prefill-step-size; given twice, all pairs.",
)
@click.option(
    "--prompt-tokens",
    metavar="N,…",
    help="Prompt lengths; the choice must hold for all. [default: 128,2048, demo 128,512]",
)
@click.option(
    "--max-tokens",
    type=CountParam(2),
    metavar="N",
    help="Tokens per generation. [default: 128, demo 64]",
)
@click.option(
    "--repeats",
    type=CountParam(1, 10_000),
    default=ROUNDS,
    show_default=True,
    metavar="N",
    help="The most repeats of each cell; fewer when the numbers are good enough. A recommendation takes 5.",
)
@click.option(
    "--tolerance",
    default="2%",
    show_default=True,
    metavar="PERCENT",
    help="The loss of speed you do not mind.",
)
@click.option("--adapter-path", type=NAME, metavar="PATH", help="LoRA adapters to load on top.")
@click.option(
    "--random-weights",
    is_flag=True,
    help="Build the model from its config with random weights: its memory and speed without its download.",
)
@click.option(
    "--seed",
    type=SEED,
    default=0,
    show_default=True,
    metavar="N",
    help="Seed of the order, of the demo's weights and of sampling.",
)
@click.option(
    "--metric",
    metavar="REGEX",
    help="With a COMMAND: its speed is the group of the last match in its output. [default: its wall time]",
)
@click.option("--lower-is-better", is_flag=True, help="With --metric: less of it is better.")
@click.option(
    "--json",
    "json_",
    type=FILE,
    metavar="OUT",
    help="Write everything, every repeat too, to OUT after every cell; - is standard output, at the end.",
)
@click.option("--csv", "csv_", type=FILE, metavar="OUT", help="Write every repeat, one a line.")
@click.option(
    "--markdown",
    "markdown_",
    type=FILE,
    metavar="OUT",
    help="Write the table, the chart and the sentence.",
)
@click.option(
    "--html", "html_", type=FILE, metavar="OUT", help="Write the same as one page that needs nothing else."
)
@click.option(
    "--resume",
    type=FILE,
    metavar="FILE",
    help="Go on with the sweep in FILE, a --json, under its own options; --repeats and --tolerance may be others. "
    "It is written on unless --json names another.",
)
@click.option(
    "--headless", is_flag=True, help="No screen: progress on standard error, the result on standard output."
)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def sweep(ctx: click.Context, /, command: tuple[str, ...], **values: Any) -> None:
    """Measure what a cache limit, or another parameter, costs in speed and saves in memory.

    Runs a model with each value, interleaved in random order, until the differences are known to the
    tolerance. Then names the smallest limit that loses no more than the tolerance. With a COMMAND it runs
    that program again for each value; its cache limit is set when it imports MLX.
    """
    if command and not ctx.meta["mlxtop.dashes"]:
        raise UsageError(f"sweep takes no argument {command[0]}; a command to measure stands after --.")
    from mlxtop.mlx import backend

    outs = _outs(values)
    stored = None
    if values["resume"] is None:
        plan = parse_plan(values, command)
    else:
        from mlxtop.sweep import store

        stored = store.read(values["resume"])
        given = {n for n in values if ctx.get_parameter_source(n) is click.core.ParameterSource.COMMANDLINE}
        values, plan = resumed(stored.plan, values, given, command)
        store.check_plan(stored, plan, values["resume"])
    backend.check()
    if not values["headless"]:
        from mlxtop.tui.terminal import check

        check()
    from mlxtop.cli.sweep_runner import Outputs, run_headless, run_screen

    show = run_headless if values["headless"] else run_screen
    model = {name: values[name] for name in ("adapter_path", "random_weights")}
    show(plan, model, stored, Outputs(**outs))


def parse_plan(values: dict[str, Any], command: Sequence[str]) -> "Plan":
    """The options as click read them → what to measure. Raises `UsageError`."""
    from mlxtop.sweep.plan import Plan, SweepParameter, check_parameters, parse_parameter

    texts = list(values["knobs"])
    if values["limits"] is not None:
        texts.insert(0, f"cache-limit={values['limits']}")
    parameters: tuple[SweepParameter, ...] = tuple(
        parse_parameter(text) for text in texts or [f"cache-limit={LIMITS}"]
    )
    check_parameters(parameters)
    common: dict[str, Any] = {
        "parameters": parameters,
        "rounds": values["repeats"],
        "tolerance": _tolerance(values["tolerance"]),
        "seed": values["seed"],
    }
    if command:
        return Plan(shlex.join(command), **common, **_of_command(values, parameters), extra=tuple(command))
    if values["metric"] is not None or values["lower_is_better"]:
        raise UsageError("--metric and --lower-is-better are for a command's output: give one after --.")
    lengths, tokens = MODEL if values["model"] else DEMO
    only_prefill = [parameter.name for parameter in parameters] == ["prefill-step-size"]
    return Plan(
        values["model"] or "demo",
        **common,
        lengths=_lengths(values["prompt_tokens"]) if values["prompt_tokens"] else lengths,
        max_tokens=values["max_tokens"] or tokens,
        metric="prefill" if only_prefill else "tps",
        extra=_extra(values),
    )


FIELDS = {
    "limits": "parameters",
    "knobs": "parameters",
    "prompt_tokens": "lengths",
    "max_tokens": "max_tokens",
    "repeats": "rounds",
    "tolerance": "tolerance",
    "seed": "seed",
    "metric": "pattern",
    "lower_is_better": "lower_is_better",
}
"""Options, and what each decides in a plan."""


def resumed(
    stored: "Plan", values: dict[str, Any], given: Collection[str], command: Sequence[str]
) -> tuple[dict[str, Any], "Plan"]:
    """The options and the plan of a sweep that goes on: what is not `given` is as `stored`. Raises `UsageError`."""
    if stored.max_tokens == 0:
        command = command or stored.extra
        values = {**values, "metric": values["metric"] or stored.pattern or None}
    elif not command:
        adapter, random = stored.extra[:1] == ("adapter",), stored.extra == RANDOM
        was = {
            "model": None if stored.subject == "demo" else stored.subject,
            "adapter_path": stored.extra[-1] if adapter else None,
            "random_weights": random,
        }
        values = {**values, **{name: value for name, value in was.items() if name not in given}}
    asked = parse_plan(values, command)
    fields = {"subject", "extra", *(field for option, field in FIELDS.items() if option in given)}
    return values, replace(stored, **{field: getattr(asked, field) for field in fields})


def _extra(values: dict[str, Any]) -> tuple[str, ...]:
    """What else makes it another model."""
    adapter, random = values["adapter_path"], values["random_weights"]
    if random and (adapter or not values["model"]):
        raise UsageError("--random-weights stands for a --model's own, and takes no --adapter-path.")
    return ("adapter", adapter) if adapter else RANDOM if random else ()


def _of_command(values: dict[str, Any], parameters: Sequence[Any]) -> dict[str, Any]:
    for name in ("model", "prompt_tokens", "max_tokens", "adapter_path", "random_weights"):
        if values[name] not in (None, False):
            raise UsageError(
                f"--{name.replace('_', '-')} is for a model; a command takes its own options after --."
            )
    if [parameter.name for parameter in parameters] != ["cache-limit"]:
        raise UsageError(
            "Of a command only the cache limit can be swept: its other knobs are its own options."
        )
    pattern = values["metric"]
    if pattern is None:
        if values["lower_is_better"]:
            raise UsageError("--lower-is-better is about a --metric; of wall time less is better anyway.")
        return {"metric": "seconds"}
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise UsageError(f"--metric is no regular expression: {error}.") from error
    if groups != 1:
        raise UsageError(f"--metric must have one group, the number; this one has {groups}.")
    return {"metric": "value", "pattern": pattern, "lower_is_better": values["lower_is_better"]}


def _tolerance(text: str) -> float:
    """`2%`, `2` and `0.5 %`: percent."""
    try:
        share = float(text.strip().removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not 0.0005 <= share <= 0.5:
        raise UsageError(f"--tolerance {shortened(text)} is not a loss in percent between 0.05 and 50.")
    return share


def _lengths(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    lengths = tuple(n for word in words if 0 < (n := whole(word) or 0) < 10**8)
    if len(lengths) < len(words) or len(set(lengths)) < len(lengths):
        raise UsageError(
            f"--prompt-tokens {shortened(text)} is no list of different lengths from 1, such as 128,2048."
        )
    return lengths


def _outs(values: dict[str, Any]) -> dict[str, Path | None]:
    outs = {name: values[f"{name}_"] for name in ("json", "csv", "markdown", "html")}
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
