"""The board, the rules and `mlxtop serve` speak of the same metrics, labels and values."""

import re
from typing import get_args

import pytest
from monitoring.board import panels, queries

from mlxtop.analysis.verdicts import VerdictKind
from mlxtop.serve import metrics as m
from tests.monitoring import vocabulary as v

QUERIES = [*v.board_queries(), *v.rule_queries()]
OWN = {m.INFO: {"pid"}}
"""Labels that nobody asks for: the number is the end of the session's name, too."""
QUIET = {"steady", "not enough data", "swings", "spikes"}
"""Verdicts without an alert: the first two are no finding, the others are how the work is."""


def test_every_metric_is_declared_and_used() -> None:
    assert set().union(*map(v.metrics, QUERIES)) == set(m.METRICS)


@pytest.mark.parametrize("query", QUERIES)
def test_labels_and_their_values_are_declared(query: str) -> None:
    for metric, label, values in v.matchers(query):
        assert label in {*metric.labels, *v.TARGET}
        if metric.values and label == metric.labels[-1]:
            assert set(values) <= set(metric.values)
    buckets = {"le"} if "_bucket" in query else set()
    known = {label for metric in v.metrics(query) for label in metric.labels}
    assert v.grouped(query) <= known | v.TARGET | buckets


def test_legends_and_texts_name_labels_that_the_series_have() -> None:
    known = {label for metric in m.METRICS for label in metric.labels} | v.TARGET
    legends = {target.get("legendFormat", "") for panel in v.panels() for target in panel["targets"]}
    assert set(re.findall(r"\{\{(\w+)\}\}", " ".join(legends))) <= known | {"le"}
    texts = " ".join(text for rule in v.RULES for text in rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= known


def test_every_label_is_used_or_left_out_on_purpose() -> None:
    shown = " ".join([*QUERIES, *(t.get("legendFormat", "") for p in v.panels() for t in p["targets"])])
    for metric in m.METRICS:
        unused = {label for label in metric.labels if not re.search(rf"\b{label}\b", shown)}
        assert unused == OWN.get(metric, set()), metric.name


def test_every_verdict_has_a_number_and_words() -> None:
    assert set(queries.CODES) == set(panels.PLAIN) == set(get_args(VerdictKind))
    assert all(colour in panels.COLOURS for _, colour in panels.PLAIN.values())


def test_every_finding_has_an_alert() -> None:
    asked = {
        value
        for query in v.rule_queries()
        for _, label, values in v.matchers(query)
        if label == "verdict"
        for value in values
    }
    assert asked == set(m.VERDICTS) - QUIET
