"""The fleet of one program that was started here: its processes, what it prints, and how it ends."""

from collections.abc import Callable
from typing import Any

from mlxtop.agent import place
from mlxtop.core.transcript import Transcript
from mlxtop.session.fleet import AgentFleet
from mlxtop.session.program import Program
from mlxtop.session.remote import RemoteSession, command


class RunFleet(AgentFleet):
    """All processes of `program` that use MLX."""

    def __init__(self, program: Program, joined: Callable[[RemoteSession], None] | None = None) -> None:
        super().__init__(
            command(program.argv),
            lambda: list(place.addresses(program.run)),
            transcript=Transcript() if program.log is not None else None,
            joined=joined,
        )
        self.program = program
        self._told = False
        if program.output is None and program.log is not None:
            self.log(f"the program's output goes to {program.log} and is not shown here")

    def session(self, hello: dict[str, Any], send: Callable[[bytes], None]) -> RemoteSession:
        say = self.say if self.program.listens else None
        return RemoteSession(hello, send, self.transcript, say, self._own_memory)

    def say(self, text: str) -> None:
        if self.transcript is not None:
            self.transcript.write("prompt", text)
        self.program.say(text)

    def log(self, text: str) -> None:
        """Something of ours has a line to say."""
        if self.transcript is not None:
            self.transcript.write("log", text)

    def look_for_new(self) -> None:
        super().look_for_new()
        self._hear_words()

    def _hear_words(self) -> None:
        for pid, word in place.words(self.program.run):
            self.problem = f"Process {pid}: {word}"

    def look(self) -> None:
        ended = self.program.code is not None
        if self.transcript is not None and self.program.output is not None:
            self.program.output.look(self.transcript)
        if ended and not self._told:
            self._told = True
            # What its agents said last.
            self._hear_words()
            self.log(f"the program {self.program.how()}")
            self.changed.set()

    def news(self) -> str:
        if self.program.code is not None:
            never = "" if self.members() or self.problem else "; mlxtop saw no MLX in it"
            return f"{self.title} {self.program.how()}{never}"
        if self.problem:
            return self.problem
        if not self.members():
            return f"{self.title} runs (process {self.program.pid}); it has not used MLX yet"
        return f"{self.title} runs (process {self.program.pid})"

    def how_it_ended(self, session: RemoteSession) -> str:
        # After its last word an interpreter may take a while to end.
        if session.pid == self.program.pid and self.program.wait(3.0):
            return f"the program {self.program.how()}"
        return super().how_it_ended(session)
