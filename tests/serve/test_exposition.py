"""What is written, as the official parsers read it."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from mlxtop.core.budget import Budget
from mlxtop.core.events import BudgetChanged, PhaseChanged
from mlxtop.serve import watch
from mlxtop.serve.exposition import Exposition
from mlxtop.serve.metrics import METRICS, VERDICTS
from mlxtop.serve.names import model, session_label
from mlxtop.serve.watch import Watched
from tests.serve.simulated import known, sample, tell, watched

ACCEPT = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
HOSTILE = 'a"b\\c\n{x="1"} 9\x1b[31m\u202e' + "ü" * 500
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(page: bytes, accept: str = ACCEPT) -> Values:
    """The samples by their names and labels, each there once."""
    parse: Callable[[str], Iterable[Any]] = (
        openmetrics.text_string_to_metric_families if accept else parser.text_string_to_metric_families
    )
    found = [
        ((s.name, frozenset(s.labels.items())), s.value)
        for family in parse(page.decode())
        for s in family.samples
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def values(sessions: list[Watched], accept: str = ACCEPT) -> Values:
    return read(Exposition(lambda: sessions).page(accept).body, accept)


def of(found: Values, name: str, **labels: str) -> list[float]:
    """The values of a name whose labels have at least `labels`."""
    return [value for (n, has), value in found.items() if n == name and labels.items() <= dict(has).items()]


@pytest.mark.parametrize("accept", [ACCEPT, "", "text/plain;version=1.0.0"])
def test_every_metric_is_told_as_it_is_declared(accept: str) -> None:
    budget = BudgetChanged(Budget(9000, "flag"))
    one = tell(known(), budget, *((t, PhaseChanged(p)) for t, p in [(3.0, "decode"), (4.0, "idle")]))
    page = Exposition(lambda: [one]).page(accept)
    assert page.type.startswith("application/openmetrics-text" if accept == ACCEPT else "text/plain")
    text, found = page.body.decode(), read(page.body, accept if accept == ACCEPT else "")
    for metric in METRICS:
        name = metric.name.removesuffix("_total") if accept == ACCEPT else metric.name
        name = name.removesuffix("_info") if accept == ACCEPT else name
        kind = "gauge" if accept != ACCEPT and metric.kind == "info" else metric.kind
        assert f"# TYPE {name} {kind}\n" in text
        samples = [dict(has) for (n, has), _ in found.items() if n in (metric.name, f"{metric.name}_count")]
        assert samples
        assert {frozenset(labels) for labels in samples} == {frozenset(metric.labels)}
        if metric.values:
            assert {labels[metric.labels[-1]] for labels in samples} <= set(metric.values)
    label = "train.py-4242"
    assert of(found, "mlx_memory_active_bytes", session=label) == [1000]
    assert of(found, "mlx_memory_limit_bytes", limit="cache") == [float("inf")]
    assert of(found, "mlx_process_footprint_bytes") == of(found, "mlx_memory_budget_used_bytes") == [5000]
    assert of(found, "mlx_steps_total") == [3]
    assert of(found, "mlx_step_peak_bytes_bucket", le="+Inf") == of(found, "mlx_step_peak_bytes_count") == [2]
    assert of(found, "mlx_diagnosis", verdict="steady") == [1]
    assert sum(of(found, "mlx_diagnosis")) == 1
    assert len(of(found, "mlx_diagnosis")) == len(VERDICTS)
    assert of(found, "mlx_session_info", rank="3", device="Apple M3 Max", pid="4242", model="") == [1]
    assert of(found, "mlx_steps_created") == ([1e9] if accept == ACCEPT else [])
    assert of(found, "mlx_sample_timestamp_seconds")[0] > 1e9


def test_what_is_not_known_is_absent() -> None:
    found = {name for name, _ in values([tell(watched(), sample(1.0))])}
    assert found == {
        *(f"mlx_memory_{name}_bytes" for name in ("active", "cache", "peak")),
        *(
            f"mlx_{name}_{part}"
            for name in ("steps", "cache_clears", "limit_changes")
            for part in ("total", "created")
        ),
        "mlx_sample_timestamp_seconds",
        "mlx_session_info",
    }
    assert values([watched()]) == {}


@pytest.mark.parametrize("accept", [ACCEPT, ""])
def test_foreign_names_are_text_and_short(accept: str) -> None:
    one = known(argv=("python", f"/x/{HOSTILE}", "--model", HOSTILE))
    found = values([one], accept)
    (labels,) = [dict(has) for name, has in found if name == "mlx_session_info"]
    assert labels["model"] == model(one.session.command)
    assert labels["model"].startswith('a"b\\c')
    assert all(len(value) <= 120 and value.isprintable() for value in labels.values())
    assert all(len(dict(has)["session"]) < 60 and dict(has)["session"].isascii() for _, has in found)


@pytest.mark.parametrize(
    ("argv", "label"),
    [
        (("python", "-m", "mlx_lm.server", "--api-key", "secret"), "mlx_lm.server-7"),
        (("/usr/bin/python3", "/home/me/my train.py"), "my-7"),
        (("python", "-c", "print(1)"), "python-7"),
        ((), "a-7"),
        (("\u202e\u202e",), "program-7"),
    ],
)
def test_a_label_names_the_program_and_no_argument(argv: tuple[str, ...], label: str) -> None:
    assert session_label(watched(argv, pid=7).session) == label


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["--model", "org/name"], "org/name"),
        (["--model=org/name", "--model-size"], "org/name"),
        (["--model"], ""),
        (["--models", "x"], ""),
        ([], ""),
    ],
)
def test_a_model_is_what_the_option_names(argv: list[str], name: str) -> None:
    assert model(argv) == name


def test_one_gathering_serves_many() -> None:
    exposition = Exposition(lambda: [known()])
    accepted = [ACCEPT, "", "text/plain;version=1.0.0", "*/*", "application/openmetrics-text;version=7.7.7"]
    pages = {exposition.page(accept) for accept in accepted * 20}
    assert (len(pages), exposition.gathered) == (3, 3)


def test_a_thousand_sessions(figure: Callable[[str], None]) -> None:
    sessions = [known(pid=1000 + i) for i in range(1000)]
    exposition = Exposition(lambda: sessions)
    began = time.process_time()
    page = exposition.page(ACCEPT)
    took = time.process_time() - began
    lines = page.body.count(b"\n")
    figure(
        f"serve: 1,000 sessions, {lines:,} lines, {len(page.body) / 1e6:.1f} MB in {took:.2f} s of a processor"
    )
    assert page.body.count(b"mlx_memory_active_bytes{") == 1000


def test_a_diagnosis_that_fails_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    one = known()
    one.diagnose()
    assert one.verdicts == {"not enough data"}
    monkeypatch.setattr(watch, "diagnose", lambda *_: 1 / 0)
    one.diagnose()
    assert of(values([one]), "mlx_diagnosis") == []
