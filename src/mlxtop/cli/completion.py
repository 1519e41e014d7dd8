"""What a shell completes: words of values, files, process ids, and names of programs.

click asks each parameter's `shell_complete`. `docs/getting-started.md` says how a shell is told to ask.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem


def files(incomplete: str) -> list[CompletionItem]:
    """Has the shell complete a path."""
    return [CompletionItem(incomplete, type="file")]


def starting(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Those of `words` that begin with `incomplete`."""
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def paths(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A file or a folder."""
    return files(incomplete)


def models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A directory, or a repository that the Hub's cache has."""
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    found = []
    with suppress(OSError):
        found = sorted(
            entry.name.removeprefix("models--").replace("--", "/", 1) for entry in cache.glob("models--*--*")
        )
    return starting(found, incomplete) or files(incomplete)


def programs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The process id of a program that uses MLX, or the path of a socket."""
    if incomplete and not incomplete.isdigit():
        return files(incomplete)
    from mlxtop.ipc import sockets
    from mlxtop.sessions.top_fleet import unattached_processes

    pids = {address.pid: "watchable" for address in sockets.addresses()}
    with suppress(OSError):
        pids |= {process.pid: process.command for process in unattached_processes()}
    return [
        CompletionItem(str(pid), help=" ".join(said.split()))
        for pid, said in sorted(pids.items())
        if str(pid).startswith(incomplete)
    ]


def measures(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a condition is about. Its comparison would be a redirection where nothing is quoted."""
    from mlxtop.diff.measures import MEASURES

    return starting(MEASURES, incomplete)


def program(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A program of the path, then the files that it may take."""
    if ctx.params.get("command") or not incomplete or "/" in incomplete:
        return files(incomplete)
    found = set()
    for folder in os.get_exec_path():
        with suppress(OSError), os.scandir(folder) as entries:
            found |= {e.name for e in entries if e.name.startswith(incomplete) and os.access(e.path, os.X_OK)}
    return starting(sorted(found), incomplete) or files(incomplete)


class RunsProgram(click.Command):
    """A command whose argument `command` is another program, whose options are not mlxtop's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        if ctx.resilient_parsing and ctx.params.get("command"):
            # Only a completion parses so. Without prefixes nothing that follows looks like an option.
            ctx._opt_prefixes.clear()
        return rest
