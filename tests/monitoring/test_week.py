"""A week in a real Prometheus: every panel shows something, and what it shows is true."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import psutil
import pytest
from monitoring.board import queries as q

from mlxtop.serve import metrics as m
from tests.monitoring import week
from tests.monitoring.vocabulary import BOARD, RULES, panels
from tests.monitoring.week import CHAT, CUDA, GIB, SERVER, TRAINING

needed = [shutil.which(name) for name in ("prometheus", "promtool")]
pytestmark = [
    pytest.mark.skipif(None in needed, reason="Prometheus is not installed"),
    pytest.mark.timeout(120),
]
STEP = 4 * week.EVERY


class Prometheus:
    """A real one, which has the week and nothing else."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, path: str, **parameters: object) -> Any:
        with urlopen(f"{self.address}{path}?{urlencode(parameters)}", timeout=60) as answer:
            return json.load(answer)["data"]

    def now(self, query: str, moment: float = week.END, **chosen: str) -> list[dict[str, Any]]:
        return self.ask("query", query=_filled(query, **chosen), time=moment)["result"]

    def course(self, query: str, **chosen: str) -> list[dict[str, Any]]:
        found = {"start": week.BEGIN, "end": week.END, "step": STEP}
        return self.ask("query_range", query=_filled(query, **chosen), **found)["result"]


def _filled(query: str, **chosen: str) -> str:
    """The query as Grafana sends it for the whole week."""
    values = {"host": ".*", "session": ".*", "top": "10", "__rate_interval": f"{STEP}s", **chosen}
    for name, value in {**values, "__range": "7d", "__interval": f"{STEP}s"}.items():
        query = query.replace(f"${name}", value)
    return query


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, processes: None) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    written, blocks, log = folder / "week", folder / "blocks", folder / "log"
    with written.open("w") as file:
        file.writelines(week.openmetrics())
    subprocess.run(
        [
            "promtool",
            "tsdb",
            "create-blocks-from",
            "--max-block-duration=1000h",
            "openmetrics",
            written,
            blocks,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (folder / "prometheus.yml").write_text("global: {}\n")
    with log.open("w") as out:
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={blocks}",
                f"--query.lookback-delta={STEP}s",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=out,
            stderr=out,
        )
    try:
        yield Prometheus(_port(server, log))
    finally:
        server.terminate()
        server.wait()


def _port(server: "subprocess.Popen[bytes]", log: Path) -> int:
    """The port that it listens on, once it answers there."""
    while True:
        assert server.poll() is None, log.read_text()
        listening = [
            c for c in psutil.Process(server.pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN
        ]
        if listening and "Server is ready" in log.read_text():
            return listening[0].laddr.port
        time.sleep(0.02)


def _values(series: Mapping[str, Any]) -> list[float]:
    return [float(value) for _, value in series["values"]]


def _sessions(result: list[dict[str, Any]]) -> set[str]:
    return {series["metric"]["session"] for series in result}


def test_every_panel_has_something_to_show(prometheus: Prometheus) -> None:
    empty = [
        (panel["title"], target["expr"])
        for panel in panels()
        for target in panel["targets"]
        if not any(isfinite(value) for value in _shown(prometheus, target))
    ]
    assert empty == []


def _shown(prometheus: Prometheus, target: Mapping[str, Any]) -> Iterator[float]:
    # A budget is drawn for one session only.
    chosen = {"session": TRAINING.session} if target.get("legendFormat") == "budget" else {}
    if target["instant"]:
        yield from (float(series["value"][1]) for series in prometheus.now(target["expr"], **chosen))
    else:
        yield from chain.from_iterable(map(_values, prometheus.course(target["expr"], **chosen)))


def test_annotations_and_choices_have_something_to_show(prometheus: Prometheus) -> None:
    for annotation in BOARD["annotations"]["list"]:
        assert prometheus.course(annotation["expr"])
    # mlx-lm's own are left out.
    assert {s["metric"]["source"] for s in prometheus.course(BOARD["annotations"]["list"][0]["expr"])} == {
        "flag",
        "program",
        "keyboard",
    }
    for host, sessions in (("mini", {SERVER.session}), ("studio", {TRAINING.session, CHAT.session})):
        match = _filled(q.INFO, host=host)
        assert set(prometheus.ask("label/session/values", **{"match[]": match})) == sessions


def test_parts_add_up_to_the_footprint_but_on_cuda(prometheus: Prometheus) -> None:
    [server] = prometheus.now(q.OUTSIDE, week.BEGIN + 12 * 3600, session=SERVER.session)
    assert float(server["value"][1]) == (12 - 8 - 3) * GIB
    [rig] = prometheus.now(q.OUTSIDE, session=CUDA.session)
    assert float(rig["value"][1]) == 3 * GIB


def test_the_largest_are_the_same_all_along_and_who_is_over_is_among_them(prometheus: Prometheus) -> None:
    found = prometheus.course(q.of_largest(q.SIZE), top="2")
    assert _sessions(found) == {TRAINING.session, CHAT.session}
    assert len({s["metric"]["session"] for s in found}) == len(found)


def test_the_verdict_is_the_one_that_holds(prometheus: Prometheus) -> None:
    found = {series["metric"]["session"]: _values(series) for series in prometheus.course(q.verdict())}
    kinds = {code: kind for kind, code in q.CODES.items()}
    said = {session: {kinds[int(value)] for value in values} for session, values in found.items()}
    assert said == {
        SERVER.session: {"not enough data", "steady"},
        TRAINING.session: {"not enough data", "active grows"},
        CHAT.session: {"idle cache"},
        CUDA.session: {"steady", "limit overridden"},
    }
    assert [v["value"][1] for v in prometheus.now(q.attention())] == ["2"]
    assert [v["value"][1] for v in prometheus.now(q.attention(), session=SERVER.session)] == ["0"]


def test_budgets_and_quantiles_are_right(prometheus: Prometheus) -> None:
    assert [v["value"][1] for v in prometheus.now(q.over_budget())] == ["1"]
    assert [v["value"][1] for v in prometheus.now(q.over_budget(), session=SERVER.session)] == ["0"]
    assert prometheus.now(q.over_budget(), session=CUDA.session) == []
    assert not prometheus.course(f"sum({q.of(m.BUDGET)}) and {q.ONE}")
    [median] = prometheus.now(q.quantile(0.5), session=SERVER.session)
    assert 2.5 < float(median["value"][1]) <= 5.0


UNTOLD = {"MLXServeDown", "MLXNotRead"}
"""Imported series end without a word, as those of a scrape do not."""


def test_alerts_are_for_those_who_have_the_trouble(prometheus: Prometheus) -> None:
    """`for` aside, over the whole week."""
    raised = {
        rule["alert"]: _sessions(prometheus.course(rule["expr"]))
        for rule in RULES
        if rule["alert"] not in UNTOLD
    }
    assert {alert: who for alert, who in raised.items() if who} == {
        "MLXActiveGrows": {TRAINING.session},
        "MLXBuffersNearLimit": {TRAINING.session},
        "MLXNearBudget": {TRAINING.session},
        "MLXOverBudget": {TRAINING.session},
        "MLXIdleCache": {CHAT.session},
        "MLXLimitOverridden": {CUDA.session},
    }
