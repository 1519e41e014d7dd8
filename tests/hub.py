"""A hub on loopback, for the real client of huggingface_hub."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPO = "mlxtop/tiny"
SHA = "0" * 40


class _Hub(BaseHTTPRequestHandler):
    """As much of the Hub as `snapshot_download` asks for: one repository, its files."""

    folder: Path
    served: list[str]

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
            self.served.append(name)
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


@contextmanager
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serves `folder` as the repository `REPO`: its address, and the files asked for as they come."""
    served: list[str] = []
    handler = type("Hub", (_Hub,), {"folder": folder, "served": served})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", served
    finally:
        server.shutdown()
        server.server_close()
