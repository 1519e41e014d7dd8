"""The result of a check: a sentence, a table and what else is known, as text, Markdown and JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlxtop.check.bounds import Bound
from mlxtop.check.judgement import Finding, Judgement, Process
from mlxtop.check.observer import Moment
from mlxtop.core import markdown
from mlxtop.core.event_json import to_json
from mlxtop.core.events import StepPeaked
from mlxtop.core.facts import Facts
from mlxtop.core.peaks import HOW
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size, format_span

HEAD = ("bound", "measured", "allowed", "verdict")
LEFT = (0, 3, 4)
"""Columns of text."""
MOST_NOTES = 8
"""Findings that are told in words; each is in the JSON."""
NAMELESS = ("", "run")
"""Phases that say nothing."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a program stands to its bounds. Titles, places and phases are foreign text."""

    judgement: Judgement
    command: Sequence[str]
    title: str
    how: str
    """How the program ended: `ended with exit code 0`."""
    code: int
    """The program's exit code, as in a shell."""
    facts: Facts = Facts()  # noqa: RUF009 - it is immutable
    notes: Sequence[str] = ()
    """What else is to be known of this run, in sentences."""

    @property
    def exit_code(self) -> int:
        """The program's own, if it failed; else the judgement's."""
        return self.code or self.judgement.exit_code

    @property
    def processes(self) -> list[Process]:
        """Those that were watched."""
        return list(dict.fromkeys(f.process for f in self.judgement.findings if f.process is not None))

    def sentence(self) -> str:
        """The result as one sentence."""
        verdicts = [finding.verdict for finding in self.judgement.worst]
        count, crossed, unknown = len(verdicts), verdicts.count("crossed"), verdicts.count("not measured")
        parts = {"crossed": crossed, "not measured": unknown}
        said = [f"{number} {verdict}" for verdict, number in parts.items() if number]
        if count == 1:
            found = f"its bound is {verdicts[0]}"
        else:
            found = f"of {count} bounds {', '.join(said)}" if said else f"all {count} bounds are kept"
        return f"{one_line(self.title)} {self.how}; {found}."

    def table(self) -> list[tuple[str, ...]]:
        """Head and rows: of each bound the process that stands worst to it."""
        several = len(self.processes) > 1
        rows = [HEAD + ("process",) * several]
        for finding in self.judgement.worst:
            bound, label = finding.bound, finding.process.label if finding.process else "—"
            cells = bound.quantity, bound.format(finding.measured), bound.format(bound.allowed)
            rows.append((*cells, finding.verdict, *((one_line(label),) * several)))
        return rows

    def details(self) -> list[str]:
        """What there is to say of bounds that were not simply kept, and the notes."""
        told: dict[tuple[Process | None, str], list[str]] = {}
        for finding in self.judgement.findings:
            if finding.verdict != "kept" or finding.why:
                told.setdefault((finding.process, self._detail(finding)), []).append(finding.bound.quantity)
        lines = [f"{', '.join(names)}{self._of(process)}: {said}" for (process, said), names in told.items()]
        if len(lines) > MOST_NOTES:
            lines[MOST_NOTES:] = [f"{len(lines) - MOST_NOTES} more are in the output of --json"]
        return [*map(one_line, lines), *map(one_line, self.notes)]

    def _of(self, process: Process | None) -> str:
        several = process is not None and len(self.processes) > 1
        return f" of {process.title} ({process.label})" if process is not None and several else ""

    def _detail(self, finding: Finding) -> str:
        parts = [finding.why] if finding.why else []
        if finding.crossed is not None and finding.most is not None:
            parts.append(_moments(_when(finding.crossed), _when(finding.most)))
        if finding.step is not None:
            parts.append(_step(finding.step.data))
        if finding.holders:
            parts.append(f"{finding.held}: {', '.join(finding.holders)}")
        return "; ".join(parts)

    def markdown(self) -> str:
        """The result as a section of Markdown."""
        lines = [f"**{markdown.escape(self.sentence())}**", "", *markdown.table(self.table(), left=LEFT)]
        notes = [f"- {markdown.escape(line)}" for line in (*self.details(), self._machine())]
        return "\n".join(["### mlxtop check", "", *lines, "", *notes, ""])

    def _machine(self) -> str:
        facts = self.facts
        versions = [f"{name} {version}" for name, version in _versions(facts).items() if version]
        return (
            ", ".join([f"{facts.device} ({facts.backend})", *versions]) if facts.known else "MLX was not seen"
        )

    def to_json(self) -> dict[str, Any]:
        """The result for JSON. Sizes are bytes, times seconds; what nobody knows is `null`."""
        facts = self.facts
        return {
            "command": list(self.command),
            "code": self.code,
            "exit_code": self.exit_code,
            "verdict": self.judgement.verdict,
            "sentence": self.sentence(),
            "bounds": [_finding(finding) for finding in self.judgement.findings],
            "notes": list(self.notes),
            "device": {"device": facts.device, "backend": facts.backend, **_versions(facts)},
        }


def _versions(facts: Facts) -> dict[str, str | None]:
    return {"mlx": facts.mlx, "mlxtop": facts.mlxtop}


def _step(step: StepPeaked) -> str:
    where = f" at {step.caller}" if step.caller else ""
    how = f" ({HOW[step.how]})" if step.how in HOW and step.step else ""
    what = f"step {step.step:,}{where}{how}" if step.step else "what was done between two steps"
    return f"made by {what}, which began with {format_size(step.floor)}"


def _moments(crossed: str, most: str) -> str:
    return f"crossed {crossed}" if crossed == most else f"first crossed {crossed}, the most {most}"


def _when(moment: Moment) -> str:
    phase = "" if moment.phase in NAMELESS else f" in phase {moment.phase}"
    return f"after {format_span(round(moment.time, 1))}{phase}"


def _finding(finding: Finding) -> dict[str, Any]:
    process, step = finding.process, finding.step
    return {
        "bound": finding.bound.quantity,
        "unit": _unit(finding.bound),
        "allowed": finding.bound.allowed,
        "measured": finding.measured,
        "verdict": finding.verdict,
        "why": finding.why or None,
        "process": process and process._asdict(),
        "crossed": finding.crossed and finding.crossed._asdict(),
        "most": finding.most and finding.most._asdict(),
        "step": {"time": step.time, **to_json(step.data)} if step is not None else None,
        "holders": list(finding.holders),
    }


def _unit(bound: Bound) -> str:
    return {"growth": "bytes/s", "buffers": "buffers"}.get(bound.quantity, "bytes")
