"""What pictures have in common: figures without frames, colours, and how they are written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

BLUE, GREY = "#1f5fa8", "#777777"
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


def grid(width: float, height: float, columns: int = 1, lines: int = 1, **how: Any) -> Any:
    """A figure and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(lines, columns, **how)


def panels(width: float, height: float, columns: int = 1, lines: int = 1) -> Any:
    """The same, without the lines above and to the right of each."""
    figure, axes = grid(width, height, columns, lines)
    for one in np.atleast_1d(axes).flat:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def svg(figure: Any) -> str:
    """The figure as an SVG element, the same each time."""
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "lampblack", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]


def write(figure: Any, file: Path) -> None:
    """Write a picture of the documentation, SVG or PNG by the name of its file."""
    if file.suffix == ".svg":
        file.write_text(svg(figure) + "\n")
    else:
        figure.savefig(file, dpi=90)
