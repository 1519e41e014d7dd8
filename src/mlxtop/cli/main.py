"""`mlxtop` without a command: runs a model and shows it."""

import gc
from importlib import import_module
from typing import Any, cast

import click

from mlxtop import __version__
from mlxtop.cli import options
from mlxtop.cli.model_options import model_options, parse_run

COMMANDS = (
    "run",
    "attach",
    "follow",
    "census",
    "ps",
    "top",
    "serve",
    "trace",
    "check",
    "sweep",
    "fit",
    "replay",
    "diff",
    "report",
    "export",
    "info",
    "doctor",
)
"""Each is a file of this folder with a command of the same name."""


class _Group(click.Group):
    """A group whose own options may end in `-`: the prompt comes from standard input."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        takes_value = args[-2:-1] in (["--prompt"], ["--prompt-file"])
        command = args[:1] and args[0] in COMMANDS
        if args[-1:] == ["-"] and not takes_value and not command:
            args = [*args[:-1], "--prompt-file", "-"]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        # Commands are imported when they are used: the dashboard must not wait for them.
        if name not in COMMANDS:
            return None
        return cast(click.Command, getattr(import_module(f"mlxtop.cli.{name}"), name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from None


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Try:
  mlxtop                                                      the demo model
  mlxtop --model mlx-community/Llama-3.2-3B-Instruct-4bit     a chat
  mlxtop --model PATH --prompt-file long.txt --repeat forever
  mlxtop --headless --cache-limit 20M                         a summary
  mlxtop --json | jq 'select(.type == "sample").cache'
  mlxtop fit --model REPO --budget 16G                        does it fit?
  mlxtop run -- python train.py                               any program
  mlxtop attach 4242                                          one that already runs
  mlxtop sweep --model PATH                                   which cache limit?
""",
)
@model_options()
@options.HEADLESS("A summary is printed at the end.")
@options.JSON("Runs without a screen and prints one object per line.")
@options.web_options()
@click.version_option(__version__, prog_name="mlxtop")
@click.pass_context
def cli(ctx: click.Context, /, headless: bool, as_json: bool, **values: Any) -> None:
    """Show MLX's memory live, and change its limits while a model runs.

    Runs a model with mlx-lm and shows its active, cache and peak memory. Without --model it runs a small
    built-in demo.
    """
    headless = headless or as_json
    if ctx.invoked_subcommand is not None or headless:
        gc.enable()
    if ctx.invoked_subcommand is not None:
        return
    from mlxtop.cli.web import parse_web
    from mlxtop.mlx import backend

    web = parse_web(values, headless)
    run = parse_run(values, headless)
    backend.check()
    if headless:
        from mlxtop.cli.headless import run_headless

        run_headless(run, as_json)
    else:
        from mlxtop.cli.dashboard import run_dashboard

        run_dashboard(run, web)
