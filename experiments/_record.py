"""What an experiment leaves in its folder, and the tables of the documents made from it."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench._tables import bench_tables
from qsynapse_jax.studies import Claim, Record, TextTable, read_record, write_record

FOLDER = Path(__file__).parent
RESULT = "result.json"
# Parts of a run that is not done, for its continuation.
PARTS = "parts"


def check_folder(folder: Path) -> None:
    """Makes the folder and proves that a file can be written there, before hours of work depend on it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SystemExit(
            f"Argument `out` must be a folder that can be written, but {folder} is not ({error.strerror})."
        ) from None


def kept(folder: Path, config: Any, name: str, work: Callable[[], np.ndarray]) -> np.ndarray:
    """What a part of an experiment found: computed, or read where a run that was interrupted had computed it.

    Args:
        folder: of the experiment.
        config: of the experiment; what another one found is not read.
        name: of the part.
        work: computes it.
    """
    mark = hashlib.sha256(f"{config!r} {name}".encode()).hexdigest()[:16]
    path = folder / PARTS / f"{mark}.npy"
    if path.is_file():
        return np.load(path)
    found = np.asarray(work())
    path.parent.mkdir(exist_ok=True)
    # Whole or not at all.
    partial = path.with_name(f"{mark}.partial.npy")
    np.save(partial, found)
    partial.replace(path)
    return found


def write_result(folder: Path, record: Record) -> Record:
    """Writes the record into the folder and says so; parts that were kept are done with."""
    write_record(record, folder / RESULT)
    shutil.rmtree(folder / PARTS, ignore_errors=True)
    print(f"Written: {folder / RESULT}")
    return record


def read_result(name: str) -> Record:
    """The committed result of an experiment."""
    return read_record(FOLDER / name / RESULT)


def claims_table(record: Record, targets: bool = False) -> str:
    """The claims of a record as a Markdown table, or those with a target, and how many seeds they are of."""
    figures = [one for one in record.figures if one.reach is not None or not targets]
    published = any(one.paper is not None for one in figures)
    columns = ["quantity", "measured", "target", "met", *(["published"] if published else [])]
    rows = []
    for one in figures:
        met = {True: "yes", False: "no", None: ""}[one.holds]
        paper = [f"{one.paper:g}" if one.paper is not None else ""] if published else []
        rows.append([one.label, _measured(one), one.reach or "", met, *paper])
    n = len(record.seeds)
    seeds = f"Mean ± standard deviation over {n} seeds" if n > 1 else "One seed"
    if any(one.seeds is None for one in figures):
        seeds += "; a number without ± does not depend on the seed"
    told = f"{record.wall_time_s / 60:.0f} minutes in all; {record.device}"
    one = re.sub(r"\b1 (minute|core)s\b", r"1 \1", told)
    footer = f"{seeds}. {one}."
    return f"{markdown_table(TextTable('', columns, rows))}\n\n{footer}"


def paper_table(record: Record) -> str:
    """What was published beside what was measured here, of the claims of a record that have both."""
    rows = [
        [one.label, f"{one.paper:g} {one.unit}".rstrip(), _measured(one)]
        for one in record.figures
        if one.paper is not None
    ]
    return markdown_table(TextTable("", ["quantity", "published", "here"], rows))


def _measured(one: Claim) -> str:
    spread = "" if one.spread is None else f" ± {one.spread:.2g}"
    value = "not finite" if one.ours is None else f"{one.ours:.4g}"
    gained = " (gained)" if "lost" in one.name and one.ours is not None and one.ours < 0 else ""
    return f"{value}{spread} {one.unit}".rstrip() + gained


def mean_and_spread(values: Any, mean: str = ".2f", spread: str = ".2f") -> str:
    """Mean ± standard deviation of one number per seed, for a table; the mean alone of a single seed.

    Args:
        values: of the seeds.
        mean: format of the mean.
        spread: format of the standard deviation.
    """
    shown = f"{np.mean(values):{mean}}"
    return f"{shown} ± {np.std(values, ddof=1):{spread}}" if len(values) > 1 else shown


def markdown_table(table: TextTable) -> str:
    """A table of texts in Markdown."""
    lines: list[Sequence[str]] = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def refresh_tables(document: Path) -> str:
    """The text of a document with every table between `<!-- table NAME -->` and `<!-- end -->` made anew.

    NAME is an experiment, `EXPERIMENT/targets` for its claims with a target, `EXPERIMENT/paper` for those with a
    published number, `EXPERIMENT/TABLE` for a further table of its result, `bench/SCRIPT` for all tables of a
    benchmark, or `bench/reach` for their targets.
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
            record = read_result(experiment)
            if section == "targets":
                table = claims_table(record, targets=True)
            else:
                table = paper_table(record) if section == "paper" else markdown_table(record.tables[section])
        else:
            table = claims_table(read_result(name))
        fresh.append(f"{name} -->\n{table}\n<!-- end -->{tail}")
    return "<!-- table ".join(fresh)
