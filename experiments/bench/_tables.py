"""Markdown tables of the committed results; nothing here computes."""

import json
from pathlib import Path
from typing import Any

from experiments.bench._reach import REACH

FOLDER = Path(__file__).parent


def describe(machine: dict[str, Any]) -> str:
    """The machine in words."""
    text = f"{machine['processor']}, {machine['cores']} cores"
    return text if machine["device"].startswith("cpu") else f"{machine['device']} beside {text}"


def bench_tables(name: str) -> str:
    """The tables of a committed result (`gpu/NAME`: in the folder gpu), or what to do for one; `reach`: all claims."""
    if name == "reach":
        return _reach_table()
    script = name.split("/")[-1]
    if not (FOLDER / f"{script}.py").exists():
        raise ValueError(f"There is no benchmark {name!r}.")
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return f"Not measured yet: `python -m experiments.bench.{script}`."
    result = json.loads(path.read_text())
    blocks = []
    for one in result["tables"]:
        lines = [f"**{one['title']}**", "", _row(one["columns"]), _row(["---"] + ["---:"] * (len(one["columns"]) - 1))]
        blocks.append("\n".join(lines + [_row(row) for row in one["rows"]]))
    blocks += result["notes"]
    peers = ", ".join(f"{key} {value}" for key, value in result["peers"].items())
    blocks.append(
        f"{describe(result['machine'])}; jax {result['versions']['jax']}{', ' + peers if peers else ''}; "
        f"load {result['load'][0]} before, {result['load'][1]} after; {result['wall_time_s'] / 60:.0f} minutes."
    )
    return "\n\n".join(blocks)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _reach_table() -> str:
    found = {}
    for script in dict.fromkeys(one.script for one in REACH.values()):
        path = FOLDER / f"{script}.json"
        if path.exists():
            found |= {figure["name"]: figure for figure in json.loads(path.read_text())["figures"]}
    lines = [_row(["job", "reach", "measured", "holds", "script"]), _row(["---", "---", "---", "---", "---"])]
    for key, asked in REACH.items():
        measured, holds = "not measured", ""
        if key in found:
            one = found[key]
            spread = "" if one["quartiles"] is None else " ({:.3g}-{:.3g})".format(*one["quartiles"])
            measured = f"{one['ours']:.3g}{spread} {asked.unit}".strip()
            holds = "yes" if one["holds"] else "no"
            measured += f"; {one['note']}" if one["note"] else ""
        lines.append(_row([asked.label, f"{asked.reach} {asked.unit}".strip(), measured, holds, f"`{asked.script}`"]))
    return "\n".join(lines)
