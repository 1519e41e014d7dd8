"""Hosts for tests: the system's own sshd behind ports of this machine, with keys and settings of its own.

sshd runs as whoever runs the tests, one for each connection, as inetd would start it.
"""

import os
import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")


class Keys:
    """A person's ssh: a key, a configuration, and the keys of the hosts that are known. `bin` comes first in
    PATH: it has the system's ssh, with that configuration in place of the person's."""

    def __init__(self, folder: Path) -> None:
        ssh = shutil.which("ssh")
        if ssh is None or SSHD is None:
            pytest.skip("OpenSSH's ssh or sshd is not installed")
        self.folder = folder
        for name in ("mine", "theirs"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        self.known, self.config, self.bin = folder / "known_hosts", folder / "config", folder / "bin"
        self.known.touch()
        self.bin.mkdir()
        (self.bin / "ssh").write_text(f'#!/bin/sh\nexec {ssh} -F {self.config} "$@"\n')
        (self.bin / "ssh").chmod(0o755)
        self._hosts: list[str] = []

    def add(self, name: str, port: int, known: bool = True) -> None:
        """Names a host in the configuration."""
        self._hosts.append(f"Host {name}\n  HostName 127.0.0.1\n  Port {port}\n")
        everywhere = f"""Host *
  IdentityFile {self.folder}/mine
  IdentitiesOnly yes
  IdentityAgent none
  UserKnownHostsFile {self.known}
  GlobalKnownHostsFile /dev/null
"""
        self.config.write_text("".join(self._hosts) + everywhere)
        if known:
            kind, key = (self.folder / "theirs.pub").read_text().split()[:2]
            with self.known.open("a") as file:
                file.write(f"[127.0.0.1]:{port} {kind} {key}\n")


class Sshd:
    """A host. Its programs have their sockets in `home`."""

    def __init__(self, keys: Keys, name: str, home: Path, known: bool = True, settings: str = "") -> None:
        self.name, self.home = name, home
        self._config = keys.folder / f"{name}.conf"
        authorized = keys.folder / f"{name}.authorized"
        shutil.copy(keys.folder / "mine.pub", authorized)
        self._config.write_text(f"""{settings}
HostKey {keys.folder}/theirs
AuthorizedKeysFile {authorized}
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv XDG_RUNTIME_DIR={home} TMPDIR={home}
""")
        self._children: list[subprocess.Popen[bytes]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        keys.add(name, self.port, known)
        self._listen()

    def _listen(self) -> None:
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                guest, _ = listener.accept()
                command = [str(SSHD), "-i", "-f", str(self._config), "-E", f"{self._config}.log"]
                with guest:
                    self._children.append(
                        subprocess.Popen(command, stdin=guest, stdout=guest, stderr=subprocess.DEVNULL)
                    )

    def go_down(self) -> None:
        """Ends all connections, and takes none any more."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for child in self._children:
            with suppress(psutil.NoSuchProcess):
                for process in (*psutil.Process(child.pid).children(recursive=True), child):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
            child.wait()

    def come_up(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listen()

    def log(self) -> str:
        path = Path(f"{self._config}.log")
        return path.read_text() if path.exists() else ""


def usable(keys: Keys, host: Sshd) -> None:
    """Skips the test where sshd cannot serve whoever runs the tests."""
    command = [
        keys.bin / "ssh",
        "-o",
        "BatchMode=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        host.name,
        "exit 7",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    if done.returncode != 7:
        pytest.skip(f"sshd does not run here: {done.stderr.strip()} {host.log()[-500:]}")


def path_with(keys: Keys) -> str:
    return f"{keys.bin}:{os.environ['PATH']}"
