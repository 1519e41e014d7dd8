"""Who keeps an array alive in a notebook, in the words of its user: `x`, `Out[5]`."""

import re
from collections.abc import Iterable, Mapping

_MAIN = " in __main__"
_NAME = re.compile(r"\w+")
_OUT = re.compile(r"_(\d+)|(?:Out|_oh)\.(\d+)|(?:Out|_oh)\[…\]|_{1,3}(?!\w)")
"""What IPython keeps of what cells returned."""
_LAST = re.compile(r"\w+Shell\.(?:_trait_values\[…\]|last_execution_result)\.(?:error_in_exec|result)")
"""What a shell keeps of the last cell."""
_HIDDEN = re.compile(r"\w+(?:Shell\.user_ns_hidden|DisplayHook)\._+\S*")
"""What it keeps of the last three values."""


class Holders:
    """Names holders as a census tells them. `variables` are the notebook's."""

    def __init__(self, variables: Mapping[str, object]) -> None:
        out = variables.get("Out")
        numbers = {id(value): number for number, value in out.items()} if isinstance(out, dict) else {}
        self._also = {name: numbers[id(value)] for name, value in variables.items() if id(value) in numbers}

    def name(self, holder: str) -> str:
        """`x` for `x in __main__`, `Out[5]` for `_5 in __main__`, `x, also Out[5]` where both hold it."""
        holder = _HIDDEN.sub(
            "one of the last values that IPython keeps", _LAST.sub("the last cell", holder, 1), 1
        )
        if not holder.endswith(_MAIN):
            return holder.replace(f"{_MAIN}: ", ": ")
        name = holder.removesuffix(_MAIN)
        if found := _OUT.match(name):
            number = found[1] or found[2] or self._also.get(found[0])
            return (f"Out[{number}]" if number else found[0]) + name[found.end() :]
        also = self._also.get(_first(name))
        return name if also is None else f"{name}, also Out[{also}]"

    def note(self, holders: Iterable[str]) -> str:
        """What to do about what IPython keeps; empty where it keeps none of it."""
        kept = dict.fromkeys(
            word for holder in holders for word in re.findall(r"\bOut\[\d+\]|^_+$", self.name(holder))
        )
        if not kept:
            return ""
        return (
            f"IPython keeps what a cell returned: here {', '.join(kept)}. A cell whose last line ends with ; "
            "keeps nothing. %reset -f out frees what is kept, but for the last values."
        )


def _first(name: str) -> str:
    found = _NAME.match(name)
    return found[0] if found else ""
