"""The record of a study: what it was asked, where it ran, what it claims, and the arrays behind the claims."""

import dataclasses
import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qsynapse_jax._arrays import read_arrays, read_json, write_arrays, write_whole
from qsynapse_jax._fields import described
from qsynapse_jax._provenance import device, plain, versions


@dataclass(frozen=True)
class Claim:
    """One quantity of a study.

    Attributes:
        name: what is claimed, in snake_case.
        label: the same in words.
        unit: of the numbers.
        paper: the published number, where there is one.
        reach: the target, e.g. ">= 97.0" or "<= 1.5"; `None` where nothing is asked for.
        ours: the number measured, the mean over `seeds` runs; `None` where it is not finite.
        spread: their standard deviation; `None` for a single run.
        seeds: how many runs; `None` where the number does not depend on the seed.
        holds: whether `ours` meets `reach`.
        note: what a reader must know.
    """

    name: str
    label: str
    unit: str
    paper: float | None
    reach: str | None
    ours: float | None
    spread: float | None
    seeds: int | None
    holds: bool | None
    note: str


def claim(
    name: str,
    unit: str,
    values: float | Sequence[float],
    *,
    label: str = "",
    reach: str | None = None,
    paper: float | None = None,
    note: str = "",
) -> Claim:
    """A `Claim` from what was measured: one number per seed, or one number that is the same for every seed.

    The label is the name with spaces where none is given.
    """
    if isinstance(values, int | float | np.floating):
        mean, spread, seeds = float(values), None, None
        note = "; ".join(filter(None, [note, "does not depend on the seed"]))
    else:
        mean, seeds = statistics.fmean(values), len(values)
        spread = statistics.stdev(values) if seeds > 1 else None
    return Claim(
        name=name,
        label=label or name.replace("_", " "),
        unit=unit,
        paper=paper,
        reach=reach,
        ours=_digits(mean),
        spread=None if spread is None else _digits(spread),
        seeds=seeds,
        holds=None if reach is None else _meets(mean, reach),
        note=note,
    )


def _meets(value: float, reach: str) -> bool:
    relation, limit = reach.split()
    return {">=": value >= float(limit), "<=": value <= float(limit)}[relation]


def _digits(value: float) -> float | None:
    """Six significant digits: what is small is not rounded to nothing."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


@dataclass(frozen=True)
class TextTable:
    """A table for people, of texts by row and column."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    __repr__ = described


@dataclass
class Record:
    """What a study leaves: `result.json`, and the arrays of `data` in an .npz file beside it.

    Attributes:
        name: of the study.
        config: its settings, a dataclass or a dictionary of JSON values.
        seeds: the seeds it ran with.
        wall_time_s: how long it took [s].
        figures: what it claims.
        tables: tables by name.
        data: arrays by name.
        notes: what a reader must know, e.g. the hardware in words.
        checksums: SHA-256 of the files that belong to the result, by name, and of its `config`.
        versions: of Python and the packages that a result depends on.
        device: the machine in words: accelerator, or processor and the cores that this process may use.
    """

    name: str
    config: Any
    seeds: Sequence[int]
    wall_time_s: float
    figures: Sequence[Claim]
    tables: Mapping[str, TextTable] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    checksums: dict[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=versions)
    device: str = field(default_factory=device)

    __repr__ = described


def _data_path(path: Path) -> Path:
    """Where the arrays of a record are: data.npz beside result.json, NAME.npz beside NAME.json."""
    return path.with_name("data.npz") if path.stem == "result" else path.with_suffix(".npz")


def write_record(record: Record, path: Path) -> None:
    """Writes a record: first its arrays, then the JSON file that vouches for them."""
    checksums = dict(record.checksums)
    if record.data:
        write_arrays(_data_path(path), record.data)
        checksums[_data_path(path).name] = sha256(_data_path(path))
    content = {one.name: plain(getattr(record, one.name)) for one in dataclasses.fields(record) if one.name != "data"}
    content["wall_time_s"] = round(record.wall_time_s, 2)
    content["checksums"] = checksums | {"config": sha256(_canonical(content["config"]))}
    text = _text(content)
    write_whole(path, lambda temporary: temporary.write_text(text))


def read_record(path: Path) -> Record:
    """A record as it was written, or a `ValueError` of one line that names the file that cannot be believed."""
    content = read_json(path)
    _check_keys(content, _names(Record) - {"data"}, path)
    kinds = {"config": dict, "figures": list, "tables": dict, "notes": list, "checksums": dict, "seeds": list}
    for name, kind in kinds.items():
        if not isinstance(content[name], kind):
            raise ValueError(f"{path} is no record: `{name}` must be a {kind.__name__}, but is {content[name]!r:.60}.")
    if content["checksums"].get("config") != sha256(_canonical(content["config"])):
        raise ValueError(f"{path} was changed after it was written: `config` is not the one of the run.")
    for one in content["figures"]:
        _check_keys(one, _names(Claim), path)
    for one in content["tables"].values():
        _check_keys(one, _names(TextTable), path)
    content["figures"] = [Claim(**one) for one in content["figures"]]
    content["tables"] = {name: TextTable(**one) for name, one in content["tables"].items()}
    data, stored = {}, _data_path(path).name
    if stored in content["checksums"]:
        data = read_arrays(check_file(path, content["checksums"], stored), subject="The data of a record")
    return Record(**content, data=data)


def check_file(path: Path, checksums: Mapping[str, str], name: str) -> Path:
    """The file `name` beside a record at `path`, if it is there and is the one that belongs to it."""
    file = path.with_name(name)
    if not file.is_file():
        raise ValueError(f"{path} belongs with {file}, which does not exist.")
    if checksums.get(name) != sha256(file):
        raise ValueError(f"{file} does not belong to {path}: its checksum is another one.")
    return file


def _names(kind: Any) -> set[str]:
    return {one.name for one in dataclasses.fields(kind)}


def _check_keys(content: Any, names: set[str], path: Path) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{path} is no record: it must hold an object with {', '.join(sorted(names))}.")
    for name in sorted(names - content.keys()):
        raise ValueError(f"{path} is no record: it has no `{name}`.")
    for name in sorted(content.keys() - names):
        raise ValueError(f"{path} is no record: it holds an unknown `{name}`.")


def sha256(source: Path | bytes) -> str:
    """Checksum of a file or of bytes."""
    return hashlib.sha256(source if isinstance(source, bytes) else source.read_bytes()).hexdigest()


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _text(content: dict[str, Any]) -> str:
    """JSON for people: a line per entry, and per claim or row of a table."""

    def lines(value: Any, depth: int) -> str:
        inner, outer = "  " * (depth + 1), "  " * depth
        if depth < 3 and isinstance(value, dict) and value and any(isinstance(v, dict | list) for v in value.values()):
            entries = [f"{inner}{json.dumps(name)}: {lines(part, depth + 1)}" for name, part in value.items()]
            return "{\n" + ",\n".join(entries) + f"\n{outer}}}"
        if isinstance(value, list) and value and isinstance(value[0], dict | list):
            return "[\n" + ",\n".join(f"{inner}{json.dumps(part)}" for part in value) + f"\n{outer}]"
        return json.dumps(value)

    return lines(content, 0) + "\n"
