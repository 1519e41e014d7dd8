"""The input line for the next prompt."""

from mlxtop.core.text import block
from mlxtop.tui.textual_compat import PastingInput

LINE_END = "⏎"


class PromptLine(PastingInput):
    """An input line that also holds pasted text of several lines. A line end is shown as ⏎.

    Control characters are removed.
    """

    def pasted(self, text: str) -> str:
        return block(text.rstrip("\r\n")).replace("\n", LINE_END)

    @property
    def text(self) -> str:
        """The prompt with its line ends."""
        return self.value.replace(LINE_END, "\n")
