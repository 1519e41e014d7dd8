"""The options for a model that mlxtop runs itself."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import click

from mlxtop.cli import options
from mlxtop.cli.options import FC, BudgetOptions, given_limits, parse_ceiling
from mlxtop.cli.values import RepeatParam, SecondsParam
from mlxtop.core.errors import UsageError
from mlxtop.core.units import UNLIMITED, format_size
from mlxtop.inference.options import FOREVER, Options, Workload, check_kv_cache, check_weights

PROMPT_MOST = 2**24
"""The longest prompt in bytes, or in characters from a file: more than any model's context."""

DEMO_TOKENS, MODEL_TOKENS = 96, 256


def model_options() -> Callable[[FC], FC]:
    """The options for running a model. `parse_run` reads their values."""
    return options.group(
        options.MODEL("[default: the demo model]"),
        options.RANDOM_WEIGHTS(),
        click.option("--prompt", metavar="TEXT", help="The prompt; - reads it from standard input."),
        click.option(
            "--prompt-file",
            type=click.File("r", encoding="utf-8"),
            metavar="FILE",
            help="Read the prompt from FILE; - is standard input.",
        ),
        options.MAX_TOKENS("[default: 256, demo 96]"),
        click.option(
            "--repeat",
            type=RepeatParam(),
            metavar="N|forever",
            help="Number of generations (loop) or passes (ramp). [default: forever, headless 1]",
        ),
        click.option(
            "--workload",
            type=click.Choice(["chat", "loop", "ramp"]),
            help="chat waits for prompts, loop repeats one prompt, ramp uses prompts of different lengths. "
            "[default: ramp for the demo, else chat]",
        ),
        options.INTERVAL(type=SecondsParam(0.001, 60)),
        options.CACHE_LIMIT(),
        options.MEMORY_LIMIT(),
        options.WIRED_LIMIT(),
        options.budget_options(),
        options.MAX_KV_SIZE(),
        options.KV_BITS(),
        options.PREFILL_STEP_SIZE(),
        options.ADAPTER_PATH(),
        options.SEED(),
        options.record_options(),
        options.TRACE(),
    )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The values of the run options."""

    options: Options
    interval: float
    took_stdin: bool
    """Whether the prompt was read from standard input. Keys are then read from the terminal."""
    ceiling: BudgetOptions = field(default_factory=BudgetOptions)
    record: Path | None = None
    record_text: bool = False


def parse_run(values: dict[str, Any], headless: bool) -> RunOptions:
    """The run options from click's values. Raises `UsageError` for a combination that cannot work."""
    check_weights(values["model"], values["adapter_path"], values["random_weights"])
    check_kv_cache(values["max_kv_size"], values["kv_bits"])
    prompt, took_stdin = _prompt(values["prompt"], values["prompt_file"])
    model, repeat = values["model"], values["repeat"]
    workload = values["workload"] or _workload(model, prompt, repeat, headless)
    if headless and workload == "chat" and prompt is None:
        raise UsageError("The chat workload needs typed prompts; with --headless, give a --prompt.")
    limits = given_limits(values)
    if limits.get("wired") == UNLIMITED:
        raise UsageError("--wired-limit cannot be unlimited: the system needs some memory. Give a size.")
    options = Options(
        model=model,
        prompt=prompt,
        workload=workload,
        max_tokens=values["max_tokens"] or (MODEL_TOKENS if model else DEMO_TOKENS),
        repeat=repeat if repeat is not None else 1 if headless else FOREVER,
        limits=limits,
        max_kv_size=values["max_kv_size"],
        kv_bits=values["kv_bits"],
        prefill_step_size=values["prefill_step_size"],
        adapter_path=values["adapter_path"],
        random_weights=values["random_weights"],
        seed=values["seed"],
        trace=_trace(values["trace"]),
        budget=values["budget"] if isinstance(values["budget"], int) else None,
    )
    return RunOptions(
        options,
        values["interval"],
        took_stdin,
        parse_ceiling(values),
        values["record"],
        values["record_text"],
    )


def _trace(given: str | None) -> str | None:
    """The file for a trace, empty for one of its own; `None` without one. Raises `UsageError`."""
    if not given:
        return given
    from mlxtop.cli.trace_run import make_room

    return str(make_room(Path(given)))


def _prompt(text: str | None, file: Any) -> tuple[str | None, bool]:
    if text is not None and file is not None:
        raise UsageError("Use either --prompt or --prompt-file, not both.")
    took_stdin = text == "-" or (file is not None and file.name == "<stdin>")
    if not took_stdin and file is None:
        return text, False
    name = "standard input" if took_stdin else file.name
    try:
        # As bytes: the encoding of standard input depends on the locale.
        found = (sys.stdin.buffer if took_stdin else file).read(PROMPT_MOST + 1)
        if len(found) > PROMPT_MOST:
            raise UsageError(f"{name} is too long for a prompt: more than {format_size(PROMPT_MOST)}.")
        return (found.decode() if took_stdin else cast(str, found)), took_stdin
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text: {error.reason} at byte {error.start}.") from error


def _workload(model: str | None, prompt: str | None, repeat: int | None, headless: bool) -> Workload:
    if prompt is None:
        return "ramp" if model is None or headless else "chat"
    return "loop" if headless or repeat is not None else "chat"
