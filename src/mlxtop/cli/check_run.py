"""Runs the program of `mlxtop check`, judges it, and tells the result."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from mlxtop.check.bounds import Bound
from mlxtop.check.judgement import Finding, Judgement, judge
from mlxtop.check.observer import Observer
from mlxtop.check.result import LEFT, Result
from mlxtop.check.witness import Witness
from mlxtop.cli import check_traces, trace_run
from mlxtop.cli.check_outputs import Outputs
from mlxtop.cli.foreground import Foreground
from mlxtop.cli.hard_exit import hard_exit, show, tell
from mlxtop.cli.keeper import Keeper
from mlxtop.cli.record import end_recording, record_member, recorder
from mlxtop.cli.run import FORWARDED
from mlxtop.cli.signals import catch
from mlxtop.core.commands import SetInterval
from mlxtop.core.errors import UsageError
from mlxtop.core.files import OutputError
from mlxtop.core.text import one_line
from mlxtop.core.units import format_span
from mlxtop.mlx.trace import native
from mlxtop.sessions.remote import RemoteSession
from mlxtop.sessions.run_fleet import RunFleet

LOOK_EVERY = 0.05
"""Seconds between looks for new processes: what a short one took must not be missed."""
SETTLES_WITHIN = 5.0
EVENTS = 1024
"""The fewest that a trace keeps: here only the number of buffers counts, and whose they are."""
ARRAYS = ("peak", "total", "growth")
"""The quantities of which a census tells who holds them."""
FAILED = 2
"""The exit code where the result cannot be written: nobody learns of it."""


class Check:
    """One run: its bounds, and whoever observes its processes."""

    def __init__(
        self, bounds: Sequence[Bound], warm_up: float | None, interval: float, record: Path | None
    ) -> None:
        self.bounds, self.warm_up, self.interval = bounds, warm_up, interval
        self.trace = self._trace()
        self.began = time.time()
        self.recording = recorder(record, text=False)
        self.witnesses: list[Witness] = []

    def _trace(self) -> str | None:
        """What is asked of the program where buffers are to be counted. Raises `UsageError`."""
        if all(bound.quantity != "buffers" for bound in self.bounds):
            return None
        if native.load() is None:
            raise UsageError(f"--buffers needs a trace. {native.ABSENT}")
        return trace_run.request(None, EVENTS)

    def joined(self, session: RemoteSession) -> None:
        """A process uses MLX. Called on the fleet's thread, before its first sample."""
        if self.recording is not None:
            record_member(self.recording, session)
        if session.interval != self.interval:
            session.submit(SetInterval(self.interval))
        observer = Observer(self.bounds, session)
        witness = Witness(self.bounds, observer, self.warm_up)
        session.subscribe(observer)
        session.subscribe(witness)
        self.witnesses.append(witness)

    @property
    def observers(self) -> list[Observer]:
        return [witness.observer for witness in self.witnesses]

    def judge(self, fleet: RunFleet) -> Judgement:
        """The judgement once the program has ended."""
        members = fleet.members()
        seen = [observer for observer in self.observers if observer.session in members]
        unseen = fleet.problem or ("" if seen else f"{fleet.unseen()}; check what the command runs")
        return judge(self.bounds, seen, self.warm_up, one_line(unseen.rstrip(".")))

    def with_holders(self, judgement: Judgement) -> Judgement:
        """The judgement with who held the arrays, for each process that was asked."""
        findings = list(judgement.findings)
        for witness in self.witnesses:
            pid, taken, holders = witness.observer.session.pid, witness.taken, witness.holders()
            where = next((i for i, one in enumerate(findings) if _is_of_arrays(one, pid)), None)
            if taken is not None and holders and where is not None:
                held = f"held after {format_span(round(taken.time, 1))}"
                findings[where] = findings[where]._replace(holders=holders, held=held)
        return Judgement(tuple(findings))

    def traces(self) -> list[Path]:
        """The traces of the program's processes."""
        if self.trace is None:
            return []
        told = [Path(path) for one in self.observers if (path := one.session.state.trace) is not None]
        return trace_run.files(self.trace, told, self.began)


def _is_of_arrays(finding: Finding, pid: int) -> bool:
    """Whether a finding tells that the arrays of a process cross a bound."""
    process = finding.process
    crossed = finding.verdict == "crossed" and finding.bound.quantity in ARRAYS
    return crossed and process is not None and process.pid == pid


def run_checked(
    command: Sequence[str],
    bounds: Sequence[Bound],
    warm_up: float | None,
    interval: float,
    record: Path | None,
    outputs: Outputs,
) -> NoReturn:
    """Runs a program that has the terminal, and ends with its exit code if it fails, else with ours."""
    check, keeper, foreground = Check(bounds, warm_up, interval, record), Keeper(), Foreground()
    program = foreground.start(command, check.trace)
    fleet = RunFleet(program, check.joined, keeper, LOOK_EVERY)
    catch(lambda number, _frame: program.signal(number), FORWARDED)
    fleet.start()
    foreground.wait(program)
    foreground.back()
    fleet.settle(SETTLES_WITHIN)
    traces = check.traces()
    check_traces.count(traces, check.observers)
    judgement, notes = check_traces.explain(check.with_holders(check.judge(fleet)), traces)
    facts = next((one.session.state.facts for one in check.observers), None)
    result = Result(
        judgement, command, fleet.title, program.how(), program.exit_code,
        **({} if facts is None else {"facts": facts}),
        notes=[*notes, *_notes(fleet)],
    )  # fmt: skip
    show(text(result))
    keeper.tell()
    code = result.exit_code
    try:
        outputs.write(result)
    except OutputError as error:
        tell(str(error))
        code = code or FAILED
    end_recording(check.recording, f"the program {program.how()}")
    hard_exit(code)


def text(result: Result) -> str:
    """The result as lines for standard error."""
    from mlxtop.tui.tables import aligned

    details = [f"mlxtop: {line}" for line in result.details()]
    blocks = [[f"mlxtop: {result.sentence()}"], aligned(result.table(), left=LEFT), details]
    return "\n".join(line for lines in blocks for line in lines) + "\n"


def _notes(fleet: RunFleet) -> list[str]:
    """Of which processes the end was not seen."""
    return [
        f"{member.title} (process {member.pid}) ended without notice: its last moments were not seen"
        for member in fleet.members()
        if member.bye is None and fleet.program.code == 0
    ]
