"""The line to type the next prompt in."""

from mlxtop.core.text import block
from mlxtop.tui.textual_compat import PastingInput

LINE_END = "⏎"


class PromptLine(PastingInput):
    """One line that holds many: a pasted line end shows as ⏎ and is one again in `text`.

    Nothing that a terminal would obey gets in.
    """

    def pasted(self, text: str) -> str:
        return block(text.rstrip("\r\n")).replace("\n", LINE_END)

    @property
    def text(self) -> str:
        """The prompt, its line ends restored."""
        return self.value.replace(LINE_END, "\n")
