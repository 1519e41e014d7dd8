"""The two themes. Each colour has one meaning everywhere on the screen."""

from textual.theme import Theme

RGB = tuple[int, int, int]
"""Red, green and blue, to 255 each."""

_DARK = {
    "active": "#58a6ff",
    "cache": "#e3b341",
    "peak": "#f778ba",
    "speed": "#56d364",
    "buffers": "#d2a8ff",
    "weights": "#1f6feb",
    "kv": "#39c5cf",
    "other": "#79c0ff",
    "beyond": "#8b949e",
    "limit": "#ff7b72",
    "budget": "#f0883e",
    "alarm": "#ff4d4d",
    "pressure-normal": "#7ee787",
    "pressure-warning": "#ffdf5d",
    "pressure-critical": "#ff4d4d",
    "mark": "#f0f6fc",
    "run-a": "#bfa3ff",
    "run-b": "#c3e88d",
    "dim": "#848d97",
    "label": "#c9d1d9",
    "faint": "#30363d",
    "load": "#8b949e",
    "prefill": "#8957e5",
    "decode": "#2ea043",
    "idle": "#30363d",
    "failed": "#da3633",
    "own": "#bf8700",
    "ink": "#ffffff",
    "key": "#58a6ff",
}
_LIGHT = {
    "active": "#0969da",
    "cache": "#9a6700",
    "peak": "#bf3989",
    "speed": "#117f2c",
    "buffers": "#6639ba",
    "weights": "#0550ae",
    "kv": "#1b7c83",
    "other": "#54aeff",
    "beyond": "#6e7781",
    "limit": "#cf222e",
    "budget": "#bc4c00",
    "alarm": "#b3001b",
    "pressure-normal": "#1a7f37",
    "pressure-warning": "#7d4e00",
    "pressure-critical": "#b3001b",
    "mark": "#1f2328",
    "run-a": "#6639ba",
    "run-b": "#4d6b00",
    "dim": "#656d76",
    "label": "#24292f",
    "faint": "#d0d7de",
    "load": "#8c959f",
    "prefill": "#8250df",
    "decode": "#2da44e",
    "idle": "#d0d7de",
    "failed": "#cf222e",
    "own": "#bf8700",
    "ink": "#ffffff",
    "key": "#0969da",
}
DARK = Theme(
    name="mlxtop-dark",
    primary="#58a6ff",
    secondary="#8957e5",
    accent="#e3b341",
    warning="#e3b341",
    error="#ff7b72",
    success="#56d364",
    foreground="#dde3ea",
    background="#0d1117",
    surface="#0d1117",
    panel="#161b22",
    dark=True,
    variables={**_DARK, "footer-key-foreground": "#58a6ff", "footer-description-foreground": "#848d97"},
)
LIGHT = Theme(
    name="mlxtop-light",
    primary="#0969da",
    secondary="#8250df",
    accent="#9a6700",
    warning="#9a6700",
    error="#cf222e",
    success="#117f2c",
    foreground="#1f2328",
    background="#ffffff",
    surface="#ffffff",
    panel="#f6f8fa",
    dark=False,
    variables={**_LIGHT, "footer-key-foreground": "#0969da", "footer-description-foreground": "#656d76"},
)


def defaults(dark: bool) -> dict[str, str]:
    """mlxtop's colours for a theme that does not define them."""
    return dict(_DARK if dark else _LIGHT)
