import json
from pathlib import Path
from typing import Any

import pytest

from mlxtop.core.errors import UsageError
from mlxtop.core.files import put
from mlxtop.sweep import store
from mlxtop.sweep.results import summarize
from mlxtop.sweep.store import SweepFileError
from mlxtop.sweep.target import ModelTarget
from tests.sweep.made import FACTS, measurements, plan

SPEEDS = [70.0, 90.0, 100.0, 100.0]


def kept(path: Path) -> dict[str, Any]:
    made = measurements(plan(), SPEEDS)
    put(path, store.text(summarize(plan(), made, FACTS), FACTS, made))
    return store.to_json(summarize(plan(), made, FACTS), FACTS, made)


def test_what_is_kept_comes_back_whole(tmp_path: Path) -> None:
    kept(tmp_path / "s.json")
    found = store.read(tmp_path / "s.json")
    store.check_plan(found, plan(rounds=20, tolerance=0.05), tmp_path / "s.json")
    assert found.measurements == measurements(plan(), SPEEDS)
    assert found.facts == FACTS
    store.check_device(found, FACTS)


def test_the_file_is_for_others_too(tmp_path: Path) -> None:
    data = json.loads(json.dumps(kept(tmp_path / "s.json")))
    assert data["advice"]["choice"] == "20.0 MiB"
    assert data["cells"][2]["chosen"]
    assert (
        data["cells"][2]["tps"]["low"] < data["cells"][2]["tps"]["median"] < data["cells"][2]["tps"]["high"]
    )
    assert len(data["readings"]) == 48
    # JSON has no nan.
    few = measurements(plan(), SPEEDS, rounds=1)
    text = json.dumps(store.to_json(summarize(plan(), few, FACTS), FACTS, few), allow_nan=False)
    assert json.loads(text)["cells"][0]["tps"]["low"] is None


def test_what_has_no_end_is_no_sweep() -> None:
    with pytest.raises(SweepFileError, match="too long"):
        store.read(Path("/dev/zero"))


def test_another_sweep_is_refused(tmp_path: Path) -> None:
    kept(tmp_path / "s.json")
    found = store.read(tmp_path / "s.json")
    with pytest.raises(
        UsageError, match=r"was not measured with the same tokens a generation: leave .* without --resume\."
    ):
        store.check_plan(found, plan(target=ModelTarget((128, 512), 65)), tmp_path / "s.json")
    with pytest.raises(UsageError, match="measured with device A machine, not Another"):
        store.check_device(found, FACTS.replace(device="Another"))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "not json", '{"type": "other"}', "\x00", '{"type": "mlxtop sweep", "format": 99}'],
)
def test_what_is_no_sweep_s_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(text)
    with pytest.raises(SweepFileError):
        store.read(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SweepFileError, match="cannot be read"):
        store.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.pop("plan"),
        lambda d: d["plan"].update(metric="nothing"),
        lambda d: d["plan"].update(metric=3),
        lambda d: d.update(facts=3),
        lambda d: d.update(readings=3),
        lambda d: d["readings"].append({}),
        lambda d: d["readings"][0].update(arm=99),
        lambda d: d["readings"][0].update(arm=-1),
        lambda d: d["readings"][0].update(values={"tps": "fast"}),
        lambda d: d["readings"][0].update(values={"strange": 1.0}),
        lambda d: d["readings"][0].update(values=[1]),
        lambda d: d["readings"][0].update(busy="very"),
        lambda d: d["readings"][0].update(more=1),
        lambda d: d["readings"][0].update(error=3),
    ],
)
def test_a_damaged_file_is_not_believed(tmp_path: Path, spoil: Any) -> None:
    path = tmp_path / "s.json"
    data = json.loads(json.dumps(kept(path)))
    spoil(data)
    path.write_text(json.dumps(data))
    with pytest.raises(SweepFileError, match=r"is damaged: its sweep cannot be read\."):
        store.read(path)
