"""What holds for a whole run, in words."""

import shlex
from collections.abc import Mapping, Sequence

from mlxtop.core.facts import UNNAMED, Facts
from mlxtop.core.limits import LIMIT_NAMES, Limit, LimitName
from mlxtop.core.text import one_line
from mlxtop.core.units import format_size

NAMES = {
    "device": "device", "backend": "backend", "mlx": "MLX", "mlx_lm": "mlx-lm", "python": "Python",
    "mlxtop": "mlxtop", "os": "system", "model": "model",
}  # fmt: skip


def of_facts(facts: Facts, limits: Mapping[LimitName, Limit], command: Sequence[str]) -> dict[str, str]:
    """The device, versions, limits and the command. What is not known is left out."""
    found = {title: str(getattr(facts, name) or UNNAMED) for name, title in NAMES.items()}
    for name in LIMIT_NAMES:
        if name in limits and limits[name].value is not None:
            found[f"{name} limit"] = format_size(limits[name].value)
    found["command"] = shlex.join(map(str, command))
    return {name: one_line(text) for name, text in found.items() if text not in ("", UNNAMED)}
