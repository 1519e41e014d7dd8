"""Options that several commands share, and functions that turn their values into settings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mlxtop.cli import completion
from mlxtop.cli import values as kinds
from mlxtop.cli.record import record_member
from mlxtop.core.budget import Action, BudgetSpec, resolve
from mlxtop.core.commands import SetInterval, SetLimit
from mlxtop.core.errors import UsageError
from mlxtop.core.facts import Facts
from mlxtop.core.limits import LIMIT_NAMES, LimitName
from mlxtop.core.units import Size
from mlxtop.inference.options import KV_BITS as BITS
from mlxtop.system import machine

if TYPE_CHECKING:
    from mlxtop.recording.recorder import Recorder
    from mlxtop.sessions.remote import RemoteSession

FC = TypeVar("FC", bound=Callable[..., Any] | click.Command)


class Option:
    """An option that several commands share.

    Calling it returns a decorator for a command. `note` is added to the help text; `own` replaces attributes,
    for example the default.
    """

    def __init__(self, *names: str, help: str, **attributes: Any) -> None:
        self._names, self._help, self._attributes = names, help, attributes

    def __call__(self, note: str = "", **own: Any) -> Callable[[FC], FC]:
        text = f"{self._help} {note}".rstrip()
        return click.option(*self._names, **{**self._attributes, **own, "help": text})


MODEL = Option(
    "--model",
    type=kinds.NAME,
    metavar="REPO_OR_PATH",
    shell_complete=completion.models,
    help="A Hub repository or a local directory.",
)
RANDOM_WEIGHTS = Option(
    "--random-weights",
    is_flag=True,
    help="Build the model from its config with random weights: memory and speed are measured without "
    "downloading the weights.",
)
ADAPTER_PATH = Option(
    "--adapter-path",
    type=kinds.NAME,
    metavar="PATH",
    shell_complete=completion.paths,
    help="LoRA adapters to load on top.",
)
MAX_TOKENS = Option("--max-tokens", type=kinds.COUNT, metavar="N", help="Tokens per generation.")
MAX_KV_SIZE = Option(
    "--max-kv-size",
    type=kinds.COUNT,
    metavar="N",
    help="Maximum size of the KV cache in tokens; older tokens are dropped.",
)
KV_BITS = Option(
    "--kv-bits",
    type=click.Choice(BITS),
    metavar="N",
    help="Quantize the KV cache to N bits, from the first token.",
)
PREFILL_STEP_SIZE = Option(
    "--prefill-step-size",
    type=kinds.COUNT,
    default=2048,
    show_default=True,
    metavar="N",
    help="Prompt tokens per prefill step.",
)
SEED = Option("--seed", type=kinds.SEED, default=0, show_default=True, metavar="N", help="Random seed.")

CACHE_LIMIT = Option(
    "--cache-limit",
    type=kinds.SIZE,
    metavar="SIZE",
    help="MLX's cache limit: 0, 20M, 500MB, default, unlimited.",
)
MEMORY_LIMIT = Option("--memory-limit", type=kinds.SIZE, metavar="SIZE", help="MLX's memory limit.")
WIRED_LIMIT = Option(
    "--wired-limit",
    type=kinds.SIZE,
    metavar="SIZE",
    help="MLX's wired limit (Metal on macOS 15 or later). mlx-lm sets its own for each generation.",
)

BUDGET = Option(
    "--budget",
    type=kinds.BudgetParam(),
    metavar="SIZE|cgroup|device",
    help="Maximum footprint: a size, cgroup (the container's limit) or device (Metal's recommended working "
    "set; on CUDA the GPU's memory).",
)
ON_BUDGET = Option(
    "--on-budget",
    type=kinds.ActionParam(),
    multiple=True,
    metavar="ACTION",
    help="Action each time the budget is reached: mark, clear (the cache), limit:SIZE (set the cache limit), "
    "stop, or exec:COMMAND (run it with MLXTOP_USED, MLXTOP_BUDGET, MLXTOP_PID and more in its environment). "
    "Can be given several times.",
)
INTERVAL = Option(
    "--interval", default=0.1, show_default=True, metavar="SECONDS", help="Seconds between samples."
)
RECORD = Option(
    "--record", type=kinds.FILE, metavar="FILE", help="Record the session to FILE; mlxtop replay opens it."
)
RECORD_TEXT = Option("--record-text", is_flag=True, help="Also record prompts, replies and output.")

TRACE = Option(
    "--trace",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    shell_complete=completion.paths,
    help="Trace every allocation from the start, into FILE or a file of its own; mlxtop trace show opens it.",
)

WEB = Option(
    "--web",
    is_flag=True,
    help="Show the screen in a browser on this machine instead of the terminal. The address is printed.",
)
WEB_PORT = Option(
    "--web-port",
    type=kinds.CountParam(0, 65535),
    metavar="PORT",
    help="Port for --web. [default: 8570, or another if that is taken]",
)
WEB_CONTROL = Option(
    "--web-control", is_flag=True, help="With --web: the browser may change limits and more, not only look."
)
HEADLESS = Option("--headless", is_flag=True, help="Run without a screen.")
JSON = Option("--json", "as_json", is_flag=True, help="Print JSON, sizes in bytes.")
MARKDOWN = Option(
    "--markdown", type=kinds.FILE, metavar="OUT", help="Also write the result to OUT as Markdown."
)
OUTPUT = Option("-o", "--output", "out", type=kinds.FILE, metavar="OUT", help="Output file.")


def group(*given: Callable[[FC], FC]) -> Callable[[FC], FC]:
    """Returns a decorator that adds several options to a command. Its help lists them in this order."""

    def give(command: FC) -> FC:
        for option in reversed(given):
            command = option(command)
        return command

    return give


def budget_options() -> Callable[[FC], FC]:
    """`--budget` and `--on-budget`. `parse_ceiling` reads their values."""
    return group(BUDGET("An alarm is shown at 80, 95 and 100 %."), ON_BUDGET())


def record_options() -> Callable[[FC], FC]:
    """`--record` and `--record-text`. `record.recorder` reads their values."""
    return group(RECORD(), RECORD_TEXT())


def web_options() -> Callable[[FC], FC]:
    """`--web` and what belongs to it. `web.parse_web` reads their values."""
    return group(WEB(), WEB_PORT(), WEB_CONTROL())


def watch_options(when: str) -> Callable[[FC], FC]:
    """The options for watching another program. `on_join` reads their values.

    `when` says in the help when limits are set.
    """
    note = f"It is set {when}."
    return group(
        INTERVAL(type=kinds.SecondsParam(0.01, 60)),
        budget_options(),
        CACHE_LIMIT(note),
        MEMORY_LIMIT(note),
        WIRED_LIMIT("It can only be set when the program imports MLX."),
        record_options(),
    )


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """The values of `--budget` and `--on-budget`."""

    spec: BudgetSpec | None = None
    actions: tuple[Action, ...] = ()


def parse_ceiling(values: dict[str, Any], here: bool = True) -> BudgetOptions:
    """The budget options from click's values. `here`: the program will run in the same container as mlxtop.

    Raises `UsageError` for a combination that cannot work.
    """
    spec, actions = values["budget"], values["on_budget"]
    if actions and spec in (None, "none"):
        raise UsageError("--on-budget needs a --budget.")
    if spec == "cgroup" and here:
        resolve(spec, Facts(cgroup_limit=machine.cgroup_limit()), "flag")
    return BudgetOptions(spec, actions)


def given_limits(values: dict[str, Any]) -> dict[LimitName, Size]:
    """The limits given on the command line."""
    return {name: size for name in LIMIT_NAMES if (size := values[f"{name}_limit"]) is not None}


def on_join(values: dict[str, Any], recording: "Recorder | None" = None) -> "Callable[[RemoteSession], None]":
    """Returns a function to call with each new session. It applies the watch options in click's `values`."""
    limits = given_limits(values)

    def joined(session: "RemoteSession") -> None:
        if recording is not None:
            record_member(recording, session)
        if session.interval != values["interval"]:
            session.submit(SetInterval(values["interval"]))
        for name, size in limits.items():
            session.submit(SetLimit(name, size, "flag"))

    return joined
