"""Parses the terminal's input into keys, mouse events and pasted text. Drops everything else.

Textual's own parser turns an unknown control sequence into the keys of its letters, and raises on some
(`ESC[97;1:3u`). Its thread decodes strictly. A late answer of the terminal would thus change a limit, and one
byte that is not UTF-8 would end mlxtop.

The forms of sequences are those of ECMA-48, 5.4 and 5.6, and of xterm's ctlseqs. A sequence that Textual's
parser does not know is dropped as a whole.
"""

import os
import re
import selectors
from codecs import getincrementaldecoder
from collections.abc import Callable, Generator
from threading import Event

from textual import constants, events
from textual.message import Message

from mlxtop.tui.textual_compat import (
    ANSI_SEQUENCES_KEYS,
    BRACKETED_PASTE_END,
    BRACKETED_PASTE_START,
    ParseEOF,
    ParseTimeout,
    Peek1,
    Read1,
    TokenCallback,
    XTermParser,
)

ESC = "\x1b"
PATIENCE = 1.0
"""Seconds to wait for the rest of a control sequence. A key arrives at once."""
LONGEST = 32
"""Longest sequence that may be a key, in characters: Textual splits longer ones."""
MOST_CELLS = 5_000
"""Most columns or rows of a terminal. A larger size is an error; drawing it would need too much memory."""
LOOK_EVERY = 0.1
"""Seconds between two checks whether an escape stands alone, or the screen is closed."""
READ_MOST = 4_096
"""Most bytes per read."""

_CSI_OF_ONE_BYTE = {"\x9b": f"{ESC}[", "\udc9b": f"{ESC}["}
"""The control sequence introducer as one character, in UTF-8 or as a raw byte."""
_X10 = f"{ESC}[M"
"""The old mouse protocol: three bytes follow, which are numbers, not text."""
# In this order: a key with Alt, CSI, F1 to F5 of Linux's console, SS3, and a string that ends in BEL or ST.
_WHOLE = re.compile(
    r"\x1b(?:[^\x1b\[OPX\]^_]|\[(?!\[|M)[0-?]*[ -/]*[@-~]|\[\[[ -~]|O[\d;]*[@-~]"
    r"|[PX\]^_][^\x00-\x1f]*(?:\x07|\x1b\\))",
)
_PART = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\[\[|O[\d;]*|[PX\]^_][^\x00-\x1f]*\x1b?)?")

Steps = Generator[Read1 | Peek1, str, None]


class KeyboardParser(XTermParser):
    """Passes only keys and complete sequences to Textual's parser. Invalid UTF-8 arrives as surrogates."""

    def parse(self, token_callback: TokenCallback[Message]) -> Steps:
        self._tell = token_callback
        self._pasted: list[str] | None = None
        self._begin()
        held = ""
        while True:
            try:
                character = yield self.read1(None if self._pasted is not None else _patience(held))
            except ParseTimeout:
                self._break_off(held)
                held = ""
            except ParseEOF:
                self._break_off(held)
                return
            else:
                held = self._take(held, character)

    def _begin(self) -> None:
        self._found: list[Message] = []
        self._textual = super().parse(self._found.append)
        next(self._textual)

    def _take(self, held: str, character: str) -> str:
        """Handles the next character. Returns the incomplete sequence that is held back."""
        if self._pasted is not None:
            self._paste(self._pasted, character)
            return ""
        longer = held + _CSI_OF_ONE_BYTE.get(character, character)
        if _is_part(longer):
            return _shortened(longer)
        if longer[0] != ESC or _is_whole(longer):
            self._understand(longer)
            return ""
        self._break_off(held)
        # An escape inside a string that does not end it begins a sequence of its own.
        return self._take(ESC if held[1:].endswith(ESC) else "", character)

    def _break_off(self, held: str) -> None:
        """Handles an incomplete sequence after the wait: a key such as Escape, or a cut answer to drop."""
        if 0 < len(held) < 3 or held in ANSI_SEQUENCES_KEYS:
            self._understand(held)

    def _paste(self, pasted: list[str], character: str) -> None:
        # Textual would take escapes inside pasted text for keys.
        pasted.append(character)
        if character == "~" and "".join(pasted[-len(BRACKETED_PASTE_END) :]) == BRACKETED_PASTE_END:
            self._pasted = None
            text = "".join(pasted[: -len(BRACKETED_PASTE_END)]).replace("\x00", "")
            self._tell(events.Paste(text.encode(errors="surrogateescape").decode(errors="replace")))

    def _understand(self, sequence: str) -> None:
        """Lets Textual parse a character or a complete sequence."""
        if sequence == BRACKETED_PASTE_START:
            self._pasted = []
        elif len(sequence) <= LONGEST and not any(map(_is_no_character, sequence)):
            try:
                if self._is_known(sequence):
                    for message in filter(_plausible, self._found):
                        self._tell(_with_alt(message) if len(sequence) == 2 else message)
                    self._found.clear()
                    return
            except Exception:
                # Textual cannot handle its numbers: it is not a key.
                pass
            self._begin()

    def _is_known(self, sequence: str) -> bool:
        """Whether Textual's parser knows the complete sequence. Its messages are then in `_found`."""
        for character in sequence[:-1]:
            if self._textual.send(character).timeout is None:
                return False
        if self._textual.send(sequence[-1]).timeout is not None:
            if len(sequence) > 2:
                return False
            # The escape key, or a key with Alt: it is complete.
            self._textual.throw(ParseTimeout())
        return True


def _is_whole(sequence: str) -> bool:
    if sequence.startswith(_X10):
        return len(sequence[3:].encode(errors="surrogateescape")) >= 3
    return _WHOLE.fullmatch(sequence) is not None


def _is_part(sequence: str) -> bool:
    if sequence.startswith(_X10):
        return not _is_whole(sequence) and min(sequence[3:], default=" ") >= " "
    return _PART.fullmatch(sequence) is not None


def _shortened(part: str) -> str:
    """The part of an incomplete sequence that decides how it continues."""
    if part[1:2] in ("P", "X", "]", "^", "_") and len(part) > 3:
        return part[:2] + part[-2:]
    return part if len(part) <= LONGEST else part[:LONGEST] + part[-1]


def _patience(held: str) -> float | None:
    """Seconds to wait for the next character; `None` (no limit) if nothing is held."""
    if not held:
        return None
    return constants.ESCAPE_DELAY if held == ESC or held in ANSI_SEQUENCES_KEYS else PATIENCE


def _is_no_character(character: str) -> bool:
    return "\x80" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"


def _with_alt(message: Message) -> Message:
    """Adds Alt to a key's name: Textual does so for letters, but not for other characters."""
    if isinstance(message, events.Key) and message.is_printable and "alt+" not in message.key:
        return events.Key(f"alt+{message.key}", message.character)
    return message


def _plausible(message: Message) -> bool:
    if not isinstance(message, events.Resize):
        return True
    sizes = [message.size] if message.pixel_size is None else [message.size, message.pixel_size]
    return max(message.size) <= MOST_CELLS and all(min(size) > 0 for size in sizes)


def read_keyboard(fd: int, tell: Callable[[Message], None], left: Event) -> None:
    """Reads the terminal `fd` until `left` is set. Raises `OSError` when it cannot be read."""
    parser = KeyboardParser()
    decode = getincrementaldecoder("utf-8")("surrogateescape").decode
    # `select`, because kqueue and poll of macOS do not support terminals.
    with selectors.SelectSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while not left.is_set():
            if selector.select(LOOK_EVERY):
                data = os.read(fd, READ_MOST)
                if not data:
                    raise OSError("it has come to its end")
                if text := decode(data):
                    for message in parser.feed(text):
                        tell(message)
            for message in parser.tick():
                tell(message)
