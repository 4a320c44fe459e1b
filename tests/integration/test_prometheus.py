"""Prometheus itself scrapes a real server, is asked about it, and finds our rules in order."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from facewire.client import FaceClient
from tests.integration.conftest import Kit
from tests.support.server_process import ROOT, serving_process
from tests.support.waiting import eventually

RULES = ROOT / "deploy" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "facewire.json"
PATIENCE_S = 60


def program(name: str) -> str:
    """Where a program of Debian's package prometheus is; skips without it, or fails where it must be there."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (apt-get install prometheus)"
        if os.environ.get("FACEWIRE_REQUIRE_PROMETHEUS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


class Prometheus:
    """A running Prometheus, to be asked in its own language."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        try:
            return self.ask("up") != []
        except OSError:
            return False

    def ask(self, query: str) -> list[tuple[dict[str, str], float]]:
        """The labels and values of an instant query."""
        words = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self._address}/api/v1/query?{words}", timeout=PATIENCE_S) as answer:
            result = json.load(answer)["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in result]

    def value(self, query: str) -> float | None:
        """The only value of a query, or None."""
        answers = self.ask(query)
        return answers[0][1] if len(answers) == 1 else None

    def rules(self) -> list[dict[str, str]]:
        """The rules that it evaluates."""
        with urllib.request.urlopen(f"{self._address}/api/v1/rules", timeout=PATIENCE_S) as answer:
            return [rule for group in json.load(answer)["data"]["groups"] for rule in group["rules"]]


@contextmanager
def prometheus(room: Path, scraped: int) -> Iterator[Prometheus]:
    """Prometheus, with our configuration's rules, scraping a port of this machine."""
    port = free_port()
    (room / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{RULES}]\n"
        f"scrape_configs: [{{job_name: facewire, static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]}}]\n"
    )
    command = [
        program("prometheus"), f"--config.file={room}/prometheus.yml", f"--storage.tsdb.path={room}/data",
        f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            running = Prometheus(port)
            assert eventually(running.ready), "Prometheus does not start"
            yield running
        finally:
            process.terminate()


@pytest.mark.slow
def test_prometheus_scrapes_a_server_and_is_asked(best_kit: Kit, tmp_path: Path) -> None:
    program("prometheus")
    port = free_port()
    picture = next(iter(best_kit.probes.values()))
    with serving_process(*best_kit.args, "--metrics-port", str(port), env=best_kit.env) as server:
        with FaceClient(*server.address, timeout=PATIENCE_S) as client:
            for _ in range(3):
                client.identify(picture)
        with prometheus(tmp_path, port) as asked:
            assert eventually(lambda: asked.value('facewire_requests_total{op="identify",outcome="ok"}') == 3)
            assert asked.value("facewire_people") == len(best_kit.probes)
            steps = {labels["step"] for labels, count in asked.ask("facewire_step_seconds_count") if count}
            assert steps == {"queue", "decode", "detect", "embed", "search"}
            assert asked.value("facewire_batch_faces_sum") is not None
            (build,) = asked.ask("facewire_build_info")
            assert build[0]["model"] in ("Facenet512", "Dlib")
            median = "histogram_quantile(0.5, sum by (le) (facewire_request_seconds_bucket{op='identify'}))"
            assert 0 < (asked.value(median) or 0) < PATIENCE_S
            assert eventually(lambda: bool(asked.rules()) and all(rule["health"] == "ok" for rule in asked.rules()))
            for query in dashboard_queries():
                asked.ask(query)  # raises HTTPError for one that Prometheus can't read
            server.stop()
            assert eventually(lambda: asked.value('up{job="facewire"}') == 0)


def dashboard_queries() -> list[str]:
    """Every query of the dashboard, with Grafana's own variable filled in."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"].replace("$__rate_interval", "5m") for panel in panels for target in panel["targets"]]


def test_promtool_accepts_the_rules_and_their_tests() -> None:
    tool = program("promtool")
    subprocess.run([tool, "check", "rules", RULES], check=True, capture_output=True)
    subprocess.run([tool, "test", "rules", RULES.with_name("alerts_test.yml")], check=True, capture_output=True)
    subprocess.run([tool, "check", "config", "--syntax-only", ROOT / "deploy" / "prometheus.yml"], check=True)


def test_the_dashboard_and_the_rules_ask_for_metrics_that_there_are() -> None:
    source = (ROOT / "server" / "metrics.py").read_text()
    said = "\n".join([*dashboard_queries(), RULES.read_text()])
    asked = {word for word in said.replace("(", " ").replace("{", " ").replace("[", " ").split() if "facewire_" in word}
    names = {name.strip('")') for name in asked if name.startswith("facewire_")}
    for name in names:
        stem = name.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum").removesuffix("_total")
        assert f'"{stem}"' in source, name
