import pytest

from mlxtop.core.machine import System
from mlxtop.doctor import machine
from mlxtop.doctor.finding import Section, Verdict

NAMES = ["wired", "compressed", "GPU use", "thermal pressure"]


@pytest.mark.parametrize(
    ("reading", "swap", "values"),
    [
        (
            System(pressure="warning", swap_used=0, swap_total=0, wired=2**30, compressed=0, gpu=0.5, thermal="heavy"),
            "none",
            ["1.00 GiB", "0 B", "50%", "heavy"],
        ),
        (System(), "—", ["—"] * 4),
    ],
)  # fmt: skip
def test_what_a_mac_tells_and_what_it_does_not(monkeypatch, reading, swap, values) -> None:
    monkeypatch.setattr(machine.machine, "reader", lambda *_, **__: lambda _: reading)
    monkeypatch.setattr(machine.footprint, "reader", lambda: lambda: None)
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    found = {one.name: one for one in machine.check(Section("Machine"))}
    assert [found[name].value for name in NAMES] == values
    assert (found["swap"].value, found["iogpu.wired_limit_mb"].value) == (swap, "not set")
    for one in found.values():
        assert (one.verdict is Verdict.MISSING) == (one.value == "—")
