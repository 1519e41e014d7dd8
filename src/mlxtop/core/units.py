"""Sizes as people write and read them. Inside mlxtop every size is an `int` of bytes."""

from __future__ import annotations

from mlxtop.core.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    Units = Literal["binary", "decimal"]
    Size = int | Literal["default"]
else:
    Units, Size = str, int | str

UNLIMITED = 2**63 - 1
"""The limit that never binds: the largest size that fits a signed 64-bit integer."""

UNKNOWN = -1
"""Stands for a number nobody knows in a stream of integers; shown as `—`."""

DEFAULT: Final = "default"
"""What MLX started with; only the program that runs MLX can turn it into bytes."""

SPANS: Final[dict[str, int]] = {"s": 1, "min": 60, "h": 3600}
"""The spans of time of a rate, in seconds."""

_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
_SIZE = r"(\d{1,20}(?:\.\d{1,20})?)\s*(?:([KMGTP]?)(iB|B)?)"
_NAMES: dict[Units, tuple[str, ...]] = {
    "binary": ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"),
    "decimal": ("B", "kB", "MB", "GB", "TB", "PB", "EB"),
}


def parse_size(text: str) -> Size:
    """`0`, `20M` and `20MiB` (2²⁰), `20MB` (10⁶), likewise K, G, T; `default`; `unlimited`.

    Returns bytes, or `DEFAULT`. Raises `UsageError` when the text is none of these.
    """
    word = text.strip().lower()
    if word == DEFAULT:
        return DEFAULT
    if word == "unlimited":
        return UNLIMITED
    # Imported here: the agent, which imports this file, has no use for them.
    import re

    from mlxtop.core.text import shortened

    match = re.fullmatch(_SIZE, text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise UsageError(
            f"'{shortened(text)}' is not a size: write 0, 20M, 1.5GiB, 500MB, default or unlimited."
        )
    number, prefix, suffix = match[1], (match[2] or "").upper(), (match[3] or "").lower()
    unit: int = (1000 if suffix == "b" and prefix else 1024) ** _POWER[prefix]
    size = int(number) * unit if number.isdigit() else round(float(number) * unit)
    if size > UNLIMITED:
        raise UsageError(f"'{shortened(text)}' is more than any machine has: write unlimited.")
    return size


def format_size(size: int | None, units: Units = "binary") -> str:
    """At most nine characters, so that columns stand still; `—` for a size nobody knows.

    Three to four significant digits: `999.9 MiB`, `12.34 GiB`, `512 B`.
    """
    if size is None:
        return "—"
    if size >= UNLIMITED:
        return "unlimited"
    base = 1024 if units == "binary" else 1000
    sign = "-" if size < 0 else ""
    value = float(abs(size))
    power = 0
    # Step up when rounding would otherwise print a full unit of the next size.
    while power < 6 and value >= base - 0.5:
        value /= base
        power += 1
    if power == 0:
        digits = 0
    elif power < 3:
        digits = 1 if value < 999.95 else 0
    else:
        digits = 2 if value < 99.995 else 1 if value < 999.95 else 0
    return f"{sign}{value:.{digits}f} {_NAMES[units][power]}"


def format_delta(size: int | None, units: Units = "binary") -> str:
    """A difference of sizes with its sign: `+12.0 MiB`, `-3.1 GiB`, `0 B`."""
    if size is None or size == 0:
        return format_size(size, units)
    return ("+" if size > 0 else "") + format_size(size, units)


def format_count(count: int | None) -> str:
    """How many, in at most five characters: `999`, `12.3k`, `499k`, `1.2M`; `—` where nobody knows."""
    if count is None:
        return "—"
    value, power = float(count), 0
    while power < 3 and value >= 999.5:
        value /= 1000
        power += 1
    return f"{value:.{int(power > 0 and value < 99.95)}f}{('', 'k', 'M', 'G')[power]}"


def parse_rate(text: str) -> tuple[int, str]:
    """`1M/min`, `500K/s`, `2GiB/h`. Returns bytes and the span, a key of `SPANS`. Raises `UsageError`."""
    size, slash, span = text.strip().rpartition("/")
    if slash and span.strip().lower() in SPANS:
        try:
            found = parse_size(size)
        except UsageError:
            found = DEFAULT
        if isinstance(found, int) and found < UNLIMITED:
            return found, span.strip().lower()
    from mlxtop.core.text import shortened

    raise UsageError(f"'{shortened(text)}' is not a rate: write 1M/min, 500K/s or 2G/h.")


def format_rate(per_second: float, span: str, units: Units = "binary") -> str:
    """`1.2 MiB/min`, from bytes a second; `span` is a key of `SPANS`."""
    return f"{format_size(round(per_second * SPANS[span]), units)}/{span}"


def format_span(seconds: float) -> str:
    """A stretch of time as short as it can be read: `94ms`, `0.5s`, `45s`, `2m`, `1h30m`, `2d`."""
    if seconds < 0.1:
        return f"{seconds * 1000:.3g}ms" if seconds else "0s"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g}s"
    parts = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
    text = ""
    for size, name in parts:
        count, whole = divmod(whole, size)
        if count:
            text += f"{count}{name}"
    return text


def format_clock(seconds: float) -> str:
    """Elapsed time with a width that changes as seldom as possible: `0:02:11`, `26:00:01`."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
