"""A screen that draws text of its own in the theme's colours."""

from rich.color import Color
from rich.style import Style
from textual.color import Color as TextualColor
from textual.screen import Screen

from mlxtop.tui.theme import RGB


class ColouredScreen(Screen[None]):
    """`colour_style` and `rgb` know the colours of `tui/theme.py` by their names."""

    def colour_style(self, name: str) -> Style:
        """Text in that colour; `title` is bold."""
        variable = {"title": "label"}.get(name, name)
        colour = TextualColor.parse(self.app.theme_variables[variable]).rich_color
        return Style(color=colour, bold=name == "title")

    def rgb(self, name: str) -> RGB:
        """A colour as three numbers to 255. `background` is the screen's."""
        colour = self.styles.background.rich_color if name == "background" else self.colour_style(name).color
        triplet = (colour or Color.default()).get_truecolor()
        return triplet.red, triplet.green, triplet.blue
