"""The pages about programs that died: files in the user's state folder, the newest few."""

import os
import time
from contextlib import suppress
from pathlib import Path

import platformdirs

KEPT = 10
"""Pages that are kept, the newest."""


def folder() -> Path:
    """The folder of the pages; it may not exist yet."""
    return Path(platformdirs.user_state_path("mlxtop")) / "post-mortem"


def keep(text: str, at: float, pid: int) -> Path:
    """Writes the page about process `pid`, which died `at` (seconds since the epoch), and removes old pages.

    Only this user may read it. Raises `OSError`.
    """
    place = folder()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = place / time.strftime(f"%Y%m%d-%H%M%S-{pid}.txt", time.localtime(at))
    # Written beside it first: whoever reads the newest finds a whole page.
    new = path.with_suffix(f".{os.getpid()}.new")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    for old in _pages()[KEPT:]:
        with suppress(OSError):
            old.unlink()
    return path


def newest() -> Path | None:
    """The page about the program that died last; `None` if there is none."""
    return next(iter(_pages()), None)


def _pages() -> list[Path]:
    # The name begins with the date.
    return sorted(folder().glob("*.txt"), reverse=True)
