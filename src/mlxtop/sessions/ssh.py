"""The system's own ssh: where it goes, what it is told, and what its complaints mean."""

import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM
from typing import NamedTuple

from mlxtop.core.errors import UsageError
from mlxtop.core.text import one_line, shortened

CONNECT_WITHIN, ANSWER_WITHIN, END_WITHIN = 20.0, 15.0, 0.5
MOST, LAST = 2**18, 2**14
"""Bytes of the longest answer, and of ssh's complaints that are read."""
_URL = re.compile(
    r"ssh://(?:(?P<user>[\w.+-]+)@)?(?P<host>[\w.-]+|\[[\w.:%]+\])(?::(?P<port>\d{1,5}))?/?", re.A
)
_ALIAS = re.compile(r"(?:[\w.+-]+@)?(?P<host>[\w.-]+)", re.A)
_SOCKET = re.compile(r"/[\w./+,@~-]*/\d+(?:-[\w-]{1,16})?\.sock", re.A)

OPTIONS = (
    "-T", "-a", "-x",
    # Never asks for anything, and never believes a host that is not known.
    "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
    "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3",
    # What the configuration may have for a person's own use of this host.
    "-o", "ClearAllForwardings=yes", "-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no",
    "-o", "LogLevel=INFO", "-o", "ControlMaster=yes", "-o", "ControlPersist=no",
)  # fmt: skip
UNTIL_IT_ENDS = '"$@"; code=$?; rm -rf -- "$0"; exit $code'
"""For `sh -c`: runs ssh, then removes its folder, also when mlxtop has been killed."""
READY, DONE = b"mlxtop: ready", b"mlxtop: done"
LIST = f"""\
exec 2>/dev/null
user=$(id -u) temporary=${{TMPDIR:-$(getconf DARWIN_USER_TEMP_DIR || echo /tmp)}}
echo '{READY.decode()}'
while read -r _; do
  for folder in "$MLXTOP_SOCKETS" "${{XDG_RUNTIME_DIR:-/run/user/$user}}/mlxtop" \\
    "${{temporary%/}}/mlxtop-$user" "/tmp/mlxtop-$user"; do
    if [ -d "$folder" ] && [ -O "$folder" ] && [ ! -L "$folder" ]; then
      for socket in "$folder"/*.sock; do [ -S "$socket" ] && echo "$socket"; done
    fi
  done
  echo '{DONE.decode()}'
done
exit
"""
"""For the shell on the host: answers each line with the paths of the agents' sockets, by what the shell has
built in. The folders are those of `ipc.sockets.folders`. It ends when mlxtop does."""


class Destination(NamedTuple):
    """A host as ssh is told of it, and as it is called on the screen."""

    text: str
    name: str


class LostError(Exception):
    """No connection to a host. `final`: another attempt would end as this one did, and might do harm."""

    def __init__(self, why: str, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


def parse_destination(text: str) -> Destination:
    """`ssh://[user@]host[:port]`, or `[user@]host` as ssh itself takes it. Raises `UsageError`."""
    found = _URL.fullmatch(text) or _ALIAS.fullmatch(text)
    if found is None or text.startswith("-") or found["host"].startswith("-"):
        if re.match(r"ssh://[^@/]*:[^@/]*@", text):
            raise UsageError("ssh:// takes no password here: mlxtop connects by keys only.")
        shown = one_line(shortened(text))
        raise UsageError(
            f"'{shown}' is not a host: write ssh://[user@]host[:port], or a host of ~/.ssh/config."
        )
    port = found.groupdict().get("port")
    return Destination(text, found["host"] + (f":{port}" if port else ""))


def is_taken(path: str) -> bool:
    """Whether ssh takes the path of a socket as it is: it expands `%` and `$`, and a colon ends one."""
    return _SOCKET.fullmatch(path) is not None


def check() -> None:
    """Raises `UsageError` where there is no ssh."""
    if shutil.which("ssh") is None:
        raise UsageError("--host needs the command ssh: install OpenSSH's client.")


class Tunnel:
    """A connection to a host. Its files are in `folder`, which is made, and is gone once ssh has ended."""

    def __init__(self, to: Destination, folder: Path) -> None:
        self._to, self._folder = to, folder
        self._control = folder / "c"
        # Of no name, so that it can still be read when the folder is gone.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the rest
        self._inbox = b""
        self._is_open = False
        folder.mkdir(mode=0o700, parents=True)
        command = ["ssh", *OPTIONS, "-S", str(self._control), "--", to.text, "exec sh"]
        self._process = subprocess.Popen(
            ["sh", "-c", UNTIL_IT_ENDS, str(folder), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            # Ctrl-C is for mlxtop, and there is no terminal to ask on.
            start_new_session=True,
            bufsize=0,
        )

    def open(self) -> None:
        """Waits until the host is ready. Raises `LostError`."""
        self._send(LIST.encode())
        self._read_until(READY, CONNECT_WITHIN)
        self._is_open = True

    def sockets(self) -> list[str]:
        """The paths of the agents' sockets on the host. Raises `LostError`."""
        self._send(b"\n")
        lines = [line.decode("utf-8", "replace") for line in self._read_until(DONE, ANSWER_WITHIN)]
        return list(dict.fromkeys(line for line in lines if is_taken(line)))

    def forward(self, pairs: Sequence[tuple[str, str]], cancel: bool = False) -> None:
        """Makes sockets of this machine (the first of a pair) lead to those of the host, or no longer."""
        # The configuration was read by the connection; here it would forward what a person wants forwarded.
        command = [
            "ssh",
            "-F",
            "/dev/null",
            "-S",
            str(self._control),
            "-O",
            "cancel" if cancel else "forward",
        ]
        for here, there in pairs:
            command += ["-L", f"{here}:{there}"]
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*command, "--", "host"], stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_WITHIN
            )

    def path(self, number: int) -> str:
        """Where a socket of this machine may be that leads to the host."""
        return str(self._folder / f"{number}.sock")

    def wait(self, seconds: float) -> None:
        """Waits; returns early when the connection ends."""
        self._readable(seconds)

    def hang_up(self) -> None:
        """Asks ssh to end. Does not wait. Any thread may call it."""
        with suppress(OSError, ValueError):
            self._process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        if not self._is_open:
            # While it connects it reads nothing.
            self._terminate()

    def _terminate(self) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, SIGTERM)

    def close(self) -> None:
        """Ends ssh and removes its folder."""
        self.hang_up()
        try:
            self._process.wait(END_WITHIN)
        except subprocess.TimeoutExpired:
            self._terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(END_WITHIN)
        self._process.stdout.close()  # type: ignore[union-attr]  # it is a pipe
        self._errors.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _send(self, data: bytes) -> None:
        try:
            self._process.stdin.write(data)  # type: ignore[union-attr]  # it is a pipe
        except (OSError, ValueError):
            raise self._lost() from None

    def _readable(self, seconds: float) -> bool:
        # Not `select.select`: with many sessions a descriptor is beyond what it takes.
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)  # type: ignore[arg-type]  # it is a pipe
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def _read_until(self, last: bytes, within: float) -> list[bytes]:
        """The lines before `last`. A shell's own start-up may print some before the first answer."""
        end = time.monotonic() + within
        while last + b"\n" not in self._inbox:
            if not self._readable(end - time.monotonic()):
                raise LostError(f"{self._to.name} does not answer")
            data = self._process.stdout.read(2**16)  # type: ignore[union-attr]  # it is a pipe
            if not data:
                raise self._lost()
            self._inbox += data
            if len(self._inbox) > MOST:
                raise LostError(f"{self._to.name} answers something else than mlxtop asked", final=True)
        answer, _, self._inbox = self._inbox.partition(last + b"\n")
        return answer.splitlines()

    def _lost(self) -> LostError:
        # It says why before it ends.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_WITHIN)
        return explain(self._to, self._complaints())

    def _complaints(self) -> str:
        """What ssh said last on standard error."""
        fd = self._errors.fileno()
        return os.pread(fd, LAST, max(0, os.fstat(fd).st_size - LAST)).decode("utf-8", "replace")


def explain(to: Destination, complaints: str) -> LostError:
    """Why ssh ended, in one sentence without its full stop, after what it said on standard error."""
    name, ssh = to.name, f"ssh {to.text}"
    if "IDENTIFICATION HAS CHANGED" in complaints:
        why = (
            f"The key of {name} is not the one in known_hosts: find out why. Once you trust it, remove the "
            "old key with ssh-keygen -R, and start mlxtop again"
        )
        return LostError(why, final=True)
    if "Host key verification failed" in complaints or "host key is known" in complaints:
        why = f"The key of {name} is not known: run '{ssh}' once, compare the key and accept it there"
        return LostError(why)
    if "Permission denied" in complaints or "Too many authentication failures" in complaints:
        why = (
            f"{name} took none of your keys, and mlxtop asks for no password: make '{ssh}' work without one "
            "(ssh-copy-id, ssh-add), and start mlxtop again"
        )
        return LostError(why, final=True)
    said = [line for line in map(str.strip, complaints.splitlines()) if line]
    last = one_line(shortened(said[-1].rstrip("."), 160)) if said else "it was closed"
    return LostError(f"No connection to {name}: {last}")
