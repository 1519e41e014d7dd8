"""The board as Grafana reads it: as the script makes it, complete, and nothing on top of another."""

import json
import re
from itertools import combinations
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from monitoring.board import __main__ as script

from tests.monitoring.vocabulary import BOARD, panels


def test_the_file_is_what_the_script_makes() -> None:
    assert script.FILE.read_text("utf-8") == script.text(), "run: make board"


def test_grafanas_types_know_every_field() -> None:
    """They drop what they do not know, and add their defaults. Of Prometheus' annotations they know half."""
    register_default_plugins()
    lost = _lost(BOARD, json.loads(json.dumps(Dashboard.from_json(BOARD), cls=JSONEncoder)))
    assert [path for path in lost if not re.fullmatch(r"/annotations/list/\d/t(itle|ext)Format", path)] == []


def _lost(ours: Any, theirs: Any, path: str = "") -> list[str]:
    """Where `theirs` lacks something of ours, or has another value."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return [lost for key in ours for lost in _lost(ours[key], theirs.get(key), f"{path}/{key}")]
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [lost for i, (one, other) in pairs for lost in _lost(one, other, f"{path}/{i}")]
    return [] if ours == theirs else [path]


def test_panels_do_not_overlap_and_fill_the_width() -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        at = panel["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    for one, other in combinations(BOARD["panels"], 2):
        assert not cells(one) & cells(other), (one["title"], other["title"])
    covered = set().union(*map(cells, BOARD["panels"]))
    rows = {y for _, y in covered}
    assert covered == {(x, y) for x in range(24) for y in rows}
    assert rows == set(range(len(rows)))
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_every_panel_says_what_it_shows_and_where_from() -> None:
    for panel in panels():
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_sizes_have_mlxtops_units() -> None:
    """`bytes` are KiB, MiB, GiB in Grafana; `decbytes` would be kB."""
    for panel in panels():
        for target in panel["targets"]:
            size = "_bytes" in target["expr"].split(" and on ")[0] and "budget_used" not in target["expr"]
            if size and panel["type"] in ("timeseries", "stat") and "count" not in target["expr"]:
                assert panel["fieldConfig"]["defaults"]["unit"] == "bytes", panel["title"]
    assert "decbytes" not in json.dumps(BOARD)


def test_a_thousand_sessions_do_not_make_a_thousand_lines() -> None:
    """A chart has a line for each of the largest only, or none by session."""
    for panel in panels():
        if panel["type"] in ("timeseries", "state-timeline"):
            for target in panel["targets"]:
                if "session" in target.get("legendFormat", ""):
                    assert "topk($top" in target["expr"], panel["title"]
