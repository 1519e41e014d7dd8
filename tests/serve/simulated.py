"""Sessions as agents' messages make them, without a process."""

from mlxtop.core.event import Event
from mlxtop.core.events import EventData
from mlxtop.core.facts import Facts
from mlxtop.core.sample import UNKNOWN, Sample
from mlxtop.ipc import protocol
from mlxtop.serve.watch import Watched
from mlxtop.sessions.messages import FactsMessage, Hello, InitialLimit, Message, Phases, Samples
from mlxtop.sessions.remote import RemoteSession

LATER = 1e6
"""Seconds after the session was met, by the agent's clock."""
FACTS = Facts(device="Apple M3 Max", backend="Metal", mlx="0.32.4", resource_limit=499_000)
LIMITS = {
    "cache": InitialLimit(2**63 - 1, "MLX's default", 2**63 - 1),
    "memory": InitialLimit(2**34, "MLX's default", 2**34),
}


def sample(time: float, active: int = 1000, steps: int = 0, high: int = UNKNOWN, **more: int) -> Sample:
    """`time` is seconds after the session was met."""
    return Sample(LATER + time, active, 24, 2000, active + 24, steps=steps, high=high, **more)


def watched(argv: tuple[str, ...] = ("python", "train.py"), pid: int = 4242, **more: object) -> Watched:
    """One that was met just now: nothing is known of it."""
    hello = Hello(protocol.PROTOCOL, pid, argv, 1e9, 0.0, 0.1, None, None, None, "RSS", {})
    return Watched(RemoteSession(hello._replace(**more), lambda _: None))


def tell(one: Watched, *items: Message | Sample | EventData | tuple[float, EventData]) -> Watched:
    """Has its agent tell samples, events and other messages. An event's time is seconds after it was met."""
    for item in items:
        match item:
            case Sample():
                one.session.handle_message(Samples(0.0, (item,)))
            case Samples() | FactsMessage() | Phases():
                one.session.handle_message(item)
            case (float() as time, data):
                one.session.handle_message(Event(LATER + time, data))
            case data:
                one.session.handle_message(Event(LATER, data))  # type: ignore[arg-type]
    return one


def known(pid: int = 4242, argv: tuple[str, ...] = ("python", "train.py")) -> Watched:
    """One of which everything is known."""
    one = watched(argv, pid, rank=3)
    tell(one, FactsMessage(0.0, FACTS, LIMITS), sample(1.0, 1000, steps=1, footprint=5000, buffers=77))
    tell(one, sample(2.0, 1000, steps=3, high=2**20, footprint=5000, buffers=77))
    one.verdicts = frozenset(["steady"])
    return one
