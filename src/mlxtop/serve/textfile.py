"""The metrics in a file for node_exporter's textfile collector."""

from pathlib import Path

from mlxtop.core.files import cannot_write, writing

NAME = "mlxtop.prom"
EVERY = 15.0
"""Seconds between two writes: as often as Prometheus asks node_exporter, by default."""


class Textfile:
    """`mlxtop.prom` in `folder`, always whole."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def write(self, text: bytes) -> None:
        """Raises `OutputError`."""
        with writing(self.path) as out:
            out.write(text)

    def remove(self) -> None:
        """At the end: node_exporter would go on to tell the last numbers as those of now."""
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
