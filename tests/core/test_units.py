import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlxtop.core.errors import UsageError
from mlxtop.core.units import (
    DEFAULT,
    SPANS,
    UNLIMITED,
    format_clock,
    format_count,
    format_delta,
    format_rate,
    format_size,
    format_span,
    parse_rate,
    parse_size,
)

BYTES = {
    **dict(
        zip(("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"), (2 ** (10 * n) for n in range(7)), strict=True)
    ),
    **dict(zip(("kB", "MB", "GB", "TB", "PB", "EB"), (10 ** (3 * n) for n in range(1, 7)), strict=True)),
}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("0B", 0),
        ("4096", 4096),
        ("512B", 512),
        ("20K", 20 * 2**10),
        ("20KiB", 20 * 2**10),
        ("20KB", 20_000),
        ("20M", 20 * 2**20),
        ("20MiB", 20 * 2**20),
        ("20MB", 20_000_000),
        ("3G", 3 * 2**30),
        ("3GiB", 3 * 2**30),
        ("3GB", 3_000_000_000),
        ("2T", 2 * 2**40),
        ("1.5GiB", 3 * 2**29),
        ("0.5MB", 500_000),
        ("20m", 20 * 2**20),
        ("20mb", 20_000_000),
        (" 20 MiB ", 20 * 2**20),
        ("default", DEFAULT),
        ("Default", DEFAULT),
        ("unlimited", UNLIMITED),
        (str(UNLIMITED), UNLIMITED),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int | str) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-1",
        "-20M",
        "+5",
        "M",
        "20X",
        "20MBB",
        "20 20",
        "1e6",
        "nan",
        "inf",
        "0x10",
        "1.M",
        ".5M",
        "20M\n5",
    ],
)
def test_junk_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a size: write 0, 20M"):
        parse_size(text)


@pytest.mark.parametrize(
    "text",
    [str(UNLIMITED + 1), "9999999T", "9" * 5000, "9" * 400 + ".5G"],
    ids=["one too many", "terabytes", "5000 digits", "400 digits and a half"],
)
def test_a_huge_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write"):
        parse_size(text)


@given(st.text(max_size=12))
def test_no_text_breaks_the_reading_of_sizes(text: str) -> None:
    try:
        size = parse_size(text)
    except UsageError:
        return
    assert size == DEFAULT or 0 <= size <= UNLIMITED


# Any size, and those around the step to the next unit.
sizes = st.one_of(
    st.integers(0, 2**60),
    st.builds(lambda n, p: n * 1024**p // 100, st.integers(99_900, 102_500), st.integers(0, 5)),
    st.builds(lambda n, p: n * 1000**p // 100, st.integers(9_900, 101_000), st.integers(0, 5)),
)


@given(sizes, st.sampled_from(["binary", "decimal"]))
def test_a_size_never_needs_more_than_nine_characters(size: int, units) -> None:
    assert len(format_size(size, units)) <= 9


@given(sizes, st.sampled_from(["binary", "decimal"]))
def test_a_size_shown_is_the_size_within_its_last_digit(size: int, units) -> None:
    number, unit = format_size(size, units).split()
    digits = len(number.partition(".")[2])
    assert abs(float(number) * BYTES[unit] - size) <= 0.5001 * 10**-digits * BYTES[unit]


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_of_two_sizes_in_one_unit_the_larger_never_looks_smaller(a: int, b: int) -> None:
    (first, unit), (second, other) = format_size(min(a, b)).split(), format_size(max(a, b)).split()
    assert BYTES[unit] <= BYTES[other]
    if unit == other:
        assert float(first) <= float(second)


@pytest.mark.parametrize(
    ("size", "binary", "decimal"),
    [
        (None, "—", "—"),
        (0, "0 B", "0 B"),
        (512, "512 B", "512 B"),
        (1023, "1023 B", "1.0 kB"),
        (1024, "1.0 KiB", "1.0 kB"),
        (20 * 2**20, "20.0 MiB", "21.0 MB"),
        (2**20 - 1, "1.0 MiB", "1.0 MB"),
        (999 * 2**20, "999.0 MiB", "1.05 GB"),
        (1023 * 2**20, "1023 MiB", "1.07 GB"),
        (1023 * 2**10 + 512, "1.0 MiB", "1.0 MB"),
        (80_766_618_828, "75.22 GiB", "80.77 GB"),
        (200 * 2**30, "200.0 GiB", "214.7 GB"),
        (1000 * 2**20 + 2**19, "1000 MiB", "1.05 GB"),
        (1000 * 2**30, "1000 GiB", "1.07 TB"),
        (-3 * 2**20, "-3.0 MiB", "-3.1 MB"),
        (UNLIMITED, "unlimited", "unlimited"),
    ],
)
def test_sizes_look_like_this(size: int | None, binary: str, decimal: str) -> None:
    assert (format_size(size), format_size(size, "decimal")) == (binary, decimal)


@pytest.mark.parametrize(
    ("size", "shown"), [(None, "—"), (0, "0 B"), (12 * 2**20, "+12.0 MiB"), (-5, "-5 B"), (1, "+1 B")]
)
def test_a_delta_shows_its_sign(size: int | None, shown: str) -> None:
    assert format_delta(size) == shown


def test_a_delta_speaks_decimal_units_too() -> None:
    assert [format_delta(size, "decimal") for size in (10**9, -1000, 0)] == ["+1.00 GB", "-1.0 kB", "0 B"]


@given(st.integers())
def test_a_delta_of_any_size_has_its_sign(size: int) -> None:
    assert format_delta(size)[0] == ("-" if size < 0 else "+" if size else "0")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.4, "0.4s"),
        (0.0123, "12.3ms"),
        (0.094, "94ms"),
        (0.1, "0.1s"),
        (0, "0s"),
        (1, "1s"),
        (45, "45s"),
        (59.4, "59.4s"),
        (59.7, "1m"),
        (120, "2m"),
        (150, "2m30s"),
        (5400, "1h30m"),
        (2 * 86400, "2d"),
    ],
)
def test_a_span_is_as_short_as_it_can_be_read(seconds: float, shown: str) -> None:
    assert format_span(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(None, "—"), (0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (99_949, "99.9k"), (99_950, "100k"),
     (499_000, "499k"), (999_499, "999k"), (999_500, "1.0M"), (1_250_001, "1.3M"), (7 * 10**9, "7.0G")],
)  # fmt: skip
def test_a_count_is_short(count: int | None, shown: str) -> None:
    assert format_count(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00:00"), (131.9, "0:02:11"), (3600, "1:00:00"), (93601, "26:00:01")]
)
def test_the_clock_counts_hours(seconds: float, shown: str) -> None:
    assert format_clock(seconds) == shown


@pytest.mark.parametrize(
    ("text", "rate", "shown"),
    [
        ("1M/min", (2**20, "min"), "1.0 MiB/min"),
        (" 500KB / S ", (500_000, "s"), "488.3 KiB/s"),
        ("2GiB/h", (2**31, "h"), "2.00 GiB/h"),
        ("0/min", (0, "min"), "0 B/min"),
    ],
)
def test_a_rate_is_read_and_told_in_its_own_span(text: str, rate: tuple[int, str], shown: str) -> None:
    size, span = parse_rate(text)
    assert (size, span) == rate
    assert format_rate(size / SPANS[span], span) == shown


def test_what_is_no_rate_is_refused() -> None:
    for text in ("1M", "1M/day", "/s", "x/min", "default/s", "-1/s"):
        with pytest.raises(UsageError, match=r"is not a rate: write 1M/min"):
            parse_rate(text)
