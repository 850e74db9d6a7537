"""Who may import whom: the layers, read from the sources and enforced. And the pinned environment."""

import ast
import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGE = "qsynapse_jax"
MAX_LINES = 400

# The table. A unit is a package (`cells/`) or a module (`quantize.py`) directly below `qsynapse_jax`; it may
# import what stands behind it here, and nothing else of ours.
L0 = {"_checks", "_fields", "_arrays", "_imports", "_provenance", "quantize"}
L1 = {"crossbar", "cells", "devices", "periphery", "datasets", "sweep"}
L2 = {"programming", "tile"}
L3 = {"cost", "nn", "training"}
L4 = {"codesign"}
L5 = {"studies", "plot"}
L6 = {"report"}
ALLOWED: dict[str, set[str]] = {
    "_checks": set(),
    "_fields": {"_checks"},
    "_arrays": {"_checks"},
    "_imports": set(),
    "_provenance": {PACKAGE},  # its version
    "quantize": {"_checks", "_fields"},
    **{unit: L0 for unit in L1},
    "programming": L0 | {"devices", "crossbar"},
    "tile": L0 | {"crossbar", "cells", "devices", "periphery", "programming"},
    "cost": L0 | {"crossbar", "cells", "devices", "periphery", "programming", "tile"},
    "nn": L0 | {"crossbar", "cells", "devices", "periphery", "programming", "tile"},
    "training": L0 | {"nn", "tile", "programming", "devices"},
    "codesign": L0 | L1 | L2 | L3,
    "studies": L0 | L1 | L2 | L3 | L4 | {PACKAGE},
    "plot": L0 | L1 | L2 | L3 | L4 | {"studies"},
    **{unit: L0 | L1 | L2 | L3 | L4 | L5 | {PACKAGE} for unit in L6},
    # A command of its own writes the report.
    "cli": L0 | L1 | L2 | L3 | L4 | L5 | L6 | {PACKAGE},
    # `qsynapse_jax/__init__.py` re-exports; it never loads the command line.
    "__init__": L0 | L1 | L2 | L3 | L4 | L5 | L6 | {PACKAGE},
    # Outside of the package: public names only.
    "experiments": L0 | L1 | L2 | L3 | L4 | L5 | {PACKAGE},
    "tests": L0 | L1 | L2 | L3 | L4 | L5 | L6 | {"cli", PACKAGE},
}
PUBLIC_ONLY = {"experiments", "tests"}  # not even the shared private modules of L0
THIRD_PARTY = {
    "flax": {"nn", "training", "studies"},
    "optax": {"training", "codesign"},
    "orbax": {"training"},
    "matplotlib": {"plot"},
    "rich": {"cli"},
    "tyro": {"cli"},
    "pooch": {"datasets", "cli"},
    "sklearn": {"datasets"},
    "xarray": {"sweep"},
    "zarr": {"sweep"},
    "distributed": {"sweep"},
    "plotly": {"report"},
    "safetensors": {"nn"},
}
LAZY = {
    "matplotlib",
    "plotly",
    "safetensors",
    "xarray",
    "zarr",
    "distributed",
}  # imported where it is used, never when the package is
SETTINGS = {
    "cli"
}  # programs of their own, which set JAX's global settings for themselves; elsewhere they are the user's
OUTSIDE = {"experiments", "tests"}  # these may import what they like of other projects

# Tests of what no public name shows alone.
INNER = {
    "tests/test_fields.py": "the base of all models",
    "tests/studies/test_config.py": "settings as they stand in a record",
    "tests/studies/test_mapped.py": "where the errors of a map lie",
    "tests/test_datasets.py": "addresses of files that are not there",
    "tests/test_cli_settings.py": "what a command line amounts to, without running it",
    "tests/crossbar/test_elimination.py": "wires of each array of a stack",
    "tests/crossbar/test_chain.py": "what accelerators run and CPUs do not",
    "tests/crossbar/test_line_sums.py": "two ways to one result, of which a machine takes one",
    "tests/training/test_loop.py": "the pieces of a run, and how often they are compiled",
    "tests/training/test_pulsed.py": "one array under trains, and one row that is moved",
    "tests/training/test_half_select.py": "arrays under trains, and what half-selects add to them",
    "tests/training/test_measures.py": "which of two programs calls back",
    "tests/devices/zoo.py": "a device of the tests, declared like those of the package",
    "tests/programming/zoo.py": "a scheme of the tests, likewise",
    "tests/sweep/zoo.py": "a point of the tests, declared like those of the package",
    "tests/sweep/test_run.py": "how many points a batch has",
    "tests/sweep/test_devices.py": "over how many devices a batch is spread",
    "tests/plot/test_pages.py": "pictures that one study alone draws, and a stage of one",
    "tests/tile/test_circuit.py": "how often a circuit is compiled",
    "tests/tile/test_split.py": "where each number of a matrix goes",
}


class Import(NamedTuple):
    """One imported name: `from a.b import c as d` is module `a.b`, name `c`, bound to `d`."""

    line: int
    module: str
    name: str | None
    bound: str
    top_level: bool

    @property
    def target(self) -> str:
        """The dotted path of what is imported."""
        return f"{self.module}.{self.name}" if self.name else self.module


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def walk(node: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node below `node`, and whether it does not run at module import: in a function, or for type checkers."""
    for child in ast.iter_child_nodes(node):
        yield child, in_function
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_checked = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        yield from walk(child, in_function or is_function or is_checked)


def absolute(path: PurePosixPath, level: int, module: str | None) -> str:
    """The absolute module that a relative import in the file `path` means."""
    parts = (PACKAGE, *path.parent.parts)
    parts = parts[: max(0, len(parts) - (level - 1))]
    return ".".join((*parts, *([module] if module else [])))


def imports_of(path: PurePosixPath, tree: ast.AST) -> Iterator[Import]:
    """All imports of a file: statements, wherever they stand, and `import_module("...")` of a literal."""
    for node, in_function in walk(tree):
        match node:
            case ast.Import():
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    yield Import(node.lineno, alias.name, None, bound, not in_function)
            case ast.ImportFrom():
                module = absolute(path, node.level, node.module) if node.level else node.module or ""
                for alias in node.names:
                    yield Import(node.lineno, module, alias.name, alias.asname or alias.name, not in_function)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                level = len(name) - len(name.lstrip("."))
                module = absolute(path, level, name[level:]) if level else name
                yield Import(node.lineno, module, None, "", not in_function)


def attributes_of(tree: ast.AST) -> Iterator[tuple[int, str, list[str]]]:
    """Every use `a.b.c` as (line, "a", ["b", "c"]), and not its part `a.b` again."""
    inner_parts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if id(node) in inner_parts:
            continue
        names: list[str] = []
        inner: ast.AST = node
        while isinstance(inner, ast.Attribute):
            names.append(inner.attr)
            inner = inner.value
        if names and isinstance(inner, ast.Name):
            yield inner.lineno, inner.id, names[::-1]


def unit_of(path: PurePosixPath) -> str:
    return path.parts[0].removesuffix(".py")


def check_own(unit: str, imported: Import) -> str | None:
    """Why `unit` may not import this part of our own package; None if it may."""
    parts = imported.target.split(".")[1:]
    if parts == ["__version__"] and PACKAGE in ALLOWED[unit]:
        return None
    if parts and parts[0] not in ALLOWED:
        # A name that is no unit comes from `qsynapse_jax/__init__.py`, which imports everything.
        if any(map(is_private, parts)):
            return f"imports the private name {imported.target}"
        if imported.name is None or len(parts) > 1:
            return f"imports {imported.target}, which is not in the table of tests/test_imports.py"
        parts = []
    other = parts[0] if parts else PACKAGE
    inside = parts[1:]
    if other == unit:
        return None
    if other not in ALLOWED[unit]:
        allowed = ", ".join(sorted(ALLOWED[unit])) or "what is not ours"
        return f"imports {imported.target}, but {unit} may import only {allowed}"
    if unit in PUBLIC_ONLY and is_private(other):
        return f"imports {imported.target}, but {unit} uses public names only"
    if any(map(is_private, inside)):
        return f"imports {imported.target}, a private part of {other}"
    if len(inside) > (1 if imported.name else 0):
        return f"imports {imported.target}; import from {PACKAGE}.{other} itself"
    return None


def check_foreign(unit: str, imported: Import) -> str | None:
    """Why `unit` may not import this module of another project; None if it may."""
    top = imported.module.partition(".")[0]
    if unit in OUTSIDE:
        return None
    if imported.target == "__future__.annotations":
        return "has `from __future__ import annotations`, which switches the run-time shape checks off"
    if top == "jax" and "_src" in imported.target.split("."):
        return f"imports {imported.target}: jax._src is private to JAX"
    if (imported.target + ".").startswith("jax.config.") and unit not in SETTINGS:
        return "imports jax.config: global settings belong to the user"
    if top in THIRD_PARTY and unit not in THIRD_PARTY[top]:
        return f"imports {top}, which is for {sorted(THIRD_PARTY[top])} only"
    if top in LAZY and imported.top_level:
        return f"imports {top} when it is itself imported; move the import into the function that needs it"
    return None


def check_attributes(unit: str, tree: ast.AST, imports: list[Import]) -> Iterator[tuple[int, str]]:
    """What is wrong with the uses `module.name` of the imported modules."""
    targets = {i.bound: i.target if i.bound != i.module.partition(".")[0] else i.bound for i in imports}
    for line, base, names in attributes_of(tree):
        parts = [*targets.get(base, "").split("."), *names]
        foreign = ["_src"] if unit in SETTINGS else ["_src", "config"]
        if unit not in OUTSIDE and parts[0] == "jax" and parts[1:2] and parts[1] in foreign:
            yield line, f"uses {'.'.join(parts[:2])}"
        elif parts[0] == PACKAGE and parts[1] != unit and any(map(is_private, names)):
            yield line, f"uses the private name {'.'.join(parts)}"


def violations(path: str, source: str) -> list[str]:
    """What is wrong with a file; `path` is relative to the package, or begins with one of `OUTSIDE`."""
    file = PurePosixPath(path)
    unit = unit_of(file)
    found: set[tuple[int, str]] = set()
    if unit not in ALLOWED:
        return [f"{path}:1: {unit} is not in the table; add it to ALLOWED in tests/test_imports.py"]
    if unit != "tests" and (lines := len(source.splitlines())) > MAX_LINES:
        found.add((MAX_LINES, f"has {lines} lines, more than {MAX_LINES}; split it"))
    tree = ast.parse(source, filename=path)
    imports = list(imports_of(file, tree))
    for imported in imports:
        ours = imported.module == PACKAGE or imported.module.startswith(PACKAGE + ".")
        if message := (check_own if ours else check_foreign)(unit, imported):
            found.add((imported.line, message))
    found.update(check_attributes(unit, tree, imports))
    return [f"{path}:{line}: {message}" for line, message in sorted(found)]


@pytest.mark.parametrize("name", [PACKAGE, *sorted(OUTSIDE)])
def test_it_keeps_to_its_layer(name):
    folder = ROOT / name
    files = {file.relative_to(folder if name == PACKAGE else ROOT).as_posix(): file for file in folder.rglob("*.py")}
    assert files, f"no source found in {folder}"
    found = [
        violation
        for path, file in sorted(files.items())
        if path not in INNER
        for violation in violations(path, file.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


def test_the_table_has_no_cycle():
    graph = {unit: set(below) - {PACKAGE} for unit, below in ALLOWED.items()}
    while graph:
        free = {unit for unit, below in graph.items() if not below & graph.keys()}
        assert free, f"these import each other: {sorted(graph)}"
        graph = {unit: below for unit, below in graph.items() if unit not in free}


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cells/_ladder.py", "from qsynapse_jax._fields import Scalar"),
        ("cells/_ladder.py", "from qsynapse_jax.quantize import nearest_level"),
        ("cells/_ladder.py", "from .._checks import check_shape"),
        ("cells/_ladder.py", "from qsynapse_jax import quantize"),
        ("cells/__init__.py", "from ._ladder import Ladder"),
        ("cells/__init__.py", "from qsynapse_jax.cells._ladder import Ladder"),
        ("cells/_ladder.py", "from . import _base\n_base._helper()"),
        ("tile/_tile.py", "from qsynapse_jax.cells import Ladder"),
        ("tile/_tile.py", "import qsynapse_jax.cells"),
        ("tile/_tile.py", "from ..crossbar import solve"),
        ("tile/_tile.py", "from qsynapse_jax import cells, devices"),
        ("nn/_dense.py", "from flax import nnx"),
        ("training/_loop.py", "import optax"),
        ("codesign/_pareto.py", "from qsynapse_jax.training import train"),
        ("plot/_matrix.py", "def plot():\n    import matplotlib.pyplot as plt"),
        ("sweep/_read.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import xarray"),
        ("cli/__init__.py", "import qsynapse_jax as qs\nqs.crossbar.solve()"),
        ("cli.py", "from qsynapse_jax import __version__"),
        ("__init__.py", "from qsynapse_jax import cells, tile\nfrom . import nn\n__version__ = '0'"),
        ("studies/_demo.py", "from flax import nnx\nfrom qsynapse_jax._arrays import write_whole"),
        ("cli/_demo.py", "import rich\nimport tyro\nfrom qsynapse_jax.studies import demo"),
        ("experiments/digits/run.py", "import optax, matplotlib\nfrom qsynapse_jax.studies import Record"),
        ("tests/cli/test_demo.py", "from qsynapse_jax.cli import main\nfrom experiments import bench"),
        ("crossbar/_solve.py", "import jax\njax.lax.scan\njax.jit\nself.config"),
        ("crossbar/_solve.py", "x = 1\n" * MAX_LINES),
    ],
)
def test_the_checker_lets_pass(path, source):
    assert violations(path, source) == []


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("_checks.py", "from ._fields import Model", "_checks may import only what is not ours"),
        ("quantize.py", "from qsynapse_jax.cells import Ladder", "quantize may import only _checks, _fields"),
        ("cells/_ladder.py", "from qsynapse_jax.devices import Pulse", "cells may import only"),
        ("cells/_ladder.py", "from ..devices import Pulse", "imports qsynapse_jax.devices.Pulse"),
        ("cells/_ladder.py", "from .. import devices", "imports qsynapse_jax.devices"),
        ("cells/deep/_ladder.py", "from ...devices import Pulse", "imports qsynapse_jax.devices.Pulse"),
        ("cells/_ladder.py", "import qsynapse_jax.devices as d", "imports qsynapse_jax.devices"),
        ("cells/_ladder.py", "def f():\n    from qsynapse_jax import tile", "2: imports qsynapse_jax.tile"),
        ("cells/_ladder.py", "import qsynapse_jax as qs", "imports qsynapse_jax, but"),
        ("cells/_ladder.py", "from qsynapse_jax import __version__", "imports qsynapse_jax.__version__"),
        ("cells/_ladder.py", "from qsynapse_jax import *", r"imports qsynapse_jax\.\*"),
        (
            "cells/_ladder.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..tile import Tile",
            "3: imports qsynapse_jax.tile",
        ),
        (
            "cells/_ladder.py",
            "import importlib\nimportlib.import_module('qsynapse_jax.nn')",
            "qsynapse_jax.nn",
        ),
        ("programming/_verify.py", "from qsynapse_jax.tile import Tile", "programming may import only"),
        ("tile/_tile.py", "from qsynapse_jax.nn import Dense", "tile may import only"),
        ("cost/_energy.py", "from qsynapse_jax.nn import Dense", "cost may import only"),
        ("nn/_dense.py", "from qsynapse_jax.training import train", "nn may import only"),
        ("codesign/_pareto.py", "from qsynapse_jax.cli import main", "codesign may import only"),
        ("tile/_tile.py", "from qsynapse_jax.cells._ladder import Ladder", "a private part of cells"),
        ("tile/_tile.py", "from qsynapse_jax.cells import _ladder", "a private part of cells"),
        (
            "tile/_tile.py",
            "from qsynapse_jax.cells.ladder import Ladder",
            "import from qsynapse_jax.cells itself",
        ),
        ("tile/_tile.py", "from qsynapse_jax import cells\ncells._ladder.Ladder", "uses the private name"),
        ("cli/__init__.py", "import qsynapse_jax as qs\nqs.cells._ladder", "uses the private name"),
        ("cli/__init__.py", "import qsynapse_jax\nqsynapse_jax.cells._ladder", "uses the private name"),
        ("cli.py", "from qsynapse_jax.crossbar import _solve", "a private part of crossbar"),
        ("nn/_dense.py", "from qsynapse_jax.utils import helper", "not in the table"),
        ("utils/__init__.py", "", "utils is not in the table; add it"),
        ("helpers.py", "", "helpers is not in the table; add it"),
        ("tile/_tile.py", "from flax import nnx", "imports flax, which is for"),
        ("tile/_tile.py", "def f():\n    import flax.nnx", "imports flax, which is for"),
        ("nn/_dense.py", "import optax", "imports optax, which is for"),
        ("crossbar/_plot.py", "def f():\n    import matplotlib", "imports matplotlib, which is for"),
        ("plot/__init__.py", "import matplotlib.pyplot as plt", "into the function that needs it"),
        ("plot/__init__.py", "class Plot:\n    import matplotlib", "into the function that needs it"),
        ("cells/_ladder.py", "from __future__ import annotations", "switches the run-time shape checks off"),
        ("cells/_ladder.py", "from jax._src.core import Primitive", "jax._src is private"),
        ("cells/_ladder.py", "from jax import _src", "jax._src is private"),
        ("cells/_ladder.py", "import jax\njax._src.core", "2: uses jax._src"),
        ("cells/_ladder.py", "import jax.numpy\njax.config.update('a', 1)", "uses jax.config"),
        ("cells/_ladder.py", "import jax as j\nj.config.jax_enable_x64", "uses jax.config"),
        ("cells/_ladder.py", "from jax import config", "imports jax.config"),
        ("cli/_main.py", "import jax\njax._src.config", "uses jax._src"),
        ("cells/_ladder.py", "x = 1\n" * (MAX_LINES + 1), "has 401 lines"),
        ("plot/_matrix.py", "from qsynapse_jax.cli import main", "plot may import only"),
        ("sweep/_read.py", "import xarray", "into the function that needs it"),
        ("studies/_demo.py", "import zarr", "imports zarr, which is for"),
        ("studies/_demo.py", "import tyro", "imports tyro, which is for"),
        ("studies/_demo.py", "from rich.console import Console", "imports rich, which is for"),
        ("training/_store.py", "from qsynapse_jax.codesign import optimize", "training may import only"),
        ("nn/_dense.py", "import orbax.checkpoint", "imports orbax, which is for"),
        ("experiments/digits/run.py", "from qsynapse_jax.cli import main", "experiments may import only"),
        ("experiments/digits/run.py", "from qsynapse_jax._fields import quantity", "uses public names only"),
        ("experiments/digits/run.py", "import qsynapse_jax as qs\nqs.nn._dense.f", "uses the private name"),
        ("experiments/run.py", "x = 1\n" * (MAX_LINES + 1), "has 401 lines"),
        ("tests/nn/test_dense.py", "from qsynapse_jax.nn._dense import f", "a private part of nn"),
        ("tests/nn/test_dense.py", "def test():\n    import qsynapse_jax.nn._dense", "a private part of nn"),
    ],
)
def test_the_checker_catches(path, source, message):
    found = violations(path, source)
    assert len(found) == 1, found
    assert re.search(message, found[0]), found[0]


def pinned() -> dict[str, str]:
    """Name to version of every line of `constraints.txt`, which holds nothing else."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wrong = [line for line in lines if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.!]*", line)]
    assert not wrong, f"constraints.txt holds `name==version` lines only, but has {wrong}"
    pairs = [line.split("==") for line in lines]
    names = [canonicalize_name(name) for name, _ in pairs]
    assert len(set(names)) == len(names), "constraints.txt names a package twice"
    return {name: version for name, (_, version) in zip(names, pairs, strict=True)}


def test_every_dependency_is_pinned_within_its_bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    versions = pinned()
    for requirement in map(Requirement, declared):
        name = canonicalize_name(requirement.name)
        assert name in versions, f"{name} has no line in constraints.txt"
        assert versions[name] in requirement.specifier, f"constraints.txt pins {name} outside of {requirement}"


def test_the_project_itself_is_not_pinned():
    assert not {"pip", "setuptools", "wheel", canonicalize_name(PACKAGE)} & pinned().keys()
