"""Result files: claims as data, and the tables made from them."""

import dataclasses
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.bench._tables import bench_tables
from qsynapse_jax.cli import environment, write_json

FOLDER = Path(__file__).parent


def figure(
    name: str,
    unit: str,
    values: Sequence[float],
    *,
    reach: str | None = None,
    paper: float | None = None,
    note: str = "",
) -> dict[str, Any]:
    """One claim: the mean of `values` over seeds, their standard deviation, and whether the mean meets `reach`.

    Args:
        name: what is claimed, in snake_case.
        unit: of `values`.
        values: one a seed.
        reach: e.g. ">= 97.0" or "<= 1.5"; `None` where nothing is asked for.
        paper: the published figure, where there is one.
        note: what a reader must know.
    """
    mean = statistics.fmean(values)
    holds = None
    if reach is not None:
        relation, limit = reach.split()
        holds = {">=": mean >= float(limit), "<=": mean <= float(limit)}[relation]
    spread = statistics.stdev(values) if len(values) > 1 else None
    return {
        "name": name,
        "unit": unit,
        "paper": paper,
        "reach": reach,
        "ours": _digits(mean),
        "spread": None if spread is None else _digits(spread),
        "seeds": len(values),
        "holds": holds,
        "note": note,
    }


def _digits(value: float) -> float:
    """Six significant digits: what is small is not rounded to nothing."""
    return float(f"{value:.6g}")


def record(config: Any, figures: list[dict[str, Any]], *, started: float, extra: dict[str, Any]) -> dict[str, Any]:
    """The content of a result file: config, versions, device, wall time since `started`, and the claims."""
    return {
        "config": dataclasses.asdict(config),
        **environment(),
        "wall_time_s": round(time.perf_counter() - started, 1),
        "figures": figures,
        **extra,
    }


def write_result(folder: Path, content: dict[str, Any]) -> Path:
    """Writes `result.json` whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "result.json"
    write_json(path, content)
    return path


def read_result(name: str) -> dict[str, Any]:
    """The committed result of an experiment."""
    return json.loads((FOLDER / name / "result.json").read_text())


def markdown_table(result: dict[str, Any]) -> str:
    """The claims of a result as a Markdown table."""
    lines = ["| figure | ours | asked for | holds |", "| --- | --- | --- | --- |"]
    for one in result["figures"]:
        spread = "" if one["spread"] is None else f" ± {one['spread']:.2g}"
        holds = {True: "yes", False: "no", None: ""}[one["holds"]]
        name = one["name"].replace("_", " ")
        lines.append(f"| {name} | {one['ours']:.4g}{spread} {one['unit']} | {one['reach'] or ''} | {holds} |")
    seeds = result["figures"][0]["seeds"]
    minutes = result["wall_time_s"] / 60
    lines.append("")
    lines.append(f"Mean ± standard deviation over {seeds} seeds, {minutes:.0f} minutes in all, {result['device']}.")
    return "\n".join(lines)


def extra_table(table: dict[str, Any]) -> str:
    """A table of a result, of texts by column and row, in Markdown."""
    lines = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def refresh_tables(document: Path) -> str:
    """The text of a document with every table between `<!-- table NAME -->` and `<!-- end -->` made anew.

    NAME is an experiment, `EXPERIMENT/TABLE` for a further table of its result, `bench/SCRIPT` for all tables of a
    benchmark, or `bench/reach` for what is asked of them.
    """
    parts = document.read_text().split("<!-- table ")
    fresh = [parts[0]]
    for part in parts[1:]:
        name, rest = part.split(" -->", 1)
        tail = rest.split("<!-- end -->", 1)[1]
        if name.startswith("bench/"):
            table = bench_tables(name.removeprefix("bench/"))
        elif "/" in name:
            experiment, section = name.split("/")
            table = extra_table(read_result(experiment)["tables"][section])
        else:
            table = markdown_table(read_result(name))
        fresh.append(f"{name} -->\n{table}\n<!-- end -->{tail}")
    return "<!-- table ".join(fresh)
