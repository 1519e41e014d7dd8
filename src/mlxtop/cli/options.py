"""The options that several commands take, and what they come to."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from mlxtop.cli.record import record_member, record_options
from mlxtop.cli.values import COUNT, NAME, SEED, SIZE, ActionParam, BudgetParam, RepeatParam, SecondsParam
from mlxtop.core.budget import Action, BudgetSpec, resolve
from mlxtop.core.errors import UsageError
from mlxtop.core.limits import LIMIT_NAMES, LimitName
from mlxtop.core.units import UNLIMITED, Size, format_size
from mlxtop.inference.options import FOREVER, Options, Workload
from mlxtop.system import machine

if TYPE_CHECKING:
    from mlxtop.recording.recorder import Recorder
    from mlxtop.sessions.remote import RemoteSession

F = TypeVar("F", bound=Callable[..., Any])
PROMPT_MOST = 2**24
"""Bytes or letters: more than any model's context."""

DEMO_TOKENS, MODEL_TOKENS = 96, 256


_BUDGET = (
    click.option(
        "--budget",
        type=BudgetParam(),
        metavar="SIZE|cgroup|device",
        help="A ceiling for the footprint, with an alarm at 80, 95 and 100 %: a size; cgroup, the container's limit; "
        "or device, the working set Metal recommends here, on CUDA the GPU's memory. There are no presets like "
        "'16GB Mac': Apple publishes no rule for them.",
    ),
    click.option(
        "--on-budget",
        type=ActionParam(),
        multiple=True,
        metavar="ACTION",
        help="What to do each time the budget is reached: mark, clear (the cache), limit:SIZE (of the cache), stop, "
        "or exec:COMMAND, which finds MLXTOP_USED, MLXTOP_BUDGET, MLXTOP_PID and more in its environment. Repeatable.",
    ),
)  # fmt: skip

_OPTIONS = (
    click.option("--model", type=NAME, metavar="REPO_OR_PATH", help="A Hub repository or a local directory. [default: the demo model]"),
    click.option("--random-weights", is_flag=True, help="Build the model from its config with random weights: its memory without its download."),
    click.option("--prompt", metavar="TEXT", help="The prompt; - reads it from standard input."),
    click.option(
        "--prompt-file",
        type=click.File("r", encoding="utf-8"),
        metavar="FILE",
        help="Read the prompt from FILE; - is standard input.",
    ),
    click.option("--max-tokens", type=COUNT, metavar="N", help="Tokens per generation. [default: 256, demo 96]"),
    click.option("--repeat", type=RepeatParam(), metavar="N|forever", help="Generations (loop) or walks (ramp). [default: forever, headless 1]"),
    click.option(
        "--workload",
        type=click.Choice(["chat", "loop", "ramp"]),
        help="chat waits for prompts, loop repeats one, ramp walks through distinct lengths. [default: ramp for the demo, else chat]",
    ),
    click.option("--interval", type=SecondsParam(0.001, 60), default=0.1, show_default=True, metavar="SECONDS", help="Seconds between samples."),
    click.option("--cache-limit", type=SIZE, metavar="SIZE", help="MLX's cache limit: 0, 20M, 500MB, default, unlimited."),
    click.option("--memory-limit", type=SIZE, metavar="SIZE", help="MLX's memory limit."),
    click.option("--wired-limit", type=SIZE, metavar="SIZE", help="MLX's wired limit: works on Metal from macOS 15 on, and between generations only, as mlx-lm sets it to the most for each."),
    *_BUDGET,
    click.option("--max-kv-size", type=COUNT, metavar="N", help="Longest KV cache in tokens; older ones are dropped."),
    click.option("--kv-bits", type=click.Choice(["2", "3", "4", "6", "8"]), metavar="N", help="Quantize the KV cache to N bits, from the first token."),
    click.option("--prefill-step-size", type=COUNT, default=2048, show_default=True, metavar="N", help="Tokens of a prompt per step."),
    click.option("--adapter-path", type=NAME, metavar="PATH", help="LoRA adapters to load on top."),
    click.option("--seed", type=SEED, default=0, show_default=True, metavar="N", help="Seed of the demo's weights and of sampling."),
)  # fmt: skip


_INTERVAL = click.option("--interval", type=SecondsParam(0.01, 60), default=0.1, show_default=True, metavar="SECONDS", help="Seconds between samples.")  # fmt: skip


WIRED = "It works on Metal from macOS 15 on, not in a program that runs already, and mlx-lm sets its own."


def watch_options(when: str) -> Callable[[F], F]:
    """Gives a command the options of watching another program; `on_join` makes sense of them. `when` says
    when limits are set."""

    def give(command: F) -> F:
        command = record_options(command)
        for knob in reversed(LIMIT_NAMES):
            text = f"Set the program's {knob} limit {when}."
            if knob == "wired":
                text += f" {WIRED}"
            command = click.option(f"--{knob}-limit", type=SIZE, metavar="SIZE", help=text)(command)
        for option in reversed(_BUDGET):
            command = option(command)
        return _INTERVAL(command)

    return give


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """What `--budget` and `--on-budget` came to."""

    ask: BudgetSpec | None = None
    actions: tuple[Action, ...] = ()


def parse_ceiling(values: dict[str, Any], here: bool = True) -> BudgetOptions:
    """The budget options as click read them. `here`: the program will be in our own container.

    Raises `UsageError` for what can be told to be impossible before anything runs.
    """
    ask, actions = values["budget"], values["on_budget"]
    if actions and ask in (None, "none"):
        raise UsageError("--on-budget needs a --budget.")
    if ask == "cgroup" and here:
        resolve(ask, {"cgroup_limit": machine.cgroup_limit()}, "flag")
    return BudgetOptions(ask, actions)


def on_join(values: dict[str, Any], recording: "Recorder | None" = None) -> "Callable[[RemoteSession], None]":
    """Watch options as click read them → what is done with each session that joins."""
    limits: dict[LimitName, Size] = {
        k: values[f"{k}_limit"] for k in LIMIT_NAMES if values[f"{k}_limit"] is not None
    }

    def joined(session: "RemoteSession") -> None:
        if recording is not None:
            record_member(recording, session)
        if session.interval != values["interval"]:
            session.set_interval(values["interval"])
        for knob, size in limits.items():
            session.set_limit(knob, size, "flag")

    return joined


def run_options(command: F) -> F:
    """Gives a command the options every run takes; `parse_run` makes sense of them."""
    command = record_options(command)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the run options came to."""

    options: Options
    interval: float
    took_stdin: bool
    """Whether the prompt came from standard input, which then is no keyboard."""
    ceiling: BudgetOptions = BudgetOptions()
    record: Path | None = None
    record_text: bool = False


def parse_run(values: dict[str, Any], headless: bool) -> RunOptions:
    """Run options as click read them → what to run. Raises `UsageError`."""
    if values["random_weights"] and (not values["model"] or values["adapter_path"]):
        raise UsageError("--random-weights stands for a --model's own, and takes no --adapter-path.")
    prompt, took_stdin = _prompt(values["prompt"], values["prompt_file"])
    model, repeat = values["model"], values["repeat"]
    workload = values["workload"] or _workload(model, prompt, repeat, headless)
    if headless and workload == "chat" and prompt is None:
        raise UsageError("chat waits for typed prompts, which --headless has no place for: give a --prompt.")
    limits: dict[LimitName, Size] = {
        knob: values[f"{knob}_limit"] for knob in LIMIT_NAMES if values[f"{knob}_limit"] is not None
    }
    if limits.get("wired") == UNLIMITED:
        raise UsageError("--wired-limit cannot be unlimited: the system must keep some memory; name a size.")
    options = Options(
        model=model,
        prompt=prompt,
        workload=workload,
        max_tokens=values["max_tokens"] or (MODEL_TOKENS if model else DEMO_TOKENS),
        repeat=repeat if repeat is not None else 1 if headless else FOREVER,
        limits=limits,
        max_kv_size=values["max_kv_size"],
        kv_bits=int(values["kv_bits"]) if values["kv_bits"] else None,
        prefill_step_size=values["prefill_step_size"],
        adapter_path=values["adapter_path"],
        random_weights=values["random_weights"],
        seed=values["seed"],
        budget=values["budget"] if isinstance(values["budget"], int) else None,
    )
    if options.max_kv_size and options.kv_bits:
        raise UsageError(
            "--max-kv-size and --kv-bits exclude each other: mlx-lm cannot quantize a rotating KV cache."
        )
    return RunOptions(
        options,
        values["interval"],
        took_stdin,
        parse_ceiling(values),
        values["record"],
        values["record_text"],
    )


def _prompt(text: str | None, file: Any) -> tuple[str | None, bool]:
    if text is not None and file is not None:
        raise UsageError("--prompt and --prompt-file exclude each other: give one.")
    took_stdin = text == "-" or (file is not None and file.name == "<stdin>")
    if not took_stdin and file is None:
        return text, False
    name = "standard input" if took_stdin else file.name
    try:
        # As bytes: how standard input would decode itself depends on the locale.
        found = (sys.stdin.buffer if took_stdin else file).read(PROMPT_MOST + 1)
        if len(found) > PROMPT_MOST:
            raise UsageError(f"{name} is too long for a prompt: it has more than {format_size(PROMPT_MOST)}.")
        return (found.decode() if took_stdin else cast(str, found)), took_stdin
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}.") from error


def _workload(model: str | None, prompt: str | None, repeat: int | None, headless: bool) -> Workload:
    if prompt is None:
        return "ramp" if model is None or headless else "chat"
    return "loop" if headless or repeat is not None else "chat"
