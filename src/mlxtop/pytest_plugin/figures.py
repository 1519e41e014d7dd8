"""What was measured of a test, on its way from the process that ran it to the report."""

from typing import Any

import pytest

from mlxtop.core.parsing import difference, seconds, size, text, truth
from mlxtop.core.record import Record

PREFIX = "mlx_"


class Figures(Record):
    """Sizes are bytes. They travel as the test's user properties, which `--junit-xml` writes, too."""

    peak: int
    """Over the start."""
    growth: int
    """Of one run after the warm-up if `repeated`, else of the whole test."""
    cache: int
    """At the end."""
    seconds: float
    """Of one run of the body."""
    repeated: bool
    """Whether a warm-up came before."""
    device: str
    """What is comparable: the device and MLX's version."""

    def write(self, properties: list[tuple[str, object]]) -> None:
        """Puts them among a test's properties, in place of those of an earlier try."""
        found = {PREFIX + name: value for name, value in self.fields().items()}
        properties[:] = [one for one in properties if one[0] not in found]
        properties += found.items()

    @classmethod
    def read(cls, report: pytest.TestReport) -> "Figures | None":
        """Those of a report; `None` where nothing was measured."""
        found: dict[str, Any] = dict(report.user_properties)
        try:
            return cls(
                size(found[PREFIX + "peak"]),
                difference(found[PREFIX + "growth"]) or 0,
                size(found[PREFIX + "cache"]),
                seconds(found[PREFIX + "seconds"]),
                truth(found[PREFIX + "repeated"]),
                text(found[PREFIX + "device"], 200),
            )
        except (KeyError, ValueError):
            return None
