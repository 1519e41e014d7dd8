"""The report: all checks in their order, and their findings as text."""

from collections.abc import Iterable, Iterator

from mlxtop.doctor import attaching, isolated, machine, sockets, terminal, timer, versions
from mlxtop.doctor.finding import Check, Finding, Verdict, run

CHECKS: tuple[tuple[str, Check], ...] = (
    ("Versions", versions.check),
    (isolated.TITLE, isolated.check),
    ("Machine", machine.check),
    ("Timer", timer.check),
    ("Sockets", sockets.check),
    ("Attaching", attaching.check),
    ("Terminal", terminal.check),
)


def examine(pid: int | None, press_keys: bool) -> Iterator[Finding]:
    """The findings of every check, each as soon as it is known; those of process `pid` come last.

    With `press_keys` a person is asked to press each key.
    """
    checks = list(CHECKS)
    if press_keys:
        from mlxtop.doctor import keys

        checks.append(("Keys", keys.check))
    if pid is not None:
        from mlxtop.doctor import process

        checks.append((f"Process {pid}", process.checking(pid)))
    for title, check in checks:
        yield from run(title, check)


def lines(findings: Iterable[Finding]) -> Iterator[str]:
    """The lines of the report: a heading per section, a line per finding, and its advice below it."""
    section = ""
    for finding in findings:
        if finding.section != section:
            yield ("\n" if section else "") + finding.section
            section = finding.section
        yield f"  {finding.verdict:<7}  {finding.name:<14}  {finding.value}".rstrip()
        if finding.verdict is Verdict.WRONG:
            yield f"{'':27}{finding.advice or 'Please report this.'}"
        elif finding.advice:
            yield f"{'':27}{finding.advice}"


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether no finding is wrong. A missing one is not a fault."""
    return all(finding.verdict is not Verdict.WRONG for finding in findings)
