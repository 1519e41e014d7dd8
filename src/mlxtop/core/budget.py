"""A ceiling a person names for a program: how it is written, how near it is, what to do about it."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, cast, get_args

from mlxtop.core.commands import AddMark, ClearCache, SetLimit
from mlxtop.core.errors import UsageError
from mlxtop.core.facts import Facts
from mlxtop.core.text import shortened
from mlxtop.core.units import DEFAULT, UNLIMITED, parse_size

Against = Literal["footprint", "device", "cgroup"]
"""What a budget is compared with: what the system charges the process; the memory in use on a device that
has its own, whoever uses it; what the system charges the process's container."""
BudgetKeyword = Literal["cgroup", "device", "none"]
BudgetSpec = int | BudgetKeyword
"""A budget as it is asked for: bytes, or a word that only the watched program's machine can make bytes of."""

LEVELS = (80, 95, 100)
"""Percent of the budget at which there is an alarm."""
ROOM = 3
"""Percent of the budget that usage must fall below a level before its alarm ends: it does not flap."""
LONGEST = 86_400.0
"""Seconds: what is reached later than that is not foretold."""

MOVING = "last line: footprint + available"
"""The source of a budget that the system itself sets, as the program's last line told it."""
ENTITLEMENT = "com.apple.developer.kernel.increased-memory-limit"
"""What iOS gives an app more memory for, on devices that have it."""

_MAC = re.compile(r"\d+\s*GB\s*(?:mac|iphone|ipad)\w*|(?:iphone|ipad)\b.*", re.IGNORECASE)


class Budget(NamedTuple):
    """A ceiling in bytes, and where the number comes from in few words."""

    bytes: int
    source: str
    against: Against = "footprint"

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> "Budget | None":
        """The budget that the data of a `budget` event tell of. Raises `ValueError` for what is none."""
        size, source, against = data.get("budget"), data.get("source", ""), data.get("against", "footprint")
        if size is None:
            return None
        if type(size) is not int or not isinstance(source, str) or against not in get_args(Against):
            raise ValueError("a budget has bytes, a source, and what it is compared with")
        return cls(size, source, cast(Against, against))


class BudgetUsage(NamedTuple):
    """How a session stands to its budget now."""

    used: int
    """Bytes of what the budget is compared with."""
    reach: float | None
    """Seconds until the budget is reached at the present slope; `None` where it is not on the way there."""


def parse_budget(text: str) -> BudgetSpec:
    """A size, `cgroup`, `device` or `none`. Raises `UsageError` when the text is none of these."""
    word = text.strip().lower()
    if word in get_args(BudgetKeyword):
        return cast(BudgetKeyword, word)
    if _MAC.fullmatch(text.strip()):
        raise UsageError(
            f"'{text}' has no public number: Apple publishes no rule for what a device allows; "
            "name a size, or say device on it."
        )
    try:
        size = parse_size(text)
    except UsageError as error:
        raise UsageError(
            f"'{shortened(text)}' is no budget: write 500M, 12GiB, cgroup, device or none."
        ) from error
    if size in (DEFAULT, UNLIMITED):
        return "none"
    if size == 0:
        raise UsageError("a budget of 0 is always reached: name a size, or none.")
    return cast(int, size)


def resolve(ask: BudgetSpec, facts: Facts, source: str) -> Budget | None:
    """What is asked for, in bytes, on a machine with these facts (`mlx/device.py`).

    Raises `UsageError` where there is no such ceiling.
    """
    if ask == "none":
        return None
    if ask == "cgroup":
        limit = facts.cgroup_limit
        if limit is None:
            raise UsageError("the program is in no container (cgroup) with a memory limit: name a size.")
        return Budget(limit, "container's limit", "cgroup")
    if ask == "device":
        if not facts.unified and facts.memory:
            return Budget(facts.memory, "device's memory", "device")
        if not facts.working_set:
            raise UsageError("this device names no recommended working set: name a size.")
        return Budget(facts.working_set, "device's working set")
    return Budget(ask, source, "footprint" if facts.unified else "device")


def level(ceiling: int, used: int, before: int) -> int:
    """The highest of `LEVELS` that holds, 0 for none; `before` is the one that held until now."""
    return max(
        (n for n in LEVELS if used * 100 >= (n - (ROOM if n <= before else 0)) * ceiling),
        default=0,
    )


def reach(points: Sequence[tuple[float, int]], ceiling: int) -> float | None:
    """Seconds from the last of `points` (seconds, bytes) to `ceiling`, if they go there within a day.

    Along their robust slope: a jump or a dip does not turn it.
    """
    # It brings `statistics` along, which an agent has no use for.
    from mlxtop.core.stats import theil_sen

    if not points:
        return None
    left = ceiling - points[-1][1]
    if left <= 0:
        return 0.0
    slope = theil_sen([time for time, _ in points], [used for _, used in points])
    return left / slope.value if slope is not None and slope.value * LONGEST > left else None


# What to do when it is reached


SOURCE = "budget"
"""Who did what a budget asks for."""


class StopProgram(NamedTuple):
    """Ends the program."""


class RunCommand(NamedTuple):
    """Runs a shell command beside it."""

    command: str


Action = AddMark | ClearCache | SetLimit | StopProgram | RunCommand
"""What is done when a budget is reached: a command to the session, or one of these two."""


def parse_action(text: str) -> Action:
    """`mark`, `clear`, `limit:SIZE`, `stop` or `exec:CMD`. Raises `UsageError` when it is none of these."""
    word, _, rest = text.partition(":")
    if word == "limit" and rest:
        return SetLimit("cache", parse_size(rest), SOURCE)
    if word == "exec" and rest.strip():
        return RunCommand(rest)
    match text:
        case "mark":
            return AddMark("budget", SOURCE)
        case "clear":
            return ClearCache(SOURCE)
        case "stop":
            return StopProgram()
    raise UsageError(
        f"'{shortened(text)}' is nothing to do: write mark, clear, limit:SIZE, stop or exec:COMMAND."
    )
