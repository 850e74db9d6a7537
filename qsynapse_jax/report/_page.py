"""The page itself: sections of text, tables and Plotly figures in one file that needs nothing else."""

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Readable on a phone and on paper: one column, tables that scroll, nothing that only a mouse could open when printed.
_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem; margin: 0 auto;
  padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
p.lead { color: #444; } .scroll { overflow-x: auto; } .plot { width: 100%; min-height: 26rem; }
table { border-collapse: collapse; font-size: .9rem; } th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; }
th { text-align: left; background: #f4f4f4; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; } pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .8rem; }
figcaption { color: #444; font-size: .9rem; } figure { margin: 1rem 0; }
@media print { body { max-width: none; } .plot, figure, tr { break-inside: avoid; } .modebar, .updatemenu-container
  { display: none !important; } }
"""

_CONFIG = {"responsive": True, "displaylogo": False, "displayModeBar": "hover"}


class Section(NamedTuple):
    """A part of the page.

    Attributes:
        title: of the part.
        body: its HTML, made by the functions below.
    """

    title: str
    body: str


def page(title: str, lead: str, sections: Iterable[Section]) -> str:
    """The whole page.

    Args:
        title: what it is about.
        lead: one sentence that says what was asked and found.
        sections: in the order of reading.
    """
    from plotly.offline import get_plotlyjs

    parts = [f"<section><h2>{html.escape(one.title)}</h2>{one.body}</section>" for one in sections]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # No icon: a browser would ask for one.
        f'<link rel="icon" href="data:,"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head><body>"
        f'<h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p>{"".join(parts)}</body></html>\n'
    )


def text(words: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(words)}</p>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts; what reads as a number stands on the right."""
    head = "".join(f"<th>{html.escape(one)}</th>" for one in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def plot(figure: Any, caption: str) -> str:
    """A Plotly figure and what to see in it."""
    figure.update_layout(
        template="plotly_white",
        margin={"l": 60, "r": 20, "t": 60, "b": 60},
        font={"size": 13},
        height=430,
        # Below, so that a phone has room for the picture.
        legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
    )
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, config=_CONFIG, default_height=430)
    return f'<figure><div class="plot">{drawn}</div><figcaption>{html.escape(caption)}</figcaption></figure>'


def picture(path: Path) -> str:
    """A picture from a file, inside the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    name = html.escape(path.stem.replace("_", " "))
    return f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><figcaption>{name}</figcaption></figure>'


def verbatim(words: str) -> str:
    """Text as it is, e.g. JSON."""
    return f"<pre>{html.escape(words)}</pre>"


def shown(value: Any) -> str:
    """A number with four digits, or the text of anything else."""
    if isinstance(value, str):
        return value
    number = float(value)
    if number != number:
        return ""
    return f"{int(number):,}" if number.is_integer() and abs(number) < 1e15 else f"{number:.4g}"


def _cell(words: str) -> str:
    try:
        float(words.replace(",", ""))
    except ValueError:
        return f"<td>{html.escape(words)}</td>"
    return f'<td class="number">{html.escape(words)}</td>'
