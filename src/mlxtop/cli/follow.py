"""`mlxtop follow`: read memory from what a program prints."""

import os
import queue
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlxtop.cli import completion, options
from mlxtop.cli.hard_exit import hard_exit, show, tell
from mlxtop.cli.options import BudgetOptions, parse_ceiling
from mlxtop.cli.record import cause, end_recording, record_followed, recorder
from mlxtop.cli.signals import catch
from mlxtop.cli.values import NAME
from mlxtop.cli.web import parse_web
from mlxtop.core.commands import RecordEvent
from mlxtop.core.errors import UsageError
from mlxtop.core.events import KINDS, ErrorRaised, Event
from mlxtop.core.sample import Sample
from mlxtop.core.units import format_size

if TYPE_CHECKING:
    from mlxtop.sessions.budget_monitor import BudgetMonitor
    from mlxtop.sessions.follow_fleet import FollowFleet
    from mlxtop.sessions.followed import FollowedSession
    from mlxtop.sessions.session import Session
    from mlxtop.web.host import Host

LAST_LINES = 10
"""Lines of the output that are printed when it told nothing about memory."""
COMMAND = "mlxtop.follow.command"
"""Where the words after `--` wait for the command's function."""


class _Follow(click.Command):
    """A command whose words after `--` are another command, also without a FILE before them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[COMMAND] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@click.command(
    cls=_Follow,
    epilog="""\b
Try:
  mlxtop follow app.log
  mlxtop follow -- xcrun devicectl device process launch --console --device ID BUNDLE
  kubectl logs -f POD | mlxtop follow -
  mlxtop follow unix:/tmp/app.sock
  mlxtop follow app.log --pattern 'active=(?P<active_mb>[\\d.]+)'
  mlxtop follow JetsamEvent.ips run.mlxtop
""",
)
@click.option(
    "--pattern",
    "patterns",
    multiple=True,
    type=NAME,
    metavar="REGEX",
    help="Also take numbers from lines that match, by groups named active, cache, peak, footprint or "
    "available, with a unit (active_mb) or in bytes, and t, pid, phase, mark, session. Can be given several "
    "times.",
)
@options.budget_options()
@options.record_options()
@options.HEADLESS("A summary is printed at the end.")
@options.web_options()
@options.JSON("Runs without a screen and prints one object per line.")
@click.argument(
    "what", metavar="FILE|-|unix:PATH|-- COMMAND", type=NAME, nargs=-1, shell_complete=completion.paths
)
@click.pass_context
def follow(
    ctx: click.Context,
    /,
    what: tuple[str, ...],
    patterns: tuple[str, ...],
    headless: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Show the memory of a program that prints it: an app on an iPhone, or any other.

    Follows a file as tail -F does, standard input (-), a Unix socket, or what a command prints. Recognises
    mlx-swift's snapshots, mlxtop's own JSON, mlx-lm's peaks and lines of the form
    mlxtop {"active":…,"cache":…,"peak":…}, also behind time stamps and names of processes. All other text
    goes to the output pane.

    The report of a JetsamEvent….ips file is printed; with a recording it is said where in it the event lies.
    """
    command: tuple[str, ...] = ctx.meta.get(COMMAND, ())
    _check(what, command)
    if what and what[0].endswith(".ips"):
        from mlxtop.cli.jetsam_text import tell_event

        tell_event(Path(what[0]), Path(what[1]) if len(what) > 1 else None, as_json, headless)
        return
    from mlxtop.follow.forms import Pattern
    from mlxtop.sessions.follow_fleet import FollowFleet
    from mlxtop.sessions.log_source import open_source

    ceiling = _ceiling(values)
    found = [Pattern(pattern) for pattern in patterns]
    headless = headless or as_json
    web = parse_web(values, headless)
    if not headless and web is None:
        from mlxtop.tui.terminal import check

        check()
        if what == ("-",) and os.isatty(0):
            raise UsageError(
                "Standard input is the keyboard: give a file, pipe a program into mlxtop, or use --headless."
            )
    source = open_source(what[0] if what else None, command)
    recording = recorder(values["record"], values["record_text"])
    lines: queue.SimpleQueue[tuple[FollowedSession, Event | Sample] | None] = queue.SimpleQueue()

    def joined(session: "FollowedSession") -> None:
        if recording is not None:
            record_followed(recording, session)
        if as_json:
            session.subscribe(lambda item: lines.put((session, item)))

    fleet = FollowFleet(source, found, list(command) or sys.argv, joined)
    monitor = _monitor(fleet, ceiling, bool(command))
    code = _run_headless(fleet, monitor, lines, as_json) if headless else _run_screen(fleet, monitor, web)
    if fleet.stopped is not None:
        tell(fleet.stopped)
        code = code or 1
    over = (source.over or fleet.stopped) if code < 128 else None
    end_recording(recording, over or cause(code))
    hard_exit(code or (source.exit_code if over else 0))


def _check(what: tuple[str, ...], command: tuple[str, ...]) -> None:
    two = len(what) == 2 and what[0].endswith(".ips")
    if bool(what) == bool(command) or len(what) > 1 + two:
        raise UsageError("Give one thing to follow: FILE, -, unix:PATH, or -- COMMAND.")


def _ceiling(values: dict[str, Any]) -> BudgetOptions:
    ceiling = parse_ceiling(values, here=False)
    if ceiling.spec in ("cgroup", "device"):
        raise UsageError(f"--budget {ceiling.spec} is not known of a program that is only read: name a size.")
    for action in ceiling.actions:
        if type(action).__name__ in ("ClearCache", "SetLimit"):
            raise UsageError("mlxtop follow only reads: --on-budget takes mark, stop or exec:COMMAND.")
    return ceiling


def _monitor(fleet: "FollowFleet", ceiling: BudgetOptions, has_command: bool) -> "BudgetMonitor":
    from mlxtop.sessions.budget_monitor import BudgetMonitor

    def stop(session: "Session") -> None:
        if has_command:
            size = format_size(session.state.budget and session.state.budget.bytes)
            fleet.stop_program(f"stopped at the budget of {size}")
            return
        why = "Could not stop the program: mlxtop only reads what it prints."
        session.submit(RecordEvent(ErrorRaised(why, "budget")))

    return BudgetMonitor(fleet.members, ceiling.spec, ceiling.actions, stop)


def _run_screen(fleet: "FollowFleet", monitor: "BudgetMonitor", web: "Host | None") -> int:
    def opened() -> None:
        fleet.start()
        monitor.start()

    code = _in_terminal(fleet, opened) if web is None else _in_browser(fleet, opened, web)
    monitor.stop()
    fleet.stop()
    return code


def _in_terminal(fleet: "FollowFleet", opened: Callable[[], None]) -> int:
    from mlxtop.cli.screen import run_app
    from mlxtop.tui.app import MlxtopApp

    assert fleet.transcript is not None
    transcript = fleet.transcript
    app = run_app(lambda: MlxtopApp(fleet=fleet, opened=opened), lambda text: transcript.write("log", text))
    return app.return_code or 0


def _in_browser(fleet: "FollowFleet", opened: Callable[[], None], web: "Host") -> int:
    from mlxtop.web.app import View

    return web.run(lambda: View(fleet=fleet), fleet.title, opened)


Lines = queue.SimpleQueue["tuple[FollowedSession, Event | Sample] | None"]


def _run_headless(fleet: "FollowFleet", monitor: "BudgetMonitor", lines: Lines, as_json: bool) -> int:
    """Follows until nothing more comes or a signal ends it. Returns 128 plus the signal's number, else 0."""
    signals: list[int] = []

    def interrupt(number: int, _frame: object) -> None:
        signals.append(number)
        lines.put(None)

    def wait() -> None:
        fleet.ended.wait()
        lines.put(None)

    import threading

    catch(interrupt)
    threading.Thread(target=wait, name="mlxtop-wait", daemon=True).start()
    fleet.start()
    monitor.start()
    known: set[object] = set()
    while (line := lines.get()) is not None:
        _print(*line, known)
    fleet.stop()
    monitor.stop()
    while not lines.empty():
        if (line := lines.get()) is not None:
            _print(*line, known)
    if fleet.failure is not None:
        tell(fleet.failure)
    _summarize(fleet, as_json)
    return 128 + signals[0] if signals else 1 if fleet.failure else 0


def _print(session: "FollowedSession", item: Event | Sample, known: set[object]) -> None:
    from mlxtop.cli.headless import json_line, print_json

    if isinstance(item, Event) and type(item.data) not in KINDS:
        return
    if session not in known:
        known.add(session)
        started = datetime.fromtimestamp(session.started, UTC).isoformat()
        about = {"title": session.title, "started": started, "footprint": session.footprint_kind}
        print_json({"type": "session", "session": session.label, **about, "command": session.command})
    print_json({**json_line(item, session), "session": session.label})


def _summarize(fleet: "FollowFleet", as_json: bool) -> None:
    from mlxtop.cli.headless import print_json
    from mlxtop.cli.summary import describe, summarize
    from mlxtop.core.text import block
    from mlxtop.sessions.follow_fleet import WHAT_TO_PRINT

    told = [member for member in fleet.members() if member.history.count]
    for member in told:
        if as_json:
            print_json({"type": "summary", "session": member.label, **summarize(member)})
            continue
        ended = f"\n{member.ended}" if member.ended else ""
        click.echo(block(f"=======\n{member.label}{ended}\n{describe(summarize(member))}\n"))
    if not told:
        assert fleet.transcript is not None
        printed = [line.text for line in fleet.transcript.since(0) if line.who == "out"][-LAST_LINES:]
        show(
            "\n".join([*printed, f"mlxtop: {fleet.title} told nothing about memory.", *WHAT_TO_PRINT[1:], ""])
        )
