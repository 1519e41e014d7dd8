"""`mlxtop serve` itself, over a real program: who may read, restarts, its end, the file, a real Prometheus."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlxtop.cli.serve import serve
from mlxtop.core.errors import UsageError
from tests.agent.program import MX, PATIENCE, Start, WatchedProgram, environment, starting, until
from tests.process import MLXTOP, ROOT, run
from tests.serve.scraper import Answer, ask, connect
from tests.serve.test_exposition import ACCEPT, Values, of, read

pytestmark = pytest.mark.usefixtures("processes")

CLEARS = """
for line in sys.stdin:
    for _ in range(int(line)):
        mx.clear_cache(); mx.eval(mx.ones(8) + 1); mx.set_cache_limit(2**20 + int(line))
    print("cleared", flush=True)
"""
"""Clears the cache as often as a line of its input says."""


def label_of(program: WatchedProgram) -> str:
    return f"python-{program.pid}"


class Served:
    """A real `mlxtop serve`; `port` is where it listens."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.process = subprocess.Popen(
            [*MLXTOP, "serve", "--every", "0.5", *options],
            cwd=ROOT,
            env=environment(home, run=None, XDG_STATE_HOME=str(home / "state")),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = self._line()
        self.port = int(self.said.partition("://127.0.0.1:")[2].partition("/")[0] or 0)

    def _line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    @property
    def file(self) -> Path:
        return self.home / "state" / "mlxtop" / "serve.token"

    def scrape(self, **fields: str) -> Answer:
        return ask(self.port, token=self.file.read_text(), **fields)

    def all(self) -> Values:
        """What Prometheus would read now; a scrape is asked for as often as it may be."""
        found = until(lambda: (answer := self.scrape(Accept=ACCEPT)).status == 200 and answer)
        return read(found.body)

    def values(self, program: WatchedProgram) -> Values:
        """Those of one program: others of this user may run meanwhile."""
        label = ("session", label_of(program))
        return {(name, has): value for (name, has), value in self.all().items() if label in has}

    def until(self, program: WatchedProgram, name: str, value: float, **labels: str) -> Values:
        """The values as soon as that one is so high."""
        return until(lambda: (v := self.values(program)) and of(v, name, **labels) == [value] and v)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def serving(home: Path, *options: str) -> Iterator[Served]:
    served = Served(home, *options)
    try:
        yield served
    finally:
        served.process.kill()
        served.process.communicate()


@pytest.fixture(scope="module")
def program() -> Iterator[WatchedProgram]:
    """One for all that only read."""
    with starting() as start:
        yield _program(start)


def _program(start: Start) -> WatchedProgram:
    found = start(MX + "print('up', flush=True)\n" + CLEARS)
    assert found.line() == "up"
    return found


def clear(program: WatchedProgram, times: int) -> None:
    program.say(str(times))
    assert program.line() == "cleared"


@pytest.fixture(scope="module")
def served(program: WatchedProgram) -> Iterator[Served]:
    with serving(program.home, "--listen", "127.0.0.1:0", "--budget", "1G") as found:
        yield found


def test_a_program_is_served(program: WatchedProgram, served: Served) -> None:
    found = served.until(program, "mlx_cache_clears_total", 0.0)
    assert of(found, "mlx_memory_active_bytes")[0] >= 2**18
    assert of(found, "mlx_memory_limit_bytes", limit="memory")[0] > 2**30
    served.until(program, "mlx_memory_budget_bytes", 2**30)
    assert of(found, "mlx_session_info", pid=str(program.pid), program="python", backend="CPU") == [1]
    served.until(program, "mlx_diagnosis", 1.0, verdict="not enough data")


AS_NOBODY = """
import encodings.idna, os, socket, sys, time
port, file, secret = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def ask(*fields):
    with socket.create_connection(("127.0.0.1", port), 60) as server:
        server.sendall("\\r\\n".join(["GET /metrics HTTP/1.1", "Host: localhost", *fields, "", ""]).encode())
        return server.recv(12).decode()
print(ask())
print(ask("Authorization: Bearer a-token-of-some-length"))
# Tests before may have asked too often.
while (answer := ask("Authorization: Bearer " + secret)).endswith("429"): time.sleep(0.1)
print(answer)
try: open(file)
except PermissionError: print("kept from it")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
def test_another_user_of_this_machine_reads_nothing(served: Served) -> None:
    secret = served.file.read_text()
    done = run(
        [sys.executable, "-c", AS_NOBODY, str(served.port), str(served.file), secret], timeout=PATIENCE
    )
    # With the token it could: it is the token that keeps it out.
    assert done.stdout.splitlines() == [*["HTTP/1.1 401"] * 2, "HTTP/1.1 200", "kept from it"], done.stderr
    assert secret not in Path(f"/proc/{served.process.pid}/cmdline").read_text()


def test_counters_go_on_over_restarts_of_both(processes: None, tmp_path: Path) -> None:
    with starting() as start:
        program = _program(start)
        with serving(program.home, "--listen", "127.0.0.1:0") as first:
            first.until(program, "mlx_cache_clears_total", 0.0)
            clear(program, 3)
            before = first.until(program, "mlx_cache_clears_total", 3.0)
            assert of(before, "mlx_limit_changes_total", source="program") == [3]
            assert first.end(signal.SIGINT) == 0
        clear(program, 2)
        with serving(program.home, "--listen", "127.0.0.1:0") as second:
            # What was counted before is not counted again: Prometheus adds what it reads now to what it has.
            # The agent may tell of the last two only now.
            again = until(lambda: second.values(program))
            assert of(again, "mlx_cache_clears_total")[0] <= 2
            assert of(again, "mlx_cache_clears_created") > of(before, "mlx_cache_clears_created")
            # The program counts its steps itself.
            assert of(again, "mlx_steps_total") == [of(before, "mlx_steps_total")[0] + 2]
            assert of(again, "mlx_steps_created") == of(before, "mlx_steps_created")
            clear(program, 4)
            clears = until(
                lambda: [n for n in of(second.values(program), "mlx_cache_clears_total") if n >= 4]
            )
            assert clears[0] <= 6
            program.end()
            second.until(_program(start), "mlx_cache_clears_total", 0.0)
            assert not second.values(program)
            assert second.end() == 0


def test_a_file_for_node_exporter(program: WatchedProgram, tmp_path: Path) -> None:
    with serving(program.home, "--textfile", str(tmp_path)) as found:
        file = tmp_path / "mlxtop.prom"
        assert f"writing {file}" in found.said
        assert of(read(file.read_bytes(), accept=""), "mlx_cache_clears_total") != []
        assert file.stat().st_mode & 0o777 == 0o644
        assert found.end() == 0
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "0.0.0.0:0"], "--allow-remote"),
        (["--listen", "0.0.0.0:0", "--allow-remote", "--no-token"], "a token or a --certificate is needed"),
        (["--no-token", "--token-file", "x"], "exclude each other"),
        (["--certificate", "/nowhere"], "No such file"),
        (["--key", "/nowhere"], "needs a --certificate"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(options: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)) as found:
        serve.main(options, standalone_mode=False)
    assert "\n" not in str(found.value)


@pytest.mark.skipif(not shutil.which("promtool"), reason="Prometheus is not on the PATH")
def test_promtool_finds_nothing_to_mend(served: Served) -> None:
    page = served.scrape().body
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.skipif(not shutil.which("prometheus"), reason="Prometheus is not on the PATH")
def test_a_real_prometheus_scrapes(program: WatchedProgram, served: Served, tmp_path: Path) -> None:
    with connect(served.port) as free:
        port = free.getsockname()[1]
    config = tmp_path / "prometheus.yml"
    config.write_text(
        f"""
scrape_configs:
  - job_name: mlx
    scrape_interval: 500ms
    scrape_timeout: 500ms
    authorization: {{credentials_file: {served.file}}}
    static_configs: [{{targets: ["127.0.0.1:{served.port}"]}}]
  - job_name: stranger
    scrape_interval: 500ms
    scrape_timeout: 500ms
    static_configs: [{{targets: ["127.0.0.1:{served.port}"]}}]
"""
    )
    prometheus = subprocess.Popen(
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path}", "--log.level=error",
         f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:

        def query(text: str) -> list[dict[str, Any]]:
            url = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.request.quote(text)}"
            try:
                with urllib.request.urlopen(url, timeout=PATIENCE) as found:
                    return json.load(found)["data"]["result"]
            except OSError:
                return []

        label = label_of(program)
        up = until(lambda: query('up{job="mlx"} == 1'))
        assert query('up{job="stranger"} == 1') == []
        assert up[0]["metric"]["instance"] == f"127.0.0.1:{served.port}"
        ours = f'{{session="{label}"}}'
        (active,) = until(lambda: query(f"mlx_memory_active_bytes{ours}"))
        assert float(active["value"][1]) >= 2**18
        clears = f"mlx_cache_clears_total{ours}"
        before = float(query(clears)[0]["value"][1])
        clear(program, 5)
        until(lambda: float(query(clears)[0]["value"][1]) == before + 5)
        assert query(f"resets({clears}[1m]) > 0") == []
        joined = f"mlx_memory_active_bytes{ours} * on (session) group_left (program) mlx_session_info"
        assert query(joined)[0]["metric"]["program"] == "python"
    finally:
        prometheus.kill()
        prometheus.wait()
