"""Other people's tools to measure beside: installed for the occasion, removed again, never part of mlxtop."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple


class Peer(NamedTuple):
    """A package that can be imported by whoever has `environment` in front of their command."""

    name: str
    """With its version."""
    folder: Path

    @property
    def environment(self) -> tuple[str, ...]:
        path = os.pathsep.join(filter(None, (str(self.folder), os.environ.get("PYTHONPATH"))))
        return ("env", f"PYTHONPATH={path}")


@contextmanager
def peer(package: str) -> Iterator[Peer | None]:
    """`package` without what it depends on, which is here already; `None` where it cannot be had."""
    with TemporaryDirectory() as folder:
        pip = ("-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-deps")
        if subprocess.run([sys.executable, *pip, "--target", folder, package]).returncode:
            print(f"{package} cannot be installed: not measured", file=sys.stderr)
            yield None
            return
        version = next(Path(folder).glob(f"{package}-*")).name.removesuffix(".dist-info")
        yield Peer(version.replace("-", " "), Path(folder))
