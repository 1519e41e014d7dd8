"""The token that a scraper has to show."""

import os
import secrets
import stat
from hmac import compare_digest
from pathlib import Path

import platformdirs

from mlxtop.core.errors import UsageError
from mlxtop.core.text import one_line

VARIABLE = "MLXTOP_SERVE_TOKEN"
"""Environment variable: the token itself. On a command line every user of the machine would see it."""
LEAST, MOST = 16, 512
"""Characters of a token."""


def default_file() -> Path:
    """Where the token is kept that mlxtop makes."""
    return Path(platformdirs.user_state_path("mlxtop")) / "serve.token"


def read(file: Path | None = None) -> tuple[str, str]:
    """The token, and where it is: in `file`, in the environment, or in a file that is made if need be.

    Raises `UsageError` for one that is too short, and for a file that any user may read.
    """
    text = os.environ.get(VARIABLE)
    if file is None and text is not None:
        return _checked(text.strip(), VARIABLE), f"in {VARIABLE}"
    path = default_file() if file is None else file
    shown = one_line(str(path))
    try:
        if file is None:
            _make(path)
        text = _read(path, shown)
    except OSError as error:
        raise UsageError(f"The token cannot be read from {shown}: {error.strerror}.") from error
    return _checked(text.strip(), shown), f"in {shown}"


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "w") as out:
        out.write(secrets.token_urlsafe(32))


def _read(path: Path, shown: str) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
            raise UsageError(f"Other users may read or change the token in {shown}: run chmod 600 {shown}.")
        return file.read(MOST + 1)


def _checked(token: str, where: str) -> str:
    if not LEAST <= len(token) <= MOST or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            f"{where} holds no token: {LEAST} to {MOST} letters, digits and signs are needed, and no space."
        )
    return token


def shown_by(authorization: str, token: str) -> bool:
    """Whether a request's `Authorization` shows the token. It takes the same time for every wrong one."""
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and compare_digest(given.strip().encode(), token.encode())
