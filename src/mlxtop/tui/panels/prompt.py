"""The line to type the next prompt in."""

from textual.events import Paste
from textual.widgets import Input

from mlxtop.core.text import block

LINE_END = "⏎"


class PromptLine(Input):
    """One line that holds many: a pasted line end shows as ⏎ and is one again in `text`.

    Nothing that a terminal would obey gets in.
    """

    def _on_paste(self, event: Paste) -> None:
        event.prevent_default()
        event.stop()
        self.insert_text_at_cursor(block(event.text.rstrip("\r\n")).replace("\n", LINE_END))

    @property
    def text(self) -> str:
        """The prompt, its line ends restored."""
        return self.value.replace(LINE_END, "\n")
