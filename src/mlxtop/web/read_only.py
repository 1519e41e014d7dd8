"""Sessions that can be looked at and not be changed."""

from collections.abc import Callable, Collection, Sequence
from typing import cast

from mlxtop.core.commands import Command, SetControl, new_id
from mlxtop.core.transcript import Transcript
from mlxtop.sessions.session import Capability, Fleet, Member, Session, UnattachedProcess

SILENT = (SetControl,)
"""What a screen asks for by itself: no person is told that it is refused."""
Refuse = Callable[[], None]


class ReadOnlySession:
    """A session whose data can be read. It carries out no command: `refuse` is called instead."""

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, session: Session, refuse: Refuse) -> None:
        self._session = session
        self._refuse = refuse

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)

    def submit(self, command: Command) -> int:
        """Refuses. See `Session.submit`."""
        if not isinstance(command, SILENT):
            self._refuse()
        return new_id()


class ReadOnlyFleet:
    """A fleet whose members can be looked at and not be changed, and whose program cannot be typed into."""

    send_input: Callable[[str], None] | None = None

    def __init__(self, fleet: Fleet, refuse: Refuse) -> None:
        self._fleet = fleet
        self._refuse = refuse
        self._members: dict[Member, Member] = {}
        self.title = fleet.title
        self.transcript: Transcript | None = fleet.transcript

    def members(self) -> Sequence[Member]:
        members = self._fleet.members()
        # It says how the hosts of a fleet are.
        self.title = self._fleet.title
        # Each has one wrapper as long as it is a member: screens compare them by identity.
        self._members = {one: self._members.get(one) or read_only(one, self._refuse) for one in members}
        return list(self._members.values())

    def unattached(self) -> Sequence[UnattachedProcess]:
        return self._fleet.unattached()

    def status(self) -> str:
        return self._fleet.status()

    def trouble(self) -> str:
        return self._fleet.trouble()

    def look_at(self, pids: Collection[int]) -> None:
        self._fleet.look_at(pids)


def read_only(session: Session, refuse: Refuse) -> Member:
    """A view of `session` that carries out no command."""
    return cast(Member, ReadOnlySession(session, refuse))
