"""Plans in files: TOML, and tables of points in CSV."""

import csv
import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from qsynapse_jax._fields import as_quantity
from qsynapse_jax._imports import own_object
from qsynapse_jax.sweep._axes import find
from qsynapse_jax.sweep._plan import Plan, Span, grid, random, table
from qsynapse_jax.sweep._study import Study

_KEYS = ("study", "plan", "points", "draw", "chunk", "table", "axes", "fixed")
_SPAN = ("from", "to", "count", "log")
_KINDS = ("grid", "random", "table")


def read_plan(path: str | Path, studies: Mapping[str, Study]) -> Plan:
    """A plan from a TOML file.

        study = "random_array"          # or "module:name" of your own
        plan = "grid"                   # or "random", points = 1000, draw = 0, or "table", table = "points.csv"
        chunk = 256

        [axes]
        r_wire = { from = "0.35 ohm", to = "10 ohm", count = 8, log = true }
        on_off = [10, 100]
        seed = [0, 1, 2]

        [fixed]
        lines = 64

    A table is a CSV file beside the plan: a line of names, each with a unit where its numbers are not in SI units
    ("r_wire [kohm]"), and a line per point.

    Args:
        path: the file.
        studies: by name, those that a plan can ask for.

    Raises:
        ValueError: what is wrong, and with which line of the plan.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"The plan {path} does not exist.") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no TOML file that can be read ({error}).") from None
    try:
        return _plan(content, path, studies)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _plan(content: dict[str, Any], path: Path, studies: Mapping[str, Study]) -> Plan:
    _known(content, _KEYS, "A plan")
    study = _study(content.get("study"), studies)
    kind = content.get("plan", "grid")
    if kind not in _KINDS:
        raise ValueError(f"`plan` must be one of {', '.join(_KINDS)}, but is {kind!r}.")
    for name in ("axes", "fixed"):
        if not isinstance(content.get(name, {}), dict):
            raise ValueError(f"`{name}` must be a table with a line per axis, [{name}], but is {content[name]!r}.")
    for name, only in (("points", "random"), ("draw", "random"), ("table", "table")):
        if name in content and kind != only:
            raise ValueError(f'`{name}` is for plan = "{only}", but this plan is a {kind}.')
    options = {name: content[name] for name in ("chunk", "fixed") if name in content}
    given = content.get("axes", {})
    if kind == "table":
        if given or not isinstance(content.get("table"), str):
            raise ValueError(
                'A plan of a table has no [axes], but a file with a line per point, `table = "points.csv"`.'
            )
        return table(study, _columns(path.parent / content["table"], study), **options)
    axes = {name: _axis(name, value) for name, value in given.items()}
    if kind == "grid":
        return grid(study, **options, **axes)
    if "points" not in content:
        raise ValueError("A random plan says how many points it has, e.g. points = 1000.")
    return random(study, content["points"], draw=content.get("draw", 0), **options, **axes)


def _known(content: Mapping[str, Any], names: tuple[str, ...], what: str) -> None:
    for name in content:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            raise ValueError(f"{what} has no `{name}`, only {', '.join(names)}.{hint}")


def _study(name: Any, studies: Mapping[str, Study]) -> Study:
    if not isinstance(name, str):
        raise ValueError(f"`study` must be one of {', '.join(studies)}, or module:name, but is {name!r}.")
    if name in studies:
        return studies[name]
    if ":" not in name:
        near = get_close_matches(name, studies, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"There is no study {name!r}.{hint} There are {', '.join(studies)}; your own is module:name.")
    with own_object(name, "study") as found:
        if not isinstance(found, Study):
            raise ValueError(f"{name!r} must be a sweep.Study, but is a {type(found).__name__}.")
    return found


def _axis(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        _known(value, _SPAN, f"Axis `{name}`")
        if not {"from", "to"} <= value.keys():
            raise ValueError(f"Axis `{name}` must have both ends, {{ from = ..., to = ... }}, but is {value}.")
        return Span(value["from"], value["to"], value.get("count"), value.get("log", False))
    return value


def _columns(path: Path, study: Study) -> dict[str, list[Any]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(field.strip() for field in row)]
    except OSError as error:
        raise ValueError(f"The table {path} cannot be read ({error.strerror}).") from None
    if not rows:
        raise ValueError(f"The table {path} must begin with a line of names, but is empty.")
    columns: dict[str, list[Any]] = {}
    for place, head in enumerate(rows[0]):
        found = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[(.*)\])?\s*", head)
        if found is None or found[1] in columns:
            raise ValueError(f"Column {place + 1} of {path} must have a name of its own, but has {head!r}.")
        name, unit = found[1], found[2] or ""
        axis = find(study.axes, name, study.name)
        columns[name] = []
        for number, row in enumerate(rows[1:], 2):
            if len(row) != len(rows[0]):
                raise ValueError(f"Line {number} of {path} has {len(row)} fields, but the first has {len(rows[0])}.")
            text = row[place].strip()
            columns[name].append(as_quantity(f"{text} {unit}", name, axis.unit) if axis.numeric else text)
    return columns
