"""Which of the screens that lie on one another a person sees."""

from typing import Any

from textual.screen import ModalScreen, Screen


def is_seen(screen: Screen[Any]) -> bool:
    """Whether nothing but dialogs lies over `screen`.

    Textual's `is_current` holds for the screen under any other too, and what is painted there has the one
    above painted anew.
    """
    stack = screen.app.screen_stack
    return screen in stack and all(isinstance(one, ModalScreen) for one in stack[stack.index(screen) + 1 :])
