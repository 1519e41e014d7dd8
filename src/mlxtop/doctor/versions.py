"""The installed versions, and the system."""

import os
import platform
import sys
from collections.abc import Iterator

from mlxtop import __version__
from mlxtop.doctor.finding import Finding, Section
from mlxtop.mlx import device

PACKAGES = ("mlx", "mlx-lm", "textual", "plotext", "psutil")


def check(section: Section) -> Iterator[Finding]:
    """The versions of mlxtop, Python, the system and the packages. Does not import the packages."""
    yield section.ok("mlxtop", __version__)
    yield section.ok("Python", f"{platform.python_implementation()} {platform.python_version()}")
    yield section.ok("system", _system())
    for name in PACKAGES:
        yield section.known(name, device.version(name), f"Install it with `pip install {name}`.")
    yield section.ok("user", "root" if os.geteuid() == 0 else "not root")


def _system() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0] or '—'} {platform.machine()}"
    return f"{platform.system()} {platform.release()} {platform.machine()}"
