"""The fleet of a program that `mlxtop run` started: its processes, its output, and how it ended."""

from collections.abc import Callable

from mlxtop.core.text import one_line
from mlxtop.core.transcript import Transcript
from mlxtop.ipc import sockets
from mlxtop.ipc.sockets import Address
from mlxtop.sessions import peer
from mlxtop.sessions.agent_client import LOOK_EVERY, AgentClient, Connection, remove_stale
from mlxtop.sessions.death import Death
from mlxtop.sessions.messages import Hello
from mlxtop.sessions.program import Program
from mlxtop.sessions.remote import RemoteSession, command

WRAPPER_WITHIN = 1.0
"""Seconds to wait for the end of a program whose only process that uses MLX has ended."""


class RunFleet(AgentClient):
    """The sessions of all processes of `program` that use MLX."""

    def __init__(
        self,
        program: Program,
        joined: Callable[[RemoteSession], None] | None = None,
        died: Callable[[RemoteSession], None] | None = None,
        look_every: float = LOOK_EVERY,
    ) -> None:
        sockets.remove_stale()
        self.program = program
        self._had_socket = False
        """Whether a socket of this run was ever seen."""
        self._unseen: str | None = None
        super().__init__(
            command(program.argv),
            self._addresses,
            transcript=Transcript() if program.log is not None else None,
            joined=joined,
            died=died,
            look_every=look_every,
        )
        self.send_input = self._type if program.listens else None
        self._reported = False
        if program.output is None and program.log is not None:
            self.log(f"the program's output goes to {program.log} and is not shown here")

    def session(self, hello: Hello, send: Callable[[bytes], None], connection: Connection) -> RemoteSession:
        process = peer.process(connection.socket, hello.pid)
        return RemoteSession(hello, send, self.transcript, self.send_input, self._own_memory, process=process)

    def _type(self, text: str) -> None:
        if self.transcript is not None:
            self.transcript.write("prompt", text)
        self.program.send_input(text)

    def log(self, text: str) -> None:
        """Adds a message of mlxtop's to the transcript."""
        if self.transcript is not None:
            self.transcript.write("log", text)

    def _addresses(self) -> list[Address]:
        found = list(sockets.addresses(self.program.run))
        self._had_socket = self._had_socket or bool(found)
        return found

    def unseen(self) -> str:
        """Why no MLX memory was seen in a program that has ended, as far as known."""
        if self._unseen is None:
            self._unseen = self._why_unseen()
        return self._unseen

    def _why_unseen(self) -> str:
        started = sockets.was_started(self.program.run)
        if self.program.sockets is None:
            return "mlxtop could not watch it: it found no private folder for its sockets"
        if any(member.history.latest is None for member in self._members):
            return "it imported MLX and was over before mlxtop could read its memory"
        if self._members:
            return "it imported MLX but allocated no memory with it"
        if self._addresses() or self._had_socket:
            return "it imported MLX and was killed before mlxtop could connect"
        if started:
            return "it did not use MLX as far as mlxtop could see"
        return "it started no Python that mlxtop can watch"

    def find_agents(self) -> None:
        super().find_agents()
        self._read_messages()

    def _read_messages(self) -> None:
        for pid, message in sockets.left_messages(self.program.run):
            self.problem = f"Process {pid}: {one_line(message)}"

    def poll(self) -> None:
        ended = self.program.code is not None
        self._read_output()
        if ended and not self._reported:
            self._reported = True
            # The last messages of its agents.
            self._read_messages()
            self.log(f"the program {self.program.how()}")
            self.changed.set()

    def _read_output(self) -> None:
        if self.transcript is not None and self.program.output is not None:
            self.program.output.poll(self.transcript)

    def status(self) -> str:
        if self.program.code is not None:
            never = "" if self.members() or self.problem else f"; {self.unseen()}"
            return f"{self.title} {self.program.how()}{never}"
        if self.problem:
            return self.problem
        if not self.members():
            return f"{self.title} is running (process {self.program.pid}) and has not used MLX yet"
        return f"{self.title} is running (process {self.program.pid})"

    def _close(self) -> None:
        super()._close()
        # A killed process leaves its socket behind.
        if self.program.code is not None:
            for address in self._addresses():
                if not sockets.listens(address):
                    remove_stale(address)

    def _examine(self, session: RemoteSession, how: str) -> Death | None:
        death = None if self.program.told_to_end else super()._examine(session, how)
        # A parent ends its workers as it likes: that one ended without notice is no death.
        child = session.pid != self.program.pid
        return None if child and death is not None and death.cause.kind == "unknown" else death

    def exit_status(self, session: RemoteSession) -> int | None:
        if session.pid == self.program.pid:
            return self.program.code
        # A shell, or `uv run`, ends as the one program that it runs.
        return self.program.code if len(self._members) == 1 and self.program.wait(WRAPPER_WITHIN) else None

    def last_lines(self, session: RemoteSession) -> tuple[str, ...]:
        if self.program.errors is not None:
            return self.program.errors.lines()
        self._read_output()
        return super().last_lines(session)

    def how_it_ended(self, session: RemoteSession) -> str:
        # After its last message an interpreter may take a while to end.
        if session.pid == self.program.pid and self.program.wait(3.0):
            return f"the program {self.program.how()}"
        return super().how_it_ended(session)
