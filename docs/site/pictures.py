"""The pictures of the site: `python docs/site/pictures.py` draws them anew into docs/images.

The drawing of an array stands here; the others are those that the code blocks of the pages leave.
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot as plt

DOCS = Path(__file__).parents[1]
IMAGES = DOCS / "images"
PAGES = {"start.md": "start_voltages.png", "concepts/formulation.md": "formulation_weights.png"}
matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "qsynapse"  # the same drawing is the same file
GRAY, BLUE, RED = "0.35", "#3949ab", "#b3261e"


def resistor(ax: Any, start: tuple[float, float], end: tuple[float, float], text: str, color: str = GRAY) -> None:
    """A line with a box in its middle, and a name beside the box."""
    (x0, y0), (x1, y1) = start, end
    along = abs(x1 - x0) > abs(y1 - y0)
    x, y, width, height = (x0 + x1) / 2, (y0 + y1) / 2, *((0.34, 0.13) if along else (0.13, 0.34))
    ax.plot([x0, x1], [y0, y1], color=color, lw=1.4, zorder=1)
    box = plt.Rectangle((x - width / 2, y - height / 2), width, height, fc="white", ec=color, lw=1.4, zorder=2)
    ax.add_patch(box)
    if along:
        ax.text(x, y + 0.13, text, ha="center", va="bottom", size=9, color=color)
    else:
        ax.text(x + 0.12, y, text, ha="left", va="center", size=9, color=color)


def array(path: Path, n: int = 3) -> None:
    """An array of n x n cells with its drivers, sense amplifiers, segments and indices."""
    figure, ax = plt.subplots(figsize=(8.2, 6.6))
    step, low = 1.5, 0.42  # from cell to cell; from a word line down to the bit line, along the cell
    for i in range(n):
        y = -step * i
        resistor(ax, (-1.9, y), (-1.05, y), "r_driver" if i == 0 else "")
        ax.plot(-1.9, y, "o", ms=15, mfc="white", mec=BLUE, mew=1.6, zorder=3)
        ax.text(-2.2, y, f"v_in[{i}]", ha="right", va="center", color=BLUE)
        for j in range(n):
            x = step * j
            left = -1.05 if j == 0 else x - step
            resistor(ax, (left, y), (x, y), "r_word" if i == 0 else "")
            node = (x + low, y - low)
            ax.plot([x, node[0]], [y, node[1]], color=RED, lw=1.4, zorder=1)
            ax.plot(x + low / 2, y - low / 2, "s", ms=12, mfc="white", mec=RED, mew=1.6, zorder=3)
            ax.text(x + 0.05, y - 0.42, f"G[{i},{j}]", ha="right", va="center", size=9, color=RED)
            ax.plot(*node, "o", ms=4, color=GRAY, zorder=3)
            ax.plot(x, y, "o", ms=4, color=GRAY, zorder=3)
            resistor(ax, node, (node[0], node[1] - step), "r_bit" if j == n - 1 else "")
    for j in range(n):
        x, y = step * j + low, -step * n - low
        resistor(ax, (x, y), (x, y - 0.7), "r_sense" if j == n - 1 else "")
        ax.plot(x, y - 0.7, "v", ms=15, mfc="white", mec=BLUE, mew=1.6, zorder=3)
        ax.text(x, y - 0.98, f"i_out[{j}]", ha="center", va="top", color=BLUE)
    ax.annotate("", (step * (n - 1), 0.72), (0, 0.72), arrowprops={"arrowstyle": "->", "color": GRAY})
    ax.text(step * (n - 1) / 2, 0.78, "bit line j, second index", ha="center", va="bottom", color=GRAY)
    ax.annotate("", (-3.15, -step * (n - 1)), (-3.15, 0), arrowprops={"arrowstyle": "->", "color": GRAY})
    middle = -step * (n - 1) / 2
    ax.text(-3.25, middle, "word line i, first index", ha="right", va="center", rotation=90, color=GRAY)
    ax.set(aspect="equal", xlim=(-3.6, step * (n - 1) + 1.4), ylim=(-step * n - 1.75, 1.1))
    ax.axis("off")
    figure.savefig(path, bbox_inches="tight", facecolor="white", metadata={"Date": None})
    plt.close(figure)


def from_page(page: Path, picture: str) -> None:
    """Runs the Python of a page in an empty folder and keeps one of the pictures that it leaves."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    _run([sys.executable, "-c", code], picture)


def own_map() -> None:
    """The picture of the command that solves a measured map."""
    page = (DOCS / "how-to" / "own-map.md").read_text(encoding="utf-8")
    commands = re.search(r"```sh\n(.*?)```", page, re.DOTALL)
    assert commands is not None
    folder = shlex.quote(str(Path(sys.executable).parent))
    _run(["sh", "-ec", commands[1].replace(".venv/bin", folder)], "own_map.png")


def _run(command: list[str], picture: str) -> None:
    path = os.pathsep.join(filter(None, [str(DOCS.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": path}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, cwd=folder, env=environment, check=True)
        (IMAGES / picture).write_bytes((Path(folder) / picture).read_bytes())
    print(f"Written: {IMAGES / picture}")


if __name__ == "__main__":
    array(IMAGES / "conventions.svg")
    own_map()
    for name, picture in PAGES.items():
        from_page(DOCS / name, picture)
