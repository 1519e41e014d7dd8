"""The types of option values: how text is converted and checked."""

import math
import os
from pathlib import Path
from typing import Any, cast

import click
from click.shell_completion import CompletionItem

from mlxtop.cli.completion import files, starting
from mlxtop.core.budget import Action, BudgetSpec, parse_action, parse_budget
from mlxtop.core.errors import UsageError
from mlxtop.core.parsing import whole
from mlxtop.core.text import shortened
from mlxtop.core.units import UNLIMITED, Size, parse_rate, parse_size
from mlxtop.inference.options import FOREVER

MOST = 2**31 - 1
"""The largest count: MLX stores a token's position in 32 bits."""
LONGEST = 10 * 365 * 86_400.0
"""Seconds: the longest time that is accepted."""


class CountParam(click.ParamType[int]):
    """A whole number from `least` to `most`, in plain digits."""

    name = "count"

    def __init__(self, least: int = 1, most: int = MOST) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        number = value if type(value) is int else whole(str(value).strip())
        if number is None or not self.least <= number <= self.most:
            most = f" to {self.most:,}" if self.most < MOST else ""
            return self.fail(
                f"'{shortened(value)}' is not a whole number from {self.least}{most}.", param, ctx
            )
        return number


class SecondsParam(click.ParamType[float]):
    """A time from `least` to `most` seconds. NaN and infinity are refused."""

    name = "seconds"

    def __init__(self, least: float, most: float = LONGEST) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(value)
        except (ValueError, OverflowError):
            seconds = math.nan
        if not self.least <= seconds <= self.most:
            most = f" to {self.most:g}" if self.most < LONGEST else ""
            return self.fail(
                f"'{shortened(value)}' is not a time from {self.least:g}{most} seconds.", param, ctx
            )
        return seconds


class FileParam(click.ParamType[Path]):
    """The path of a file. It is not empty, and no directory."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        text = os.fspath(value)
        if not text.strip() or "\0" in text:
            return self.fail("the path is empty.", param, ctx)
        if Path(text).is_dir():
            return self.fail(f"'{text}' is a directory, not a file.", param, ctx)
        return Path(text)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return files(incomplete)


class FolderParam(click.ParamType[Path]):
    """The path of a directory that exists."""

    name = "directory"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        text = os.fspath(value)
        if not text.strip() or "\0" in text:
            return self.fail("the path is empty.", param, ctx)
        if not Path(text).is_dir():
            return self.fail(f"there is no folder {shortened(text)}: make it, or name another.", param, ctx)
        return Path(text)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="dir")]


class NameParam(click.ParamType[str]):
    """A name or a path that is not empty. It is passed on unchanged."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        return text if text.strip() else self.fail("the value is empty.", param, ctx)


class SizeParam(click.ParamType[Size]):
    """`20M`, `1.5GiB`, `500MB`, `default`, `unlimited`: see `core.units.parse_size`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Size:
        try:
            return parse_size(str(value))
        except UsageError as error:
            return self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return starting(("default", "unlimited"), incomplete)


class BytesParam(SizeParam):
    """A size that is a number: neither `default` nor `unlimited`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        size = super().convert(value, param, ctx)
        if not isinstance(size, int) or size >= UNLIMITED:
            return self.fail(
                f"'{shortened(value)}' is not a number of bytes: write 12G or 500MB.", param, ctx
            )
        return size

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return []


class RateParam(click.ParamType[tuple[int, str]]):
    """`1M/min`, `500K/s`, `2G/h`: see `core.units.parse_rate`."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, str]:
        try:
            return parse_rate(str(value))
        except UsageError as error:
            return self.fail(str(error), param, ctx)


class NumberParam(click.ParamType[int]):
    """A number of things: `250`, `100k` (thousand), `2M` (million)."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip()
        times = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
        number = whole(text if times == 1 else text[:-1])
        if number is None or number * times > MOST:
            return self.fail(f"'{shortened(value)}' is not a number: write 250, 100k or 2M.", param, ctx)
        return number * times


class RepeatParam(click.ParamType[int]):
    """A count from 1, or `forever`."""

    name = "repeat"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value in ("forever", FOREVER):
            return FOREVER
        number = whole(str(value))
        if number is None or not 0 < number <= MOST:
            return self.fail(
                f"'{shortened(value)}' is neither a whole number from 1 nor forever.", param, ctx
            )
        return number

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return starting(("forever",), incomplete)


class BudgetParam(click.ParamType[BudgetSpec]):
    """A size, `cgroup`, `device` or `none`: see `core.budget.parse_budget`."""

    name = "budget"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> BudgetSpec:
        try:
            return parse_budget(str(value))
        except UsageError as error:
            return self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return starting(("cgroup", "device", "none"), incomplete)


class ActionParam(click.ParamType[Action]):
    """`mark`, `clear`, `limit:SIZE`, `stop` or `exec:CMD`: see `core.budget.parse_action`."""

    name = "action"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Action:
        if isinstance(value, Action):
            return value
        try:
            return parse_action(str(value))
        except UsageError as error:
            return self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return starting(("mark", "clear", "limit:", "stop", "exec:"), incomplete)


class LengthsParam(click.ParamType[tuple[int, ...]]):
    """`4096,32768`: several counts, of tokens for example, from `least`; `32k` is 32,768.

    `what` and `example` are for the message about one that is wrong.
    """

    name = "lengths"

    def __init__(self, what: str = "a context length", example: str = "4k,32768", least: int = 1) -> None:
        self.what, self.example, self.least = what, example, least

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return cast(tuple[int, ...], value)
        lengths = []
        for word in str(value).lower().split(","):
            number = whole(word.strip().removesuffix("k")) or 0
            length = number * (1024 if word.strip().endswith("k") else 1)
            if not self.least <= length <= 2**30:
                self.fail(
                    f"'{shortened(word)}' is not {self.what}; an example is {self.example}.", param, ctx
                )
            lengths.append(length)
        return tuple(lengths)


SIZE = SizeParam()
COUNT = CountParam()
SEED = CountParam(0)
FILE = FileParam()
NAME = NameParam()
