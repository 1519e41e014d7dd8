"""The files that a user copies: rules, Prometheus' and Grafana's settings, the compose file."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.vocabulary import BOARD, FOLDER, RULES

PROMTOOL = shutil.which("promtool")
with_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool comes with Prometheus")
COMPOSE = yaml.safe_load((FOLDER / "compose.yml").read_text("utf-8"))


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def run(*words: str | Path) -> None:
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_happened_to_whom_and_what_to_do(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"\d+m", rule["for"])
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    for text in (rule["annotations"]["summary"], rule["annotations"]["description"]):
        assert "$labels.instance" in text
        assert "$labels.session" in text or rule["alert"] == "MLXServeDown"
        sentence = re.sub(r"\{\{.*?\}\}", "", text)
        assert sentence.endswith(".")
        assert ". " not in sentence, "one sentence"


def test_the_guide_lists_the_alerts() -> None:
    page = (FOLDER.parent / "docs" / "guides" / "grafana.md").read_text("utf-8")
    listed = re.findall(r"^\| (MLX\w+) \|.*\| (\w+) \| (\w+) \|$", page, re.MULTILINE)
    assert listed == [(rule["alert"], rule["for"], rule["labels"]["severity"]) for rule in RULES]


@with_promtool
def test_prometheus_takes_the_rules_and_its_settings(tmp_path: Path, processes: None) -> None:
    for name in ("prometheus.yml", "rules.yml"):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "token").write_text("secret")
    run(PROMTOOL or "", "check", "config", tmp_path / "prometheus.yml")


@with_promtool
def test_alerts_are_raised_and_end_and_leave_the_healthy_alone(processes: None) -> None:
    run(PROMTOOL or "", "test", "rules", Path(__file__).with_name("rules_test.yml"))


def test_docker_takes_the_compose_file(processes: None) -> None:
    checker = Path(sys.executable).with_name("check-jsonschema")
    run(checker, "--builtin-schema", "vendor.compose-spec", FOLDER / "compose.yml")


def test_nothing_listens_beyond_this_machine() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:3000:3000"]


def test_what_the_compose_file_mounts_is_there() -> None:
    mounts = [mount for service in COMPOSE["services"].values() for mount in service["volumes"]]
    inside = {}
    for mount in mounts:
        source, target, *_ = mount.split(":")
        if source.startswith("."):
            assert (FOLDER / source).exists()
            inside[target] = FOLDER / source
        else:
            assert source in COMPOSE["volumes"]
    provider = read("grafana/provisioning/dashboards/mlxtop.yml")["providers"][0]
    assert inside[provider["options"]["path"]] == FOLDER / "grafana" / "dashboards"
    home = COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == "/etc/grafana/dashboards/mlxtop.json"


def test_prometheus_finds_its_token_and_grafana_finds_prometheus() -> None:
    prometheus, source = read("prometheus.yml"), read("grafana/provisioning/datasources/prometheus.yml")
    [secret] = COMPOSE["services"]["prometheus"]["secrets"]
    [job] = prometheus["scrape_configs"]
    assert secret["target"] == f"/etc/prometheus/{job['authorization']['credentials_file']}"
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert source["datasources"][0]["jsonData"]["timeInterval"] == prometheus["global"]["scrape_interval"]
    assert BOARD["templating"]["list"][0]["query"] == source["datasources"][0]["type"]
