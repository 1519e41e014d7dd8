"""The result of a test, and how an exception becomes a result."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from mlxtop.core.errors import MlxtopError
from mlxtop.core.text import one_line


class Verdict(StrEnum):
    """`MISSING`: not available; `advice` says what to do. `WRONG`: available, but it does not work."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `value` is the result, without control characters; `advice` says what to do."""

    section: str
    name: str
    verdict: Verdict
    value: str
    advice: str = ""

    def to_json(self) -> dict[str, str]:
        """The fields as plain strings."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Finding":
        """The inverse of `to_json`. Raises `KeyError` or `ValueError` for anything else."""
        section, name, value = (str(fields[key]) for key in ("section", "name", "value"))
        return cls(section, name, Verdict(fields["verdict"]), value, str(fields.get("advice", "")))


@dataclass(frozen=True, slots=True)
class Section:
    """Makes the findings of one section of the report."""

    title: str

    def ok(self, name: str, value: object) -> Finding:
        """It works."""
        return self._finding(name, Verdict.OK, value, "")

    def missing(self, name: str, value: object, advice: str) -> Finding:
        """It is not available. `advice` is a sentence."""
        return self._finding(name, Verdict.MISSING, value, advice)

    def wrong(self, name: str, value: object, advice: str = "") -> Finding:
        """It is available but does not work as documented."""
        return self._finding(name, Verdict.WRONG, value, advice)

    def known(self, name: str, value: object | None, advice: str) -> Finding:
        """`ok`, or `missing` where the value is `None`."""
        return self.missing(name, "—", advice) if value is None else self.ok(name, value)

    def _finding(self, name: str, verdict: Verdict, value: object, advice: str) -> Finding:
        return Finding(self.title, name, verdict, one_line(str(value)), one_line(advice))


Check = Callable[[Section], Iterable[Finding]]


def run(title: str, check: Check) -> Iterator[Finding]:
    """The findings of `check`. An exception becomes a finding."""
    section = Section(title)
    try:
        yield from check(section)
    except MlxtopError as error:
        yield section.missing("", "—", str(error))
    except Exception as error:
        yield section.wrong("", f"{type(error).__name__}: {error}")
