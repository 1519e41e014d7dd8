from hypothesis import given
from hypothesis import strategies as st

from mlxtop import Snapshot

BEFORE = Snapshot(active=100, cache=40, peak=300, time=1.5)
AFTER = Snapshot(active=250, cache=10, peak=300, time=4.0)

sizes = st.integers(0, 2**50)
snapshots = st.builds(Snapshot, sizes, sizes, sizes, st.floats(0, 1e6))


def test_a_delta_is_the_later_minus_the_earlier_field_by_field() -> None:
    assert BEFORE.delta(AFTER) == Snapshot(active=150, cache=-30, peak=0, time=2.5)


@given(snapshots, snapshots)
def test_a_delta_backwards_is_the_same_with_the_other_sign(a: Snapshot, b: Snapshot) -> None:
    there, back = a.delta(b), b.delta(a)
    assert (there.active, there.cache, there.peak) == (-back.active, -back.cache, -back.peak)
    assert there.total == b.total - a.total


def test_the_total_is_active_and_cache_and_leaves_out_the_peak() -> None:
    assert BEFORE.total == 140


def test_a_snapshot_prints_as_in_the_mlx_swift_guide_with_the_exact_bytes() -> None:
    snapshot = Snapshot(active=395_412_992, cache=2_097_152, peak=1_572_864_000)
    assert str(snapshot) == (
        "Peak:   1.46 GiB (1572864000)\nActive: 377.1 MiB (395412992)\nCache:  2.0 MiB (2097152)"
    )


def test_a_growth_prints_with_its_signs() -> None:
    assert str(BEFORE.delta(AFTER)) == "Peak:   0 B (0)\nActive: 150 B (150)\nCache:  -30 B (-30)"


def test_a_snapshot_prints_in_decimal_units_too() -> None:
    assert Snapshot(20_000_000, 0, 0).describe("decimal").splitlines()[1] == "Active: 20.0 MB (20000000)"
