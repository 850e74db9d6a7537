"""Markdown tables of the committed results; nothing here computes."""

from collections.abc import Sequence
from pathlib import Path

from experiments.bench._reach import REACH
from qsynapse_jax.studies import Record, read_record

FOLDER = Path(__file__).parent

# The tables of a record that say where it was measured, and with what beside it.
MACHINE, PEERS = "machine", "peers"


def quartiles_of(key: str) -> str:
    """Under which name the arrays of a record hold the quartiles of a claim that is a ratio."""
    return f"quartiles/{key}"


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
    record = read_record(path)
    blocks = []
    for key, one in record.tables.items():
        if key in (MACHINE, PEERS):
            continue
        lines = [f"**{one.title}**", "", _row(one.columns), _row(["---"] + ["---:"] * (len(one.columns) - 1))]
        blocks.append("\n".join(lines + [_row(row) for row in one.rows]))
    return "\n\n".join([*blocks, *record.notes, _where(record)])


def _where(record: Record) -> str:
    """Machine, versions and load in words."""
    machine = {row[0]: row[1] for row in record.tables[MACHINE].rows}
    packages = [f"jax {record.versions['jax']}", *(" ".join(row) for row in record.tables[PEERS].rows)]
    return (
        f"{record.device.removeprefix('CPU: ')}; {', '.join(packages)}; load {machine['load before']} before, "
        f"{machine['load after']} after; {record.wall_time_s / 60:.0f} minutes."
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _reach_table() -> str:
    found = {}
    for script in dict.fromkeys(one.script for one in REACH.values()):
        path = FOLDER / f"{script}.json"
        if path.exists():
            record = read_record(path)
            found |= {one.name: (one, record.data.get(quartiles_of(one.name))) for one in record.figures}
    lines = [_row(["job", "target", "measured", "met", "script"]), _row(["---", "---", "---", "---", "---"])]
    for key, asked in REACH.items():
        measured, holds = "not measured", ""
        if key in found:
            one, quartiles = found[key]
            spread = "" if quartiles is None else " ({:.3g}-{:.3g})".format(*quartiles)
            measured = f"{one.ours:.3g}{spread} {asked.unit}".strip()
            holds = "yes" if one.holds else "no"
            measured += f"; {one.note}" if one.note else ""
        lines.append(_row([asked.label, f"{asked.reach} {asked.unit}".strip(), measured, holds, f"`{asked.script}`"]))
    return "\n".join(lines)
