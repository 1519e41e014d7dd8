"""What a session is called in a label: short, bounded, and the same over restarts of `mlxtop serve`.

Arguments stay out of it: they may hold a password, and Prometheus shows labels to whoever reads it.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from mlxtop.core.text import one_line
from mlxtop.sessions.remote import RemoteSession, command

PROGRAM, MODEL = 40, 120
"""Characters that are kept of a program's and of a model's name."""
_OTHERS = re.compile(r"[^A-Za-z0-9._-]+")


def session_label(session: RemoteSession) -> str:
    """The program's name and its process id: `mlx_lm.server-4242`. No two sessions that run have the same."""
    name = _OTHERS.sub("_", program(session)).strip("_-") or "program"
    return f"{name}-{session.pid}"


def program(session: RemoteSession) -> str:
    """The name of a worker process, or the command without its arguments and its folder."""
    name = session.worker or command(session.command).split(" ", 1)[0]
    return name.rpartition("/")[2][:PROGRAM]


def model(argv: Sequence[str]) -> str:
    """What the option `--model` of a command names; empty without it."""
    for word, following in pairwise([*argv, ""]):
        name, is_set, value = word.partition("=")
        if name == "--model":
            return one_line(value if is_set else following)[:MODEL]
    return ""
