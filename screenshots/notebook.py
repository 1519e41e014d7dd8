"""Makes `notebook.png`: a notebook that a real kernel ran, in JupyterLab's own style, in Chromium.

It needs what nothing else here does: `pip install nbconvert`, and a Chromium. `python -m
screenshots.notebook` makes it; with `dark` as well, one in the dark theme, into the current folder.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.report.browser import Browser

FOLDER = Path(__file__).parent
CELLS = (
    """%load_ext mlxtop
import mlx.core as mx, mlx.nn as nn, mlx.optimizers as optim""",
    """model = nn.Sequential(nn.Linear(128, 512), nn.ReLU(), nn.Linear(512, 128))
optimizer = optim.Adam(1e-3)
step = nn.value_and_grad(model, lambda model, x: ((model(x) - x) ** 2).mean())
mx.eval(model.parameters())""",
    """%%mlxtop --census
losses = []
for i in range(40):
    batch = mx.random.normal((1024 * (1 + i % 4), 128))
    loss, grads = step(model, batch)
    optimizer.update(model, grads)
    mx.eval(model.parameters(), optimizer.state)
    if i % 10 == 9:
        losses.append(loss)
model(batch).shape""",
)


def page(theme: str) -> str:
    """The notebook after it ran, as a page."""
    # Not installed by `make`: this picture is seldom made.
    import nbformat
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors import ExecutePreprocessor

    made: Any = nbformat.v4
    notebook = made.new_notebook(cells=[made.new_code_cell(cell) for cell in CELLS])
    ExecutePreprocessor(timeout=600).preprocess(notebook, {})
    html, _ = HTMLExporter(template_name="lab", theme=theme).from_notebook_node(notebook)
    return str(html)


def main() -> None:
    for theme in ("light", *sys.argv[1:]):
        with TemporaryDirectory() as folder, Browser() as browser:
            path = Path(folder) / "notebook.html"
            path.write_text(page(theme), encoding="utf-8")
            browser.look(900, 900)
            browser.open(path)
            picture = FOLDER / "notebook.png" if theme == "light" else Path(f"notebook-{theme}.png")
            browser.picture(picture, whole=True)
            print(picture)


if __name__ == "__main__":
    main()
