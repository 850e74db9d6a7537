"""Sections of a run: what it claims, its tables, curves and pictures, its settings and where it comes from."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from qsynapse_jax.report._page import Section, picture, plot, shown, table, text, verbatim
from qsynapse_jax.studies import Claim, Record


def record_sections(record: Record, folder: Path) -> tuple[str, list[Section]]:
    """One sentence and the sections of a record that lies in a folder, with the pictures beside it."""
    minutes = record.wall_time_s / 60
    took = f"{minutes:.0f} minutes" if minutes >= 2 else f"{record.wall_time_s:.0f} s"
    seeds = f"seed {record.seeds[0]}" if len(record.seeds) == 1 else f"{len(record.seeds)} seeds"
    lead = f"The study {record.name}, {seeds}, {took} on {record.device}."
    sections = []
    if record.figures:
        columns = ["quantity", "measured", "unit", "published", "target", "met"]
        sections.append(Section("What it found", table(columns, map(_claim, record.figures))))
    for one in record.tables.values():
        sections.append(Section(one.title or "Table", table(one.columns, one.rows)))
    if curves := _curves(record):
        sections.append(Section("By epoch", curves))
    pictures = sorted(folder.glob("*.png"))
    if pictures:
        sections.append(Section("Pictures", "".join(map(picture, pictures))))
    if record.notes:
        sections.append(Section("Notes", "".join(map(text, record.notes))))
    versions = [[name, number] for name, number in record.versions.items()]
    settings = verbatim(json.dumps(record.config, indent=1))
    sections.append(Section("Where it comes from", table(["package", "version"], versions) + settings))
    return lead, sections


def _claim(one: Claim) -> list[str]:
    spread = "" if one.spread is None else f" ± {one.spread:.2g}"
    measured = "not finite" if one.ours is None else f"{shown(one.ours)}{spread}"
    published = "" if one.paper is None else shown(one.paper)
    return [one.label, measured, one.unit, published, one.reach or "", {True: "yes", False: "no", None: ""}[one.holds]]


def _curves(record: Record) -> str:
    """What was noted after every epoch, a picture per quantity: arrays called history/NETWORK/QUANTITY."""
    import plotly.graph_objects as go

    figures: dict[str, Any] = {}
    for name, values in record.data.items():
        head, _, rest = name.partition("/")
        values = np.asarray(values)
        if head != "history" or values.ndim != 1 or not len(values):
            continue
        network, _, what = rest.rpartition("/")
        figure = figures.setdefault(what, go.Figure())
        figure.add_scatter(x=np.arange(1, len(values) + 1), y=values, mode="lines+markers", name=network)
        figure.update_layout(xaxis={"title": "epoch"}, yaxis={"title": what}, showlegend=True)
    return "".join(plot(figure, f"{what} after every epoch.") for what, figure in figures.items())
