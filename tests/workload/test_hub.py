"""A model from the Hub: the real client of huggingface_hub, against a hub of our own on loopback."""

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

REPO = "mlxtop/tiny"
SHA = "0" * 40


class _Hub(BaseHTTPRequestHandler):
    """As much of the Hub as `snapshot_download` asks for: one repository, its files."""

    folder: Path

    def log_message(self, *_args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0].strip("/")
        files = sorted(p.name for p in self.folder.iterdir())
        if path.startswith(f"api/models/{REPO}/tree"):
            tree = [
                {"type": "file", "path": n, "size": len(self._bytes(n)), "oid": self._tag(n)} for n in files
            ]
            self._answer(json.dumps(tree).encode(), kind="application/json")
        elif path.startswith(f"api/models/{REPO}"):
            siblings = [{"rfilename": name} for name in files]
            body = {"id": REPO, "sha": SHA, "siblings": siblings, "private": False, "tags": []}
            self._answer(json.dumps(body).encode(), kind="application/json")
        elif path.startswith(f"{REPO}/resolve/") and path.rsplit("/", 1)[1] in files:
            name = path.rsplit("/", 1)[1]
            self._answer(self._bytes(name), {"ETag": f'"{self._tag(name)}"', "X-Repo-Commit": SHA})
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def _tag(self, name: str) -> str:
        return hashlib.sha1(self._bytes(name)).hexdigest()

    def _answer(
        self, body: bytes, headers: dict[str, str] | None = None, kind: str = "application/octet-stream"
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@pytest.fixture
def hub(checkpoint: Path) -> Iterator[str]:
    handler = type("Hub", (_Hub,), {"folder": checkpoint})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(model: str, endpoint: str, home: Path) -> tuple[list[dict[str, object]], str, int]:
    environ = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HOME": str(home), "PATH": "/usr/bin:/bin"}
    command = [
        sys.executable,
        "-m",
        "mlxtop",
        "--json",
        "--model",
        model,
        "--prompt",
        "hello",
        "--max-tokens",
        "4",
    ]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr, done.returncode


def test_a_repository_is_downloaded_with_progress_and_runs(hub: str, tmp_path: Path) -> None:
    lines, errors, code = run(REPO, hub, tmp_path)
    assert code == 0, errors
    phases = [line["phase"] for line in lines if line.get("kind") == "phase"]
    assert phases[:3] == ["load", "load", "download"]
    assert phases[3:6] == ["load", "prefill", "decode"]
    progress = [
        (line["done"], line["total"])
        for line in lines
        if line.get("kind") == "progress" and line["phase"] == "download"
    ]
    assert progress
    assert all(0 < done <= total for done, total in progress)


def test_no_such_repository(hub: str, tmp_path: Path) -> None:
    _, errors, code = run("mlxtop/nothing", hub, tmp_path)
    assert code == 1
    assert (
        "mlxtop: Could not load mlxtop/nothing: no such directory, and no such repository on the Hub"
        in errors
    )


def test_no_network(tmp_path: Path) -> None:
    _, errors, code = run(REPO, "http://127.0.0.1:9", tmp_path)
    assert code == 1
    assert "the Hub cannot be reached" in errors
    assert "Traceback" not in errors
