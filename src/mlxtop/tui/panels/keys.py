"""The last row: the most useful keys of the moment, as many as fit."""

from typing import NamedTuple

from textual.binding import Binding
from textual.events import Click
from textual.strip import Strip

from mlxtop.tui.frame import Frame
from mlxtop.tui.panel import Panel, Part

ALWAYS = ("help", "quit")
ROOMY = ("compare", "explain", "graph", "census", "budget")
"""Actions whose keys are shown where there is room."""
TYPING = (("enter", "enter", "send"), ("escape", "esc", "leave"), ("ctrl+c", "ctrl+c", "quit"))
"""The keys while a text field has the focus."""


class _Key(NamedTuple):
    """A key, how it is shown, and what it does."""

    key: str
    sign: str
    text: str

    @property
    def width(self) -> int:
        return len(self.sign) + 1 + len(self.text)


class Keys(Panel[Frame]):
    """Keys and what they do. A click on one presses it."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._places: list[tuple[int, str]] = []
        """Where each key ends, and its name."""
        self._drawn: tuple[object, Strip] | None = None
        """The row and what it depends on. It seldom changes, and finding keys takes as long as a chart."""

    def paint(self, frame: Frame, width: int, height: int) -> list[Strip]:
        playhead = frame.session.playhead
        playing = playhead is not None and playhead.playing
        looks = (width, self.style("text"), self.screen.focused is None, frame.session)
        state = (*looks, frame.state.phase, frame.view.paused, playing)
        if self._drawn is None or self._drawn[0] != state:
            self._drawn = state, self._row(frame, width)
        return [self._drawn[1]]

    def _row(self, frame: Frame, width: int) -> Strip:
        room = width - 2
        keys = self._keys(frame, room)
        gap = 2 if sum(key.width + 2 for key in keys) <= room + 2 else 1
        parts: list[Part] = [(" ", self.style("text"))]
        at, self._places = 1, []
        for key in keys:
            parts += [(key.sign, self.style("key")), (f" {key.text}{' ' * gap}", self.style("dim"))]
            at += key.width + gap
            self._places.append((at, key.key))
        return self.row(parts, width)

    def on_click(self, event: Click) -> None:
        for end, key in self._places:
            if event.x < end:
                self.app.simulate_key(key)
                return

    def _keys(self, frame: Frame, room: int) -> list[_Key]:
        """Those for which there is room, in the order of the bindings; the last to go are those that lead
        to all others."""
        if self.screen.focused is not None:
            return [_Key(*key) for key in TYPING]
        found: list[tuple[int, int, _Key]] = []
        for position, binding in enumerate(self._bindings_here()):
            action = binding.action.partition("(")[0]
            if binding.show or action in ROOMY:
                rank = 0 if action in ALWAYS else 2 if action in ROOMY else 1
                found.append((rank, position, _key(binding, _word(frame, action, binding))))
        kept: list[tuple[bool, int, _Key]] = []
        for rank, position, key in sorted(found):
            # Where there is room for more than the least, there is room for gaps of two.
            gap = 2 if rank == 2 else 1
            if sum(each.width + gap for _, _, each in kept) + key.width > room:
                break
            kept.append((rank == 0, position, key))
        return [key for _, _, key in sorted(kept)]

    def _bindings_here(self) -> list[Binding]:
        owners = (self.screen, self.app)
        return [
            b
            for owner in owners
            for b in owner.BINDINGS
            if isinstance(b, Binding) and owner.check_action(b.action.partition("(")[0], ()) is not False
        ]


def _key(binding: Binding, text: str) -> _Key:
    key = binding.key.partition(",")[0]
    return _Key(key, binding.key_display or key, text)


def _word(frame: Frame, action: str, binding: Binding) -> str:
    """What a key does now. Words that take turns are equally long: nothing beside them moves."""
    playhead = frame.session.playhead
    match action:
        case "start_stop":
            return {"idle": "start", "failed": "retry"}.get(frame.state.phase, "stop ")
        case "pause":
            return "go on" if frame.view.paused else "pause"
        case "play" if playhead is not None and playhead.playing:
            return "stop"
    return binding.description.lower()
